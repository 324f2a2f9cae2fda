"""The memory and minutes that each recipe needs here with a model: lines of `doctor`."""

from __future__ import annotations

import math
import os
from dataclasses import asdict

import torch

from bridge.protocol.jobs import Check, check
from sds.priors.checkpoints import CONFIG, SHIPPED, ModelUnavailable
from sds.priors.costs import count_costs
from sds.priors.families import family_of_config
from sds.priors.needs import Need, needs, weights
from sds.priors.published import find_config
from sds.priors.speed import measure_speed
from sds.separation.calls import recipe_calls

SECONDS = 10.0  # of a clip, and of a window: what the paper has
SHORT = 2.0  # of a patch that is searched for; what the job has by default
SHORT_ONES = ("patch fast", "patch default")
GB = 1e9


def examine_needs(model: str) -> list[Check]:
    """Lines of `doctor` on what each recipe needs with a model of stable-audio-tools, by its
    description alone, and its licence; none for a model that ships, which runs anywhere.
    """
    if model in (*SHIPPED, "gaussian"):
        return []
    try:
        config = find_config(model)
        family = family_of_config(config)
        where, text, room = _device()
        longest = config["sample_size"] / config["sample_rate"]
        costs, short = (count_costs(config, min(each, longest)) for each in (SECONDS, SHORT))
        half = where.type != "cpu"
        speed = measure_speed(config, where, torch.float16 if half else torch.float32)
    except (ModelUnavailable, LookupError, TypeError) as error:
        fix = f"give a model of stable-audio-tools, with its {CONFIG}"
        return [check("needs", False, f"not counted: {error}", fix, optional=True)]
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
