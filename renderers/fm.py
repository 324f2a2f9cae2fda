"""The FM synthesiser of Audio-SDS: operators that modulate each other's phase, one sample late.

u_v[t] = sin(w_v t + <A_v, u[t-1]>) f_v(t), and the output is a separate mix row over u.
Knobs of operator v: `op1_ratio` (times the note's frequency), `op1_attack` and `op1_decay`
(seconds), `op1_mix`, and its row of A: `op2_from_op1` (radians; `op2_from_op2` is self-feedback);
one `level` for the patch.

What is heard is `graph(...)`, which makes every patch tame:
- An operator fades out from 0.9 Nyquist to Nyquist, with everything it modulates and mixes to.
- `acyclic`: A is lower triangular, off-diagonals up to `INDEX` radians, self-feedback up to 0.9.
- `free`: every entry of A up to `INDEX`; the whole matrix is scaled until its spectral radius is
  below 0.9. For A >= 0 that makes u[t-1] -> u[t] a contraction in some weighted maximum norm
  (Perron), because |d sin| <= 1: no chaos, and gradients that mean something.
- The mix row is scaled to sum to at most 1, so the output never exceeds level * velocity gain.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from presets import Note, Param
from renderers import kernels
from renderers.base import (
    Curves,
    Renderer,
    below_nyquist,
    check_shape,
    curves,
    each_patch,
    physical,
)

VERSION = 1
OPERATORS = range(1, 9)
INDEX = 4.0  # radians
FEEDBACK = 0.9
TURN = 2.0 * np.pi

Matrix = Literal["acyclic", "free"]


@dataclass(frozen=True, slots=True)
class Layout:
    """Where each knob of a patch stands: column numbers, and the table's curves."""

    operators: int
    matrix: Matrix
    ratio: Tensor  # [V]
    attack: Tensor  # [V]
    decay: Tensor  # [V]
    mix: Tensor  # [V]
    edges: Tensor  # [E] columns of the entries of A
    cells: Tensor  # [E] their places v * V + w in A
    table: Curves


@dataclass(frozen=True, slots=True)
class Graph:
    """What the recursion runs on, after all limits: frequencies in Hz, A in radians, float64."""

    hz: Tensor  # [B, V]
    attack: Tensor  # [B, V] seconds
    decay: Tensor  # [B, V] seconds
    matrix: Tensor  # [B, V, V] radians
    mix: Tensor  # [B, V] with level and velocity


def renderer(*, operators: int = 4, matrix: Matrix = "acyclic") -> Renderer:
    """An FM synthesiser with 1..8 operators. With one operator both matrices are the same."""
    if operators not in OPERATORS:
        raise ValueError(f"operators must be in 1..8, got {operators}")
    if matrix not in ("acyclic", "free"):
        raise ValueError(f"matrix must be acyclic or free, got {matrix!r}")
    params: list[Param] = []
    for v in range(1, operators + 1):
        params += [
            Param(f"op{v}_ratio", 0.25, 16.0, "x note", "log"),
            Param(f"op{v}_attack", 0.001, 2.0, "s", "log"),
            Param(f"op{v}_decay", 0.02, 10.0, "s", "log"),
            Param(f"op{v}_mix", 0.0, 1.0),
        ]
        for w in range(1, (v if matrix == "acyclic" else operators) + 1):
            self_feedback = w == v and matrix == "acyclic"
            params.append(
                Param(f"op{v}_from_op{w}", 0.0, FEEDBACK if self_feedback else INDEX, "rad")
            )
    params.append(Param("level", 0.01, 1.0, "x", "log"))
    table = tuple(params)
    return Renderer("fm", VERSION, table, partial(_render, layout(table)))


def layout(params: tuple[Param, ...]) -> Layout:
    """Read operators, matrix and columns off the names, as `renderer` wrote them."""
    where = {p.name: i for i, p in enumerate(params)}
    V = sum(name.endswith("_ratio") for name in where)
    edges = [(int(m[1]), int(m[2]), i) for m, i in _matches(r"op(\d)_from_op(\d)", where)]

    def knob(kind: str) -> Tensor:
        return torch.tensor([where[f"op{v}_{kind}"] for v in range(1, V + 1)])

    return Layout(
        V,
        "free" if any(w > v for v, w, _ in edges) else "acyclic",
        knob("ratio"),
        knob("attack"),
        knob("decay"),
        knob("mix"),
        torch.tensor([i for _, _, i in edges]),
        torch.tensor([(v - 1) * V + w - 1 for v, w, _ in edges]),
        curves(params),
    )


def for_names(names: frozenset[str]) -> Renderer:
    """The FM renderer that a preset with these value names asks for."""
    operators = len(list(_matches(r"op(\d)_ratio", dict.fromkeys(names, 0))))
    if operators not in OPERATORS:
        raise ValueError(f"an fm preset has op1_ratio up to op8_ratio, got {operators} operators")
    return renderer(operators=operators, matrix="free" if "op1_from_op2" in names else "acyclic")


