"""The state-variable filter: its response in closed form, its gradient by differences."""

from __future__ import annotations

import numpy as np
import pytest

from renderers import filter as svf

RATE = 44100


def filtered(
    x: np.ndarray, level: np.ndarray, slope: np.ndarray, k: float, taps: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    y, states = np.empty(x.size), np.empty((2, x.size))
    svf.filter_forward(x, x.size, level, slope, k, taps, y, states)
    return y, states


def slowly(
    x: np.ndarray, level: np.ndarray, slope: np.ndarray, k: float, taps: np.ndarray
) -> np.ndarray:
    """Zavalishin's lines, a sample at a time."""
    at, grid = np.arange(x.size), 64 * np.arange(level.size)
    x, g_all = x * np.interp(at, grid, level), np.interp(at, grid, slope)
    s1 = s2 = 0.0
    y = np.empty(x.size)
    for n, g in enumerate(g_all):
        a1 = 1.0 / (1.0 + g * (g + k))
        v3 = x[n] - s2
        v1 = a1 * s1 + g * a1 * v3
        v2 = s2 + g * a1 * s1 + g * g * a1 * v3
        s1, s2 = 2 * v1 - s1, 2 * v2 - s2
        y[n] = taps @ (x[n], v1, v2)
    return y


@pytest.mark.parametrize("mode", [0.0, 0.3, 0.5, 1.0])
@pytest.mark.parametrize(("hz", "k"), [(200.0, 2.0), (3000.0, 0.05)])
def test_response_is_that_of_the_analogue_filter_bent_to_the_circle(
    mode: float, hz: float, k: float
) -> None:
    T, taps = 1 << 17, np.empty(3)
    svf.mix_modes(mode, k, taps)
    g = np.tan(np.pi * hz / RATE)
    J = T // 64 + 1
    impulse = np.zeros(T)
    impulse[0] = 1.0
    y, _ = filtered(impulse, np.ones(J), np.full(J, g), k, taps)
    s = 1j * np.tan(np.pi * np.arange(1, T // 2) / T) / g  # bilinear: what is at g becomes 1j
    analogue = s**2 + k * s + 1.0
    low, band, high = 1.0 / analogue, k * s / analogue, s**2 / analogue
    expected = (
        max(0.0, 1 - 2 * mode) * low
        + (1 - abs(2 * mode - 1)) * band
        + max(0.0, 2 * mode - 1) * high
    )
    assert np.abs(np.fft.rfft(y)[1 : T // 2] - expected).max() < 1e-9 * np.abs(expected).max()


def moving(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, float, np.ndarray]:
    rng = np.random.default_rng(seed)
    J = 5
    return (
        rng.normal(size=230),
        rng.uniform(0, 1, J),
        rng.uniform(0.05, 3, J),
        0.3,
        rng.normal(size=3),
    )


def test_moving_filter_is_the_slow_one() -> None:
    arguments = moving(0)
    assert np.abs(filtered(*arguments)[0] - slowly(*arguments)).max() < 1e-12


def test_gradient_is_that_of_differences() -> None:
    x, level, slope, k, taps = moving(1)
    weight = np.random.default_rng(2).normal(size=x.size)
    _, states = filtered(x, level, slope, k, taps)
    by_x = weight.copy()
    by = [by_x, np.zeros_like(level), np.zeros_like(slope), np.zeros(1), np.zeros(3)]
    svf.filter_adjoint(x, level, slope, k, taps, states, by_x, *by[1:])
    columns = [x, level, slope, np.array([k]), taps]
    for i, column in enumerate(columns):
        for j in range(0, column.size, 17 if i == 0 else 1):
            ends = []
            for step in (1e-6, -1e-6):
                moved = [c.copy() for c in columns]
                moved[i][j] += step
                ends.append(weight @ slowly(*moved[:3], float(moved[3][0]), moved[4]))
            assert by[i][j] == pytest.approx((ends[0] - ends[1]) / 2e-6, rel=1e-5, abs=1e-6)


def test_it_rings_until_it_is_silent_and_then_rests() -> None:
    x, taps = np.zeros(40000), np.empty(3)
    x[0] = 1.0
    svf.mix_modes(0.0, 0.5, taps)
    J = 40000 // 64 + 2
    y, states = np.full(40000, np.nan), np.full((2, 40000), np.nan)
    slope = np.full(J, np.tan(np.pi * 2000 / RATE))
    svf.filter_forward(x, 1, np.ones(J), slope, 0.5, taps, y, states)
    assert np.abs(y[:200]).max() > 0.05
    assert np.all(y[20000:] == 0.0)
    assert np.all(states[:, 20000:] == 0.0)


def test_pieces_of_a_grid_step_are_the_whole() -> None:
    x = np.random.default_rng(3).normal(size=64)
    taps, none = np.array([0.2, 0.5, 1.0]), np.empty((2, 0))
    whole, pieces = np.empty((2, 64))
    svf.filter_block(x, 0, 0.1, 0.4, 0.7, taps, np.zeros(2), whole, none)
    s = np.zeros(2)
    for a, b in ((0, 10), (10, 37), (37, 64)):
        svf.filter_block(x[a:b], a, 0.1, 0.4, 0.7, taps, s, pieces[a:b], none)
    assert np.array_equal(whole, pieces)
