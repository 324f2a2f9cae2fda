"""Clips of four stems that suite `multisource` measures on, and what the model makes from them.

What the model makes is made once and kept in the setting's scratch folder.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from sds.datasets.evaluation_items import Mixture, manifest
from sds.multitrack.arrange import arrange_stepwise
from sds.multitrack.base import STEMS
from sds.priors.multi_track import MultiTrackPrior
from sds.scoreboard.board import Figures, Setting
from sds.signal.audio_files import mono, read, resample

RESERVED, RESERVED_LONG = "reserved", "reserved_long"
SETS = ("stems", RESERVED)  # folders of the data that separation is measured on
ARRANGEMENTS = tuple(added for count in (1, 2, 3) for added in combinations(STEMS, count))
"""The stems that are added to the others: the 14 of MT-MusicLDM."""

_Made = TypeVar("_Made")


@dataclass(frozen=True, slots=True, eq=False)
class Clip:
    """A clip of the set `folder`: its files by stem, the stems that sound in it, and what is said of
    it, "" where nothing is.
    """

    folder: Path
    name: str
    files: Mapping[str, str]
    sounding: tuple[str, ...]
    caption: str

    @property
    def set(self) -> str:
        """The name of its set."""
        return self.folder.name


def clips(data: Path, folder: str, limit: int | None = None) -> list[Clip]:
    """The first `limit` clips of `data`/`folder`; none where there is no such folder."""
    if not (data / folder).is_dir():
        return []
    return [
        Clip(
            data / folder,
            row["id"],
            row["files"],
            tuple(stem for stem in STEMS if stem in row.get("rms_dbfs", row["files"])),
            row.get("caption", ""),
        )
        for row in manifest(data / folder)[:limit]
    ]


@lru_cache(maxsize=4)
def load(clip: Clip) -> Mixture:
    """The mixture of a clip and its sources in the order of `STEMS`."""
    mix, rate = read(clip.folder / clip.files["mix"])
    sources = tuple(read(clip.folder / clip.files[stem])[0] for stem in STEMS)
    return Mixture(clip.name, STEMS, mix, sources, rate)


@lru_cache(maxsize=32)
def tracks(clip: Clip, rate: int) -> Tensor:
    """The four stems [4, T] of a clip at `rate` Hz, folded to mono."""
    found = load(clip)
    return resample(mono(torch.stack(found.sources)), found.rate, rate)


def letters(stems: Sequence[str]) -> str:
    """Stems by their first letters, as MT-MusicLDM names arrangements.

    >>> letters(("bass", "piano"))
    'BP'
    """
    return "".join(stem[0].upper() for stem in stems)


def drained(work: Generator[float, None, _Made]) -> Generator[Figures, None, _Made]:
    """Do work that yields fractions, yielding no figures instead; return what it returns."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            made: _Made = end.value
            return made
        yield {}


def multi_track(setting: Setting) -> MultiTrackPrior:
    """The model of four stems. Raises `ValueError` for a setting without one."""
    if setting.multi_track is None:
        raise ValueError("setting must have a model of four stems for what it makes")
    return setting.multi_track


def added(
    setting: Setting, clip: Clip, add: Sequence[str]
) -> Generator[Figures, None, tuple[Tensor, float]]:
    """Stems `add` [K, T] at the model's rate that go with the others of a clip, without a prompt, and
    the seconds that they took.
    """
    model = multi_track(setting)
    own = tracks(clip, model.sample_rate)
    given = {s: own[k : k + 1] for k, s in enumerate(STEMS) if s not in add}
    path = setting.scratch / "multisource" / f"adds {letters(add)}" / f"{clip.set} {clip.name}.npy"
    words = ("added", clip.name, letters(add))
    return (yield from _kept(path, setting, words, "", given, add, own.shape[-1]))


def generated(setting: Setting, clip: Clip) -> Generator[Figures, None, tuple[Tensor, float]]:
    """Four stems [4, T] at the model's rate that are made by a clip's caption, as long as the clip,
    and the seconds that they took.
    """
    samples = tracks(clip, multi_track(setting).sample_rate).shape[-1]
    path = setting.scratch / "multisource" / "generated" / f"{clip.set} {clip.name}.npy"
    words = ("generated", clip.name)
    return (yield from _kept(path, setting, words, clip.caption, {}, STEMS, samples))


def _kept(
    path: Path,
    setting: Setting,
    words: Sequence[str],
    prompt: str,
    given: Mapping[str, Tensor],
    add: Sequence[str],
    samples: int,
) -> Generator[Figures, None, tuple[Tensor, float]]:
    """The stems in a file of float16, made where it is not there yet."""
    if not path.is_file():
        model, start = multi_track(setting), time.perf_counter()
        work = arrange_stepwise(
            model,
            prompt=prompt,
            given=given,
            add=add,
            samples=samples,
            rate=model.sample_rate,
            generator=setting.generator("multisource", *words),
        )
        made = yield from drained(work)
        seconds = time.perf_counter() - start
        path.parent.mkdir(parents=True, exist_ok=True)
        path.with_suffix(".seconds").write_text(str(seconds))
        unfinished = path.with_suffix(".part.npy")
        np.save(unfinished, torch.cat([made[stem] for stem in add]).half().numpy())
        unfinished.replace(path)
    stems = torch.from_numpy(np.load(path)).float()
    return stems, float(path.with_suffix(".seconds").read_text())
