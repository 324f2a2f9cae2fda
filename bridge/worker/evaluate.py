"""Run the scoreboard as a job: measure the rows of each model, write the page."""

from __future__ import annotations

import inspect
import shlex
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import presets
import renderers
import sds
from bridge.files import atomic_output
from bridge.protocol import worker_loop
from bridge.protocol.events import Event
from bridge.protocol.jobs import ROWS, Evaluate, Part
from bridge.worker.models import Models, instrument, model_hash
from bridge.worker.playables import playables
from renderers import RENDERERS
from sds.datasets import evaluation_items
from sds.multitrack.base import MultiTrackModel
from sds.multitrack.loading import load_multi_track
from sds.priors.base import Prior
from sds.priors.checkpoints import ModelUnavailable
from sds.scoreboard import board, report
from sds.scoreboard.keys import Key, code_digest, shipped_digests, values
from sds.similarity import base

PAGES = ("scoreboard.md", "scoreboard.json")
MOST_ITEMS = 1_000_000


@dataclass(frozen=True, slots=True)
class _Scorers:
    """Who listens: the one reports, to the other searches listen."""

    evaluation: base.TextAudioSimilarity
    search: base.TextAudioSimilarity


def evaluate(job: Evaluate, models: Models) -> worker_loop.Events:
    """Run the suites with each model and write the page; a task that ended before under the same
    key is kept.

    `out` gets scoreboard.md, scoreboard.json, rows.jsonl with the rows of all keys, and what tasks
    share in scratch. Raises `ValueError` without an evaluation scorer.
    """
    clock = worker_loop.Clock(job.id)
    yield clock.progress(0.0, "loading the model")
    scorers, entries = _scorers(job, models), _entries(job)
    folder = Path(job.out)
    for page_file in PAGES:
        job.terms.check(folder / page_file)
    measured = yield from _measure(job, models, scorers, clock)
    page = _page(job, scorers, measured)
    with atomic_output.folder(folder, job.terms) as out:
        table = report.markdown(page, entries)
        (out.partial / PAGES[0]).write_text(table, encoding="utf-8")
        atomic_output.write_json(out.partial / PAGES[1], report.as_json(page, entries))
    yield clock.done(
        {
            "page": out.final(out.partial / PAGES[0]),
            "figures": out.final(out.partial / PAGES[1]),
            "rows": str(folder / ROWS),
        }
    )


def evaluate_part(part: Part, models: Models) -> worker_loop.Events:
    """Measure the rows of a share of the items, and write no page.

    Raises `ValueError` as `evaluate` does.
    """
    job = cast(Evaluate, part.job)
    clock = worker_loop.Clock(part.id)
    yield clock.progress(0.0, "loading the model")
    yield from _measure(job, models, _scorers(job, models), clock, part.share(MOST_ITEMS))
    yield clock.done({})


def _entries(job: Evaluate) -> dict[str, board.Entry]:
    """The suites that are asked for."""
    from sds.scoreboard.suites import SUITES  # what they import, no other job needs

    return {n: e for n, e in SUITES.items() if n in job.suites or "all" in job.suites}


def _measure(
    job: Evaluate,
    models: Models,
    scorers: _Scorers,
    clock: worker_loop.Clock,
    items: range | None = None,
) -> Generator[Event, None, dict[str, report.Measured]]:
    """The rows of each model; of the items of these numbers alone, where given."""
    entries = _entries(job)
    prompts = evaluation_items.prompts(Path(job.data))
    names = list({_shown(name): name for name in job.models}.values())
    for name in names:
        models.prior(name, prompts)  # one that is not there is refused now, not in an hour
    folder = Path(job.out)
    folder.mkdir(parents=True, exist_ok=True)
    measured: dict[str, report.Measured] = {}
    for index, name in enumerate(names):
        prior = models.prior(name, prompts)
        keys = row_keys(job, entries, prior, scorers.evaluation, scorers.search)
        if job.measured:
            rows = _measured_rows(folder / ROWS, keys, job.methods)
        else:
            rows = yield from _measure_rows(
                _setting(job, prior, scorers, models),
                entries,
                keys,
                clock,
                _Share(name, index, len(names), items),
                job.methods,
            )
        measured[name] = report.Measured(_weights(prior), keys, rows)
    return measured


def _scorers(job: Evaluate, models: Models) -> _Scorers:
    """Load the scorers that the job names; the evaluation scorer searches where no other can."""
    evaluation_scorer = models.evaluation_scorer(job.evaluation_scorer)
    if evaluation_scorer is None:
        raise ValueError(
            "there is no evaluation scorer here, and the scoreboard needs one: "
            "name it with --evaluation-scorer"
        )
    return _Scorers(evaluation_scorer, models.search_scorer() or evaluation_scorer)


