"""The page and the plot of `bench.samplers`, from its figures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from bench.sampler_figures import Kept, curves, models
from sds.distillation.recipes import RECIPES
from sds.priors.families import FAMILIES
from sds.samplers.solvers import SAMPLERS

PUBLISHED = {
    8: {"euler": 0.157, "heun": 3.44, "rhoab3": 0.126, "tab3": 0.075, "tab4": 0.106,
        "dpmpp_2m": 0.215, "dpmpp_3m": 0.606},
    10: {"euler": 0.121, "heun": 1.01, "rhoab3": 0.080, "tab3": 0.029, "tab4": 0.019,
         "dpmpp_2m": 0.130, "dpmpp_3m": 0.339},
    20: {"euler": 0.055, "heun": 0.103, "rhoab3": 0.020, "tab3": 0.0050, "tab4": 0.0052,
         "dpmpp_2m": 0.020, "dpmpp_3m": 0.017},
    50: {"euler": 0.021, "heun": 0.011, "rhoab3": 0.0024, "tab3": 0.0008, "tab4": 0.0006,
         "dpmpp_2m": 0.0031, "dpmpp_3m": 0.0010},
}  # fmt: skip
"""Evaluations, solver and relative error of the table that this one repeats."""

COLOURS = {"euler": "#888888", "heun": "#222222", "rhoab": "#e08000", "tab": "#1060c0",
           "logab": "#30a030", "exponential_rk": "#8040a0", "dpmpp": "#d02020",
           "unipc": "#a06030"}  # fmt: skip
DASHES = {1: ":", 2: "--", 3: "-", 4: "-."}  # by order
FAMILY = ("family", "guidance", "steps", "sampler", "schedule", "sigma", "post-trained")
FADS = {"fad_statistics": "statistics", "fad_judge": "evaluation scorer", "fad_trunk": "aiSFX"}
NEAR = 1.05  # FAD within 5 % of that at the most evaluations

INTRODUCTION = """# Samplers

Written by `python -m bench.samplers --out docs`; do not edit.

![Error and FAD against evaluations](samplers.svg)

Every solver goes from noise to a sound by asking the denoiser D(x; sigma) some number of times; an
evaluation of a guided model is one call with both branches. `rhoab`, `tab` and `logab` are
exponential Adams-Bashforth (DEIS) in sigma, sigma^(1/7) and log sigma, and the digit is the order.
Heun and `exponential_rk2s` spend two evaluations a step, `exponential_rk3s` three, all others one;
a last step to zero costs one in each.

Samplers with noise of their own have no error to plot: `churn` (Karras et al., algorithm 2),
`dpmpp_3m_sde` (k-diffusion's numbers for the same noise), `ping_pong` (those of stable-audio-tools
0.0.19: D, noised anew; for post-trained models, since of a D that is a mean it makes sounds that
are too smooth) and `repaint`, which repeats steps so that what is filled in answers to what is kept
([generate.md](generate.md)). `scorewire generate --sampler NAME` takes any of all these names.

`tests/test_samplers.py` asserts the orders. A multistep solver whose first step is Euler's has
order 2 with even steps: what is left of that step shows when all others are short. Public code of
DPM-Solver++(3M) takes half of the last term of its parabola in lambda, which leaves order 2;
`dpmpp_3m` takes all of it.

"""

SCHEDULED = """## Noise levels

| `--schedule` | levels | of |
|---|---|---|
| karras | even in sigma^(1/7) | Karras et al. 2022 |
| polyexponential | even in log sigma | k-diffusion; stable-audio-tools for v-prediction |
| rf_logsnr | even in log SNR, -6 (pure noise) to 2 (none) | stable-audio-tools, rectified flows |
| sa3_logsnr | even in log SNR, -6.2 to 2 | Stable Audio 3 in diffusers |

The last three are the libraries' own to 3e-6 (`tests/test_schedules.py`). A rectified flow begins
at pure noise, where sigma has no number: here it is 10,000 (t = 0.9999). `dist_shift` is not here:
`sample_rf` of 0.0.19 hands each sampler but `rk4` these levels, and then the shift is not used.

## Families of models

