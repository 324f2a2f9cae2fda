"""Several candidates that differ: the best patches of a search, no two of which sound alike."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from sds.signal.spectrogram import log_spectra

APART = 0.3  # `difference` above which two sounds are two
SPARE = 3  # times as many are kept as asked for: one that goes makes room for the next
WINDOW, POOL = 1024, (8, 4)  # bins and frames in a cell of a sketch
FLOOR = 0.01  # of `log_spectra`


def sketch(audio: Tensor) -> Tensor:
    """A small picture [B, X] of audio [B, C, T]: nepers above the floor in cells of 8 bins by 4
    frames, at one level.
    """
    mono = audio.mean(1, keepdim=True)
    above = (log_spectra(mono, (WINDOW,))[0] - torch.tensor(FLOOR).log()).clamp_min(0.0)
    return F.avg_pool2d(above, POOL, ceil_mode=True).flatten(1)


def difference(a: Tensor, b: Tensor) -> Tensor:
    """How different sketches a [A, X] and b [B, X] are, [A, B]; 0 for the same, 1 for disjoint.

    sum |a - b| / sum max(a, b), the Jaccard distance of weighted sets (Ruzicka 1958): what is
    silent in both does not count, so short sounds can differ as much as long ones.
    """
    highest = torch.maximum(a[:, None], b[None]).sum(2).clamp_min(1e-9)
    return (a[:, None] - b[None]).abs().sum(2) / highest


class Candidates:
    """The best patches offered so far that differ by more than `apart`, best first.

    - `u`: [K, P]; `scores`: [K], falling; `rows`: [K], which start each came from.
    - `sketches`: [K, X] of their sounds, once there are any.
    """

    def __init__(self, count: int, first: Tensor, *, apart: float = APART) -> None:
        """Keep up to `count` >= 1, and some more in reserve; at least `first` [P], whatever it is
        worth. Raises `ValueError` for a count below 1.
        """
        if count < 1:
            raise ValueError(f"count must be at least 1, got {count}")
        self.count, self.apart = count, apart
        self.u, self.rows = first[None].clone(), torch.zeros(1, dtype=torch.long)
        self.scores = torch.tensor([-torch.inf])
        self.sketches = torch.zeros(0)

    def offer(self, u: Tensor, scores: Tensor, sounds: Tensor, rows: Tensor) -> None:
        """Take in patches u [B, P] with their scores [B], sounds [B, C, T] and rows [B].

        Of two that sound alike the better stays. Scores that are not finite are passed over.
        """
        full = len(self.scores) >= SPARE * self.count
        worst = float(self.scores[-1]) if full else -torch.inf
        take = (scores > worst) & scores.isfinite()
        if not bool(take.any()):
            return
        u, scores, rows = u[take].detach().clone(), scores[take], rows[take]
        sketches = sketch(sounds[take])
        if len(self.sketches):
            u, scores = torch.cat([self.u, u]), torch.cat([self.scores, scores])
            rows, sketches = torch.cat([self.rows, rows]), torch.cat([self.sketches, sketches])
        keep = self._different(sketches, scores.argsort(descending=True, stable=True))
        self.u, self.scores = u[keep], scores[keep]
        self.rows, self.sketches = rows[keep], sketches[keep]

    def only(self, u: Tensor, scores: Tensor, sounds: Tensor, rows: Tensor) -> None:
        """Forget all that was offered for patches u [B, P], as `offer` takes them, whatever their
        scores: best first, also those that sound alike.
        """
        order = scores.argsort(descending=True, stable=True)
        self.u, self.scores, self.rows = u.detach()[order].clone(), scores[order], rows[order]
        self.sketches = sketch(sounds[order])

    def best(self) -> tuple[Tensor, Tensor]:
        """The best [K, P], K <= count, and their scores [K], best first."""
        return self.u[: self.count], self.scores[: self.count]

    def state(self) -> dict[str, Tensor]:
        """All that was kept, by name. The reverse of `restore`."""
        return {
            "found.u": self.u,
            "found.scores": self.scores,
            "found.rows": self.rows,
            "found.sketches": self.sketches,
        }

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Be as another was whose `state` this is."""
        self.u, self.scores = state["found.u"], state["found.scores"]
        self.rows, self.sketches = state["found.rows"], state["found.sketches"]

    def _different(self, sketches: Tensor, order: Tensor) -> Tensor:
        """Of indices in order, those whose sketches differ from all kept before them."""
        kept: list[int] = []
        for i in order.tolist():
            if not bool((difference(sketches[i : i + 1], sketches[kept]) <= self.apart).any()):
                kept.append(i)
            if len(kept) == SPARE * self.count:
                break
        return torch.tensor(kept, dtype=torch.long)
