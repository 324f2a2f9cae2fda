"""A patch as a Yamaha DX7 voice: a bank of 32 for Dexed and hardware, and the voice by itself.

A patch whose edges are those of an algorithm is written operator for operator; any other is
projected on the algorithms (`dx7_place`). Levels, frequencies and envelopes are then the nearest
that the bytes can say, and whatever that changes by more than a little is told.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass, replace

from presets.dx7 import (
    ALGORITHMS,
    NO_DETUNE,
    NO_TRANSPOSE,
    SINE,
    TOP_INDEX,
    Operator,
    Voice,
    detune_cents,
    feedback_index,
    output,
    ratio,
)
from presets.dx7_sysex import write_bank, write_single
from presets.export import laws
from presets.export.base import Exported, Exporter, Source, without_effects
from presets.export.dx7_bank import variations
from presets.export.dx7_envelope import (
    FLOOR_DB,
    curve,
    error,
    fall_time,
    fit,
    release_seconds,
)
from presets.export.dx7_movement import (
    Tremolo,
    losses,
    pitch_levels,
    read_pitch,
    speed,
    tremolo,
    vibrato_depth,
)
from presets.export.dx7_place import Place, place
from presets.params import Note
from presets.preset import Preset

VELOCITY = 5  # sensitivity of the carriers: +3.4 dB from 100 to 127, ours is +4.2
TRANSPOSE = range(-24, 25)  # semitones
QUIET_ALGORITHMS = (4, 6, 32)  # Dexed divides their feedback by 4, as it says the hardware does
FALL_DB = 20.0
SHARP = 0.002  # seconds

FAINT_INDEX = 0.02  # radians: sidebands 40 dB down
SHALLOW_DB = -20.0  # an envelope is fitted at least this far down

TUNED_CENTS = 0.1  # near enough: carriers in unison beat at the difference
TOLD_CENTS = 2.0
TOLD_SHARE = 0.1  # of an index or a decay
TOLD_DB = 3.0

_RATIOS = sorted((ratio(c, f), c, f) for c in range(32) for f in range(100))


@dataclass(frozen=True, slots=True)
class _Pitch:
    coarse: int
    fine: int
    detune: int
    cents: float


def export(preset: Preset, source: Source, stem: str) -> Exported:
    """The preset as a bank of 32 voices, itself the first, and as a single voice."""
    voice, lost = to_voice(preset, rate=source.rate)
    bank = (voice, *variations(voice))
    files = {f"{stem}.syx": write_bank(bank), f"{stem}-voice.syx": write_single(voice)}
    return Exported(files, lost)


def to_voice(preset: Preset, *, rate: int = 44100) -> tuple[Voice, tuple[str, ...]]:
    """The preset as one voice, and what was lost, a sentence each.

    `rate` in Hz is where our sound ends: an operator near or above half of it is faded out.
    """
    hz = Note(preset.note).hz
    patch = _audible(laws.voice(preset.values), hz, rate)
    if max(patch.mix) <= 0.0:
        raise ValueError(f"preset {preset.name!r} is silent: no operator has a mix above 0")
    placed, lost = place(patch, frozenset(preset.values))
    transpose = _transpose(patch, placed, hz)
    operators, depths = [], _depths(patch, placed)
    carriers, moving = ALGORITHMS[placed.algorithm].carriers, patch.movement
    swing = Tremolo(0, 0, 0)
    if moving is not None:
        swing = tremolo(moving.lfo_to_level, moving.lfo_to_index)
    for slot, source in enumerate(placed.slots, start=1):
        if source is None:
            operators.append(Operator())
            continue
        depth = depths[slot]
        level = output(depth)
        floor = _floor(placed, slot, depth)
        held = (patch.sustain[source], patch.release[source])
        rates, levels = fit(patch.attack[source], patch.decay[source], level, floor, *held)
        pitch = _pitch(patch.ratio[source], transpose, hz)
        operator = Operator(
            rates,
            levels,
            amp_sensitivity=swing.carriers if slot in carriers else swing.modulators,
            velocity=VELOCITY if slot in carriers else 0,
            output=level,
            coarse=pitch.coarse,
            fine=pitch.fine,
            detune=pitch.detune,
        )
        operators.append(operator)
        lost += _operator_losses(f"op{source + 1}", operator, patch, source, pitch, depth, floor)
        root = hz * 2.0 ** (transpose / 12.0)
        lower = detune_cents(pitch.detune, root / 4.0) - detune_cents(pitch.detune, root)
        if abs(lower) > TOLD_CENTS:
            lost.append(f"op{source + 1}: two octaves lower its detune is {lower:+.1f} cents off")
    feedback, said = _feedback(patch, placed, operators)
    lost += said
    voice = Voice(
        tuple(operators),
        algorithm=placed.algorithm,
        feedback=feedback,
        transpose=NO_TRANSPOSE + transpose,
        name=_name(preset.name),
    )
    if moving is not None:
        voice, moved = _moved(voice, moving, swing)
        lost += moved
    if min(patch.attack[s] for s in placed.slots if s is not None) < SHARP:
        lost += ["attack: below 3 ms a DX7 clicks, so it is never sharper than that"]
    lost += ["velocity: sensitivity 5 follows ours within 0.8 dB from 64 to 127, not below"]
    lost += without_effects(preset)
    lost += ["level: the loudest carrier is at 99, whatever the patch's level"]
    return voice, tuple(dict.fromkeys(lost))


def _moved(voice: Voice, moving: laws.Movement, swing: Tremolo) -> tuple[Voice, list[str]]:
    """The voice with our pitch envelope and LFO, and what of them and beside them is lost."""
    rates, levels = pitch_levels(moving)
    depth, sensitivity = vibrato_depth(moving.lfo_to_pitch)
    moved = replace(
        voice,
        pitch_rates=rates,
        pitch_levels=levels,
        lfo_speed=speed(moving.lfo_hz),
        lfo_wave=SINE,
        lfo_pitch_depth=depth,
        pitch_sensitivity=sensitivity,
        lfo_amp_depth=swing.depth,
    )
    said = losses(moving)
    off = read_pitch(moved)
    if abs(moving.pitch_start) > 0.5 and off[2] > 0.5:
        said.append(f"pitch envelope: it is {off[2]:.1f} semitones off on average")
    return moved, said


def _audible(patch: laws.Voice, hz: float, rate: int) -> laws.Voice:
    """The patch with operators near Nyquist faded out, as our renderer does it at this note."""
    heard = [laws.fade(r * hz, rate) for r in patch.ratio]
    rows = (zip(row, heard, strict=True) for row in patch.matrix)
    return replace(
        patch,
        matrix=tuple(tuple(a * g for a, g in row) for row in rows),
        mix=tuple(m * g for m, g in zip(patch.mix, heard, strict=True)),
    )


def _name(name: str) -> str:
    """Ten characters that a DX7 shows: ASCII without backslash and tilde."""
    plain = "".join(c if " " <= c <= "}" and c != "\\" else "-" for c in name.strip())
    return plain[:10].rstrip() or "SCOREWIRE"


def _depths(patch: laws.Voice, placed: Place) -> dict[int, float]:
    """By slot: amplitude as a share of output level 99. Modulators of several targets take a mean.

    A carrier's is its mix against the loudest one's, a modulator's its index against 12.57 rad.
    """
    algorithm = ALGORITHMS[placed.algorithm]
    loudest = max(patch.mix[s] for s in placed.carriers())
    depths = {}
    for slot, source in enumerate(placed.slots, start=1):
        if source is None:
            continue
        if slot in algorithm.carriers:
            depths[slot] = patch.mix[source] / loudest
        else:
            depths[slot] = placed.index(patch, slot) / TOP_INDEX
    return depths


def _floor(placed: Place, slot: int, depth: float) -> float:
    """dB below its loudest under which an operator changes nothing that is heard."""
    if slot in ALGORITHMS[placed.algorithm].carriers:
        return FLOOR_DB
    faint = 20.0 * math.log10(FAINT_INDEX / max(depth * TOP_INDEX, FAINT_INDEX))
    return max(FLOOR_DB, min(SHALLOW_DB, faint))


def _transpose(patch: laws.Voice, placed: Place, hz: float) -> int:
    """The root in semitones at which the worst ratio is nearest; 0 unless another is better."""

    def worst(semitones: int) -> float:
        return max(
            abs(_pitch(patch.ratio[s], semitones, hz).cents) for s in placed.slots if s is not None
        )

    return min(TRANSPOSE, key=lambda n: (max(worst(n), TUNED_CENTS), abs(n)))


def _pitch(wanted: float, semitones: int, hz: float) -> _Pitch:
    """Coarse, fine and detune nearest to a ratio of the note, the root moved by `semitones`.

    `hz` is the note's frequency; a unit of detune depends on it, so this is right at this note.
    """
    target = wanted * 2.0 ** (-semitones / 12.0)
    unit = detune_cents(NO_DETUNE + 1, hz * 2.0 ** (semitones / 12.0))
    reach = 2.0 ** (unit * NO_DETUNE / 1200.0)
    first = bisect_left(_RATIOS, (target / reach,)) - 1
    last = bisect_left(_RATIOS, (target * reach,)) + 1
    found = []
    for value, coarse, fine in _RATIOS[max(0, first) : last]:
        off = 1200.0 * math.log2(value / target)
        units = max(-NO_DETUNE, min(NO_DETUNE, round(-off / unit)))
        moves = (0,) if abs(off) < TUNED_CENTS else (units,)
        found += [_Pitch(coarse, fine, NO_DETUNE + n, off + unit * n) for n in moves]
    # of equals the plainest: 3.00 is 3 and 0, not 2 and 50
    return min(found, key=lambda p: (round(abs(p.cents), 2), abs(p.detune - NO_DETUNE), p.fine))


def _feedback(
    patch: laws.Voice, placed: Place, operators: list[Operator]
) -> tuple[int, tuple[str, ...]]:
    """Feedback 0..7, a power of two in radians, and what rounding to it costs."""
    heard, to = ALGORITHMS[placed.algorithm].feedback
    source, target = placed.slots[heard - 1], placed.slots[to - 1]
    wanted = 0.0 if source is None or target is None else patch.matrix[target][source]
    more = 2 if placed.algorithm in QUIET_ALGORITHMS else 0
    level = operators[heard - 1].output

    def radians(feedback: int) -> float:
        return feedback_index(level, feedback) / 2.0**more

    nearest = min(range(8), key=lambda n: abs(radians(n) - wanted))
    if abs(radians(nearest) - wanted) <= TOLD_SHARE * wanted:
        return nearest, ()
    return nearest, (f"feedback: {wanted:.2f} rad became {radians(nearest):.2f}",)


def _operator_losses(
    name: str,
    operator: Operator,
    patch: laws.Voice,
    source: int,
    pitch: _Pitch,
    depth: float,
    floor: float,
) -> list[str]:
    """What the bytes of one operator change by more than a little."""
    said = []
    if abs(pitch.cents) > TOLD_CENTS:
        said.append(f"{name}: its pitch is {pitch.cents:+.1f} cents off")
    if depth > 1.0:
        said.append(f"{name}: its index of {depth * TOP_INDEX:.1f} rad is held at {TOP_INDEX:.2f}")
    sustain, release = patch.sustain[source], patch.release[source]
    off = error(operator, patch.attack[source], patch.decay[source], floor, sustain)
    if off > TOLD_DB:
        said.append(f"{name}: its envelope is {off:.1f} dB off on average")
    written = release_seconds(operator.rates[3])
    if release < math.inf and abs(written / release - 1.0) > TOLD_SHARE:
        said.append(f"{name}: its release is {written:.2g} s, not {release:.2g} s")
    if sustain >= 10.0 ** (-FALL_DB / 20.0):
        return said
    ours = _fall(patch.attack[source], patch.decay[source], sustain)
    theirs = fall_time(curve(operator.rates, operator.levels, operator.output), FALL_DB)
    if floor == FLOOR_DB and abs(theirs / ours - 1.0) > TOLD_SHARE:
        said.append(f"{name}: falls by {FALL_DB:.0f} dB in {theirs:.3g} s, not {ours:.3g} s")
    return said


def _fall(attack: float, decay: float, sustain: float) -> float:
    """Seconds after the attack at which our envelope has fallen by `FALL_DB`, by bisection."""
    low, high = 0.0, decay
    for _ in range(40):
        middle = 0.5 * (low + high)
        loud = laws.envelope(attack + middle, attack, decay, sustain) > 10.0 ** (-FALL_DB / 20.0)
        low, high = (middle, high) if loud else (low, middle)
    return high


EXPORTER = Exporter(
    "Yamaha DX7 bank of 32 voices (Dexed, hardware)", ".syx", frozenset({"fm"}), export
)
