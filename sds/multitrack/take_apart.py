"""Take a mixture of four instruments apart: bass, drums, guitar and piano, which add up to it.

By name of the method:

- "fast", "default": the masks of `sds.priors.stem_masks`, one pass.
- "accurate": those masks, corrected by the diffusion model, which is told the mixture and begins at
  what they took (DiCoSe: diffusion that refines a fast separator). The mean of `SAMPLES` samples.
  On the sound fonts of the training it is better than the masks alone, on another one worse.
- "projection", "dirac", "gaussian": no masks of a network, no mixture told: the model of how four
  tracks sound together, held to the mixture at each step, as MSDM does it (Mariani et al. 2023,
  arXiv 2302.02257), where powers add up: on the bands (`_held_to`).

All end in masks on the mixture's own spectrum, so that stems add up to it at any rate, in any
number of channels. In two channels the masks say where each stem is between the loudspeakers, and a
multichannel Wiener filter takes it from there: +1.5 dB where they are panned by up to a third of
the way, +2.9 dB by up to seven tenths (`fast`, 8 windows of 8 s of held-back songs, panned at
random).
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional as F

from sds.multitrack import waveforms
from sds.multitrack.base import STEMS, MultiTrackModel
from sds.multitrack.waveforms import separate_waveforms_stepwise
from sds.priors.multi_source import MultiSource
from sds.priors.multi_track import (
    PAIR,
    VECTOR,
    WINDOW,
    MultiTrackPrior,
    Told,
    refined,
)
from sds.priors.stem_masks import gain_to_level
from sds.samplers.churned_steps import churned_steps, level_of, lowered, noise_like, raised
from sds.samplers.schedules import karras
from sds.separation.multichannel_wiener import SURE, covariances, multichannel_wiener
from sds.signal.audio_files import mono, resample
from sds.signal.band_levels import (
    HOP,
    RATE,
    N,
    band_powers,
    between,
    hats,
    stft,
    to_levels,
    to_powers,
)
from sds.signal.overlap_add import fades, spans

METHODS = ("fast", "default", "accurate", "projection", "dirac", "gaussian")
SAMPLES = {"accurate": 8}
STEPS = {"accurate": 8, "projection": 20, "dirac": 150, "gaussian": 150}
SOFTNESS = 0.8  # of the log-shares of masks: instruments not heard in training make them too sure
START = 1.5  # noise level at which the refinement of the masks begins
UNIT = 8  # frames of which the model takes a whole number
CHURN = {"projection": 20.0, "dirac": 20.0, "gaussian": 40.0}
COUPLING = 0.75  # of "gaussian": the mixture's deviation, relative to the noise level
LEAST = 1e-12  # power


def take_apart_stepwise(
    model: MultiTrackModel,
    mix: Tensor,
    rate: int,
    *,
    method: str = "default",
    steps: int | None = None,
    generator: torch.Generator,
) -> Generator[float, None, dict[str, Tensor]]:
    """Each of the four stems [C, T] of a mixture [C, T] at `rate` Hz; they add up to it.

    `steps` are evaluations of the model for each sample. Yields the fraction that is done. Raises
    `ValueError` for another method. Multi-source diffusion has methods of its own
    (`sds.multitrack.waveforms`).
    """
    if isinstance(model, MultiSource):
        own = _of_waveforms(method, steps)
        return (
            yield from separate_waveforms_stepwise(
                model, mix, rate, method=own, generator=generator
            )
        )
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}, got {method!r}")
    mid = mono(mix[None])
    mid = resample(mid, rate, RATE) if rate != RATE else mid
    mid = mid * gain_to_level(mid)
    power = band_powers(stft(mid))
    power = F.pad(power, (0, -power.shape[-1] % (PAIR * UNIT)))
    logits = model.masks.logits(to_levels(power))
    yield 0.05
    if method not in ("fast", "default"):
        windows = spans(power.shape[-1] // (PAIR * UNIT), WINDOW // UNIT)
        total = torch.zeros_like(logits)
        for index, ((begin, end), fade) in enumerate(zip(windows, fades(windows), strict=True)):
            frames = slice(begin * PAIR * UNIT, end * PAIR * UNIT)
            weight = fade.repeat_interleave(PAIR * UNIT)
            part = logits[..., frames], power[..., frames]
            for done, made in _window(model, *part, method, steps, generator):
                yield 0.05 + 0.95 * (index + done) / len(windows)
                last = made
            total[..., frames] += weight * last
        logits = total
    if method in ("fast", "default", *SAMPLES):
        logits = SOFTNESS * logits
    stems = masked(mix, rate, logits[0].softmax(0))
    return dict(zip(STEMS, stems, strict=True))


def _of_waveforms(method: str, steps: int | None) -> waveforms.Method:
    """A method of multi-source diffusion by its name, with another number of levels where said."""
    if method not in waveforms.METHODS:
        known = ", ".join(waveforms.METHODS)
        raise ValueError(f"method must be one of {known} for a model of waveforms, got {method!r}")
    chosen = waveforms.METHODS[method]
    return chosen if steps is None else replace(chosen, steps=max(2, steps))


def masked(mix: Tensor, rate: int, shares: Tensor) -> Tensor:
    """Stems [K, C, T] of a mixture [C, T] at `rate` Hz by their shares [K, 128, L] of the bands of
    `sds.signal.band_levels`, which add up to 1; what is above the last band is shared as that is.
    """
    n = 2 * round(N * rate / RATE / 8) * 4
    hop = n // 4
    window = torch.hann_window(n)
    spectrum = torch.stft(mix, n, hop, window=window, pad_mode="constant", return_complex=True)
    frames = torch.arange(spectrum.shape[-1]) * hop * RATE / rate / HOP
    low = frames.floor().long().clamp(0, shares.shape[-1] - 1)
    high = (low + 1).clamp_max(shares.shape[-1] - 1)
    between = (frames - low).clamp(0, 1)
    spread = hats(torch.arange(n // 2 + 1) * rate / n * (N / RATE)).T
    here = torch.stack(
        [spread @ (share[:, low] * (1 - between) + share[:, high] * between) for share in shares]
    )
    if len(mix) == 2:
        parts = multichannel_wiener(here, covariances(here**SURE, spectrum), spectrum)
    else:
        parts = here[:, None] * spectrum
    return torch.stack(
        [torch.istft(part, n, hop, window=window, length=mix.shape[-1]) for part in parts]
    )


def _window(
    model: MultiTrackPrior,
    logits: Tensor,
    power: Tensor,
    method: str,
    steps: int | None,
    generator: torch.Generator,
) -> Iterator[tuple[float, Tensor]]:
    """The fraction done of one window, and logits [1, 4, 128, L] of its masks so far."""
    count = steps or STEPS[method]
    if method in SAMPLES:
        yield from _refine(model, logits, power, SAMPLES[method], count, generator)
    else:
        yield from _sample(model, power, method, count, generator)


def _refine(
    model: MultiTrackPrior,
    logits: Tensor,
    power: Tensor,
    samples: int,
    steps: int,
    generator: torch.Generator,
) -> Iterator[tuple[float, Tensor]]:
    """Masks corrected by the model, which is told the mixture: log-shares are averaged over the
    samples and over the second half of the steps.
    """
    taken = logits.softmax(1).square() * power[:, None]
    told = Told(
        torch.zeros(samples, VECTOR),
        to_levels(power[..., ::PAIR]).expand(samples, -1, -1),
        logits.expand(samples, -1, -1, -1),
    )
    sigmas = karras(steps, model.sigmas[0], START)
    x = model.encode(taken[..., ::PAIR]).expand(samples, -1, -1, -1)
    x = x + sigmas[0] * noise_like(x, generator)
    corrections: list[Tensor] = []
    for step in churned_steps(sigmas, churn=0.0, resamples=1):
        d, correction = model.correct(x, level_of(x, step.hat), told)
        if step.done > steps // 2:
            corrections.append(correction.mean(0, keepdim=True))
        x = lowered(x, (x - d) / step.hat, step, generator)
        best = torch.stack(corrections or [correction.mean(0, keepdim=True)]).mean(0)
        yield step.done / steps, refined(logits, best)


def _sample(
    model: MultiTrackPrior, power: Tensor, method: str, steps: int, generator: torch.Generator
) -> Iterator[tuple[float, Tensor]]:
    """Log powers of a sample that is held to the mixture's powers on the bands."""
    mixture = power[..., ::PAIR]
    told = Told(torch.zeros(1, VECTOR))
    x = mixture.new_zeros(1, len(STEMS), *mixture.shape[1:])
    sigmas = karras(steps, *model.sigmas)
    x = sigmas[0] * noise_like(x, generator)
    for step in churned_steps(sigmas, churn=CHURN[method], resamples=1):
        x = raised(x, step, generator)
        d = model.denoise(x, level_of(x, step.hat), told)
        d = _held_to(model, d, mixture, method, step.hat)
        x = lowered(x, (x - d) / step.hat, step, generator)
        yield step.done / steps, _shared(model, d)


