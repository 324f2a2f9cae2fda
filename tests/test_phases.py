"""Sound of band levels: the pitch and the level that they mean, and no click where nothing is."""

import math

import pytest
import torch

from sds.multitrack.phases import magnitudes, sound
from sds.priors.multi_track import halve
from sds.signal.band_levels import RATE, SILENCE, N, band_powers, stft, to_levels


def levels_of(audio):
    power = band_powers(stft(audio))
    return to_levels(halve(power[..., : power.shape[-1] // 2 * 2]))


@pytest.mark.parametrize("hertz", [110.0, 440.0, 1000.0])
def test_a_tone_keeps_its_pitch_and_its_level(hertz):
    t = torch.arange(RATE) / RATE
    tone = 0.3 * torch.sin(2 * math.pi * hertz * t)
    made = sound(levels_of(tone[None]), RATE)[0]
    middle = made[8000:24000]
    spectrum = torch.fft.rfft(middle * torch.hann_window(len(middle))).abs()
    heard = float(spectrum.argmax()) * RATE / len(middle)
    assert heard == pytest.approx(hertz, abs=RATE / N)
    change = 10 * math.log10(float(middle.square().mean() / tone[8000:24000].square().mean()))
    assert abs(change) < 3


def test_noise_keeps_its_levels():
    noise = 0.1 * torch.randn(1, RATE, generator=torch.Generator().manual_seed(0))
    wanted = levels_of(noise)
    heard = levels_of(sound(wanted, RATE))
    smooth = torch.nn.functional.avg_pool1d
    away = 20 * (smooth(heard, 8)[:, 10:] - smooth(wanted, 8)[:, 10:])
    assert float(away[..., 0:3].abs().mean()) < 2.5  # dB


def test_silence_is_silent():
    levels = torch.full((1, 128, 16), SILENCE)
    assert float(magnitudes(levels).max()) == 0
    assert float(sound(levels, 20000).abs().max()) == 0
