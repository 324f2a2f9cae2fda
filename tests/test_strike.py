"""How an object is struck: pulses, bursts and hits have the areas, spectra and times they say."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from presets import Note
from presets.ranges import STRIKE
from renderers import from_values, impact, to_values
from renderers import strike as strike_module
from renderers.base import Renderer
from renderers.reverberation import T60
from renderers.strike import MOST_HITS, burst, contact, hit_pattern, strike

RATE = 44100
NEUTRAL = (1e-5, 0.0, 0.1, 1000.0, 1.0, 4.0, 0.0, 0.0)
FULL = impact.renderer(modes=4, bands=3, voice="full")
PAPER = impact.renderer(modes=4, bands=3)


def knobs(**changed: float) -> torch.Tensor:
    names = [p.name for p in STRIKE]
    values = dict(zip(names, NEUTRAL, strict=True)) | changed
    return torch.tensor([[values[name] for name in names]], dtype=torch.float64)


def column(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def unit(samples: int) -> torch.Tensor:
    return torch.nn.functional.pad(torch.ones(1, 1, dtype=torch.float64), (0, samples - 1))


def patch(instrument: Renderer, **changed: float) -> torch.Tensor:
    i = torch.arange(len(PAPER.params), dtype=torch.float64)
    values = to_values(PAPER, 0.1 + 0.8 * torch.remainder(i * 0.6180339887498949, 1.0))
    if instrument is FULL:
        values |= dict(zip([p.name for p in STRIKE], NEUTRAL, strict=True))
    return from_values(instrument, values | changed)[None]


def test_a_neutral_strike_is_the_delta() -> None:
    x = torch.sin(torch.arange(3000, dtype=torch.float64) ** 1.2)[None]
    assert (strike(x, knobs(), RATE) - x).abs().max() < 1e-14
    paper = PAPER.render(patch(PAPER), Note(60), RATE, 5000)
    full = FULL.render(patch(FULL), Note(60), RATE, 5000)
    assert (full - paper).norm() < 1e-14 * paper.norm()


def test_a_mallet_has_unit_area_its_middle_and_its_length() -> None:
    seconds = column(1e-5, 3e-5, 1e-3, 0.02)
    pulse = contact(seconds, RATE)
    n = torch.arange(pulse.shape[1], dtype=torch.float64)
    assert pulse.sum(1).tolist() == pytest.approx([1.0] * 4, abs=1e-9)
    assert (pulse * n).sum(1).tolist() == pytest.approx(
        [(s - 1e-5) * RATE / 2 for s in seconds.tolist()], abs=1e-6
    )
    assert pulse[3].min() > -1e-12
    raised = (1 - torch.cos(2 * torch.pi * n / (0.01999 * RATE))) / (0.01999 * RATE)
    inside = n < 0.01999 * RATE - 1
    assert (pulse[3] - raised)[inside].abs().max() < 1e-7


def test_a_soft_mallet_takes_the_highs_as_a_raised_cosine_does() -> None:
    pulse = contact(column(0.002), RATE)[0].numpy()
    hz = np.array([100.0, 300.0, 700.0, 1500.0])
    spectrum = np.exp(-2j * np.pi * np.outer(hz, np.arange(pulse.size)) / RATE) @ pulse
    x = hz * (0.002 - 1e-5)
    assert np.abs(spectrum) == pytest.approx(np.abs(np.sinc(x) / (1 - x**2)), abs=0.005)


def test_a_burst_has_the_power_of_the_delta_below_its_cutoff() -> None:
    level, seconds = column(1.0, 0.5), column(0.5, 0.5)
    noise = burst(level, seconds, column(2000.0, 2000.0), RATE, RATE, torch.float64)
    power = np.abs(np.fft.rfft(noise.numpy())) ** 2
    hz = np.fft.rfftfreq(RATE, 1 / RATE)
    below, above = power[:, (hz > 100) & (hz < 1000)], power[:, (hz > 7500) & (hz < 8500)]
    assert below.mean(1) == pytest.approx([1.0, 0.25], rel=0.15)
    assert 10 * np.log10(above[0].mean() / below[0].mean()) == pytest.approx(-24.0, abs=3.0)


def test_a_burst_decays_in_the_time_it_says() -> None:
    noise = burst(column(1.0), column(0.4), column(16000.0), RATE, RATE, torch.float64)[0]
    energy = noise.square().view(-1, 441).sum(1)
    part = energy[:35]
    slope = np.polyfit(np.arange(35) * 0.01, 10 * np.log10(part.numpy()), 1)[0]
    assert slope == pytest.approx(-60.0 / 0.4, rel=0.05)
    assert T60 == pytest.approx(6.9078, abs=1e-4)


def pattern(samples: int = 4 * RATE, **changed: float) -> torch.Tensor:
    values = {"hits": 4.0, "hit_hz": 3.0, "hit_jitter": 0.0, "hit_spread": 0.0} | changed
    columns = (column(values[p.name]) for p in STRIKE[4:])
    return hit_pattern(*columns, RATE, samples)[0]


def test_hits_are_as_many_and_as_often_as_they_say() -> None:
    found = pattern()
    places = found.nonzero().flatten().tolist()
    assert places == [0, RATE // 3, 2 * RATE // 3, RATE]
    assert found[places].tolist() == pytest.approx([1.0] * 4, abs=1e-9)
    between = pattern(hit_hz=7.0)  # every 6300 samples
    assert between.nonzero().flatten().tolist() == [0, 6300, 12600, 18900]
    assert pattern(hit_hz=3.3).sum().item() == pytest.approx(4.0)
    centre = (pattern(hits=2.0, hit_hz=3.3) * torch.arange(4 * RATE)).sum().item()
    assert centre == pytest.approx(RATE / 3.3)
    assert pattern(hits=2.25).sum().item() == pytest.approx(2.25)
    assert pattern(samples=RATE // 2).sum().item() == pytest.approx(2.0)  # the rest is too late


def test_full_jitter_is_rain_and_full_spread_24_db() -> None:
    rain = pattern(hits=float(MOST_HITS), hit_jitter=1.0, samples=20 * RATE)
    at = rain.nonzero().flatten()
    gaps = at[1:].diff().double()
    gaps = gaps[gaps > 1] / RATE * 3.0
    assert float(gaps.mean()) == pytest.approx(1.0, rel=0.1)
    assert 0.6 < float(gaps.std()) < 1.4  # 1 for an exponential, 0 for a clock
    soft = pattern(hits=float(MOST_HITS), hit_spread=1.0, samples=20 * RATE)
    levels = 20 * soft[soft > 0].log10()
    assert float(levels.max()) == 0.0
    assert -24.0 < float(levels.min()) < -20.0


def test_what_is_struck_sounds_at_every_hit() -> None:
    x = torch.exp(-torch.arange(3000, dtype=torch.float64) / 50)[None]
    audio = strike(x, knobs(hits=3.0, hit_hz=44.1, strike_seconds=0.001), RATE)[0]
    once = strike(x, knobs(strike_seconds=0.001), RATE)[0]
    later = torch.nn.functional.pad(once, (2000, 0))[:3000]
    want = once + torch.nn.functional.pad(once, (1000, 0))[:3000] + later
    assert (audio - want).abs().max() < 1e-14


def test_a_longer_render_begins_the_same() -> None:
    u = patch(FULL, burst_level=1.0, burst_seconds=1.0, hits=20.0, hit_hz=60.0, hit_jitter=1.0)
    short = FULL.render(u, Note(60), RATE, 1000)
    long = FULL.render(u, Note(60), RATE, 5000)
    assert (long[..., :1000] - short).abs().max() < 1e-13 * long.abs().max()


@pytest.mark.parametrize("hits", [1.0, 3.0, 47.0, 48.0])
def test_the_slope_in_hits_at_a_whole_number_is_that_of_both_sides(hits: float) -> None:
    at = column(hits).requires_grad_()
    weight = 1.0 + torch.arange(MOST_HITS, dtype=torch.float64)
    found = hit_pattern(at, column(44.1), column(0.0), column(0.0), RATE, MOST_HITS * 1000)[0]
    (found.view(-1, 1000)[:, 0] * weight).sum().backward()
    k = int(hits)
    left, right = (k if k > 1 else 0), (k + 1 if k < MOST_HITS else 0)
    assert at.grad is not None
    assert at.grad.item() == pytest.approx((left + right) / 2)


def test_the_shortest_contact_has_its_slope() -> None:
    seconds = column(1e-5).requires_grad_()
    pulse = contact(seconds, RATE)[0]
    pulse[1].backward()
    assert seconds.grad is not None
    # a pulse T samples long has its middle at T / 2: that much of it is on sample 1
    assert seconds.grad.item() == pytest.approx(RATE / 2)


def test_a_sound_rendered_without_gradients_leaves_those_after_it_theirs() -> None:
    knobs = torch.tensor([[1e-5, 0.0, 0.1, 4000.0, 3.0, 8.0, 0.5, 0.5]], dtype=torch.float64)
    strike_module._chances.cache_clear()
    with torch.inference_mode():
        first = strike(torch.ones(1, 400, dtype=torch.float64), knobs, 8000)
    knobs = knobs.clone().requires_grad_()
    again = strike(torch.ones(1, 400, dtype=torch.float64), knobs, 8000)
    again.sum().backward()
    assert torch.equal(first, again.detach())
    assert torch.isfinite(knobs.grad).all()


def test_gradcheck_of_the_strike() -> None:
    x = torch.sin(torch.arange(60, dtype=torch.float64) ** 1.1)[None]
    weight = torch.sin(torch.arange(60, dtype=torch.float64) ** 1.5)
    start = knobs(
        strike_seconds=0.0021,
        burst_level=0.7,
        burst_seconds=0.01,
        hits=3.3,
        hit_hz=59.0,
        hit_jitter=0.3,
        hit_spread=0.4,
    )
    scale = torch.tensor([p.high - p.low for p in STRIKE], dtype=torch.float64)
    base = (start / scale).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda sound, k: strike(sound, k * scale, 2000) @ weight,
        (x.requires_grad_(), base),
        eps=1e-7,
        atol=1e-5,
        rtol=1e-4,
    )
