"""Component assignment by the search scorer: each component to the stem whose prompt it fits.

A mixture has few components (`sds.separation.nmf`), so the share of each prompt in each component
is a few dozen numbers. `optimise_shares` moves them until every stem is near its own prompt and no
other's, and no other stem is near its prompt. In so few numbers there is no room for what fools a
network without being audible; still, `pull` holds them near the other evidence. The search scorer
is used, so that the evaluation scorer, which reports, has chosen nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

from sds.signal.adam import Adam
from sds.similarity.two_tower import (
    HOP,
    N_FFT,
    RATE,
    WINDOW,
    Towers,
    levels,
)

SHARPNESS = 10.0  # of the softmax over cosines
LR = 0.3  # of Adam on the logits of the shares


def component_bands(towers: Towers, w: Tensor, h: Tensor, magnitude: Tensor, rate: int) -> Tensor:
    """Powers [R, MELS, L] of each component of a sound, on the search scorer's mel bands and
    frames.

    Components W [F, R], H [R, N] of magnitudes [F, N] at `rate` Hz, windows of 2 (F - 1) samples
    and a hop of a quarter. A component has its share of a bin's power, so powers of components add
    up.
    """
    window = 2 * (len(magnitude) - 1)
    bins = torch.arange(len(magnitude)) * (rate / window) * (N_FFT / RATE)
    step = HOP / RATE * rate / (window // 4)
    frames = torch.arange(0, magnitude.shape[1], step).round().long()
    frames = frames.clamp_max(magnitude.shape[1] - 1)
    mel = _columns(towers.mel, bins)  # [MELS, F]
    ratio = (magnitude.square() / (w @ h + 1e-9))[:, frames]  # [F, L]
    return torch.stack([mel @ (w[:, r, None] * ratio) * h[r, frames] for r in range(w.shape[1])])


def embed_components(towers: Towers, power: Tensor) -> Tensor:
    """Unit vectors [K, dim] of powers [K, MELS, L]; long sounds in windows, as `TwoTowerScorer`
    takes them.
    """
    count = max(1, round(power.shape[-1] * HOP / RATE / WINDOW))
    x = levels(F.pad(power, (0, max(0, _MIN_FRAMES - power.shape[-1]))))
    parts = [towers.hear_levels(part) for part in x.tensor_split(count, dim=-1)]
    return F.normalize(torch.stack(parts).mean(0), dim=1)


def contrastive_logits(cosines: Tensor) -> Tensor:
    """Mean log-probability, at most 0, that each stem belongs to its prompt, of cosines [K, K].

    The log-probability of the right pairs both ways (InfoNCE; Radford et al. 2021, arXiv
    2103.00020, figure 3), a mean over the 2 K of them.
    """
    x = SHARPNESS * cosines
    right: Tensor = x.log_softmax(0).diagonal() + x.log_softmax(1).diagonal()
    return right.mean() / 2


def optimise_shares(
    towers: Towers, parts: Tensor, words: Tensor, likes: Tensor, *, steps: int, pull: float = 1.0
) -> Iterator[Tensor]:
    """Optimise the shares of components so that the search scorer tells the stems apart; logits [K,
    R] after each step.

    Components are powers `parts` [R, MELS, L], prompts unit vectors `words` [K, dim]. It maximises
    K `contrastive_logits` of the stems + `pull` * sum over components of their share of the energy
    * the mean of `likes` [K, R] (log-likelihoods from the other evidence) under the shares.
    """
    energy = parts.sum((1, 2))
    weight = pull * len(words) * energy / energy.sum().clamp_min(1e-20) * likes
    logits = (likes / 3).clone().requires_grad_(True)  # softer: all is open yet
    adam = Adam(logits, lr=LR)
    yield logits.detach()
    for _ in range(steps):
        shares = logits.softmax(0)
        stems = embed_components(towers, torch.einsum("kr,rml->kml", shares, parts))
        gain = 2 * len(words) * contrastive_logits(stems @ words.T) + (weight * shares).sum()
        adam.zero_grad()
        torch.autograd.backward([-gain], inputs=[logits])
        adam.step()
        yield logits.detach()


@torch.no_grad()
def contrastive_score(towers: Towers, parts: Tensor, words: Tensor, likes: Tensor) -> float:
    """`contrastive_logits`, at most 0, of the stems that shares softmax(likes) [K, R] make.

    Of components [R, MELS, L] and prompts' unit vectors [K, dim]. Candidates are ranked by it,
    before the search scorer has moved any of them.
    """
    stems = embed_components(towers, torch.einsum("kr,rml->kml", likes.softmax(0), parts))
    return float(contrastive_logits(stems @ words.T))


_MIN_FRAMES = 16  # four halvings of time and one frame left


def _columns(matrix: Tensor, at: Tensor) -> Tensor:
    """Columns of a matrix [M, F] at fractional indices; nothing above the last."""
    last = matrix.shape[1] - 1
    low = at.floor().long().clamp(0, last)
    high = (low + 1).clamp_max(last)
    share = at - at.floor()
    columns = matrix[:, low] * (1 - share) + matrix[:, high] * share
    return columns * (at <= last)
