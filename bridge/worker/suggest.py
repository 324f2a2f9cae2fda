"""What is in a track: suggestions, and whether the sounds that a separation asks for are there."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bridge import pipe, stems
from bridge.jobs import MAX_STEMS, Event, Separate, Suggest
from bridge.worker.models import Models
from sds.assign import query
from sds.audio import Recording
from sds.evidence import Ears
from sds.judge import Judge
from sds.presence import Heard, hearing, together
from sds.suggest import RIVALS, Found, named, parts, suggest

PIECE_SECONDS = 10.0  # read at once
INSTEAD = 3  # sounds that are named when none asked for is there


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
    ears = listeners(models)
    if ears is None:
        raise ValueError("there is no listener in this installation: nothing can be suggested")
    with Recording(Path(job.file)) as recording:
        heard = yield from listened(recording, ears.listener, clock, 0.0, 0.6)
        work = suggest(ears, heard, recording.read, recording.rate, top=job.top)
        found = yield from last(work, clock, 0.6)
    rows = [
        {
            "prompt": one.prompt,
            "score": round(one.score, 4),
            "present": one.present,
            "activity": [round(value, 3) for value in one.activity],
        }
        for one in found
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
    ears, words = listeners(models), job.model != "gaussian"
    if ears is None:
        if job.auto:
            raise ValueError("there is no listener in this installation: auto cannot be done")
        return Asked(job.prompts)
    if not (words or job.auto):
        return Asked(job.prompts)
    with Recording(Path(job.file)) as recording:
        read, rate = recording.read, recording.rate
        heard = yield from listened(recording, ears.listener, clock, begin, end)
        likely: list[Found] = []
        if job.auto:
            found = yield from last(suggest(ears, heard, read, rate, top=RIVALS), clock, end)
            likely = parts(ears, heard, read, rate, found)
        prompts = tuple(dict.fromkeys([*job.prompts, *(one.prompt for one in likely)]))[:MAX_STEMS]
        if not prompts:
            raise ValueError(f"{Path(job.file).name} is silent: there is nothing to suggest")
        if not words:
            return Asked(prompts)
        found = yield from last(named(ears, heard, read, rate, prompts), clock, end)
        here = [one for one in found if one.present or job.force or one.prompt not in job.prompts]
        if not here:
            work = suggest(ears, heard, read, rate, top=INSTEAD)
            rather = ", ".join(one.prompt for one in (yield from last(work, clock, end)))
            raise ValueError(
                f"none of the prompts is heard in {Path(job.file).name}, "
                f"{f'rather: {rather}' if rather else 'which is silent'}; "
                "force separates all the same"
            )
    return Asked(
        prompts=tuple(one.prompt for one in here),
        heard=tuple(here),
        absent=tuple(one for one in found if one not in here),
    )


def listeners(models: Models) -> Ears | None:
    """All who say what is in a recording; None unless all of them are there."""
    listener, ear, network = models.listener(), models.ear(), query()
    if listener is None or ear is None or network is None:
        return None
    return Ears(listener, ear, network)


def last(
    work: Iterator[list[Found]], clock: pipe.Clock, done: float
) -> Generator[Event, None, list[Found]]:
    """The last of the lists, with an event for each, so that a job can be stopped in between."""
    found: list[Found] = []
    for now in work:
        yield clock.progress(done, "listening closely")
        found = now
    return found


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


def listened(
    recording: Recording, listener: Judge, clock: pipe.Clock, begin: float, end: float
) -> Generator[Event, None, Heard]:
    """All that is heard in a file, read a piece at a time; progress runs from `begin` to `end`."""
    all_heard: list[Heard] = []
    heard = 0
    pieces = recording.pieces(int(PIECE_SECONDS * recording.rate))
    for part in hearing(listener, pieces, recording.rate):
        all_heard.append(part)
        heard += len(part.level_db) * recording.rate
        share = min(1.0, heard / recording.frames)
        yield clock.progress(begin + (end - begin) * share, "listening")
    return together(all_heard)
