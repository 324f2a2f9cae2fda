"""What a Yamaha DX7 is: its 32 algorithms, the numbers of a voice, and what they mean physically.

The laws of levels, rates and frequencies are those of the Dexed engine, which follows the hardware:
each is a formula here and is checked in the tests against the sound of Dexed itself. Operators are
numbered as on the panel, 1 to 6; a modulator usually has a higher number than what it modulates.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

# modulator and target of each edge; carriers; feedback from > to
_TABLE = (
    ("21 65 54 43", "1 3", "66"),
    ("21 65 54 43", "1 3", "22"),
    ("32 21 65 54", "1 4", "66"),
    ("32 21 65 54", "1 4", "46"),
    ("21 43 65", "1 3 5", "66"),
    ("21 43 65", "1 3 5", "56"),
    ("21 43 53 65", "1 3", "66"),
    ("21 43 53 65", "1 3", "44"),
    ("21 43 53 65", "1 3", "22"),
    ("32 21 54 64", "1 4", "33"),
    ("32 21 54 64", "1 4", "66"),
    ("21 43 53 63", "1 3", "22"),
    ("21 43 53 63", "1 3", "66"),
    ("21 43 54 64", "1 3", "66"),
    ("21 43 54 64", "1 3", "22"),
    ("21 31 51 43 65", "1", "66"),
    ("21 31 51 43 65", "1", "22"),
    ("21 31 41 54 65", "1", "33"),
    ("32 21 64 65", "1 4 5", "66"),
    ("31 32 54 64", "1 2 4", "33"),
    ("31 32 64 65", "1 2 4 5", "33"),
    ("21 63 64 65", "1 3 4 5", "66"),
    ("32 64 65", "1 2 4 5", "66"),
    ("63 64 65", "1 2 3 4 5", "66"),
    ("64 65", "1 2 3 4 5", "66"),
    ("32 54 64", "1 2 4", "66"),
    ("32 54 64", "1 2 4", "33"),
    ("21 43 54", "1 3 6", "55"),
    ("43 65", "1 2 3 5", "66"),
    ("43 54", "1 2 3 6", "55"),
    ("65", "1 2 3 4 5", "66"),
    ("", "1 2 3 4 5 6", "66"),
)

TOP_INDEX = 4.0 * math.pi  # radians of phase, an operator at output level 99
CONTROL_RATE = 44100.0 / 64.0  # envelope steps a second
OCTAVE_DB = 20.0 * math.log10(2.0)
LOW_LEVELS = (0, 5, 9, 13, 17, 20, 23, 25, 27, 29, 31, 33, 35, 37, 39, 41, 42, 43, 45, 46)
# keyboard level scaling, curved: by groups of three keys from the break point
BENT = (*range(10), 11, 14, 16, 19, 23, 27, 33, 39, 47, 56, 66, 80, 94, *range(110, 239, 16), 250)
# pitch envelope: levels in 1/32 octave, 50 is none; rates in 1/21.3 octave a second
PITCH_LEVELS = (
    -128, -116, -104, -95, -85, -76, -68, -61, -56, -52, -49, -46, -43, -41, -39, -37, -35,
    *range(-33, 36), 38, 40, 43, 46, 49, 53, 58, 65, 73, 82, 92, 103, 115, 127,
)  # fmt: skip
PITCH_RATES = (
    1, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13, 14, 14, 15, 16,
    16, 17, 18, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 30, 31, 33, 34, 36, 37, 38, 39, 41, 42,
    44, 46, 47, 49, 51, 53, 54, 56, 58, 60, 62, 64, 66, 68, 70, 72, 74, 76, 79, 82, 85, 88, 91, 94,
    98, 102, 106, 110, 115, 120, 125, 130, 135, 141, 147, 153, 159, 165, 171, 178, 185, 193, 202,
    211, 232, 243, 254, 255,
)  # fmt: skip
VIBRATO = (0, 10, 20, 33, 55, 92, 153, 255)  # by pitch sensitivity
TREMOLO = (0.0, 0.2588, 0.4274, 1.0)  # by an operator's sensitivity
SINE = 4  # of the LFO's waves
NO_TRANSPOSE = 24  # the byte that means none
NO_DETUNE = 7


@dataclass(frozen=True, slots=True)
class Algorithm:
    """Who modulates whom: edges (modulator, target), what is heard, and the one feedback edge."""

    edges: tuple[tuple[int, int], ...]
    carriers: tuple[int, ...]
    feedback: tuple[int, int]


def _pair(text: str) -> tuple[int, int]:
    return int(text[0]), int(text[1])


ALGORITHMS = {
    number: Algorithm(
        tuple(_pair(edge) for edge in edges.split()),
        tuple(int(carrier) for carrier in carriers.split()),
        _pair(feedback),
    )
    for number, (edges, carriers, feedback) in enumerate(_TABLE, start=1)
}


@dataclass(frozen=True, slots=True)
class Operator:
    """One operator's numbers as the panel shows them, in the order of the single-voice format."""

    rates: tuple[int, ...] = (99, 99, 99, 99)
    levels: tuple[int, ...] = (99, 99, 99, 0)
    break_point: int = 39  # 39 = MIDI 60
    left_depth: int = 0
    right_depth: int = 0
    left_curve: int = 0
    right_curve: int = 0
    rate_scaling: int = 0
    amp_sensitivity: int = 0
    velocity: int = 0
    output: int = 0
    fixed: int = 0  # 1 = a frequency in Hz, 0 = a ratio
    coarse: int = 1
    fine: int = 0
    detune: int = NO_DETUNE


