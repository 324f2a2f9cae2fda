"""Audio files in and out, and sample rates. Files are [C, T], batches [B, C, T], all float32."""

from __future__ import annotations

import io
import math
import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from torch import Tensor

from sds.signal import ffmpeg

RATES = (8000, 192000)
MAX_CHANNELS = 2
MAX_SECONDS = 15 * 60  # in memory at once
MAX_LONG = 24 * 3600  # in pieces
SOFTEST = 2.0**-24  # a peak of half a step of 24 bits: what is softer is silence
FAR = 0.1  # of the channels' power, -10 dB: their mean says nothing of a sound below
MAX_PEAK = 2.0**31  # full scale is 1; even integers that were read as floats stay below


@dataclass(frozen=True, slots=True)
class Raw:
    """Little-endian samples that lie in a file whose header libsndfile does not understand.

    `frames` of them begin at byte `offset`; `subtype` is what soundfile calls their format.
    """

    offset: int
    frames: int
    rate: int
    channels: int
    subtype: str


class Recording:
    """An audio file that is read a piece at a time, float32; `ValueError` says why it is none.

        with Recording(path) as file:
            piece = file.read(0, file.rate)  # [C, T]

    Refused: more than 2 channels, rates outside 8..192 kHz, no samples, more than `seconds`. Pieces
    of compressed files may depend on where reading began; those of WAV, AIFF and FLAC do not. With
    `raw` the file is read as that says. What libsndfile does not know goes through ffmpeg where
    that is installed, into a temporary file.
    """

    def __init__(
        self, path: str | Path, *, seconds: float = MAX_LONG, raw: Raw | None = None
    ) -> None:
        self.path = Path(path)
        if not self.path.is_file():
            what = "is a folder" if self.path.is_dir() else "does not exist"
            raise ValueError(f"audio file {self.path} {what}")
        self._stack = ExitStack()  # of what is closed with it
        with self._clear_errors():
            self._file = self._opened(seconds) if raw is None else self._window(raw)
        self.rate, self.channels = int(self._file.samplerate), int(self._file.channels)
        self.frames = int(self._file.frames)
        try:
            _check_shape(self.path, self.rate, self.channels, self.frames, seconds)
        except ValueError:
            self.close()
            raise

    def _opened(self, seconds: float) -> soundfile.SoundFile:
        try:
            return soundfile.SoundFile(self.path)
        except soundfile.LibsndfileError:
            folder = ffmpeg.decode(self.path, seconds=seconds)
            if folder is None:
                raise
            self._stack.callback(folder.cleanup)
            return soundfile.SoundFile(Path(folder.name) / "sound.wav")

    def _window(self, raw: Raw) -> soundfile.SoundFile:
        width = {"PCM_U8": 1, "PCM_16": 2, "PCM_24": 3, "PCM_32": 4, "FLOAT": 4, "DOUBLE": 8}
        size = raw.frames * raw.channels * width[raw.subtype]
        part = self._stack.enter_context(_Part(self.path, raw.offset, size))
        return soundfile.SoundFile(part, "r", raw.rate, raw.channels, raw.subtype, "LITTLE", "RAW")

    def close(self) -> None:
        """Close the file; nothing can be read from it any more."""
        self._file.close()
        self._stack.close()

    def __enter__(self) -> Recording:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def read(self, begin: int, end: int) -> Tensor:
        """Samples [C, end - begin], fewer behind the end of the file, as they are."""
        with self._clear_errors():
            if self._file.tell() != begin:
                self._file.seek(begin)
            data = self._file.read(end - begin, dtype="float32", always_2d=True)  # [T, C]
        return torch.from_numpy(np.ascontiguousarray(data.T))

    def pieces(self, frames: int) -> Iterator[Tensor]:
        """The whole file from its begin in pieces [C, frames], the last one shorter.

        Behind the last one it raises `ValueError` if there was none, or for samples that are no
        numbers, or so large that their squares soon are none.
        """
        begin, bad, peak = 0, 0, 0.0
        while (piece := self.read(begin, begin + frames)).shape[1]:
            yield piece
            begin += piece.shape[1]
            bad += int(piece.numel() - torch.isfinite(piece).sum())
            peak = max(peak, float(piece.abs().max()))
        what = f"{self.path} has"
        if begin == 0:  # the header promised frames that are not there
            raise ValueError(f"{what} no samples; at least 1 is needed")
        if bad:
            raise ValueError(f"{what} {bad} samples that are not finite numbers; 0 are allowed")
        if peak > MAX_PEAK:
            raise ValueError(f"{what} samples up to {peak:.3g}; at most {MAX_PEAK:.3g} are allowed")

    @contextmanager
    def _clear_errors(self) -> Iterator[None]:
        try:
            yield
        except soundfile.LibsndfileError as error:
            reason = f"{self.path} is not an audio file that can be read"
            raise ValueError(f"{reason}{ffmpeg.advice(self.path)}") from error
        except OSError as error:
            raise ValueError(f"audio file {self.path} cannot be read: {error.strerror}") from error


