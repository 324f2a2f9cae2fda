"""The FM synthesiser of Audio-SDS: operators that modulate each other's phase, one sample late.

u_v[t] = sin(w_v t + <A_v, u[t-1]>) f_v(t), and the output is a separate mix row over u.
Knobs of operator v: `op1_ratio` (times the note's frequency), `op1_attack` and `op1_decay`
(seconds), `op1_mix`, and its row of A: `op2_from_op1` (radians; `op2_from_op2` is self-feedback);
one `level` for the patch. What is not in the matrix has no knob.

What is heard is `graph(...)`, which makes every patch tame:
- An operator fades out from 0.9 Nyquist to Nyquist, with everything it modulates and mixes to.
- `acyclic`: A is lower triangular, off-diagonals up to `INDEX` radians, self-feedback up to 0.9.
- `free`: every entry of A up to `INDEX`; the whole matrix is scaled until its spectral radius is
  below 0.9. For A >= 0 that makes u[t-1] -> u[t] a contraction in some weighted maximum norm
  (Perron), because |d sin| <= 1: no chaos, and gradients that mean something.
- `dx7:N`: the edges of the DX7's algorithm N between its six operators, up to its `TOP_INDEX`, one
  self-feedback up to 0.9, and a mix of the carriers alone. An operator there has one output level,
  so the knobs of a modulator of several operators act as their mean.
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

from presets import Note, Param, ranges
from presets.ranges import FEEDBACK, VERSIONS
from renderers import full_voice, kernels
from renderers.base import (
    Curves,
    Renderer,
    below_nyquist,
    check_shape,
    curves,
    each_patch,
    physical,
)

VERSION = VERSIONS["fm"]
TURN = 2.0 * np.pi


@dataclass(frozen=True, slots=True)
class Layout:
    """Where each knob of a patch stands: column numbers, and the table's curves.

    Places 0 .. V - 1 are in an order in which A is lower triangular, unless it is `free`: the
    operators' own, and the reverse in the DX7's algorithms. The operator at place V - 1 is heard.
    """

    operators: int
    matrix: Literal["acyclic", "free"]
    ratio: Tensor  # [V]
    attack: Tensor  # [V]
    decay: Tensor  # [V]
    mix: Tensor  # [C]
    carriers: Tensor  # [C] the places that are mixed
    edges: Tensor  # [E] columns of the entries of A
    cells: Tensor  # [E] their places v * V + w in A
    shared: Tensor | None  # [E, E] the mean over the edges of one modulator; None: no such edges
    table: Curves
    moving: full_voice.Columns | None  # None: the paper's voice


@dataclass(frozen=True, slots=True)
class Graph:
    """What the recursion runs on, after all limits: frequencies in Hz, A in radians, float64."""

    hz: Tensor  # [B, V]
    attack: Tensor  # [B, V] seconds
    decay: Tensor  # [B, V] seconds
    matrix: Tensor  # [B, V, V] radians
    mix: Tensor  # [B, V] with level and velocity


def renderer(
    *, operators: int | None = None, matrix: str = "acyclic", voice: str = "paper"
) -> Renderer:
    """An FM synthesiser with 1..8 operators, 4 unless said; six in an algorithm of the DX7.

    `matrix` is one of `presets.ranges.MATRICES`. With one operator `acyclic` and `free` are the
    same. A loop over several operators, in the algorithms 4 and 6, is left to the self-feedback of
    operator 6, as synths that play DX7 patches differ on it: `dx7:4` is `dx7:3`, and `dx7:6` is
    `dx7:5`.
    """
    return _playing(ranges.fm(operators=operators, matrix=matrix, voice=voice))


def _playing(params: tuple[Param, ...]) -> Renderer:
    return Renderer("fm", VERSION, params, partial(_render, layout(params)))


def layout(params: tuple[Param, ...]) -> Layout:
    """Read operators, matrix and columns off the names, as `renderer` wrote them."""
    where = {p.name: i for i, p in enumerate(params)}
    edges = [(int(m[1]), int(m[2]), i) for m, i in _matches(r"op(\d)_from_op(\d)", where)]
    heard = [(int(m[1]), i) for m, i in _matches(r"op(\d)_mix", where)]
    V = sum(name.endswith("_ratio") for name in where)
    up, down = any(w > v for v, w, _ in edges), any(w < v for v, w, _ in edges)
    order = range(V, 0, -1) if up and not down else range(1, V + 1)
    place = {v: k for k, v in enumerate(order)}

    def knob(kind: str) -> Tensor:
        return torch.tensor([where[f"op{v}_{kind}"] for v in order])

    return Layout(
        V,
        "free" if up and down else "acyclic",
        knob("ratio"),
        knob("attack"),
        knob("decay"),
        torch.tensor([i for _, i in heard]),
        torch.tensor([place[v] for v, _ in heard]),
        torch.tensor([i for _, _, i in edges]),
        torch.tensor([place[v] * V + place[w] for v, w, _ in edges]),
        _shared([(v, w) for v, w, _ in edges]) if up and not down else None,
        curves(params),
        full_voice.columns(params, order),
    )


def for_names(names: frozenset[str]) -> Renderer:
    """The FM renderer that a preset with these value names asks for."""
    return _playing(ranges.fm_of(names))


def average_shared(lay: Layout, values: Tensor) -> Tensor:
    """Physical values [B, P] with the knobs of a shared modulator at their mean, as they sound."""
    depth = values[:, lay.edges]
    return values if lay.shared is None else values.index_copy(1, lay.edges, depth @ lay.shared)


def _shared(edges: list[tuple[int, int]]) -> Tensor | None:
    """The matrix [E, E] that gives edges (modulated, modulator) of one modulator their mean."""
    knobs = [(w, v == w) for v, w in edges]
    same = torch.tensor([[a == b for b in knobs] for a in knobs], dtype=torch.float64)
    return None if len(set(knobs)) == len(knobs) else same / same.sum(1, keepdim=True)


def graph(lay: Layout, values: Tensor, note: Note, rate: int) -> Graph:
    """The graph that sounds, from physical values [B, P]: limits, fades and velocity applied."""
    B, V = values.shape[0], lay.operators
    hz = values[:, lay.ratio] * note.hz
    if lay.moving is not None:
        hz = hz * torch.exp2(values[:, lay.moving.detune] / 1200.0)
    heard = below_nyquist(hz, rate)  # [B, V]
    depth = average_shared(lay, values)[:, lay.edges]
    flat = values.new_zeros(B, V * V).index_copy(1, lay.cells, depth)
    A = flat.view(B, V, V)
    if lay.matrix == "free":
        A = A * _tame(A)[:, None, None]
    mix = values.new_zeros(B, V).index_copy(1, lay.carriers, values[:, lay.mix])
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
    values = physical(lay.table, u)
    g = graph(lay, values, note, rate)
    full = lay.matrix == "free"
    matrix = g.matrix / TURN
    if lay.moving is None:
        audio = recursion(g.hz / rate, g.attack, g.decay, matrix, g.mix, rate, samples, full)
        return audio.to(u.dtype)[:, None, :]
    where = lay.moving
    held = (g.attack, g.decay, values[:, where.sustain], values[:, where.release])
    sound = full_voice.Sound(
        g.hz / rate,
        torch.stack(held, dim=1),
        matrix,
        g.mix,
        *full_voice.grid(values, where, note, rate, samples),
        *full_voice.filter_taps(values, where),
        full_voice.noise_gains(values, where, rate) * values[:, -1:] * note.gain,
        full_voice.noise_envelope(values, where),
    )
    return full_voice.play(sound, note.held, rate, samples, full).to(u.dtype)[:, None, :]


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
        # numpy's memory has huge pages: with torch's, 8 patches of 10 s meet 28,000 page faults
        audio, history = (
            torch.from_numpy(np.empty(shape))
            for shape in ((B, samples), (B, V, samples if keep else 0))
        )
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
