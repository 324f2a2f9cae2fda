"""What every recipe costs on the card that is here, with random weights of full size.

    python -m bench.gpu --page docs/gpu.md     # `make gpu`; under ten minutes on a card

Writes checkpoints of the published configurations (`bench.random_model`) to a temporary folder,
takes some steps of each recipe and says seconds and processor time a step, peak memory, whether
equal seeds give equal bytes, and how far half precision is from single precision. Beside each
figure stands what `scorewire doctor` says beforehand. Without a GPU, and with --tiny, the same at
tiny size on the CPU, and no page is written: those figures say nothing of a card.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bench.gpu_page import page_with, tables
from bench.random_model import use_hub_cache, write_random
from sds.distillation.distill import distill
from sds.distillation.family_recipes import for_family
from sds.distillation.recipes import RECIPES
from sds.priors.base import Prior, classifier_free_guidance
from sds.priors.costs import count_costs
from sds.priors.families import Family, family_of_config
from sds.priors.loading import load_prior
from sds.priors.needs import Need, needs
from sds.priors.published import published_config
from sds.priors.sampling import generate_stepwise
from sds.priors.speed import measure_speed
from sds.samplers.schedules import sigma_of
from sds.separation.audio_sds import LATENTS, Latents
from sds.separation.calls import recipe_calls
from sds.separation.mask_settings import DEFAULT, MASKS
from sds.separation.separate import Method, separate

log = logging.getLogger(__name__)
PROMPTS = ("kick drum", "saxophone")
TIMES = (0.1, 0.45, 0.85)
GUIDANCES = (7.0, 60.0)


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured.

    - `models`: names of `sds.priors.published`, the base model first.
    - `long`, `short`: seconds of a clip for `paper`, separation and `generate`, and for the rest.
    - `warm`, `steps`: steps that are not timed, and those that are.
    - `least`: seconds that the speed of one layer is timed.
    """

    models: tuple[str, str]
    long: float
    short: float
    warm: int
    steps: int
    least: float


FULL = Size(("stable-audio-open-1.0", "stable-audio-open-small"), 10.0, 2.0, 2, 5, 0.4)
TINY = Size(("tiny-1.0", "tiny-small"), 0.3, 0.2, 0, 1, 0.01)


@dataclass(frozen=True, slots=True)
class Row:
    """One recipe: seconds and processor seconds a step, peak bytes, minutes for all its steps; and
    the minutes and bytes that are said beforehand.
    """

    model: str
    recipe: str
    clip: float
    step: float
    host: float
    peak: int
    minutes: float
    said_minutes: float
    said_bytes: int


