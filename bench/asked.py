"""What people get: every prompt of a list through the job `patch`, judged by who chose nothing.

    python -m bench.asked --data ../shared/data --out runs/asked --page docs/asked.md

The prompts are those of the suite `patch` (`sds.scoreboard.prompts`, and the captions of the
one-shots); each goes the way of `scorewire patch PROMPT`: synth, pitch, effects, structure and
level are decided from its words. One worker in this process does all, its models loaded. What was
measured before is not measured again. The suite `patch` of the scoreboard compares methods on the
bare voices instead.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median
from typing import Any, TypeAlias

import torch
from torch import Tensor

import presets
from bridge.protocol.patch_jobs import DesignPatch
from bridge.worker.models import Models
from bridge.worker.patch import design_patch
from presets import Preset
from presets.prompt_words import wishes
from presets.reading import read_json
from renderers import effects
from renderers.denormals import flush_denormals
from sds.datasets.evaluation_items import one_shots
from sds.scoreboard.judges import named_classes
from sds.scoreboard.playable import EXACT, PEAK, delivery, in_tune, tuning
from sds.scoreboard.prompts import EVERYDAY, SHOTS, UNSEEN
from sds.signal.audio_files import mono

Found: TypeAlias = dict[str, Any]

ROWS = "rows.jsonl"
REACHED = ("as asked", "in part")

INTRODUCTION = """# What people get

Written by `python -m bench.asked`; do not edit.

Every prompt went the way of `scorewire patch PROMPT`, with the recipe `{recipe}` and no other
option; this is the first of its {count} patches, "best" the best rating of all. The rating is the
evaluation scorer's, 0 to 100, which chose nothing. "Heard as" are the first three of 22 classes by
the spectral statistics, which chose nothing either (the first alone is right for half of real
recordings): in bold where a class is among them that the prompt may be taken for, a dash where they
know no such class. At the end stand prompts that nobody had looked at before.

