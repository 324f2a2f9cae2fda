"""Carry songs of four stems to where the recordings cannot go: as levels on bands, in small files.

    python -m sds.train.stem_bands --data runs/stems --out runs/bands/train-0.xz --megabytes 50
    python -m sds.train.stem_bands --data runs/stems --out runs/bands/held.xz --split held

What the two trainers of four stems hear of a window are powers on the bands of
`sds.signal.band_levels`. A file has those of each stem every 16 ms, in a byte each, beats, and the
search scorer's vectors of captions, and of what sounds every 4 s. What is lost are phases: how the
powers of stems add up in a mixture is drawn anew for each window (`with_phases`), and windows are
not played faster.
"""

from __future__ import annotations

import argparse
import json
import logging
import lzma
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np
import torch
from safetensors.torch import load, save
from torch import Tensor
from torch.nn import functional as F

from presets.reading import read_json
from sds.priors.stem_masks import LEVEL, STEMS
from sds.signal.band_levels import BANDS, HOP, RATE, band_matrix, band_powers, stft, to_levels
from sds.similarity.two_tower import SEARCH_SCORER, load_scorer
from sds.train.stem_data import GAIN, TILT, TILTED, Grid, Songs
from sds.train.stem_mixtures import Mixtures

log = logging.getLogger(__name__)
FLOOR_DB, STEP_DB = -80.0, 0.75  # of a stored level: 0 is nothing
EACH = 4 * RATE  # samples between two vectors of what sounds
SINE = 3.0  # sum over the bands of a sine's powers, by its mean square: Hann's window spreads it
Place: TypeAlias = tuple[int, int]
"""A song, and the frame at which a window begins."""

KEPT = ("captions", "beats", "beats_a_bar", "chords")


class Listener(Protocol):
    """What makes vectors of sounds and captions: the search scorer."""

    def hear(self, audio: Tensor, rate: int) -> Tensor:
        """Vectors [B, 128] of audio [B, 1, T] at `rate` Hz."""

    def read(self, prompts: Sequence[str]) -> Tensor:
        """Vectors [B, 128] of B texts."""


def encode_song(songs: Songs, index: int, scorer: Listener) -> dict[str, Tensor]:
    """Levels [4, 128, L] of a song in bytes, vectors [N, 128] of its sound every 4 s, and [M, 128]
    of its captions.
    """
    audio = torch.from_numpy(songs.audio(index))
    power = band_powers(stft(audio))
    level = (10 * power.clamp_min(1e-12).log10() - FLOOR_DB) / STEP_DB
    pieces = [p for p in torch.split(audio.sum(0), EACH) if len(p) >= RATE]
    return {
        "levels": level.round().clamp(0, 255).byte().contiguous(),
        "heard": torch.cat([scorer.hear(piece[None, None], RATE) for piece in pieces]).half(),
        "read": scorer.read(songs.rows[index]["captions"]).half(),
    }


def write_bands(
    path: Path, songs: Songs, order: Sequence[int], scorer: Listener, most: float
) -> int:
    """Write songs in this order until the file has `most` bytes; how many it holds."""
    # One stream of safetensors files, each behind its length, compressed as it grows: so it is
    # known when the file is full.
    packer, parts, size, done = lzma.LZMACompressor(preset=4), [], 0, 0
    for index in order:
        row = {key: songs.rows[index].get(key) for key in KEPT}
        tensors = encode_song(songs, index, scorer)
        data = save(tensors, metadata={"row": json.dumps(row)})
        parts.append(packer.compress(len(data).to_bytes(8, "little") + data))
        size += len(parts[-1])
        done += 1
        if size >= most:
            break
    parts.append(packer.flush())
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(parts))
    log.info("%s: %d songs, %.1f MB", path, done, path.stat().st_size / 1e6)
    return done


def read_bands(path: Path) -> Iterator[tuple[dict[str, Any], dict[str, Tensor]]]:
    """(row, tensors) of each song in a file: the reverse of `write_bands`."""
    with lzma.open(path) as file:
        while head := file.read(8):
            data = file.read(int.from_bytes(head, "little"))
            size = int.from_bytes(data[:8], "little")
            described = read_json(data[8 : 8 + size].decode())
            yield read_json(described["__metadata__"]["row"]), load(data)


@lru_cache(maxsize=1)
def interference() -> Tensor:
    """How much [128] of what single bins would do is left in a band of several: one by the root of
    their number.
    """
    matrix = band_matrix()
    return (matrix.square().sum(1) / matrix.sum(1).square()).sqrt().clamp(max=1.0)


def with_phases(power: Tensor, first: int, generator: torch.Generator) -> Mixtures:
    """Mixtures of stems with powers [B, 4, 128, L], as if the phases of their bins were random.

    For amplitudes a_k and phases p_k, |sum a_k exp(i p_k)|^2 is the mixture's power and Re(a_k
    exp(i p_k) conj(sum)) the cross term of a stem; a band of n bins has 1 / sqrt(n) of their
    deviations from the sum of powers, and from a_k^2. Phases are drawn frame by frame.
    """
    turn = torch.rand(power.shape, generator=generator).to(power.device) * (2 * torch.pi)
    z = torch.polar(power.sqrt(), turn)
    whole = z.sum(1, keepdim=True)
    left = interference().to(power.device)[:, None]
    cross = torch.lerp(power, (z * whole.conj()).real, left)
    total = torch.lerp(power.sum(1), whole[:, 0].abs().square(), left)
    every = slice(first, None, 2)
    return Mixtures(
        to_levels(total), power[..., every], cross[..., every], total[..., every], first
    )