class _Part(io.RawIOBase):
    """A stretch of a file, which libsndfile reads as if it were all of it."""

    def __init__(self, path: Path, offset: int, size: int) -> None:
        self._file = path.open("rb")
        self._offset, self._size, self._at = offset, size, 0

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        return self._at

    def readinto(self, buffer: Any) -> int:
        self._file.seek(self._offset + self._at)
        data = self._file.read(max(0, min(len(buffer), self._size - self._at)))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

    def close(self) -> None:
        self._file.close()
        super().close()


def read(path: str | Path) -> tuple[Tensor, int]:
    """Samples [C, T] float32 and rate of an audio file; one sentence (ValueError) if it is not one.

    Refused is what `Recording` and its `pieces` refuse, and more than 15 minutes.
    """
    with Recording(path, seconds=MAX_SECONDS) as file:
        (samples,) = file.pieces(file.frames)
        return samples, file.rate


def _check_shape(path: Path, rate: int, channels: int, frames: int, seconds: float) -> None:
    if channels > MAX_CHANNELS:
        raise ValueError(f"{path} has {channels} channels; 1 or 2 are allowed")
    if not RATES[0] <= rate <= RATES[1]:
        raise ValueError(f"{path} has a rate of {rate} Hz; {RATES[0]} to {RATES[1]} are allowed")
    if frames == 0:
        raise ValueError(f"{path} has no samples; at least 1 is needed")
    if frames > seconds * rate:
        raise ValueError(
            f"{path} lasts {frames / rate:.0f} seconds; at most {seconds:g} are allowed"
        )


def write(path: str | Path, audio: Tensor, rate: int, *, subtype: str = "FLOAT") -> None:
    """Write audio [C, T] or [T]: whole or not at all (a temporary file beside it, then a rename).

    WAV with FLOAT samples goes through scipy: libsndfile stamps the time of day into its PEAK
    chunk, and the same sound must be the same bytes. Anything else soundfile can write it writes.
    """
    path = Path(path)
    data = audio.detach().cpu().float().reshape(-1, audio.shape[-1]).numpy().T  # [T, C]
    if not np.isfinite(data).all():
        raise ValueError(f"audio for {path} has samples that are not finite numbers")
    kind = path.suffix.removeprefix(".").upper()
    if not soundfile.check_format(kind, subtype):
        raise ValueError(
            f"{path.name} cannot hold {subtype} samples; use .wav, or .flac and PCM_24"
        )
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise ValueError(f"cannot write {path}: {error.strerror}") from error
    try:
        with os.fdopen(handle, "wb") as file:
            if (kind, subtype) == ("WAV", "FLOAT"):
                from scipy.io import wavfile

                wavfile.write(file, rate, np.ascontiguousarray(data))
            else:
                soundfile.write(file, data, rate, format=kind, subtype=subtype)
        Path(name).chmod(0o666 & ~_umask())  # mkstemp made it private
        Path(name).replace(path)
    except OSError as error:
        raise ValueError(f"cannot write {path}: {error.strerror}") from error
    finally:
        Path(name).unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def resample(audio: Tensor, rate: int, to: int, *, frames: int | None = None) -> Tensor:
    """Audio [..., T] at `rate` -> [..., ceil(T to/rate)] at `to`, or exactly `frames` if given.

    Going back with `frames=T` restores the count. A polyphase Kaiser filter with 32 zero crossings
    a side, passing 93 % of the band and 90 dB down at the edge.
    """
    if rate == to:
        out = audio
    else:
        from scipy.signal import firwin, resample_poly  # a second of a worker's start

        common = math.gcd(rate, to)
        up, down = to // common, rate // common
        half = 32 * max(up, down)
        # cut-off midway between 0.93 and 1.0; a Kaiser window with beta 9 is 90 dB down
        taps = firwin(2 * half + 1, 0.91 / max(up, down), window=("kaiser", 9.0))
        data = audio.detach().cpu().numpy().astype(np.float64)
        out = torch.from_numpy(resample_poly(data, up, down, axis=-1, window=taps)).to(audio)
    if frames is None:
        return out
    return torch.nn.functional.pad(out, (0, frames - out.shape[-1]))  # negative: cuts


def peak_gain(audio: Tensor, peak: float) -> Tensor:
    """The factor [B, 1, 1] that brings each of audio [B, C, T] to a peak.

    Softer than `SOFTEST` is silence, which no factor makes loud.
    """
    return peak / audio.abs().amax((1, 2), keepdim=True).clamp_min(SOFTEST)


def mono(audio: Tensor) -> Tensor:
    """One channel [..., T] of audio [..., C, T], for whoever listens: the mean, or else the side.

    With m = (L + R) / 2 and s = (L - R) / 2 the channels' mean power is that of m plus that of s.
    Where m has less than `FAR` of it, as of a sound with opposite signs left and right, it is s:
    m would be silent. Each [C, T] is decided for itself.
    """
    mid = audio.mean(-2)
    if audio.shape[-2] != 2:
        return mid
    side = (audio[..., 0, :] - audio[..., 1, :]) / 2
    power, aside = (x.square().mean(-1, keepdim=True) for x in (mid, side))
    return torch.where(power < FAR * (power + aside), side, mid)


def with_channels(audio: Tensor, channels: int) -> Tensor:
    """Audio [B, C, T] with `channels` channels: mono is repeated, more become `mono`."""
    if audio.shape[1] == channels:
        return audio
    return mono(audio)[:, None].expand(-1, channels, -1)
