"""THE SEAM: the one process where presets, renderers and priors meet. Run with -m, never imported.

    echo '{"kind": "render", "id": "1", "preset": "bell.json", ...}' | python -m bridge.worker

One job a line in, one event a line out (`bridge.protocol.jobs`), files by path. A module is a
story, and its jobs are generators, so a job stops between any two of their events; the models stay
loaded from job to job.

- `__main__`: `python -m bridge.worker`: jobs from stdin, events to stdout.
- `edit`: A preset changed by words: "the same, but darker".
- `evaluate`: The scoreboard, as a job.
- `export`: Preset to files of other synths, each played in its real engine where that is
  installed.
- `initial_patches`: Where a search for a patch begins: which knobs there are, and the candidates
  in them.
- `mixture`: What is separated: a recording on disk, read in pieces, wholly or an excerpt of it.
- `models`: What the stories share: prior, evaluation scorer, search scorer, tagger and banks,
  loaded once and kept.
- `patch`: Story one: prompt to patch.
- `probe`: What `doctor` asks of the worker: whether kernel, model and evaluation scorer work
  here.
- `render`: Preset to sound file.
- `saved_patches`: What a search leaves behind: a patch and its sound, with what the evaluation
  scorer says; previews.
- `separate`: Story two: track to stems, of any length; killed, it goes on at the last finished
  window.
- `stem_writer`: A stem set on disk: parts written a block at a time, and measured as they pass.
- `suggest`: What is in a track: suggestions, and whether the sounds that a separation asks for
  are there.
- `variations`: Presets near a preset, and presets on the way from one to another; each with its
  sound.
- `window_store`: Finished windows on disk: what a separation that was killed goes on from.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from bridge.protocol import worker_loop
from bridge.protocol.jobs import Job
from bridge.protocol.kinds import JobKind, kind_of
from bridge.worker.models import Models

__all__ = ["Models", "function_of", "work"]


def work(job: Job, models: Models) -> worker_loop.Events:
    """The events of one job; exceptions come through."""
    kind = kind_of(job)
    events: worker_loop.Events = function_of(kind)(job, *([models] if kind.models else []))
    return events


def function_of(kind: JobKind) -> Callable[..., worker_loop.Events]:
    """What does a job of this kind. Raises `ValueError` for one that no worker does."""
    if not kind.work:
        raise ValueError(f"{kind.name} is not done by a worker, but in a process of its own")
    module, _, name = kind.work.partition(".")
    function: Callable[..., worker_loop.Events] = getattr(
        import_module(f"bridge.worker.{module}"), name
    )
    return function
