"""What drums and bass play: grooves with fills, and lines that follow chords and bass drum."""

from __future__ import annotations

import random
from collections.abc import Sequence

from sds.train.corpus.band.bars import Bar, Note, fit, read_pattern, strength
from sds.train.corpus.band.harmony import QUALITIES, SCALES, Chord, above
from sds.train.corpus.band.styles import BASS_PATTERNS, STYLES, Style

KICK, STICK, SNARE, CRASH, SPLASH = 36, 37, 38, 49, 55
FILLS: tuple[tuple[tuple[int, ...], ...], ...] = (
    # keys a sixteenth over one or two beats; 0 rests
    ((38,), (38,), (38,), (38,)),
    ((38,), (48,), (45,), (41,)),
    ((38,), (0,), (38, 36), (38,), (48,), (48,), (45,), (41,)),
    ((38,), (38,), (50,), (50,), (47,), (47,), (43,), (43,)),
    ((38, 36), (0,), (0,), (38,), (36,), (38,), (38, 41), (0,)),
    ((46, 36), (0,), (38,), (0,), (38,), (38,), (38,), (38,)),
    ((48,), (48,), (38,), (45,), (45,), (38,), (41,), (41,)),
)


def play_drums(
    bars: Sequence[Bar], style: Style, groove: tuple[str, str, str], seed: str, *, cymbal: int
) -> list[Note]:
    """A groove of kick, snare and `cymbal` (a drum key) over the bars, a fill at the end of every
    phrase of four or eight and a crash where a section begins.
    """
    rng = random.Random(seed)
    phrase = rng.choice([4, 8, 8])
    extras = [extra for extra in style.extra if rng.random() < 0.5]
    odd = rng.random() < 0.4  # every second bar has a little less
    notes: list[Note] = []
    for bar in bars:
        turn = bar.last or (bar.place % phrase == phrase - 1 and rng.random() < 0.7)
        fill = _fill(bar, rng) if turn and rng.random() < 0.85 else []
        until = min((note[0] for note in fill), default=bar.beat + bar.beats) - 1e-6
        played = _groove(bar, groove, rng, cymbal=cymbal, odd=odd)
        for key, pattern in extras:
            for beat, _, _ in read_pattern(fit(pattern, bar.beats), bar):
                played.append((bar.beat + beat, 0.25, key, strength(rng, bar.energy, -0.8)))
        notes += [note for note in played if note[0] < until] + fill
        if bar.first and bar.energy > 0.35:
            crash = SPLASH if bar.energy < 0.5 else CRASH
            notes.append((bar.beat, 1.0, crash, strength(rng, bar.energy, 0.2)))
    return notes


def _groove(
    bar: Bar, groove: tuple[str, str, str], rng: random.Random, *, cymbal: int, odd: bool
) -> list[Note]:
    notes: list[Note] = []
    for part, pattern in enumerate(groove):
        for beat, _, sign in read_pattern(fit(pattern, bar.beats), bar):
            key = (KICK, SNARE, cymbal)[part]
            key = {"s": STICK, "o": 46 if cymbal == 42 else 53}.get(sign, key)
            accent = {"X": 0.9, "g": -2.2, "s": 0.0}.get(sign, 0.3 if part < 2 else -0.5)
            if part == 2:
                accent += 0.5 if beat == int(beat) else -0.3
            thin = odd and part == 0 and bar.place % 2 and beat not in (0.0, 2.0)
            if thin and rng.random() < 0.5:
                continue
            notes.append((bar.beat + beat, 0.25, key, strength(rng, bar.energy, accent)))
    return notes


def _fill(bar: Bar, rng: random.Random) -> list[Note]:
    fill = rng.choice(FILLS)
    begin = bar.beat + bar.beats - len(fill) / 4
    step = 0.25
    notes: list[Note] = []
    for index, keys in enumerate(fill):
        for key in keys:
            if key:
                loud = strength(rng, bar.energy, 0.2 + 0.6 * index / len(fill))
                notes.append((begin + index * step, step, key, loud))
    return notes


