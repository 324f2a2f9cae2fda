"""One search for a patch, from one seed: where it begins, how it goes on, what it found."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from bridge.protocol.events import Event, Progress
from bridge.protocol.patch_jobs import AUTO, MOST, DesignPatch
from bridge.protocol.worker_loop import Clock
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
from bridge.worker.saved_patches import SearchFiles
from bridge.worker.search_store import Choice, FinishedSearch, Kept, SearchStore, Standing
from bridge.worker.sought_sound import Sought, recording, sought_sound
from presets import Effect, Preset, Provenance
from presets.prompt_words import Family, Wishes, followed_by, wishes
from renderers import Renderer, to_values
from renderers.algorithms import DIFFERENT, Found, best
from sds.distillation.distill import Step, distill
from sds.distillation.family_recipes import for_family
from sds.distillation.recipes import RECIPES, PatchRecipe
from sds.distillation.search_state import SearchState
from sds.metrics.pitch import cents, yin
from sds.metrics.tuning import CENTS, in_tune_share
from sds.priors.base import Prior
from sds.signal import audio_files

RANKING = 0.25  # of a search's time, about, in which algorithms are compared
TRIAL = 0.1  # likewise, in which renderers are
FIT_STEPS = 60  # of Adam towards a recording, at least
SHORTEST, LONGEST = 0.25, 10.0  # seconds that are fitted of a recording
IN_TUNE = 0.9  # of the energy of the strongest partials, on harmonics of the key


@dataclass(frozen=True, slots=True)
class Search:
    """What all stages of one search share.

    `sought` is what is scored; `start` the preset to begin around, None for the bank's; `seconds`
    how long a sound is. All random numbers come from `generator`, which begins at `seed`.
    """

    job: DesignPatch
    seed: int
    prior: Prior
    recipe: PatchRecipe
    start: Preset | None
    wishes: Wishes
    seconds: float
    sought: Sought
    generator: torch.Generator

    def from_seed(self, seed: int) -> Search:
        """The same search from another seed, at its beginning."""
        return replace(self, seed=seed, generator=torch.Generator().manual_seed(seed))

    @property
    def name(self) -> str:
        """What its presets are called."""
        return (self.job.prompt or Path(str(self.job.like)).stem)[:200]

    def named(self, preset: Preset) -> Preset:
        """A preset under that name: one that an earlier run left may have another."""
        return preset.model_copy(update={"name": self.name})

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
class Stretch:
    """The part of a job's progress, from `begin` to `end`, that is a search's."""

    clock: Clock
    begin: float = 0.0
    end: float = 1.0

    def progress(
        self, fraction: float, stage: str, figures: dict[str, float] | None = None
    ) -> Progress:
        """As that of the clock, of a fraction of the search."""
        return self.clock.progress(self._whole(fraction), stage, figures)

    def resume(self, fraction: float) -> None:
        """As that of the clock, of a fraction of the search."""
        self.clock.resume(self._whole(fraction))

    def _whole(self, fraction: float) -> float:
        return self.begin + (self.end - self.begin) * fraction


def load_search(job: DesignPatch, models: Models) -> Search:
    """Load what the job names; `ValueError` when its sound is longer than the prior's."""
    prior = models.prior(job.model, [job.prompt])
    if job.duration is not None and job.duration > prior.max_seconds:
        limit = f"at most {prior.max_seconds:g} with the model {prior.name}"
        raise ValueError(f"duration must be {limit}, got {job.duration:g}")
    recipe = RECIPES[job.recipe]
    steps = job.steps or recipe.distillation.steps
    if job.denoise_steps is not None:
        if not steps:
            raise ValueError(
                "denoise_steps is of the distillation, so it needs steps, or the recipe paper"
            )
        sds = replace(recipe.distillation, denoise_steps=job.denoise_steps)
        recipe = replace(recipe, distillation=sds)
    if job.like is not None:
        recipe = replace(recipe, fit_steps=max(recipe.fit_steps, FIT_STEPS))
        steps = steps if job.prompt else 0  # the prior has nothing to say
    recipe = replace(recipe, distillation=replace(recipe.distillation, steps=steps))
    told = f"patch --recipe {job.recipe}" + (f" --steps {job.steps}" if job.steps else "")
    recipe = for_family(recipe, prior, what=told)
    asked = Wishes() if job.recipe == "paper" else wishes(job.prompt)
    longest = prior.max_seconds
    most = job.duration or min(LONGEST, longest)
    like = None if job.like is None else recording(job.like, prior.sample_rate, most)
    if like is None:
        seconds = job.duration or min(asked.seconds, longest)
    else:
        length = like.shape[-1] / prior.sample_rate
        seconds = job.duration or min(max(SHORTEST, length), most)
    return Search(
        job=job,
        seed=job.seed,
        prior=prior,
        recipe=recipe,
        start=start_of(job),
        wishes=asked,
        seconds=seconds,
        sought=sought_sound(models, job.prompt, like, prior.sample_rate, job.scorer),
        generator=torch.Generator().manual_seed(job.seed),
    )


