"""Read a recording to separate in pieces, and measure where it is loud."""

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
from bridge.stems.bwf_metadata import start_samples
from sds.signal.audio_files import Raw, Recording

MIN_SECONDS = 0.1  # of a file to separate
PIECE_SECONDS = 10.0  # read at once
GRAIN = 10  # levels a second
# What soundfile calls the formats of `bridge.files.wav`, by kind and bits.
SUBTYPES = {
    (1, 8): "PCM_U8",
    (1, 16): "PCM_16",
    (1, 24): "PCM_24",
    (1, 32): "PCM_32",
    (wav.FLOAT, 32): "FLOAT",
    (wav.FLOAT, 64): "DOUBLE",
}


@dataclass(frozen=True, slots=True)
class Mixture:
    """A file as it was found. `powers` is its mean power in each tenth of a second.

    `header` is that of a WAV that `bridge.files.wav` reads as well, None for any other file: its
    stems need a copy beside them that a light process can add up. `start` is where the file says
    that it begins in its session, in samples.
    """

    file: Path
    rate: int
    channels: int
    frames: int
    sha256: str
    powers: Tensor  # [N]
    header: wav.Wav | None
    start: int = 0

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

    def stretch(self, seconds: float, begin: float | None) -> tuple[int, int]:
        """(begin, end) in samples of `seconds` from the second `begin` on, of the busiest without.

        Raises `ValueError` where less than a tenth of a second is left of the file.
        """
        if begin is None:
            return self.busiest(seconds)
        first = round(begin * self.rate)
        if self.frames - first < MIN_SECONDS * self.rate:
            length = self.frames / self.rate
            raise ValueError(f"excerpt_begin must lie in the file, got {begin:g} of {length:.2f} s")
        return first, min(self.frames, first + math.ceil(seconds * self.rate))


def measure(
    file: Path, clock: Clock, share: float, *, begin: float = 0.0, name: str = "file"
) -> Generator[Event, None, Mixture]:
    """Read a file from begin to end, once: is it sound, and where is how much of it?

    Progress runs from `begin` on by `share`. Raises `ValueError` with one sentence
    for a file that is not audio, holds no numbers, or lasts less than a tenth of a second.
    """
    powers: list[Tensor] = []
    yield clock.progress(begin, "reading the file")
    with open_recording(file) as recording:
        rate, frames = recording.rate, 0
        rest = torch.zeros(0)
        for piece in recording.pieces(int(PIECE_SECONDS * rate)):
            frames += piece.shape[1]
            means, rest = _powers(torch.cat([rest, piece.square().mean(0)]), rate)
            powers.append(means)
            done = begin + share * min(1.0, frames / recording.frames)
            yield clock.progress(done, "reading the file")
        powers.append(rest.mean(0, keepdim=True) if len(rest) else rest)
    if frames < MIN_SECONDS * rate:
        raise ValueError(
            f"{name} must last at least {MIN_SECONDS:g} seconds, got {frames / rate:.4f}"
        )
    return Mixture(
        file=file,
        rate=rate,
        channels=recording.channels,
        frames=frames,
        sha256=names.sha256(file),
        powers=torch.cat(powers),
        header=_readable(file, frames),
        start=start_samples(file, rate),
    )


def open_recording(file: Path) -> Recording:
    """A file as a recording; a WAV whose header libsndfile does not understand as
    `bridge.files.wav` does."""
    header = _header(file)
    try:
        recording = Recording(file)
    except ValueError:
        if header is None or header.frames == 0:
            raise
    else:
        if header is None or recording.frames == header.frames:
            return recording
        recording.close()
    subtype = SUBTYPES[header.kind, header.bits]
    raw = Raw(header.offset, header.frames, header.rate, header.channels, subtype)
    return Recording(file, raw=raw)


def is_plain_wav(mixture: Mixture) -> bool:
    """Whether `bridge.files.wav` reads the same from the file, whatever its samples' format."""
    header = _header(mixture.file)
    return header is not None and header.frames == mixture.frames


def copy(mixture: Mixture, begin: int, end: int, path: Path, bext: wav.Bext, ixml: str) -> None:
    """Samples begin..end of the file as a float WAV, which any process can read from anywhere."""
    with (
        open_recording(mixture.file) as recording,
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
    """The source's header when `stems.verify` can add it up as it is, else None.

    A file of 64-bit floats is copied: stems of 32 bits add up to what is left of it in these.
    """
    header = _header(source)
    return header if header and header.frames == frames and header.bits <= 32 else None


def _header(file: Path) -> wav.Wav | None:
    try:
        return wav.read_header(file)
    except (ValueError, OSError):  # whoever reads it says so better
        return None
