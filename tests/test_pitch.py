"""Fundamentals of tones whose pitch is known, by both trackers."""

import math

import pytest
import torch

from sds.metrics.pitch import cents, swift_f0, yin

RATE = 44100
T = torch.arange(RATE, dtype=torch.float64) / RATE


def harmonics(hz, decay=3.0, count=12):
    parts = [torch.sin(2 * math.pi * n * hz * T) / n for n in range(1, count) if n * hz < 20000]
    return (sum(parts) * torch.exp(-decay * T)).float()


@pytest.mark.parametrize("hz", [32.7, 65.4, 261.63, 1046.5, 2093.0])
@pytest.mark.parametrize("decay", [0.0, 3.0, 20.0])
def test_yin_finds_the_fundamental(hz, decay):
    assert abs(cents(yin(harmonics(hz, decay), RATE), hz)) < 5


def test_yin_hears_a_missing_fundamental():
    sound = sum(torch.sin(2 * math.pi * n * 200.0 * T) for n in (2, 3, 4))
    assert abs(cents(yin(sound, RATE), 200.0)) < 5


def test_a_sharp_tone_is_sharp():
    assert cents(yin(harmonics(261.63 * 2 ** (30 / 1200)), RATE), 261.63) == pytest.approx(
        30, abs=3
    )


def test_silence_has_no_pitch():
    assert math.isnan(yin(torch.zeros(RATE), RATE))


def test_the_other_tracker_agrees_where_it_is_installed():
    if swift_f0(torch.zeros(RATE), RATE) is None:
        pytest.skip("swift-f0 is not installed")
    for hz in (110.0, 261.63, 880.0):
        assert abs(cents(swift_f0(harmonics(hz), RATE), hz)) < 25
    assert math.isnan(swift_f0(torch.zeros(RATE), RATE))
