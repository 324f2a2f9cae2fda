"""Random but musical: single notes, lines, chords, grooves and small bands, with captions."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from sds.datasets.captions import compose_captions
from sds.train.corpus.gm import DRUMS, HANDED, KITS, PROGRAMS, Program
from sds.train.corpus.midi import DRUM_CHANNEL, Played, Score

SCALES: dict[str, tuple[int, ...]] = {
    "major": (0, 2, 4, 5, 7, 9, 11),
    "minor": (0, 2, 3, 5, 7, 8, 10),
    "jazzy": (0, 2, 3, 5, 7, 9, 10),
    "bluesy": (0, 3, 5, 6, 7, 10),
    "pentatonic": (0, 2, 4, 7, 9),
}
PROGRESSIONS: tuple[tuple[int, ...], ...] = ((0, 3, 4, 0), (0, 5, 3, 4), (1, 4, 0, 0), (5, 3, 0, 4))

GROOVES: dict[str, tuple[str, str, str, float]] = {
    # kick, snare, hats in sixteenths; how late the off-beats come, in sixteenths
    "rock": ("x.......x.x.....", "....x.......x...", "x.x.x.x.x.x.x.x.", 0.0),
    "four on the floor": ("x...x...x...x...", "....x.......x...", "..x...x...x...x.", 0.0),
    "disco": ("x...x...x...x...", "....x.......x...", "x.o.x.o.x.o.x.o.", 0.0),
    "techno": ("x...x...x...x...", "................", "..o...o...o...o.", 0.0),
    "funk": ("x..x..x...x..x..", "....x..x.x..x...", "xxxxxxxxxxxxxxxx", 0.15),
    "hip hop": ("x.....x...x.....", "....x.......x...", "x.x.x.x.x.xxx.x.", 0.25),
    "breakbeat": ("x.x.......xx....", "....x..x.x..x..x", "x.x.x.x.x.x.x.x.", 0.1),
    "jazz swing": ("x.......x.......", "......x.......x.", "x...x.x.x...x.x.", 0.6),
    "bossa nova": ("x..xx..xx..xx..x", "x..x..x...x..x..", "x.x.x.x.x.x.x.x.", 0.0),
    "metal": ("xxxxxxxxxxxxxxxx", "....x.......x...", "x...x...x...x...", 0.0),
    "reggae": ("........x.......", "........x.......", "x.x.x.x.x.x.x.x.", 0.2),
    "half-time": ("x.........x.....", "........x.......", "x.x.x.x.x.x.x.x.", 0.0),
    "marching": ("x.......x.......", "x.xxx.xxx.xxx.xx", "................", 0.0),
}
PIECES = (36, 38, 42)

BANDS: tuple[tuple[str, tuple[int, ...], str, str], ...] = (
    ("kick drum and bass", (38,), "four on the floor", "kick"),
    ("drums and bass", (33,), "rock", "kit"),
    ("drums and bass", (33,), "funk", "kit"),
    ("electric guitar, bass and drums", (29, 34), "rock", "kit"),
    ("heavy metal band, distorted guitar, bass and drums", (30, 34), "metal", "kit"),
    ("jazz trio, piano, double bass and drums", (0, 32), "jazz swing", "kit"),
    ("saxophone with double bass and drums, jazz band", (66, 32), "jazz swing", "kit"),
    ("acoustic guitar and flute, bossa nova", (24, 73), "bossa nova", "none"),
    ("synthesizer, synth bass and drum machine", (81, 38), "techno", "kit"),
    ("organ and drums", (16,), "reggae", "kit"),
    ("piano and violin duet", (0, 40), "rock", "none"),
    ("saxophone and piano duet", (65, 0), "rock", "none"),
    ("string orchestra and horn", (48, 60), "rock", "none"),
)

Scored = Iterator[tuple[str, Score]]


def register(program: Program, key: float) -> str:
    """low, middle or high within the instrument."""
    place = (key - program.low) / (program.high - program.low)
    return "low" if place < 0.33 else "high" if place > 0.67 else "middle register"


def one_shots(seed: int, *, each: int = 10) -> Scored:
    """`each` notes of every program, over its range, short and long, soft and loud."""
    for number, program in enumerate(PROGRAMS):
        rng = random.Random(f"{seed}/note/{number}")
        for index in range(each):
            share = (index + rng.random()) / each
            key = round(program.low + share * (program.high - program.low))
            length = rng.choice([0.12, 0.3, 0.7, 1.5, 2.5])
            velocity = rng.choice([45, 70, 95, 120])
            words = [register(program, key), "long" if length > 1 else "short"]
            words += {45: ["soft", "quiet"], 120: ["loud", "strong"]}.get(velocity, [])
            words += ["very low"] if key < 36 else ["very high"] if key > 90 else []
            reverb = rng.random() < 0.15
            words += ["reverb", "in a large hall"] if reverb else []
            name = program.names[0]
            nouns = [f"{name} note", *(f"single {other} note" for other in program.names)]
            nouns += [name, f"note played on {name}", f"one {program.names[-1]} tone"]
            if number >= 115 or number == 55:  # these are not notes
                nouns = list(program.names)
            score = Score(
                notes=((0.0, length, 0, key, velocity),),
                programs=((0, number),),
                seconds=length + (1.0 if program.held else 2.0),
                captions=compose_captions(nouns, words, rng),
                label=program.label,
                group=f"note/{number}/{key}",
                name=f"note/{number}/{key}/{velocity}/{index}",
                reverb=reverb,
            )
            yield "all", score


def drum_hits(seed: int) -> Scored:
    """Every drum key of every kit at three strengths; hand percussion of the first kit only."""
    for kit, kit_name in KITS.items():
        for key, (label, names) in DRUMS.items():
            if key in HANDED and kit != 0:
                continue
            rng = random.Random(f"{seed}/hit/{kit}/{key}")
            for velocity in (50, 85, 120) if key not in HANDED else (45, 70, 95, 120):
                words = {50: ["soft"], 45: ["soft"], 120: ["loud", "hard hit"]}.get(velocity, [])
                words = [*words, "short" if label in ("kick", "snare", "hi-hat") else "single hit"]
                nouns = names.split("; ")
                if kit:
                    nouns = [f"{nouns[0]} of {kit_name}", *nouns]
                elif key not in HANDED:
                    words += ["acoustic"]
                reverb = rng.random() < 0.12
                words += ["reverb"] if reverb else []
                score = Score(
                    notes=((0.0, 0.5, DRUM_CHANNEL, key, velocity),),
                    programs=((DRUM_CHANNEL, kit),),
                    seconds=3.0 if label in ("cymbal", "bell") else 1.2,
                    captions=compose_captions(nouns, words, rng),
                    label=label,
                    group=f"hit/{kit}/{key}",
                    name=f"hit/{kit}/{key}/{velocity}",
                    reverb=reverb,
                )
                yield "all", score


def groove(
    rng: random.Random, style: str, beats: int, tempo: float, parts: Sequence[int]
) -> list[Played]:
    """Sixteenths of a drum pattern, with human strength; `parts` of kick 0, snare 1, hats 2."""
    step, late = 15.0 / tempo, GROOVES[style][3]
    notes: list[Played] = []
    for part in parts:
        pattern = str(GROOVES[style][part])
        for index in range(4 * beats):
            mark = pattern[index % 16]
            if mark == ".":
                continue
            key = 46 if mark == "o" else PIECES[part]
            if style == "jazz swing" and part == 2:
                key = 51
            when = (index + (late if index % 4 == 2 else 0.0)) * step
            accent = 112 if index % 4 == 0 else 88
            notes.append((when, step, DRUM_CHANNEL, key, accent + rng.randint(-14, 14)))
    if 2 in parts and len(parts) > 1 and rng.random() < 0.3:
        notes.append((0.0, 1.0, DRUM_CHANNEL, 49, 105))
    return notes


def line(
    rng: random.Random, program: Program, scale: Sequence[int], seconds: float, tempo: float,
    *, kind: str, channel: int = 0
) -> list[Played]:  # fmt: skip
    """A melody, a scale, an arpeggio, a riff or a walking bass line within the program's range."""
    low = max(program.low, 28)
    root = low + (rng.randint(0, 11) if program.high - low > 24 else 2)
    ladder = [k for k in range(root, program.high + 1) if (k - root) % 12 in scale]
    place = len(ladder) // 3 if program.label != "bass" else 0
    beat, when, turn = 60.0 / tempo, 0.0, 1
    riff = [rng.choice([-2, 0, 0, 2, 3]) for _ in range(4)]
    notes: list[Played] = []
    while when < seconds:
        length = rng.choice(LENGTHS[kind]) * beat
        if kind in ("scale", "arpeggio"):
            place += turn * (1 if kind == "scale" else 2)
            turn = -turn if not 1 <= place < len(ladder) - 2 else turn
        elif kind == "riff":
            place = len(ladder) // 4 + riff[len(notes) % 4]
        else:
            place += rng.choice([-2, -1, -1, 1, 1, 2])
        place = min(max(place, 0), len(ladder) - 1)
        rest = kind == "melody" and rng.random() < 0.12
        if not rest:
            share = 0.95 if program.held or kind == "walking" else 1.2
            velocity = 84 + rng.randint(-16, 30)
            notes.append((when, length * share, channel, ladder[place], velocity))
        when += length
    return notes


