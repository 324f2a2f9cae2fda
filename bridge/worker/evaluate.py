"""The scoreboard, as a job."""

from __future__ import annotations

import hashlib
import shlex
import time
from pathlib import Path

import torch
from torch import Tensor

from bridge import outputs, pipe
from bridge.jobs import Evaluate
from bridge.worker.models import Models, model_hash
from presets import Note
from renderers import RENDERERS, Renderer, random_patches
from sds.prior import Prior
from sds.scoreboard import board, items, report


def evaluate(job: Evaluate, models: Models) -> pipe.Events:
    """Run the suites and write the page; a task that ended before with the same setting is kept.

    `out` gets scoreboard.md, scoreboard.json and, in a folder for this setting, rows.jsonl.
    """
    from sds.scoreboard.suites import SUITES  # what they import, no other job needs

    clock = pipe.Clock(job.id)
    yield clock.progress(0.0, "loading the model")
    data = Path(job.data)
    prior, judge = models.prior(job.model, items.prompts(data)), models.judge(job.judge)
    if judge is None:
        raise ValueError("there is no judge here, and the scoreboard needs one: name a --judge")
    ear = models.ear() or judge
    entries = {n: e for n, e in SUITES.items() if n in job.suites or "all" in job.suites}
    page = report.Page(
        command=_command(job),
        model=_weights(prior),
        judge=_weights(judge),
        ear=_weights(ear),
        data=data.resolve().name,
        date=time.strftime("%Y-%m-%d", time.gmtime()),
    )
    facts = [page.model, page.judge, page.ear, job.seed, job.items, items.fingerprint(data)]
    folder = Path(job.out) / hashlib.sha256(repr(facts).encode()).hexdigest()[:12]
    (folder / "scratch").mkdir(parents=True, exist_ok=True)
    setting = board.Setting(
        data=data,
        prior=prior,
        judge=judge,
        ear=ear,
        instruments=tuple(_instrument(renderer, prior, models) for renderer in RENDERERS.values()),
        scratch=folder / "scratch",
        seed=job.seed,
        items=job.items,
    )
    rows, old = [], 0
    suites = {name: entry.suite for name, entry in entries.items()}
    for now in board.evaluate(suites, setting, folder / "rows.jsonl"):
        if now.row is not None:
            rows.append(now.row)
        old += now.old  # takes no time, so it does not count as progress
        fraction = (now.index - old) / max(1, now.of - old)
        stage = f"{now.suite}: {now.item}, {now.method}"
        yield clock.progress(fraction, stage, dict(now.row.figures) if now.row else {})
    with outputs.folder(Path(job.out)) as out:
        table = report.markdown(page, rows, entries)
        (out.partial / "scoreboard.md").write_text(table, encoding="utf-8")
        outputs.write_json(out.partial / "scoreboard.json", report.as_json(page, rows, entries))
    yield clock.done(
        {
            "page": out.final(out.partial / "scoreboard.md"),
            "figures": out.final(out.partial / "scoreboard.json"),
            "rows": str(folder / "rows.jsonl"),
        }
    )


def _weights(model: Prior | board.Match) -> report.Weights:
    return report.Weights(model.name, model_hash(model))


def _command(job: Evaluate) -> str:
    """What brings these figures about, without the place of anything on this machine."""
    words = [word for name in job.suites for word in ("--suite", name)]
    words += ["--data", Path(job.data).name, "--seed", str(job.seed)]
    words += ["--items", str(job.items)] if job.items else []
    for option, name in (("--model", job.model), ("--judge", job.judge)):
        words += [option, Path(name).name if Path(name).is_absolute() else name]
    return shlex.join(["scorewire", "eval", *words])


def _instrument(renderer: Renderer, prior: Prior, models: Models) -> board.Instrument:
    def draw(count: int, generator: torch.Generator) -> Tensor:
        return random_patches(renderer, count, generator=generator)

    def render(u: Tensor, samples: int) -> Tensor:
        return renderer.render(u, Note(60), prior.sample_rate, samples).float()

    def near(prompt: str, count: int, generator: torch.Generator) -> Tensor:
        return models.near(renderer, prompt, count, generator)

    return board.Instrument(renderer.name, draw, render, near)
