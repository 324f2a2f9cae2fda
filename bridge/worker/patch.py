"""Prompt to patch: search, fit and distill the knobs of a renderer towards a prompt."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bridge.files import atomic_output, names
from bridge.protocol import worker_loop
from bridge.protocol.events import Event
from bridge.protocol.patch_jobs import AUTO, DesignPatch
from bridge.worker.asked_voice import Voice, has_pitch, voice
from bridge.worker.delivery import levelled, steady, timed
from bridge.worker.effect_settings import tune
from bridge.worker.initial_patches import (
    Attempt,
    attempts,
    best_attempts,
    note_of,
    rank_algorithms,
    start_of,
)
from bridge.worker.models import VERSION, Models, model_hash
from bridge.worker.saved_patches import SearchFiles, begin_search, file_names
from bridge.worker.sought_sound import Sought, recording, sought_sound
from presets import Effect, Preset, Provenance
from presets.prompt_words import Family, Wishes, followed_by, wishes
from renderers import Renderer, to_values
from renderers.algorithms import DIFFERENT, Found, best
from sds.distillation.distill import Step, distill
from sds.distillation.recipes import RECIPES, PatchRecipe
from sds.metrics.pitch import cents, yin
from sds.metrics.tuning import CENTS, in_tune_share
from sds.priors.base import Prior
from sds.signal import audio_files

RANKING = 0.25  # of a job's time, about, in which algorithms are compared
TRIAL = 0.1  # likewise, in which renderers are
FIT_STEPS = 60  # of Adam towards a recording, at least
SHORTEST, LONGEST = 0.25, 10.0  # seconds that are fitted of a recording
MOST = 8  # patches of one search
IN_TUNE = 0.9  # of the energy of the strongest partials, on harmonics of the key
CURVES = "curves.json"
COLUMNS = ("step", "stage", "t", "loss", "score")


@dataclass(frozen=True, slots=True)
class _Search:
    """What all stages of one job share.

    `sought` is what is scored; `start` the preset to begin around, None for the bank's; `seconds`
    how long a sound is.
    """

    job: DesignPatch
    prior: Prior
    recipe: PatchRecipe
    start: Preset | None
    wishes: Wishes
    seconds: float
    sought: Sought
    generator: torch.Generator

    @property
    def samples(self) -> int:
        """Samples of one sound."""
        return round(self.seconds * self.prior.sample_rate)

    @property
    def family(self) -> Family:
        """How partials lie, as far as job and words say before anything has sounded."""
        pitched = self.wishes.pitched if self.job.pitched is None else self.job.pitched
        known = pitched and not self.start and self.job.recipe != "paper"
        return self.wishes.family if known else "free"

    @property
    def effects(self) -> tuple[Effect, ...]:
        """The chain behind a patch."""
        return self.start.effects if self.start else self.wishes.effects


@dataclass(frozen=True, slots=True)
class _Choice:
    """Where the search goes on: candidates for each voice, and what was decided in words."""

    attempts: list[tuple[Voice, Tensor]]
    pitched: bool | None
    why: str
    fraction: float


@dataclass(frozen=True, slots=True)
class _Kept:
    """A patch u [P] of a voice, and its search score."""

    voice: Voice
    u: Tensor
    score: float


def design_patch(job: DesignPatch, models: Models) -> worker_loop.Events:
    """Search patches near the prompt or the start, refine the best, keep those that score highest.

    The search scorer (`sds.similarity.two_tower.SEARCH_SCORER`) chooses; the evaluation scorer,
    which the search never asks, scores the first patch and the last. curves.json has one entry a
    step in each of step, stage, t, loss and score, which never falls; null where there is none.
    Raises `ValueError` for a duration above the prior's, in seconds.
    """
    clock = worker_loop.Clock(job.id)
    yield clock.progress(0.0, "loading the model")
    search = _search(job, models)
    name = names.slug(job.prompt or Path(str(job.like)).stem, otherwise="preset")
    old = file_names(name, MOST)[len(file_names(name)) :]  # of a search that found more
    with atomic_output.folder(Path(job.out), job.terms, stale=[atomic_output.RESULT, *old]) as out:
        out.expect(*file_names(name, job.count), CURVES)
        yield clock.progress(0.0, "search")
        choice = yield from _choose(search, models, clock)
        files = _begin(search, choice, out, name)
        curves: dict[str, list[Any]] = {key: [] for key in COLUMNS}
        kept = yield from _refine(search, choice, files, curves, clock)
        if choice.pitched:
            kept = _in_tune(search, kept)
        kept = kept[: job.count]
        chain = _tuned_effects(search, kept[0])
        patches = [(_finished(search, choice, one, chain), one.score) for one in kept]
        result = files.finish(patches, search.recipe.distillation.steps)
        path = out.partial / CURVES
        atomic_output.write_json(path, {"kind": job.kind, "prompt": job.prompt} | curves)
        result |= {"renderer": patches[0][0].renderer, "why": choice.why}
        result |= {"pitched": choice.pitched, "curves": out.final(path)}
    yield clock.done(result)


def _search(job: DesignPatch, models: Models) -> _Search:
    """Load what the job names; `ValueError` when its sound is longer than the prior's."""
    prior = models.prior(job.model, [job.prompt])
    if job.duration is not None and job.duration > prior.max_seconds:
        limit = f"at most {prior.max_seconds:g} with the model {prior.name}"
        raise ValueError(f"duration must be {limit}, got {job.duration:g}")
    recipe = RECIPES[job.recipe]
    steps = job.steps or recipe.distillation.steps
    if job.like is not None:
        recipe = replace(recipe, fit_steps=max(recipe.fit_steps, FIT_STEPS))
        steps = steps if job.prompt else 0  # the prior has nothing to say
    asked = Wishes() if job.recipe == "paper" else wishes(job.prompt)
    longest = prior.max_seconds
    most = job.duration or min(LONGEST, longest)
    like = None if job.like is None else recording(job.like, prior.sample_rate, most)
    if like is None:
        seconds = job.duration or min(asked.seconds, longest)
    else:
        length = like.shape[-1] / prior.sample_rate
        seconds = job.duration or min(max(SHORTEST, length), most)
    return _Search(
        job=job,
        prior=prior,
        recipe=replace(recipe, distillation=replace(recipe.distillation, steps=steps)),
        start=start_of(job),
        wishes=asked,
        seconds=seconds,
        sought=sought_sound(models, job.prompt, like, prior.sample_rate),
        generator=torch.Generator().manual_seed(job.seed),
    )