What is used where nothing is asked for (`sds.priors.families`). A model's family is told from its
`model_config.json`: its objective, the sizes of its transformer and its conditioners, so that a
fine-tune is of the family of what it was made of; an entry `"family"` of that file says it
outright. Values of others' models are those of their model cards, of the interface of
stable-audio-tools and of diffusers; without weights here, none of them was tried by ear.

"""

REPEATED = """## A published table, repeated

64 dimensions, sigma 80 to 0.002 in even steps of sigma^(1/7), relative error against 3000 steps.
Each cell is ours, then the table's in brackets. The table does not say its mixture; ours has 8
equal Gaussians of deviation 0.3 about means from N(0, 0.25).
"""


def plot(kept: Kept, file: Path) -> None:
    """Draw errors on the mixture and on each model, and FAD; svg, with text as text."""
    panels = [(panel, model) for panel in ("exact", "error") for model in models(kept, panel)]
    with rc_context({"svg.hashsalt": "scorewire", "svg.fonttype": "none", "font.size": 8}):
        canvas = Canvas(figsize=(5 * (len(panels) + 1), 5.5), layout="constrained")
        axes = canvas.subplots(1, len(panels) + 1, squeeze=False)[0]
        for axis, (panel, model) in zip(axes, panels, strict=False):
            _draw_errors(axis, kept, panel, model)
        _draw_fad(axes[-1], kept)
        canvas.savefig(file, metadata={"Date": None, "Creator": None})


def _draw_errors(axis: Axes, kept: Kept, panel: str, model: str) -> None:
    for solver, curve in curves(kept, panel, model).items():
        axis.plot(
            list(curve),
            [values["error"] for values in curve.values()],
            DASHES[SAMPLERS[solver].order],
            color=next(COLOURS[family] for family in COLOURS if solver.startswith(family)),
            linewidth=2.5 if solver == "tab3" else 1.0,
            label=solver,
        )
    title = "exact denoiser of a mixture" if panel == "exact" else f"latents of model {model}"
    axis.set(xscale="log", yscale="log", xlabel="evaluations", ylabel="relative error", title=title)
    axis.legend(fontsize=6, ncols=2)


def _draw_fad(axis: Axes, kept: Kept) -> None:
    axis.set(xscale="log", xlabel="evaluations", title="FAD over FAD at the most evaluations")
    axis.axhline(NEAR, color="#cccccc", label="5 % more")
    for model, marker in zip(models(kept, "fad"), "os^v", strict=False):
        for solver, curve in curves(kept, "fad", model).items():
            colour = next(COLOURS[family] for family in COLOURS if solver.startswith(family))
            for fad, dash in zip(FADS, ("-", "--", ":"), strict=True):
                points = [(n, values[fad]) for n, values in curve.items() if fad in values]
                if points:
                    axis.plot(
                        [n for n, _ in points],
                        [value / points[-1][1] for _, value in points],
                        dash,
                        color=colour,
                        marker=marker,
                        markersize=4,
                        label=f"{model}, {solver}, {FADS[fad]}",
                    )
    axis.legend(fontsize=6)


def page(kept: Kept, absent: Sequence[str]) -> str:
    """The whole document; `absent` are sentences about models that are not there."""
    text = [INTRODUCTION + SCHEDULED.rstrip(), "", *_table(FAMILY, list(families()))]
    text += ["## Which solver, how many evaluations", ""]
    text += [*_best(kept), "", "## Where the code sets a number of evaluations", ""]
    text += _table(("place", "solver", "now"), places())
    if all(solver in curves(kept, "exact", "mixture") for solver in PUBLISHED[8]):
        text += [REPEATED, *_repeated(curves(kept, "exact", "mixture"))]
    for model in models(kept, "exact"):
        text += ["## Errors on the mixture", "", "Against 3000 evaluations of `tab3`.", ""]
        text += _values(curves(kept, "exact", model), {"error": "relative error"})
    for model in models(kept, "error"):
        text += [f"## Errors of the latents of model `{model}`", ""]
        text += [
            "Against 200 evaluations of `tab3` from the same noise, three prompts, guidance 3."
        ]
        text += ["", *_values(curves(kept, "error", model), {"error": "relative error"})]
    for model in models(kept, "fad"):
        (count,) = {f.count for f in kept.values() if (f.panel, f.model) == ("fad", model)}
        text += [f"## FAD of clips of model `{model}`", "", f"{count} clips of each of 22 classes,"]
        text += ["guidance 3, as in suite `prior` of the scoreboard. So few clips are far from any"]
        text += ["set of recordings: compare within a row.", ""]
        text += _values(curves(kept, "fad", model), FADS)
    return "\n".join([*text, *absent]).rstrip() + "\n"


def places() -> list[tuple[str, str, str]]:
    """Where the code sets how often the prior is asked for a clip: place, solver, value."""
    found = [
        (f"`{module}.STEPS`", "tab3", str(import_module(module).STEPS))
        for module in ("sds.priors.sampling", "sds.scoreboard.prior_clips")
        if find_spec(module)
    ]
    for name, recipe in RECIPES.items():
        if recipe.generated:
            place = f"`generate_steps` of the recipe `{name}` of a patch"
            found.append((place, "tab3", str(recipe.generate_steps)))
        place = f"`denoise_steps` of the recipe `{name}`, from sigma(t) down"
        found.append((place, "euler", str(recipe.distillation.denoise_steps)))
    return found


def families() -> Iterator[tuple[str, ...]]:
    """A row of the page for each family of models."""
    for family in FAMILIES.values():
        sigmas = "the model's" if family.sigmas is None else "{:.3g}..{:g}".format(*family.sigmas)
        yield (
            f"`{family.name}`", f"{family.guidance:g}", str(family.steps), family.sampler,
            family.schedule, sigmas, "yes" if family.post_trained else "",
        )  # fmt: skip


def _best(kept: Kept) -> Iterator[str]:
    """The least errors at 10 and 20 evaluations, and from where on FAD stays."""
    for panel in ("exact", "error"):
        for model in models(kept, panel):
            known = curves(kept, panel, model)
            what = "the mixture" if panel == "exact" else f"the latents of model `{model}`"
            for n in (10, 20):
                errors = {name: curve[n]["error"] for name, curve in known.items() if n in curve}
                best = sorted(errors, key=errors.__getitem__)[:3]
                named = ", ".join(f"`{name}` {errors[name]:.2g}" for name in best)
                ours = f"; `tab3` {errors['tab3']:.2g}" if "tab3" in errors else ""
                yield f"- On {what}, {n} evaluations: least error {named}{ours}."
    for model in models(kept, "fad"):
        for solver, curve in curves(kept, "fad", model).items():
            for fad in (fad for fad in FADS if fad in curve[max(curve)]):
                yield (
                    f"- FAD of model `{model}` by {FADS[fad]} with `{solver}`: from "
                    f"{enough(curve, fad)} evaluations on within 5 % of that at {max(curve)}."
                )


def enough(curve: Mapping[int, Mapping[str, float]], fad: str) -> int:
    """From how many evaluations on FAD is within 5 % of that at the most."""
    most = max(curve)
    fewest = most
    for n in sorted(curve, reverse=True):
        if curve[n][fad] > NEAR * curve[most][fad]:
            return fewest
        fewest = n
    return fewest


def _repeated(known: Mapping[str, Mapping[int, Mapping[str, float]]]) -> list[str]:
    rows = [
        (str(n), *(f"{known[name][n]['error']:.2g} ({theirs:g})" for name, theirs in row.items()))
        for n, row in PUBLISHED.items()
    ]
    return _table(("evaluations", *PUBLISHED[8]), rows)


def _values(
    known: Mapping[str, Mapping[int, Mapping[str, float]]], names: Mapping[str, str]
) -> list[str]:
    """Solvers and figures down, evaluations across."""
    counts = sorted({n for curve in known.values() for n in curve})
    rows = [
        (solver, title, *(f"{curve[n][name]:.3g}" if name in curve.get(n, {}) else "-"
                          for n in counts))
        for solver, curve in known.items()
        for name, title in names.items()
    ]  # fmt: skip
    return _table(("solver", "figure", *map(str, counts)), rows)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = ["| " + " | ".join(row) + " |" for row in (head, *rows)]
    return [lines[0], "|" + "---|" * len(head), *lines[1:], ""]
