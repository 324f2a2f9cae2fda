"""THE SEAM: the one process where presets, renderers and priors meet. Run with -m, never imported.

    echo '{"kind": "render", "id": "1", "preset": "bell.json", ...}' | python -m bridge.worker

One job a line in, one event a line out (`bridge.protocol.jobs`), files by path. A module is a
story, and its jobs are generators, so a job stops between any two of their events; the models stay
loaded from job to job.

- `patch`: prompt to patch.
- `separate`: track to stems.
- `suggest`: what is in a track.
- `render`: preset to sound file.
- `export`: preset to files of other synths, each heard in its engine where that is here.
- `edit`: a preset changed by words.
- `variations`: presets near a preset, and on the way to another.
- `probe`: what `doctor` asks.
- `evaluate`: the scoreboard.
- `models`: prior, evaluation scorer, search scorer, tagger and banks, loaded once.
"""

from __future__ import annotations

from bridge.protocol import worker_loop
from bridge.protocol.jobs import (
    DesignPatch,
    EditPreset,
    Evaluate,
    Export,
    Job,
    Morph,
    Probe,
    Record,
    RenderPreset,
    Separate,
    Suggest,
    Vary,
)
from bridge.worker.edit import edit_preset
from bridge.worker.evaluate import evaluate
from bridge.worker.export import export_preset
from bridge.worker.models import Models
from bridge.worker.patch import design_patch
from bridge.worker.probe import probe
from bridge.worker.render import render_preset
from bridge.worker.separate import separate_track
from bridge.worker.suggest import suggest_prompts
from bridge.worker.variations import morph_presets, vary_preset

__all__ = ["Models", "work"]


def work(job: Job, models: Models) -> worker_loop.Events:
    """The events of one job; exceptions come through."""
    match job:
        case DesignPatch():
            return design_patch(job, models)
        case Separate():
            return separate_track(job, models)
        case Suggest():
            return suggest_prompts(job, models)
        case RenderPreset():
            return render_preset(job)
        case Export():
            return export_preset(job)
        case EditPreset():
            return edit_preset(job, models)
        case Vary():
            return vary_preset(job)
        case Morph():
            return morph_presets(job)
        case Evaluate():
            return evaluate(job, models)
        case Probe():
            return probe(job, models)
        case Record():
            raise ValueError("a recording is made by bridge.recorder, not by a worker")
