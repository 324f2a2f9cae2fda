"""Loudness: the figures that BS.1770 and EBU Tech 3341 promise."""

import math

import pytest
import torch

from sds.signal.loudness import loudness


def sine(hz: float, level_db: float, seconds: float, rate: int) -> torch.Tensor:
    t = torch.arange(round(seconds * rate), dtype=torch.float64) / rate
    return 10 ** (level_db / 20) * torch.sin(2 * math.pi * hz * t)


@pytest.mark.parametrize("rate", [44100, 48000, 96000])
def test_a_sine_of_997_hz_in_one_channel_is_3_db_below_full_scale(rate: int) -> None:
    assert loudness(sine(997.0, 0.0, 3.0, rate)[None], rate) == pytest.approx(-3.01, abs=0.05)


def test_stereo_tone_as_ebu_3341_has_it() -> None:
    """Case 1: 1 kHz at -23 dBFS in both channels for 20 s has -23.0 +- 0.1 LUFS; 3: gated."""
    tone = sine(1000.0, -23.0, 20.0, 48000).expand(2, -1)
    assert loudness(tone, 48000) == pytest.approx(-23.0, abs=0.1)
    quiet = sine(1000.0, -36.0, 10.0, 48000).expand(2, -1)
    both = torch.cat([quiet, tone, quiet], dim=-1)
    assert loudness(both, 48000) == pytest.approx(-23.0, abs=0.1)


def test_silence_has_none_and_a_short_sound_some() -> None:
    assert loudness(torch.zeros(1, 44100), 44100) == -math.inf
    short = loudness(sine(997.0, 0.0, 0.1, 44100)[None], 44100)
    assert short == pytest.approx(-3.01 - 6.02, abs=0.3)  # a quarter of a block
