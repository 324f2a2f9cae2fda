"""Which of the DX7's algorithms suits a sound: patches in each of them, heard and ranked.

An search scorer says how good a sound is; nothing here knows a prompt. Candidates are random
patches, and FM patches of any other matrix that are placed into the algorithm as far as they fit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from presets import Note
from presets.dx7 import ALGORITHMS, Algorithm
from renderers import fm
from renderers.base import Renderer, physical, positions
from renderers.lift import in_voice, to_voice, voice_of
from renderers.starts import fm_patches

DIFFERENT = tuple(n for n in ALGORITHMS if n not in (4, 6))  # to us 4 is 3 and 6 is 5: see fm.py
CHUNK = 8  # patches rendered at once
ALIKE = 1e-3  # scores that are those of one sound


@dataclass(frozen=True, slots=True)
class Found:
    """An algorithm, its renderer, and its candidates u [M, P] with the search scorer's scores [M].

    Best first.
    """

    number: int
    renderer: Renderer
    u: Tensor
    scores: Tensor


def algorithms(
    search_scorer: Callable[[Tensor], Tensor],
    *,
    note: Note,
    rate: int,
    samples: int,
    generator: torch.Generator,
    each: int = 8,
    near: tuple[Renderer, Tensor] | None = None,
    voice: str = "paper",
) -> Iterator[Found]:
    """Listen to candidates of every algorithm; yields after each, `len(DIFFERENT)` times.

    `search_scorer` scores audio [B, 1, T], higher is better. `each` is how many random patches an
    algorithm gets; `near` is an FM renderer and patches [K, P] of it that are placed beside them.
    All are of the voice `voice`.
    """
    for number in DIFFERENT:
        renderer = fm.renderer(matrix=f"dx7:{number}", voice=voice)
        u = fm_patches(renderer, each, generator)
        if near is not None:
            u = torch.cat([place_in_algorithm(*near, number, voice=voice), u])
        scores = []
        for chunk in torch.split(u.float(), CHUNK):
            with torch.no_grad():
                scores.append(search_scorer(renderer.render(chunk, note, rate, samples)))
        score = torch.cat(scores)
        order = score.argsort(descending=True, stable=True)
        yield Found(number, renderer, u[order].float(), score[order])


def best(found: list[Found], count: int) -> list[Found]:
    """The algorithms whose best candidates scored highest; of some that scored alike, the first.

    A patch often fits several algorithms, and its sound is worth one attempt.
    """
    ranked = sorted(found, key=lambda f: float(f.scores[0]), reverse=True)
    chosen: list[Found] = []
    for f in ranked:
        if all(abs(float(f.scores[0] - c.scores[0])) > ALIKE for c in chosen):
            chosen.append(f)
    return chosen[:count]


def convert_operators(renderer: Renderer, u: Tensor, target: Renderer) -> Tensor:
    """FM patches u [K, P] of `renderer` as patches [K, P'] of the FM renderer `target`, float64.

    In an algorithm of the DX7 they are `place_in_algorithm`. Elsewhere they sound as before, but
    that loops are limited in a `free` matrix, and that the paper's voice drops what only the full
    one has; further operators of the target are silent. Raises `ValueError` when the target has
    fewer operators, or no place for loops.
    """
    voice = voice_of(target)
    for number in DIFFERENT:
        if fm.renderer(matrix=f"dx7:{number}", voice=voice).params == target.params:
            return place_in_algorithm(renderer, u, number, voice=voice)
    renderer, u = in_voice(renderer, voice), to_voice(renderer, u, voice)
    old, new = fm.layout(renderer.params), fm.layout(target.params)
    more = new.operators - old.operators
    if more < 0 or (old.matrix == "free" and new.matrix != "free"):
        raise ValueError(
            f"a matrix with {new.operators} operators, {new.matrix}, has no place for"
            f" {old.operators} operators, {old.matrix}"
        )
    values = fm.average_shared(old, physical(old.table, u))
    out = torch.zeros(len(u), len(target.params), dtype=torch.float64)
    for to, column in zip(operator_knobs(new), operator_knobs(old), strict=True):
        out[:, to] = values[:, torch.cat([column[-1:].expand(more), column])]
    if old.moving is not None and new.moving is not None:
        for name, i in new.moving.once.items():
            out[:, i] = values[:, old.moving.once[name]]
    out[:, new.mix[more + old.carriers]] = values[:, old.mix]
    A = torch.zeros(len(u), new.operators**2, dtype=torch.float64)
    rows, columns = old.cells // old.operators, old.cells % old.operators
    A[:, (more + rows) * new.operators + more + columns] = values[:, old.edges]
    out[:, new.edges] = A[:, new.cells]
    out[:, -1] = values[:, -1]
    return positions(new.table, out)


def operator_knobs(lay: fm.Layout) -> Tensor:
    """The columns [K, V] of the knobs that every operator has: ratio, attack, decay, ..."""
    knobs = [lay.ratio, lay.attack, lay.decay]
    if lay.moving is not None:
        knobs += [lay.moving.detune, lay.moving.sustain, lay.moving.release]
    return torch.stack(knobs)


def place_in_algorithm(
    renderer: Renderer, u: Tensor, number: int, *, voice: str = "paper"
) -> Tensor:
    """FM patches u [K, P] of `renderer` in algorithm `number`, [K, P'] of its renderer, float64.

    From the carriers outward: each slot takes the operator that modulates most what the slot
    modulates. An operator may be in several slots, and one that finds none is lost.
    """
    renderer, u = in_voice(renderer, voice), to_voice(renderer, u, voice)
    lay, plan = fm.layout(renderer.params), ALGORITHMS[number]
    target = fm.renderer(matrix=f"dx7:{number}", voice=voice)
    to = fm.layout(target.params)
    values = physical(lay.table, u)
    where = {p.name: i for i, p in enumerate(target.params)}
    V = lay.operators
    A = values.new_zeros(len(u), V * V).index_copy(1, lay.cells, values[:, lay.edges])
    mix = values.new_zeros(len(u), V).index_copy(1, lay.carriers, values[:, lay.mix])
    out = torch.zeros(len(u), len(target.params), dtype=torch.float64)
    if lay.moving is not None and to.moving is not None:
        for name, i in to.moving.once.items():
            out[:, i] = values[:, lay.moving.once[name]]
    knobs = operator_knobs(lay)
    for k, matrix in enumerate(A.view(-1, V, V)):
        sources = _slots(plan, matrix, mix[k])
        for slot in range(1, 7):
            places = operator_knobs(to)[:, to.ratio == where[f"op{slot}_ratio"]][:, 0]
            source = sources.get(slot, V - 1)
            out[k, places] = values[k, knobs[:, source]]
            if slot in sources and slot in plan.carriers:
                out[k, where[f"op{slot}_mix"]] = mix[k, source]
        loop = plan.feedback[1]
        for w, v in (*plan.edges, (loop, loop)):
            if v in sources and w in sources:
                out[k, where[f"op{v}_from_op{w}"]] = matrix[sources[v], sources[w]]
        out[k, -1] = values[k, -1]
    return positions(to.table, fm.average_shared(to, out))


def _slots(plan: Algorithm, A: Tensor, mix: Tensor) -> dict[int, int]:
    """Slot of the algorithm -> place of the operator that goes there."""
    above: dict[int, list[int]] = {v: [] for v in range(1, 7)}
    for w, v in plan.edges:
        above[v].append(w)

    def tree(slot: int) -> int:
        return 1 + sum(tree(w) for w in above[slot])

    depth = A - A.diag().diag()
    heard = [int(v) for v in mix.argsort(descending=True, stable=True) if mix[v] > 0.0]
    heard = heard[: len(plan.carriers)]
    heard.sort(key=lambda v: float(depth[v].sum()), reverse=True)
    roots = sorted(plan.carriers, key=tree, reverse=True)
    sources = dict(zip(roots, heard, strict=False))
    waiting = list(sources)
    while waiting:
        slot = waiting.pop(0)
        wanted = depth[sources[slot]].argsort(descending=True, stable=True).tolist()
        taken = {sources[w] for w in above[slot] if w in sources}
        wanted = [w for w in wanted if depth[sources[slot], w] > 0.0 and w not in taken]
        free = sorted((w for w in above[slot] if w not in sources), key=tree, reverse=True)
        for w, source in zip(free, wanted, strict=False):
            sources[w] = source
            waiting.append(w)
    return sources
