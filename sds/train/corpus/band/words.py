"""What to say of a song of four stems, and of each stem."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

from sds.train.corpus.band.styles import Style
from sds.train.corpus.gm import KITS, PROGRAMS

SHORT_NAMES: dict[str, tuple[tuple[int, ...], tuple[str, ...]]] = {
    # programs and what they are called in a song
    "double bass": ((32,), ("double bass", "upright bass", "acoustic bass")),
    "bass guitar": ((33, 34), ("bass guitar", "electric bass", "bass")),
    "fretless bass": ((35,), ("fretless bass", "bass")),
    "slap bass": ((36, 37), ("slap bass", "slapped bass")),
    "synth bass": ((38, 39), ("synth bass", "synthesizer bass")),
    "nylon guitar": ((24,), ("nylon guitar", "classical guitar", "Spanish guitar", "acoustic guitar")),
    "steel guitar": ((25,), ("acoustic guitar", "steel string guitar", "folk guitar")),
    "jazz guitar": ((26,), ("jazz guitar", "mellow electric guitar")),
    "clean guitar": ((27,), ("clean electric guitar", "electric guitar")),
    "muted guitar": ((28,), ("muted guitar", "palm muted guitar", "electric guitar")),
    "overdriven guitar": ((29,), ("overdriven guitar", "crunchy guitar", "rock guitar")),
    "distorted guitar": ((30, 31), ("distorted guitar", "heavy guitar", "electric guitar")),
    "piano": ((0, 1), ("piano", "grand piano", "acoustic piano")),
    "electric grand": ((2,), ("electric grand piano", "piano")),
    "honky-tonk": ((3,), ("honky-tonk piano", "saloon piano", "piano")),
    "electric piano": ((4,), ("electric piano", "Rhodes", "Rhodes piano")),
    "DX piano": ((5,), ("FM electric piano", "electric piano", "eighties electric piano")),
    "harpsichord": ((6,), ("harpsichord",)),
    "clavinet": ((7,), ("clavinet", "funky clavinet")),
}  # fmt: skip
KIT_NAMES: dict[int, tuple[str, ...]] = {
    0: ("drums", "acoustic drums", "drum kit"),
    8: ("drums", "drums in a room", "roomy drums"),
    16: ("rock drums", "powerful drums", "drums"),
    24: ("electronic drums", "drum machine"),
    25: ("808 drums", "drum machine", "TR-808"),
    32: ("jazz drums", "drums"),
    40: ("brushed drums", "drums with brushes", "brushes"),
    48: ("orchestral drums", "percussion"),
}
MANNER: dict[str, str] = {
    # a pattern's name in words: {} is the instrument
    "walking": "walking {}",
    "octave": "{} octaves",
    "eighths": "driving eighth note {}",
    "sixteenths": "fast {}",
    "riff": "{} riff",
    "root-fifth": "root and fifth {}",
    "whole": "long {} notes",
    "pedal": "pumping {}",
    "funk": "funky {}",
    "tumbao": "{} tumbao",
    "dub": "dub {}",
    "boogie": "boogie {}",
    "arpeggio": "{} arpeggios",
    "arpeggio twelve": "{} arpeggios",
    "strum": "strummed {}",
    "power": "{} power chords",
    "chug": "chugging {}",
    "skank": "{} off-beat chords",
    "comp": "{} comping",
    "freddie": "four to the bar {}",
    "chops": "{} back beat chops",
    "boom-chick": "boom-chick {}",
    "travis": "fingerpicked {}",
    "pad": "held {} chords",
    "lead": "lead {}",
    "melody": "{} melody",
    "shuffle": "shuffling {}",
    "muted line": "muted {} line",
    "montuno": "{} montuno",
    "block": "{} chords",
    "pulse": "repeated {} chords",
    "eighth chords": "pounding {}",
    "broken": "broken chords on {}",
    "stride": "stride {}",
    "blues comp": "bluesy {} chords",
    "triplets": "{} chords in triplets",
    "stabs": "{} stabs",
    "house": "{} house stabs",
    "bubble": "{} bubble",
    "honky": "{} accompaniment",
}


def instrument(stem: str, program: int) -> tuple[str, ...]:
    """Names of what plays a stem, usual ones first."""
    if stem == "drums":
        return KIT_NAMES.get(program, KIT_NAMES[0])
    for programs, names in SHORT_NAMES.values():
        if program in programs:
            return names
    return PROGRAMS[program].names


def pace(tempo: float) -> str:
    """slow, medium tempo or fast."""
    return "slow" if tempo < 90 else "fast" if tempo > 130 else "medium tempo"


def joined(words: Sequence[str]) -> str:
    """ "a, b and c"."""
    return " and ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else words[0]


def song_captions(
    rng: random.Random, title: str, style: Style, tempo: float, mode: str,
    programs: Mapping[str, int],
) -> tuple[str, ...]:  # fmt: skip
    """Six captions of a whole song: "slow blues, brushed drums, double bass and piano"."""
    exact = {stem: rng.choice(instrument(stem, number)) for stem, number in programs.items()}
    names = list(exact.values())
    rng.shuffle(names)
    mood = {"jazz major": "a major key", "jazz minor": "a minor key", "blues": "blues form"}.get(
        mode, f"{mode} mode" if mode in ("dorian", "mixolydian") else f"a {mode} key"
    )
    speed = pace(tempo)
    slow = title if title.startswith(speed) else f"{speed} {title}"
    word = rng.choice(style.words or ("",))
    some = rng.sample(names, k=rng.randint(1, len(names)))
    plain = joined([stem for stem in programs])
    forms = [
        f"{title}, {joined(names)}",
        f"{slow} with {joined(some)}",
        f"{title}, {some[0]}",
        f"{word} {slow}, {joined(names)}",
        f"{slow} in {mood}, {joined(names)}",
        f"{title}, {round(tempo)} bpm, {joined(names)}",
        f"{word} {title}",
        f"{title} band" if len(names) > 2 else f"{title} on {joined(names)}",
        f"{slow} with {plain}",
        f"{word}, {title}, {plain}",
        title,
    ]
    first, rest = forms[0], forms[1:]
    return (first, *rng.sample(rest, k=5))


def stem_caption(
    rng: random.Random, stem: str, program: int, kinds: Sequence[str], title: str, style: Style,
    tempo: float,
) -> tuple[str, ...]:  # fmt: skip
    """Four captions of one stem: "walking double bass, jazz swing"."""
    names = instrument(stem, program)
    name = rng.choice(names)
    if stem == "drums":
        kit = KITS.get(program, KITS[0])
        forms = [f"{name}, {title}", f"{title} drum groove", f"{pace(tempo)} {title} beat, {name}"]
        return (forms[0], *rng.sample([*forms[1:], f"{kit}, {title} groove", name], k=3))
    manners = [MANNER.get(kind, "{}").format(name) for kind in dict.fromkeys(kinds)]
    forms = [
        *(f"{manner}, {title}" for manner in manners),
        manners[0],
        f"{title} {name}",
        f"{pace(tempo)} {name}, {rng.choice(style.words or (title,))}",
        f"{name} part of a {title} song",
    ]
    return (forms[0], *rng.sample(forms[1:], k=3))
