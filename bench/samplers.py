"""Which solver and how many evaluations: error and FAD, into docs/samplers.md and samplers.svg.

`python -m bench.samplers --out docs` measures what `--kept` does not hold yet, a JSON line a
figure, then writes page and plot of all it holds; figures of other weights or another count are
measured again. So `--models edm` remakes the panels of that model alone, and a run that was stopped
goes on.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from bench.sampler_errors import exact_figures, latent_figures
from bench.sampler_fad import fad_figures
from bench.sampler_figures import keep, read
from bench.sampler_page import page, plot
from sds.priors.checkpoints import ModelUnavailable
from sds.priors.loading import load_prior
from sds.scoreboard.board import Setting
from sds.similarity.two_tower import load_scorer

PANELS = ("exact", "error", "fad")


def main() -> None:
    """Measure what is missing, then write page and plot."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder of samplers.md and .svg")
    parser.add_argument("--models", nargs="*", default=["default", "edm"])
    parser.add_argument("--panels", nargs="*", default=PANELS, choices=PANELS)
    parser.add_argument("--count", type=int, default=10, help="clips of a class for FAD, from 2")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--kept", type=Path, default=Path("runs/samplers"))
    args = parser.parse_args()
    torch.set_flush_denormal(True)
    args.kept.mkdir(parents=True, exist_ok=True)
    file, absent = args.kept / "figures.jsonl", list[str]()
    kept = read(file)
    if "exact" in args.panels:
        keep(file, kept, exact_figures(kept))
    for model in args.models:
        try:
            prior = load_prior(model)
        except ModelUnavailable as error:
            absent.append(f"Model `{model}` is left out: {error}")
            print(absent[-1], flush=True)
            continue
        if "error" in args.panels:
            keep(file, kept, latent_figures(prior, kept, model))
        if "fad" in args.panels:
            scorer = load_scorer()
            setting = Setting(args.data, prior, scorer, scorer, (), args.kept)
            keep(file, kept, fad_figures(setting, kept, model, args.count))
    (args.out / "samplers.md").write_text(page(kept, absent), encoding="utf-8")
    plot(kept, args.out / "samplers.svg")


if __name__ == "__main__":
    main()