def _choose(
    search: _Search, models: Models, clock: worker_loop.Clock
) -> Generator[Event, None, _Choice]:
    """Where the search begins: with the renderer that does better, in tune where it has a pitch."""
    job, generator = search.job, search.generator
    more = max(search.recipe.candidates, search.recipe.starts) - 1
    if job.matrix != AUTO:
        found = attempts(
            job, models, search.start, more, generator, search.sought.vector, search.family
        )
        found = _that_can(search, found)
        return (yield from _try(search, found, clock))
    ranked: list[Found] = []
    ranking = rank_algorithms(
        job, models, search.sought.search, search.samples, search.prior.sample_rate, generator
    )
    for algorithm in ranking:
        ranked.append(algorithm)
        fraction = RANKING * len(ranked) / len(DIFFERENT)
        yield clock.progress(fraction, f"algorithm {algorithm.number}")
    found = best_attempts(ranked, more, generator)
    top = best(ranked, 1)[0]
    pitched = _pitched(search, top.renderer, top.u[0])
    why = f"the algorithms that suit best, {top.number} before others"
    return _Choice(_voices(search, found, pitched), pitched, why, RANKING)


def _that_can(search: _Search, found: list[Attempt]) -> list[Attempt]:
    """Those whose synth has the knobs for what the words ask for; all, where none has."""
    able = [
        one
        for one in found
        if followed_by(search.wishes.bounds, [p.name for p in one.renderer.params])
    ]
    return able or found


def _why_one(search: _Search) -> str:
    asked = search.job.renderer != "auto" or search.start is not None
    return "asked for" if asked else "only it can do what the words say"


