"""THE SEAM: the one process where presets, renderers and priors meet. Run with -m, never imported.

    echo '{"kind": "render", "id": "1", "preset": "bell.json", ...}' | python -m bridge.worker

One job a line in, one event a line out (`bridge.protocol.jobs`), files by path. A module is a
story, and its jobs are generators, so a job stops between any two of their events; the models stay
loaded from job to job.

- `__main__`: `python -m bridge.worker`: jobs from stdin, events to stdout.
- `asked_voice`: The voice that a search plays: its knobs where words and tuning want them, behind
  its effects.
- `changed_part`: A recording that is changed in part: what stays, and new sound for the rest.
- `convert`: Convert a released checkpoint of multi-source diffusion to safetensors.
- `copycheck`: Find the training recording that a file is nearest to.
- `delivery`: How a patch that was found is handed over: as long as it sounds, and as loud as
  others.
- `edit`: Edit a preset by words: "the same, but darker".
- `effect_settings`: Try settings of a patch's effects: how wet, driven, long or dark.
- `evaluate`: Run the scoreboard as a job: measure the rows, write the page.
- `export`: Export a preset to files of other synths, each played in its real engine where
  installed.
- `generate`: Generate sounds by prompts: one WAV a clip, with all that makes it again and what it
  is near.
- `initial_patches`: Choose where a search for a patch begins: the renderer, and candidates for
  its knobs.
- `made_set`: Write a stem set that was made: its stems, given ones as they came, and the mix of
  all.
- `mixture`: Read a recording to separate in pieces, and measure where it is loud.
- `models`: What the stories share: prior, scorers, tagger, banks and copy index, loaded once and
  kept.
- `multitrack`: Generate stem sets, and stems that go with given ones.
- `needs`: The memory and minutes that each recipe needs here with a model: lines of `doctor`.
- `part`: Do a share of a job for an engine that has several machines.
- `patch`: Prompt to patch: search, fit and distill the knobs of a renderer towards a prompt.
- `playables`: The presets that the suite `playable` plays: those of the factory, and those beside
  the data.
- `probe`: Check whether kernel, model and evaluation scorer work here, for `doctor`.
- `render`: Render a preset to a sound file.
- `saved_patches`: Write the files of a search: its first patch, previews of the best so far, and
  the last ones.
- `search`: One search for a patch, from one seed: where it begins, how it goes on, what it found.
- `search_store`: Keep finished searches on disk, and how far another one is, from which a killed
  job goes on.
- `separate`: Separate a track of any length into stems; a killed job goes on at its last finished
  window.
- `sought_sound`: What a search looks for, as its scorers hear it: a prompt, a recording, or both.
- `stem_writer`: Write a stem set block by block, and measure its levels on the way.
- `suggest`: Suggest prompts for a track, and find which prompts of a separation are in it.
- `take_apart`: Take a mixture apart into classes of stems, window by window, by the model that
  makes them.
- `variations`: Write variations of a preset, and morphs between two, each with its sound.
- `window_store`: Keep finished windows on disk, from which a killed separation goes on.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from bridge.protocol import worker_loop
from bridge.protocol.jobs import Job
from bridge.protocol.kinds import JobKind, kind_of
from bridge.worker.models import Models, within_memory

__all__ = ["Models", "function_of", "work"]


def work(job: Job, models: Models) -> worker_loop.Events:
    """The events of one job; exceptions come through, a full memory as `NotEnoughMemory`."""
    kind = kind_of(job)
    return within_memory(function_of(kind)(job, *([models] if kind.models else [])))


def function_of(kind: JobKind) -> Callable[..., worker_loop.Events]:
    """What does a job of this kind. Raises `ValueError` for one that no worker does."""
    if not kind.work:
        raise ValueError(f"{kind.name} is not done by a worker, but in a process of its own")
    module, _, name = kind.work.partition(".")
    function: Callable[..., worker_loop.Events] = getattr(
        import_module(f"bridge.worker.{module}"), name
    )
    return function
