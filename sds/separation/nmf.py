"""Non-negative matrix factorisation of a magnitude spectrogram: spectra and their activations.

A source is made of few spectra that come back (Smaragdis & Brown 2003), so what is undecided from
bin to bin is decided for a whole component, by all the bins and frames in which it sounds.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

TINY = 1e-9
AT_ONCE = 10  # steps of a factorisation between two yields


def nmf(
    magnitude: Tensor, components: int, *, steps: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Factorise magnitudes [F, N] into spectra W [F, R], each summing to 1, and activations H [R,
    N].

    Multiplicative updates that never raise the Kullback-Leibler divergence of W H (Lee & Seung
    2001, theorem 2), `steps` of them from a random start.
    """
    *_, factors = nmf_steps(magnitude, components, steps=steps, generator=generator)
    return factors


def nmf_steps(
    magnitude: Tensor, components: int, *, steps: int, generator: torch.Generator
) -> Iterator[tuple[Tensor, Tensor]]:
    """`nmf` step by step: W [F, R] and H [R, N] at its start, after each `AT_ONCE` steps, and at
    its end.
    """
    bins, frames = magnitude.shape
    draws = torch.rand(components, bins + frames, generator=generator) + 0.1
    w, h = (x.to(magnitude) for x in (draws[:, :bins].T, draws[:, bins:]))
    w = w / w.sum(0)
    h = h * (magnitude.sum() / h.sum())
    for i in range(steps):
        if i % AT_ONCE == 0:
            yield w, h
        h = h * (w.T @ (magnitude / (w @ h + TINY)))  # columns of w sum to 1
        w = w * ((magnitude / (w @ h + TINY)) @ h.T) / (h.sum(1) + TINY)
        total = w.sum(0) + TINY
        w, h = w / total, h * total[:, None]
    yield w, h


def affinity(w: Tensor, h: Tensor, estimates: Tensor) -> Tensor:
    """How much of each component W [F, R], H [R, N] is in each estimate [K, F, N], whatever its
    level; [K, R].

    The cosine of the two, but for the component's own norm.
    """
    norm = estimates.flatten(1).norm(dim=1).clamp_min(TINY)
    inner = torch.einsum("fr,kfn,rn->kr", w, estimates, h)
    fit: Tensor = inner / norm[:, None]
    return fit


def component_shares(w: Tensor, h: Tensor, magnitude: Tensor, shares: Tensor) -> Tensor:
    """The part [K, R], 0..1, of the energy of components W [F, R], H [R, N] that lies in shares [K,
    F, N].

    A component has its part of W H of each bin's energy in `magnitude` [F, N].
    """
    energy = magnitude.square() / (w @ h + TINY)  # [F, N], over the component's own w h
    whole = torch.einsum("fr,fn,rn->r", w, energy, h)
    part: Tensor = torch.einsum("fr,kfn,rn->kr", w, energy * shares, h)
    return part / whole.clamp_min(TINY)


def masks_from_shares(w: Tensor, h: Tensor, shares: Tensor) -> Tensor:
    """Masks [K, F, N] that sum to 1, from shares [K, R] of components W [F, R], H [R, N]."""
    parts = torch.einsum("fr,kr,rn->kfn", w, shares, h) + TINY
    masks: Tensor = parts / parts.sum(0)
    return masks
