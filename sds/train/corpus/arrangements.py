"""Songs of bass, drums, guitar and piano, composed: chords, form, parts that go together, captions.

A song depends on its name only, so that any song can be made again. Training uses names of
`training_name`, evaluation those of `reserved_name`; no name is both.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

from sds.train.corpus.band.bars import Bar, Note
from sds.train.corpus.band.comping import play_guitar, play_piano
from sds.train.corpus.band.harmony import KEYS, PROGRESSIONS, Chord, read_progression
from sds.train.corpus.band.rhythm import play_bass, play_drums
from sds.train.corpus.band.styles import STYLES, Style
from sds.train.corpus.band.words import song_captions, stem_caption
from sds.train.corpus.midi import DRUM_CHANNEL, Played

STEMS = ("bass", "drums", "guitar", "piano")
ABSENT = 0.10  # how often a stem is not in a song at all, besides MIXED
MIXED = 0.06  # how often the stems are one of all fifteen sets, each as likely
TACET = {"intro": 0.45, "break": 0.35}  # how often a stem rests for such a section; else QUIET
QUIET = 0.06
ENERGY = {"intro": 0.4, "verse": 0.5, "chorus": 0.8, "break": 0.35, "bridge": 0.65}
FORMS: tuple[tuple[str, ...], ...] = (
    ("intro", "verse", "chorus", "verse", "chorus", "break", "chorus", "chorus"),
    ("verse", "verse", "chorus", "bridge", "verse", "chorus", "chorus"),
    ("intro", "verse", "bridge", "chorus", "break", "verse", "chorus"),
    ("chorus", "verse", "chorus", "break", "verse", "chorus"),
)
FADE = 1.6  # seconds after the last bar, in which its sounds die away


@dataclass(frozen=True, slots=True)
class Song:
    """A song of the four classes.

    - `parts`: notes of every stem that plays, in seconds; `programs`: General MIDI (kit for drums).
    - `seconds`: its whole length; `tempo` in beats a minute; `beats`: seconds of the beats;
      `chords`: (second, name) of every change, empty where not known.
    - `captions` of the whole, and of each stem that plays, most exact first.
    """

    name: str
    parts: dict[str, tuple[Played, ...]]
    programs: dict[str, tuple[tuple[int, int], ...]]
    seconds: float
    tempo: float
    beats: tuple[float, ...]
    captions: tuple[str, ...]
    stem_captions: dict[str, tuple[str, ...]]
    key: str = ""
    style: str = ""
    chords: tuple[tuple[float, str], ...] = ()
    beats_a_bar: int = 4


@dataclass(frozen=True, slots=True)
class _Section:
    name: str
    bars: tuple[Bar, ...]
    silent: frozenset[str]


def training_name(seed: int, number: int) -> str:
    """The name of a song to train on."""
    return f"train/{seed}/{number}"


def reserved_name(seed: int, number: int) -> str:
    """The name of a song that nothing is trained on."""
    return f"reserved/{seed}/{number}"


def reserved_songs(count: int, seed: int, *, full: bool = False) -> list[Song]:
    """Songs for evaluation, which training never hears; with all four stems when `full`."""
    return [compose(reserved_name(seed, number), full=full) for number in range(count)]


def choose_stems(rng: random.Random) -> frozenset[str]:
    """Which stems a song has: all but those absent by chance; each of the 15 sets occurs."""
    if rng.random() < MIXED:
        mask = rng.randrange(1, 1 << len(STEMS))
        return frozenset(stem for bit, stem in enumerate(STEMS) if mask >> bit & 1)
    chosen = frozenset(stem for stem in STEMS if rng.random() >= ABSENT)
    return chosen or frozenset(STEMS)


def compose(name: str, *, full: bool = False) -> Song:
    """The song of a name; with all four stems when `full`."""
    rng = random.Random(name)
    title = rng.choice(list(STYLES))
    style = STYLES[title]
    tempo = round(rng.uniform(*style.tempo), 1)
    tonic, mode = rng.randrange(12), rng.choice(style.modes)
    present = choose_stems(rng)
    present = frozenset(STEMS) if full else present
    seconds = rng.uniform(33, 62)
    sections = _form(rng, style, mode, tonic, seconds * tempo / 60, present)
    kinds = {
        "bass": _kinds(rng, style.bass),
        "guitar": _kinds(rng, style.guitar),
        "piano": _kinds(rng, style.piano),
    }
    groove = rng.choice(style.grooves)
    other = rng.choice(style.grooves) if rng.random() < 0.5 else groove
    notes: dict[str, list[Note]] = {stem: [] for stem in STEMS if stem in present}
    ride = style.cymbal if style.cymbal != 42 or rng.random() < 0.5 else 51
    low = rng.choice([28, 28, 31, 33])
    for section in sections:
        beat = other if section.name == "chorus" else groove
        for stem in notes:
            if stem in section.silent:
                continue
            seed = f"{name}/{stem}/{section.name}"
            kind = kinds.get(stem, {}).get(section.name, "")
            if stem == "drums":
                cymbal = ride if section.name == "chorus" else style.cymbal
                notes[stem] += play_drums(section.bars, style, beat, seed, cymbal=cymbal)
            elif stem == "bass":
                notes[stem] += play_bass(section.bars, kind, seed, kick=beat[0], low=low)
            elif stem == "guitar":
                notes[stem] += play_guitar(section.bars, kind, seed, tonic=tonic, mode=mode)
            else:
                notes[stem] += play_piano(section.bars, kind, seed, tonic=tonic, mode=mode)
    return _finish(rng, name, title, tempo, tonic, mode, sections, notes, kinds)


def _kinds(rng: random.Random, choices: Sequence[str]) -> dict[str, str]:
    """What a stem plays in each kind of section: one pattern mostly, another in the chorus."""
    first, second = rng.choice(choices), rng.choice(choices)
    other = second if rng.random() < 0.6 else first
    return {name: other if name in ("chorus", "bridge") else first for name in ENERGY}


def _form(
    rng: random.Random, style: Style, mode: str, tonic: int, beats: float, present: frozenset[str]
) -> list[_Section]:
    """Sections of about this many beats together, each with its chords."""
    colour = style.colour
    if colour == "triads" and rng.random() < 0.2:
        colour = "sevenths"
    texts = PROGRESSIONS[mode]
    verse, chorus, bridge = (rng.choice(texts) for _ in range(3))
    chorus = verse if rng.random() < 0.25 else chorus
    words = {"verse": verse, "intro": verse, "break": verse, "chorus": chorus, "bridge": bridge}
    lines = {
        name: read_progression(text, tonic, colour=colour) for name, text in words.items()
    }
    most = max(int(beats / style.beats), 8)
    plan: list[tuple[str, list[tuple[Chord, ...]]]] = []
    count, order = 0, rng.choice(FORMS)
    for number in range(40):
        name = order[number % len(order)] if number else order[0]
        if name == "intro" and number:
            name = "verse"
        line = lines[name]
        short = name in ("intro", "break")
        length = 4 if short else len(line) if len(line) > 4 else rng.choice([4, 8, 8])
        length = min(length, most - count)
        plan.append((name, [line[bar % len(line)] for bar in range(length)]))
        count += length
        if count >= most:
            break
    return _place(rng, plan, style.beats, present)


def _place(
    rng: random.Random,
    plan: Sequence[tuple[str, list[tuple[Chord, ...]]]],
    beats: int,
    present: frozenset[str],
) -> list[_Section]:
    """Sections with their bars in time, and the stems that rest in each."""
    flat = [chords for _, line in plan for chords in line]
    lift = rng.uniform(-0.3, 0.25)
    rests: dict[str, frozenset[str]] = {}
    sections: list[_Section] = []
    at = 0
    for name, line in plan:
        if name not in rests or name != "intro":
            share = TACET.get(name, QUIET)
            silent = frozenset(stem for stem in sorted(present) if rng.random() < share)
            rests[name] = silent if silent < present else frozenset()
        bars = tuple(
            Bar(
                beat=float((at + place) * beats),
                beats=beats,
                chords=chords,
                following=flat[(at + place + 1) % len(flat)][0],
                first=place == 0,
                last=place == len(line) - 1,
                place=place,
                energy=min(max(ENERGY[name] + lift, 0.1), 1.0),
            )
            for place, chords in enumerate(line)
        )
        sections.append(_Section(name, bars, rests[name]))
        at += len(line)
    return sections


def _swung(beat: float, style: Style) -> float:
    """Where a beat of the page is played: second halves of beats, or of half beats, come late."""
    whole = int(beat + 1e-9)
    part = beat - whole
    if style.swing != 0.5:
        edge, late = 0.5, style.swing
        return whole + (part * late / edge if part < edge else late + (part - edge) * (1 - late) * 2)
    if style.sixteenths != 0.5:
        half, rest = divmod(part, 0.5)
        late = style.sixteenths / 2
        rest = rest * late / 0.25 if rest < 0.25 else late + (rest - 0.25) * (0.5 - late) / 0.25
        return whole + half * 0.5 + rest
    return beat


def _finish(
    rng: random.Random, name: str, title: str, tempo: float, tonic: int, mode: str,
    sections: Sequence[_Section], notes: dict[str, list[Note]], kinds: dict[str, dict[str, str]],
) -> Song:  # fmt: skip
    """Seconds for beats, human timing, programs and captions."""
    style = STYLES[title]
    bars = [bar for section in sections for bar in section.bars]
    beat = 60.0 / tempo
    end = (bars[-1].beat + bars[-1].beats) * beat
    if rng.random() < 0.6:
        notes = _closing(notes, bars[-1])
    parts = {
        stem: _human(rng, stem, played, style, beat, end) for stem, played in notes.items() if played
    }
    programs = {
        "bass": rng.choice(style.bass_programs),
        "drums": rng.choice(style.kits),
        "guitar": rng.choice(style.guitar_programs),
        "piano": rng.choice(style.piano_programs),
    }
    if rng.random() < 0.12:  # an unusual one
        programs |= {
            "bass": rng.randint(32, 39), "guitar": rng.randint(24, 30), "piano": rng.randint(0, 7),
            "drums": rng.choice([0, 8, 16, 24, 25, 32, 40]),
        }  # fmt: skip
    used = [section.name for section in sections]
    texts = {
        stem: stem_caption(
            rng, stem, programs[stem],
            [kinds[stem][section] for section in dict.fromkeys(used)] if stem in kinds else [],
            title, style, tempo,
        )
        for stem in parts
    }  # fmt: skip
    captions = song_captions(rng, title, style, tempo, mode, {s: programs[s] for s in parts})
    changes: list[tuple[float, str]] = []
    for bar in bars:
        changes += [((bar.beat + start) * beat, chord.name) for start, _, chord in bar.spans()]
    return Song(
        name=name,
        parts=parts,
        programs={
            stem: ((DRUM_CHANNEL if stem == "drums" else 0, programs[stem]),) for stem in parts
        },
        seconds=end + FADE,
        tempo=tempo,
        beats=tuple(round(index * beat, 4) for index in range(int(end / beat + 0.5))),
        captions=captions,
        stem_captions=texts,
        key=f"{KEYS[tonic]} {mode.replace('jazz ', '')}",
        style=title,
        chords=tuple((round(when, 3), chord) for when, chord in changes),
        beats_a_bar=style.beats,
    )


def _closing(notes: dict[str, list[Note]], bar: Bar) -> dict[str, list[Note]]:
    """In the last bar only what is struck on its first beat, held."""
    closed: dict[str, list[Note]] = {}
    for stem, played in notes.items():
        kept = [note for note in played if note[0] < bar.beat - 1e-6]
        final = [note for note in played if bar.beat - 1e-6 <= note[0] < bar.beat + 0.26]
        if stem == "drums" and final:
            final = [note for note in final if note[0] < bar.beat + 0.01]
        kept += [(beat, float(bar.beats), key, velocity) for beat, _, key, velocity in final]
        closed[stem] = kept
    return closed


def _human(
    rng: random.Random, stem: str, notes: Sequence[Note], style: Style, beat: float, end: float
) -> tuple[Played, ...]:
    """Notes in seconds as a player would place them, all inside the song."""
    loose = 0.0 if style.strict else {"drums": 0.003, "bass": 0.005}.get(stem, 0.006)
    behind = 0.0 if style.strict else rng.gauss(0, 0.006)
    channel = DRUM_CHANNEL if stem == "drums" else 0
    played: list[Played] = []
    for when, beats, key, velocity in notes:
        start = _swung(when, style) * beat
        stop = _swung(when + beats, style) * beat
        shift = behind + rng.gauss(0, loose) if loose else 0.0
        start = max(start + shift, 0.0)
        length = max(stop + shift - start, 0.03)
        length = min(length, end + FADE / 2 - start)
        if length > 0:
            played.append((round(start, 4), round(length, 4), channel, key, velocity))
    return tuple(sorted(played))


def transpose(song: Song, semitones: int) -> Song:
    """The same with all but the drums moved by semitones; the key is no longer known."""
    moved = {
        stem: part if stem == "drums" else tuple(
            (start, length, channel, key + semitones, velocity)
            for start, length, channel, key, velocity in part
        )
        for stem, part in song.parts.items()
    }  # fmt: skip
    return replace(song, parts=moved, key="")
