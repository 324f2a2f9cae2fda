"""Read what `sds.train.corpus.stems` rendered: windows of four stems, varied, with captions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import fft, signal

from sds.datasets.clips import FULL_SCALE, Audio, Half
from sds.train.corpus.arrangements import STEMS
from sds.train.corpus.stems import RATE, read_songs

GAIN = 6.0  # dB that the level of a stem is varied by, up and down
TILT = 4.0  # dB between the lowest and the highest frequencies, up and down
TILTED, FASTER = 0.5, 0.2  # how often a stem is tilted, a window played at another speed
SPEEDS = (0.94, 1.06)
MARGIN = 512  # frames at both ends of a window that resampling spoils
QUIET = 1e-3  # a window whose peak is below this (-60 dBFS) is drawn again
TRIES = 8


@dataclass(frozen=True, slots=True)
class Grid:
    """The beats of a window: `seconds` of those of its song, from the window's start on, and
    `bar`, the beats of a bar, of which the first is one, or None where bars are not known.
    """

    seconds: npt.NDArray[np.float64]
    bar: int | None

    def position(self, at: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Position in beats at the seconds `at` [L]; before the first and after the last beat the
        tempo there goes on.
        """
        beats = np.arange(len(self.seconds), dtype=np.float64)
        found = np.interp(at, self.seconds, beats)
        first, last = np.diff(self.seconds[:2])[0], np.diff(self.seconds[-2:])[0]
        found = np.where(at < self.seconds[0], (at - self.seconds[0]) / first, found)
        past = len(beats) - 1 + (at - self.seconds[-1]) / last
        return np.asarray(np.where(at > self.seconds[-1], past, found), np.float64)


Captions: TypeAlias = tuple[str, dict[str, str]]
"""What to say of the whole, and of each stem that sounds in the window."""


class Songs:
    """The songs of a folder in a split ("train" or "held"), of one half only where it is named.

    The folder may be growing: `refresh` finds what was added. Raises `ValueError` for a folder
    without such songs.
    """

    def __init__(self, folder: Path, split: str = "train", *, half: Half | None = None) -> None:
        self.folder, self.split, self.half = folder, split, half
        self.rows: list[dict[str, Any]] = []
        self._maps: dict[str, npt.NDArray[np.int16]] = {}
        self._ends: npt.NDArray[np.int64] = np.zeros(0, np.int64)
        if not self.refresh():
            which = f"{split!r}" + (f", half {half!r}," if half else "")
            raise ValueError(f"no songs of {which} in {folder}: run sds.train.corpus.stems first")

    def refresh(self) -> int:
        """Read the table again; how many songs there are."""
        self.rows = [
            row for row in read_songs(self.folder)
            if row["split"] == self.split and self.half in (None, row["half"])
        ]  # fmt: skip
        self._ends = np.cumsum([row["frames"] for row in self.rows])
        return len(self.rows)

    @property
    def hours(self) -> float:
        """Hours of all songs together."""
        return float(self._ends[-1]) / RATE / 3600 if len(self._ends) else 0.0

    def audio(self, index: int, start: int = 0, frames: int | None = None) -> Audio:
        """Samples [4, frames] of a song in -1..1, from `start` on; past its ends is silence."""
        samples = self._samples(index)
        frames = samples.shape[1] - start if frames is None else frames
        out = np.zeros((len(STEMS), frames), np.float32)
        first, stop = max(start, 0), min(start + frames, samples.shape[1])
        if stop > first:
            piece = samples[:, first:stop]
            np.multiply(piece, np.float32(1 / FULL_SCALE), out=out[:, first - start : stop - start])
        return out

    def captions(self, index: int, rng: np.random.Generator | None = None) -> Captions:
        """The most exact captions of a song, or random ones."""
        row = self.rows[index]

        def one(texts: list[str]) -> str:
            return texts[0] if rng is None else texts[int(rng.integers(len(texts)))]

        return one(row["captions"]), {s: one(texts) for s, texts in row["stem_captions"].items()}

    def window(
        self, rng: np.random.Generator, frames: int, *, plain: bool = False, mixed: bool = False
    ) -> tuple[Audio, Captions]:
        """A random window [4, frames] at RATE in the order of `STEMS`, and captions.

        Levels, signs, tilt and speed of the stems vary unless `plain`; a stem that is absent stays
        silent. With `mixed` each stem is of a song of its own, and nothing fits together.
        """
        audio, captions, _ = self.window_on_beats(rng, frames, plain=plain, mixed=mixed)
        return audio, captions

    def window_on_beats(
        self, rng: np.random.Generator, frames: int, *, plain: bool = False, mixed: bool = False
    ) -> tuple[Audio, Captions, Grid | None]:
        """As `window`, and the beats of it; None for what is `mixed`."""
        audio, captions, grid = self._draw(rng, frames, plain=plain, mixed=mixed)
        for _ in range(TRIES):
            if np.abs(audio).max() >= QUIET:
                break
            audio, captions, grid = self._draw(rng, frames, plain=plain, mixed=mixed)
        if not plain:
            audio = vary(audio, rng)
        heard = {
            stem: captions[1].get(stem, stem)
            for row, stem in enumerate(STEMS) if np.abs(audio[row]).max() >= QUIET / 4
        }  # fmt: skip
        return audio, (captions[0], heard), grid

    def _draw(
        self, rng: np.random.Generator, frames: int, *, plain: bool, mixed: bool
    ) -> tuple[Audio, Captions, Grid | None]:
        if not mixed:
            index, audio, place = self._cut(rng, frames, slice(None), plain=plain)
            return audio, self.captions(index, rng), self._grid(index, *place)
        stems, texts = np.zeros((len(STEMS), frames), np.float32), {}
        for row, stem in enumerate(STEMS):
            index, audio, _ = self._cut(rng, frames, slice(row, row + 1), plain=plain)
            stems[row] = audio[0]
            own = self.captions(index, rng)[1]
            if stem in own:
                texts[stem] = own[stem]
        return stems, (", ".join(texts.values()), texts), None

    def _grid(self, index: int, start: float, speed: float) -> Grid | None:
        """The beats of a song from `start` in seconds on, played faster by `speed`."""
        row = self.rows[index]
        if len(row.get("beats", ())) < 2:
            return None
        seconds = (np.asarray(row["beats"]) - start) / speed
        return Grid(seconds, row["beats_a_bar"] if row.get("chords") else None)

    def _cut(
        self, rng: np.random.Generator, frames: int, stems: slice, *, plain: bool
    ) -> tuple[int, Audio, tuple[float, float]]:
        """A song, as likely as it is long, a window of some of its stems, and where in the song it
        begins, in seconds, and how much faster it is played.
        """
        index = int(np.searchsorted(self._ends, rng.integers(self._ends[-1]), side="right"))
        faster = not plain and rng.random() < FASTER
        length = frames
        if faster:
            many = fft.next_fast_len(frames + 2 * MARGIN, real=True)
            length = fft.next_fast_len(round(many * rng.uniform(*SPEEDS)), real=True)
        samples = self._samples(index)
        start = int(rng.integers(0, max(samples.shape[1] - length, 0) + 1))
        piece = samples[stems, start : start + length].astype(np.float32)
        piece *= np.float32(1 / FULL_SCALE)
        if piece.shape[1] < length:
            piece = np.pad(piece, ((0, 0), (0, length - piece.shape[1])))
        if faster:
            piece = resample(piece, many)[:, MARGIN : MARGIN + frames]
            speed = length / many
            return index, piece, (start / RATE + MARGIN * speed / RATE, speed)
        return index, piece, (start / RATE, 1.0)

    def _samples(self, index: int) -> npt.NDArray[np.int16]:
        name = self.rows[index]["file"]
        if name not in self._maps:
            stored = np.memmap(self.folder / name, dtype="<i2", mode="r")
            self._maps[name] = stored.reshape(len(STEMS), -1)
        return self._maps[name]

    def every(self, frames: int) -> Iterator[tuple[int, int]]:
        """(song, first frame) of windows that lie end to end in every song."""
        for index, row in enumerate(self.rows):
            for start in range(0, row["frames"] - frames + 1, frames):
                yield index, start


