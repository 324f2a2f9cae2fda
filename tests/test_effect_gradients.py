"""Gradients through effects: pedalboard is heard, the slope is that of a measured stand-in."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from presets import Effect
from renderers import effects
from renderers.effect_gradients import (
    FIXED,
    HOP,
    LEVELLING,
    RING,
    response,
    responses,
    through,
)
from sds.signal.spectrogram import magnitudes

RATE = 22050
T = RATE // 2
SHELF = {"cutoff_frequency_hz": 900.0, "gain_db": 9.0, "q": 0.7}
EFFECTS = {
    "Bitcrush": {"bit_depth": 9.0},
    "Chorus": {"rate_hz": 0.8, "depth": 0.3, "centre_delay_ms": 8.0, "feedback": 0.0, "mix": 0.5},
    "Clipping": {"threshold_db": -12.0},
    "Compressor": {"threshold_db": -20.0, "ratio": 4.0},
    "Delay": {"delay_seconds": 0.12, "feedback": 0.35, "mix": 0.35},
    "Distortion": {"drive_db": 14.0},
    "Gain": {"gain_db": 6.0},
    "HighShelfFilter": SHELF,
    "HighpassFilter": {"cutoff_frequency_hz": 400.0},
    "Limiter": {"threshold_db": -12.0},
    "LowShelfFilter": SHELF,
    "LowpassFilter": {"cutoff_frequency_hz": 500.0},
    "NoiseGate": {"threshold_db": -30.0},
    "PeakFilter": SHELF,
    "Phaser": {
        "rate_hz": 0.5, "depth": 0.6, "centre_frequency_hz": 1000.0, "feedback": 0.2, "mix": 0.5,
    },
    "Reverb": {"room_size": 0.9, "damping": 0.4, "wet_level": 0.4, "dry_level": 0.6, "width": 1.0},
}  # fmt: skip
# Cosine with finite differences through pedalboard itself. Measured: 0.98 for 9 bits, 0.80 for the
# limiter (and both it and the compressor several times too steep), 0.997 and more for the others.
COSINES = {"Bitcrush": 0.95, "Limiter": 0.75}


def chain(kind: str) -> tuple[Effect, ...]:
    return (Effect(kind=kind, values=EFFECTS[kind]),)


def tone(seed: int) -> Tensor:
    """A decaying tone with noise [1, 1, T]."""
    t, random = np.arange(T) / RATE, np.random.default_rng(seed)
    x = np.sin(1382.3 * t) + 0.5 * np.sin(4146.9 * t) + 0.1 * random.standard_normal(T)
    return torch.from_numpy(0.5 * x * np.exp(-3 * t)).float()[None, None]


def decibels(error: np.ndarray, of: np.ndarray) -> float:
    return float(10 * np.log10(np.square(error).sum() / np.square(of).sum()))


def test_what_is_heard_is_pedalboards_own() -> None:
    everything = tuple(Effect(kind=kind, values=EFFECTS[kind]) for kind in EFFECTS)
    both = torch.cat([tone(0), tone(1)])
    heard = through(everything, both, RATE)
    for got, x in zip(heard, both, strict=True):
        np.testing.assert_array_equal(got, effects.chain(everything)(x.numpy(), RATE))
    assert through((), both, RATE) is both


@pytest.mark.parametrize("kind", sorted(FIXED))
def test_a_fixed_effect_is_its_impulse_response(kind: str) -> None:
    x = tone(0)[0, 0].numpy()
    y = effects.chain(chain(kind))(x[None], RATE)[0]
    stand_in = np.convolve(x.astype(np.float64), response(chain(kind)[0], RATE, T))[:T]
    assert decibels(stand_in - y, y) < -90.0  # Reverb -106, the others below -125


@pytest.mark.parametrize(("kind", "limit"), [("Chorus", -30.0), ("Phaser", -25.0)])
def test_a_moving_effect_is_its_responses(kind: str, limit: float) -> None:
    """As a sum over all impulses, for a tone: of noise above 5 kHz the chorus is less well met."""
    t = np.arange(T) / RATE
    x = (np.sin(2764.6 * t) * np.exp(-3 * t)).astype(np.float32)
    y = effects.chain(chain(kind))(x[None], RATE)[0]
    measured, stand_in = responses(chain(kind)[0], RATE, T), np.zeros(T + RING)
    for s in range(T):
        k, f = s // HOP, (s % HOP) / HOP
        stand_in[s : s + RING] += x[s] * ((1 - f) * measured[k] + f * measured[k + 1])
    assert decibels(stand_in[:T] - y, y) < limit


@pytest.mark.parametrize("kind", EFFECTS)
def test_the_gradient_is_that_of_finite_differences(kind: str) -> None:
    """Of a spectral loss, when partials are added; for what follows the level, when that moves."""
    x, t = tone(0), torch.arange(T) / RATE
    wanted = magnitudes(0.4 * torch.sin(2073.5 * t)[None, None] * torch.exp(-5 * t), (512, 2048))

    def loss(sound: Tensor) -> Tensor:
        spectra = magnitudes(through(chain(kind), sound, RATE).double(), (512, 2048))
        pairs = zip(spectra, wanted, strict=True)
        return sum((((a - b) ** 2).sum() / (b**2).sum() for a, b in pairs), torch.zeros(()))

    v = x.clone().requires_grad_(True)
    (gradient,) = torch.autograd.grad(loss(v), v)
    random, found, expected = np.random.default_rng(0), [], []
    for _ in range(12):
        hz, decay = np.exp(random.uniform(4.1, 8.3)), random.uniform(2, 30)
        partial = 0.3 * torch.sin(2 * np.pi * hz * t + random.uniform(0, 6))
        step = 0.01 * torch.exp(-decay * t) * (x[0, 0] if kind in LEVELLING else partial)
        found.append(float((gradient[0, 0] * step).sum()))
        with torch.no_grad():
            expected.append(0.5 * float(loss(x + step) - loss(x - step)))
    a, b = np.array(found), np.array(expected)
    assert a @ b / np.sqrt((a @ a) * (b @ b)) > COSINES.get(kind, 0.995)
    if kind in FIXED:
        np.testing.assert_allclose(a, b, atol=0.01 * np.abs(b).max())


def test_batch_and_order() -> None:
    """Two effects in a row: the chain rule, row by row."""
    both = (*chain("Distortion"), *chain("Delay"))
    x = torch.cat([tone(0), tone(1)]).requires_grad_(True)
    weights = tone(2)
    (together,) = torch.autograd.grad((through(both, x, RATE) * weights).sum(), x)
    bent = through(both[:1], x, RATE)
    heard = through(both[1:], bent, RATE)
    (apart,) = torch.autograd.grad((heard * weights).sum(), x)
    torch.testing.assert_close(together, apart)


def test_stereo_is_refused() -> None:
    with pytest.raises(ValueError, match=r"sound must be \[B, 1, T\], got \[1, 2, 100\]"):
        through(chain("Gain"), torch.zeros(1, 2, 100), RATE)
