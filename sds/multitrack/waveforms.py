"""Generate, accompany and separate with a denoiser of waveforms (MSDM), whatever the length."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from sds.multitrack.impute import replace_stepwise
from sds.priors.multi_source import SOURCES, MultiSource
from sds.samplers.schedules import karras
from sds.separation.source_posterior import (
    Dirac,
    Gaussian,
    Likelihood,
    Projection,
    energy_variances,
    project,
    source_posterior_stepwise,
)
from sds.signal.audio_files import resample
from sds.signal.overlap_add import fades, overlap_add, spans

SIGMA_MIN = 1e-4
SIGMA_SEPARATE = 1.0  # where separation starts
SIGMA_GENERATE = 20.0  # where generation does
STEPS = 150  # of generation
CHURN = 20.0


@dataclass(frozen=True, slots=True)
class Method:
    """How a mixture is separated: arguments of `source_posterior_stepwise`, and noise levels.

    - `likelihood`: how the mixture is imposed. No default.
    - `steps`: noise levels, >= 2. No default.
    - `churn`, `resamples`, `samples`: as there.
    """

    likelihood: Likelihood
    steps: int
    churn: float = 0.0
    resamples: int = 1
    samples: int = 1


METHODS: Mapping[str, Method] = {
    "default": Method(Projection(energy_variances), steps=20),
    "dirac": Method(Dirac(), steps=150, churn=20.0, resamples=2),
    "gaussian": Method(Gaussian(0.75), steps=150, churn=40.0),
    "accurate": Method(Projection(energy_variances), steps=20, samples=8),
}
"""Separation by MSDM; `dirac` and `gaussian` have the published settings, but for the source that
`dirac` constrains: theirs is the bass."""


def separate_waveforms_stepwise(
    model: MultiSource, mix: Tensor, rate: int, *, method: Method, generator: torch.Generator
) -> Generator[float, None, dict[str, Tensor]]:
    """Separate mix [C, T] at `rate` Hz into the model's four sources [C, T], which sum to it.

    Each channel is separated by itself, in windows of the model's length that overlap by a quarter
    and are cross-faded; the published code joins them hard. What the model's rate cannot carry is
    shared out by the sources' energies. Yields the fraction that is done, 0..1.
    """
    audio = resample(mix, rate, model.sample_rate)
    windows = spans(audio.shape[-1], model.window)
    sigmas = karras(method.steps, SIGMA_MIN, SIGMA_SEPARATE)
    evaluations = method.steps * method.resamples * method.samples
    pieces = []
    for i, (begin, end) in enumerate(windows):
        run = source_posterior_stepwise(
            model.denoise, _padded(audio[:, begin:end], model.multiple), len(SOURCES), sigmas,
            likelihood=method.likelihood, churn=method.churn, resamples=method.resamples,
            samples=method.samples, generator=generator,
        )  # fmt: skip
        found = yield from _share(run, i, len(windows), evaluations)
        pieces.append(found[..., : end - begin])
    faded = (piece * fade for piece, fade in zip(pieces, fades(windows), strict=True))
    sources = torch.cat(list(overlap_add(windows, faded)), -1).transpose(0, 1)  # [4, C, T']
    heard = resample(sources.flatten(0, 1), model.sample_rate, rate, frames=mix.shape[-1])
    sources = heard.reshape(len(SOURCES), *mix.shape).transpose(0, 1)  # [C, 4, T]
    whole = project(sources, mix, sources.square().sum(-1, keepdim=True))
    return dict(zip(SOURCES, whole.transpose(0, 1), strict=True))


def arrange_waveforms_stepwise(
    model: MultiSource,
    *,
    given: Mapping[str, Tensor],
    add: Sequence[str],
    samples: int,
    rate: int,
    steps: int = STEPS,
    generator: torch.Generator,
) -> Generator[float, None, dict[str, Tensor]]:
    """Generate the tracks `add`, [1, samples] each at `rate` Hz, which go with the tracks `given`,
    [1, samples] each; with none given, total generation.

    Tracks that are neither given nor to be added are silent. Beyond the model's length it goes on
    window by window, what is already there of the next window held as known. Yields the fraction
    that is done. Raises ValueError for names that the model has not, or that are said twice.
    """
    _check_names(given, add)
    length = -(-samples * model.sample_rate // rate)
    tracks = torch.zeros(1, len(SOURCES), length)
    for name, track in given.items():
        tracks[0, SOURCES.index(name)] = resample(track, rate, model.sample_rate, frames=length)[0]
    known = torch.tensor([name not in add for name in SOURCES])[None, :, None]
    windows = spans(length, model.window)
    sigmas = karras(steps, SIGMA_MIN, SIGMA_GENERATE)
    made = 0  # samples that are there of all tracks
    for i, (begin, end) in enumerate(windows):
        part = _padded(tracks[..., begin:end], model.multiple)
        there = known | (torch.arange(part.shape[-1]) < made - begin)
        run = replace_stepwise(model.denoise, part, there, sigmas, churn=CHURN, generator=generator)
        found = yield from _share(run, i, len(windows), steps)
        tracks[..., begin:end] = found[..., : end - begin]
        made = end
    rows = [SOURCES.index(name) for name in add]
    heard = resample(tracks[0, rows], model.sample_rate, rate, frames=samples)
    return dict(zip(add, heard[:, None], strict=True))


def _check_names(given: Mapping[str, Tensor], add: Sequence[str]) -> None:
    for name in [*given, *add]:
        if name not in SOURCES:
            raise ValueError(f"a stem must be one of {', '.join(SOURCES)}, got {name!r}")
    if not add:
        raise ValueError(f"nothing is to be added: name one of {', '.join(SOURCES)}")
    if twice := [name for name in add if name in given or list(add).count(name) > 1]:
        raise ValueError(f"{twice[0]} is given already, or to be added twice")


def _padded(audio: Tensor, multiple: int) -> Tensor:
    """Audio [..., T] with silence behind it, up to a multiple of samples."""
    return F.pad(audio, (0, -audio.shape[-1] % multiple))


def _share(
    run: Generator[tuple[int, Tensor], None, Tensor], window: int, windows: int, evaluations: int
) -> Generator[float, None, Tensor]:
    """Run a sampler of one window, and yield how much of all windows is done."""
    while True:
        try:
            done, _ = next(run)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
        yield (window + done / evaluations) / windows
