"""The other 31 voices of a bank: useful variations of one, each named after what it changes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from presets.dx7 import ALGORITHMS, Operator, Voice

STEM = 6  # letters of the name that stay, before the variation's four
COUNT = 31

Change = Callable[[Voice], Voice]


def variations(voice: Voice) -> tuple[Voice, ...]:
    """31 voices: brighter, darker, longer, shorter, softer, detuned, in other algorithms.

    A change that changes nothing, as brightness where nothing modulates, leaves its place to one
    more algorithm.
    """
    changes = [*_CHANGES, *((f"AL{number:02}", _algorithm(number)) for number in _others(voice))]
    found = {voice: ""}
    for tag, change in changes:
        found.setdefault(change(voice), tag)
    stem = voice.name[:STEM].ljust(STEM)
    return tuple(replace(v, name=stem + tag) for v, tag in list(found.items())[1 : COUNT + 1])


def _algorithm(number: int) -> Change:
    """The same operators, modulating each other otherwise."""
    return lambda voice: replace(voice, algorithm=number)


def _depth(by: int) -> Change:
    """Output level of all modulators; 8 is twice the index."""
    return lambda voice: _each(voice, lambda op: replace(op, output=_limit(op.output + by)), False)


def _length(by: int) -> Change:
    """All falling rates; 10 is about three times as long or short."""

    def change(op: Operator) -> Operator:
        rising = 2 if op.levels[1] > op.levels[0] else 1
        rates = (*op.rates[:rising], *(_limit(r - by) for r in op.rates[rising:]))
        return replace(op, rates=rates)

    return lambda voice: _each(_each(voice, change, True), change, False)


def _attack(by: int) -> Change:
    """The first rate, of all operators."""

    def change(op: Operator) -> Operator:
        return replace(op, rates=(_limit(op.rates[0] + by), *op.rates[1:]))

    return lambda voice: _each(_each(voice, change, True), change, False)


def _detune(by: int) -> Change:
    """Operators apart, up and down in turn."""

    def change(voice: Voice) -> Voice:
        moved = [
            replace(op, detune=min(14, max(0, op.detune + (by if n % 2 else -by))))
            for n, op in enumerate(voice.operators)
        ]
        return replace(voice, operators=tuple(moved))

    return change


def _touch(sensitivity: int) -> Change:
    """Brightness by velocity: the modulators' sensitivity."""
    return lambda voice: _each(voice, lambda op: replace(op, velocity=sensitivity), False)


def _feedback(by: int) -> Change:
    """Feedback up or down, as far as there is any."""
    return lambda voice: replace(voice, feedback=min(7, max(0, voice.feedback + by)))


def _octave(semitones: int) -> Change:
    """The whole voice up or down, where there is an octave left."""

    def change(voice: Voice) -> Voice:
        moved = voice.transpose + semitones
        return replace(voice, transpose=moved) if 0 <= moved <= 48 else voice

    return change


def _vibrato(voice: Voice) -> Voice:
    """A slow sine of the LFO on the pitch."""
    return replace(voice, lfo_wave=4, lfo_delay=30, lfo_pitch_depth=12, pitch_sensitivity=3)


def _tremolo(voice: Voice) -> Voice:
    """A slow sine of the LFO on the carriers' level."""
    moved = _each(voice, lambda op: replace(op, amp_sensitivity=2), True)
    return replace(moved, lfo_wave=4, lfo_amp_depth=60)


def _limit(number: int) -> int:
    return min(99, max(0, number))


def _each(voice: Voice, change: Callable[[Operator], Operator], heard: bool) -> Voice:
    """`change` done to the carriers, or to the modulators, but not to operators at level 0."""
    carriers = ALGORITHMS[voice.algorithm].carriers
    operators = tuple(
        change(op) if op.output and (slot in carriers) == heard else op
        for slot, op in enumerate(voice.operators, start=1)
    )
    return replace(voice, operators=operators)


def _others(voice: Voice) -> list[int]:
    """The algorithms whose carriers and edges differ least from the voice's own."""
    own = ALGORITHMS[voice.algorithm]

    def away(number: int) -> tuple[int, int, int]:
        other = ALGORITHMS[number]
        return (
            len(set(other.carriers) ^ set(own.carriers)),
            len(set(other.edges) ^ set(own.edges)),
            abs(number - voice.algorithm),
        )

    return sorted((n for n in ALGORITHMS if ALGORITHMS[n].edges != own.edges), key=away)


_CHANGES: tuple[tuple[str, Change], ...] = (
    ("BRT1", _depth(3)),
    ("BRT2", _depth(6)),
    ("BRT3", _depth(9)),
    ("BRT4", _depth(14)),
    ("DRK1", _depth(-4)),
    ("DRK2", _depth(-8)),
    ("DRK3", _depth(-14)),
    ("DRK4", _depth(-24)),
    ("LNG1", _length(5)),
    ("LNG2", _length(10)),
    ("LNG3", _length(18)),
    ("SHT1", _length(-5)),
    ("SHT2", _length(-10)),
    ("SHT3", _length(-18)),
    ("SOF1", _attack(-15)),
    ("SOF2", _attack(-30)),
    ("SOF3", _attack(-45)),
    ("DET1", _detune(2)),
    ("DET2", _detune(5)),
    ("FBK+", _feedback(1)),
    ("FBK-", _feedback(-1)),
    ("TCH1", _touch(2)),
    ("TCH2", _touch(5)),
    ("OCT+", _octave(12)),
    ("OCT-", _octave(-12)),
    ("VIBR", _vibrato),
    ("TREM", _tremolo),
)
