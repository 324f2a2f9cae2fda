"""The Frechet distance of two sets of embeddings (FAD when they are of audio)."""

from __future__ import annotations

import torch
from torch import Tensor


def frechet(x: Tensor, y: Tensor, *, weights: Tensor | None = None) -> float:
    """Frechet distance of Gaussians through embeddings x [N, K] and y [M, K].

    Dowson & Landau 1982, eq. 4, as in FAD (Kilgour et al. 2019, arXiv 1812.08466, eq. 1):
    |m_x - m_y|^2 + Tr(C_x + C_y - 2 (C_x C_y)^1/2). `weights` [M] are those of the rows of y. Small
    sets are far from everything: compare sets of one size.
    """
    if min(len(x), len(y)) < 2:
        raise ValueError(f"x and y must hold at least 2 embeddings, got {len(x)} and {len(y)}")
    x, y = x.double(), y.double()
    w = torch.ones(len(y), dtype=torch.float64) if weights is None else weights.double()
    gap = x.mean(0) - (w @ y) / w.sum()
    shape = x.shape[1], x.shape[1]
    c_x, c_y = torch.cov(x.T).reshape(shape), torch.cov(y.T, aweights=w).reshape(shape)
    # C_x C_y has the eigenvalues of the symmetric R C_y R with R = C_x^1/2
    values, vectors = torch.linalg.eigh(c_x)
    root = vectors * values.clamp_min(0).sqrt() @ vectors.T
    cross = torch.linalg.eigvalsh(root @ c_y @ root).clamp_min(0).sqrt().sum()
    return float((gap.square().sum() + c_x.trace() + c_y.trace() - 2 * cross).clamp_min(0))


def _rows(x: Tensor) -> Tensor:
    return x.double().reshape(-1, x.shape[-1])