class Meter:
    """Times the steps of a recipe on a device, and the most memory it takes."""

    def __init__(self, device: torch.device, size: Size) -> None:
        self.device, self.size = device, size

    def wait(self) -> None:
        """Until all that was asked of the device is done."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def steps(
        self, run: Iterator[Any], *, most: int | None = None
    ) -> tuple[float, float, int, int]:
        """(seconds a step, processor seconds a step, peak bytes, steps) of at most `most` steps,
        all of them for None, after those that warm up.
        """
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(self.device)
        warm = 0 if most is None else self.size.warm
        for _ in range(warm):
            next(run)
        self.wait()
        begin, host, done = time.perf_counter(), time.process_time(), 0
        for _ in run:
            done += 1
            if done == most:
                break
        self.wait()
        spent, worked = time.perf_counter() - begin, time.process_time() - host
        peak = torch.cuda.max_memory_allocated(self.device) if self.device.type == "cuda" else 0
        return spent / max(done, 1), worked / max(done, 1), peak, done


def tones(samples: int, rate: int, count: int = 24) -> Tensor:
    """Sines [count, samples] an octave and a bit apart: a synth that costs nothing."""
    t = torch.arange(samples) / rate
    return torch.sin(2 * torch.pi * (110.0 * 2 ** (torch.arange(count) / 4))[:, None] * t) / count


def search(prior: Prior, name: str, seconds: float, seed: int = 0) -> Iterator[Any]:
    """A search for a patch of a bank of sines, by a recipe of `patch`."""
    bank = tones(round(seconds * prior.sample_rate), prior.sample_rate)
    recipe, g = RECIPES[name], torch.Generator().manual_seed(seed)
    recipe = for_family(recipe, prior, what=f"the recipe {name}")
    u0 = torch.rand(recipe.candidates, len(bank), generator=g)

    def render(u: Tensor) -> Tensor:
        return (u @ bank)[:, None]

    def score(sounds: Tensor) -> Tensor:
        return sounds.square().mean((1, 2))

    return distill(render, prior, PROMPTS[0], u0, recipe=recipe, generator=g, score=score)


def separation(prior: Prior, method: Method, seconds: float, seed: int = 0) -> Iterator[Any]:
    """A separation of two prompts in stereo noise."""
    g = torch.Generator().manual_seed(seed)
    mix = 0.1 * torch.randn(2, round(seconds * prior.sample_rate), generator=g)
    return separate(prior, PROMPTS, mix, prior.sample_rate, method=method, generator=g)


def clip(prior: Prior, family: Family, seconds: float, steps: int, seed: int = 0) -> Iterator[Any]:
    """One clip, guided as its family is."""
    g = torch.Generator().manual_seed(seed)
    return generate_stepwise(
        prior, PROMPTS[:1], seconds, steps=steps, scale=family.guidance, generator=g
    )


def rows(prior: Any, name: str, family: Family, said: dict[str, Need], meter: Meter) -> list[Row]:
    """Each recipe of a model, in the order of `doctor`."""
    long, short, most = meter.size.long, meter.size.short, meter.size.steps
    alone = {"query": 0.0, "listen": 0}  # nothing of networks beside the prior
    runs: dict[str, tuple[float, Iterator[Any], int | None, int]] = {
        "patch fast": (short, search(prior, "fast", short), None, 0),
        "patch default": (short, search(prior, "default", short), None, 0),
        "separate default": (long, separation(prior, replace(DEFAULT, **alone), long), None, 0),
        "separate masks": (long, separation(prior, replace(MASKS, **alone), long), None, 0),
        "generate": (long, clip(prior, family, long, family.steps), most, family.steps),
    }
    if not family.post_trained:
        runs["patch paper"] = long, search(prior, "paper", long), most, 1000
        runs["separate paper"] = long, separation(prior, LATENTS, long), most, 1000
    out = []
    for recipe, need in said.items():
        seconds, run, limit, whole = runs[recipe]
        step, host, peak, done = meter.steps(run, most=limit)
        minutes = step * (whole or done) / 60
        out.append(Row(name, recipe, seconds, step, host, peak, minutes, need.minutes, need.bytes))
        log.info("%s, %s: %.3g s a step, %.1f GB", name, recipe, step, peak / 1e9)
    return out


def said_beforehand(name: str, device: torch.device, size: Size) -> dict[str, Need]:
    """What `doctor` says that each recipe needs here."""
    config = published_config(name)
    dtype = torch.float32 if device.type == "cpu" else torch.float16
    speed = measure_speed(config, device, dtype, least=size.least)
    long, short = (count_costs(config, each) for each in (size.long, size.short))
    calls = recipe_calls(family_of_config(config))
    return {
        recipe: needs(short if recipe in ("patch fast", "patch default") else long, {recipe: each},
                      speed)[0]
        for recipe, each in calls.items()
    }  # fmt: skip


def equal_bytes(prior: Prior, family: Family, size: Size) -> dict[str, bool]:
    """Whether two runs from one seed give equal bytes, and two seeds different ones."""

    def fitted(seed: int) -> Tensor:
        run = search(prior, "paper", size.long, seed)
        return [next(run) for _ in range(2)][-1].best_u

    def stems(seed: int) -> Tensor:
        method: Latents = replace(LATENTS, recipe=replace(LATENTS.recipe, steps=1))
        *_, last = separation(prior, method, size.short, seed)
        return torch.as_tensor(last.stems)

    def made(seed: int) -> Tensor:
        run = clip(prior, family, size.short, 4, seed)
        try:
            while True:
                next(run)
        except StopIteration as end:
            return torch.as_tensor(end.value)

    answers = {"generate, 4 steps": made}
    if not family.post_trained:
        answers |= {"patch paper, 2 steps": fitted, "separate paper, 1 step": stems}
    return {
        name: bool(torch.equal(run(1), run(1)) and not torch.equal(run(1), run(2)))
        for name, run in answers.items()
    }


def precision(folder: Path, prior: Any, size: Size) -> dict[str, list[float]]:
    """Relative error of D here against single precision on the CPU, at each of `TIMES`, by
    guidance: |D - D_cpu| / |D_cpu|.
    """
    exact: Any = load_prior(str(folder), device="cpu")
    g = torch.Generator().manual_seed(0)
    frames = exact.latent_frames(size.short)
    z = torch.randn(1, exact.latent_channels, frames, generator=g)
    noise = torch.randn(z.shape, generator=g)
    out: dict[str, list[float]] = {}
    for guidance in GUIDANCES:
        errors = []
        for t in TIMES:
            sigma = sigma_of(torch.tensor([t]))
            answers = []
            for one in (exact, prior):
                cond, none = (one.embed([p], size.short) for p in (PROMPTS[0], ""))
                denoise = classifier_free_guidance(one, cond, none, guidance)
                with torch.no_grad():
                    answers.append(denoise(z + sigma * noise, sigma).cpu())
            errors.append(float((answers[1] - answers[0]).norm() / answers[0].norm()))
        out[f"guidance {guidance:g}"] = errors
    return out


def measure(device: torch.device, size: Size, work: Path) -> dict[str, Any]:
    """All figures, with random checkpoints written to the folder `work`."""
    use_hub_cache(work / "hub")
    meter, found = Meter(device, size), []
    equal: dict[str, dict[str, bool]] = {}
    errors: dict[str, dict[str, list[float]]] = {}
    loads: dict[str, float] = {}
    for name in size.models:
        folder = write_random(name, work / name, work / "hub")
        said, family = said_beforehand(name, device, size), family_of_config(published_config(name))
        begin = time.perf_counter()
        prior = load_prior(str(folder), device=str(device))
        loads[name] = time.perf_counter() - begin
        log.info("%s: loaded in %.1f s", name, loads[name])
        found += rows(prior, name, family, said, meter)
        equal[name] = equal_bytes(prior, family, size)
        errors[name] = precision(folder, prior, size)
    return {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "the CPU",
        "rows": [asdict(row) for row in found],
        "equal": equal, "errors": errors, "loads": loads, "times": TIMES,
    }  # fmt: skip


def main() -> None:
    """Measure, print the tables, and write them into the page where they are of a card."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--page", type=Path, help="Markdown file with marks to write between")
    parser.add_argument("--tiny", action="store_true", help="tiny models, whatever is here")
    parser.add_argument("--work", type=Path, help="where checkpoints go, 7 GB; a temporary folder")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    gpu = torch.cuda.is_available()
    full = gpu and not args.tiny
    device = torch.device("cuda" if gpu else "cpu")
    if not gpu:
        log.info("no CUDA GPU here: everything at tiny size on the CPU, which says nothing of one")
    begin = time.perf_counter()
    with tempfile.TemporaryDirectory() as temporary:
        figures = measure(device, FULL if full else TINY, args.work or Path(temporary))
    text = tables(figures)
    sys.stdout.write(text)
    log.info("%.0f s in all", time.perf_counter() - begin)
    if args.page and full:
        args.page.write_text(page_with(args.page.read_text(encoding="utf-8"), text), "utf-8")


if __name__ == "__main__":
    torch.set_flush_denormal(True)
    main()
