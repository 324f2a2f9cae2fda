"""One scale for how well a sound is as asked, 0..100, and a verdict in words.

A rating is the evaluation scorer's cosine as a percentile: of real recordings, each with its own
captions, that many have a lower one. The recordings are held back (nothing was trained on them),
of the half to choose on; `sds.train.rating` measures them, classes weighing as in training, and
writes FILE.

Verdicts are by two ratings, from as many right as wrong captions of recordings: from `as_asked` on
at least 95 % are right, below `in_part` at least 80 % are wrong. What they come to on the half to
report on stands in FILE.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal, TypeAlias

from presets.reading import read_json
from sds.priors.nearest_captions import nearest_caption
from sds.weights import weights_folder

FILE = weights_folder("evaluation_scorer") / "rating.json"
FAMILIAR = 0.55  # cosine of sentences: below it a prompt is near to no caption that was learned
WORST, BEST = 0.0, 100.0

Verdict: TypeAlias = Literal["as asked", "in part", "out of reach"]


@dataclass(frozen=True, slots=True)
class Scale:
    """The cosine at each percentile of real recordings, at equal steps from 0 to 100, rising, and
    the ratings of the verdicts; `scorer` is the hash of the weights that it holds for.
    """

    cosines: tuple[float, ...]
    as_asked: float
    in_part: float
    scorer: str

    def __post_init__(self) -> None:
        if len(self.cosines) < 2 or list(self.cosines) != sorted(self.cosines):
            raise ValueError(f"cosines must be at least 2 and rise, got {len(self.cosines)}")
        if not WORST <= self.in_part <= self.as_asked <= BEST:
            raise ValueError(
                f"in_part and as_asked must rise in 0..100, got {self.in_part}, {self.as_asked}"
            )

    def rating(self, cosine: float) -> float:
        """The percentile of a cosine, linear between those that are known."""
        if cosine < self.cosines[0]:
            return WORST
        if cosine >= self.cosines[-1]:
            return BEST
        at = bisect_right(self.cosines, cosine)
        low, high = self.cosines[at - 1 : at + 1]
        return BEST * (at - 1 + (cosine - low) / (high - low)) / (len(self.cosines) - 1)

    def verdict(self, rating: float) -> Verdict:
        """The verdict on a rating."""
        if rating >= self.as_asked:
            return "as asked"
        return "in part" if rating >= self.in_part else "out of reach"


@lru_cache(maxsize=1)
def read_scale(path: Path = FILE) -> Scale:
    """Load what `sds.train.rating` wrote. Raises `ValueError` for anything else, and
    `FileNotFoundError` without it.
    """
    values = read_json(path)
    try:
        return Scale(
            tuple(float(x) for x in values["cosines"]),
            float(values["as_asked"]),
            float(values["in_part"]),
            str(values["scorer"]),
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path} must hold what sds.train.rating writes: {error}") from error


def rating(cosine: float) -> float:
    """The evaluation scorer's cosine, -1..1, on the scale of 0 to 100."""
    return read_scale().rating(cosine)


def verdict(rating: float) -> Verdict:
    """The verdict on a rating, 0..100: "as asked", "in part" or "out of reach"."""
    return read_scale().verdict(rating)


def in_words(prompt: str, rating: float) -> str:
    """The verdict on a rating of a sound for `prompt`, and where it is out of reach, why.

    Either the prompt is far from every caption that the model has learned, and the nearest is
    named, to be tried instead; or the model knows it and no synth here can make it.
    """
    found = verdict(rating)
    if found != "out of reach":
        return found
    caption, cosine = nearest_caption(prompt)
    if cosine < FAMILIAR:
        return f"{found}: the model does not know {prompt!r}; the nearest it knows is {caption!r}"
    return f"{found}: no synth here can make it"
