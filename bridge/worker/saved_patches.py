"""Write the files of a search: its first patch, previews of the best so far, and the last ones."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bridge.files import names
from bridge.files.atomic_output import Output
from bridge.protocol.events import Best
from bridge.worker.search_store import Row
from presets import Preset, save
from renderers import effects
from sds.signal.audio_files import mono
from sds.similarity.rating import in_words, rating

PREVIEW_GAP = 3.0  # seconds between two previews
PREVIEWS_KEPT = 3


def judged(score: float | None, prompt: str) -> dict[str, Any]:
    """What a score of the evaluation scorer means, 0..100 and in words; None where nothing is said.

    Only matches with words are calibrated.
    """
    if score is None or not prompt:
        return {"rating": None, "verdict": None}
    worth = rating(score)
    return {"rating": worth, "verdict": in_words(prompt, worth)}


def keep(
    patch: Preset,
    path: Path,
    *,
    rate: int,
    match: Callable[[Tensor], Tensor] | None,
    before: float | None,
    steps: int,
) -> float | None:
    """Write a patch as `path`.json and its sound as `path`.wav; return the score of that sound.

    The score is `match` of the rendered sound, None without `match`. The preset's provenance gets
    it, with `steps` and the score `before` the search.
    """
    sound = effects.render(patch, rate=rate)
    effects.write(sound, path.with_suffix(".wav"), rate=rate)
    after = float(match(mono(torch.from_numpy(sound))[None, None])) if match else None
    facts = {"steps": steps, "score_before": before, "score_after": after}
    provenance = patch.provenance.model_copy(update=facts)
    save(patch.model_copy(update={"provenance": provenance}), path.with_suffix(".json"))
    return after


class Previews:
    """Paths for previews of a running job: one at once, then one every few seconds.

    `rating` is that of the newest one, before it that of the first patch; None where none is rated.
    `beaten` is the best search score, and `steps` the steps, of the searches before.
    """

    def __init__(self, folder: Path, rating: float | None) -> None:
        self._folder, self._last, self._paths = folder, -PREVIEW_GAP, list[Path]()
        self.rating, self.beaten, self.steps = rating, -math.inf, 0

    def follow(self, last: Row) -> None:
        """Another search comes, after one whose curves end with this row."""
        step, *_, score = last
        self.beaten = max(self.beaten, -math.inf if score is None else score)
        self.steps += step

    def due(self) -> bool:
        """Whether it is time for the next one."""
        return time.monotonic() - self._last >= PREVIEW_GAP

    def next(self, step: int) -> Path | None:
        """Where to write a preview now (add .json and .wav), None when it is too early."""
        if not self.due():
            return None
        self._last = time.monotonic()
        self._paths.append(self._folder / f"best-{step:04d}")
        for old in self._paths[:-PREVIEWS_KEPT]:
            for suffix in (".json", ".wav"):
                old.with_suffix(suffix).unlink(missing_ok=True)
        return self._paths[-1]


@dataclass(frozen=True, slots=True)
class SearchFiles:
    """The files `name`.json, `name`.wav and `name`__initial.wav of one search in `out`.

    `rate` in Hz is that of every WAV; `match` scores a sound for `prompt`, None without an
    evaluation scorer; `before` is the score of the first patch.
    """

    out: Output
    name: str
    prompt: str
    rate: int
    match: Callable[[Tensor], Tensor] | None
    before: float | None
    initial: Path
    previews: Previews

    @property
    def figures(self) -> dict[str, float]:
        """The rating of the best so far, for `Progress`; nothing where nothing is rated."""
        return {} if self.previews.rating is None else {"rating": self.previews.rating}

    def due(self, score: float) -> bool:
        """Whether a patch with this search score is to be shown now."""
        return score > self.previews.beaten and self.previews.due()

    def preview(self, job: str, patch: Preset, *, step: int, score: float) -> Best | None:
        """Write a patch of a step of the running search as a preview of the job with this id; None
        when it is too early for one.
        """
        step += self.previews.steps
        path = self.previews.next(step)
        if path is None:
            return None
        heard = keep(patch, path, rate=self.rate, match=self.match, before=self.before, steps=step)
        self.previews.rating = worth = judged(heard, self.prompt)["rating"]
        preset, wav, initial = f"{path}.json", f"{path}.wav", str(self.initial)
        return Best(
            id=job, step=step, score=score, rating=worth, preset=preset, wav=wav, initial=initial
        )

    def finish(self, patches: Sequence[tuple[Preset, float | None]], steps: int) -> dict[str, Any]:
        """Write the last patches with their search scores, the best first; return what every
        search's result says of its files and scores.
        """
        initial = self.initial.rename(self.out.partial / self.initial.name)
        entries = []
        for number, (patch, score) in enumerate(patches, start=1):
            path = self.out.partial / names.numbered(self.name, number)
            after = keep(
                patch, path, rate=self.rate, match=self.match, before=self.before, steps=steps
            )
            preset, wav = (self.out.final(Path(f"{path}.{suffix}")) for suffix in ("json", "wav"))
            entry = {"preset": preset, "wav": wav, "seed": patch.seed, "score": score}
            entry |= {"score_after": after}
            entries.append(entry | judged(after, self.prompt))
        best = entries[0]
        return {
            "preset": best["preset"],
            "wav": best["wav"],
            "initial_wav": self.out.final(initial),
            "score_before": self.before,
            "score_after": best["score_after"],
            "rating_before": judged(self.before, self.prompt)["rating"],
            "rating": best["rating"],
            "verdict": best["verdict"],
            "patches": entries,
            "steps": steps,
        }


def begin_search(
    out: Output,
    name: str,
    first: Preset,
    *,
    prompt: str,
    rate: int,
    match: Callable[[Tensor], Tensor] | None,
) -> SearchFiles:
    """Write and score the patch that a search for `prompt` begins with."""
    initial = out.scratch / f"{name}__initial.wav"
    before = keep(first, initial, rate=rate, match=match, before=None, steps=0)
    previews = Previews(out.scratch, judged(before, prompt)["rating"])
    return SearchFiles(out, name, prompt, rate, match, before, initial, previews)