def _try(
    search: _Search, found: Sequence[Attempt], clock: worker_loop.Clock
) -> Generator[Event, None, _Choice]:
    """Score the candidates of each renderer; go on with the one that has the best."""
    unsure = search.job.pitched is None and search.wishes.pitched is None
    if len(found) == 1 and (not unsure or search.start or search.job.recipe == "paper"):
        pitched = _pitched(search, found[0].renderer, None)
        return _Choice(_voices(search, found, pitched), pitched, _why_one(search), 0.0)
    none = replace(search.recipe.distillation, steps=0)
    trial = replace(search.recipe, distillation=none, generated=0, generations=0, fit_steps=0)
    tried: list[Step] = []
    for k, (renderer, u0) in enumerate(found):
        played = _voice(search, renderer, search.family)
        for step in _distill(search, played, u0, trial, 1):
            fraction = TRIAL * (k + step.index / step.of) / len(found)
            yield clock.progress(fraction, f"trying {renderer.name}", _figures(step))
        tried.append(step)
    first = max(range(len(found)), key=lambda k: tried[k].score)
    scores = ", ".join(
        f"{one.renderer.name} {step.score:.3f}" for one, step in zip(found, tried, strict=True)
    )
    why = f"the best score of its candidates: {scores}" if len(found) > 1 else _why_one(search)
    pitched = _pitched(search, found[first].renderer, tried[first].best_u)
    return _Choice(_voices(search, [found[first]], pitched), pitched, why, TRIAL)


def _pitched(search: _Search, renderer: Renderer, u: Tensor | None) -> bool | None:
    """Whether the sound has a pitch: as asked, as the words say, as the recording or else a patch
    u [P] sounds.
    """
    if search.job.pitched is not None:
        return search.job.pitched
    if search.start or search.job.recipe == "paper":
        return None  # its ratios are what was asked for
    if search.wishes.pitched is not None or u is None:
        return search.wishes.pitched
    rate, sound = search.prior.sample_rate, search.sought.recording
    if sound is None:
        note = note_of(search.job, search.start)
        with torch.no_grad():
            sound = renderer.render(u[None].double(), note, rate, search.samples)[0]
    return has_pitch(sound[None].float(), rate)


def _voices(
    search: _Search, found: Sequence[Attempt], pitched: bool | None
) -> list[tuple[Voice, Tensor]]:
    family = search.wishes.family if pitched else "free"
    return [(_voice(search, renderer, family), u0) for renderer, u0 in found]


def _voice(search: _Search, renderer: Renderer, family: Family) -> Voice:
    return voice(renderer, bounds=search.wishes.bounds, family=family, chain=search.effects)


def _begin(search: _Search, choice: _Choice, out: atomic_output.Output, name: str) -> SearchFiles:
    """The files of the search, with the patch that is to be beaten; a start as it is."""
    played, u0 = choice.attempts[0]
    first = search.start or _preset(search, played, u0[0], search.effects)
    return begin_search(
        out,
        name,
        first,
        prompt=search.job.prompt,
        rate=search.prior.sample_rate,
        match=search.sought.evaluation,
    )


def _distill(
    search: _Search, played: Voice, u0: Tensor, recipe: PatchRecipe, count: int
) -> Iterator[Step]:
    rate = search.prior.sample_rate
    return distill(
        played.render_function(note_of(search.job, search.start), rate, search.samples),
        search.prior,
        search.job.prompt,
        played.settle(u0),
        recipe=recipe,
        generator=search.generator,
        score=search.sought.search,
        count=count,
        like=search.sought.recording if recipe.generations or recipe.fit_steps else None,
    )


