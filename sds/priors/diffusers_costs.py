"""What a pipeline of diffusers costs, counted without its weights, as `sds.priors.costs` does.

Its parts are built on torch's meta device from their descriptions, and asked once.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any, cast

import torch

from sds.priors.checkpoints import ModelUnavailable, first_line
from sds.priors.costs import Costs, costs_of, count, counted, saved_bytes
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
from sds.priors.speed import DECODED, LEAST, ROWS, Speed, filled, operations_a_second

SECONDS = 10.0  # of the network's question that is timed


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
        piece = z[..., : prior.graph_chunk or frames].requires_grad_()
        saved = saved_bytes(everything, lambda: prior._decode(piece))
    except BUILD_ERRORS as error:
        raise ModelUnavailable(
            f"the descriptions of {prior.name} make a model that cannot run "
            f"({type(error).__name__}: {first_line(error)})."
        ) from error
    apart = (prior.graph_chunk - prior.overlap) if prior.graph_chunk else frames
    return costs_of(
        seconds, audio, frames, piece.shape[-1], apart, saved,
        (row, encode, decode), (count(prior.network), sum(map(count, prior.codec)), blank.text),
    )  # fmt: skip


def measure_prior_speed(
    model: DiffusersModel, device: torch.device, dtype: torch.dtype, *, least: float = LEAST
) -> Speed:
    """Time a layer of the network in `dtype` (of AudioLDM 2 the whole network) and the decoder in
    float32, with random weights, for `least` seconds each. Raises `ModelUnavailable`.
    """
    prior = blank_prior(model).prior
    network = cast(Any, prior.network)
    if hasattr(network, "transformer_blocks"):
        network.transformer_blocks = network.transformer_blocks[:1]
    filled(network, device, dtype)
    for module in prior.codec:
        filled(module, device, torch.float32)
    prior.device, prior.precision = device, dtype
    rows = ROWS.get(device.type, 20)
    frames = prior.latent_frames(min(SECONDS, prior.max_seconds))
    z = torch.zeros(rows, prior.latent_channels, frames, device=device)
    t = torch.full((rows,), 0.5, device=device)
    cond = {
        name: value.expand(rows, *value.shape[1:]) for name, value in prior.blank_cond().items()
    }
    part = z[:1, :, : DECODED if device.type == "cpu" else frames]
    with torch.no_grad():
        return Speed(
            device.type,
            operations_a_second(lambda: prior.ask(z, t, cond), device, least),
            operations_a_second(lambda: prior.decode(part), device, least),
        )
