"""Pieces of MIDI songs as songs of four stems, without those that evaluation is made of."""

from __future__ import annotations

import csv
import json
import random
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import mido

from presets.reading import read_json
from sds.train.corpus.band.words import instrument, joined, pace
from sds.train.corpus.gm import PROGRAMS
from sds.train.corpus.midi import DRUM_CHANNEL, Played
from sds.train.corpus.songs import read_song

CLASSES: dict[str, range] = {
    "bass": range(32, 40),
    "guitar": range(24, 32),
    "piano": range(8),
}
RESERVED_WORDS = ("realisticapproach", "sewers", "wastelandscavengers", "map12", "map18")
"""File names and titles of the songs of shared/data/stems, and of what they are remixes of."""

RUN = 8  # intervals of a melodic run
ALIKE = 0.2  # share of runs in common from which two songs are the same
ENOUGH = 6  # notes that a stem has in a piece, else it is not there

Runs = frozenset[tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Source:
    """A MIDI file to take pieces of, and the songs it is one of: those alike are one group."""

    file: Path
    group: str


def melodic_runs(notes: Iterable[Played]) -> Runs:
    """Runs of eight intervals of each channel but the drums; those of one or two different
    intervals are left out, for they are in many songs.
    """
    lines: dict[int, list[int]] = {}
    for _, _, channel, key, _ in sorted(notes):
        if channel != DRUM_CHANNEL:
            lines.setdefault(channel, []).append(key)
    runs: set[tuple[int, ...]] = set()
    for keys in lines.values():
        steps = [b - a for a, b in zip(keys, keys[1:], strict=False)]
        for start in range(len(steps) - RUN + 1):
            run = tuple(steps[start : start + RUN])
            if len(set(run)) > 2:
                runs.add(run)
    return frozenset(runs)


def alikeness(one: Runs, other: Runs) -> float:
    """Share 0..1 of the shorter song's runs that the other has too."""
    fewer = min(len(one), len(other))
    return len(one & other) / fewer if fewer >= 20 else 0.0


def is_reserved(name: str, title: str) -> bool:
    """Whether a file's name or title is one of the songs that evaluation is made of."""
    plain = re.sub(r"[^a-z0-9]", "", f"{name} {title}".lower())
    return any(word in plain for word in RESERVED_WORDS)


def group_songs(names: Sequence[str], titles: Sequence[str], runs: Sequence[Runs]) -> list[str]:
    """A group for each song: the name of the first alike; "" for those reserved and all alike."""
    groups = list(names)
    for here in range(len(names)):
        for before in range(here):
            if alikeness(runs[here], runs[before]) >= ALIKE:
                old, new = groups[here], groups[before]
                groups = [new if group == old else group for group in groups]
    bad = {
        group
        for group, name, title in zip(groups, names, titles, strict=True)
        if is_reserved(name, title)
    }
    return ["" if group in bad else group for group in groups]


def find_sources(folders: Sequence[Path], cache: Path) -> list[Source]:
    """The songs of folders with midi.csv, but the reserved ones; `cache` is a file to keep the
    comparison in.
    """
    files = [file for folder in folders for file in sorted(folder.glob("*.mid"))]
    names = [file.stem for file in files]
    if cache.exists():
        kept = read_json(cache.read_text(encoding="utf-8"))
        if kept["names"] == names:
            groups = kept["groups"]
            return [Source(f, g) for f, g in zip(files, groups, strict=True) if g]
    titles: dict[str, str] = {}
    for folder in folders:
        titles |= read_titles(folder / "midi.csv")
    runs = [melodic_runs(read_song(file)[0]) for file in files]
    groups = group_songs(names, [titles.get(name, "") for name in names], runs)
    cache.parent.mkdir(parents=True, exist_ok=True)
    cache.write_text(json.dumps({"names": names, "groups": groups}), encoding="utf-8")
    return [Source(f, g) for f, g in zip(files, groups, strict=True) if g]


def read_titles(table: Path) -> dict[str, str]:
    """Titles by file name without its end, of a midi.csv; none where there is no file."""
    if not table.exists():
        return {}
    with open(table, encoding="utf-8", newline="") as lines:
        return {Path(row["file"]).stem: row["title"] or "" for row in csv.DictReader(lines)}


@lru_cache(maxsize=64)
def read_beats(file: Path) -> tuple[float, ...]:
    """Seconds of all quarter notes of a MIDI file."""
    midi = mido.MidiFile(file)
    changes = [(0, 500_000)]
    tick = 0
    for message in mido.merge_tracks(midi.tracks):
        tick += message.time
        if message.type == "set_tempo":
            changes.append((tick, message.tempo))
    beats: list[float] = []
    when, at, tempo, position = 0.0, 0, 500_000, 0
    for beat in range(0, tick, midi.ticks_per_beat):
        while position < len(changes) and changes[position][0] <= beat:
            new, value = changes[position]
            when += mido.tick2second(new - at, midi.ticks_per_beat, tempo)
            at, tempo, position = new, value, position + 1
        beats.append(when + mido.tick2second(beat - at, midi.ticks_per_beat, tempo))
    return tuple(beats)


def sort_notes(
    notes: Sequence[Played], changes: Sequence[tuple[float, int, int]], start: float, stop: float
) -> tuple[dict[str, list[Played]], dict[str, list[tuple[int, int]]]]:
    """The notes of each class that begin in start..stop, from 0 on, on channels of their own for
    each (channel, program); and those (channel, program).
    """
    now: dict[int, int] = {}
    waiting = sorted(changes, reverse=True)
    parts: dict[str, list[Played]] = {}
    channels: dict[str, dict[tuple[int, int], int]] = {}
    for when, length, channel, key, velocity in notes:
        while waiting and waiting[-1][0] <= when:
            _, changed, program = waiting.pop()
            now[changed] = program
        if not start <= when < stop:
            continue
        program = now.get(channel, 0)
        stem = "drums" if channel == DRUM_CHANNEL else class_of(program)
        if stem is None or (stem == "drums" and not 27 <= key <= 87):
            continue
        used = channels.setdefault(stem, {})
        if stem == "drums":
            new = used.setdefault((channel, program if not used else next(iter(used))[1]), 9)
        else:
            new = used.setdefault((channel, program), len(used) + (len(used) >= 9))
        if new > 15:
            continue
        length = min(length, stop - when + 0.5)
        parts.setdefault(stem, []).append((when - start, length, new, key, velocity))
    kept = {stem: part for stem, part in parts.items() if len(part) >= ENOUGH}
    return kept, {
        stem: [(new, program) for (_, program), new in channels[stem].items() if new <= 15]
        for stem in kept
    }


def class_of(program: int) -> str | None:
    """The class of a General MIDI program, or None."""
    return next((stem for stem, programs in CLASSES.items() if program in programs), None)


def piece_captions(
    rng: random.Random, programs: dict[str, list[tuple[int, int]]], tempo: float
) -> tuple[tuple[str, ...], dict[str, tuple[str, ...]]]:
    """Captions of a piece and of each of its stems, from its instruments and tempo only."""
    names = {stem: rng.choice(instrument(stem, used[0][1])) for stem, used in programs.items()}
    band, plain, speed = joined(list(names.values())), joined(list(names)), pace(tempo)
    heavy = any(program in (29, 30) for _, program in programs.get("guitar", []))
    kind = "hard rock" if heavy and "drums" in programs else "music"
    some = rng.sample(list(names.values()), k=rng.randint(1, len(names)))
    forms = [
        f"{kind} with {band}",
        f"{speed} {kind} with {joined(some)}",
        f"{speed} {kind}, {plain}",
        band,
        f"video game {kind}, {plain}",
        f"{kind}, {round(tempo)} bpm, {band}",
        f"instrumental {kind}, {joined(some)}",
        f"{speed} {kind}",
    ]
    whole = (forms[0], *rng.sample(forms[1:], k=5))
    alone = {
        stem: (name, *rng.sample([
            f"{name}, {speed} {kind}", f"{name} part of a song", f"{stem}, {name}",
            PROGRAMS[programs[stem][0][1]].names[0] if stem != "drums" else f"{speed} drum beat",
            f"{speed} {stem}",
        ], k=3))
        for stem, name in names.items()
    }  # fmt: skip
    return whole, alone
