"""Audio files in and out, and sample rates. Files are [C, T], batches [B, C, T], all float32."""

from __future__ import annotations

import math
import os
import tempfile
from pathlib import Path

import numpy as np
import soundfile
import torch
from scipy.io import wavfile
from scipy.signal import firwin, resample_poly
from torch import Tensor

RATES = (8000, 192000)
MAX_CHANNELS = 2
MAX_SECONDS = 15 * 60
MAX_PEAK = 2.0**31  # full scale is 1; even integers that were read as floats stay below


def read(path: str | Path) -> tuple[Tensor, int]:
    """Samples [C, T] float32 and rate of an audio file; one sentence (ValueError) if it is not one.

    Refused: more than 2 channels, rates outside 8..192 kHz, more than 15 minutes, no samples,
    samples that are not numbers, or so large that their squares soon are none.
    """
    path = Path(path)
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise ValueError(f"audio file {path} {what}")
    try:
        with soundfile.SoundFile(path) as file:
            rate, channels, frames = int(file.samplerate), int(file.channels), int(file.frames)
            _check_shape(path, rate, channels, frames)
            data = file.read(dtype="float32", always_2d=True)  # [T, C]
    except soundfile.LibsndfileError as error:
        raise ValueError(f"{path} is not an audio file that can be read: {error}") from error
    except OSError as error:
        raise ValueError(f"audio file {path} cannot be read: {error.strerror}") from error
    if len(data) == 0:  # the header promised frames that are not there
        raise ValueError(f"{path} has no samples; at least 1 is needed")
    bad = int(data.size - np.count_nonzero(np.isfinite(data)))
    if bad:
        raise ValueError(f"{path} has {bad} samples that are not finite numbers; 0 are allowed")
    peak = float(np.abs(data).max())
    if peak > MAX_PEAK:
        raise ValueError(f"{path} has samples up to {peak:.3g}; at most {MAX_PEAK:.3g} are allowed")
    return torch.from_numpy(np.ascontiguousarray(data.T)), rate


def _check_shape(path: Path, rate: int, channels: int, frames: int) -> None:
    if channels > MAX_CHANNELS:
        raise ValueError(f"{path} has {channels} channels; 1 or 2 are allowed")
    if not RATES[0] <= rate <= RATES[1]:
        raise ValueError(f"{path} has a rate of {rate} Hz; {RATES[0]} to {RATES[1]} are allowed")
    if frames == 0:
        raise ValueError(f"{path} has no samples; at least 1 is needed")
    if frames > MAX_SECONDS * rate:
        raise ValueError(
            f"{path} lasts {frames / rate:.0f} seconds; at most {MAX_SECONDS} are allowed"
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


def with_channels(audio: Tensor, channels: int) -> Tensor:
    """Audio [B, C, T] with `channels` channels: mono is repeated, more are averaged to mono."""
    if audio.shape[1] == channels:
        return audio
    return audio.mean(1, keepdim=True).expand(-1, channels, -1)
