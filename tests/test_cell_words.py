"""The text head on the trunk's cells: its space, its loss, its file, and what it knows."""

from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from sds.priors.checkpoints import ModelUnavailable
from sds.priors.sentence_encoder import encode_sentences
from sds.signal.audio_files import read
from sds.similarity.cell_words import CellWords, load_cell_words
from sds.similarity.trunk import load_trunk
from sds.train.cell_words import loss

DATA = Path(__file__).parent.parent / "examples" / "data"


def test_fits_are_cosines_of_cells_and_prompts():
    net = CellWords().eval()
    last = torch.rand(2, 512, 5, 12)
    text = F.normalize(torch.randn(2, 3, 384), dim=-1)
    fit = net.fit(last, text).detach()
    assert fit.shape == (2, 3, 12, 5)
    one = (net.hear(last[1, :, 4, 7], torch.tensor(7)) @ net.read(text[1, 2])).detach()
    torch.testing.assert_close(fit[1, 2, 7, 4], one)
    assert float(fit.abs().max()) <= 1 + 1e-5


def test_clips_of_a_class_are_no_negatives_of_each_other():
    net = CellWords().eval()
    cells, bands = torch.rand(4, 6, 512), torch.zeros(4, 6, dtype=torch.long)
    text = torch.eye(4, 384)
    same = loss(net, cells, bands, text, torch.zeros(4, dtype=torch.long))
    other = loss(net, cells, bands, text, torch.arange(4))
    assert float(same.detach()) == pytest.approx(0.0, abs=1e-5)
    assert float(other.detach()) > 0.1


def test_the_shipped_head_tells_a_saxophone_from_the_sea():
    prompts = encode_sentences(["saxophone", "sea waves", "kick drum"])[None]
    for index, name in enumerate(("saxophone", "sea_waves")):
        audio, _ = read(DATA / f"{name}.flac")
        audio = audio.mean(0)[None, :132300]
        trunk = load_trunk()
        levels = trunk.levels(audio * 0.5 / audio.abs().max())
        fit = load_cell_words().fit(trunk.maps(levels)[-1], prompts)[0].mean((1, 2))
        assert int(fit.argmax()) == index


def test_a_folder_without_a_head_is_one_sentence(tmp_path):
    with pytest.raises(ModelUnavailable, match=r"is not there; sds\.train\.cell_words makes it"):
        load_cell_words(tmp_path)