"""


@dataclass(frozen=True, slots=True)
class Ask:
    """A prompt, its family, and the classes that the statistics may take its sound for."""

    text: str
    family: str
    classes: tuple[str, ...]
    last: bool


def asked(data: Path, rate: int) -> list[Ask]:
    """All prompts; a caption that several recordings have counts once."""
    shots = {
        shot.caption: Ask(shot.caption, shot.label, SHOTS.get(shot.label, ()), False)
        for shot in one_shots(data, rate)
    }
    typed = [Ask(x.text, x.family, x.classes, x.last) for x in (*UNSEEN, *EVERYDAY)]
    return [*shots.values(), *typed]


def measure(ask: Ask, recipe: str, folder: Path, models: Models) -> Found:
    """Search, and what is to be said of what was written."""
    job = DesignPatch(id="asked", prompt=ask.text, recipe=recipe, out=str(folder), replace=True)
    began, spent, first = time.perf_counter(), time.process_time(), 0.0
    for event in design_patch(job, models):
        if event.kind == "best" and not first:
            first = time.perf_counter() - began
        if event.kind == "done":
            result = event.result
    seconds, cpu = time.perf_counter() - began, time.process_time() - spent
    preset = presets.load(result["preset"])
    rate = models.prior("default", []).sample_rate
    sound = play(preset, rate, preset.note)
    heard = named_classes(sound[None, None], rate)
    row: Found = {
        "prompt": ask.text, "family": ask.family, "last": ask.last, "classes": ask.classes,
        "heard": heard, "renderer": result["renderer"], "pitched": result["pitched"],
        "before": result["score_before"], "after": result["score_after"],
        "ratings": [each["rating"] for each in result["patches"]],
        "verdict": result["verdict"].partition(":")[0], "seconds": seconds, "cpu": cpu,
        "first": first,
    }  # fmt: skip
    row |= delivery(sound, rate)
    if result["pitched"]:
        pitch = "bell" if wishes(ask.text).family == "bell" else "harmonic"
        found = tuning(lambda note: play(preset, rate, note), rate, preset.note, pitch)
        row |= found | {"tuned": in_tune(found)}
    return row


def play(preset: Preset, rate: int, note: float) -> Tensor:
    """Audio [T] of a preset at `rate` Hz, mixed to mono."""
    return mono(torch.from_numpy(effects.render(preset, note=note, rate=rate)))


def page(rows: Sequence[Found], recipe: str) -> str:
    """The page of all rows, measured with this recipe."""
    count = max(len(row["ratings"]) for row in rows)
    lines = [INTRODUCTION.format(recipe=recipe, count=count), *summary(rows), ""]
    lines += ["| prompt | synth | rating | best | verdict | heard as | peak, dBFS | in tune |"]
    lines += ["|---|---|---|---|---|---|---|---|"]
    lines += [line(row) for row in sorted(rows, key=lambda row: bool(row["last"]))]
    return "\n".join(lines) + "\n"


def line(row: Found) -> str:
    """A row of the table."""
    heard = ", ".join(row["heard"])
    if not row["classes"]:
        heard = "-"
    elif right(row):
        heard = f"**{heard}**"
    tuned = "-" if "tuned" not in row else "yes" if row["tuned"] else "no"
    last = " (last)" if row["last"] else ""
    ratings = row["ratings"]
    return (
        f"| {row['prompt']}{last} | {row['renderer']} | {ratings[0]:.0f} | {max(ratings):.0f} "
        f"| {row['verdict']} | {heard} | {row['peak']:.1f} | {tuned} |"
    )


def right(row: Found) -> bool:
    """Whether the statistics take the sound for what was asked."""
    return bool(set(row["heard"]) & set(row["classes"]))


def summary(rows: Sequence[Found]) -> Iterator[str]:
    """The figures of all rows, a line each."""
    whole = [row for row in rows if row["verdict"] == REACHED[0]]
    reached = [row for row in rows if row["verdict"] in REACHED]
    known = [row for row in rows if row["classes"]]
    pitched = [row for row in rows if "tuned" in row]
    yield (
        f"- {len(reached)} of {len(rows)} within reach by their verdict, {len(whole)} of them as "
        "asked"
    )
    yield (
        f"- {sum(map(right, reached))} of the {len(known)} that the statistics can judge are "
        f"within reach and heard so; {sum(map(right, known))} are heard so whatever the verdict; "
        f"{sum(bool(row['classes']) and not right(row) for row in whole)} are called as asked and "
        "not heard so"
    )
    yield (
        f"- match before {mean(row['before'] for row in rows):.2f}, after "
        f"{mean(row['after'] for row in rows):.2f}; better after in "
        f"{sum(row['after'] > row['before'] for row in rows)} of {len(rows)}"
    )
    yield (
        f"- in tune on four keys: {sum(bool(row['tuned']) for row in pitched)} of {len(pitched)} "
        "with a pitch"
    )
    level = sum(abs(row["peak"] - PEAK) <= EXACT for row in rows)
    yield f"- peak at {PEAK:g} dBFS within {EXACT:g} dB: {level} of {len(rows)}"
    yield (
        f"- seconds, median and most: {median(row['seconds'] for row in rows):.0f}, "
        f"{max(row['seconds'] for row in rows):.0f}; CPU seconds "
        f"{median(row['cpu'] for row in rows):.0f}; to the first that plays "
        f"{median(row['first'] for row in rows):.1f}"
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--out", type=Path, default=Path("runs/asked"))
    parser.add_argument("--page", type=Path, required=True)
    parser.add_argument("--recipe", default="default")
    options = parser.parse_args(argv)
    flush_denormals()
    torch.set_num_threads(1)
    models = Models()
    options.out.mkdir(parents=True, exist_ok=True)
    file = options.out / ROWS
    rows = [read_json(x) for x in file.read_text().splitlines()] if file.exists() else []
    done = {row["prompt"]: row for row in rows}
    prompts = asked(options.data, models.prior("default", []).sample_rate)
    if len(done) < len(prompts):  # models and kernels are there before a clock runs
        measure(Ask("kick", "", (), False), "fast", options.out / "0", models)
    for number, ask in enumerate(prompts, start=1):
        if ask.text in done:
            continue
        folder = options.out / str(number)
        done[ask.text] = row = measure(ask, options.recipe, folder, models)
        with file.open("a") as out:
            out.write(json.dumps(row) + "\n")
        print(number, len(prompts), line(row), flush=True)
    rows = [done[ask.text] for ask in prompts]
    options.page.write_text(page(rows, options.recipe), encoding="utf-8")


if __name__ == "__main__":
    main()
