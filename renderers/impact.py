"""The impact synthesiser of Audio-SDS: a struck object in a room.

N damped sinusoids, started by a Dirac delta, convolved with a reverberation, plus the dry sound:
    bank[t] = N^(-1/2) sum_n g_n exp(-d_n t) sin(w_n t)
    room[t] = sum_m b_m exp(-c_m t) n_m[t]            n_m: white noise seen through band m
    out = level (dry bank + bank * room)
Knobs: `mode001_hz` (at middle C; the note transposes), `mode001_gain`, `mode001_decay` (seconds to
-60 dB), the same for `band01_gain`, `band01_decay`; and for the whole patch `tune` (times every
frequency), `ring` (times every mode's decay), `dry` and `level`. A decay is never longer than 40 s
and a gain never less than -80 dB: finite slopes everywhere. Modes fade out below Nyquist.
The voice "full" has `renderers.strike` in place of the delta, and its knobs between the bands and
`tune`; "paper" has none. The voice "audio-sds" is nearer to the paper (docs/paper.md): cos in place
of sin, each band around a centre of its own, `band01_hz`, and two channels, each with a noise of
its own (`renderers.room`). Names say which voice a preset is of, so older ones sound as they did.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from presets import Note, Param, ranges
from presets.ranges import STRIKE, VERSIONS
from renderers import kernels
from renderers.base import (
    Curves,
    Renderer,
    below_nyquist,
    check_shape,
    curves,
    each_patch,
    fft_size,
    physical,
)
from renderers.newest import newest
from renderers.noise import noise_bands
from renderers.reverberation import T60, reverberation
from renderers.room import stereo_room
from renderers.strike import strike

VERSION = VERSIONS["impact"]


@dataclass(frozen=True, slots=True)
class Layout:
    """How many modes and bands a patch has; its columns are hz, gain, decay by mode, then gain,
    decay by band, and hz where they are `centred`.

    Then, in a `full` voice, how it is struck; `tune`, `ring`, `dry` and `level` are the last four.
    """

    modes: int
    bands: int
    full: bool
    centred: bool  # the voice "audio-sds"
    table: Curves

    @property
    def knobs_of_a_band(self) -> int:
        """Columns of each band."""
        return 3 if self.centred else 2

    def knobs_of_strike(self, values: Tensor) -> Tensor:
        """The columns [B, 8] of `presets.ranges.STRIKE` in those of a full patch [B, P]."""
        return values[:, -4 - len(STRIKE) : -4]


@dataclass(frozen=True, slots=True)
class Object:
    """What is struck and where, after all limits: Hz, gains, and decays in nepers a second."""

    hz: Tensor  # [B, N]
    gain: Tensor  # [B, N]
    decay: Tensor  # [B, N]
    band_gain: Tensor  # [B, M]
    band_decay: Tensor  # [B, M]
    band_hz: Tensor | None  # [B, M]; None: log-spaced, as `renderers.noise.noise_bands` has them
    dry: Tensor  # [B, 1]
    level: Tensor  # [B, 1] with velocity


def renderer(*, modes: int = 256, bands: int = 32, voice: str = "paper") -> Renderer:
    """An impact synthesiser with 1..2048 modes and 1..64 reverberation bands."""
    return _playing(ranges.impact(modes=modes, bands=bands, voice=voice))


def _playing(params: tuple[Param, ...]) -> Renderer:
    return Renderer("impact", VERSION, params, partial(_render, layout(params)))


def layout(params: tuple[Param, ...]) -> Layout:
    """Count the modes and bands of a table that `renderer` wrote."""
    modes, bands = ranges.impact_counts(p.name for p in params)
    names = [p.name for p in params]
    return Layout(modes, bands, "hits" in names, ranges.has_centres(names), curves(params))


def for_names(names: frozenset[str]) -> Renderer:
    """The impact renderer that a preset with these value names asks for."""
    return _playing(ranges.impact_of(names))


def struck(lay: Layout, values: Tensor, note: Note, rate: int) -> Object:
    """What sounds, from physical values [B, P]: transposed, faded, decays as rates."""
    B, N, M, K = values.shape[0], lay.modes, lay.bands, lay.knobs_of_a_band
    modes = values[:, : 3 * N].view(B, N, 3)
    bands = values[:, 3 * N : 3 * N + K * M].view(B, M, K)
    tune, ring, dry, level = torch.split(values[:, -4:], 1, dim=1)
    hz = modes[..., 0] * tune * (note.hz / Note(60).hz)
    gain = modes[..., 1] * below_nyquist(hz, rate) / math.sqrt(N)
    return Object(
        hz,
        gain,
        T60 / (modes[..., 2] * ring),
        bands[..., 0],
        T60 / bands[..., 1],
        bands[..., 2] if lay.centred else None,
        dry,
        level * note.gain,
    )


def _render(lay: Layout, u: Tensor, note: Note, rate: int, samples: int) -> Tensor:
    """u [B, P] -> audio [B, 1, T], or [B, 2, T] of the voice "audio-sds"."""
    check_shape("impact", u, lay.table.low.numel(), rate, samples)
    values = physical(lay.table, u)
    o = struck(lay, values, note, rate)
    dtype = torch.float64 if u.dtype == torch.float64 else torch.float32
    size = fft_size(2 * samples)
    bank, ringing = _bank(o.hz / rate, o.decay / rate, o.gain, samples, size, dtype, lay.centred)
    decay = o.band_decay / rate
    answer = _answer(o.band_gain, decay, o.band_hz, lay.bands, rate, samples, dtype, size)
    wet = torch.fft.irfft(ringing[:, None] * answer, size)  # [B, C, T]
    sound = (o.dry * bank)[:, None] + wet[..., :samples]
    if lay.full:
        sound = strike(sound[:, 0].to(dtype), lay.knobs_of_strike(values), rate)[:, None]
    audio: Tensor = o.level[:, None] * sound
    return audio.to(u.dtype)


@newest
def _bank(
    cycles: Tensor,
    decay: Tensor,
    gain: Tensor,
    samples: int,
    size: int,
    dtype: torch.dtype,
    cosine: bool,
) -> tuple[Tensor, Tensor]:
    """`modal_bank`, and its spectrum."""
    bank = modal_bank(cycles, decay, gain, samples, dtype, cosine=cosine)
    return bank, torch.fft.rfft(bank, size)


@newest
def _answer(
    gain: Tensor,
    decay: Tensor,
    hz: Tensor | None,
    bands: int,
    rate: int,
    samples: int,
    dtype: torch.dtype,
    size: int,
) -> Tensor:
    """The spectrum [B, C, F] of the room."""
    spectrum: Tensor = torch.fft.rfft(room(gain, decay, hz, bands, rate, samples, dtype), size)
    return spectrum


def room(
    gain: Tensor,
    decay: Tensor,
    hz: Tensor | None,
    bands: int,
    rate: int,
    samples: int,
    dtype: torch.dtype,
) -> Tensor:
    """What the room answers to a delta, [B, C, samples]: gains, decays per sample [B, M], and
    centres in Hz, with which it has two channels.
    """
    if hz is not None:
        return stereo_room(gain, decay, hz, rate, samples, dtype)
    return reverberation(gain, decay, noise_bands(bands, rate), samples, dtype)[:, None]


def modal_bank(
    cycles: Tensor,
    decay: Tensor,
    gain: Tensor,
    samples: int,
    dtype: torch.dtype,
    *,
    cosine: bool = False,
) -> Tensor:
    """sum_n gain_n exp(-decay_n t) sin(2 pi cycles_n t): [B, N] each, per sample -> [B, T].

    With `cosine` cos in place of sin.
    """
    audio: Tensor = _Bank.apply(  # type: ignore[no-untyped-call]
        cycles, decay, gain, samples, dtype, cosine
    )
    return audio


def modal_bank_slowly(
    cycles: Tensor, decay: Tensor, gain: Tensor, samples: int, *, cosine: bool = False
) -> Tensor:
    """`modal_bank` evaluated mode by mode and sample by sample: kept for tests and the bench."""
    t = torch.arange(samples, dtype=cycles.dtype)
    wave = torch.cos if cosine else torch.sin
    modes = torch.exp(-decay[..., None] * t) * wave(2.0 * math.pi * cycles[..., None] * t)
    return (gain[..., None] * modes).sum(1)


# Write t = j K + k. With z = exp(-d + i w), the powers factorise: z^t = (z^K)^j z^k = P_j Q_k, so
#     out[j, k] = sum_n g_n Im(P_nj Q_nk) = sum_n g_n (Re P_nj Im Q_nk + Im P_nj Re Q_nk)
# is one real matrix product, [J, 2N] by [2N, K], of two small tables (J, K about sqrt(T)).
# Backwards, with G[j, k] the gradient of the output and L the loss, all follows from two sums:
#     S0_n = sum_t G[t] z^t = sum_j P_nj H_nj                        H_nj  = sum_k G[j, k] Q_nk
#     S1_n = sum_t G[t] t z^t = sum_j P_nj (j K H_nj + H'_nj)        H'_nj = sum_k G[j, k] k Q_nk
#     dL/dg = Im S0,   dL/dd = -g Im S1,   dL/dw = g Im(i S1) = g Re S1
# cos is sin a quarter of a turn on: with i P in place of P all of it holds as it is.
# H and H' together are one product more, twice the size. A power is 0 from where it has fallen to
# the third root of the smallest normal number (-252 dB in single precision): P, Q and a gradient
# make no denormal then. With them the products of short modes took 5 times as long.
class _Bank(torch.autograd.Function):
    """The modal bank and its gradient as matrix products."""

    @staticmethod
    def forward(ctx: Any, *arguments: Any) -> Tensor:
        cycles, decay, gain, samples, dtype, cosine = arguments
        B, N = cycles.shape
        K = math.isqrt(samples - 1) + 1
        J = -(-samples // K)
        P = torch.empty(B, 2, N, J, dtype=dtype)
        Q = torch.empty(B, 2, N, K, dtype=dtype)
        w, d = cycles.detach().numpy(), decay.detach().numpy()
        audio = torch.empty(B, J * K, dtype=dtype)
        nepers = -math.log(torch.finfo(dtype).tiny) / 3.0

        def powers(b: int) -> None:
            kernels.damped_powers(w[b], d[b], K, nepers, P[b, 0].numpy(), P[b, 1].numpy())
            kernels.damped_powers(w[b], d[b], 1, nepers, Q[b, 0].numpy(), Q[b, 1].numpy())

        each_patch(powers, B)
        if cosine:
            P = torch.stack([-P[:, 1], P[:, 0]], dim=1)
        for b in range(B):
            left = (P[b].flip(0) * gain[b, :, None].to(dtype)).view(2 * N, J)  # Im P, Re P
            torch.mm(left.T, Q[b].view(2 * N, K), out=audio[b].view(J, K))
        ctx.save_for_backward(P, Q, gain)
        ctx.samples = samples
        return audio[:, :samples]

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        P, Q, gain = ctx.saved_tensors
        B, _, N, J = P.shape
        K = Q.shape[3]
        G = torch.nn.functional.pad(gradients[0], (0, J * K - ctx.samples)).view(B, J, K)
        k = torch.arange(K, dtype=P.dtype)
        j = torch.arange(J, dtype=P.dtype) * K
        S0 = gain.new_empty(B, N)
        S1 = torch.empty(2, B, N, dtype=gain.dtype)
        for b in range(B):
            H, later = (
                (Q[b].view(2 * N, K) @ torch.cat([G[b], G[b] * k]).T).view(2, N, 2, J).unbind(2)
            )
            S0[b] = (P[b, 0] * H[1] + P[b, 1] * H[0]).sum(1)
            H = H * j + later
            S1[0, b] = (P[b, 0] * H[0] - P[b, 1] * H[1]).sum(1)
            S1[1, b] = (P[b, 0] * H[1] + P[b, 1] * H[0]).sum(1)
        return 2.0 * math.pi * gain * S1[0], -gain * S1[1], S0, None, None, None
