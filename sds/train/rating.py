"""Fit the scale of `sds.similarity.rating`: what cosines real recordings have with their captions.

    python -m sds.train.rating --data runs/corpus

Recordings that nothing was trained on, their first two seconds, in two halves. On the one, each
with its own captions, the percentiles; and with its own and with wrong captions, as many of either,
the two ratings that the verdicts begin at. Wrong are captions of classes whose name the recording
cannot bear. A class weighs by the root of its recordings. The figures printed, and kept in the
file, are of the other half.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import get_args

import torch
from torch import Tensor

from sds.datasets.clips import Half
from sds.datasets.related import may_be
from sds.similarity.rating import BEST, FILE, Scale, Verdict
from sds.similarity.two_tower import RATE, TwoTowerScorer, load_scorer
from sds.train.data import Clip, Corpus
from sds.train.latents import RECORDINGS

log = logging.getLogger(__name__)
SECONDS = 2.0
STEPS = 50  # of two percent
GRID = [edge / 200 for edge in range(-200, 201)]  # cosines at which a verdict may begin
RIGHT, WRONG = 0.96, 0.8  # least shares of right captions above, of wrong ones below
"""Of right ones a point more than is promised: the half to report on is another draw."""


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """Cosines [N] of recordings with captions, what each weighs [N], and which are their own
    [N].
    """

    cosines: Tensor
    weights: Tensor
    own: Tensor

    def share(self, where: Tensor) -> float:
        """The share of own captions among the pairs of a mask [N], as many of either in all."""
        right, wrong = (
            float(self.weights[where & side].sum() / self.weights[side].sum())
            for side in (self.own, ~self.own)
        )
        return right / max(right + wrong, 1e-12)


def pairs(scorer: TwoTowerScorer, corpus: Corpus, clips: Sequence[Clip]) -> Pairs:
    """Every recording with all its captions, and with the first captions of the others."""
    frames = round(SECONDS * RATE)
    heard = torch.cat(
        [scorer.hear(corpus.audio(c, 0, min(c.frames, frames))[None, None], RATE) for c in clips]
    )
    texts = list(dict.fromkeys(text for clip in clips for text in clip.captions))
    read = torch.cat([scorer.read(texts[i : i + 64]) for i in range(0, len(texts), 64)])
    cosines, place = heard @ read.T, {text: i for i, text in enumerate(texts)}
    counts = Counter(clip.label for clip in clips)
    found: list[tuple[float, float, bool]] = []
    for row, clip in zip(cosines.tolist(), clips, strict=True):
        weight = counts[clip.label] ** -0.5
        own = [row[place[text]] for text in clip.captions]
        found += [(cosine, weight / len(own), True) for cosine in own]
        others = [other for other in clips if not may_be(clip.label, other.label)]
        total = sum(counts[other.label] ** -0.5 for other in others)
        for other in others:
            share = counts[other.label] ** -0.5 / total
            found.append((row[place[other.captions[0]]], weight * share, False))
    columns = list(zip(*found, strict=True))
    return Pairs(torch.tensor(columns[0]), torch.tensor(columns[1]), torch.tensor(columns[2]))


def fit(seen: Pairs, scorer: str) -> Scale:
    """The scale of pairs: percentiles of own captions, and where the verdicts begin."""
    cosines, order = seen.cosines[seen.own].sort()
    below = seen.weights[seen.own][order].cumsum(0)
    wanted = below[-1] * torch.linspace(0, 1, STEPS + 1)
    quantiles = cosines[torch.searchsorted(below, wanted).clamp_max(len(cosines) - 1)]
    found = tuple(round(x, 4) for x in quantiles.tolist())
    plain = Scale(found, BEST, 0.0, scorer)
    edges = [edge for edge in GRID if bool((seen.cosines >= edge).any())]
    # from here on always, and up to here always
    high = max(edge for edge in edges if seen.share(seen.cosines >= edge) < RIGHT)
    low = min(edge for edge in edges if seen.share(seen.cosines < edge) > 1 - WRONG)
    return Scale(found, round(plain.rating(max(high, low))), round(plain.rating(low)), scorer)


def figures(scale: Scale, seen: Pairs) -> dict[str, dict[str, float]]:
    """Of each verdict: how many of the own and of the wrong captions have it, and how many with it
    are their own, each 0..1.
    """
    said = [scale.verdict(scale.rating(x)) for x in seen.cosines.tolist()]
    found = {}
    for name in get_args(Verdict):
        where = torch.tensor([word == name for word in said])
        own, wrong = (
            float(seen.weights[where & side].sum() / seen.weights[side].sum())
            for side in (seen.own, ~seen.own)
        )
        shares = {"own": own, "wrong": wrong, "right": seen.share(where)}
        found[name] = {key: round(value, 3) for key, value in shares.items()}
    return found


def main() -> None:
    """Fit on the one half, measure on the other, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("runs/corpus"))
    parser.add_argument("--out", type=Path, default=FILE)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    scorer = load_scorer()
    halves: dict[Half, Pairs] = {}
    for half in get_args(Half):
        corpus = Corpus(args.data, frozenset({"held"}), frozenset({RECORDINGS}), half=half)
        halves[half] = pairs(scorer, corpus, corpus.clips)
    scale = fit(halves["choose"], scorer.model_hash)
    reported = figures(scale, halves["report"])
    values = asdict(scale) | {"report": reported}
    args.out.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
    log.info("as asked from %g on, in part from %g on", scale.as_asked, scale.in_part)
    for name, shares in reported.items():
        log.info("%s: %s", name, shares)


if __name__ == "__main__":
    torch.set_flush_denormal(True)
    main()