def chords(
    rng: random.Random, program: Program, scale: Sequence[int], seconds: float, tempo: float,
    *, channel: int = 0
) -> list[Played]:  # fmt: skip
    """A four-chord progression of triads, one chord two beats."""
    root = min(max(48, program.low), program.high - 19) + rng.randint(0, 6)
    steps, beat = rng.choice(PROGRESSIONS), 60.0 / tempo
    notes: list[Played] = []
    for index in range(int(seconds / (2 * beat)) + 1):
        degree = steps[index % 4]
        for tone in (0, 2, 4):
            octave, place = divmod(degree + tone, len(scale))
            key = min(root + 12 * octave + scale[place], 127)
            notes.append((index * 2 * beat, 1.9 * beat, channel, key, 76 + rng.randint(-8, 14)))
    return notes


LENGTHS: dict[str, tuple[float, ...]] = {
    # in beats
    "melody": (0.5, 1.0, 1.0, 1.5),
    "scale": (0.5,),
    "arpeggio": (0.5,),
    "riff": (0.5,),
    "walking": (1.0,),
}
CHORDAL = ("piano", "electric piano", "guitar", "organ", "synth pad", "accordion", "harpsichord")
LINES: dict[str, tuple[str, ...]] = {
    "melody": ("{} playing a melody", "{} melody", "solo {}", "{} solo, tune"),
    "scale": ("{} playing a scale", "{} scale up and down", "{} running notes"),
    "arpeggio": ("{} arpeggio", "{} playing arpeggios", "broken chords on {}"),
    "riff": ("{} riff", "{} playing a repeated riff", "{} ostinato"),
    "chords": ("{} chords", "{} playing chords", "chord progression on {}"),
    "walking": ("walking {} line", "{} line", "{} walking bass line"),
}


