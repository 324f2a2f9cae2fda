"""The full voice's recursion: the paper's at rest, and its adjoint against autograd."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from renderers import full_kernels, kernels

RATE, T = 44100.0, 600
J = T // 64 + 2
F64 = torch.float64


def columns(V: int, full: bool) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(V)
    ranges = np.array([[0.001, 0.005], [0.003, 0.02], [0.1, 0.9], [0.004, 0.01]])
    matrix = rng.uniform(0.0, 0.15, (V, V))
    return {
        "cycles": rng.uniform(0.002, 0.05, V),
        "envelope": rng.uniform(ranges[:, :1], ranges[:, 1:], (4, V)),
        "matrix": matrix if full else np.tril(matrix),
        "mix": rng.uniform(0.1, 1.0, V),
        "pitch": rng.uniform(0.5, 2.0, J),
        "index": rng.uniform(0.0, 1.0, J),
    }


def slowly(c: dict[str, torch.Tensor], held: float) -> torch.Tensor:
    """The recursion, a sample at a time: what autograd can differentiate."""
    a, d, s, r = c["envelope"]
    u, phi, out = torch.zeros_like(a), torch.zeros((), dtype=F64), []
    for n in range(T):
        t, j, x = n / RATE, n // 64, n % 64 / 64
        falling = torch.exp(-(t - a).clamp_min(0) / d**2) * (1 - (t - a).clamp_min(0) / d)
        f = torch.minimum(t / (a + 1e-5), s + (1 - s) * falling.clamp_min(0))
        y = max(0.0, t - held)
        f = f * torch.exp(-5 * y / r) * (1 - y / r).clamp_min(0)
        index = c["index"][j] * (1 - x) + c["index"][j + 1] * x
        u = torch.sin(2 * torch.pi * (c["cycles"] * phi + index * (c["matrix"] @ u))) * f
        out.append((c["mix"] * u).sum())
        low = c["pitch"][j] * (1 - x) + c["pitch"][j + 1] * x
        phi = phi + low + (c["pitch"][j + 1] - c["pitch"][j]) / 128  # a trapezium
    return torch.stack(out)


@pytest.mark.parametrize("full", [False, True])
def test_at_rest_it_is_the_papers(full: bool) -> None:
    c = columns(3, full)
    c["envelope"][2] = 0.0
    paper, sound, none = np.empty(T), np.empty(T), np.empty((3, 0))
    attack, decay = c["envelope"][:2]
    kernels.fm_forward(3, full)(
        c["cycles"], attack, decay, c["matrix"], c["mix"], RATE, paper, none
    )
    rest = np.ones(J)
    full_kernels.full_forward(3, full)(
        c["cycles"], c["envelope"], c["matrix"], c["mix"], rest, rest, np.inf, RATE, sound, none
    )
    np.testing.assert_allclose(sound, paper, rtol=0, atol=1e-13)  # products may be fused or not


@pytest.mark.parametrize("full", [False, True])
def test_forward_and_adjoint_are_those_of_the_slow_recursion(full: bool) -> None:
    c, held = columns(3, full), 0.006
    out, history = np.empty(T), np.empty((3, T))
    last = full_kernels.full_forward(3, full)(*c.values(), held, RATE, out, history)
    leaves = {name: torch.from_numpy(x).requires_grad_() for name, x in c.items()}
    slow = slowly(leaves, held)
    assert np.abs(out - slow.detach().numpy()).max() < 1e-11
    assert 0 < last <= T
    gradient = np.sin(np.arange(T) ** 1.5)
    (slow * torch.from_numpy(gradient)).sum().backward()
    slopes = {name: np.zeros_like(x) for name, x in c.items()}
    full_kernels.full_adjoint(3, full)(*c.values(), held, RATE, history, gradient, *slopes.values())
    for name, slope in slopes.items():
        want = torch.as_tensor(leaves[name].grad).numpy()
        want = want if full or name != "matrix" else np.tril(want)
        assert np.abs(slope - want).max() <= 1e-9 * np.abs(want).max(), name
