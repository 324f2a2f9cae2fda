"""What is separated: a recording on disk, read in pieces, wholly or an excerpt of it."""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from bridge.files import names, wav
from bridge.protocol.events import Event
from bridge.protocol.worker_loop import Clock
from sds.signal.audio_files import Recording

MIN_SECONDS = 0.1  # of a file to separate
PIECE_SECONDS = 10.0  # read at once
GRAIN = 10  # levels a second


@dataclass(frozen=True, slots=True)
class Mixture:
    """A file as it was found. `powers` is its mean power in each tenth of a second.

    `header` is that of a WAV that `bridge.files.wav` reads as well, None for any other file: its
    stems need a copy beside them that a light process can add up.
    """

    file: Path
    rate: int
    channels: int
    frames: int
    sha256: str
    powers: Tensor  # [N]
    header: wav.Wav | None

    @property
    def start(self) -> int:
        """Where the file says that it begins in its session, in samples."""
        return self.header.bext.time_reference if self.header and self.header.bext else 0

    def busiest(self, seconds: float) -> tuple[int, int]:
        """(begin, end) in samples of the stretch of `seconds` in which most is going on.

        That is the one with the highest mean amplitude, not power: a bang says little of a track.
        """
        count = min(len(self.powers), max(1, round(seconds * GRAIN)))
        level = self.powers.double().sqrt()
        sums = torch.cat([torch.zeros(1).double(), level.cumsum(0)])
        first = int((sums[count:] - sums[:-count]).argmax())
        begin = first * self.rate // GRAIN
        return begin, min(self.frames, begin + math.ceil(seconds * self.rate))


def measure(file: Path, clock: Clock, share: float) -> Generator[Event, None, Mixture]:
    """Read a file from begin to end, once: is it sound, and where is how much of it?

    Progress runs from 0 to `share`. Raises `ValueError` with one sentence for a file that is not
    audio, holds no numbers, or lasts less than a tenth of a second.
    """
    powers: list[Tensor] = []
    yield clock.progress(0.0, "reading the file")
    with Recording(file) as recording:
        rate, frames = recording.rate, 0
        rest = torch.zeros(0)
        for piece in recording.pieces(int(PIECE_SECONDS * rate)):
            frames += piece.shape[1]
            found, rest = _powers(torch.cat([rest, piece.square().mean(0)]), rate)
            powers.append(found)
            yield clock.progress(share * min(1.0, frames / recording.frames), "reading the file")
        powers.append(rest.mean(0, keepdim=True) if len(rest) else rest)
    if frames < MIN_SECONDS * rate:
        raise ValueError(
            f"file must last at least {MIN_SECONDS:g} seconds, got {frames / rate:.4f}"
        )
    return Mixture(
        file=file,
        rate=rate,
        channels=recording.channels,
        frames=frames,
        sha256=names.sha256(file),
        powers=torch.cat(powers),
        header=_readable(file, frames),
    )


def copy(mixture: Mixture, begin: int, end: int, path: Path, bext: wav.Bext, ixml: str) -> None:
    """Samples begin..end of the file as a float WAV, which any process can read from anywhere."""
    with (
        Recording(mixture.file) as recording,
        wav.Writer(
            path,
            rate=mixture.rate,
            channels=mixture.channels,
            frames=end - begin,
            bext=bext,
            ixml=ixml,
        ) as file,
    ):
        for at in range(begin, end, int(PIECE_SECONDS * mixture.rate)):
            until = min(end, at + int(PIECE_SECONDS * mixture.rate))
            file.write(interleave(recording.read(at, until)))


def interleave(block: Tensor) -> bytes:
    """Samples [C, T] as a WAV holds them, little-endian float32."""
    return block.T.contiguous().numpy().astype("<f4", copy=False).tobytes()


def _powers(power: Tensor, rate: int) -> tuple[Tensor, Tensor]:
    """Means over each tenth of a second of power [T], and what does not fill one."""
    edges = torch.arange(len(power) * GRAIN // rate + 1) * rate // GRAIN
    sums = torch.cat([torch.zeros(1).double(), power.double().cumsum(0)])
    return (sums[edges].diff() / edges.diff()).float(), power[int(edges[-1]) :]


def _readable(source: Path, frames: int) -> wav.Wav | None:
    """The source's header when `stems.verify` can read it as it is, else None."""
    try:
        header = wav.read_header(source)
    except ValueError:
        return None
    return header if header.frames == frames else None
