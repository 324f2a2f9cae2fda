"""Envelopes that hold, pitch and LFO against numpy, formula by formula."""

from __future__ import annotations

import numpy as np
import pytest

from renderers import kernels, movement

RATE = 44100.0


def slow_envelope(t: np.ndarray, a: float, d: float, s: float, r: float, held: float) -> np.ndarray:
    """The formula, for any moments t."""
    x, y = np.maximum(t - a, 0.0), np.maximum(t - held, 0.0)
    falling = np.exp(-x / d**2) * np.maximum(0.0, 1.0 - x / d)
    released = np.exp(-5.0 * y / r) * np.maximum(0.0, 1.0 - y / r)
    return np.maximum(0.0, np.minimum(t / (a + 1e-5), s + (1.0 - s) * falling)) * released


def whole(
    a: float, d: float, s: float, r: float, held: float, samples: int
) -> tuple[np.ndarray, np.ndarray]:
    """Envelope and slopes, block by block as the kernels do."""
    f, again, slopes = np.empty(samples), np.empty(samples), np.empty((4, samples))
    table, releases = np.empty((2, kernels.BLOCK))
    kernels.powers(RATE, d, table)
    movement.release_powers(RATE, r, releases)
    part = np.empty((4, kernels.BLOCK))
    for start in range(0, samples, kernels.BLOCK):
        stop = min(samples, start + kernels.BLOCK)
        args = (start, RATE, a, d, s, held, r, table, releases)
        movement.held_envelope(f[start:stop], *args)
        movement.held_envelope_slopes(again[start:stop], part, *args)
        slopes[:, start:stop] = part[:, : stop - start]
    assert np.array_equal(f, again)
    return f, slopes


def test_without_sustain_and_release_it_is_the_papers_bit_by_bit() -> None:
    a, d, samples = 0.0123, 0.2, 12000
    table, paper = np.empty(kernels.BLOCK), np.empty(samples)
    kernels.powers(RATE, d, table)
    for start in range(0, samples, kernels.BLOCK):
        kernels.envelope(paper[start : start + kernels.BLOCK], start, RATE, a, d, table)
    f, slopes = whole(a, d, 0.0, 0.1, np.inf, samples)
    assert np.array_equal(f, paper)
    assert not slopes[3].any()


# let go while it holds, while it falls, while it rises, at once, never
@pytest.mark.parametrize("held", [0.15, 0.05, 0.004, 0.0, np.inf])
def test_envelope_and_its_slopes_are_those_of_the_formula(held: float) -> None:
    knobs, samples, step = (0.0123, 0.08, 0.4, 0.03), 12000, 1e-7
    t = np.arange(samples) / RATE
    f, slopes = whole(*knobs, held, samples)
    assert np.abs(f - slow_envelope(t, *knobs, held)).max() < 1e-13
    end = movement.over(*knobs, held, RATE)
    assert np.all(f[int(min(end, samples)) :] == 0.0)
    assert (end < samples) == (held < np.inf)
    kinks = [knobs[0], held + knobs[3]]
    smooth = np.all([np.abs(t - kink) > 2.0 / RATE for kink in kinks], axis=0)
    for i in range(4):
        up, down = list(knobs), list(knobs)
        up[i] += step
        down[i] -= step
        by = (slow_envelope(t, *up, held) - slow_envelope(t, *down, held)) / (2 * step)
        assert np.abs(slopes[i] - by)[smooth].max() < 1e-5


def test_it_holds_at_its_sustain_and_ends_with_its_release() -> None:
    f, _ = whole(0.01, 0.05, 0.6, 0.02, 0.15, 12000)
    t = np.arange(12000) / RATE
    assert np.all(f[(t > 0.061) & (t < 0.15)] == 0.6)
    assert f[np.argmin(np.abs(t - 0.16))] == pytest.approx(0.6 * np.exp(-2.5) * 0.5, rel=1e-3)
    assert np.all(f[t >= 0.17] == 0.0)


def test_the_phase_is_the_integral_of_the_pitch() -> None:
    fine = np.linspace(0.0, 64.0, 64001)
    pitch = 1.0 + (0.25 - 1.0) * fine / 64.0
    exact = np.concatenate([[0.0], np.cumsum((pitch[1:] + pitch[:-1]) * 0.5e-3)])
    steps = [movement.phase_step(1.0, 0.25, k) for k in range(65)]
    assert steps == pytest.approx(list(exact[::1000]), abs=1e-10)
    assert [movement.phase_step(1.0, 1.0, k) for k in range(64)] == list(range(64))
    assert movement.line(1.0, 0.25, 32) == 0.625


def test_moments_of_what_moves() -> None:
    assert movement.lfo(0.125, 2.0) == pytest.approx(1.0)
    assert movement.lfo(0.375, 2.0) == pytest.approx(-1.0)
    assert movement.pitch_factor(0.0, 12.0, 0.1, 0.0, 0.7) == pytest.approx(2.0)
    assert movement.pitch_factor(0.1, -12.0, 0.1, 0.0, 0.0) == pytest.approx(2 ** -np.exp(-1))
    assert movement.pitch_factor(9.0, 0.0, 0.1, 6.0, -1.0) == pytest.approx(2**-0.5)
    assert (movement.dip(0.3, 1.0), movement.dip(0.3, -1.0)) == (1.0, pytest.approx(0.7))
    t = np.linspace(0.0, 0.3, 50)
    swell = [movement.swell(x, 0.05, 0.2) for x in t]
    assert swell == pytest.approx(list(slow_envelope(t, 0.05, 0.2, 0.0, 1.0, np.inf)), abs=1e-14)
    assert movement.filter_slope(100.0, 2.0, RATE) == pytest.approx(np.tan(np.pi * 400 / RATE))
    assert movement.filter_slope(100.0, -9.0, RATE) == pytest.approx(np.tan(np.pi * 20 / RATE))
    assert movement.filter_slope(9e3, 3.0, RATE) == pytest.approx(np.tan(np.pi * 0.45))


def test_the_last_sample_is_that_of_the_longest_operator() -> None:
    columns = [np.array(c) for c in ((0.0, 0.1), (0.5, 0.2), (0.0, 0.5), (0.1, 0.05))]
    assert movement.last_sample(*columns, np.inf, 1000.0, 9999) == 9999
    assert movement.last_sample(*columns, 0.6, 1000.0, 9999) == 651
    assert movement.last_sample(*columns, 0.25, 1000.0, 9999) == 351
    columns[2][1] = 0.0
    assert movement.last_sample(*columns, np.inf, 1000.0, 9999) == 501
