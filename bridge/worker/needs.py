"""The memory and minutes that each recipe needs here with a model: lines of `doctor`."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial

import torch

from bridge.protocol.jobs import Check, check
from sds.priors.checkpoints import CONFIG, SHIPPED, first_line
from sds.priors.costs import Costs, count_costs
from sds.priors.diffusers_loading import DiffusersModel, find_diffusers
from sds.priors.families import Family, family_of_config
from sds.priors.needs import Need, needs, weights
from sds.priors.published import find_config
from sds.priors.quiet_import import BUILD_ERRORS
from sds.priors.speed import Speed, measure_speed
from sds.separation.calls import recipe_calls

SECONDS = 10.0  # of a clip, and of a window: what the paper has
SHORT = 2.0  # of a patch that is searched for; what the job has by default
SHORT_ONES = ("patch fast", "patch default")
GB = 1e9


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
        pipeline = find_diffusers(model)
        counted = _checkpoint(model) if pipeline is None else _pipeline(pipeline)
        costs, short = (counted.costs(min(each, counted.longest)) for each in (SECONDS, SHORT))
        half = where.type != "cpu"
        speed = counted.speed(where, torch.float16 if half else torch.float32)
    except (*BUILD_ERRORS, OSError) as error:  # a description may say anything
        fix = f"give a model of stable-audio-tools, with its {CONFIG}, or one of diffusers"
        return [check("needs", False, f"not counted: {first_line(error)}", fix, optional=True)]
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
        rows.append(check("refused", False, f"{_REFUSED} {family.title}", _INSTEAD, optional=True))
    return [*rows, check("licence", True, family.licence)]


_REFUSED = "no patch --recipe paper, and only separate --method fast, with"
_INSTEAD = "use patch with other recipes, generate, or a base model"


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
