"""What guitar and piano play: strums, riffs, arpeggios, blocks of chords, melodies over chords."""

from __future__ import annotations

import random
from collections.abc import Sequence

from sds.train.corpus.band.bars import Bar, Note, fit, read_pattern, strength
from sds.train.corpus.band.harmony import (
    QUALITIES,
    SCALES,
    Chord,
    above,
    guitar_voicing,
    piano_voicing,
    power_chord,
)
from sds.train.corpus.band.styles import GUITAR_PATTERNS, PIANO_PATTERNS

SHORT = frozenset({"skank", "funk", "chops", "stabs", "house", "chug", "muted line"})
TOP = frozenset({"skank", "funk", "chops", "comp", "freddie"})
GUITAR_LOW, GUITAR_HIGH = 40, 84
PIANO_LOW, PIANO_HIGH = 28, 96


def play_guitar(bars: Sequence[Bar], kind: str, seed: str, *, tonic: int, mode: str) -> list[Note]:
    """A guitar part of a kind: a name of `GUITAR_PATTERNS`, "riff", "lead" or "melody"."""
    rng = random.Random(seed)
    if kind in ("lead", "melody"):
        return play_melody(bars, rng, tonic=tonic, mode=mode, low=55, high=81, rest=0.25)
    if kind == "riff":
        return _riff(bars, rng, mode)
    pattern = rng.choice(GUITAR_PATTERNS[kind])
    position = rng.choice([0, 0, 2, 5, 7]) if kind not in TOP else rng.choice([3, 5, 7])
    spread = rng.uniform(0.012, 0.03)
    notes: list[Note] = []
    for bar in bars:
        for beat, beats, sign in read_pattern(fit(pattern, bar.beats), bar):
            chord = bar.chord_at(beat)
            keys = _grip(chord, kind, position)
            # a chord stops where the next one comes
            end = next(s + length for s, length, _ in bar.spans() if s + length > beat)
            beats = min(beats, end - beat)
            notes += _pick(bar, beat, beats, sign, keys, chord, kind, spread, rng)
    return notes


def _grip(chord: Chord, kind: str, position: int) -> list[int]:
    if kind in ("power", "chug", "shuffle"):
        return power_chord(chord)
    keys = guitar_voicing(chord, position)
    if kind in TOP:
        return keys[-4:] if kind in ("comp", "freddie") else keys[-3:]
    return keys


def _pick(
    bar: Bar, beat: float, beats: float, sign: str, keys: list[int], chord: Chord, kind: str,
    spread: float, rng: random.Random,
) -> list[Note]:  # fmt: skip
    """The notes of one sign of a guitar pattern."""
    when, energy = bar.beat + beat, bar.energy
    if sign in "123456":  # a string, which rings on for two beats
        key = keys[min(int(sign) - 1, len(keys) - 1)]
        long = 0.3 if kind in SHORT else min(max(beats, 2.0), bar.beats - beat)
        return [(when, long, key, strength(rng, energy, 0.2 if beat == 0 else -0.1))]
    if sign in "bB":
        key = keys[0] if sign == "b" else above(chord.root + QUALITIES[chord.quality][2], 40)
        return [(when, beats, key, strength(rng, energy, 0.2))]
    if sign in "sS":  # rock and roll: root and fifth, then root and sixth
        upper = keys[0] + (7 if sign == "s" else 9)
        loud = strength(rng, energy, 0.1 if sign == "S" else -0.2)
        return [(when, beats * 0.9, key, loud) for key in (keys[0], upper)]
    if sign == "x":  # damped strings
        return [(when + 0.01 * i, 0.05, k, strength(rng, energy, -1.6)) for i, k in enumerate(keys)]
    down = sign in "DdL"
    accent = 0.4 if sign in "DUL" else -0.5
    order = keys if down else keys[::-1][:4]
    if kind == "chug" and sign == "d":
        order, beats = keys[:2], min(beats, 0.16)
    if kind in SHORT and kind != "chug":
        beats = min(beats, 0.3)
    gap = 0.0 if kind in ("power", "chug") else spread
    return [
        (when + gap * i, max(beats * 0.96 - gap * i, 0.05), key, strength(rng, energy, accent))
        for i, key in enumerate(order)
    ]


def _riff(bars: Sequence[Bar], rng: random.Random, mode: str) -> list[Note]:
    """A figure of one bar on the low strings that goes with the chords."""
    figure: list[tuple[float, float, int]] = []
    beat = 0.0
    while beat < 4.0:
        length = rng.choice([0.5, 0.5, 0.5, 0.25, 1.0, 0.75])
        if rng.random() < 0.8 or not figure:
            figure.append((beat, length, rng.choice([0, 0, 0, 7, 10, 12, 5, 3]) if figure else 0))
        beat += length
    notes: list[Note] = []
    for bar in bars:
        for beat, length, step in figure:
            if beat >= bar.beats:
                continue
            chord = bar.chord_at(beat)
            minor = QUALITIES[chord.quality][1] == 3
            step = 4 if step == 3 and not minor else step
            step = 11 if step == 10 and chord.quality == "maj7" else step
            key = above(chord.root, GUITAR_LOW) + step
            length = min(length, bar.beats - beat)
            notes.append((bar.beat + beat, length * 0.9, key, strength(rng, bar.energy, 0.2)))
    return notes


