"""On the way from one patch to another: knobs go straight in u, octaves for what has octaves.

Patches of different layouts meet in one that holds both. FM: the operators of both, counted from
the last, which is heard; an operator that only one patch has is silent in the other. Impact: modes
that are nearest in frequency are one mode on the way; a mode without a partner fades in. A patch of
the paper's voice goes to a full one as a full patch that sounds the same; one of the impact voice
"audio-sds" only to its like.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from presets import Effect, Preset
from presets.ranges import STRIKE
from renderers import fm, for_preset, from_values, impact, to_values
from renderers.algorithms import convert_operators, operator_knobs
from renderers.base import Renderer, physical, positions
from renderers.lift import in_voice, to_voice, voice_of


def morph(a: Preset, b: Preset, position: float) -> Preset:
    """The preset at `position` of the way from `a`, at 0, to `b`, at 1; both ends are exact.

    Settings of the same effects go along, other chains change over in the middle. Raises
    `ValueError` when the renderers differ or position is not in 0..1.
    """
    if not 0.0 <= position <= 1.0:
        raise ValueError(f"position must be in 0..1, got {position:g}")
    if a.renderer != b.renderer:
        raise ValueError(f"only presets of one renderer morph, got {a.renderer} and {b.renderer}")
    if position in (0.0, 1.0):
        return b if position else a
    renderer, u, v = together(a, b)
    near = b if position >= 0.5 else a
    return near.model_copy(
        update={
            "name": f"{a.name[:90]} to {b.name[:90]} {position:.2f}",
            "values": to_values(renderer, u + position * (v - u)),
            "seconds": a.seconds ** (1.0 - position) * b.seconds**position,
            "effects": _chain(a, b, position),
            "seed": None,
            "provenance": near.provenance.model_copy(
                update={"method": "morph", "score_before": None, "score_after": None}
            ),
        }
    )


def together(a: Preset, b: Preset) -> tuple[Renderer, Tensor, Tensor]:
    """A renderer that holds both patches, and both as u [P] of it."""
    first, second = for_preset(a), for_preset(b)
    u, v = from_values(first, a.values), from_values(second, b.values)
    voices = {voice_of(first), voice_of(second)}
    if "audio-sds" in voices and len(voices) > 1:
        raise ValueError("the impact voice of the recipe paper morphs only into its like")
    if "full" in voices:
        u, v = (to_voice(r, x[None], "full")[0] for r, x in ((first, u), (second, v)))
        first, second = in_voice(first, "full"), in_voice(second, "full")
    if a.renderer == "impact":
        return _modes_together(first, u, second, v)
    if first.params == second.params:
        return first, u, v
    return _operators_together(first, u, second, v)


def _operators_together(
    first: Renderer, u: Tensor, second: Renderer, v: Tensor
) -> tuple[Renderer, Tensor, Tensor]:
    """Both in the places of `fm.Layout`, where neither has loops unless it is `free`.

    In a `free` matrix the limit on loops also weighs on what had none, so a patch of another matrix
    with much feedback jumps a little as it leaves its end. Depths beyond `presets.ranges.INDEX`
    are cut.
    """
    ours = [fm.layout(r.params) for r in (first, second)]
    free = any(lay.matrix == "free" for lay in ours)
    V = max(lay.operators for lay in ours)
    matrix = "free" if free else "acyclic"
    renderer = fm.renderer(operators=V, matrix=matrix, voice=voice_of(first))
    knobs = operator_knobs(fm.layout(renderer.params))
    rows = [convert_operators(r, x[None], renderer)[0] for r, x in ((first, u), (second, v))]
    for k, own in enumerate(ours):
        silent = knobs[:, : V - own.operators]  # as the other has them: nothing glides
        rows[k][silent] = rows[1 - k][silent]
    return renderer, rows[0], rows[1]


def _modes_together(
    first: Renderer, u: Tensor, second: Renderer, v: Tensor
) -> tuple[Renderer, Tensor, Tensor]:
    """Both with as many modes and bands as the larger has of each, the modes in its order."""
    lays = [impact.layout(r.params) for r in (first, second)]
    N, M = max(lay.modes for lay in lays), max(lay.bands for lay in lays)
    renderer = impact.renderer(modes=N, bands=M, voice=voice_of(first))
    lay = impact.layout(renderer.params)
    parts = [_parts(x, y, N) for x, y in zip(lays, (u, v), strict=True)]
    large = 0 if lays[0].modes == N else 1
    modes = [parts[large][0], _match_modes(parts[large][0], parts[1 - large][0])]
    out = []
    for k, (_, bands, rest) in enumerate(parts):
        laid = modes[0] if k == large else modes[1]
        out.append(torch.cat([laid.flatten(), _spread(bands, M).flatten(), rest]))
    u, v = positions(lay.table, torch.stack(out))
    return renderer, u, v


def _parts(lay: impact.Layout, u: Tensor, N: int) -> tuple[Tensor, Tensor, Tensor]:
    """Physical values of a patch: modes [n, 3], bands [M, 2 or 3], the knobs of the whole.

    The bank is divided by the root of its size, and silent partners will count there: the level
    makes up for it, and the gains of the modes where it is at its end.
    """
    values = physical(lay.table, u[None])[0]
    top = lay.table.low[-1] * lay.table.log_ratio[-1].exp()
    level = values[-1] * math.sqrt(N / lay.modes)
    values[-1] = level.clamp_max(top)
    whole = -4 - (len(STRIKE) if lay.full else 0)
    modes, bands, rest = values[: 3 * lay.modes], values[3 * lay.modes : whole], values[whole:]
    modes[1::3] *= level / values[-1]
    return modes.view(-1, 3), bands.view(-1, lay.knobs_of_a_band), rest


def _match_modes(large: Tensor, small: Tensor) -> Tensor:
    """Modes [N, 3] of `small` [n, 3] in the places of those of `large` nearest in octaves."""
    from scipy.optimize import linear_sum_assignment

    apart = (large[:, None, 0].log() - small[None, :, 0].log()).abs()
    places, which = linear_sum_assignment(apart.numpy())
    out = large.clone()
    out[:, 1] = 0.0  # cut to the least gain there is
    out[places] = small[which]
    return out


def _spread(bands: Tensor, count: int) -> Tensor:
    """Bands [m, K] as `count` bands over the same range, interpolated in octaves."""
    m = len(bands)
    if m == count:
        return bands
    at = torch.arange(count, dtype=torch.float64) * (m - 1) / (count - 1)
    low = at.floor().long().clamp_max(max(0, m - 2))
    logs, part = bands.log(), (at - low)[:, None]
    return torch.exp(logs[low] + part * (logs[(low + 1).clamp_max(m - 1)] - logs[low]))


def _chain(a: Preset, b: Preset, position: float) -> tuple[Effect, ...]:
    """The effects on the way; a setting that one leaves out, and a plugin, are the nearer one's."""
    near, far = (b, a) if position >= 0.5 else (a, b)
    if [(e.kind, e.plugin) for e in a.effects] != [(e.kind, e.plugin) for e in b.effects]:
        return near.effects
    part = min(position, 1.0 - position)
    return tuple(
        x.model_copy(
            update={
                "values": {
                    name: value + part * (y.values.get(name, value) - value)
                    for name, value in x.values.items()
                }
            }
        )
        for x, y in zip(near.effects, far.effects, strict=True)
    )