def phrases(seed: int, count: int) -> Scored:
    """`count` phrases: half of one melodic instrument, a third drums, the rest small bands."""
    for index in range(count):
        rng = random.Random(f"{seed}/phrase/{index}")
        kind = rng.random()
        make = _solo if kind < 0.55 else _drums if kind < 0.82 else _band
        score = make(rng, rng.uniform(4.5, 7.5), f"phrase/{index}")
        yield "one", score


def _tempo(rng: random.Random) -> tuple[float, str]:
    tempo = rng.choice([66, 84, 100, 120, 138, 168])
    return float(tempo), "slow" if tempo < 90 else "fast" if tempo > 130 else "medium tempo"


def _solo(rng: random.Random, seconds: float, name: str) -> Score:
    popular = [0, 4, 16, 24, 25, 27, 29, 30, 32, 33, 36, 38, 40, 42, 48, 56, 65, 66, 73, 80, 81]
    number = rng.choice(popular) if rng.random() < 0.6 else rng.randrange(112)
    program = PROGRAMS[number]
    mood = rng.choice(list(SCALES))
    tempo, pace = _tempo(rng)
    kinds = ["melody", "melody", "scale", "arpeggio", "riff"]
    kinds = ["walking", "riff", "walking"] if program.label == "bass" else kinds
    chordal = {
        "piano",
        "electric piano",
        "guitar",
        "organ",
        "synth pad",
        "accordion",
        "harpsichord",
    }
    kinds += ["chords"] * 3 if program.label in chordal else []
    kind = rng.choice(kinds)
    if kind == "chords":
        notes = chords(
            rng, program, SCALES["minor" if mood == "minor" else "major"], seconds, tempo
        )
        mood = "minor" if mood == "minor" else "major"
    else:
        notes = line(rng, program, SCALES[mood], seconds, tempo, kind=kind)
    nouns = [form.format(other) for form in LINES[kind] for other in program.names]
    nouns += [f"{program.names[-1]} playing", f"{program.names[0]} line"]
    middle = sum(note[3] for note in notes) / len(notes)
    reverb = rng.random() < 0.15
    words = [mood, pace, register(program, middle), *(["reverb"] if reverb else [])]
    captions = compose_captions(nouns, words, rng, count=10)
    return Score(
        tuple(notes), ((0, number),), seconds, captions, program.label, name, name, reverb
    )  # fmt: skip


