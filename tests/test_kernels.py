"""The compiled loops against numpy, formula by formula."""

from __future__ import annotations

import numba
import numpy as np
import pytest

from renderers import kernels

RATE = 44100.0


def test_sine_is_accurate_to_the_last_bits() -> None:
    x = np.linspace(-1.0, 1.0, 4001)
    error = np.array([kernels.sin_turns(v) for v in x]) - np.sin(2 * np.pi * x)
    assert np.abs(error).max() < 2e-15


def test_sine_far_from_zero_is_as_exact_as_its_argument() -> None:
    x = 1e5 + np.arange(1000) / 1024.0  # exact in float64
    error = np.array([kernels.sin_turns(v) for v in x]) - np.sin(2 * np.pi * (x - 1e5))
    assert np.abs(error).max() < 2e-15


def paper_envelope(t: np.ndarray, a: float, d: float) -> np.ndarray:
    falling = np.exp(np.minimum((a - t) / d**2, 700.0)) * (d - (t - a)) / d
    return np.maximum(0.0, np.minimum(t / (a + 1e-5), falling))


def whole_envelope(a: float, d: float, samples: int) -> tuple[np.ndarray, ...]:
    f, again, fa, fd = np.empty((4, samples))
    table = np.empty(kernels.BLOCK)
    kernels.powers(RATE, d, table)
    for start in range(0, samples, kernels.BLOCK):
        part = slice(start, start + kernels.BLOCK)
        kernels.envelope(f[part], start, RATE, a, d, table)
        kernels.envelope_slopes(again[part], fa[part], fd[part], start, RATE, a, d, table)
    assert np.array_equal(f, again)
    return f, fa, fd


@pytest.mark.parametrize(("a", "d"), [(0.001, 0.02), (0.05, 0.03), (0.0123, 0.2), (0.1, 5.0)])
def test_envelope_is_the_papers(a: float, d: float) -> None:
    samples = 14000
    t = np.arange(samples) / RATE
    f, _, _ = whole_envelope(a, d, samples)
    assert np.abs(f - paper_envelope(t, a, d)).max() < 1e-13
    assert abs(t[f.argmax()] - a) <= 1.0 / RATE  # it peaks at the attack
    assert f.max() == pytest.approx(1.0, abs=0.03)
    assert np.all(f[t >= a + d] == 0.0)  # and is over at attack + decay


def test_envelope_slopes_are_its_derivatives() -> None:
    a, d, samples, step = 0.0123, 0.2, 12000, 1e-7
    t = np.arange(samples) / RATE
    _, fa, fd = whole_envelope(a, d, samples)
    by_a = (paper_envelope(t, a + step, d) - paper_envelope(t, a - step, d)) / (2 * step)
    by_d = (paper_envelope(t, a, d + step) - paper_envelope(t, a, d - step)) / (2 * step)
    smooth = np.abs(t - a) > 2.0 / RATE  # the kink itself has two slopes
    assert np.abs(fa - by_a)[smooth].max() < 1e-5
    assert np.abs(fd - by_d)[smooth].max() < 1e-5


@pytest.mark.parametrize(("operators", "full"), [(1, False), (4, False), (3, True)])
def test_recursion_is_the_papers(operators: int, full: bool) -> None:
    V, samples = operators, 700
    rng = np.random.default_rng(V)
    cycles, attack = rng.uniform(0.001, 0.1, V), rng.uniform(0.001, 0.005, V)
    decay, mix = rng.uniform(0.005, 0.02, V), rng.uniform(0.1, 1.0, V)
    matrix = rng.uniform(0.0, 0.12, (V, V))
    if not full:
        matrix = np.tril(matrix)
    out, history = np.empty(samples), np.full((V, samples), np.nan)
    kernels.fm_forward(V, full)(cycles, attack, decay, matrix, mix, RATE, out, history)
    u, worst = np.zeros(V), 0.0
    for n in range(samples):
        f = np.array([paper_envelope(n / RATE, a, d) for a, d in zip(attack, decay, strict=True)])
        u = np.sin(2 * np.pi * (cycles * n + matrix @ u)) * f
        worst = max(worst, abs(out[n] - mix @ u))
        if n < kernels.end(attack, decay, RATE, samples):
            worst = max(worst, np.abs(history[:, n] - u).max())
    assert worst < 1e-12


def test_turning_is_the_complex_exponential() -> None:
    cycles, decay = np.array([0.01, 0.1234567, 0.49]), np.array([0.0, 1e-4, 0.01])
    re, im = np.empty((2, 3, 600))
    kernels.damped_powers(cycles, decay, 37, 700.0, re, im)
    k = 37 * np.arange(600)
    exact = np.exp((-decay + 2j * np.pi * cycles)[:, None] * k)
    assert np.abs(re + 1j * im - exact).max() < 1e-11


def test_tail_is_decaying_noise_that_repeats() -> None:
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((3, 512)).astype(np.float32)
    gain, decay, out = rng.uniform(0.1, 1, 3), rng.uniform(1e-4, 1e-2, 3), np.empty(1300)
    kernels.tail(noise, gain, decay, out)
    t = np.arange(1300)
    slow = (gain[:, None] * np.exp(-decay[:, None] * t) * noise[:, t % 512]).sum(0)
    assert np.abs(out - slow).max() < 1e-12


def test_tail_adjoint_is_its_gradient() -> None:
    rng = np.random.default_rng(1)
    noise = rng.standard_normal((2, 256)).astype(np.float32)
    gain, decay = rng.uniform(0.1, 1, 2), rng.uniform(1e-3, 1e-2, 2)
    gradient = rng.standard_normal(700)
    by_gain, by_decay = np.empty(2), np.empty(2)
    kernels.tail_adjoint(noise, gain, decay, gradient, by_gain, by_decay)
    t = np.arange(700)
    each = np.exp(-decay[:, None] * t) * noise[:, t % 256] * gradient
    assert by_gain == pytest.approx(each.sum(1), rel=1e-12)
    assert by_decay == pytest.approx(-gain * (each * t).sum(1), rel=1e-12)


def test_a_folder_that_cannot_be_written_still_compiles(monkeypatch: pytest.MonkeyPatch) -> None:
    real = numba.njit

    def njit(**options: object) -> object:
        if options.get("cache"):
            raise RuntimeError("cannot cache function: no locator available")
        return real(**options)

    monkeypatch.setattr(numba, "njit", njit)
    assert kernels.compile_kernel(lambda x: 2.0 * x)(21.0) == 42.0
