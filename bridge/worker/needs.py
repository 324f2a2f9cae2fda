"""What each recipe asks of a model, and so the memory and minutes that it needs here: for `doctor`.

A recipe asks the prior a known number of times at most (`Calls`, compared with runs in the tests);
what one call costs is counted (`sds.priors.costs`), and how fast this machine is, timed
(`sds.priors.speed`). What a recipe does beside the model (notes, scorers, masks) is not in it.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial

import torch

from bridge.protocol.jobs import Check, check
from sds.distillation.patch_search import CHUNK
from sds.distillation.preference import BATCH, TIMES
from sds.distillation.recipes import RECIPES, PatchRecipe
from sds.priors.checkpoints import CONFIG, SHIPPED, ModelUnavailable
from sds.priors.costs import FLOAT, Costs, count_costs
from sds.priors.diffusers_loading import DiffusersModel, find_diffusers
from sds.priors.families import Family, family_of_config
from sds.priors.published import find_config
from sds.priors.speed import Speed, measure_speed
from sds.separation.audio_sds import LATENTS
from sds.separation.mask_settings import MASKS
from sds.separation.zerosep import STEPS

SECONDS = 10.0  # of a clip, and of a window: what the paper has
SHORT = 2.0  # of a patch that is searched for; what the job has by default
SHORT_ONES = ("patch fast", "patch default")
PROMPTS = 2
HALF = 2  # bytes of a number in half precision
GB = 1e9


@dataclass(frozen=True, slots=True)
class Calls:
    """What a recipe asks of a prior at most, for one sound.

    - `rows`: evaluations, counted by prompt and noise level; `at_once`: most in one batch.
    - `encodes`, `decodes`: of whole clips; `gradients`: decodes whose gradient is taken.
    - `held`: decodes whose graph is alive at the same time.
    """

    rows: int
    at_once: int
    encodes: int
    decodes: int
    gradients: int = 0
    held: int = 0


def patch_calls(recipe: PatchRecipe) -> Calls:
    """What a search for a patch asks at most; a fit that many knobs get in place of evolution asks
    less."""
    sds = recipe.distillation
    judged = 0
    if recipe.preference:
        judged = min(recipe.crowd, recipe.candidates) + (recipe.generations + 1) * recipe.crowd
        judged += 2 * recipe.starts
    made = recipe.generated
    targets = -(-sds.steps // sds.refresh) * recipe.starts * sds.samples
    branches = 1 if sds.guidance in (0.0, 1.0) else 2
    asked = [made * branches, recipe.starts * sds.samples * branches if sds.steps else 0]
    if recipe.preference:
        asked.append(2 * min(BATCH, max(CHUNK, recipe.crowd)))
    return Calls(
        rows=2 * len(TIMES) * judged
        + made * recipe.generate_steps * branches
        + targets * sds.denoise_steps * branches,
        at_once=max(asked),
        encodes=1 + judged + min(made, 1) + -(-sds.steps // sds.refresh) * recipe.starts,
        decodes=made + targets,
    )


def latent_calls(prompts: int) -> Calls:
    """What separation `paper` asks for one window of so many prompts."""
    recipe = LATENTS.recipe
    targets = recipe.steps * prompts * recipe.samples
    return Calls(
        rows=2 * targets * recipe.denoise_steps,
        at_once=2 * prompts * recipe.samples,
        encodes=prompts * (recipe.steps + 1),
        decodes=targets + prompts,
        gradients=prompts * recipe.steps,
        held=prompts,
    )


def generate_calls(family: Family) -> Calls:
    """What one clip asks as its family is sampled."""
    branches = 1 if family.guidance in (0.0, 1.0) else 2
    return Calls(family.steps * branches, branches, encodes=1, decodes=1)


def recipe_calls(family: Family) -> dict[str, Calls]:
    """The calls of each recipe that asks the model of a family, by its name for people."""
    zerosep = Calls(STEPS * (1 + PROMPTS), 1, encodes=1, decodes=PROMPTS)
    once = MASKS.estimates * PROMPTS
    calls = {
        **{f"patch {name}": patch_calls(RECIPES[name]) for name in ("fast", "default", "paper")},
        "separate default": zerosep,
        "separate masks": Calls(once, PROMPTS, encodes=once, decodes=once),
        "separate paper": latent_calls(PROMPTS),
        "generate": generate_calls(family),
    }
    if family.post_trained:
        del calls["patch paper"], calls["separate paper"]
    return calls


@dataclass(frozen=True, slots=True)
class Need:
    """What a recipe needs for `seconds` of sound: `operations` of the model, `minutes` here, and
    `bytes` of memory, each at most."""

    recipe: str
    seconds: float
    operations: int
    minutes: float
    bytes: int


def needs(costs: Costs, calls: Mapping[str, Calls], speed: Speed) -> list[Need]:
    """What each recipe needs where the model computes at `speed`."""
    rows = []
    for recipe, each in calls.items():
        network = each.rows * costs.row_flops
        # The gradient by the latent is as much again as the decode itself; weights have none.
        decodes = each.decodes + 2 * each.gradients
        codec = each.encodes * costs.encode_flops + decodes * costs.decode_flops
        seconds = network / speed.network + codec / speed.codec
        memory = _memory(costs, each, half=speed.device != "cpu")
        rows.append(Need(recipe, costs.seconds, network + codec, seconds / 60, memory))
    return rows


def weights(costs: Costs, *, half: bool) -> int:
    """Bytes of the weights where the model computes: on a GPU the transformer is in `half`
    precision, the codec is not, and the text encoder goes back to the CPU.
    """
    if half:
        return costs.network * HALF + costs.codec * FLOAT
    return (costs.network + costs.codec) * FLOAT + costs.text * HALF


def _memory(costs: Costs, calls: Calls, *, half: bool) -> int:
    """Weights, and the most of a batch of evaluations, a clip in the codec, and kept graphs."""
    batch = calls.at_once * costs.row_bytes * (HALF if half else FLOAT) // FLOAT
    clip = max(costs.encode_bytes, costs.decode_bytes)
    graphs = calls.held * costs.saved_bytes + (costs.decode_bytes if calls.held else 0)
    return weights(costs, half=half) + max(batch, clip, graphs)


@dataclass(frozen=True, slots=True)
class _Counted:
    """A model whose costs can be counted: its family, its longest clip in seconds, what a clip of
    so many seconds costs, and how fast a device computes it in a precision.
    """

    family: Family
    longest: float
    costs: Callable[[float], Costs]
    speed: Callable[[torch.device, torch.dtype], Speed]


def _checkpoint(model: str) -> _Counted:
    """A model of stable-audio-tools."""
    config = find_config(model)
    return _Counted(
        family_of_config(config),
        config["sample_size"] / config["sample_rate"],
        partial(count_costs, config),
        partial(measure_speed, config),
    )


def _pipeline(model: DiffusersModel) -> _Counted:
    """A model of diffusers."""
    from sds.priors.diffusers_costs import blank_prior, count_prior, measure_prior_speed

    blank = blank_prior(model)
    prior = blank.prior
    return _Counted(
        prior.family,
        prior.max_seconds,
        partial(count_prior, blank),
        partial(measure_prior_speed, model),
    )


def examine_needs(model: str) -> list[Check]:
    """Lines of `doctor` on what each recipe needs with a model of stable-audio-tools or diffusers,
    by its description alone, and its licence; none for a model that ships, which runs anywhere.
    """
    if model in (*SHIPPED, "gaussian"):
        return []
    try:
        where, text, room = _device()
        half = where.type != "cpu"
        dtype = torch.float16 if half else torch.float32
        pipeline = find_diffusers(model)
        counted = _checkpoint(model) if pipeline is None else _pipeline(pipeline)
        costs, short = (counted.costs(min(each, counted.longest)) for each in (SECONDS, SHORT))
        speed = counted.speed(where, dtype)
    except (ModelUnavailable, LookupError, TypeError) as error:
        fix = f"give a model of stable-audio-tools, with its {CONFIG}, or one of diffusers"
        return [check("needs", False, f"not counted: {error}", fix, optional=True)]
    family = counted.family
    facts = {"device": text, "bytes": room, **asdict(costs), "speed": asdict(speed)}
    line = (
        f"{family.title}: {(costs.network + costs.codec + costs.text) / 1e6:.0f} million numbers, "
        f"{weights(costs, half=half) / GB:.1f} GB on {text}; {costs.row_flops / 1e12:.3g} TFLOP an "
        f"evaluation of {costs.seconds:g} s, {costs.decode_flops / 1e12:.3g} a decode"
    )
    rows = [check("model's size", True, line) | {"figures": facts}]
    for name, calls in recipe_calls(family).items():
        of = short if name in SHORT_ONES else costs
        rows += [_line(need, room) for need in needs(of, {name: calls}, speed)]
    if family.post_trained:
        rows.append(check("paper", False, f"not with {family.title}", _NO_PAPER, optional=True))
    return [*rows, check("licence", True, family.licence)]


_NO_PAPER = "use `patch` and `separate` with other recipes, or a base model"


def _line(need: Need, room: int) -> Check:
    """One recipe: whether it fits, and about how long the model takes."""
    fits = need.bytes <= room
    text = (
        f"{need.seconds:g} s of sound: at most {need.bytes / GB:.1f} of {room / GB:.1f} GB, "
        f"{_duration(need.minutes)} of the model ({need.operations / 1e12:.3g} TFLOP)"
    )
    fix = "ask for less at once: a shorter sound, a smaller model, a card with more memory"
    return check(need.recipe, fits, text, fix, optional=True) | {"figures": asdict(need)}


def _duration(minutes: float) -> str:
    """About so long, in the unit that a person would use."""
    if minutes < 1:
        return f"about {max(1, math.ceil(60 * minutes))} s"
    return f"about {minutes:.0f} min" if minutes < 120 else f"about {minutes / 60:.0f} h"


def _device() -> tuple[torch.device, str, int]:
    """Where a model would run, what that is called, and its memory in bytes."""
    if torch.cuda.is_available():
        facts = torch.cuda.get_device_properties(0)
        return torch.device("cuda", 0), facts.name, facts.total_memory
    if torch.backends.mps.is_available():
        return torch.device("mps"), "the GPU of this Mac", torch.mps.recommended_max_memory()
    threads = torch.get_num_threads()
    room = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return torch.device("cpu"), f"the CPU ({threads} threads)", room
