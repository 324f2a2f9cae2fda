"""Suggest prompts for a track, and find which prompts of a separation are in it."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bridge.protocol import worker_loop
from bridge.protocol.base import SHIPPED_MODELS
from bridge.protocol.events import Event
from bridge.protocol.jobs import MAX_STEMS, Separate, Suggest
from bridge.stems import manifest
from bridge.worker import mixture
from bridge.worker.models import Models
from sds.detection.evidence import PresenceNetworks
from sds.detection.presence import Activity, measure_in_blocks, merge_activity
from sds.detection.tagger import Tagger
from sds.detection.tagging import (
    RIVALS,
    Suggestion,
    active_spans,
    likelihood,
    prompt_activity,
    suggest,
    unsure,
)
from sds.separation.networks import Networks
from sds.separation.separate import METHODS, asks_prior, with_steps
from sds.signal.audio_files import Recording

PIECE_SECONDS = 10.0  # read at once
INSTEAD = 3  # sounds that are named when none asked for is there


@dataclass(frozen=True, slots=True)
class StemPrompts:
    """The prompts that get a stem, what the tagger found of them, and of those that get none.

    Nothing is in `measured` and `absent` where it is not known what is there. `model` is the name
    of one whose words are not the tagger's to judge, if it is such a one.
    """

    prompts: tuple[str, ...]
    measured: tuple[Suggestion, ...] = ()
    absent: tuple[Suggestion, ...] = ()
    model: str = ""

    @property
    def note(self) -> str:
        """One sentence on what was left out, or made although it is not heard; empty when nothing
        was.
        """
        if self.model:
            doubtful = [sound for sound in self.measured if not sound.present]
            if not doubtful:
                return ""
            return (
                f"not heard in there by the shipped tagger: {_scores(doubtful)}; a stem was made "
                f"all the same, since it cannot judge what {self.model} knows"
            )
        if not self.absent:
            return ""
        return f"not heard in there, so no stem was made of it: {_scores(self.absent)}"


def _scores(sounds: Sequence[Suggestion]) -> str:
    return ", ".join(f"{sound.prompt!r} ({sound.score:.2f})" for sound in sounds)


def suggest_prompts(job: Suggest, models: Models) -> worker_loop.Events:
    """Listen to the file a piece at a time, and name what is heard."""
    clock = worker_loop.Clock(job.id)
    yield clock.progress(0.0, "loading the model")
    networks = presence_networks(models)
    if networks is None:
        raise ValueError("there is no tagger in this installation: nothing can be suggested")
    with mixture.open_recording(Path(job.file)) as recording:
        activity = yield from measure_activity(recording, networks.tagger, clock, 0.0, 0.95)
    suggestions = suggest(networks, activity, top=job.top)
    rows = [
        {
            "prompt": suggestion.prompt,
            "score": round(suggestion.score, 4),
            "likelihood": likelihood(suggestion.score),
            "present": suggestion.present,
            "activity": [round(value, 3) for value in suggestion.activity],
        }
        for suggestion in suggestions
    ]
    yield clock.done({"suggestions": rows, "unsure": unsure(suggestions)})


def presence_check(
    job: Separate, models: Models, clock: worker_loop.Clock, begin: float, end: float
) -> Generator[Event, None, StemPrompts]:
    """Choose the prompts that get a stem: those given, or with `auto` suggested, and found.

    The exact prior's prompts are bands of noise and no words, so they are taken as they are. A
    model that did not ship with the tagger may know sounds that it does not: where the method asks
    such a one, all prompts given get a stem, as with `force`. Progress runs from `begin` to `end`.
    Raises `ValueError` with one sentence when nothing that was asked for is heard.
    """
    networks, words = presence_networks(models), job.model != "gaussian"
    foreign = words and job.model not in SHIPPED_MODELS and asks_model(job, models.networks())
    if networks is None:
        if job.auto:
            raise ValueError("there is no tagger in this installation: auto cannot be done")
        return StemPrompts(job.prompts)
    if not (words or job.auto):
        return StemPrompts(job.prompts)
    with mixture.open_recording(Path(job.file)) as recording:
        read, rate = recording.read, recording.rate
        activity = yield from measure_activity(recording, networks.tagger, clock, begin, end)
        likely: list[Suggestion] = []
        if job.auto:
            likely = active_spans(suggest(networks, activity, top=RIVALS))
        more = (sound.prompt for sound in likely if sound.prompt not in job.prompts)
        prompts = (*job.prompts, *dict.fromkeys(more))[:MAX_STEMS]
        if not prompts:
            raise ValueError(f"{Path(job.file).name} is silent: there is nothing to suggest")
        if not words:
            return StemPrompts(prompts)
        suggestions = yield from last_with_progress(
            prompt_activity(networks, activity, read, rate, prompts), clock, end
        )
        here = [
            sound
            for sound in suggestions
            if sound.present or job.force or foreign or sound.prompt not in job.prompts
        ]
        if not here:
            rather = ", ".join(sound.prompt for sound in suggest(networks, activity, top=INSTEAD))
            raise ValueError(
                f"none of the prompts is heard in {Path(job.file).name}, "
                f"{f'rather: {rather}' if rather else 'which is silent'}; "
                "force separates all the same"
            )
    return StemPrompts(
        prompts=tuple(sound.prompt for sound in here),
        measured=tuple(here),
        absent=tuple(sound for sound in suggestions if sound not in here),
        model=job.model if foreign and not job.force else "",
    )


def asks_model(job: Separate, networks: Networks) -> bool:
    """Whether the method of a separation by prompts uses the model that the job names."""
    method = with_steps(METHODS[job.method], job.steps)
    return asks_prior(method, max(1, len(job.prompts)) + len(job.negatives), networks)


def presence_networks(models: Models) -> PresenceNetworks | None:
    """Load the networks that find sounds in a recording; None without a tagger."""
    tagger = models.tagger()
    return None if tagger is None else PresenceNetworks(tagger, models.query())


def last_with_progress(
    work: Iterator[list[Suggestion]], clock: worker_loop.Clock, done: float
) -> Generator[Event, None, list[Suggestion]]:
    """The last of the lists, with an event for each, so that a job can be stopped in between."""
    latest: list[Suggestion] = []
    for suggestions in work:
        yield clock.progress(done, "timing the sounds")
        latest = suggestions
    return latest


def present_stems(
    made: Sequence[manifest.Stem], sounds: Sequence[Suggestion]
) -> tuple[manifest.Stem, ...]:
    """Add presence and activity to the stems where they are known."""
    by_prompt = {sound.prompt: sound for sound in sounds}
    return tuple(
        stem.model_copy(update=_figures(by_prompt[stem.prompt]))
        if stem.prompt in by_prompt
        else stem
        for stem in made
    )


def absent_prompts(sounds: Sequence[Suggestion]) -> tuple[manifest.Absent, ...]:
    """The prompts without a stem, for the manifest."""
    return tuple(manifest.Absent(prompt=sound.prompt, **_figures(sound)) for sound in sounds)


def _figures(sound: Suggestion) -> dict[str, Any]:
    activity = tuple(round(value, 3) for value in sound.activity)
    return {"presence": round(sound.score, 4), "present": sound.present, "activity": activity}


def measure_activity(
    recording: Recording, tagger: Tagger, clock: worker_loop.Clock, begin: float, end: float
) -> Generator[Event, None, Activity]:
    """Tag a file a piece at a time; progress runs from `begin` to `end`."""
    all_heard: list[Activity] = []
    samples = 0
    pieces = recording.pieces(int(PIECE_SECONDS * recording.rate))
    for part in measure_in_blocks(tagger, pieces, recording.rate):
        all_heard.append(part)
        samples += len(part.level_db) * recording.rate
        share = min(1.0, samples / recording.frames)
        yield clock.progress(begin + (end - begin) * share, "listening")
    return merge_activity(all_heard)
