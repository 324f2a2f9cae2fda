"""What is in a track: suggestions, and whether the sounds that a separation asks for are there."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bridge import pipe, stems
from bridge.jobs import MAX_STEMS, Event, Separate, Suggest
from bridge.worker.models import Models
from sds.audio import Recording
from sds.judge import Judge
from sds.presence import Heard, hearing, together
from sds.suggest import Found, named, suggest

PIECE_SECONDS = 10.0  # read at once
INSTEAD = 3  # sounds that are named when none asked for is there
AUTO = 3  # prompts of `auto`, at most ...
SURE = 0.5  # ... and how likely each must be, but for the likeliest


@dataclass(frozen=True, slots=True)
class Asked:
    """The prompts that get a stem, what was heard of them, and of those that get none.

    Nothing is in `heard` and `absent` where it is not known what is there.
    """

    prompts: tuple[str, ...]
    heard: tuple[Found, ...] = ()
    absent: tuple[Found, ...] = ()

    @property
    def note(self) -> str:
        """One sentence on what was left out; empty when nothing was."""
        if not self.absent:
            return ""
        names = ", ".join(f"{one.prompt!r} ({one.score:.2f})" for one in self.absent)
        return f"not heard in there, so no stem was made of it: {names}"


def suggest_prompts(job: Suggest, models: Models) -> pipe.Events:
    """Listen to the file a piece at a time, and name what is heard."""
    clock = pipe.Clock(job.id)
    yield clock.progress(0.0, "loading the model")
    listener = models.listener()
    if listener is None:
        raise ValueError("there is no listener in this installation: nothing can be suggested")
    heard = yield from listened(Path(job.file), listener, clock, 0.0, 0.95)
    rows = [
        {
            "prompt": one.prompt,
            "score": round(one.score, 4),
            "present": one.present,
            "activity": [round(value, 3) for value in one.activity],
        }
        for one in suggest(listener, heard, top=job.top)
    ]
    yield clock.done({"suggestions": rows})


def asked(
    job: Separate, models: Models, clock: pipe.Clock, begin: float, end: float
) -> Generator[Event, None, Asked]:
    """Which prompts of a separation get a stem: those named, or with `auto` suggested, and heard.

    The exact prior's prompts are bands of noise and no words, so they are taken as they are.
    Progress runs from `begin` to `end`. Raises `ValueError` with one sentence when nothing that was
    asked for is heard.
    """
    listener, words = models.listener(), job.model != "gaussian"
    if listener is None:
        if job.auto:
            raise ValueError("there is no listener in this installation: auto cannot be done")
        return Asked(job.prompts)
    if not (words or job.auto):
        return Asked(job.prompts)
    heard = yield from listened(Path(job.file), listener, clock, begin, end)
    prompts = tuple(dict.fromkeys([*job.prompts, *(likely(listener, heard) if job.auto else ())]))
    if not prompts:
        raise ValueError(f"{Path(job.file).name} is silent: there is nothing to suggest")
    prompts = prompts[:MAX_STEMS]
    if not words:
        return Asked(prompts)
    found = named(listener, heard, prompts)
    here = [one for one in found if one.present or job.force or one.prompt not in job.prompts]
    if not here:
        rather = ", ".join(one.prompt for one in suggest(listener, heard, top=INSTEAD))
        raise ValueError(
            f"none of the prompts is heard in {Path(job.file).name}, "
            f"{f'rather: {rather}' if rather else 'which is silent'}; force separates all the same"
        )
    return Asked(
        prompts=tuple(one.prompt for one in here),
        heard=tuple(here),
        absent=tuple(one for one in found if one not in here),
    )


def told(made: Sequence[stems.Stem], found: Sequence[Found]) -> tuple[stems.Stem, ...]:
    """The stems as the manifest tells them, with what was heard of each where it is known."""
    heard = {one.prompt: one for one in found}
    return tuple(
        stem.model_copy(update=_figures(heard[stem.prompt])) if stem.prompt in heard else stem
        for stem in made
    )


def missing(found: Sequence[Found]) -> tuple[stems.Absent, ...]:
    """The prompts without a stem as the manifest tells them."""
    return tuple(stems.Absent(prompt=one.prompt, **_figures(one)) for one in found)


def _figures(one: Found) -> dict[str, Any]:
    activity = tuple(round(value, 3) for value in one.activity)
    return {"presence": round(one.score, 4), "present": one.present, "activity": activity}


def likely(listener: Judge, heard: Heard) -> Sequence[str]:
    """The prompts of `auto`; none of silence."""
    found = suggest(listener, heard, top=AUTO)
    return [one.prompt for i, one in enumerate(found) if i == 0 or one.score >= SURE]


def listened(
    file: Path, listener: Judge, clock: pipe.Clock, begin: float, end: float
) -> Generator[Event, None, Heard]:
    """All that is heard in a file, read a piece at a time; progress runs from `begin` to `end`."""
    parts: list[Heard] = []
    heard = 0
    with Recording(file) as recording:
        pieces = recording.pieces(int(PIECE_SECONDS * recording.rate))
        for part in hearing(listener, pieces, recording.rate):
            parts.append(part)
            heard += len(part.level_db) * recording.rate
            share = min(1.0, heard / recording.frames)
            yield clock.progress(begin + (end - begin) * share, "listening")
    return together(parts)