def _drums(rng: random.Random, seconds: float, name: str) -> Score:
    style = rng.choice(list(GROOVES))
    tempo, pace = _tempo(rng)
    kit = rng.choice([0, 0, 8, 16, 24, 25, 32])
    label, nouns = "drum loop", ["drum loop", "drum beat", f"{style} drum beat", "drums"]
    nouns += [f"{KITS[kit]} playing a {style} groove", f"drum loop, {style} groove"]
    parts: list[int] = [0, 1, 2]
    only = rng.random()
    if only < 0.15:
        label, parts, nouns = (
            "kick",
            [0],
            ["kick drum pattern", f"kick drum, {style}", "bass drum beat"],
        )
    elif only < 0.25 and style != "marching":
        label, parts, nouns = "hi-hat", [2], ["hi-hat pattern", "hihats ticking", "hi-hats loop"]
    elif only < 0.35:
        parts, nouns = [0, 1], ["kick and snare beat", "kick drum and snare drum loop"]
    notes = groove(rng, style, int(seconds * tempo / 60) + 1, tempo, parts)
    notes = [note for note in notes if note[0] < seconds] or groove(rng, "rock", 8, tempo, [0])
    reverb = rng.random() < 0.12
    words = [pace, f"{style} groove", KITS[kit], *(["reverb"] if reverb else [])]
    captions = compose_captions(nouns, words, rng, count=10)
    programs = ((DRUM_CHANNEL, kit),)
    return Score(tuple(notes), programs, seconds, captions, label, name, name, reverb)


def _band(rng: random.Random, seconds: float, name: str) -> Score:
    words, numbers, style, drums = BANDS[rng.randrange(len(BANDS))]
    tempo, pace = _tempo(rng)
    scale = SCALES["jazzy" if "jazz" in words else "minor" if "metal" in words else "major"]
    notes: list[Played] = []
    programs: list[tuple[int, int]] = []
    for channel, number in enumerate(numbers):
        program = PROGRAMS[number]
        programs.append((channel, number))
        if program.label == "bass":
            kind = "walking" if "jazz" in words else "riff"
            notes += line(rng, program, scale, seconds, tempo, kind=kind, channel=channel)
        elif channel and len(numbers) > 1 and program.label in ("piano", "guitar", "organ"):
            notes += chords(rng, program, scale, seconds, tempo, channel=channel)
        else:
            notes += line(rng, program, scale, seconds, tempo, kind="melody", channel=channel)
    if drums != "none":
        kit = 25 if "machine" in words or drums == "kick" else 32 if "jazz" in words else 0
        programs.append((DRUM_CHANNEL, kit))
        parts = [0] if drums == "kick" else [0, 1, 2]
        notes += groove(rng, style, int(seconds * tempo / 60) + 1, tempo, parts)
    kept = tuple(note for note in notes if note[0] < seconds)
    captions = compose_captions(
        [words, f"{words} playing", f"music with {words}"], [pace, style], rng
    )
    return Score(kept, tuple(programs), seconds, captions, "music", name, name)