def _choose(search: Search, models: Models, stretch: Stretch) -> Generator[Event, None, Choice]:
    """Where the search begins: with the renderer that does better, in tune where it has a pitch."""
    job, generator = search.job, search.generator
    more = max(search.recipe.candidates, search.recipe.starts) - 1
    if job.matrix != AUTO:
        found = attempts(
            job, models, search.start, more, generator, search.sought.vector, search.family
        )
        found = _that_can(search, found)
        return (yield from _try(search, found, stretch))
    ranked: list[Found] = []
    ranking = rank_algorithms(
        job, models, search.sought.search, search.samples, search.prior.sample_rate, generator
    )
    for algorithm in ranking:
        ranked.append(algorithm)
        fraction = RANKING * len(ranked) / len(DIFFERENT)
        yield stretch.progress(fraction, f"algorithm {algorithm.number}")
    found = best_attempts(ranked, more, generator)
    top = best(ranked, 1)[0]
    pitched = _pitched(search, top.renderer, top.u[0])
    why = f"the algorithms that suit best, {top.number} before others"
    return Choice(found, pitched, why, RANKING)


def _that_can(search: Search, found: list[Attempt]) -> list[Attempt]:
    """Those whose synth has the knobs for what the words ask for; all, where none has."""
    able = [
        one
        for one in found
        if followed_by(search.wishes.bounds, [p.name for p in one.renderer.params])
    ]
    return able or found


def _why_one(search: Search) -> str:
    asked = search.job.renderer != "auto" or search.start is not None
    return "asked for" if asked else "only it can do what the words say"


def _try(
    search: Search, found: Sequence[Attempt], stretch: Stretch
) -> Generator[Event, None, Choice]:
    """Score the candidates of each renderer; go on with the one that has the best."""
    unsure = search.job.pitched is None and search.wishes.pitched is None
    if len(found) == 1 and (not unsure or search.start or search.job.recipe == "paper"):
        pitched = _pitched(search, found[0].renderer, None)
        return Choice(list(found), pitched, _why_one(search), 0.0)
    none = replace(search.recipe.distillation, steps=0)
    trial = replace(search.recipe, distillation=none, generated=0, generations=0, fit_steps=0)
    tried: list[Step] = []
    for k, (renderer, u0) in enumerate(found):
        played = _voice(search, renderer, search.family)
        for step in _distill(search, played, u0, trial, 1):
            fraction = TRIAL * (k + step.index / step.of) / len(found)
            yield stretch.progress(fraction, f"trying {renderer.name}", _figures(step))
        tried.append(step)
    first = max(range(len(found)), key=lambda k: tried[k].score)
    scores = ", ".join(
        f"{one.renderer.name} {step.score:.3f}" for one, step in zip(found, tried, strict=True)
    )
    why = f"the best score of its candidates: {scores}" if len(found) > 1 else _why_one(search)
    pitched = _pitched(search, found[first].renderer, tried[first].best_u)
    return Choice([found[first]], pitched, why, TRIAL)


def _pitched(search: Search, renderer: Renderer, u: Tensor | None) -> bool | None:
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


def _played(search: Search, choice: Choice, attempt: int) -> Voice:
    """The voice of an attempt, by its number."""
    family = search.wishes.family if choice.pitched else "free"
    return _voice(search, choice.attempts[attempt].renderer, family)


def _voice(search: Search, renderer: Renderer, family: Family) -> Voice:
    return voice(renderer, bounds=search.wishes.bounds, family=family, chain=search.effects)


def _distill(
    search: Search,
    played: Voice,
    u0: Tensor,
    recipe: PatchRecipe,
    count: int,
    state: SearchState | None = None,
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
        state=state,
    )


def run_search(
    search: Search,
    models: Models,
    store: SearchStore,
    stretch: Stretch,
    begin: Callable[[Preset], SearchFiles] | None = None,
) -> Generator[Event, None, FinishedSearch]:
    """Do a search; or what remains of one that was stopped, with the bytes of one in one go.

    How far it is goes to `store`, at most every `KEEP_GAP` seconds. `begin` gets the patch that is
    to be beaten, once it is known, and gives the files in which previews are shown.
    """
    standing = store.standing(search.seed)
    if standing is None:
        choice = yield from _choose(search, models, stretch)
        standing = Standing(choice, [], [], 0, search.generator.get_state())
        if store.due():
            store.keep(search.seed, standing)
    first = _first(search, standing.choice)
    files = begin(first) if begin else None
    while standing.attempt < len(standing.choice.attempts):
        standing = yield from _attempt(search, standing, store, files, stretch)
    return _finish(search, first, standing)


def _first(search: Search, choice: Choice) -> Preset:
    """The patch that is to be beaten: the start as it is, or the first candidate."""
    if search.start is not None:
        return search.start
    return _preset(search, _played(search, choice, 0), choice.attempts[0].u0[0], search.effects)