def _refine(
    search: _Search,
    choice: _Choice,
    files: SearchFiles,
    curves: dict[str, list[Any]],
    clock: worker_loop.Clock,
) -> Generator[Event, None, list[_Kept]]:
    """Distill every attempt; return the best patches that differ, of the highest search scores.

    Progress goes on to 1; each step appends a row to `curves`.
    """
    job, begun, count = search.job, choice.fraction, len(choice.attempts)
    kept: list[_Kept] = []
    for k, (played, u0) in enumerate(choice.attempts):
        highest = max((one.score for one in kept), default=-math.inf)  # of the attempts before
        for step in _distill(search, played, u0, search.recipe, MOST):
            figures = _figures(step)
            score = max(highest, step.score)
            scored = score if score > -math.inf else None
            row = (k * step.of + step.index, step.stage, step.t, figures.get("loss"), scored)
            for key, value in zip(curves, row, strict=True):
                curves[key].append(value)
            fraction = begun + (1 - begun) * row[0] / (count * step.of)
            yield clock.progress(fraction, step.stage, figures | files.figures)
            if step.improved and step.score > highest and files.previews.due():
                patch = _preset(search, played, step.best_u, search.effects)
                if preview := files.preview(job.id, patch, step=row[0], score=step.score):
                    yield preview
        if step.index < step.of:  # it ended early
            yield clock.progress(begun + (1 - begun) * (k + 1) / count, step.stage)
        found = zip(step.candidates, step.scores.tolist(), strict=True)
        kept += [_Kept(played, u, worth) for u, worth in found]
    return sorted(kept, key=lambda one: -one.score)


def _in_tune(search: _Search, kept: list[_Kept]) -> list[_Kept]:
    """Those whose sound is in tune with the key, a bell's strike note: a filter may leave nothing
    but noise of what the knobs promise. All, where none is.
    """
    rate, note = search.prior.sample_rate, note_of(search.job, search.start)

    def on_key(one: _Kept) -> bool:
        with torch.no_grad():
            sound = one.voice.render_function(note, rate, search.samples)(one.u[None])
        heard = audio_files.mono(sound[0])
        if search.wishes.family == "bell":
            return abs(cents(yin(heard, rate), note.hz)) <= CENTS
        return in_tune_share(heard, rate, note.hz) >= IN_TUNE

    return [one for one in kept if on_key(one)] or kept


def _tuned_effects(search: _Search, found: _Kept) -> tuple[Effect, ...]:
    """The chain that the words asked for, with the settings that the search scorer likes best."""
    chain, score = search.effects, search.sought.search
    if search.start or score is None or not chain:
        return chain
    rate = search.prior.sample_rate
    dry = replace(found.voice, effects=())
    with torch.no_grad():
        note = note_of(search.job, None)
        sound = dry.render_function(note, rate, search.samples)(found.u[None])
        return tune(chain, sound, rate, score)


def _preset(search: _Search, played: Voice, u: Tensor, chain: tuple[Effect, ...]) -> Preset:
    """The knobs u [P] of a voice as a preset that says where it comes from, level and as long as
    it sounds.
    """
    job, prior, rate = search.job, search.prior, search.prior.sample_rate
    preset = Preset(
        name=(job.prompt or Path(str(job.like)).stem)[:200],
        renderer=played.renderer.name,
        renderer_version=played.renderer.version,
        values=to_values(played.renderer, played.settle(u[None])[0]),
        note=note_of(job, search.start).number,
        seconds=search.seconds,
        effects=chain,
        prompt=job.prompt,
        seed=job.seed,
        provenance=Provenance(
            code=VERSION,
            model=prior.name,
            model_hash=model_hash(prior),
            method=f"distill/{job.recipe}",
        ),
    )
    if job.recipe != "paper":
        preset = timed(preset, rate=rate)
    return levelled(preset, rate=rate, loudness=job.loudness)


def _finished(search: _Search, choice: _Choice, one: _Kept, chain: tuple[Effect, ...]) -> Preset:
    """What is written of a patch: one with a pitch does not drift below what is heard."""
    preset, rate = _preset(search, one.voice, one.u, chain), search.prior.sample_rate
    if not choice.pitched or search.start:
        return preset
    return levelled(steady(preset, rate=rate), rate=rate, loudness=search.job.loudness)


def _figures(step: Step) -> dict[str, float]:
    """What is known after a step: the first ones rate nothing yet."""
    figures = {"loss": float(step.loss.min())} if step.stage in ("fit", "distill") else {}
    return figures | ({"score": step.score} if step.score > -math.inf else {})
