"""Run the scoreboard as a job: measure the rows, write the page."""

from __future__ import annotations

import inspect
import shlex
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from pathlib import Path

import presets
import renderers
import sds
from bridge.files import atomic_output
from bridge.protocol import worker_loop
from bridge.protocol.events import Event
from bridge.protocol.jobs import Evaluate
from bridge.worker.models import Models, instrument, model_hash
from renderers import RENDERERS
from sds.datasets import evaluation_items
from sds.priors.base import Prior
from sds.scoreboard import board, keys, report
from sds.similarity import base

PAGES = ("scoreboard.md", "scoreboard.json")


@dataclass(frozen=True, slots=True)
class _Measurers:
    """The models that a scoreboard is measured with."""

    prior: Prior
    evaluation_scorer: base.TextAudioSimilarity
    search_scorer: base.TextAudioSimilarity


def evaluate(job: Evaluate, models: Models) -> worker_loop.Events:
    """Run the suites and write the page; a task that ended before under the same key is kept.

    `out` gets scoreboard.md, scoreboard.json, rows.jsonl with the rows of all keys, and what tasks
    share in scratch. Raises `ValueError` without an evaluation scorer.
    """
    from sds.scoreboard.suites import SUITES  # what they import, no other job needs

    clock = worker_loop.Clock(job.id)
    yield clock.progress(0.0, "loading the model")
    measurers = _measurers(job, models)
    entries = {n: e for n, e in SUITES.items() if n in job.suites or "all" in job.suites}
    page = _page(job, measurers, entries)
    folder = Path(job.out)
    for page_file in PAGES:
        job.terms.check(folder / page_file)
    folder.mkdir(parents=True, exist_ok=True)
    setting = _setting(job, measurers, models)
    rows = yield from _measure_rows(setting, entries, page, folder / "rows.jsonl", clock)
    with atomic_output.folder(folder, job.terms) as out:
        table = report.markdown(page, rows, entries)
        (out.partial / PAGES[0]).write_text(table, encoding="utf-8")
        atomic_output.write_json(out.partial / PAGES[1], report.as_json(page, rows, entries))
    yield clock.done(
        {
            "page": out.final(out.partial / PAGES[0]),
            "figures": out.final(out.partial / PAGES[1]),
            "rows": str(folder / "rows.jsonl"),
        }
    )


def _measurers(job: Evaluate, models: Models) -> _Measurers:
    """Load the models that the job names; the evaluation scorer searches where no other can."""
    prior = models.prior(job.model, evaluation_items.prompts(Path(job.data)))
    evaluation_scorer = models.evaluation_scorer(job.evaluation_scorer)
    if evaluation_scorer is None:
        raise ValueError(
            "there is no evaluation scorer here, and the scoreboard needs one: "
            "name it with --evaluation-scorer"
        )
    return _Measurers(prior, evaluation_scorer, models.search_scorer() or evaluation_scorer)


def _page(job: Evaluate, measurers: _Measurers, entries: Mapping[str, board.Entry]) -> report.Page:
    """The head of the page: what was measured with what."""
    prior, evaluation_scorer = measurers.prior, measurers.evaluation_scorer
    return report.Page(
        command=_command(job),
        model=_weights(prior),
        evaluation_scorer=_weights(evaluation_scorer),
        search_scorer=_weights(measurers.search_scorer),
        data=Path(job.data).resolve().name,
        keys=row_keys(job, entries, prior, evaluation_scorer, measurers.search_scorer),
    )


def _setting(job: Evaluate, measurers: _Measurers, models: Models) -> board.Setting:
    """What the tasks of every suite share."""
    prior = measurers.prior
    return board.Setting(
        data=Path(job.data),
        prior=prior,
        evaluation_scorer=measurers.evaluation_scorer,
        search_scorer=measurers.search_scorer,
        instruments=tuple(instrument(renderer, prior, models) for renderer in RENDERERS.values()),
        scratch=Path(job.out) / "scratch",
        seed=job.seed,
        networks=models.networks(),
        items=job.items,
    )


def _measure_rows(
    setting: board.Setting,
    entries: Mapping[str, board.Entry],
    page: report.Page,
    file: Path,
    clock: worker_loop.Clock,
) -> Generator[Event, None, list[board.Row]]:
    """Run every task whose row is not in `file` yet under its key; return all rows."""
    rows, old = list[board.Row](), 0
    suites = {name: entry.suite for name, entry in entries.items()}
    digests = {name: key.digest for name, key in page.keys.items()}
    for step in board.evaluate(suites, setting, file, keys=digests):
        if step.row is not None:
            rows.append(step.row)
        old += step.old  # takes no time, so it does not count as progress
        fraction = (step.index - old) / max(1, step.of - old)
        stage = f"{step.suite}: {step.item}, {step.method}"
        yield clock.progress(fraction, stage, dict(step.row.figures) if step.row else {})
    return rows


def row_keys(
    job: Evaluate,
    entries: Mapping[str, board.Entry],
    prior: Prior,
    evaluation_scorer: base.TextAudioSimilarity,
    search_scorer: base.TextAudioSimilarity,
) -> dict[str, keys.Key]:
    """What the rows of each suite are measured with."""
    packages = {
        package.__name__: Path(package.__path__[0]) for package in (presets, renderers, sds)
    }
    renders = Path(inspect.getfile(Models))
    return {
        name: keys.Key(
            suite=name,
            code=keys.code_digest([_module(entry), renders], packages),
            model=str(_weights(prior)),
            evaluation_scorer=str(_weights(evaluation_scorer)),
            search_scorer=str(_weights(search_scorer)),
            **keys.shipped_digests(),
            methods=keys.values(entry.methods),
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
    for option, name in (("--model", job.model), ("--evaluation-scorer", job.evaluation_scorer)):
        words += [option, Path(name).name if Path(name).is_absolute() else name]
    return shlex.join(["scorewire", "eval", *words])
