"""How fast this machine computes a model: one of its layers and its decoder, timed on the spot.

The layer and the decoder are of the real classes and widths, with random weights, so that a minute
that follows from them and from the counts of `sds.priors.costs` holds for the whole model.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from sds.priors.costs import blank_cond, blank_model, count_flops

LEAST = 0.4  # seconds that are timed, at least one run
FRAMES = 216  # latent frames of the layer's question: 10 s of Stable Audio Open
DECODED = 4  # latent frames that are decoded on a CPU; on others more
ROWS = {"cpu": 1}  # questions at once; elsewhere 20, as in the recipe "paper"


@dataclass(frozen=True, slots=True)
class Speed:
    """Operations a second of the transformer and of the codec, on `device`."""

    device: str
    network: float
    codec: float


def measure_speed(
    config: Mapping[str, Any], device: torch.device, dtype: torch.dtype, *, least: float = LEAST
) -> Speed:
    """Time a layer of the transformer in `dtype`, and the decoder in float32, for `least` seconds
    each; takes a few seconds. Raises `ModelUnavailable`.
    """
    own = copy.deepcopy(dict(config))
    own["model"]["diffusion"]["config"]["depth"] = 1
    model, cond = blank_model(own), blank_cond(own)
    rows = ROWS.get(device.type, 20)
    channels = own["model"]["io_channels"]
    network = filled(model.model, device, dtype)
    z = torch.zeros(rows, channels, FRAMES, device=device, dtype=dtype)
    t = torch.full((rows,), 0.5, device=device, dtype=dtype)
    told = {
        name: torch.zeros(rows, *value.shape[1:], device=device, dtype=dtype)
        for name, value in cond.items()
    }
    decoder = filled(model.pretransform.model.decoder, device, torch.float32)
    part = torch.zeros(1, channels, DECODED if device.type == "cpu" else FRAMES, device=device)
    with torch.no_grad():
        return Speed(
            device.type,
            operations_a_second(lambda: network(z, t, **told), device, least),
            operations_a_second(lambda: decoder(part), device, least),
        )


def filled(module: Any, device: torch.device, dtype: torch.dtype) -> Any:
    """A blank module on a device, with random weights."""
    module = module.to(dtype).to_empty(device=device)
    for weight in [*module.parameters(), *module.buffers()]:
        weight.uniform_(-0.02, 0.02)
    return module


def operations_a_second(run: Callable[[], Any], device: torch.device, least: float) -> float:
    """Operations a second of `run`."""
    flops = count_flops(run)  # warms up, too
    done, begin = 0, _now(device)
    while (spent := _now(device) - begin) < least or not done:
        run()
        done += 1
    return flops * done / max(spent, 1e-9)


def _now(device: torch.device) -> float:
    """Seconds, when all that was asked of the device is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
    return time.perf_counter()
