"""A chain of pedalboard effects as one differentiable operation, for searches that descend.

What is heard is pedalboard's own, sample for sample. pedalboard knows no gradient; the one here is
that of a stand-in, effect by effect (x in, y out, G the gradient of the loss in y):
- `FIXED`, linear and the same at all times: y = h * x with the effect's measured impulse response
  h; backwards dL/dx[s] = sum_l h[l] G[s + l].
- `MOVING`, linear, but turning: one response h_k every `HOP` samples, straight lines between;
  backwards as above with h of the moment s. What rings longer than `RING` is left out.
- Distortion is tanh(g x): dL/dx = g (1 - y^2) G.  Clipping: G where |y| is below the threshold.
- `LEVELLING` multiplies by a gain that follows the level: y = a x with a held still. That is right
  in direction where the level of the whole sound moves, and too steep; no word asks for these.
- Bitcrush and PitchShift: G as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from presets import Effect
from renderers import effects
from renderers.base import fft_size

FIXED = {
    "Delay",
    "Gain",
    "HighShelfFilter",
    "HighpassFilter",
    "LowShelfFilter",
    "LowpassFilter",
    "PeakFilter",
    "Reverb",
}
MOVING = {"Chorus", "Phaser"}
LEVELLING = {"Compressor", "Limiter", "NoiseGate"}
HOP = 128  # samples between two measured responses
RING = 1024  # samples of such a response, a multiple of HOP
QUIET = 1e-6  # full scale; a gain is not measured on less


def through(chain: Sequence[Effect], sound: Tensor, rate: int) -> Tensor:
    """Audio [B, 1, T] behind a chain of our own effects; differentiable in the audio.

    Raises `ValueError` for more than one channel, and as `renderers.effects.chain` does.
    """
    if not chain:
        return sound
    if sound.shape[1] != 1:
        raise ValueError(f"sound must be [B, 1, T], got {list(sound.shape)}")
    heard: Tensor = _Through.apply(  # type: ignore[no-untyped-call]
        sound, tuple(chain), rate
    )
    return heard


class _Through(torch.autograd.Function):
    """The effects in turn; backwards their stand-ins in reverse."""

    @staticmethod
    def forward(ctx: Any, sound: Tensor, chain: tuple[Effect, ...], rate: int) -> Tensor:
        heard = [sound.detach().float()]
        for effect in chain:
            board, x = effects.chain([effect]), heard[-1].numpy()
            heard.append(torch.stack([torch.from_numpy(board(one, rate)) for one in x]))
        ctx.chain, ctx.rate, ctx.dtype = chain, rate, sound.dtype
        ctx.heard = heard if ctx.needs_input_grad[0] else []
        return heard[-1].to(sound.dtype)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        G = gradients[0].float()
        for k in range(len(ctx.chain) - 1, -1, -1):
            x, y = ctx.heard[k], ctx.heard[k + 1]
            G = gradient_before(ctx.chain[k], x, y, G, ctx.rate)
        return G.to(ctx.dtype), None, None


def gradient_before(effect: Effect, x: Tensor, y: Tensor, G: Tensor, rate: int) -> Tensor:
    """dL/dx [B, 1, T] of one effect that made y of x, from G = dL/dy; all float32."""
    if effect.kind in FIXED:
        return _correlate(response(effect, rate, x.shape[-1]), G)
    if effect.kind in MOVING:
        return _correlate_moving(responses(effect, rate, x.shape[-1]), G)
    if effect.kind == "Distortion":
        drive = float(10.0 ** (_setting(effect, "drive_db") / 20.0))
        return drive * (1.0 - y.square()) * G
    if effect.kind == "Clipping":
        threshold = 10.0 ** (_setting(effect, "threshold_db") / 20.0)
        return torch.where(x.abs() <= threshold, G, 0.0)
    if effect.kind in LEVELLING:
        loud = x.abs() > QUIET
        return torch.where(loud, y / torch.where(loud, x, 1.0), 1.0) * G
    return G


def _setting(effect: Effect, name: str) -> float:
    """A setting of an effect, pedalboard's own where it is left out."""
    return float(getattr(effects.chain([effect])[0], name))


def response(effect: Effect, rate: int, samples: int) -> NDArray[np.float32]:
    """The measured impulse response [samples] of one effect at `rate` Hz."""
    return _response(effect.kind, tuple(sorted(effect.values.items())), rate, samples)


def responses(effect: Effect, rate: int, samples: int) -> NDArray[np.float32]:
    """Measured responses [K, RING] to impulses at 0, HOP, 2 HOP ...

    K is samples / HOP, rounded up, and one more.
    """
    return _responses(effect.kind, tuple(sorted(effect.values.items())), rate, samples)


_Settings = tuple[tuple[str, float], ...]


@lru_cache(maxsize=8)
def _response(kind: str, settings: _Settings, rate: int, samples: int) -> NDArray[np.float32]:
    impulse = np.zeros((1, samples), dtype=np.float32)
    impulse[0, 0] = 1.0
    board = effects.chain([Effect(kind=kind, values=dict(settings))])
    heard: NDArray[np.float32] = board(impulse, rate)[0]
    return heard


@lru_cache(maxsize=4)
def _responses(kind: str, settings: _Settings, rate: int, samples: int) -> NDArray[np.float32]:
    board = effects.chain([Effect(kind=kind, values=dict(settings))])
    K = -(-samples // HOP) + 1
    measured = np.zeros((K, RING), dtype=np.float32)
    together = RING // HOP  # impulses this many places apart do not overlap in what is kept
    for first in range(min(together, K)):
        places = range(first, K, together)
        train = np.zeros((1, K * HOP + RING), dtype=np.float32)
        train[0, first * HOP :: RING][: len(places)] = 1.0
        heard = board(train, rate)[0, first * HOP :]
        measured[places] = heard[: len(places) * RING].reshape(-1, RING)
    return measured


def _correlate(h: NDArray[np.float32], G: Tensor) -> Tensor:
    """sum_l h[l] G[..., s + l]: h [T], G [B, 1, T]."""
    T = G.shape[-1]
    size = fft_size(2 * T)
    H = torch.fft.rfft(torch.from_numpy(h), size).conj()
    found: Tensor = torch.fft.irfft(torch.fft.rfft(G, size) * H, size)[..., :T]
    return found


# Between place k and k + 1 the response is (1 - f) h_k + f h_{k+1}, so place k counts for HOP
# samples on either side, with a triangle for a window.
def _correlate_moving(h: NDArray[np.float32], G: Tensor) -> Tensor:
    """sum_l h_s[l] G[..., s + l] with h_s between the measured ones: h [K, RING], G [B, 1, T]."""
    B, _, T = G.shape
    K = len(h)
    padded = torch.nn.functional.pad(G[:, 0], (HOP, K * HOP + RING - T))
    frames = padded.unfold(1, 2 * HOP + RING - 1, HOP)[:, :K]  # each from (k - 1) HOP on
    size = fft_size(2 * HOP + RING - 1)
    H = torch.fft.rfft(torch.from_numpy(h), size).conj()
    window = 1.0 - (torch.arange(2 * HOP) - HOP).abs() / HOP
    parts = torch.fft.irfft(torch.fft.rfft(frames, size) * H, size)[..., : 2 * HOP] * window
    found = G.new_zeros(B, (K + 1) * HOP)
    found[:, : K * HOP] += parts[..., :HOP].reshape(B, -1)
    found[:, HOP:] += parts[..., HOP:].reshape(B, -1)
    return found[:, None, HOP : HOP + T]
