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
    - `heard`: clips that are decoded for one target, and compared.
    """

    rows: int
    at_once: int
    encodes: int
    decodes: int
    gradients: int = 0
    heard: int = 0


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
        codec = each.encodes * costs.encode_flops + each.decodes * costs.decode_flops
        codec += each.gradients * costs.gradient_flops
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
    """Weights, clips that are heard, and the most of a batch of evaluations, a clip in the codec,
    and one piece's graph.
    """
    batch = calls.at_once * costs.row_bytes * (HALF if half else FLOAT) // FLOAT
    clip = max(costs.encode_bytes, costs.decode_bytes)
    graph = costs.graph_bytes if calls.gradients else 0
    return weights(costs, half=half) + calls.heard * costs.clip_bytes + max(batch, clip, graph)
