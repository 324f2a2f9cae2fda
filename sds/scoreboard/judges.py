"""What judges who chose nothing say of a patch's sound, beside the evaluation scorer's cosine.

The rating is that cosine on the scale of real recordings, with its verdict
(`sds.similarity.rating`); it is left out for a scorer that the scale is not of. The statistics name
three classes of 22 (`sds.metrics.spectral_statistics`; the first alone is right for half of the
real recordings of the suite): a verdict better than "out of reach" is confirmed where one of them
is one that the prompt may be taken for. musicnn (`sds.scoreboard.musicnn`), where it is
installed, ranks the recordings by the cosine of its embeddings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from sds.datasets.reference_statistics import reference
from sds.metrics.spectral_statistics import Classes, statistics
from sds.scoreboard.baselines import Prompt
from sds.scoreboard.board import Setting
from sds.scoreboard.musicnn import Musicnn, load_musicnn
from sds.similarity.rating import read_scale

NAMED = 3  # classes of the statistics


@dataclass(frozen=True, slots=True)
class Judges:
    """Those who are here: musicnn with its unit vectors [R, D] of the recordings, or None."""

    rates: bool  # whether the scale of ratings is of this evaluation scorer
    musicnn: Musicnn | None
    recordings: Tensor

    def figures(self, sound: Tensor, rate: int, prompt: Prompt, match: float) -> dict[str, float]:
        """Figures of a sound [1, 1, T] at `rate` Hz whose cosine with the prompt is `match`."""
        found: dict[str, float] = {}
        if self.rates:
            scale = read_scale()
            found["rating"] = scale.rating(match)
            verdict = scale.verdict(found["rating"])
            found["as_asked"] = float(verdict == "as asked")
            found["within_reach"] = float(verdict != "out of reach")
        if prompt.classes:
            named = float(bool(set(named_classes(sound, rate)) & set(prompt.classes)))
            found["named"] = named
            if self.rates:
                found["confirmed"] = found["within_reach"] * named
                found["unconfirmed"] = found["as_asked"] * (1.0 - named)
        if self.musicnn is not None and prompt.right is not None:
            cosines = self.recordings @ self.musicnn.embed(sound, rate)[0]
            place = 1 + int((cosines > cosines[prompt.right]).sum())
            found |= {"rank_musicnn": float(place), "top3_musicnn": float(place <= 3)}
        return found


def judges(setting: Setting, recordings: Sequence[Tensor]) -> Judges:
    """The judges of a setting; they have heard recordings, each [C, T] at the prior's rate."""
    musicnn, rate = load_musicnn(), setting.prior.sample_rate
    vectors = [musicnn.embed(audio[None], rate)[0] for audio in recordings] if musicnn else []
    own = getattr(setting.evaluation_scorer, "model_hash", "")
    return Judges(
        own == read_scale().scorer, musicnn, torch.stack(vectors) if vectors else torch.zeros(0)
    )


def named_classes(sound: Tensor, rate: int) -> list[str]:
    """The classes of real recordings that a sound [1, 1, T] is nearest to by its statistics, the
    first `NAMED`.
    """
    classes = _classes()
    scores = classes.scores(reference().standard(statistics(sound, rate)))[0]
    return [classes.names[i] for i in scores.topk(NAMED).indices.tolist()]


@lru_cache(maxsize=1)
def _classes() -> Classes:
    return reference().classes()
