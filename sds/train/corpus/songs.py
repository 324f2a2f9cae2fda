"""Pieces of MIDI songs: all instruments together, and single ones alone."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import mido

from sds.datasets.captions import compose_captions
from sds.train.corpus.gm import KITS, PROGRAMS
from sds.train.corpus.midi import DRUM_CHANNEL, Played, Score

SECONDS = 6.0
ENOUGH = 5  # notes of an instrument in a piece, for it to be heard alone


def read_song(file: Path) -> tuple[list[Played], list[tuple[float, int, int]]]:
    """All notes, and all (second, channel, program) changes, in seconds, by time."""
    notes: list[Played] = []
    changes: list[tuple[float, int, int]] = []
    open_notes: dict[tuple[int, int], tuple[float, int]] = {}
    time = 0.0
    for message in mido.MidiFile(file):
        time += message.time
        if message.type == "program_change":
            changes.append((time, message.channel, message.program))
        elif message.type in ("note_on", "note_off"):
            key = (message.channel, message.note)
            if key in open_notes:
                start, velocity = open_notes.pop(key)
                notes.append((start, max(time - start, 0.02), *key, velocity))
            if message.type == "note_on" and message.velocity:
                open_notes[key] = (time, message.velocity)
    return sorted(notes), changes


def piece(
    notes: list[Played], changes: list[tuple[float, int, int]], start: float
) -> tuple[list[Played], dict[int, int]]:
    """The notes that begin in the SECONDS after `start`, from 0 on, and each channel's program."""
    stop = start + SECONDS
    kept = [(s - start, min(d, stop - s), c, k, v) for s, d, c, k, v in notes if start <= s < stop]
    used = {note[2] for note in kept}
    programs = dict.fromkeys(sorted(used), 0)
    for when, channel, program in changes:
        if channel in used and when <= start + SECONDS / 4:
            programs[channel] = program
    return kept, programs


def channel_name(channel: int, program: int) -> str:
    """What plays on a channel."""
    if channel == DRUM_CHANNEL:
        return "drums"
    return PROGRAMS[program].names[-1 if len(PROGRAMS[program].names[-1]) < 22 else 0]


def songs(
    folder: Path, seed: int, *, pieces: int = 2, stems: int = 2
) -> Iterator[tuple[str, Score]]:
    """`pieces` places of every song, each whole and with up to `stems` channels alone."""
    for file in sorted(folder.glob("*.mid")):
        rng = random.Random(f"{seed}/song/{file.stem}")
        notes, changes = read_song(file)
        length = notes[-1][0] if notes else 0.0
        for index in range(pieces):
            start = rng.uniform(0.05, 0.8) * max(length - SECONDS, 0.0)
            kept, programs = piece(notes, changes, start)
            name = f"song/{file.stem}/{index}"
            counts = Counter(note[2] for note in kept)
            if sum(counts.values()) < ENOUGH:
                continue
            yield "one", _whole(kept, programs, rng, name)
            alone = [channel for channel, count in counts.items() if count >= ENOUGH]
            for channel in rng.sample(alone, k=min(stems, len(alone))):
                yield "one", _alone(kept, programs, channel, rng, name)


def _whole(
    notes: list[Played], programs: dict[int, int], rng: random.Random, name: str
) -> Score:  # fmt: skip
    counts = Counter(note[2] for note in notes)
    words = list(dict.fromkeys(channel_name(c, programs[c]) for c, _ in counts.most_common(4)))
    band = " and ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else words[0]
    nouns = [f"music with {band}", band, "video game music", "instrumental music", "song playing"]
    nouns += [f"{words[0]} music", f"instrumental music, {band}"]
    if {"drums"} < set(words) and any("guitar" in word for word in words):
        nouns.append("rock band playing")
    captions = compose_captions(nouns, _words(notes), rng)
    group = name.rsplit("/", 1)[0]
    return Score(
        tuple(notes), tuple(programs.items()), SECONDS, captions, "music", group, f"{name}/all"
    )


def _alone(
    notes: list[Played], programs: dict[int, int], channel: int, rng: random.Random, name: str
) -> Score:
    program = programs[channel]
    kept = tuple(note for note in notes if note[2] == channel)
    if channel == DRUM_CHANNEL:
        label, kit = "drum loop", KITS.get(program, KITS[0])
        nouns = ["drums", "drum loop", "drum beat", f"{kit} playing a beat", "drums of a song"]
    else:
        label, names = PROGRAMS[program].label, PROGRAMS[program].names
        part = "line" if label == "bass" else "part"
        nouns = [f"{names[0]} {part} of a song", f"{names[-1]} playing", f"{names[0]} {part}"]
        nouns += list(names)
    captions = compose_captions(nouns, _words(list(kept)), rng)
    group = name.rsplit("/", 1)[0]
    return Score(
        kept, ((channel, program),), SECONDS, captions, label, group, f"{name}/channel{channel}"
    )


def _words(notes: list[Played]) -> list[str]:
    rate = len({round(note[0], 2) for note in notes}) / SECONDS
    return ["fast" if rate > 6 else "slow" if rate < 2 else "medium tempo"]