def _page(job: Evaluate, scorers: _Scorers, measured: Mapping[str, report.Measured]) -> report.Page:
    """The page: what was measured, with what."""
    return report.Page(
        command=_command(job),
        evaluation_scorer=_weights(scorers.evaluation),
        search_scorer=_weights(scorers.search),
        data=Path(job.data).resolve().name,
        models={_shown(name): rows for name, rows in measured.items()},
    )


def _setting(job: Evaluate, prior: Prior, scorers: _Scorers, models: Models) -> board.Setting:
    """What the tasks of every suite share."""
    return board.Setting(
        data=Path(job.data),
        prior=prior,
        evaluation_scorer=scorers.evaluation,
        search_scorer=scorers.search,
        instruments=tuple(instrument(renderer, prior, models) for renderer in RENDERERS.values()),
        scratch=Path(job.out) / "scratch",
        seed=job.seed,
        networks=models.networks(),
        items=job.items,
        playables=tuple(playables(Path(job.data), prior.sample_rate)),
        multi_track=_multi_track(),
    )


def _multi_track() -> MultiTrackModel | None:
    """The shipped model of four stems; None when it is not there."""
    try:
        return load_multi_track()
    except ModelUnavailable:
        return None


@dataclass(frozen=True, slots=True)
class _Share:
    """Which model of how many is at work, for the progress, and on which items (None: all)."""

    model: str
    index: int
    of: int
    items: range | None = None

    def stage(self, words: str) -> str:
        return words if self.of == 1 else f"{_shown(self.model)}, {words}"

    def fraction(self, own: float) -> float:
        return (self.index + own) / self.of


def _measure_rows(
    setting: board.Setting,
    entries: Mapping[str, board.Entry],
    keys: Mapping[str, Key],
    clock: worker_loop.Clock,
    share: _Share,
    methods: Sequence[str],
) -> Generator[Event, None, list[board.Row]]:
    """Run the tasks of `methods` whose rows are not in the file yet under their keys; return the
    rows of all these tasks.
    """
    rows, old = list[board.Row](), 0
    file = setting.scratch.parent / ROWS
    suites = {name: entry.suite for name, entry in entries.items()}
    digests = {name: key.digest for name, key in keys.items()}
    for step in board.evaluate(
        suites, setting, file, keys=digests, methods=methods, share=share.items
    ):
        if step.row is not None:
            rows.append(step.row)
        old += step.old  # takes no time, so it does not count as progress
        fraction = share.fraction((step.index - old) / max(1, step.of - old))
        stage = share.stage(f"{step.suite}: {step.item}, {step.method}")
        yield clock.progress(fraction, stage, dict(step.row.figures) if step.row else {})
    return rows


def _measured_rows(file: Path, keys: Mapping[str, Key], methods: Sequence[str]) -> list[board.Row]:
    """The rows of these keys and methods (none: all) that are in the file."""
    digests = {key.digest for key in keys.values()}
    return [
        row
        for row in board.read_rows(file)
        if row.key in digests and (not methods or row.method in methods)
    ]


def row_keys(
    job: Evaluate,
    entries: Mapping[str, board.Entry],
    prior: Prior,
    evaluation_scorer: base.TextAudioSimilarity,
    search_scorer: base.TextAudioSimilarity,
) -> dict[str, Key]:
    """What the rows of each suite are measured with."""
    packages = {
        package.__name__: Path(package.__path__[0]) for package in (presets, renderers, sds)
    }
    renders = Path(inspect.getfile(Models))
    return {
        name: Key(
            suite=name,
            code=code_digest([_module(entry), renders], packages),
            model=str(_weights(prior)),
            evaluation_scorer=str(_weights(evaluation_scorer)),
            search_scorer=str(_weights(search_scorer)),
            **shipped_digests(),
            methods=values(entry.methods),
            data=evaluation_items.fingerprint(Path(job.data)),
            seed=job.seed,
            items=job.items,
        )
        for name, entry in entries.items()
    }


def _module(entry: board.Entry) -> Path:
    """The file of a suite."""
    return Path(inspect.getfile(inspect.unwrap(entry.suite)))


def _weights(model: Prior | base.TextAudioSimilarity) -> report.Weights:
    return report.Weights(model.name, model_hash(model))


def _command(job: Evaluate) -> str:
    """What brings these figures about, without the place of anything on this machine."""
    words = [word for name in job.suites for word in ("--suite", name)]
    words += ["--data", Path(job.data).name, "--seed", str(job.seed)]
    words += ["--items", str(job.items)] if job.items else []
    words += [word for name in job.methods for word in ("--method", name)]
    words += ["--measured"] if job.measured else []
    for name in dict.fromkeys(job.models):
        words += ["--model", _shown(name)]
    words += ["--evaluation-scorer", _shown(job.evaluation_scorer)]
    return shlex.join(["scorewire", "eval", *words])


def _shown(name: str) -> str:
    """A model's name without the place of anything on this machine."""
    return Path(name).name if Path(name).is_absolute() else name
