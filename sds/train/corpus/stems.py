"""Render songs of four stems to train on: `python -m sds.train.corpus.stems --help`.

Song N is the file `NNNNN.i16`, int16 [4, T] at 32 kHz, a stem after the other in the order of
`STEMS`, and the line of `songs.jsonl` that is appended once the file is whole; so a folder may be
read while it grows, and the command goes on after the last line. Seven of ten songs are composed,
three are pieces of MIDI songs; two sound fonts take turns.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import random
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch

from presets.reading import read_json
from sds.datasets.clips import FULL_SCALE, Audio, unit_hash
from sds.train.corpus.arrangements import STEMS, Song, compose, training_name, transpose
from sds.train.corpus.band.pieces import (
    CLASSES,
    Source,
    find_sources,
    piece_captions,
    read_beats,
    sort_notes,
)
from sds.train.corpus.band.synth import ROOMS, Room, Synth
from sds.train.corpus.midi import Played, find_fonts
from sds.train.corpus.songs import read_song

RATE = 32000
HELD = 0.06  # share of songs (of MIDI songs: of groups of songs) that nothing is trained on
BALANCE = {"bass": -22.0, "drums": -22.0, "guitar": -25.0, "piano": -25.0}  # dBFS while it sounds
SPREAD = 6.0  # dB that each stem's level varies by, up and down
PEAKS = (-7.0, -1.0)  # dBFS of a song's peak
DRY = 0.4  # share of songs without a room
MIDI_OF_TEN = (2, 5, 8)  # last figures of the numbers of pieces of MIDI songs
WAVE = 64  # songs that the processes are given at a time

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Task:
    """A song to render: seed and number, the font, the folder, and its MIDI song if it is one."""

    seed: int
    number: int
    font: Path
    folder: Path
    source: Source | None = None


@lru_cache(maxsize=4)
def _synth(font: Path, rate: int) -> Synth:
    return Synth(font, rate)


@lru_cache(maxsize=32)
def _notes(file: Path) -> tuple[list[Played], list[tuple[float, int, int]]]:
    return read_song(file)


def midi_song(source: Source, name: str) -> Song:
    """A piece of 32-64 s of a MIDI song in which two stems or more sound, sometimes transposed,
    slower or faster, with other programs of the same class. Raises `ValueError` where none is.
    """
    rng = random.Random(name)
    notes, changes = _notes(source.file)
    beats = read_beats(source.file)
    last = max((start + length for start, length, *_ in notes), default=0.0)
    for _ in range(20):
        seconds = min(rng.uniform(32, 62), last)
        start = rng.uniform(0.0, max(last - seconds, 0.0))
        start = min(beats, key=lambda beat: abs(beat - start)) if beats else start
        parts, programs = sort_notes(notes, changes, start, start + seconds)
        if len(parts) >= 2 and seconds > 15:
            break
    else:
        raise ValueError(f"no piece of two stems in {source.file.name}")
    if rng.random() < 0.4:  # other programs of the class
        for stem, used in programs.items():
            programs[stem] = [(c, _other(rng, stem, program)) for c, program in used]
    speed = rng.uniform(0.9, 1.1) if rng.random() < 0.4 else 1.0
    inside = [(beat - start) / speed for beat in beats if start - 1e-3 <= beat < start + seconds]
    tempo = 60 * (len(inside) - 1) / (inside[-1] - inside[0]) if len(inside) > 2 else 120.0
    captions, alone = piece_captions(rng, programs, tempo)
    song = Song(
        name=name,
        parts={
            stem: tuple(sorted((s / speed, d / speed, c, k, v) for s, d, c, k, v in part))
            for stem, part in parts.items()
        },
        programs={stem: tuple(used) for stem, used in programs.items()},
        seconds=seconds / speed + 1.0,
        tempo=round(tempo, 2),
        beats=tuple(round(beat, 4) for beat in inside),
        captions=captions,
        stem_captions=alone,
        style="midi song",
    )
    return transpose(song, rng.choice([-3, -2, -1, 1, 2, 3])) if rng.random() < 0.5 else song


def _other(rng: random.Random, stem: str, program: int) -> int:
    if stem == "drums":
        return rng.choice([0, 8, 16, 24, 25, 32, 40])
    return rng.choice([number for number in CLASSES[stem] if number != 31])


def render_song(song: Song, font: Path, rate: int, *, room: Room = ROOMS[0]) -> Audio:
    """The stems of a song, levelled, float32 [4, T] at `rate` in Hz; absent ones are silent.

    Each stem is within `SPREAD` dB of its place in the mix, and the peak of their sum (and of each)
    is within `PEAKS`. The song's name decides the levels. Raises `ValueError` for a font that does
    not load.
    """
    rng = random.Random(f"levels/{song.name}")
    frames = round(song.seconds * rate)
    stems = np.zeros((len(STEMS), frames), np.float32)
    for row, stem in enumerate(STEMS):
        level, send = BALANCE[stem] + rng.uniform(-SPREAD, SPREAD), rng.randint(20, 100)
        if stem not in song.parts:
            continue
        audio = _synth(font, rate).play(
            song.parts[stem], song.programs[stem], song.seconds, room, send=send
        )
        loud = active_rms(audio, rate)
        if loud > 1e-5:
            stems[row] = audio * np.float32(10 ** (level / 20) / loud)
    fade = round(0.4 * rate)
    stems[:, -fade:] *= np.linspace(1.0, 0.0, fade, dtype=np.float32)
    peak = max(float(np.abs(stems.sum(axis=0)).max()), float(np.abs(stems).max()))
    target = 10 ** (rng.uniform(*PEAKS) / 20)
    return stems * np.float32(target / peak) if peak > 0 else stems


def active_rms(audio: Audio, rate: int) -> float:
    """Root mean square of samples [T] over the tenths of a second within 30 dB of the loudest."""
    step = rate // 10
    count = len(audio) // step
    if count == 0:
        return 0.0
    power = np.square(audio[: count * step].reshape(count, step)).mean(axis=1)
    most = float(power.max())
    return float(np.sqrt(power[power >= most * 1e-3].mean())) if most > 0 else 0.0


def make_song(task: Task) -> dict[str, Any]:
    """Render a task's song into its file; the row of the table."""
    name = training_name(task.seed, task.number)
    song = compose(name)
    group = name
    if task.source is not None:
        try:
            song, group = midi_song(task.source, name), f"midi/{task.source.group}"
        except ValueError:
            pass  # the composed song of this number
    rng = random.Random(f"room/{name}")
    room = ROOMS[0] if rng.random() < DRY else rng.choice(ROOMS[1:])
    stems = render_song(song, task.font, RATE, room=room)
    samples = np.round(stems * FULL_SCALE).astype("<i2")
    file = task.folder / f"{task.number:05d}.i16"
    samples.tofile(f"{file}.tmp")
    os.replace(f"{file}.tmp", file)
    return {
        "file": file.name,
        "number": task.number,
        "frames": samples.shape[1],
        "split": "held" if unit_hash(f"held|{group}") < HELD else "train",
        "half": "choose" if unit_hash(f"half|{group}") < 0.5 else "report",
        "group": group,
        "font": task.font.stem,
        "room": room.name,
        "tempo": song.tempo,
        "key": song.key,
        "style": song.style,
        "programs": {stem: [number for _, number in used] for stem, used in song.programs.items()},
        "present": [stem for row, stem in enumerate(STEMS) if samples[row].any()],
        "captions": list(song.captions),
        "stem_captions": {stem: list(texts) for stem, texts in song.stem_captions.items()},
        "beats": list(song.beats),
        "beats_a_bar": song.beats_a_bar,
        "chords": [list(change) for change in song.chords],
    }


