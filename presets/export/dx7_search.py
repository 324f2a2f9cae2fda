"""The bytes around a DX7 voice, one after the other, by how near they sound to the patch.

A fit of each envelope by itself counts all decibels alike. What is heard of them depends on the
other operators, on the onset, which is stepped, and on who masks whom: so somebody listens.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from presets.dx7 import Operator, Voice
from presets.export.dx7_envelope import SHARPEST, SPEEDS

EVALUATIONS = 160  # sounds listened to: about 3 s of work for a long one
SWEEPS = (2, 1, 1)  # by how many steps a byte is moved
BEND = 3  # levels a step
SAME = 98  # an envelope level that is 99 to Dexed: it would be held for a while
OUTPUTS = 2  # an output level stays this near to the patch's: 1.5 dB


@dataclass(frozen=True, slots=True)
class _Byte:
    """The place of a byte: which operator (from 0), which of its numbers, which segment."""

    operator: int
    kind: str
    segment: int = 0


def nearest(voice: Voice, distance: Callable[[Voice], float]) -> Voice:
    """The voice with the least `distance` (dB) that a search by coordinates finds around `voice`.

    Moved are the rates, the level where an envelope bends and the output levels of operators that
    sound. A level of 99 stays: it is the loudest moment, and engines differ in how they add levels.
    """
    start, best, heard = voice, distance(voice), 1
    for step in SWEEPS:
        for byte in _bytes(voice):
            for by in (step, -step):
                found = False
                while heard < EVALUATIONS and (moved := _moved(voice, start, byte, by)):
                    heard += 1
                    away = distance(moved)
                    if away >= best:
                        break
                    voice, best, found = moved, away, True
                if found:
                    break
    return voice


def _bytes(voice: Voice) -> list[_Byte]:
    found = []
    for n, operator in enumerate(voice.operators):
        if operator.output:
            found.append(_Byte(n, "output"))
            found += [_Byte(n, "rate", segment) for segment in range(3)]
            found += [_Byte(n, "level", k) for k in range(2) if operator.levels[k] != 99]
    return found


def _moved(voice: Voice, start: Voice, byte: _Byte, by: int) -> Voice | None:
    """The voice with one byte `by` steps on; None where there is no room."""
    operator = _MOVES[byte.kind](voice.operators[byte.operator], byte.segment, by)
    if operator is None or abs(operator.output - start.operators[byte.operator].output) > OUTPUTS:
        return None
    operators = list(voice.operators)
    operators[byte.operator] = operator
    return replace(voice, operators=tuple(operators))


def _output(operator: Operator, _: int, by: int) -> Operator | None:
    output = operator.output + by
    return replace(operator, output=output) if 1 <= output <= 99 else None


def _rate(operator: Operator, segment: int, by: int) -> Operator | None:
    place = (operator.rates[segment] * 41 >> 6) + by
    levels = (0, *operator.levels)
    rises = levels[segment + 1] > levels[segment]
    if not 0 <= place < (SHARPEST + 1 if rises else len(SPEEDS)):
        return None
    rates = list(operator.rates[:3])
    rates[segment] = SPEEDS[place]
    return replace(operator, rates=(*rates, rates[2]))  # released, it falls as if it were held


def _level(operator: Operator, segment: int, by: int) -> Operator | None:
    level = operator.levels[segment] + by * BEND
    if not 0 <= level < SAME:
        return None
    levels = list(operator.levels)
    levels[segment] = level
    return replace(operator, levels=tuple(levels))


_MOVES = {"output": _output, "rate": _rate, "level": _level}