class BandSongs:
    """The songs of some files, on a device."""

    def __init__(self, files: Sequence[Path], device: torch.device | str = "cpu") -> None:
        songs = [song for file in files for song in read_bands(file)]
        if not songs:
            raise ValueError("there are no songs in " + ", ".join(map(str, files)))
        self.rows = [row for row, _ in songs]
        self.levels = torch.cat([tensors["levels"] for _, tensors in songs], -1).to(device)
        self.heard = [tensors["heard"].float() for _, tensors in songs]
        self.read = [tensors["read"].float() for _, tensors in songs]
        lengths = [tensors["levels"].shape[-1] for _, tensors in songs]
        self.ends = np.cumsum(lengths)
        self.starts = self.ends - np.asarray(lengths)

    @property
    def hours(self) -> float:
        """Hours of all songs together."""
        return float(self.ends[-1]) * HOP / RATE / 3600

    def windows(
        self,
        count: int,
        frames: int,
        rng: np.random.Generator,
        first: int = 0,
        *,
        plain: bool = False,
        mixed: float = 0.0,
    ) -> tuple[Mixtures, list[Place]]:
        """`count` windows of `frames` frames of 16 ms, and where each begins; every second frame
        from `first` on is compared.

        Each mixture is about as loud as the networks know. Levels and tilts of stems vary unless
        `plain`; a share `mixed` of the windows has its stems from four songs.
        """
        powers, places = [], []
        for _ in range(count):
            several = not plain and rng.random() < mixed
            cuts = [self._place(rng, frames) for _ in range(STEMS if several else 1)]
            cuts = cuts if several else cuts * STEMS
            powers.append(torch.stack([self._cut(k, *cut, frames) for k, cut in enumerate(cuts)]))
            places.append(cuts[0])
        power = torch.stack(powers)
        if not plain:
            power = power * _varied(rng, count).to(power.device)
        loud = power.sum((1, 2)).mean(-1)[:, None, None, None]
        power = power * (SINE * LEVEL**2 / loud.clamp_min(1e-9))
        g = torch.Generator().manual_seed(int(rng.integers(2**31)))
        return with_phases(power, first, g), places

    def _place(self, rng: np.random.Generator, frames: int) -> Place:
        """A song, as likely as it is long, and where in it a window begins."""
        song = int(np.searchsorted(self.ends, rng.integers(self.ends[-1]), side="right"))
        room = int(self.ends[song] - self.starts[song]) - frames
        return song, int(rng.integers(0, max(room, 0) + 1))

    def _cut(self, stem: int, song: int, start: int, frames: int) -> Tensor:
        """Powers [128, frames] of a stem; silence past the end of its song."""
        first = int(self.starts[song]) + start
        last = min(first + frames, int(self.ends[song]))
        stored = self.levels[stem, :, first:last].float()
        power = 10 ** ((stored * STEP_DB + FLOOR_DB) / 10) * (stored > 0)
        return F.pad(power, (0, frames - power.shape[-1]))

    def vector(self, place: Place, frames: int) -> Tensor:
        """The vector [128] of what sounds in the middle of a window."""
        song, start = place
        at = (start + frames // 2) * HOP // EACH
        return self.heard[song][min(at, len(self.heard[song]) - 1)]

    def grid(self, place: Place) -> Grid | None:
        """The beats of a window, as `Songs` gives them."""
        row = self.rows[place[0]]
        if len(row.get("beats") or ()) < 2:
            return None
        seconds = np.asarray(row["beats"]) - place[1] * HOP / RATE
        return Grid(seconds, row["beats_a_bar"] if row.get("chords") else None)


def _varied(rng: np.random.Generator, count: int) -> Tensor:
    """Gains of powers [B, 4, 128, 1]: a level for each stem, and for some a tilt."""
    shape = (count, STEMS, 1)
    level = rng.uniform(-GAIN, GAIN, shape)
    tilt = rng.uniform(-TILT, TILT, shape) * (rng.random(shape) < TILTED)
    decibels = level + tilt * np.linspace(-0.5, 0.5, BANDS)
    return torch.from_numpy(10 ** (decibels / 10)).float()[..., None]


def add_bands(parser: argparse.ArgumentParser) -> None:
    """The options --bands and --held-bands of a trainer, which take the place of --data."""
    parser.add_argument("--bands", type=Path, nargs="+", help="files of sds.train.stem_bands")
    parser.add_argument("--held-bands", type=Path, nargs="+", help="files with --split held")


def songs_of(args: argparse.Namespace) -> tuple[Songs | BandSongs, Songs | BandSongs]:
    """The songs to train on and those that are held back, as the options of `add_bands` and
    --data and --device say.
    """
    if not args.bands:
        return Songs(args.data, "train"), Songs(args.data, "held", half="choose")
    if not args.held_bands:
        raise ValueError("--bands needs --held-bands: files with --split held")
    return BandSongs(args.bands, args.device), BandSongs(args.held_bands, args.device)


def refresh(*sets: Songs | BandSongs) -> None:
    """Find what was added to folders that may be growing."""
    for songs in sets:
        if isinstance(songs, Songs):
            songs.refresh()


def main() -> None:
    """Encode songs until the file is full."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("runs/stems"))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--split", choices=("train", "held"), default="train")
    parser.add_argument("--megabytes", type=float, default=50.0, help="of the file, about")
    parser.add_argument("--first", type=int, default=0, help="song to begin at, in a mixed order")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    songs = Songs(args.data, args.split, half="choose" if args.split == "held" else None)
    order = np.random.default_rng(0).permutation(len(songs.rows))[args.first :]

    done = write_bands(
        args.out, songs, order.tolist(), load_scorer(SEARCH_SCORER), 1e6 * args.megabytes
    )
    log.info("the next file begins with --first %d", args.first + done)


if __name__ == "__main__":
    torch.set_flush_denormal(True)
    main()
