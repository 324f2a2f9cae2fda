"""The share of a sound that is in tune: tones of which it is known."""

from __future__ import annotations

import math

import pytest
import torch

from sds.metrics.tuning import in_tune_share, partials

RATE = 44100
T = torch.arange(RATE, dtype=torch.float64) / RATE


def tones(*pairs: tuple[float, float], decay: float = 0.0) -> torch.Tensor:
    """Sines of (Hz, amplitude), all decaying with `decay` nepers a second."""
    return sum(a * torch.sin(2 * math.pi * f * T) for f, a in pairs) * torch.exp(-decay * T)


@pytest.mark.parametrize("key", [65.4, 130.8, 261.6, 1046.5])
@pytest.mark.parametrize("decay", [0.0, 5.0, 40.0])
def test_harmonics_are_in_tune(key: float, decay: float) -> None:
    sound = tones(*((n * key, 1.0 / n) for n in range(1, 9)), decay=decay)
    assert in_tune_share(sound, RATE, key) == pytest.approx(1.0, abs=1e-3)
    where, _ = partials(sound, RATE)
    assert float(where[0]) == pytest.approx(key, rel=0.002)


@pytest.mark.parametrize(("cents", "share"), [(-30, 0.5), (-20, 1.0), (20, 1.0), (30, 0.5)])
def test_the_border_is_at_25_cents(cents: float, share: float) -> None:
    sound = tones((200.0, 1.0), (600.0 * 2 ** (cents / 1200), 1.0))
    assert in_tune_share(sound, RATE, 200.0) == pytest.approx(share, abs=0.01)


def test_the_share_is_of_energy() -> None:
    sound = tones((200.0, 2.0), (330.0, 1.0))
    assert in_tune_share(sound, RATE, 200.0) == pytest.approx(0.8, abs=0.01)
    assert in_tune_share(sound, RATE, 330.0) == pytest.approx(0.2, abs=0.01)


def test_beats_and_tremolo_are_no_partials_of_their_own() -> None:
    tremolo = (0.5 + 0.5 * torch.sin(2 * math.pi * 7.0 * T)) * tones((261.6, 1.0))
    assert in_tune_share(tremolo, RATE, 261.6) > 0.99
    assert in_tune_share(tones((261.6, 1.0), (262.1, 0.9)), RATE, 261.6) > 0.99


def test_a_short_sound_late_in_silence_is_found() -> None:
    sound = torch.zeros(2 * RATE)
    sound[RATE : RATE + 4410] = tones((440.0, 0.5))[:4410].float()
    assert in_tune_share(sound, RATE, 220.0) > 0.95
    assert in_tune_share(sound, RATE, 300.0) < 0.05


def test_silence_has_no_share() -> None:
    assert math.isnan(in_tune_share(torch.zeros(RATE), RATE, 440.0))
