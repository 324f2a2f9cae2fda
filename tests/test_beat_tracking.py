"""Beats of clicks whose places are known, steady and drifting; none in what has no beat."""

import numpy as np
import pytest
import torch

from sds.multitrack.beat_tracking import counted, find_beats, lie_on

RATE = 32000


def clicks(seconds, length=12.0):
    """Audio [1, T] with a burst of noise at each of `seconds`."""
    generator = torch.Generator().manual_seed(0)
    audio = torch.zeros(1, round(length * RATE))
    for at in seconds:
        begin = round(at * RATE)
        burst = torch.randn(1, 1600, generator=generator) * torch.exp(-torch.arange(1600) / 300)
        audio[:, begin : begin + 1600] += burst[:, : audio.shape[1] - begin]
    return audio


@pytest.mark.parametrize("bpm", [82.0, 100.0, 140.0])
def test_clicks_are_a_beat_apart(bpm):
    at = np.arange(0.3, 11.5, 60 / bpm)
    position = counted(find_beats(clicks(at), RATE))
    found = np.array([position(t) for t in at])
    off = (found - np.round(found)) * 60 / bpm
    assert np.abs(off).max() < 0.03  # seconds
    assert np.diff(found) == pytest.approx(np.ones(len(at) - 1), abs=0.06)


def test_a_drummer_who_gets_faster_is_followed():
    at = np.cumsum(60 / np.linspace(100, 112, 20)) + 0.2
    position = counted(find_beats(clicks(at, 13.0), RATE))
    found = np.array([position(t) for t in at])
    assert np.diff(found) == pytest.approx(np.ones(len(at) - 1), abs=0.1)


@pytest.mark.parametrize("audio", [
    torch.zeros(1, 4 * RATE),
    clicks([1.0, 1.5]),
    torch.sin(2 * torch.pi * 220 * torch.arange(4 * RATE) / RATE)[None],
    torch.zeros(1, 400),
], ids=["silence", "two strokes", "a tone", "an instant"])  # fmt: skip
def test_without_a_beat_there_is_none(audio):
    assert find_beats(audio, RATE) is None


def test_beats_lie_on_a_grid_its_halves_and_its_doubles_and_on_no_other():
    found = 0.02 + np.arange(20) * 0.5  # 120 beats a minute, 20 ms late
    for bpm in (120.0, 60.0, 240.0):
        assert lie_on(found, lambda t, bpm=bpm: t * bpm / 60)
    for bpm in (117.0, 100.0, 131.0):
        assert not lie_on(found, lambda t, bpm=bpm: t * bpm / 60)
    assert not lie_on(found, lambda t: t * 2 + 0.25)
