"""Render the clips that suite `multisource` of the scoreboard measures on.

    python -m sds.train.corpus.reserved --out runs/data
    python -m sds.train.corpus.reserved --out runs/choose --seed 15   # to choose by

Songs whose names training never uses, with a sound font that it never hears. `reserved` gets clips
of 12 s, three of four of songs with all four stems, `reserved_long` some of 30 s; both as the
evaluation data's `stems` has them: a FLAC file a stem, their exact 16-bit sum, `manifest.json`.
"""

from __future__ import annotations

import argparse
import json
import logging
import random
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from numpy.typing import NDArray

from sds.datasets.clips import FULL_SCALE
from sds.train.corpus.arrangements import STEMS, Song, compose, reserved_name
from sds.train.corpus.band.synth import ROOMS
from sds.train.corpus.midi import FOLDERS
from sds.train.corpus.stems import DRY, render_song

RATE = 44100
FONT = "TimGM6mb.sf2"
SECONDS, LONG_SECONDS = 12.0, 30.0
TRIES = 40  # places in a song that are looked at
SOUNDS = -40.0  # dB below the mixture: a stem above it sounds in a clip
FOLDER, LONG_FOLDER = "reserved", "reserved_long"

log = logging.getLogger(__name__)


def reserved_font() -> Path:
    """The font that training never hears. Raises `ValueError` where it is not installed."""
    for folder in FOLDERS:
        if (folder / FONT).is_file():
            return folder / FONT
    raise ValueError(f"no {FONT}: install the package timgm6mb-soundfont, or name it with --font")


def cut(song: Song, stems: NDArray[np.int16], seconds: float) -> NDArray[np.int16]:
    """A clip [4, `seconds`] of a song's stems [4, T] that begins with a bar; of `TRIES` places the
    first where every stem of the song sounds, else the one where most do.
    """
    rng = random.Random(f"clip/{song.name}")
    size = round(seconds * RATE)
    bars = song.beats[:: song.beats_a_bar]
    starts = [round(beat * RATE) for beat in bars if round(beat * RATE) + size <= stems.shape[1]]
    best, most = stems[:, :size], -1
    for start in rng.sample(starts, k=min(TRIES, len(starts))):
        clip = stems[:, start : start + size]
        count = len(levels(clip))
        if count > most:
            best, most = clip, count
        if count == len(song.parts):
            break
    return best


def levels(clip: NDArray[np.int16]) -> dict[str, float]:
    """Level in dBFS of each stem of a clip [4, T] that sounds in it."""
    x = clip.astype(np.float64) / FULL_SCALE
    mixture = float(np.square(x.sum(axis=0)).mean())
    powers = {stem: float(np.square(x[row]).mean()) for row, stem in enumerate(STEMS)}
    least = max(mixture * 10 ** (SOUNDS / 10), 1e-9)
    return {stem: 10 * float(np.log10(p)) for stem, p in powers.items() if p > least}


def write_clip(folder: Path, name: str, song: Song, clip: NDArray[np.int16]) -> dict[str, Any]:
    """Write the files of a clip [4, T]; its item of the manifest."""
    files = {"mix": f"{name}_mix.flac"} | {stem: f"{name}_{stem}.flac" for stem in STEMS}
    for row, stem in enumerate(STEMS):
        soundfile.write(folder / files[stem], clip[row], RATE, subtype="PCM_16")
    total = clip.astype(np.int32).sum(axis=0)
    if np.abs(total).max() > FULL_SCALE:
        raise ValueError(f"the stems of {name} must not add up to more than full scale")
    soundfile.write(folder / files["mix"], total.astype(np.int16), RATE, subtype="PCM_16")
    sounding = levels(clip)
    return {
        "id": name,
        "seconds": clip.shape[1] / RATE,
        "sample_rate": RATE,
        "channels": 1,
        "files": files,
        "rms_dbfs": {stem: round(level, 2) for stem, level in sounding.items()},
        "caption": song.captions[0],
        "stem_captions": {s: t[0] for s, t in song.stem_captions.items() if s in sounding},
        "song": song.name,
        "style": song.style,
        "tempo": song.tempo,
        "key": song.key,
    }


def write_set(folder: Path, songs: Sequence[Song], font: Path, seconds: float, prefix: str) -> None:
    """Write a clip of each song, and the manifest last of all."""
    folder.mkdir(parents=True, exist_ok=True)
    items = []
    for number, song in enumerate(songs):
        rng = random.Random(f"room/{song.name}")
        room = ROOMS[0] if rng.random() < DRY else rng.choice(ROOMS[1:])
        stems = np.round(render_song(song, font, RATE, room=room) * FULL_SCALE).astype(np.int16)
        clip = cut(song, stems, seconds)
        items.append(write_clip(folder, f"{prefix}_{number + 1:02d}", song, clip))
        log.info("%s: %s, %s", items[-1]["id"], song.style, ", ".join(items[-1]["rms_dbfs"]))
    about = {
        "format": "four stems per clip; mix is the exact 16-bit sum of the stems",
        "render": f"FluidSynth, {font.name}; songs of sds.train.corpus.arrangements",
        "stems": list(STEMS),
        "items": items,
    }
    (folder / "manifest.json").write_text(json.dumps(about, indent=1), encoding="utf-8")


def reserved(count: int, seed: int) -> list[Song]:
    """Reserved songs, three of four of them with all four stems, the others as they come."""
    return [compose(reserved_name(seed, n), full=n % 4 != 3) for n in range(count)]


def parser() -> argparse.ArgumentParser:
    """The command line."""
    cli = argparse.ArgumentParser(prog="python -m sds.train.corpus.reserved", description=__doc__)
    cli.add_argument("--out", type=Path, default=Path("runs/data"), help="default: %(default)s")
    cli.add_argument("--count", type=int, default=40, help="clips (default: %(default)s)")
    cli.add_argument("--long", type=int, default=4, help="of 30 s (default: %(default)s)")
    cli.add_argument("--seed", type=int, default=14, help="default: %(default)s")
    cli.add_argument("--font", type=Path, help=f"instead of {FONT}")
    return cli


def main(arguments: Sequence[str] | None = None) -> int:
    """Render; 2 and one sentence when something needed is not there."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    options = parser().parse_args(arguments)
    try:
        font = options.font or reserved_font()
        songs = reserved(options.count, options.seed)
        write_set(options.out / FOLDER, songs, font, SECONDS, "reserved")
        long = [
            compose(reserved_name(options.seed + 1000, n), full=True) for n in range(options.long)
        ]
        if long:
            write_set(options.out / LONG_FOLDER, long, font, LONG_SECONDS, "long")
    except (ValueError, OSError) as error:
        log.error("%s", error)
        return 2
    return 0


if __name__ == "__main__":
    torch.set_flush_denormal(True)
    raise SystemExit(main())