def melody_scale(tonic: int, mode: str) -> tuple[int, ...]:
    """Pitch classes a melody of this mode moves on."""
    name = {"jazz major": "major", "jazz minor": "minor"}.get(mode, mode)
    return tuple((tonic + step) % 12 for step in SCALES[name])


RHYTHMS: tuple[tuple[float, ...], ...] = (
    # beats a note, negative ones rest
    (1.0, 1.0, 1.0, 1.0),
    (0.5, 0.5, 1.0, 0.5, 0.5, 1.0),
    (1.5, 0.5, 2.0),
    (-0.5, 0.5, 0.5, 0.5, 1.0, 1.0),
    (1.0, 0.5, 0.5, 2.0),
    (0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 1.0),
    (-1.0, 1.0, 0.5, 0.5, 1.0),
    (3.0, 1.0),
    (0.75, 0.75, 0.5, 1.0, -1.0),
    (2.0, -2.0),
)


def play_melody(
    bars: Sequence[Bar], rng: random.Random, *, tonic: int, mode: str, low: int, high: int,
    rest: float,
) -> list[Note]:  # fmt: skip
    """A melody of phrases of two bars whose rhythm comes back: chord tones on the beat, steps of
    the scale between; a share `rest` of the bars is empty.
    """
    scale = melody_scale(tonic, mode)
    motifs = [rng.choice(RHYTHMS) for _ in range(2)]
    notes: list[Note] = []
    key = rng.randint(low + 6, high - 6)
    for bar in bars:
        if rng.random() < rest and bar.place % 2:
            continue
        rhythm = motifs[bar.place % 2] if rng.random() < 0.8 else rng.choice(RHYTHMS)
        beat = 0.0
        for length in rhythm:
            if beat >= bar.beats:
                break
            chord = bar.chord_at(beat)
            if length > 0:
                step = rng.choice([-3, -2, -2, -1, 1, 2, 2, 3, 0])
                allowed = chord.tones if beat == int(beat) else scale
                near = [k for k in range(low, high + 1) if k % 12 in allowed]
                key = min(near, key=lambda k: (abs(k - key - step), k))
                long = min(length, bar.beats - beat) * 0.95
                notes.append((bar.beat + beat, long, key, strength(rng, bar.energy, 0.4)))
            beat += abs(length)
    return notes


def play_piano(bars: Sequence[Bar], kind: str, seed: str, *, tonic: int, mode: str) -> list[Note]:
    """A piano part of a kind: a name of `PIANO_PATTERNS`, or "melody" over chords of the left
    hand. Chords move by the nearest inversion.
    """
    rng = random.Random(seed)
    notes: list[Note] = []
    if kind == "melody":
        notes += play_melody(bars, rng, tonic=tonic, mode=mode, low=64, high=88, rest=0.2)
        left = rng.choice(["c---------------", "c-------c-------", "r---c---5---c---"])
        right = "-" * 16
        center = (43, 65)
    else:
        left, right = rng.choice(PIANO_PATTERNS[kind])
        shift = rng.choice([0, 0, 0, 5, -3])
        center = (53 + shift, 77 + shift)
    voicing: list[int] = []
    for bar in bars:
        led: dict[Chord, list[int]] = {}
        for chord in bar.chords:
            voicing = piano_voicing(chord, voicing, *center)
            led[chord] = voicing
        notes += _hand(bar, left, led, rng, kind, left=True)
        notes += _hand(bar, right, led, rng, kind, left=False)
    return notes


def _hand(
    bar: Bar, pattern: str, led: dict[Chord, list[int]], rng: random.Random, kind: str, *, left: bool
) -> list[Note]:  # fmt: skip
    """The notes of one hand in a bar."""
    notes: list[Note] = []
    for beat, beats, sign in read_pattern(fit(pattern, bar.beats), bar):
        chord = bar.chord_at(beat)
        keys = led[chord]
        end = next(s + length for s, length, _ in bar.spans() if s + length > beat)
        beats = min(beats, end - beat)
        accent = -0.3 if left else {"C": 0.3, "c": -0.4}.get(sign, 0.0)
        accent += 0.2 if beat == 0 else 0.0
        if sign in "Cc":
            low = [key - 12 for key in keys[-3:]] if left and kind != "melody" else keys
            played = low
            beats = min(beats, 0.35) if kind in SHORT else beats
        elif left and sign in "r58367":
            root = above(chord.root, 33)
            steps = QUALITIES[chord.quality]
            step = {"5": steps[2], "8": 12, "3": steps[1], "6": 9}.get(sign, 0)
            step = (steps[3] if len(steps) == 4 else 9) if sign == "7" else step
            played = [root + step]
            if sign == "r" and kind in ("block", "pulse") and root >= 40:
                played.append(root - 12)
        else:
            number = int(sign) - 1
            octave, place = divmod(number, len(keys))
            played = [keys[place] + 12 * octave - (12 if left else 0)]
        notes += [
            (bar.beat + beat + 0.004 * i, beats * 0.96, key, strength(rng, bar.energy, accent))
            for i, key in enumerate(played)
        ]
    return notes
