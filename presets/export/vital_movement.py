"""Vital's pitch, LFO, noise and filter from those of a full voice.

Facts measured in its engine: `voice_transpose` moves by 96 semitones at an amount of 1, the cutoff
by 128, an amount by 2; a bipolar link moves by half of that up and down. Voice amplitude v, like an
oscillator's level, sounds as v^2. The digital filter at 12 dB is ours: its key is MIDI's, its
damping and the level that it takes away are `DAMPING`; a blend b of 0..2 is low max(1 - b, 0),
high max(b - 1, 0) and band sqrt(1 - (b - 1)^2), whose band is not scaled by the damping.
"""

from __future__ import annotations

import array
import math
import sys
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass

from presets.export import laws
from presets.export.base import Source
from presets.export.vital_patch import POINTS, Patch

PITCH_RANGE, CUTOFF_RANGE, AMOUNT_RANGE = 96.0, 128.0, 2.0
LOWEST_CUTOFF, HIGHEST_CUTOFF = 8.0, 136.0  # as keys
DIGITAL, FILTER = 3.0, 0.0  # the filter's model; an oscillator's way into it
GONE = 7.0  # time constants after which a pitch envelope is over
NOISE_SECONDS = 1.5  # of the sample that is the noise
CYCLE = 64  # points of an LFO's wave
# damping k = 1 / Q and dB of the digital filter, at resonances 0, 1/8, 1/4 ...
DAMPING = (2.0033, 1.8886, 1.3484, 0.7591, 0.41, 0.2332, 0.1419, 0.0919, 0.0626)
TAKEN_DB = (0.0, 0.03, 0.27, 0.88, 1.94, 3.46, 5.32, 7.39, 9.55)


@dataclass(frozen=True, slots=True)
class Filter:
    """Vital's resonance and blend for one of ours, and the gain that makes it as loud."""

    resonance: float
    blend: float
    gain: float


def filter_for(moving: laws.Movement) -> Filter:
    """The digital filter that is ours."""
    k = laws.resonance(moving.filter_resonance)
    resonance, taken = _resonance(k)
    side = 2.0 * moving.filter_mode - 1.0
    end, band = abs(side), (1.0 - abs(side)) * k
    angle = math.atan2(band, end)  # theirs has its modes on a quarter of a circle
    blend = 1.0 + math.copysign(math.cos(angle), side)
    return Filter(resonance, blend, math.hypot(end, band) * 10.0 ** (taken / 20.0))


def _resonance(k: float) -> tuple[float, float]:
    """Their resonance for our damping, and the dB that it takes away: between the table's rows."""
    rising = [-math.log(damping) for damping in DAMPING]
    wanted = min(rising[-1], max(rising[0], -math.log(k)))
    i = max(1, bisect_left(rising, wanted))
    share = (wanted - rising[i - 1]) / (rising[i] - rising[i - 1])
    taken = TAKEN_DB[i - 1] + share * (TAKEN_DB[i] - TAKEN_DB[i - 1])
    return (i - 1 + share) / (len(DAMPING) - 1), taken


def add_filter(patch: Patch, moving: laws.Movement) -> list[str]:
    """Put the filter behind everything, and move its cutoff; what is lost of it."""
    ours = filter_for(moving)
    key = 69.0 + 12.0 * math.log2(moving.filter_hz / 440.0)
    patch.settings |= {
        "filter_1_on": 1.0,
        "filter_1_model": DIGITAL,
        "filter_1_style": 0.0,
        "filter_1_cutoff": min(HIGHEST_CUTOFF, max(LOWEST_CUTOFF, key)),
        "filter_1_resonance": ours.resonance,
        "filter_1_blend": ours.blend,
        "filter_1_keytrack": moving.filter_key,
        "filter_1_osc2_input": 1.0,
        "filter_1_osc3_input": 1.0,
        "filter_1_sample_input": 1.0,
        "sample_destination": FILTER,
        **{f"osc_{k}_destination": FILTER for k in range(1, len(patch.waves) + 1)},
    }
    lost = []
    if moving.filter_env:
        if patch.room():
            times = (moving.filter_attack, moving.filter_decay)
            curve = patch.curve(points(lambda t: laws.envelope(t, *times), *times))
            amount = 12.0 * moving.filter_env / CUTOFF_RANGE
            patch.link(curve, "filter_1_cutoff", amount)
        else:
            lost.append("the filter's envelope: Vital has eight curves, and they are taken")
    if moving.lfo_to_filter:
        amount = 2.0 * 12.0 * moving.lfo_to_filter / CUTOFF_RANGE
        lost += _swing(patch, moving, "filter_1_cutoff", amount)
    return lost + patch.louder(ours.gain)


