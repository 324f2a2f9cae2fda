"""A DX7 voice as one of our presets, and what is lost on the way.

The six operators keep their numbers and their algorithm; output levels become a mix and radians,
the segments of an envelope the nearest attack, decay, sustain and release. Detune, pitch envelope
and LFO are those of our full voice. `dx7_file.read` reads the files.
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
    lfo_hz,
    ratio,
    scaled_output,
    vibrato,
)
from presets.export.dx7 import QUIET_ALGORITHMS
from presets.export.dx7_envelope import SPEEDS, read, release_seconds
from presets.export.dx7_movement import read_pitch, read_tremolo, unsaid
from presets.params import Note, Param
from presets.preset import Preset
from presets.ranges import fm

LOWEST, HIGHEST = 0.25, 16.0  # ratios of our knob
FEEDBACK = 0.9  # radians, the most of ours
SHORTEST, LONGEST = 0.5, 10.0  # seconds of a preset
HELD = 2.0  # seconds that the key of one that holds is down
HEARD = 0.8  # what the carriers' mix adds up to
TOLD_DB = 3.0
LONGEST_RELEASE = 5.0
DETUNE = 20.0  # cents, the most of ours
# what a DX7 has not: no noise, and a filter that lets everything pass
OPEN = {
    "noise_level": 0.0,
    "noise_sustain": 0.0,
    "filter_hz": 20000.0,
    "filter_resonance": 0.0,
    "filter_mode": 0.0,
    "filter_key": 0.0,
    "filter_env": 0.0,
    "lfo_to_filter": 0.0,
}


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
    knobs = fm(matrix=f"dx7:{voice.algorithm}", voice="full")
    values = {param.name: _middle(param) for param in knobs} | OPEN | {"level": 0.5}
    lost: list[str] = []
    for slot, operator in enumerate(voice.operators, start=1):
        times, said = _envelope(operator, note)
        pitch, more = _ratio(operator, voice.transpose, note)
        values |= {f"op{slot}_{kind}": value for kind, value in {**times, **pitch}.items()}
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
    moves, off = _movement(voice, size)
    values |= moves
    lost += unsaid(voice, off)
    carriers = [c for c in algorithm.carriers if size[c - 1] > 0.0]
    longest = max(values[f"op{c}_attack"] + values[f"op{c}_decay"] for c in carriers)
    held = None
    if any(values[f"op{c}_sustain"] > 0.0 for c in carriers):
        held, longest = HELD, HELD + max(values[f"op{c}_release"] for c in carriers)
    preset = Preset(
        name=voice.name.strip() or "DX7 voice",
        renderer="fm",
        renderer_version=1,
        values=values,
        note=note,
        seconds=min(LONGEST, max(SHORTEST, longest)),
        held=held,
        tags=("dx7",),
    )
    return preset, (*lost, *_common(voice))


def _middle(param: Param) -> float:
    return param.value(0.5)


def _movement(voice: Voice, size: list[float]) -> tuple[dict[str, float], float]:
    """Pitch envelope and LFO as our knobs; semitones that the first is off on average."""
    carriers = ALGORITHMS[voice.algorithm].carriers
    modulators = tuple(slot for slot in range(1, 7) if slot not in carriers)
    start, time, off = read_pitch(voice)
    knobs = {
        "pitch_start": start,
        "pitch_time": time,
        "lfo_hz": min(40.0, max(0.05, lfo_hz(voice.lfo_speed))),
        "lfo_to_pitch": vibrato(voice.lfo_pitch_depth, voice.pitch_sensitivity),
        "lfo_to_level": read_tremolo(voice, size, carriers),
        "lfo_to_index": read_tremolo(voice, size, modulators),
    }
    return knobs, off


def _peak(operator: Operator, note: int) -> float:
    """The loudest an operator gets while this key is held, against output level 99."""
    loudest = max(level_db(level) for level in operator.levels[:3])
    return float(scaled_output(operator, note) * 10.0 ** (loudest / 20.0))


def _envelope(operator: Operator, note: int) -> tuple[dict[str, float], tuple[str, ...]]:
    """Our envelope, with the rate scaling of this note, and how far it is from theirs."""
    faster = operator.rate_scaling * min(31, max(0, note // 3 - 7)) >> 3
    rates = [SPEEDS[min(63, (rate * 41 >> 6) + faster)] for rate in operator.rates]
    attack, decay, sustain, away = read(rates, operator.levels, operator.output)
    release = release_seconds(rates[3])
    said = []
    if away > TOLD_DB:
        said.append(f"its envelope is {away:.1f} dB off on average")
    if operator.levels[3] and level_db(operator.levels[3]) > -60.0:
        said.append(f"it ends at level {operator.levels[3]} when the key is let go, ours at zero")
    elif release > LONGEST_RELEASE:
        said.append(f"its release of {release:.1f} s is held at {LONGEST_RELEASE:g} s")
    release = min(LONGEST_RELEASE, max(0.005, release))
    times = {"attack": attack, "decay": decay, "sustain": sustain, "release": release}
    return times, tuple(said)


def _operator_ratio(operator: Operator, transpose: int, note: int) -> float:
    """Frequency over the note's."""
    hz = Note(note).hz
    if operator.fixed:
        return fixed_hz(operator.coarse, operator.fine) / hz
    shift = 2.0 ** ((transpose - NO_TRANSPOSE) / 12.0)
    return float(ratio(operator.coarse, operator.fine) * shift)


def _ratio(
    operator: Operator, transpose: int, note: int
) -> tuple[dict[str, float], tuple[str, ...]]:
    """Frequency over the note's and cents beside it, in the ranges of our knobs."""
    wanted = _operator_ratio(operator, transpose, note)
    held = min(HIGHEST, max(LOWEST, wanted))
    said = []
    if operator.fixed:
        hz = fixed_hz(operator.coarse, operator.fine)
        said.append(f"its fixed {hz:.4g} Hz follow the keys, right at note {note}")
    if held != wanted:
        said.append(f"its ratio of {wanted:.3g} is held at {held:g}")
    root = Note(note).hz * 2.0 ** ((transpose - NO_TRANSPOSE) / 12.0)
    cents = 0.0 if operator.fixed else detune_cents(operator.detune, root)
    return {"ratio": held, "detune": max(-DETUNE, min(DETUNE, cents))}, tuple(said)


def _feedback(voice: Voice, source: int) -> float:
    """Radians at the loudest of the operator that is fed back."""
    operator = voice.operators[source - 1]
    loudest = max(level_db(level) for level in operator.levels[:3])
    index = feedback_index(operator.output, voice.feedback) * 10.0 ** (loudest / 20.0)
    return float(index / 4.0 if voice.algorithm in QUIET_ALGORITHMS else index)


def _common(voice: Voice) -> list[str]:
    """What no preset of ours has."""
    lost = []
    if not voice.key_sync:
        lost.append("oscillator sync: it is off, ours begin every note at phase 0")
    if any(op.left_depth or op.right_depth for op in voice.operators):
        lost.append("keyboard level scaling: as at the preset's note, on all keys")
    if any(op.rate_scaling for op in voice.operators):
        lost.append("keyboard rate scaling: as at the preset's note, on all keys")
    if any(op.velocity for op in voice.operators):
        lost.append("velocity: ours changes the loudness alone, by its own law")
    return lost
