"""Banks of patches: what is nearest, what is refused, and that the shipped ones still hold."""

import pytest
import torch

from renderers import RENDERERS, tuning
from sds.distillation.patch_bank import FOLDER, Bank, load_bank, save_bank, synth
from sds.priors.checkpoints import ModelUnavailable
from sds.similarity.two_tower import RATE, SEARCH_SCORER, load_scorer
from sds.train.bank import COUNTS, TUNED, fill, play


@pytest.fixture(scope="module")
def search_scorer():
    return load_scorer(SEARCH_SCORER)


def known(name):
    renderer = RENDERERS[name]
    return synth(name, renderer.version, len(renderer.params))


def test_nearest_first():
    heard = torch.eye(4)
    bank = Bank(torch.arange(8.0).reshape(4, 2) / 8, heard, "toy", "x")
    near = bank.nearest(torch.tensor([0.1, 0.7, 0.0, 0.5]), 2)
    assert near.tolist() == [[0.25, 0.375], [0.75, 0.875]]
    assert bank.nearest(torch.ones(4), 9).shape == (4, 2)


def test_a_file_holds_a_bank_for_its_synth_and_ear_only(tmp_path):
    bank = Bank(torch.rand(3, 2).half(), torch.rand(3, 4).half(), "toy 1, 2 knobs", "abc")
    save_bank(bank, tmp_path / "toy.safetensors")
    same = load_bank("toy", "toy 1, 2 knobs", "abc", tmp_path)
    assert same is not None
    assert torch.equal(same.u, bank.u)
    assert torch.equal(same.vectors, bank.vectors)
    assert load_bank("toy", "toy 2, 2 knobs", "abc", tmp_path) is None
    assert load_bank("toy", "toy 1, 2 knobs", "abd", tmp_path) is None
    assert load_bank("other", "toy 1, 2 knobs", "abc", tmp_path) is None


def test_a_broken_bank_is_one_sentence(tmp_path):
    u, heard = torch.rand(3, 2), torch.rand(3, 4)
    path = tmp_path / "toy.safetensors"
    save_bank(Bank(u, heard * torch.nan, "toy 1, 2 knobs", "abc"), path)
    with pytest.raises(ModelUnavailable, match="12 of the 12 numbers of heard are not finite"):
        load_bank("toy", "toy 1, 2 knobs", "abc", tmp_path)
    save_bank(Bank(u, heard[:2], "toy 1, 2 knobs", "abc"), path)
    with pytest.raises(ModelUnavailable, match=r"is no bank: it must hold u \[N, P\]"):
        load_bank("toy", "toy 1, 2 knobs", "abc", tmp_path)
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(ModelUnavailable, match="is damaged or incomplete"):
        load_bank("toy", "toy 1, 2 knobs", "abc", tmp_path)


def test_filling_hears_what_the_patches_play(search_scorer):
    bank = fill(RENDERERS["fm"], search_scorer, 5, seed=3)
    sound = play(RENDERERS["fm"], bank.u)
    torch.testing.assert_close(
        bank.vectors.float(), search_scorer.hear(sound, RATE), rtol=0, atol=2e-3
    )


@pytest.mark.parametrize("file", [*COUNTS, *TUNED])
def test_shipped_banks_fit_the_present_synths_and_ear(file, search_scorer):
    name, _, family = file.partition("-")
    bank = load_bank(file, known(name), search_scorer.model_hash, FOLDER)
    assert bank is not None
    some = torch.randperm(len(bank.u), generator=torch.Generator().manual_seed(0))[:4]
    u = bank.u[some].double()
    assert (tuning.snap(RENDERERS[name], family or "free", u) - u).abs().max() < 1e-3
    heard = search_scorer.hear(play(RENDERERS[name], u), RATE)
    torch.testing.assert_close(heard, bank.vectors[some].float(), rtol=0, atol=1e-2)
