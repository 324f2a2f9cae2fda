"""A DX7 voice as one of our presets, and what is lost on the way.

The six operators keep their numbers and their algorithm; output levels become a mix and radians,
the segments of an envelope the nearest attack and decay. `dx7_file.read` reads the files.
"""

from __future__ import annotations

from presets.dx7 import (
    ALGORITHMS,
    NO_TRANSPOSE,
    TOP_INDEX,
    Operator,
    Voice,
    detune_cents,
    feedback_index,
    fixed_hz,
    level_db,
    ratio,
    scaled_output,
)
from presets.export.dx7 import QUIET_ALGORITHMS
from presets.export.dx7_envelope import SPEEDS, read
from presets.params import Note
from presets.preset import Preset

LOWEST, HIGHEST = 0.25, 16.0  # ratios of our knob
FEEDBACK = 0.9  # radians, the most of ours
SHORTEST, LONGEST = 0.5, 10.0  # seconds of a preset
HEARD = 0.8  # what the carriers' mix adds up to
TOLD_DB = 3.0
HELD_DB = -24.0  # an operator that stays above this is told to sustain


def to_preset(voice: Voice, *, note: int = 60) -> tuple[Preset, tuple[str, ...]]:
    """The voice as an FM preset in its algorithm, right at `note`, and what was lost.

    Raises `ValueError` when no carrier of the voice is heard.
    """
    algorithm = ALGORITHMS[voice.algorithm]
    size = [_peak(operator, note) for operator in voice.operators]
    for slot, operator in enumerate(voice.operators, start=1):
        if (
            slot not in algorithm.carriers
            and _operator_ratio(operator, voice.transpose, note) < LOWEST / 2
        ):
            size[slot - 1] = 0.0  # held at our lowest ratio, it would be heard as a tone
    heard = sum(size[slot - 1] for slot in algorithm.carriers)
    if heard <= 0.0:
        raise ValueError(f"the DX7 voice {voice.name!r} is silent: every carrier has level 0")
    values: dict[str, float] = {"level": 0.5}
    lost: list[str] = []
    for slot, operator in enumerate(voice.operators, start=1):
        times, said = _envelope(operator, note)
        pitch, more = _ratio(operator, voice.transpose, note)
        values |= {f"op{slot}_{kind}": value for kind, value in {**times, "ratio": pitch}.items()}
        if size[slot - 1] > 0.0:
            lost += [f"op{slot}: {sentence}" for sentence in (*said, *more)]
        elif operator.output:
            lost.append(f"op{slot}: silent at this note, or far below our lowest ratio: left out")
    values |= {f"op{c}_mix": HEARD * size[c - 1] / heard for c in algorithm.carriers}
    for modulator, target in algorithm.edges:
        values[f"op{target}_from_op{modulator}"] = TOP_INDEX * size[modulator - 1]
    source, looped = algorithm.feedback
    index = _feedback(voice, source)
    values[f"op{looped}_from_op{looped}"] = min(FEEDBACK, index)
    if index > FEEDBACK:
        lost.append(f"feedback: {index:.2f} rad are held at {FEEDBACK}")
    if source != looped and index > 0.0:
        lost.append(f"feedback: op{source} to op{looped} became self-feedback of op{looped}")
    longest = max(values[f"op{c}_attack"] + values[f"op{c}_decay"] for c in algorithm.carriers)
    preset = Preset(
        name=voice.name.strip() or "DX7 voice",
        renderer="fm",
        renderer_version=1,
        values=values,
        note=note,
        seconds=min(LONGEST, max(SHORTEST, longest)),
        tags=("dx7",),
    )
    return preset, (*lost, *_common(voice))


def _peak(operator: Operator, note: int) -> float:
    """The loudest an operator gets while this key is held, against output level 99."""
    loudest = max(level_db(level) for level in operator.levels[:3])
    return float(scaled_output(operator, note) * 10.0 ** (loudest / 20.0))


def _envelope(operator: Operator, note: int) -> tuple[dict[str, float], tuple[str, ...]]:
    """Attack and decay, with the rate scaling of this note, and how far they are from it."""
    faster = operator.rate_scaling * min(31, max(0, note // 3 - 7)) >> 3
    rates = [SPEEDS[min(63, (rate * 41 >> 6) + faster)] for rate in operator.rates]
    attack, decay, away = read(rates, operator.levels, operator.output)
    held = level_db(operator.levels[2]) - max(level_db(n) for n in operator.levels[:3])
    said: tuple[str, ...] = ()
    if held > HELD_DB:
        said = (f"it holds {held:.0f} dB below its peak, ours falls over {decay:.1f} s",)
    elif away > TOLD_DB:
        said = (f"its envelope is {away:.1f} dB off on average",)
    return {"attack": attack, "decay": decay}, said


def _operator_ratio(operator: Operator, transpose: int, note: int) -> float:
    """Frequency over the note's."""
    hz = Note(note).hz
    if operator.fixed:
        return fixed_hz(operator.coarse, operator.fine) / hz
    shift = 2.0 ** ((transpose - NO_TRANSPOSE) / 12.0)
    cents = detune_cents(operator.detune, hz * shift)
    return float(ratio(operator.coarse, operator.fine) * shift * 2.0 ** (cents / 1200.0))


def _ratio(operator: Operator, transpose: int, note: int) -> tuple[float, tuple[str, ...]]:
    """Frequency over the note's, in the range of our knob."""
    wanted = _operator_ratio(operator, transpose, note)
    held = min(HIGHEST, max(LOWEST, wanted))
    said = []
    if operator.fixed:
        hz = fixed_hz(operator.coarse, operator.fine)
        said.append(f"its fixed {hz:.4g} Hz follow the keys, right at note {note}")
    if held != wanted:
        said.append(f"its ratio of {wanted:.3g} is held at {held:g}")
    return held, tuple(said)


def _feedback(voice: Voice, source: int) -> float:
    """Radians at the loudest of the operator that is fed back."""
    operator = voice.operators[source - 1]
    loudest = max(level_db(level) for level in operator.levels[:3])
    index = feedback_index(operator.output, voice.feedback) * 10.0 ** (loudest / 20.0)
    return float(index / 4.0 if voice.algorithm in QUIET_ALGORITHMS else index)


def _common(voice: Voice) -> list[str]:
    """What no preset of ours has."""
    lost = ["release: our sounds ring on when a key is let go"]
    if not voice.key_sync:
        lost.append("oscillator sync: it is off, ours begin every note at phase 0")
    if any(level != 50 for level in voice.pitch_levels):
        lost.append("pitch envelope: left out")
    if voice.pitch_sensitivity and voice.lfo_pitch_depth:
        lost.append("LFO: its vibrato is left out")
    if voice.lfo_amp_depth and any(op.amp_sensitivity for op in voice.operators):
        lost.append("LFO: its tremolo is left out")
    if any(op.left_depth or op.right_depth for op in voice.operators):
        lost.append("keyboard level scaling: as at the preset's note, on all keys")
    if any(op.rate_scaling for op in voice.operators):
        lost.append("keyboard rate scaling: as at the preset's note, on all keys")
    if any(op.velocity for op in voice.operators):
        lost.append("velocity: ours changes the loudness alone, by its own law")
    return lost
