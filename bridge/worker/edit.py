"""Edit a preset by words: "the same, but darker"."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bridge.files import atomic_output, names
from bridge.protocol import worker_loop
from bridge.protocol.events import Event
from bridge.protocol.patch_jobs import EditPreset
from bridge.worker.delivery import softened
from bridge.worker.models import VERSION, Models, model_hash
from bridge.worker.saved_patches import SearchFiles, begin_search
from bridge.worker.sought_sound import similarity_function
from presets import Note, Preset, Provenance, load
from renderers import for_preset, from_values, to_values
from renderers.variations import pitch_knobs
from sds.distillation.delta_denoising import EDIT, edit
from sds.distillation.descriptor_edit import FIT, Trait, reshape, trait
from sds.distillation.distill import RenderFn, Step
from sds.priors.base import Prior
from sds.priors.families import require_posterior_mean
from sds.similarity.two_tower import TwoTowerScorer

RATE = 44100  # where no prior has one


def edit_preset(job: EditPreset, models: Models) -> worker_loop.Events:
    """Fit a patch to its own sound made darker, longer, ...; for other words, ask the prior.

    The prior moves it by what "kick, like glass" says and "kick" does not, and the search scorer
    chooses what is kept, by how much more it scores the new prompt than the old. Knobs of pitch
    stay. The evaluation scorer scores the new prompt before and after.
    """
    clock = worker_loop.Clock(job.id)
    yield clock.progress(0.0, "loading the model")
    start = load(job.preset)
    old = job.old or start.prompt or start.name
    new = f"{old}, {job.prompt}"
    wanted = trait(job.prompt)
    evaluation_scorer = models.evaluation_scorer()
    if wanted:
        prior, rate, steps = None, RATE, _edit_descriptors(job, start, wanted)
    else:
        prior = models.prior(job.model, [old, new])
        instead = "use words such as darker or longer, which ask no model, or the base model"
        require_posterior_mean(prior, "edit", instead)
        rate, steps = prior.sample_rate, _edit_by_prompts(job, start, prior, models, old, new)
    match = similarity_function(evaluation_scorer, new, rate) if evaluation_scorer else None
    with atomic_output.folder(Path(job.out), job.terms, stale=[atomic_output.RESULT]) as out:
        name = _file_name(job, start)
        out.expect(*names.patch_files(name))
        files = begin_search(out, name, start, prompt=new, rate=rate, match=match)
        patch = _begin_edit(job, start, prior, new, wanted)
        patch, done = yield from _follow(job, patch, steps, files, clock)
        changed = patch.values != start.values
        result = files.finish([(softened(patch, rate=rate) if changed else patch, None)], done)
        result |= {"prompt": new, "changed": changed}
    yield clock.done(result)


def _file_name(job: EditPreset, start: Preset) -> str:
    """The name of the result without suffix, never that of the preset which is edited."""
    name = names.slug(f"{start.name} {job.prompt}", otherwise="preset")
    target = Path(job.out) / f"{name}.json"
    if target.exists() and target.samefile(job.preset):
        name += "-edited"  # words without a letter of a file name: the start must stay
    return name


def _begin_edit(
    job: EditPreset, start: Preset, prior: Prior | None, new: str, wanted: Trait | None
) -> Preset:
    """The values of the start under the name, prompt and provenance of the result."""
    provenance = Provenance(
        code=VERSION,
        model=prior.name if prior else "",
        model_hash=model_hash(prior) if prior else "",
        method="edit" if prior else "reshape",
    )
    facts: dict[str, Any] = {"prompt": new, "seed": job.seed, "provenance": provenance}
    if wanted:
        facts |= {"seconds": _length(start, wanted), "held": _held(start, wanted)}
    return start.model_copy(update=facts | {"name": f"{start.name}, {job.prompt}"[:200]})


def _follow(
    job: EditPreset,
    patch: Preset,
    steps: Iterator[Step],
    files: SearchFiles,
    clock: worker_loop.Clock,
) -> Generator[Event, None, tuple[Preset, int]]:
    """Take the steps of an edit; return the best patch and how many steps there were."""
    done, renderer = 0, for_preset(patch)
    for step in steps:
        done = step.of
        figures = {"loss": float(step.loss.min()), "score": step.score} | files.figures
        yield clock.progress(step.index / step.of, "edit", figures)
        if step.improved:
            patch = patch.model_copy(update={"values": to_values(renderer, step.best_u)})
            if best := files.preview(job.id, patch, step=step.index, score=step.score):
                yield best
    return patch, done


def _length(start: Preset, wanted: Trait) -> float:
    """Seconds of the changed sound: what is to ring longer needs the room for it."""
    return min(60.0, start.seconds * math.exp2(max(0.0, wanted.stretch)))


def _held(start: Preset, wanted: Trait | None) -> float | None:
    """Seconds for which the key of the changed sound is down, the same part of its length."""
    if start.held is None or wanted is None:
        return start.held
    return min(60.0, start.held * _length(start, wanted) / start.seconds)


def _edit_descriptors(job: EditPreset, start: Preset, wanted: Trait) -> Iterator[Step]:
    renderer = for_preset(start)
    return reshape(
        _render_function(start, RATE, _length(start, wanted), _held(start, wanted)),
        wanted,
        from_values(renderer, start.values),
        rate=RATE,
        held=pitch_knobs(renderer),
        recipe=replace(FIT, steps=job.steps or FIT.steps),
    )


def _edit_by_prompts(
    job: EditPreset, start: Preset, prior: Prior, models: Models, old: str, new: str
) -> Iterator[Step]:
    renderer, rate, search_scorer = for_preset(start), prior.sample_rate, models.search_scorer()

    def further(sound: Tensor, search_scorer: TwoTowerScorer) -> Tensor:
        both = search_scorer.similarity(sound, rate, [new, old])
        return both[:, 0] - both[:, 1]

    return edit(
        _render_function(start, rate, min(start.seconds, prior.max_seconds), start.held),
        prior,
        old,
        new,
        from_values(renderer, start.values),
        recipe=replace(EDIT, steps=job.steps or EDIT.steps),
        generator=torch.Generator().manual_seed(job.seed),
        score=partial(further, search_scorer=search_scorer) if search_scorer else None,
        held=pitch_knobs(renderer),
    )


def _render_function(start: Preset, rate: int, seconds: float, held: float | None) -> RenderFn:
    renderer, samples = for_preset(start), round(seconds * rate)
    note = Note(start.note, held=math.inf if held is None else held)
    return lambda u: renderer.render(u, note, rate, samples).float()