def plan(
    first: int, count: int, *, seed: int, fonts: Sequence[Path], sources: Sequence[Source],
    folder: Path,
) -> list[Task]:  # fmt: skip
    """The tasks of `count` song numbers from `first` on."""
    order = list(range(len(sources)))
    tasks: list[Task] = []
    for number in range(first, first + count):
        source = None
        if sources and number % 10 in MIDI_OF_TEN:
            turn, place = divmod(number // 10 * 3 + MIDI_OF_TEN.index(number % 10), len(sources))
            random.Random(f"order/{seed}/{turn}").shuffle(order)
            source = sources[order[place]]
            order.sort()
        # fonts by turns, within the MIDI songs too
        font = fonts[(number + number // 10) % len(fonts)]
        tasks.append(Task(seed, number, font, folder, source))
    return tasks


def read_songs(folder: Path) -> list[dict[str, Any]]:
    """The rows of the songs that are whole; a line cut short by a crash is left out."""
    table = folder / "songs.jsonl"
    if not table.exists():
        return []
    text = table.read_text(encoding="utf-8")
    return [read_json(line) for line in text[: text.rfind("\n") + 1].splitlines()]


def render_songs(
    folder: Path, hours: float, *, seed: int, fonts: Sequence[Path], sources: Sequence[Source],
    workers: int,
) -> None:  # fmt: skip
    """Add songs until the folder has this many hours."""
    rows = read_songs(folder)
    done = sum(row["frames"] for row in rows) / RATE / 3600
    following = rows[-1]["number"] + 1 if rows else 0
    began, already = time.monotonic(), done
    table = folder / "songs.jsonl"
    if table.exists():  # drop what a crash left of a line
        whole = table.read_bytes().rfind(b"\n") + 1
        os.truncate(table, whole)
    with (
        ProcessPoolExecutor(workers, get_context("spawn")) as pool,
        open(table, "a", encoding="utf-8") as lines,
    ):
        while done < hours:
            tasks = plan(following, WAVE, seed=seed, fonts=fonts, sources=sources, folder=folder)
            for row in pool.map(make_song, tasks):
                lines.write(json.dumps(row) + "\n")
                lines.flush()
                done += row["frames"] / RATE / 3600
            following += WAVE
            speed = (done - already) / (time.monotonic() - began)  # hours a second
            left = (hours - done) / speed / 60
            log.info(
                "%d songs, %.2f of %.1f hours, %.0f seconds of song a second, %.0f minutes left",
                following, done, hours, speed * 3600, max(left, 0.0),
            )  # fmt: skip


def parser() -> argparse.ArgumentParser:
    """The command line."""
    cli = argparse.ArgumentParser(prog="python -m sds.train.corpus.stems", description=__doc__)
    cli.add_argument("--out", type=Path, default=Path("runs/stems"), help="default: %(default)s")
    cli.add_argument("--hours", type=float, default=32.0, help="default: %(default)s")
    cli.add_argument("--midi", type=Path, action="append", default=[], help="folder of MIDI songs")
    cli.add_argument("--font", type=Path, action="append", default=[], help="instead of the usual")
    cli.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    cli.add_argument("--workers", type=int, default=1, help="processes (default: %(default)s)")
    return cli


def main(arguments: Sequence[str] | None = None) -> int:
    """Render; 2 and one sentence when something needed is not there."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    options = parser().parse_args(arguments)
    try:
        options.out.mkdir(parents=True, exist_ok=True)
        fonts = find_fonts(options.font)
        sources = find_sources(options.midi, options.out / "sources.json")
        log.info("%d MIDI songs, fonts %s", len(sources), ", ".join(f.stem for f in fonts))
        render_songs(
            options.out, options.hours,
            seed=options.seed, fonts=fonts, sources=sources, workers=options.workers,
        )  # fmt: skip
    except (ValueError, OSError) as error:
        log.error("%s", error)
        return 2
    return 0


if __name__ == "__main__":
    torch.set_flush_denormal(True)
    raise SystemExit(main())