def resample(audio: Audio, frames: int) -> Audio:
    """[N, T] to [N, frames] by discrete Fourier transforms: slower or faster, pitch and all."""
    bins = fft.rfft(audio, axis=1)
    count = frames // 2 + 1
    kept = np.zeros((len(audio), count), bins.dtype)
    shared = min(count, bins.shape[1])
    kept[:, :shared] = bins[:, :shared]
    scaled = fft.irfft(kept, frames, axis=1) * (frames / audio.shape[1])
    return np.asarray(scaled, np.float32)


def tilt(audio: Audio, decibels: float, *, hz: float = 1000.0) -> Audio:
    """Samples [T] through a first-order shelf: half of `decibels` down at 0 Hz and half up at the
    highest frequencies, none at about `hz`.
    """
    # H(s) = (sqrt(g) s + w) / (s + sqrt(g) w), of gain 1/sqrt(g) at 0 and sqrt(g) at infinity;
    # bilinear transform s -> (1 - z^-1) / (1 + z^-1) with w = tan(pi f / rate)
    root = 10 ** (decibels / 40)
    w = np.tan(np.pi * hz / RATE)
    top, bottom = np.array([root + w, w - root]), np.array([1 + root * w, root * w - 1])
    made = signal.lfilter(
        (top / bottom[0]).astype(np.float32), (bottom / bottom[0]).astype(np.float32), audio
    )
    return np.asarray(made, np.float32)


def vary(audio: Audio, rng: np.random.Generator) -> Audio:
    """Stems [N, T] with random levels, signs and tilts; lowered together if their sum clips."""
    gains = 10 ** (rng.uniform(-GAIN, GAIN, len(audio)) / 20) * rng.choice([-1.0, 1.0], len(audio))
    out = audio * gains[:, None].astype(np.float32)
    for row in range(len(out)):
        if rng.random() < TILTED and out[row].any():
            out[row] = tilt(out[row], rng.uniform(-TILT, TILT))
    peak = max(float(np.abs(out.sum(axis=0)).max()), 1e-9)
    if peak > 0.99:
        out *= np.float32(0.99 / peak)
    return np.asarray(out, np.float32)
