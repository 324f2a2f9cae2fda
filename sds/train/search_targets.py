"""Which target of score distillation helps a patch: each from the same patches, on held captions.

    python -m sds.train.search_targets --data runs/corpus --items 8 --out runs/targets

The bank's four patches nearest to a caption descend for some steps towards each of the targets of
`sds.distillation.sds_targets` ("sdi" is "sds" by inversion); a row says what the answer's match is
by the evaluation scorer, which chose nothing, and after how much time. "bank" is the answer before.
Captions are of the half to choose on (`sds.train.search_stages`).
"""

from __future__ import annotations

import argparse
import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from sds.distillation.distill import distill
from sds.distillation.recipes import RECIPES, PatchRecipe
from sds.scoreboard.baselines import Job
from sds.scoreboard.board import Figures, Row, Task
from sds.scoreboard.paired import paired_difference
from sds.train.search_stages import held_prompts, held_setting, measure

STEPS = 20
BANK = "bank"
_DEFAULT = RECIPES["default"]
_BARE = replace(_DEFAULT, generated=0, generations=0, fit_steps=0, preference=0.0, take_back=False)


def _towards(steps: int = STEPS, **target: object) -> PatchRecipe:
    descent = replace(_DEFAULT.distillation, steps=steps, **target)  # type: ignore[arg-type]
    return replace(_BARE, distillation=descent)


TARGETS = {
    BANK: _towards(steps=0),
    "sds": _towards(),
    "sds, one step": _towards(denoise_steps=1),
    "sdi": _towards(inversion=6),
    "csd": _towards(target="csd"),
    "nfsd": _towards(target="nfsd"),
    "ism": _towards(target="ism"),
}


def _run(job: Job, recipe: PatchRecipe) -> Iterator[Figures]:
    """The match of what the search answers."""
    began = time.process_time()
    for step in distill(
        job.render,
        job.setting.prior,
        job.prompt.text,
        job.banked(recipe.candidates),
        recipe=recipe,
        generator=job.setting.generator("targets", job.item),
        score=job.listen,
    ):
        found = step.best_u
        yield {}
    sound = job.hear(found[None])
    yield {
        "match_after": float(job.evaluation_scorer(sound)),
        "search_scorer": float(job.listen(sound)),
        "seconds": time.process_time() - began,
    }


def findings(rows: Sequence[Row]) -> list[str]:
    """How far each target is before the bank's answer, per instrument."""
    said = []
    for name in sorted({tag for row in rows for tag in row.tags}):
        own = [row for row in rows if name in row.tags]
        said += [
            f"{name}, {target} rather than {BANK}: "
            f"{paired_difference(own, 'match_after', target, BANK)}"
            for target in TARGETS
            if target != BANK
        ]
    return said


def main() -> None:
    """Run what is not in the rows yet, and print what the rows say."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--items", type=int, default=8)
    parser.add_argument("--renderer", nargs="+", default=["fm", "impact"])
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    args.out.mkdir(parents=True, exist_ok=True)
    asked, _ = held_prompts(args.data, "choose")
    setting = held_setting(args.data, args.out, args.renderer)
    work = [
        Task(job.item, name, partial(_run, job, recipe), (each.name,))
        for prompt in asked[: args.items]
        for each in setting.instruments
        for job in [Job(setting, prompt, each)]
        for name, recipe in TARGETS.items()
    ]
    rows = args.out / "targets.jsonl"
    measure("targets", work, setting, rows, findings)


if __name__ == "__main__":
    torch.set_flush_denormal(True)
    main()