def graph(lay: Layout, values: Tensor, note: Note, rate: int) -> Graph:
    """The graph that sounds, from physical values [B, P]: limits, fades and velocity applied."""
    B, V = values.shape[0], lay.operators
    hz = values[:, lay.ratio] * note.hz
    heard = below_nyquist(hz, rate)  # [B, V]
    flat = values.new_zeros(B, V * V).index_copy(1, lay.cells, values[:, lay.edges])
    A = flat.view(B, V, V)
    if lay.matrix == "free":
        A = A * _tame(A)[:, None, None]
    mix = values[:, lay.mix]
    mix = mix * _at_most(mix.sum(1, keepdim=True), 1.0) * values[:, -1:] * note.gain
    # g_v scales u_v wherever it goes: column v of A, entry v of the mix
    return Graph(
        hz, values[:, lay.attack], values[:, lay.decay], A * heard[:, None, :], mix * heard
    )


def _matches(pattern: str, where: dict[str, int]) -> Any:
    return ((m, i) for name, i in where.items() if (m := re.fullmatch(pattern, name)))


def _at_most(x: Tensor, limit: float) -> Tensor:
    """A factor in (0, 1], smooth in x >= 0, with x * factor < limit: (1 + (x/limit)^8)^(-1/8)."""
    return (1.0 + (x / limit) ** 8) ** -0.125


# Gelfand: |A^k|^(1/k) >= rho(A) for every k and every norm, with equality in the limit; k = 64
# takes six squarings, and in the Frobenius norm it is smooth. The entries are at most 4, so that
# V = 8 stays below 32^64, within float64. The tiny number keeps the root's slope finite at A = 0.
def _tame(A: Tensor) -> Tensor:
    """The factor [B] that brings the spectral radius of A [B, V, V] >= 0 below `FEEDBACK`."""
    power = A
    for _ in range(6):
        power = power @ power
    radius = (power.square().sum((1, 2)) + 1e-60) ** (1.0 / 128.0)
    return _at_most(radius, FEEDBACK)


def _render(lay: Layout, u: Tensor, note: Note, rate: int, samples: int) -> Tensor:
    """u [B, P] -> audio [B, 1, T]."""
    check_shape("fm", u, lay.table.low.numel(), rate, samples)
    g = graph(lay, physical(lay.table, u), note, rate)
    full = lay.matrix == "free"
    audio = recursion(g.hz / rate, g.attack, g.decay, g.matrix / TURN, g.mix, rate, samples, full)
    return audio.to(u.dtype)[:, None, :]


def recursion(
    cycles: Tensor,
    attack: Tensor,
    decay: Tensor,
    matrix: Tensor,
    mix: Tensor,
    rate: int,
    samples: int,
    full: bool,
) -> Tensor:
    """The compiled recursion as one differentiable operation, float64: audio [B, samples].

    cycles (turns a sample), attack, decay (seconds), mix [B, V]; matrix [B, V, V] in turns.
    """
    audio: Tensor = _Recursion.apply(  # type: ignore[no-untyped-call]
        cycles, attack, decay, matrix, mix, rate, samples, full
    )
    return audio


def recursion_slowly(
    cycles: Tensor,
    attack: Tensor,
    decay: Tensor,
    matrix: Tensor,
    mix: Tensor,
    rate: int,
    samples: int,
) -> Tensor:
    """`recursion` as the paper writes it, a sample at a time: kept for tests and the bench."""
    u = torch.zeros_like(cycles)  # [B, V]
    out = []
    for n in range(samples):
        t = n / rate
        falling = torch.exp((attack - t) / decay**2) * (decay - (t - attack)) / decay
        f = torch.minimum(t / (attack + kernels.ATTACK_FLOOR), falling).clamp_min(0.0)
        x = cycles * n + torch.einsum("bvw,bw->bv", matrix, u)
        u = torch.sin(TURN * x) * f
        out.append((mix * u).sum(1))
    return torch.stack(out, dim=1)


class _Recursion(torch.autograd.Function):
    """`kernels.fm_forward` and its adjoint, one patch a thread: torch demands a class here."""

    @staticmethod
    def forward(ctx: Any, *arguments: Any) -> Tensor:
        *tensors, rate, samples, full = arguments
        B, V = tensors[0].shape
        keep = any(ctx.needs_input_grad)
        audio = torch.empty(B, samples, dtype=torch.float64)
        history = torch.empty(B, V, samples if keep else 0, dtype=torch.float64)
        kernel = kernels.fm_forward(V, full)
        columns = [np.ascontiguousarray(t.detach().numpy()) for t in tensors]

        def one(b: int) -> None:
            kernel(*(c[b] for c in columns), float(rate), audio[b].numpy(), history[b].numpy())

        each_patch(one, B)
        ctx.save_for_backward(*tensors, history)
        ctx.rate, ctx.full = float(rate), full
        return audio

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        *tensors, history = ctx.saved_tensors
        columns = [np.ascontiguousarray(t.detach().numpy()) for t in tensors]
        slopes = [torch.zeros(t.shape, dtype=torch.float64) for t in tensors]
        gradient = gradients[0].contiguous().numpy()
        kernel = kernels.fm_adjoint(history.shape[1], ctx.full)

        def one(b: int) -> None:
            kernel(
                *(c[b] for c in columns),
                ctx.rate,
                history[b].numpy(),
                gradient[b],
                *(s[b].numpy() for s in slopes),
            )

        each_patch(one, gradient.shape[0])
        return (*slopes, None, None, None)
