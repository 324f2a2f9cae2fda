"""Training the search scorer: what is drawn, what counts as right, what is compared."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from sds.priors.sentence_encoder import WIDTH, encode_sentences
from sds.similarity.two_tower import MELS, RATE, Towers, levels, load_scorer, log_mel
from sds.train.search import contrast, distil, targets
from sds.train.search_check import Held, choose_prompts, discord, preferring, top1
from sds.train.search_data import at_speed, band_powers, crop_powers, disturb


def tone(hertz, seconds=1.0):
    return torch.sin(2 * torch.pi * hertz * torch.arange(round(seconds * RATE)) / RATE)


def test_a_scorer_reads_sentences_where_its_file_is_as_wide(tmp_path):
    torch.manual_seed(0)
    towers = Towers(text_dim=WIDTH)
    save_file(towers.state_dict(), tmp_path / "model.safetensors")
    scorer = load_scorer(tmp_path)
    prompts = ["kick drum", "rain on a roof"]
    wanted = towers.eval().read(encode_sentences(prompts))
    assert torch.allclose(scorer.read(prompts), wanted, atol=1e-6)


def test_the_head_is_given_what_is_pooled():
    torch.manual_seed(0)
    towers = Towers().eval()
    x = log_mel(tone(440)[None], towers.mel)
    whole = towers.hear_levels(x)
    head = torch.nn.functional.normalize(towers.head(towers.pool(x)), dim=1)
    assert torch.equal(whole, head)


def test_stored_powers_are_those_that_towers_hear():
    mel = Towers().mel
    audio = tone(440) + 0.1 * tone(3000)
    stored = 10 ** band_powers(audio, mel).float()
    heard = log_mel(audio[None], mel)[0]
    assert float((levels(stored[None])[0] - heard).abs().max()) < 0.25 / 40  # a quarter of a dB


@pytest.mark.parametrize("speed", [0.87, 1.0, 1.15])
def test_speed_moves_pitch_and_length(speed):
    played = at_speed(tone(440), speed)
    assert len(played) == pytest.approx(RATE / speed, abs=1)
    spectrum = torch.fft.rfft(played * torch.hann_window(len(played))).abs()
    hertz = float(spectrum.argmax()) * RATE / len(played)
    assert hertz == pytest.approx(440 * speed, abs=1.2)


def test_pieces_are_of_one_length_and_silence_follows_short_clips():
    frames = np.zeros((300, MELS), np.float16)  # power 1
    spans = [[[0, 290]], [[290, 10]]]
    for seed in range(5):
        power = crop_powers(frames, spans, np.random.default_rng(seed))
        assert power.shape[:2] == (2, MELS)
        assert 0.4 * RATE / 1024 < power.shape[2] <= 3 * RATE / 1024
        assert float(power[0].min()) == 1.0
        assert float(power[1, :, :10].min()) == 1.0
        assert float(power[1, :, 10:].max()) < 1e-11


def test_disturbed_levels_stay_in_range_and_differ():
    power = (torch.rand(4, MELS, 40, generator=torch.Generator().manual_seed(0)) + 0.01) ** 4
    torch.manual_seed(0)
    one = disturb(power, np.random.default_rng(0))
    assert float(one.max()) == pytest.approx(1.0)
    assert float(one.min()) >= -1.0
    torch.manual_seed(0)
    louder = disturb(1000 * power, np.random.default_rng(0))
    assert torch.allclose(one, louder, atol=1e-4)
    assert not torch.allclose(one, disturb(power, np.random.default_rng(1)), atol=0.05)


def test_captions_of_one_meaning_share_the_answer():
    sentences = encode_sentences(["kick drum", "kick drum", "bass drum", "rain", "thunder"])
    labels = torch.tensor([0, 0, 0, 1, 2])
    wanted = targets(sentences, labels)
    assert torch.allclose(wanted.sum(1), torch.ones(5))
    assert float(wanted[0, 0]) == pytest.approx(float(wanted[0, 1]))
    assert wanted[0, 0] > wanted[0, 2] > wanted[0, 3]
    assert wanted[0, 2] >= 0.15 * wanted[0, 0]
    assert wanted[3, 3] > 0.9


def test_losses_are_least_where_the_answers_are_right():
    right, scale = torch.eye(4), torch.tensor(3.0)
    assert contrast(right, right, scale, right) < contrast(right, right.roll(1, 0), scale, right)
    answers = torch.eye(4)
    assert distil(right, right, scale, answers) < distil(right, right.roll(1, 0), scale, answers)
    assert float(contrast(torch.zeros(4, 4), right, scale, right)) == pytest.approx(
        2 * np.log(4), rel=1e-5
    )


def test_first_of_rows_and_of_columns():
    near = torch.tensor([[0.9, 0.1], [0.8, 0.2], [0.3, 0.2]])
    assert top1(near, ["a", "b", "b"], ["a", "b"]) == (pytest.approx(1 / 3), 1.0)


def test_pairs_ordered_differently_are_counted():
    a = torch.tensor([0.0, 1.0, 2.0])
    assert discord(a, a) == 0.0
    assert discord(a, -a) == 1.0
    assert discord(a, torch.tensor([1.0, 0.0, 2.0])) == pytest.approx(1 / 3)
    fit = torch.arange(100.0)
    assert preferring(fit, fit) == [0.0, 0.0, pytest.approx(95.5 / 99)]
    assert preferring(-fit, fit) == [1.0, 1.0, pytest.approx(3.5 / 99)]


def test_prompts_are_of_known_classes_in_turn():
    held = Held([], ["kick", "kick", "bell", "toy"], ["one", "two", "three", "four"])
    prompts = choose_prompts(held, ("kick", "bell"))
    assert {label for _, label in prompts[:2]} == {"kick", "bell"}
    assert len(prompts) == 3
