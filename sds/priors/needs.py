"""What a recipe asks of a model, and so the memory and time that it needs where that computes.

A recipe asks a known number of times at most (`Calls`: `sds.distillation.calls`,
`sds.separation.calls`); what a call costs is counted (`sds.priors.costs`), and how fast a machine
is, timed (`sds.priors.speed`). What a recipe does beside the model is not in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sds.priors.costs import FLOAT, Costs
from sds.priors.speed import Speed

HALF = 2  # bytes of a number in half precision


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
