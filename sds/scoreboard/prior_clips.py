"""Clips of class words that the prior suite listens to: generated, recorded, or noise.

Whatever a prior makes is made once and kept in the scratch folder, in 16 bits at a peak of 1.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from sds.datasets.clips import Split
from sds.datasets.recordings import Recording
from sds.datasets.reference_statistics import CLASSES, SIDES, fold_of, recordings, sounds
from sds.metrics.spectral_statistics import SECONDS
from sds.priors.base import Prior, classifier_free_guidance
from sds.samplers.exponential import tab3
from sds.samplers.schedules import karras
from sds.scoreboard.board import Setting
from sds.signal.audio_files import with_channels

COUNT = 10  # clips a class
STEPS = 20


@dataclass(frozen=True, slots=True)
class Sampling:
    """How clips are drawn: the guidance, and how often the denoiser is asked."""

    scale: float
    evaluations: int


GUIDANCE = {"guidance 3": Sampling(3.0, STEPS), "guidance 1": Sampling(1.0, STEPS)}
SWEEP = {f"guidance 3, {n} evaluations": Sampling(3.0, n) for n in (5, 10, 20, 50)}
REAL, CODED, NOISE = (
    "real recordings (held back)",
    "real recordings through the codec",
    "white noise",
)
UNHEARD: tuple[Split, ...] = ("evaluation_scorer", "held")  # what the prior has not heard
FOLDERS = ("train", "train2")  # of recordings, in the data
MOST = 40  # recordings of a class that a set of generated clips is compared with


@dataclass(frozen=True, slots=True)
class Way:
    """A method: clips [B, C, T] of a class, and the fold of each that the measure must not know."""

    clips: Callable[[str], Tensor]
    folds: Callable[[str], Sequence[int | None]]


def ways(setting: Setting) -> dict[str, Way]:
    """The methods by name; those of real recordings only where there are some."""
    found = {name: Way(partial(generated, setting, how), _new) for name, how in GUIDANCE.items()}
    if any(heard(setting.data, label) for label in CLASSES):

        def folds(label: str) -> list[int | None]:
            return [fold_of(recording) for recording in heard(setting.data, label)]

        found[REAL] = Way(partial(_recorded, setting), folds)
        found[CODED] = Way(partial(_coded, setting), folds)
    return found | {NOISE: Way(partial(_noise, setting), _new)}


def sweep(setting: Setting) -> dict[str, Way]:
    """The numbers of evaluations that are compared, by name."""
    return {name: Way(partial(generated, setting, how), _new) for name, how in SWEEP.items()}


def generate_clips(
    prior: Prior,
    prompt: str,
    seconds: float,
    *,
    count: int,
    how: Sampling,
    generator: torch.Generator,
) -> Tensor:
    """`count` new clips [count, C, T] of a prompt, as `sds.priors.stable_audio.sample` on any
    prior.
    """
    samples = round(seconds * prior.sample_rate)
    with torch.no_grad():
        shape = prior.encode(torch.zeros(1, prior.channels, samples)).shape[1:]
        sigmas = karras(how.evaluations, *prior.sigmas)
        x = torch.randn(count, *shape, generator=generator) * sigmas[0]
        cond, uncond = prior.embed([prompt], seconds), prior.embed([""], seconds)
        denoise = classifier_free_guidance(prior, cond, uncond, how.scale)
        return prior.decode(tab3(denoise, x, sigmas))[..., :samples]


def generated(
    setting: Setting,
    how: Sampling,
    prompt: str,
    count: int | None = None,
    seconds: float = SECONDS,
) -> Tensor:
    """Clips [count, C, T] of a prompt, `COUNT` unless told, made once; the noise is the same for
    every `how`.
    """
    count = count or COUNT
    seconds = min(seconds, setting.prior.max_seconds)
    name = f"{prompt}, {seconds:.2g} s, {count}.npy"
    path = setting.scratch / "prior" / f"{how.scale:g}, {how.evaluations}" / name
    generator = setting.generator("prior", prompt, seconds)
    make = partial(generate_clips, setting.prior, prompt, seconds,
                   count=count, how=how, generator=generator)  # fmt: skip
    return _cached_audio(path, make)


def seconds_of_a_clip(
    setting: Setting, how: Sampling, prompt: str, clock: Callable[[], float] = time.perf_counter
) -> float:
    """How long one clip takes on its own, by `clock`; what was kept does not count."""

    def make(how: Sampling) -> None:
        seconds = min(SECONDS, setting.prior.max_seconds)
        generator = setting.generator("seconds", prompt)
        generate_clips(setting.prior, prompt, seconds, count=1, how=how, generator=generator)

    make(Sampling(how.scale, 2))  # what is set up at the first call is not the clip's
    start = clock()
    make(how)
    return clock() - start


@cache
def heard(data: Path, label: str) -> tuple[Recording, ...]:
    """At most `COUNT` recordings of a class that the evaluation scorer has not heard."""
    return tuple(recordings(data, [label], ["prior"])[:COUNT])


def has_recordings(setting: Setting, label: str) -> bool:
    """Whether there are recordings of a class that the prior has not heard."""
    return any(recordings(setting.data, [label], UNHEARD, folder) for folder in FOLDERS)


def real_clips(setting: Setting, label: str, sides: Sequence[Split] = SIDES) -> Tensor:
    """At most `MOST` recordings [B, C, T] of a class and these sides, of all folders together."""
    prior, found, left = setting.prior, list[Tensor](), MOST
    for folder in FOLDERS:
        some = recordings(setting.data, [label], sides, folder)[:left]
        found.append(sounds(setting.data, some, prior.sample_rate, SECONDS, folder))
        left -= len(some)
    return with_channels(torch.cat(found), prior.channels)


def _new(label: str) -> list[int | None]:
    return [None] * COUNT


def _noise(setting: Setting, label: str) -> Tensor:
    prior, generator = setting.prior, setting.generator(NOISE, label)
    samples = round(min(SECONDS, prior.max_seconds) * prior.sample_rate)
    return torch.randn(COUNT, prior.channels, samples, generator=generator)


def _recorded(setting: Setting, label: str) -> Tensor:
    some = sounds(setting.data, heard(setting.data, label), setting.prior.sample_rate, SECONDS)
    return with_channels(some, setting.prior.channels)


def _coded(setting: Setting, label: str) -> Tensor:
    prior = setting.prior
    samples = round(min(SECONDS, prior.max_seconds) * prior.sample_rate)

    def pass_through() -> Tensor:
        back = [prior.decode(prior.encode(one[None])) for one in _recorded(setting, label)]
        return torch.cat(back)[..., :samples]

    return _cached_audio(setting.scratch / "prior" / "coded" / f"{label}.npy", pass_through)


def _cached_audio(path: Path, make: Callable[[], Tensor]) -> Tensor:
    """What `make` returns, audio [B, C, T] with a peak of 1, from or to an int16 file."""
    if not path.is_file():
        with torch.no_grad():
            audio = make()
        peak = audio.abs().amax((1, 2), keepdim=True).clamp_min(1e-8)
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".partial")
        with open(unfinished, "wb") as file:
            np.save(file, (audio / peak * 32767).round().to(torch.int16).numpy())
        unfinished.replace(path)
    return torch.from_numpy(np.load(path)).float() / 32767
