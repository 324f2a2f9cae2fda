"""What a pipeline of diffusers costs, counted without its weights, as `sds.priors.costs` does.

Its parts are built on torch's meta device from their descriptions, and asked once.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

import torch

from sds.priors.checkpoints import ModelUnavailable, first_line
from sds.priors.costs import Costs, count, counted, saved_bytes
from sds.priors.diffusers_loading import (
    PIPELINES,
    SCHEDULER,
    DiffusersModel,
    adapter_of,
    assemble,
    needed,
    scheduler_of,
    silent,
)
from sds.priors.diffusers_prior import DiffusersPrior
from sds.priors.quiet_import import BUILD_ERRORS


@dataclass(frozen=True, slots=True)
class Blank:
    """A prior on the meta device, and how many numbers its text encoders have."""

    prior: DiffusersPrior
    text: int


def blank_prior(model: DiffusersModel) -> Blank:
    """The prior of a pipeline without weights, on the meta device: it has shapes, a family and no
    tokenizer. Raises `ModelUnavailable`.
    """
    needed(model)
    kinds = PIPELINES[model.pipeline]
    try:
        with silent():
            parts = {part: _blank(model, part, kind) for part, kind in kinds.items()}
            adapter = adapter_of(model.pipeline)
            prior = adapter(assemble(model, parts), name=model.name, device="meta")
    except ModelUnavailable:
        raise
    except (*BUILD_ERRORS, OSError) as error:
        raise ModelUnavailable(
            f"the descriptions of {model.name} cannot be built ({type(error).__name__}: "
            f"{first_line(error)})."
        ) from error
    return Blank(prior, sum(count(parts[part]) for part in prior.text_parts))


def _blank(model: DiffusersModel, part: str, kind: str) -> Any:
    if kind == SCHEDULER:
        return scheduler_of(model)
    library, name = kind.split(".")
    if name.endswith("Tokenizer"):
        return None
    made_by = getattr(importlib.import_module(library), name)
    description = model.description(part)
    with torch.device("meta"):
        if library == "diffusers":
            return made_by.from_config(description)
        return made_by(made_by.config_class.from_dict(description))


def count_prior(blank: Blank, seconds: float) -> Costs:
    """Count what a prior on the meta device costs for clips of `seconds`. Raises
    `ModelUnavailable`.
    """
    prior = blank.prior
    frames = prior.latent_frames(min(seconds, prior.max_seconds))
    z = torch.empty(1, prior.latent_channels, frames, device="meta")
    audio = torch.empty(1, prior.channels, frames * prior.ratio, device="meta")
    t, cond = torch.empty(1, device="meta"), prior.blank_cond()
    everything = torch.nn.ModuleList([prior.network, *prior.codec])
    try:
        row = counted(everything, lambda: prior.ask(z, t, cond))
        encode = counted(everything, lambda: prior.encode(audio))
        decode = counted(everything, lambda: prior.decode(z))
        saved = saved_bytes(everything, lambda: prior.decode(z.requires_grad_()))
    except BUILD_ERRORS as error:
        raise ModelUnavailable(
            f"the descriptions of {prior.name} make a model that cannot run "
            f"({type(error).__name__}: {first_line(error)})."
        ) from error
    return Costs(
        seconds, frames,
        network=count(prior.network), codec=sum(map(count, prior.codec)), text=blank.text,
        row_flops=row[0], encode_flops=encode[0], decode_flops=decode[0],
        row_bytes=row[1], encode_bytes=encode[1], decode_bytes=decode[1],
        saved_bytes=saved,
    )  # fmt: skip