def _held_to(
    model: MultiTrackPrior, d: Tensor, mixture: Tensor, method: str, sigma: float
) -> Tensor:
    """An estimate d [1, 4, 128, L] of the state whose powers add up to the mixture's [1, 128, L].

    "projection" scales all alike in power, "dirac" gives the loudest track what the others leave,
    "gaussian" goes as far as the noise level allows, 1 / (1 + (2 COUPLING^2 sigma^2)).
    """
    powers = to_powers(model.levels(d))
    total = powers.sum(1, keepdim=True)
    if method == "dirac":
        loudest = int(powers.sum((0, 2, 3)).argmax())
        rest = total[:, 0] - powers[:, loudest]
        powers[:, loudest] = (mixture - rest).clamp_min(LEAST)
    else:
        ratio = mixture[:, None] / total.clamp_min(LEAST)
        if method == "gaussian":
            ratio = ratio.clamp_min(LEAST) ** (1 / (1 + 2 * COUPLING**2 * sigma**2))
        powers = powers * ratio
    return model.network.white(to_levels(powers))


def _shared(model: MultiTrackPrior, d: Tensor) -> Tensor:
    """Logits [1, 4, 128, 2 L] of the shares that tracks d [1, 4, 128, L] have in their sum."""
    return between(to_powers(model.levels(d)).clamp_min(LEAST).log())
