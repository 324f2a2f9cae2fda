"""Which operator of a patch goes where in which of the 32 algorithms.

A DX7 graph is read as a tree from its carriers: a patch's operator may be copied into several of
the six slots, so that what is heard and also modulates, or modulates two others differently, still
finds places. What no algorithm can hold is said.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from presets.dx7 import ALGORITHMS, Algorithm
from presets.export.laws import Voice

SLOTS = 6
BEAMS = 60  # candidates kept after each slot
HEARD = 4.0  # what a carrier is worth, in radians of modulation
DEEP = 3.0  # radians above which more depth changes little
FEEDBACK_WORTH = 0.6
FEEDBACK_DEEP = 1.5
FAINT = 0.02  # radians, or a share of the mix: not missed

Slots = tuple[int | None, ...]
_Filled = dict[int, int]  # slot (1..6) -> the patch's operator (from 0)


@dataclass(frozen=True, slots=True)
class Place:
    """An algorithm, and for each of its six operators the patch's operator (from 0) or None."""

    algorithm: int
    slots: Slots

    def carriers(self) -> tuple[int, ...]:
        """The patch's operators that are heard."""
        heard = (self.slots[c - 1] for c in ALGORITHMS[self.algorithm].carriers)
        return tuple(source for source in heard if source is not None)

    def targets(self, slot: int) -> tuple[int, ...]:
        """The patch's operators that the one in `slot` (1..6) modulates."""
        edges = ALGORITHMS[self.algorithm].edges
        found = (self.slots[target - 1] for modulator, target in edges if modulator == slot)
        return tuple(source for source in found if source is not None)

    def index(self, patch: Voice, slot: int) -> float:
        """Radians by which the modulator in `slot` moves its targets, in the mean over them."""
        source = self.slots[slot - 1]
        wanted = [
            patch.matrix[target][source] for target in self.targets(slot) if source is not None
        ]
        return sum(wanted) / len(wanted) if wanted else 0.0


def place(patch: Voice, names: frozenset[str]) -> tuple[Place, list[str]]:
    """The nearest place for a patch with these value names, and what it leaves out.

    Where the names of the edges are those of an algorithm, every operator keeps its number.
    """
    number = _of_names(names)
    if number and _fits(patch, ALGORITHMS[number]):
        return Place(number, tuple(range(SLOTS))), []
    found = [_search(patch, n) for n in ALGORITHMS]
    placed = max(found, key=lambda scored: scored[0])[1]
    return placed, _missing(patch, placed)


def _of_names(names: frozenset[str]) -> int:
    """The algorithm whose edges the value names are, with one self-feedback; 0 if none."""
    edges = {
        (int(m[2]), int(m[1])) for name in names if (m := re.fullmatch(r"op(\d)_from_op(\d)", name))
    }
    for number, algorithm in ALGORITHMS.items():
        if edges == {*algorithm.edges, (algorithm.feedback[1],) * 2}:
            return number
    return 0


def _fits(patch: Voice, algorithm: Algorithm) -> bool:
    return len(patch.mix) == SLOTS and all(
        mix <= 0.0 or slot in algorithm.carriers for slot, mix in enumerate(patch.mix, start=1)
    )


def _search(patch: Voice, number: int) -> tuple[float, Place]:
    """Beam search over the slots of one algorithm, carriers first, then whoever modulates them."""
    algorithm = ALGORITHMS[number]
    beams: list[tuple[float, _Filled]] = [(0.0, {})]
    for slot in _outward(algorithm):
        worth = _carrier_worth if slot in algorithm.carriers else _modulator_worth
        grown = list(beams)  # the slot may stay empty
        for score, filled in beams:
            for source in range(len(patch.mix)):
                more = worth(patch, algorithm, filled, slot, source)
                if more > 0.0:
                    grown.append((score + more, {**filled, slot: source}))
        # the same operators in mirrored slots are one candidate: keep what differs in score
        distinct = {round(score, 9): (score, filled) for score, filled in grown}
        beams = sorted(distinct.values(), key=lambda beam: -beam[0])[:BEAMS]
    scored = [
        (score + _feedback_worth(patch, algorithm, filled), filled) for score, filled in beams
    ]
    score, filled = max(scored, key=lambda beam: beam[0])
    return score, Place(number, tuple(filled.get(slot) for slot in range(1, SLOTS + 1)))