def add_pitch(patch: Patch, moving: laws.Movement) -> list[str]:
    """Move the pitch of all oscillators; what is lost of it."""
    lost = []
    if moving.pitch_start:
        time = moving.pitch_time
        if patch.room():
            curve = patch.curve(
                [
                    (GONE * time * (i / POINTS) ** 2, math.exp(-GONE * (i / POINTS) ** 2))
                    for i in range(POINTS)
                ]
                + [(GONE * time, 0.0)]
            )
            patch.link(curve, "voice_transpose", moving.pitch_start / PITCH_RANGE)
        else:
            lost.append("the pitch envelope: Vital has eight curves, and they are taken")
    if moving.lfo_to_pitch:
        amount = 2.0 * moving.lfo_to_pitch / PITCH_RANGE
        lost += _swing(patch, moving, "voice_transpose", amount)
    return lost


def add_dips(patch: Patch, moving: laws.Movement, depths: dict[str, float]) -> list[str]:
    """The LFO on the level, and on the amounts of the links in `depths`; what is lost of it."""
    lost = []
    amounts = {link: depth / AMOUNT_RANGE for link, depth in depths.items()}
    for what, depth, targets in (
        ("level", moving.lfo_to_level, {"voice_amplitude": 1.0}),
        ("index", moving.lfo_to_index, amounts),
    ):
        if not depth or not targets:
            continue
        if not patch.room():
            lost.append(f"LFO to {what}: Vital has eight curves, and they are taken")
            continue
        # v^2 is the dip: v falls from 1 by up to `most`
        most = 1.0 - math.sqrt(laws.dip(depth, -1.0))
        wave = [
            (1.0 - math.sqrt(laws.dip(depth, math.sin(2.0 * math.pi * i / CYCLE)))) / most
            for i in range(CYCLE + 1)
        ]
        name = patch.lfo(wave, moving.lfo_hz)
        for target, amount in targets.items():
            patch.link(name, target, -most * amount)
    return lost


def add_noise(patch: Patch, moving: laws.Movement, source: Source) -> list[str]:
    """The noise as a sample that repeats, under its own envelope; what is lost of it."""
    if not patch.room():
        return ["noise: Vital has eight curves, and they are taken"]
    samples = array.array("f", source.noise(NOISE_SECONDS))
    if sys.byteorder == "big":
        samples.byteswap()
    level = laws.NOISE_LEVEL  # peaks above are rare: 1 in 250 samples
    patch.sample([max(-1.0, min(1.0, level * x)) for x in samples], source.rate)
    curve = patch.curve(envelope_points(moving))
    patch.link(curve, "sample_level", math.sqrt(min(1.0, moving.noise_level)))
    return []


def envelope_points(moving: laws.Movement) -> list[tuple[float, float]]:
    """(seconds, square root of the noise's envelope), to where it ends or holds."""
    a, d, s = moving.noise_attack, moving.noise_decay, moving.noise_sustain
    return points(lambda t: math.sqrt(laws.envelope(t, a, d, s)), a, d)


def points(
    height: Callable[[float], float], attack: float, decay: float
) -> list[tuple[float, float]]:
    """(seconds, height) of an envelope; dense where it begins to rise, to fall, and ends."""
    rising = [attack * (i / 8) ** 2 for i in range(8)]
    steps = POINTS - len(rising)
    falling = [decay * math.sin(0.5 * math.pi * i / steps) ** 2 for i in range(steps + 1)]
    when = [*rising, *(attack + t for t in falling)]
    return [(t, height(t) if t != attack else height(attack + 1e-5)) for t in when]


def _swing(patch: Patch, moving: laws.Movement, target: str, amount: float) -> list[str]:
    """The sine of the LFO on `target`, up and down by half of `amount` of its range."""
    name = patch.sine(moving.lfo_hz)
    if not name:
        return [f"LFO to {target}: Vital has eight curves, and they are taken"]
    patch.link(name, target, amount, bipolar=True)
    return []
