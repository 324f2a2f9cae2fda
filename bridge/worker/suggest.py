"""What is in a track: suggestions, and whether the sounds that a separation asks for are there."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bridge.protocol import worker_loop
from bridge.protocol.events import Event
from bridge.protocol.jobs import MAX_STEMS, Separate, Suggest
from bridge.stems import manifest
from bridge.worker import mixture
from bridge.worker.models import Models
from sds.detection.evidence import PresenceNetworks
from sds.detection.presence import Activity, measure_in_blocks, merge_activity
from sds.detection.tagging import RIVALS, Suggestion, active_spans, prompt_activity, suggest
from sds.signal.audio_files import Recording
from sds.similarity.two_tower import TwoTowerScorer

PIECE_SECONDS = 10.0  # read at once
# From which score on a name is called so. Of the first eight names for 140 mixtures of one or two
# held-back recordings, so many were of the class of a sound in the mixture: 16 of 25, 13 of 49,
# 49 of 1046.
LIKELIHOOD = {"likely": 0.97, "possible": 0.95, "guess": 0.0}
INSTEAD = 3  # sounds that are named when none asked for is there


@dataclass(frozen=True, slots=True)
class StemPrompts:
    """The prompts that get a stem, what was heard of them, and of those that get none.

    Nothing is in `heard` and `absent` where it is not known what is there.
    """

    prompts: tuple[str, ...]
    heard: tuple[Suggestion, ...] = ()
    absent: tuple[Suggestion, ...] = ()

    @property
    def note(self) -> str:
        """One sentence on what was left out; empty when nothing was."""
        if not self.absent:
            return ""
        names = ", ".join(f"{one.prompt!r} ({one.score:.2f})" for one in self.absent)
        return f"not heard in there, so no stem was made of it: {names}"


def suggest_prompts(job: Suggest, models: Models) -> worker_loop.Events:
    """Listen to the file a piece at a time, and name what is heard."""
    clock = worker_loop.Clock(job.id)
    yield clock.progress(0.0, "loading the model")
    networks = presence_networks(models)
    if networks is None:
        raise ValueError("there is no tagger in this installation: nothing can be suggested")
    with mixture.opened(Path(job.file)) as recording:
        heard = yield from measure_activity(recording, networks.tagger, clock, 0.0, 0.6)
        work = suggest(networks, heard, recording.read, recording.rate, top=job.top)
        found = yield from last_with_progress(work, clock, 0.6)
    rows = [
        {
            "prompt": one.prompt,
            "score": round(one.score, 4),
            "likelihood": likelihood(one.score),
            "present": one.present,
            "activity": [round(value, 3) for value in one.activity],
        }
        for one in found
    ]
    yield clock.done({"suggestions": rows})


def likelihood(score: float) -> str:
    """What the score of a suggestion has been worth, in a word.

    >>> likelihood(0.98), likelihood(0.96), likelihood(0.92)
    ('likely', 'possible', 'guess')
    """
    return next(word for word, least in LIKELIHOOD.items() if score >= least)


def presence_check(
    job: Separate, models: Models, clock: worker_loop.Clock, begin: float, end: float
) -> Generator[Event, None, StemPrompts]:
    """Which prompts of a separation get a stem: those named, or with `auto` suggested, and heard.

    The exact prior's prompts are bands of noise and no words, so they are taken as they are.
    Progress runs from `begin` to `end`. Raises `ValueError` with one sentence when nothing that was
    asked for is heard.
    """
    networks, words = presence_networks(models), job.model != "gaussian"
    if networks is None:
        if job.auto:
            raise ValueError("there is no tagger in this installation: auto cannot be done")
        return StemPrompts(job.prompts)
    if not (words or job.auto):
        return StemPrompts(job.prompts)
    with mixture.opened(Path(job.file)) as recording:
        read, rate = recording.read, recording.rate
        heard = yield from measure_activity(recording, networks.tagger, clock, begin, end)
        likely: list[Suggestion] = []
        if job.auto:
            found = yield from last_with_progress(
                suggest(networks, heard, read, rate, top=RIVALS), clock, end
            )
            likely = active_spans(networks, heard, read, rate, found)
        more = (one.prompt for one in likely if one.prompt not in job.prompts)
        prompts = (*job.prompts, *dict.fromkeys(more))[:MAX_STEMS]
        if not prompts:
            raise ValueError(f"{Path(job.file).name} is silent: there is nothing to suggest")
        if not words:
            return StemPrompts(prompts)
        found = yield from last_with_progress(
            prompt_activity(networks, heard, read, rate, prompts), clock, end
        )
        here = [one for one in found if one.present or job.force or one.prompt not in job.prompts]
        if not here:
            work = suggest(networks, heard, read, rate, top=INSTEAD)
            rather = ", ".join(
                one.prompt for one in (yield from last_with_progress(work, clock, end))
            )
            raise ValueError(
                f"none of the prompts is heard in {Path(job.file).name}, "
                f"{f'rather: {rather}' if rather else 'which is silent'}; "
                "force separates all the same"
            )
    return StemPrompts(
        prompts=tuple(one.prompt for one in here),
        heard=tuple(here),
        absent=tuple(one for one in found if one not in here),
    )


def presence_networks(models: Models) -> PresenceNetworks | None:
    """All who say what is in a recording; None unless all of them are there."""
    tagger, search_scorer, network = models.tagger(), models.search_scorer(), models.query()
    if tagger is None or search_scorer is None or network is None:
        return None
    return PresenceNetworks(tagger, search_scorer, network)


def last_with_progress(
    work: Iterator[list[Suggestion]], clock: worker_loop.Clock, done: float
) -> Generator[Event, None, list[Suggestion]]:
    """The last of the lists, with an event for each, so that a job can be stopped in between."""
    found: list[Suggestion] = []
    for now in work:
        yield clock.progress(done, "timing the sounds")
        found = now
    return found


def present_stems(
    made: Sequence[manifest.Stem], found: Sequence[Suggestion]
) -> tuple[manifest.Stem, ...]:
    """The stems as the manifest tells them, with what was heard of each where it is known."""
    heard = {one.prompt: one for one in found}
    return tuple(
        stem.model_copy(update=_figures(heard[stem.prompt])) if stem.prompt in heard else stem
        for stem in made
    )


def absent_prompts(found: Sequence[Suggestion]) -> tuple[manifest.Absent, ...]:
    """The prompts without a stem as the manifest tells them."""
    return tuple(manifest.Absent(prompt=one.prompt, **_figures(one)) for one in found)


def _figures(one: Suggestion) -> dict[str, Any]:
    activity = tuple(round(value, 3) for value in one.activity)
    return {"presence": round(one.score, 4), "present": one.present, "activity": activity}


def measure_activity(
    recording: Recording, tagger: TwoTowerScorer, clock: worker_loop.Clock, begin: float, end: float
) -> Generator[Event, None, Activity]:
    """All that is heard in a file, read a piece at a time; progress runs from `begin` to `end`."""
    all_heard: list[Activity] = []
    heard = 0
    pieces = recording.pieces(int(PIECE_SECONDS * recording.rate))
    for part in measure_in_blocks(tagger, pieces, recording.rate):
        all_heard.append(part)
        heard += len(part.level_db) * recording.rate
        share = min(1.0, heard / recording.frames)
        yield clock.progress(begin + (end - begin) * share, "listening")
    return merge_activity(all_heard)