def _outward(algorithm: Algorithm) -> list[int]:
    """The slots, each after all that it modulates."""
    order = list(algorithm.carriers)
    while len(order) < SLOTS:
        order += [
            slot
            for slot in range(1, SLOTS + 1)
            if slot not in order and all(t in order for m, t in algorithm.edges if m == slot)
        ]
    return order


def _carrier_worth(
    patch: Voice, algorithm: Algorithm, filled: _Filled, slot: int, source: int
) -> float:
    """Radians times loudness that `source` adds when it is heard; 0 if it is already."""
    taken = any(filled.get(carrier) == source for carrier in algorithm.carriers)
    return 0.0 if taken else HEARD * _loud(patch, source)


def _modulator_worth(
    patch: Voice, algorithm: Algorithm, filled: _Filled, slot: int, source: int
) -> float:
    """Radians times loudness that `source` adds as a modulator; 0 if its target has it already.

    Targets share one depth, the mean: each loses what it is away from that.
    """
    targets = [t for m, t in algorithm.edges if m == slot and t in filled]
    if any(t in targets and filled.get(m) == source for m, t in algorithm.edges):
        return 0.0
    wanted = [min(patch.matrix[filled[t]][source], DEEP) for t in targets]
    depth = sum(wanted) / max(1, len(wanted))
    return sum(
        _weight(patch, algorithm, filled, t) * (w - abs(w - depth))
        for t, w in zip(targets, wanted, strict=True)
    )


def _feedback_worth(patch: Voice, algorithm: Algorithm, filled: _Filled) -> float:
    heard, to = algorithm.feedback
    if heard not in filled or to not in filled:
        return 0.0
    depth = min(patch.matrix[filled[to]][filled[heard]], FEEDBACK_DEEP)
    return FEEDBACK_WORTH * _weight(patch, algorithm, filled, to) * depth


def _loud(patch: Voice, source: int) -> float:
    return patch.mix[source] / max(patch.mix)


def _weight(patch: Voice, algorithm: Algorithm, filled: _Filled, slot: int) -> float:
    """How much is heard of what happens to the operator in `slot`, which is filled."""
    source = filled[slot]
    if slot in algorithm.carriers:
        return _loud(patch, source)
    targets = [t for m, t in algorithm.edges if m == slot and t in filled]
    return max(
        _weight(patch, algorithm, filled, t) * min(1.0, patch.matrix[filled[t]][source] / DEEP)
        for t in targets
    )


def _missing(patch: Voice, placed: Place) -> list[str]:
    """What the place leaves out, and what it holds at another depth."""
    algorithm = ALGORITHMS[placed.algorithm]
    said = []
    for source, mix in enumerate(patch.mix):
        if mix > FAINT * max(patch.mix) and source not in placed.carriers():
            share = mix / sum(patch.mix)
            said.append(f"op{source + 1}: not heard, no carrier is left ({share:.0%} of the mix)")
    heard, to = algorithm.feedback
    for slot, target in enumerate(placed.slots, start=1):
        if target is None:
            continue
        at = f"op{target + 1}" + (f" in slot {slot}" if placed.slots.count(target) > 1 else "")
        held = {
            placed.slots[m - 1]: placed.index(patch, m)
            for m, t in algorithm.edges
            if t == slot and placed.slots[m - 1] is not None
        }
        if slot == to and placed.slots[heard - 1] is not None:
            looped = placed.slots[heard - 1]
            held[looped] = patch.matrix[target][looped or 0]  # its rounding is told elsewhere
        for source, wanted in enumerate(patch.matrix[target]):
            got = held.get(source, 0.0)
            if wanted > FAINT and source not in held:
                said.append(
                    f"{at}: its modulation by op{source + 1} ({wanted:.2f} rad) is left out"
                )
            elif abs(got - wanted) > max(FAINT, 0.1 * wanted):
                said.append(
                    f"{at}: its modulation by op{source + 1} is {got:.2f} rad, not {wanted:.2f}"
                )
    return said