def _tone(sign: str, chord: Chord, following: Chord, low: int) -> int:
    """The key that a sign of a bass pattern stands for."""
    root = above(chord.root, low)
    steps = QUALITIES[chord.quality]
    if sign == "a":
        target = above(following.root, low)
        target += 12 if target < root - 6 else 0
        return target - 1 if target - 1 >= low else target + 1
    return {
        "5": root + steps[2],
        "f": root + steps[2] - (12 if root + steps[2] - 12 >= low else 0),
        "8": root + 12,
        "3": root + steps[1],
        "6": root + 9,
        "7": root + (steps[3] if len(steps) == 4 else 10 if steps[1] == 3 else 9),
    }.get(sign, root)


def play_bass(bars: Sequence[Bar], kind: str, seed: str, *, kick: str, low: int) -> list[Note]:
    """A bass line of a kind (a name of `BASS_PATTERNS`, "walking" or "kick") above the key `low`;
    "kick" plays with the bass drum's pattern. Every bar that sounds at once begins with its root.
    """
    rng = random.Random(seed)
    if kind == "walking":
        return _walk(bars, rng, low)
    pattern = _kick_pattern(kick, rng) if kind == "kick" else rng.choice(BASS_PATTERNS[kind])
    tight = rng.choice([0.7, 0.9, 0.98])
    notes: list[Note] = []
    for bar in bars:
        heard: Chord | None = None
        signs = list(read_pattern(fit(pattern, bar.beats), bar))
        for number, (beat, beats, sign) in enumerate(signs):
            chord = bar.chord_at(beat)
            after = bar.chord_at(beat + beats) if beat + beats < bar.beats else bar.following
            tone = "r" if chord != heard and sign not in "a58" else sign
            tone = "r" if sign in "a" and number == 0 else tone
            if len(bar.chords) > 1 and chord != heard:
                tone = "r"
            key = _tone(tone, chord, after, low)
            accent = 0.4 if beat == 0 else 0.1 if beat == int(beat) else -0.2
            loud = strength(rng, bar.energy, accent)
            notes.append((bar.beat + beat, beats * tight, key, loud))
            heard = chord
    return notes


def _kick_pattern(kick: str, rng: random.Random) -> str:
    """Notes where the bass drum is, held till the next; a downbeat there always is one."""
    signs = ["r" if sign in "xX" else "-" for sign in kick]
    signs[0] = "r"
    if signs.count("r") > 8:
        return "".join(signs)
    for index in range(2, len(signs), 2):
        if signs[index] == "-" and rng.random() < 0.18:
            signs[index] = rng.choice("r58")
    if rng.random() < 0.5:
        signs[-2] = "a"
    return "".join(signs)


def _walk(bars: Sequence[Bar], rng: random.Random, low: int) -> list[Note]:
    """Quarter notes: root, chord or scale tones stepwise, and a semitone or fifth that leads on."""
    notes: list[Note] = []
    before = low + 7
    for bar in bars:
        for start, length, chord in bar.spans():
            root = above(chord.root, low)
            key = root + 12 if abs(root + 12 - before) < abs(root - before) else root
            key = key if key <= low + 19 else root
            scale = SCALES["dorian" if QUALITIES[chord.quality][1] == 3 else "mixolydian"]
            ladder = [
                k for k in range(low, low + 22)
                if (k - chord.root) % 12 in scale or k % 12 in chord.tones
            ]  # fmt: skip
            turn = rng.choice([-1, 1])
            count = int(length)
            ends = start + length >= bar.beats
            after = bar.following if ends else bar.chord_at(start + length)
            for index in range(count):
                if index == count - 1 and count > 1:
                    target = above(after.root, low)
                    target = target + 12 if abs(target + 12 - key) < abs(target - key) else target
                    key = target + rng.choice([-1, 1, 1, 2])
                    key = key if low <= key <= low + 21 else target + 1
                elif index:
                    place = min(range(len(ladder)), key=lambda i: abs(ladder[i] - key))
                    place += turn * rng.choice([1, 1, 2])
                    turn = -turn if not 0 <= place < len(ladder) else turn
                    key = ladder[min(max(place, 0), len(ladder) - 1)]
                loud = strength(rng, bar.energy, 0.3 if index % 2 else 0.1)
                notes.append((bar.beat + start + index, 0.93, key, loud))
                if rng.random() < 0.07:
                    notes.append((bar.beat + start + index + 0.5, 0.3, key, loud - 20))
                before = key
    return notes


