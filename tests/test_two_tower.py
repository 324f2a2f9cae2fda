"""The evaluation scorer: unit vectors, deaf to level, and right about sounds it never heard."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from sds.priors.checkpoints import ModelUnavailable
from sds.similarity.two_tower import FOLDER, MELS, RATE, SEARCH_SCORER, Towers, load_scorer, log_mel

SOURCES = Path(__file__).parent.parent / "examples" / "data"


@pytest.fixture(scope="module")
def evaluation_scorer():
    return load_scorer()


@pytest.mark.parametrize("folder", [FOLDER, SEARCH_SCORER])
def test_broken_weights_are_one_sentence(tmp_path, folder):
    tensors = load_file(folder / "model.safetensors")
    path = tmp_path / "model.safetensors"
    tensors["head.1.bias"][7] = torch.nan
    save_file(tensors, path)
    wanted = r"model\.safetensors is broken: 1 of the 256 numbers of head\.1\.bias are not finite"
    with pytest.raises(ModelUnavailable, match=wanted):
        load_scorer(tmp_path)
    tensors["head.1.bias"] = torch.zeros(3)
    save_file(tensors, path)
    with pytest.raises(ModelUnavailable, match=r"do not fit the network: head\.1\.bias is 3, not"):
        load_scorer(tmp_path)
    del tensors["head.1.bias"]
    save_file(tensors, path)
    with pytest.raises(ModelUnavailable, match=r"head\.1\.bias is missing"):
        load_scorer(tmp_path)


def test_log_mel_spans_minus_one_to_one_whatever_the_level():
    towers = Towers()
    audio = torch.randn(1, RATE, generator=torch.Generator().manual_seed(0))
    loud, quiet = log_mel(audio, towers.mel), log_mel(audio * 0.01, towers.mel)
    assert loud.shape[1] == MELS
    assert float(loud.max()) == pytest.approx(1.0)
    assert float(loud.min()) >= -1.0
    assert torch.allclose(loud, quiet, atol=1e-3)


@pytest.mark.parametrize("decibels", [-40, -80, -120])
def test_a_dull_sound_is_the_same_at_any_level(evaluation_scorer, decibels):
    """Most bands are empty: while 1e-10 was added to powers, it was another sound at -60 dB."""
    noise = torch.randn(1, 1, RATE, generator=torch.Generator().manual_seed(0))
    heard = torch.fft.rfft(noise) * (torch.fft.rfftfreq(RATE, 1 / RATE) < 3000)
    dull = 0.1 * torch.fft.irfft(heard, RATE)
    soft = evaluation_scorer.hear(10 ** (decibels / 20) * dull, RATE)
    assert float((soft * evaluation_scorer.hear(dull, RATE)).sum()) == pytest.approx(1.0, abs=1e-5)


def test_cosines_are_bounded_and_deterministic(evaluation_scorer):
    audio = torch.randn(2, 1, RATE, generator=torch.Generator().manual_seed(0))
    scores = evaluation_scorer.similarity(audio, RATE, ["white noise", "piano", "rain"])
    assert scores.shape == (2, 3)
    assert float(scores.abs().max()) <= 1.0 + 1e-6
    assert torch.equal(
        scores, evaluation_scorer.similarity(audio, RATE, ["white noise", "piano", "rain"])
    )


def test_long_audio_is_heard_in_windows_and_short_audio_padded(evaluation_scorer):
    one = torch.randn(1, 1, 3 * RATE, generator=torch.Generator().manual_seed(0))
    twice = torch.cat([one, one], -1)
    assert torch.allclose(
        evaluation_scorer.hear(one, RATE), evaluation_scorer.hear(twice, RATE), atol=1e-5
    )
    assert evaluation_scorer.hear(one[..., :100], RATE).shape == (1, 128)


@pytest.mark.parametrize("rate", [22050, 48000])
def test_the_rate_does_not_change_the_verdict(evaluation_scorer, rate):
    from sds.signal.audio_files import resample

    audio = torch.sin(torch.arange(2 * RATE) / RATE * 2 * torch.pi * 440)[None, None]
    other = resample(audio, RATE, rate)
    assert (
        float((evaluation_scorer.hear(audio, RATE) * evaluation_scorer.hear(other, rate)).sum())
        > 0.95
    )
