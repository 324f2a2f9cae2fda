"""Attacks of sounds whose energy is known at every moment."""

import math

import pytest
import torch

from sds.metrics.attack import SMOOTH, attack_seconds

RATE = 44100
TIME = torch.arange(2 * RATE) / RATE
TONE = torch.sin(2 * torch.pi * 3000 * TIME)


def attack_ms(envelope, carrier=TONE, rate=RATE):
    return 1000 * float(attack_seconds((carrier * envelope)[None, None], rate))


@pytest.mark.parametrize("tau", [0.010, 0.020, 0.100])
def test_of_a_growing_exponential(tau):
    """Amplitude e^(t / tau), energy e^(2 t / tau): from 10 % to 90 % it takes tau ln(9) / 2."""
    envelope = torch.exp((TIME - 1) / tau) * (TIME <= 1)
    assert attack_ms(envelope) == pytest.approx(1000 * tau * math.log(9) / 2, abs=0.1)


@pytest.mark.parametrize("tau", [0.010, 0.020, 0.100])
def test_of_an_exponential_approach(tau):
    """Amplitude 1 - e^(-t / tau) has an energy of a at t = -tau ln(1 - sqrt a)."""
    expected = tau * math.log((1 - 0.1**0.5) / (1 - 0.9**0.5))
    assert attack_ms(1 - torch.exp(-TIME / tau)) == pytest.approx(1000 * expected, abs=0.2)


def test_of_noise_and_of_a_low_tone():
    """It hangs on the envelope, not on what is under it, nor on the half waves of a low tone."""
    envelope = torch.exp(-(TIME - 1).abs() / 0.05)
    noise = torch.randn(2 * RATE, generator=torch.Generator().manual_seed(0)).sign()
    expected = 1000 * 0.05 * math.log(9) / 2
    assert attack_ms(envelope, noise) == pytest.approx(expected, rel=0.05)
    low = torch.sin(2 * torch.pi * 80 * TIME)
    assert attack_ms(envelope, low) == pytest.approx(expected, rel=0.05)


def test_half_a_millisecond_is_told_apart():
    """Rises that differ by 0.5 ms, sampled at 8 kHz: crossings lie between samples."""
    rate, time = 8000, torch.arange(8000) / 8000
    tone = torch.sin(2 * torch.pi * 1000 * time)
    taus = [0.0100, 0.0100 + 2 * 0.0005 / math.log(9)]
    a, b = (attack_ms(torch.exp((time - 0.5) / t) * (time <= 0.5), tone, rate) for t in taus)
    assert b - a == pytest.approx(0.5, abs=0.1)


def test_what_begins_at_once_takes_the_window():
    """The energy of a step under a Hann window rises within 42 % of the window's length."""
    step = (TIME >= 1).float()
    assert attack_ms(step) == pytest.approx(1000 * 0.42 * SMOOTH, abs=0.2)


def test_of_the_loudest_onset():
    """A soft slow stroke, and a loud fast one; level and what comes after change nothing."""
    slow = 0.5 * torch.exp(-(TIME - 0.5).abs() / 0.1)
    fast = torch.exp(-(TIME - 1.5).abs() / 0.02)
    expected = attack_ms(fast)
    assert attack_ms(slow + fast) == pytest.approx(expected, rel=0.02)
    assert attack_ms(0.01 * (slow + fast)) == pytest.approx(expected, rel=0.02)


def test_a_batch_is_each_for_itself_and_silence_has_none():
    clips = torch.stack([TONE * torch.exp((TIME - 1) / t) * (TIME <= 1) for t in (0.01, 0.05)])
    silent = torch.zeros(1, 2, 2 * RATE)
    found = attack_seconds(torch.cat([clips[:, None].expand(-1, 2, -1), silent]), RATE)
    assert found[:2].tolist() == pytest.approx(
        [0.01 * math.log(9) / 2, 0.05 * math.log(9) / 2], rel=0.02
    )
    assert bool(found[2].isnan())
