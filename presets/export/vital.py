"""Vital, a free wavetable synth: a `.vital` preset of three operators, or of a baked wavetable.

Facts of the format, measured in its engine: an oscillator of level l sounds at l^2 / 2; its
distortion "FM <- oscillator" of amount a is phase modulation of 12 pi a^2 radians. So one curve,
the square root of an operator's envelope, drives its level and the depths it modulates by. The
curve is an LFO that runs once: it follows our envelope, which Vital's own segments do not. Vital
has no feedback, but an operator that feeds itself is a wave of z, s = sin(z + b s), whatever moves
its phase z: it becomes a wavetable over b, which the same curve scans.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from itertools import permutations
from typing import Any

from presets.export import laws, vital_movement
from presets.export.base import Exported, Exporter, Source, without_effects
from presets.export.vital_patch import (
    FRAMES,
    OSCILLATORS,
    POINTS,
    RELEASE,
    RELEASE_POWER,
    SIZE,
    Patch,
    baked,
    times,
    wavetable,
)
from presets.params import Note
from presets.preset import Preset

DEEPEST = 12.0 * math.pi  # radians at a distortion amount of 1
LOWER, HIGHER = 7.0, 8.0  # FM from that one of the two other oscillators
FED, NEWTON = 9, 8  # frames of a wavetable over feedback, iterations for each sample
NEGLIGIBLE = 0.01  # of all importance: not worth a wavetable


def export(preset: Preset, source: Source, stem: str) -> Exported:
    """One .vital file: operators where three carry the patch, else its periods as a wavetable.

    Raises `ValueError` for a patch with nothing in its mix.
    """
    voice = laws.voice(preset.values)
    moving = voice.movement
    breathes = moving is not None and moving.noise_level > 0.0
    if not any(voice.mix) and not breathes:
        raise ValueError(f"preset {preset.name!r} is silent: no operator is in its mix")
    kept, edges, share, lost = _three(voice)
    cycles = laws.cycles(voice)
    bakes = share > NEGLIGIBLE and cycles is not None and any(voice.mix)
    if bakes and cycles is not None:
        seconds = laws.settled(voice) if laws.holds(voice) else source.seconds
        when = times(seconds, FRAMES)
        frames = source.cycles(Note(preset.note, 100), when, SIZE)
        patch = baked(frames, when, cycles)
        lost = [
            "operators: three of Vital cannot carry them, so the sound is a wavetable in time,"
            f" {FRAMES} frames over {when[-1]:.2f} s, made at note {preset.note:g}",
            *laws.whole_ratio_losses(voice, cycles),
        ]
        depths: dict[str, float] = {}
    else:
        patch, depths = _operators(voice, kept, edges, Note(preset.note), source.rate)
        lost += laws.fade_losses(voice.ratio, Note(preset.note), source.rate)
    if moving is None:
        lost.append(f"a key let go fades in {RELEASE} s; our own notes ring to their end")
    else:
        lost += _move(patch, voice, moving, source, depths, baked_in=bakes)
    lost += without_effects(preset)
    return Exported({f"{stem}.vital": patch.text(preset.name).encode()}, tuple(lost))


def _move(
    patch: Patch,
    voice: laws.Voice,
    moving: laws.Movement,
    source: Source,
    depths: dict[str, float],
    *,
    baked_in: bool,
) -> list[str]:
    """Release, noise, pitch, filter and LFO; what is lost of them. What is in a wavetable stays."""
    release = laws.release_of(voice)
    patch.settings |= {"env_1_release": release**0.25, "env_1_release_power": RELEASE_POWER}
    lost = vital_movement.add_noise(patch, moving, source) if moving.noise_level > 0.0 else []
    lost += vital_movement.add_pitch(patch, moving)
    if baked_in:
        if moving.lfo_to_filter > 0.0 or moving.lfo_to_index > 0.0:
            lost.append("LFO to filter and index: both are in the wavetable, which stands still")
        if moving.noise_level > 0.0 and laws.filters(moving):
            lost.append("the filter: the noise does not pass it")
    elif laws.filters(moving):
        lost += vital_movement.add_filter(patch, moving)
    lost += vital_movement.add_dips(patch, moving, depths)
    heard = [r for r, mix in zip(voice.release, voice.mix, strict=True) if mix > 0.0]
    if heard and max(heard) > 1.1 * min(heard):
        lost.append(f"the operators' own releases: {release:.2g} s for all of them")
    return lost


def _operators(
    voice: laws.Voice, kept: Sequence[int], edges: dict[int, int], note: Note, rate: int
) -> tuple[Patch, dict[str, float]]:
    """`kept` as oscillators, modulators first; `edges` from the modulated to its modulator.

    Beside the patch the links that are an index, by the names of their amounts.
    """
    patch, depths = Patch(), {}
    gate = min([0.003, *(voice.attack[v] for v in kept)])
    patch.settings["env_1_attack"] = gate**0.25
    names = {}
    for v in kept:
        wave = _feedback_wave(voice.matrix[v][v])
        names[v] = patch.oscillator(wave, 12.0 * math.log2(voice.ratio[v]))
    for v in kept:
        heard = laws.fade(voice.ratio[v] * note.hz, rate)
        curve = patch.curve(_points(voice.attack[v], voice.decay[v], voice.sustain[v], gate))
        if voice.matrix[v][v] > 0.0:
            patch.link(curve, f"{names[v]}_wave_frame", 1.0)
        if voice.mix[v] > 0.0:
            patch.link(curve, f"{names[v]}_level", math.sqrt(voice.mix[v] * heard))
        for target in (t for t, w in edges.items() if w == v):
            others = [w for w in range(OSCILLATORS) if w != kept.index(target)]
            kind = LOWER if kept.index(v) == others[0] else HIGHER
            patch.settings |= {
                f"{names[target]}_distortion_type": kind,
                f"{names[target]}_distortion_amount": 0.0,
            }
            amount = math.sqrt(voice.matrix[target][v] * heard / DEEPEST)
            depths[patch.link(curve, f"{names[target]}_distortion_amount", amount)] = amount
    return patch, depths


# A table of 2048 steps holds the curve: an attack of less than two is left to the gate, and the
# curve waits for it. The ends are where a square root is steep, so the points crowd there: sin^2.
def _points(attack: float, decay: float, sustain: float, gate: float) -> list[tuple[float, float]]:
    """(seconds, square root of our envelope), from the attack until it holds, or -100 dB."""
    low, high = 0.0, decay
    for _ in range(40):
        middle = 0.5 * (low + high)
        quiet = laws.envelope(middle, 0.0, decay) < 1e-5 + 0.01 * sustain
        low, high = (low, middle) if quiet else (middle, high)
    if attack > max(2.0 * gate, (attack + high) / 1000.0):
        rising = [(attack * (i / 8) ** 2, i / 8) for i in range(8)]
    else:
        rising = [(0.0, 1.0)]
    falling = []
    for i in range(POINTS - 1):
        r = high * math.sin(0.5 * math.pi * i / (POINTS - 1)) ** 2
        level = math.sqrt(laws.envelope(r, 0.0, decay, sustain)) if i else 1.0
        falling.append((attack + r, level))
    return [*rising, *falling, (attack + high, math.sqrt(sustain))]


def _three(voice: laws.Voice) -> tuple[tuple[int, ...], dict[int, int], float, list[str]]:
    """At most three operators with one modulator each; the share of importance lost, and what."""
    weight = laws.importance(voice)
    matter = [v for v in range(len(weight)) if weight[v] > 0.0]
    worth = {
        (v, w): weight[v] * a / (1.0 + a)
        for v in matter
        for w in matter
        if (a := voice.matrix[v][w]) > 0.0
    }
    best: tuple[float, tuple[int, ...], dict[int, int]] = (-1.0, (), {})
    for kept in permutations(matter, min(OSCILLATORS, len(matter))):
        edges = {}
        for place, v in enumerate(kept):
            choices = [(worth[v, w], w) for w in kept[:place] if (v, w) in worth]
            if choices:
                edges[v] = max(choices)[1]
        own = sum(worth.get((v, v), 0.0) for v in kept)
        value = sum(voice.mix[v] for v in kept) + sum(worth[e] for e in edges.items()) + own
        best = max(best, (value, kept, edges), key=lambda b: b[0])
    value, kept, edges = best
    lost = [f"operator {v + 1}: Vital has three" for v in matter if v not in kept]
    for v, w in worth:
        if v != w and v in kept and w in kept and edges.get(v) != w:
            lost.append(
                f"op{v + 1}_from_op{w + 1} = {voice.matrix[v][w]:.2f} rad:"
                " Vital has one modulator an oscillator, and no loops"
            )
    whole = sum(voice.mix) + sum(worth.values())
    return kept, edges, 1.0 - value / max(whole, 1e-12), lost


def _feedback_wave(feedback: float) -> dict[str, Any]:
    """The wave of an operator under feedback of 0 to `feedback` radians, by Newton's method.

    The curve that scans it is the root of the envelope, so frame x of 0..1 is feedback * x^2.
    """
    count = FED if feedback > 0.0 else 1
    frames = []
    for i in range(count):
        b = feedback * (i / max(1, count - 1)) ** 2
        wave = []
        for n in range(SIZE):
            z = 2.0 * math.pi * n / SIZE
            s = math.sin(z)
            for _ in range(NEWTON if b > 0.0 else 0):
                s -= (s - math.sin(z + b * s)) / (1.0 - b * math.cos(z + b * s))
            wave.append(s)
        frames.append(struct.pack(f"<{SIZE}f", *wave))
    return wavetable(frames, [256.0 * i / max(1, count - 1) for i in range(count)])


EXPORTER = Exporter("Vital preset", ".vital", frozenset({"fm"}), export)