@dataclass(frozen=True, slots=True)
class Voice:
    """A whole voice: `operators` 1 to 6, then the rest in the order of the single-voice format."""

    operators: tuple[Operator, ...] = (Operator(output=99), *(Operator(),) * 5)
    pitch_rates: tuple[int, ...] = (99, 99, 99, 99)
    pitch_levels: tuple[int, ...] = (50, 50, 50, 50)
    algorithm: int = 1  # 1..32
    feedback: int = 0
    key_sync: int = 1
    lfo_speed: int = 35
    lfo_delay: int = 0
    lfo_pitch_depth: int = 0
    lfo_amp_depth: int = 0
    lfo_sync: int = 1
    lfo_wave: int = 0
    pitch_sensitivity: int = 0
    transpose: int = NO_TRANSPOSE
    name: str = "INIT VOICE"


def steps(level: int) -> int:
    """A level 0..99 in steps of 1/8 octave, 0..127: finer at the bottom, where a byte is short."""
    return LOW_LEVELS[level] if level < len(LOW_LEVELS) else level + 28


def gain(output: int) -> float:
    """Amplitude of an operator at output level 0..99; 1 at 99. The inverse of `output`."""
    return float(2.0 ** ((steps(output) - 127) / 8.0))


def output(amplitude: float) -> int:
    """The output level nearest to an amplitude of 0..1 in dB; 0 when it is below the lowest."""
    if amplitude <= gain(1):
        return 0
    wanted = 127.0 + 8.0 * math.log2(min(amplitude, 1.0))
    return min(range(1, 100), key=lambda level: abs(steps(level) - wanted))


def level_db(level: int) -> float:
    """Where an envelope level 0..99 lies below the operator's output level, in dB: 0 at 99."""
    return ((steps(level) >> 1) - 63) * OCTAVE_DB / 4.0


def scaled_output(operator: Operator, note: int) -> float:
    """Amplitude of an operator at a MIDI note: output level and keyboard level scaling.

    The keys are taken in groups of three on both sides of the break point; a curve is a straight
    line in dB, or bends away from the break point.
    """
    away = note - operator.break_point - 17
    right = away >= 0
    group = (away + 1 if right else 1 - away) // 3
    depth = operator.right_depth if right else operator.left_depth
    curve = operator.right_curve if right else operator.left_curve
    if curve in (0, 3):  # lines
        moved = group * depth * 329 >> 12
    else:
        moved = BENT[min(group, len(BENT) - 1)] * depth * 329 >> 15
    level = steps(operator.output) + (-moved if curve < 2 else moved)
    return float(2.0 ** ((min(127, level) - 127) / 8.0)) if operator.output and level > 0 else 0.0


def octaves_per_second(rate: int) -> float:
    """Speed of a falling envelope segment of rate 0..99; an attack has this as its slowest part.

    An octave is 6.02 dB, and a fall linear in dB is an exponential.
    """
    speed = (rate * 41) >> 6
    return float((4 + (speed & 3)) * 2 ** (8 + (speed >> 2)) / 2**24 * CONTROL_RATE)


def ratio(coarse: int, fine: int) -> float:
    """Frequency over the key's, 0.5 .. 61.69."""
    return (coarse or 0.5) * (1.0 + fine / 100.0)


def fixed_hz(coarse: int, fine: int) -> float:
    """Frequency in Hz of an operator in fixed mode, 1 .. 9772."""
    return float(10.0 ** ((coarse & 3) + fine / 100.0))


def feedback_index(output: int, feedback: int) -> float:
    """Radians by which an operator at this level modulates itself, feedback 0..7."""
    return TOP_INDEX * gain(output) * 2.0 ** (feedback - 8) if feedback else 0.0


def lfo_hz(speed: int) -> float:
    """Cycles a second of the LFO at speed 0..99, 0.06 .. 23.9."""
    steps = (165 * speed) >> 6 if speed else 1
    return steps * (11 if steps < 160 else 11 + ((steps - 160) >> 4)) * 25190424 / 2**32


def vibrato(depth: int, sensitivity: int) -> float:
    """Semitones up and down by the LFO, at pitch depth 0..99 and sensitivity 0..7."""
    return 12.0 * ((165 * depth) >> 6) * VIBRATO[sensitivity] / 2**16


# Dexed takes a share of the level in octaves (15 at the top) that grows exponentially.
def tremolo_db(depth: int, sensitivity: int) -> float:
    """dB by which the LFO's lowest point lowers an operator, at amp depth 0..99."""
    swing = ((165 * depth) >> 6) / 256.0 * TREMOLO[sensitivity]
    rest, top = (math.exp(4.48 * x + 12.2) / 2**24 for x in (0.0, swing))
    return float(15.0 * OCTAVE_DB * min(1.0, top - rest))


def pitch_semitones(level: int) -> float:
    """Where a pitch envelope's level 0..99 is, -48 .. 47.6 semitones."""
    return float(PITCH_LEVELS[level] * 12.0 / 32.0)


def pitch_speed(rate: int) -> float:
    """Semitones a second of a pitch envelope's rate 0..99."""
    return float(PITCH_RATES[rate] * 12.0 / 21.3)


# Dexed measures pitch on a logarithmic scale, and its detune is a share of that logarithm which
# shrinks as the pitch rises. At MIDI 36, 48, 60, 72, 84 a unit is 1.98, 1.56, 1.20, 0.91 and 0.68
# cents.
def detune_cents(detune: int, hz: float) -> float:
    """Cents by which `detune` 0..14 moves an operator whose key sounds at `hz`."""
    octaves = math.log2(max(hz, 1.0))
    return 1200.0 * octaves * 0.0209 * math.exp(-0.396 * octaves) / 7.0 * (detune - NO_DETUNE)
