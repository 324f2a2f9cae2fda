"""A recording that is changed in part: what stays, and new sound for the rest."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from bridge.files import names
from bridge.protocol.multitrack_jobs import GenerateClips
from bridge.stems.bwf_metadata import start_samples
from bridge.worker import mixture
from bridge.worker.stem_writer import turned_down
from sds.priors.base import Prior
from sds.priors.inpainting import inpaint_stepwise, join
from sds.priors.sampling import Sampling
from sds.signal.audio_files import SOFTEST, peak_gain, resample, with_channels

PEAK = 0.5  # at which the prior hears a recording, as in the recipes of patches
FADE = 0.01  # seconds beside what is kept in which recording and new sound cross


@dataclass(frozen=True, slots=True)
class Original:
    """A recording [C, T] and which of its samples are kept, [T].

    - `start`: where it begins in its session, in samples
    """

    name: str
    sha256: str
    rate: int
    start: int
    sound: Tensor
    keep: Tensor


def original(job: GenerateClips, prior: Prior) -> Original:
    """Read the `source` of a job.

    Raises `ValueError` for what the prior cannot change: too long or too short, silent, or kept as
    a whole.
    """
    path = Path(str(job.source))
    with mixture.open_recording(path) as recording:
        rate, seconds = recording.rate, recording.frames / recording.rate
        if not mixture.MIN_SECONDS <= seconds <= prior.max_seconds:
            limits = f"{mixture.MIN_SECONDS:g} to {prior.max_seconds:g} seconds"
            raise ValueError(
                f"source must last {limits} with the model {prior.name}, got {seconds:.4g}"
            )
        sound = recording.read(0, recording.frames)
    if float(sound.abs().max()) < SOFTEST:
        raise ValueError(f"source {path.name} is silent")
    keep = kept_samples(job.keep, rate, sound.shape[1])
    if not bool(keep.any()):
        raise ValueError(f"keep must lie in source, which ends at {seconds:.4g} seconds")
    if bool(keep.all()):
        raise ValueError("keep must leave a part of source to be changed, and it is all of it")
    begin = start_samples(path, rate)
    return Original(path.name, names.sha256(path), rate, begin, sound, keep)


def kept_samples(spans: tuple[tuple[float, float], ...], rate: int, samples: int) -> Tensor:
    """Which of `samples` at `rate` Hz lie in one of the spans of seconds, bool [samples]."""
    keep = torch.zeros(samples, dtype=torch.bool)
    for begin, end in spans:
        first, last = (round(min(samples, each * rate)) for each in (begin, end))  # of any size
        keep[first:last] = True
    return keep


def changed(
    given: Original, keep: tuple[tuple[float, float], ...], prior: Prior, prompt: str,
    how: Sampling, seed: int,
) -> Generator[float, None, tuple[Tensor, float]]:  # fmt: skip
    """Fill in what is not kept; yields how much is done, 0..1.

    Returns audio [C, T] at the recording's rate, whose kept samples are the recording's, and by how
    many dB what is new was turned down so that it does not clip. A mono prior fills in each channel
    on its own, from the same noise: what is alike in both stays alike.
    """
    gain = peak_gain(given.sound[None], PEAK)
    heard = resample(given.sound, given.rate, prior.sample_rate)[None] * gain  # [1, C, T']
    rows = list(heard.transpose(0, 1)) if prior.channels == 1 else [with_channels(heard, 2)[0]]
    kept = kept_samples(keep, prior.sample_rate, heard.shape[-1])
    made = list[Tensor]()
    for row in rows:
        work = inpaint_stepwise(
            prior, prompt, row[None], kept,
            how=how, generator=torch.Generator().manual_seed(seed),
        )  # fmt: skip
        try:
            while True:
                step = next(work)
                yield (len(made) + step / (how.steps + 1)) / len(rows)
        except StopIteration as end:
            made.append(end.value[0])
        finally:
            work.close()
    channels, frames = given.sound.shape
    new = torch.cat(made) if prior.channels == 1 else with_channels(made[0][None], channels)[0]
    new = resample(new / gain[0], prior.sample_rate, given.rate, frames=frames)
    _, gain_db = turned_down(new * ~given.keep)
    fade = round(FADE * given.rate)
    return join(given.sound, new * 10 ** (gain_db / 20), given.keep, fade), gain_db
