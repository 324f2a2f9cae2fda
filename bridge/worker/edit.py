"""A preset changed by words: "the same, but darker"."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from bridge import outputs, pipe, stems
from bridge.jobs import Best, EditPreset
from bridge.worker.keeping import Previews, keep, liking
from bridge.worker.models import VERSION, Models, model_hash
from presets import Note, Provenance, load
from renderers import for_preset, from_values, to_values
from sds.edit import EDIT, edit


def edit_preset(job: EditPreset, models: Models) -> pipe.Events:
    """Move a patch by what "kick, darker" says and "kick" does not, until it has gone that way.

    The ear chooses what is kept, by how much more it hears the new prompt than the old; the judge
    scores the new prompt before and after.
    """
    clock = pipe.Clock(job.id)
    yield clock.progress(0.0, "loading the model")
    start = load(job.preset)
    old = job.old or start.prompt or start.name
    new = f"{old}, {job.prompt}"
    prior, judge, ear = models.prior(job.model, [old, new]), models.judge(), models.ear()
    rate, renderer = prior.sample_rate, for_preset(start)
    seconds = min(start.seconds, prior.max_seconds)
    samples, note = round(seconds * rate), Note(start.note)
    recipe = replace(EDIT, steps=job.steps or EDIT.steps)
    match = liking(judge, new, rate) if judge else None

    def further(sound: Tensor) -> Tensor:
        if ear is None:
            raise RuntimeError("there is no ear")
        both = ear.similarity(sound, rate, [new, old])
        return both[:, 0] - both[:, 1]

    with outputs.folder(Path(job.out)) as out:
        name = stems.slug(f"{start.name} {job.prompt}")
        path = out.scratch / "initial"
        before = keep(start, path, rate=rate, match=match, before=None, steps=0)
        initial = path.with_suffix(".wav").rename(out.partial / f"{name}__initial.wav")
        provenance = Provenance(
            code=VERSION, model=prior.name, model_hash=model_hash(prior), method="edit"
        )
        facts = {"prompt": new, "seed": job.seed, "provenance": provenance}
        patch = start.model_copy(update=facts | {"name": f"{start.name}, {job.prompt}"[:200]})
        previews = Previews(out.scratch)
        for step in edit(
            lambda u: renderer.render(u, note, rate, samples).float(),
            prior,
            old,
            new,
            from_values(renderer, start.values),
            recipe=recipe,
            generator=torch.Generator().manual_seed(job.seed),
            score=further if ear else None,
        ):
            figures = {"loss": float(step.loss.min()), "score": step.score}
            yield clock.progress(step.index / step.of, "edit", figures)
            if step.improved:
                patch = patch.model_copy(update={"values": to_values(renderer, step.best_u)})
                if preview := previews.next(step.index):
                    keep(patch, preview, rate=rate, match=match, before=before, steps=step.index)
                    yield Best(
                        id=job.id,
                        step=step.index,
                        score=step.score,
                        preset=f"{preview}.json",
                        wav=f"{preview}.wav",
                    )
        path = out.partial / name
        after = keep(patch, path, rate=rate, match=match, before=before, steps=recipe.steps)
        result = {
            "preset": out.final(out.partial / f"{name}.json"),
            "wav": out.final(out.partial / f"{name}.wav"),
            "initial_wav": out.final(initial),
            "prompt": new,
            "changed": patch.values != start.values,
            "score_before": before,
            "score_after": after,
            "steps": recipe.steps,
        }
    yield clock.done(result)