def _attempt(
    search: Search,
    begun: Standing,
    store: SearchStore,
    files: SearchFiles | None,
    stretch: Stretch,
) -> Generator[Event, None, Standing]:
    """Distill the attempt that a search is in, or what remains of it; how far the search then is.

    Each step appends a row to the curves.
    """
    choice, number, count = begun.choice, begun.attempt, len(begun.choice.attempts)
    played, u0 = _played(search, choice, number), choice.attempts[number].u0
    highest = max((one.score for one in begun.kept), default=-math.inf)  # of the attempts before
    rows, state, resumed = list(begun.rows), begun.state, begun.state is not None
    before = len(rows) - (state.index if state else 0)
    found, stage, whole = state.best(MOST) if state else (u0[:0], u0[:0, 0]), "search", False
    search.generator.set_state(begun.random)
    for step in _distill(search, played, u0, search.recipe, MOST, state):
        found, stage, whole = (step.candidates, step.scores), step.stage, step.index == step.of
        figures, score = _figures(step), max(highest, step.score)
        row = number * step.of + step.index
        scored = score if score > -math.inf else None
        rows.append((row, step.stage, step.t, figures.get("loss"), scored))
        if step.state is not None and store.due():
            known = rows[: before + step.state.index]
            here = replace(begun, rows=known, state=step.state)
            store.keep(search.seed, here)
        fraction = choice.fraction + (1 - choice.fraction) * row / (count * step.of)
        if resumed:
            stretch.resume(fraction)
            resumed = False
        yield stretch.progress(fraction, step.stage, figures | (files.figures if files else {}))
        if files and step.improved and step.score > highest and files.due(step.score):
            patch = _preset(search, played, step.best_u, search.effects)
            if preview := files.preview(search.job.id, patch, step=row, score=step.score):
                yield preview
    if not whole:  # it ended early
        yield stretch.progress(
            choice.fraction + (1 - choice.fraction) * (number + 1) / count, stage
        )
    new = [Kept(number, u, score) for u, score in zip(found[0], found[1].tolist(), strict=True)]
    random = search.generator.get_state()
    ended = Standing(choice, [*begun.kept, *new], rows, number + 1, random)
    store.keep(search.seed, ended)
    return ended


def _finish(search: Search, first: Preset, standing: Standing) -> FinishedSearch:
    """The best patches of all attempts as they are written, in tune where one is."""
    choice = standing.choice
    kept, in_tune = sorted(standing.kept, key=lambda one: -one.score), True
    if choice.pitched:
        fitting = [one for one in kept if _on_key(search, choice, one)]
        kept, in_tune = fitting or kept, bool(fitting)
    kept = kept[: search.job.count]
    chain = _tuned_effects(search, choice, kept[0])
    patches = [(_finished(search, choice, one, chain), one.score) for one in kept]
    return FinishedSearch(
        search.seed, first, patches, choice.pitched, choice.why, in_tune, standing.rows
    )


def _on_key(search: Search, choice: Choice, one: Kept) -> bool:
    """Whether its sound is in tune with the key, a bell's strike note: a filter may leave nothing
    but noise of what the knobs promise.
    """
    rate, note = search.prior.sample_rate, note_of(search.job, search.start)
    played = _played(search, choice, one.attempt)
    with torch.no_grad():
        sound = played.render_function(note, rate, search.samples)(one.u[None])
    heard = audio_files.mono(sound[0])
    if search.wishes.family == "bell":
        return abs(cents(yin(heard, rate), note.hz)) <= CENTS
    return in_tune_share(heard, rate, note.hz) >= IN_TUNE


def _tuned_effects(search: Search, choice: Choice, found: Kept) -> tuple[Effect, ...]:
    """The chain that the words asked for, with the settings that the search scorer likes best."""
    chain, score = search.effects, search.sought.search
    if search.start or score is None or not chain:
        return chain
    rate = search.prior.sample_rate
    dry = replace(_played(search, choice, found.attempt), effects=())
    with torch.no_grad():
        note = note_of(search.job, None)
        sound = dry.render_function(note, rate, search.samples)(found.u[None])
        return tune(chain, sound, rate, score)


def _preset(search: Search, played: Voice, u: Tensor, chain: tuple[Effect, ...]) -> Preset:
    """The knobs u [P] of a voice as a preset that says where it comes from, level and as long as
    it sounds.
    """
    job, prior, rate = search.job, search.prior, search.prior.sample_rate
    preset = Preset(
        name=search.name,
        renderer=played.renderer.name,
        renderer_version=played.renderer.version,
        values=to_values(played.renderer, played.settle(u[None])[0]),
        note=note_of(job, search.start).number,
        seconds=search.seconds,
        effects=chain,
        prompt=job.prompt,
        seed=search.seed,
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


def _finished(search: Search, choice: Choice, one: Kept, chain: tuple[Effect, ...]) -> Preset:
    """What is written of a patch: one with a pitch does not drift below what is heard."""
    played, rate = _played(search, choice, one.attempt), search.prior.sample_rate
    preset = _preset(search, played, one.u, chain)
    if not choice.pitched or search.start:
        return preset
    return levelled(steady(preset, rate=rate), rate=rate, loudness=search.job.loudness)


def _figures(step: Step) -> dict[str, float]:
    """What is known after a step: the first ones rate nothing yet."""
    figures = {"loss": float(step.loss.min())} if step.stage in ("fit", "distill") else {}
    return figures | ({"score": step.score} if step.score > -math.inf else {})
