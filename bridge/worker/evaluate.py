"""The scoreboard, as a job."""

from __future__ import annotations

import inspect
import shlex
from collections.abc import Mapping
from pathlib import Path

import presets
import renderers
import sds
from bridge.files import atomic_output
from bridge.protocol import worker_loop
from bridge.protocol.jobs import Evaluate
from bridge.worker.models import Models, instrument, model_hash
from renderers import RENDERERS
from sds.datasets import evaluation_items
from sds.priors.base import Prior
from sds.scoreboard import board, keys, report
from sds.similarity import base

PAGES = ("scoreboard.md", "scoreboard.json")


def evaluate(job: Evaluate, models: Models) -> worker_loop.Events:
    """Run the suites and write the page; a task that ended before under the same key is kept.

    `out` gets scoreboard.md, scoreboard.json, rows.jsonl with the rows of all keys, and what tasks
    share in scratch.
    """
    from sds.scoreboard.suites import SUITES  # what they import, no other job needs

    clock = worker_loop.Clock(job.id)
    yield clock.progress(0.0, "loading the model")
    data = Path(job.data)
    prior, evaluation_scorer = (
        models.prior(job.model, evaluation_items.prompts(data)),
        models.evaluation_scorer(job.evaluation_scorer),
    )
    if evaluation_scorer is None:
        raise ValueError(
            "there is no evaluation scorer here, and the scoreboard needs one: "
            "name it with --evaluation-scorer"
        )
    search_scorer = models.search_scorer() or evaluation_scorer
    entries = {n: e for n, e in SUITES.items() if n in job.suites or "all" in job.suites}
    page = report.Page(
        command=_command(job),
        model=_weights(prior),
        evaluation_scorer=_weights(evaluation_scorer),
        search_scorer=_weights(search_scorer),
        data=data.resolve().name,
        keys=row_keys(job, entries, prior, evaluation_scorer, search_scorer),
    )
    for page_file in PAGES:
        job.terms.check(Path(job.out) / page_file)
    folder = Path(job.out)
    folder.mkdir(parents=True, exist_ok=True)
    setting = board.Setting(
        data=data,
        prior=prior,
        evaluation_scorer=evaluation_scorer,
        search_scorer=search_scorer,
        instruments=tuple(instrument(renderer, prior, models) for renderer in RENDERERS.values()),
        scratch=folder / "scratch",
        seed=job.seed,
        networks=models.networks(),
        items=job.items,
    )
    rows, old = [], 0
    suites = {name: entry.suite for name, entry in entries.items()}
    digests = {name: key.digest for name, key in page.keys.items()}
    for now in board.evaluate(suites, setting, folder / "rows.jsonl", keys=digests):
        if now.row is not None:
            rows.append(now.row)
        old += now.old  # takes no time, so it does not count as progress
        fraction = (now.index - old) / max(1, now.of - old)
        stage = f"{now.suite}: {now.item}, {now.method}"
        yield clock.progress(fraction, stage, dict(now.row.figures) if now.row else {})
    with atomic_output.folder(Path(job.out), job.terms) as out:
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
