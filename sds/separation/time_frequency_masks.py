"""Separation by time-frequency masks: softmax over K prompts and the rest, shaped by a prior.

Masks act on the complex mixture spectrogram, so whatever they are, the stems and the residual sum
to the mixture and keep its phase. They are the same for both channels; where those differ, sources
may be told apart by their places as well (`sds.separation.multichannel_wiener`). A stereo prior
hears both channels of a stereo mixture, a mono prior their mean; powers are means over channels.

With several prompts the mixture is factorised into spectra that come back (`sds.separation.nmf`),
and each is shared out: by how well it fits the prior's estimates for each prompt, by the shares of
a network trained to separate by prompts (`sds.separation.query_network`), and by the search
scorer's embeddings of the stems (`sds.separation.clap_assignment`). Without components, and for a
lone prompt, masks come from annealing all sources jointly: noise each masked source, denoise it for
its prompt and away from another source's, mask the mixture anew by the powers of the results, and
again with less noise. That is MSDM's sampling (Mariani et al. 2023, arXiv 2302.02257) with a
projection on the mixture in place of its Dirac score. Decoder-SDS may move the masks' logits from
there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional as F

from sds.distillation.sds_targets import as_loud_as, target
from sds.priors.base import Cond, Prior, classifier_free_guidance, device_of, repeat
from sds.separation import component_assignment
from sds.separation.base import FLOOR, N, WindowProgress
from sds.separation.mask_settings import Masks, uses_components
from sds.separation.multichannel_wiener import wiener_stems
from sds.separation.networks import NO_NETWORKS, Networks
from sds.separation.prompted_estimates import prompted_powers
from sds.signal.adam import Adam
from sds.signal.audio_files import mono, peak_gain, resample, with_channels
from sds.signal.spectrogram import istft, magnitudes, relative_distance, stft


def masked_stems(
    prior: Prior,
    prompts: Sequence[str],
    mix: Tensor,
    rate: int,
    *,
    method: Masks,
    generator: torch.Generator,
    networks: Networks = NO_NETWORKS,
) -> Iterator[WindowProgress]:
    """Separate one window mix [C, T] at `rate` Hz into stems [K, C, T] by masks from what the prior
    hears of it.
    """
    recipe = method.recipe
    mid = heard_by(prior, mix, rate)
    if recipe.peak:  # masks do not care how loud the mixture is, the prior does
        mid = mid * peak_gain(mid, recipe.peak)
    spectrum = stft(mid, N)  # [1, C', F, N]
    if not method.query:
        networks = replace(networks, query=None)
    if networks.query is None and not method.estimates:
        method = replace(method, estimates=1)  # without evidence there are no masks
    if uses_components(method, len(prompts), networks.query is not None):
        first = component_assignment.count_steps(
            prior, len(prompts), mid.shape[-1], networks, method
        )
        work = component_assignment.assign_components(
            prior, prompts, mid, spectrum, networks, method, generator
        )
    else:
        first = method.draws * method.rounds
        work = anneal(prior, prompts, mid, spectrum, method, generator)
    count = first + recipe.steps + 1
    logits = torch.zeros(0)
    for i, estimate in enumerate(work, start=1):
        logits = estimate
        yield WindowProgress(i / count, "estimate", {})

    if recipe.steps:
        steps = refine(prior, prompts, mid, spectrum, logits, method=method, generator=generator)
        for i, (moved, loss) in enumerate(steps, start=first + 1):
            logits = moved
            yield WindowProgress(i / count, "refine", {"loss": loss})
    masks = logits.softmax(0)[:-1]
    stems = apply(masks, mix, rate, prior.sample_rate, spatial=method.spatial)
    yield WindowProgress(1.0, "stems", {}, stems)


def heard_by(prior: Prior, mix: Tensor, rate: int) -> Tensor:
    """Audio [1, C', T'] that a prior hears of mix [C, T] at `rate` Hz: left and right where both
    are stereo, else one channel, as often as the prior has channels.
    """
    heard = mix if len(mix) == prior.channels == 2 else mono(mix)[None]
    return with_channels(resample(heard, rate, prior.sample_rate)[None], prior.channels)


def anneal(
    prior: Prior,
    prompts: Sequence[str],
    mid: Tensor,
    spectrum: Tensor,
    method: Masks,
    generator: torch.Generator,
) -> Iterator[Tensor]:
    """Logits [K + 1, F, N] of masks by annealing all sources of mid [1, C', T] jointly; after each
    round.

    `spectrum` [1, C', F, N] is that of mid.
    """
    guidance = method.recipe.guidance
    seconds = mid.shape[-1] / prior.sample_rate
    cond, uncond = prior.embed(prompts, seconds), prior.embed([""], seconds)
    mixture = spectrum.abs().square().mean(1)[0]  # [F, N]
    # Several prompts are taken to leave nothing over: a share for the rest would cost every stem.
    # A lone one competes with none: its level decides, which one step from t > 0.5 loses.
    alone = len(prompts) == 1
    rest, steps = (method.rest, 16) if alone else (0.0, 1)
    low, high = method.levels
    powers, counted = torch.zeros(len(prompts), *mixture.shape), 0
    sources = mid.expand(len(prompts), -1, -1)  # [K, C', T']
    for i in range(method.draws * method.rounds):
        done = i % method.rounds
        if done == 0:
            sources = mid.expand(len(prompts), -1, -1)
        other = uncond if alone else rotate_conditions(cond, 1 + i % (len(prompts) - 1))
        t = low if alone else high + (low - high) * done / max(1, method.rounds - 1)
        denoise = classifier_free_guidance(prior, cond, other, guidance)
        new = prompted_powers(prior, denoise, sources, t=t, steps=steps, generator=generator)
        if not alone:
            new = new * (mixture.sum() / new.sum().clamp_min(1e-12))
        if done >= method.rounds // 2:
            powers, counted = powers + new, counted + 1
        estimate = prompted_logits(new, mixture, rest=rest, power=method.power)
        sources = istft(estimate.softmax(0)[:-1, None] * spectrum, N, mid.shape[-1])
        mean = powers / counted if counted else new
        yield prompted_logits(mean, mixture, rest=rest, power=method.power)


def rotate_conditions(cond: Cond, by: int) -> Cond:
    """Rotate tensors [K, ...] by `by` rows: for each source the prompt of another."""
    return {name: value.roll(-by, 0) for name, value in cond.items()}


def prompted_logits(powers: Tensor, mixture: Tensor, *, rest: float, power: float) -> Tensor:
    """Logits [K + 1, F, N] of masks |T_k|^p / sum_j |T_j|^p from powers [K, F, N], the last one the
    rest.

    The rest is a share of what the prompts leave of the mixture's power [F, N] over some 350 Hz and
    0.2 s (both are random from bin to bin: their difference there means nothing).
    """
    left = _blur(mixture - powers.sum(0)).clamp_min(0)
    everything = torch.cat([powers, rest * left[None]]) + FLOOR * mixture + 1e-12
    return power / 2 * everything.log()


def _blur(x: Tensor, bins: int = 8, frames: int = 8) -> Tensor:
    """Mean of x [F, N] over +-bins and +-frames."""
    kernel = (2 * bins + 1, 2 * frames + 1)
    return F.avg_pool2d(x[None], kernel, 1, (bins, frames), count_include_pad=False)[0]


def refine(
    prior: Prior,
    prompts: Sequence[str],
    mid: Tensor,
    spectrum: Tensor,
    logits: Tensor,
    *,
    method: Masks,
    generator: torch.Generator,
) -> Iterator[tuple[Tensor, float]]:
    """Refine mask logits [K + 1, F, N] by Decoder-SDS: coarse corrections first, then fine ones.

    Of mid [1, C', T] with its spectrum [1, C', F, N]. The loss is L_rec(sum of stems, mixture) +
    gamma * sum of L_SDS(stem), as in `sds.separation.audio_sds`; here the first term says only that
    the residual should not swallow what a prompt can explain.

    Yields the corrected logits and the loss after each step. No network is differentiated.
    """
    seconds = mid.shape[-1] / prior.sample_rate
    cond, uncond = prior.embed(prompts, seconds), prior.embed([""], seconds)
    cond = repeat(cond, method.recipe.samples)
    recipe, frames = method.recipe, mid.shape[-1]
    denoise, backwards = (
        classifier_free_guidance(prior, cond, uncond, scale, phi=recipe.phi)
        for scale in (recipe.guidance, -recipe.guidance)
    )
    invert = backwards if recipe.inversion else None
    home, device = logits.device, device_of(prior)
    mid, spectrum, logits = mid.to(device), spectrum.to(device), logits.to(device)
    k, grid = len(logits) - 1, logits.shape[1:]
    shrunk = [max(1, -(-size // by)) for size, by in zip(grid, method.coarse, strict=True)]
    change = torch.zeros(k + 1, *shrunk, device=device, requires_grad=True)
    adam = Adam(change, lr=recipe.lr)
    base, wanted = logits, [torch.zeros(0)]
    whole = magnitudes(mid, recipe.scales)
    for i in range(recipe.steps):
        if i == recipe.steps // 2:
            base = (base + _stretch(change, grid)).detach()
            change = torch.zeros_like(base, requires_grad=True)
            adam = Adam(change, lr=recipe.lr)
        masks = (base + _stretch(change, grid)).softmax(0)[:-1]
        x = istft(masks[:, None] * spectrum, N, frames)  # [K, C', T']
        if i % recipe.refresh == 0:
            low, high = recipe.t_range
            t = torch.full((k * recipe.samples,), high + (low - high) * i / recipe.steps)
            wanted = target(
                prior, denoise, x.detach(), t=t, recipe=recipe, generator=generator, invert=invert
            )
            wanted = as_loud_as(magnitudes(x.detach(), recipe.scales), wanted)
        spectra = magnitudes(x, recipe.scales)
        l_sds = relative_distance(spectra, wanted, log_weight=recipe.log_weight).sum()
        total = magnitudes(x.sum(0, keepdim=True), recipe.scales)
        l_rec = relative_distance(total, whole, log_weight=recipe.log_weight).sum()
        loss = l_rec + method.gamma * l_sds
        adam.zero_grad()
        torch.autograd.backward([loss + method.smooth * _variation(change)], inputs=[change])
        adam.step()
        yield (base + _stretch(change, grid)).detach().to(home), float(loss.detach())


def apply(
    masks: Tensor, mix: Tensor, rate: int, mask_rate: int, *, spatial: bool = False
) -> Tensor:
    """Apply masks [K, F, N] made at `mask_rate` Hz to mix [C, T] at `rate` Hz: stems [K, C, T].

    At another rate the masks are interpolated in Hz and seconds; what lies above the masks' top
    frequency goes to no stem. `spatial` separates a stereo mix by the sources' places as well.
    """
    n = 4 * max(1, round(N * rate / mask_rate / 4))
    spectrum = stft(mix[None], n)  # [1, C, F', N']
    if rate != mask_rate:
        bins = torch.arange(spectrum.shape[2]) * (rate / n) * (N / mask_rate)
        frames = torch.arange(spectrum.shape[3]) * (n / rate) / (N / mask_rate)
        top = masks.shape[1] - 1
        masks = _interpolate(_interpolate(masks, bins, 1), frames, 2) * (bins <= top)[:, None]
    if spatial and len(mix) == 2:
        return istft(wiener_stems(masks, spectrum[0]), n, mix.shape[-1])
    return istft(masks[:, None] * spectrum, n, mix.shape[-1])


def _interpolate(x: Tensor, positions: Tensor, dim: int) -> Tensor:
    """Linear interpolation of x at fractional indices along `dim`; the edges are held."""
    positions = positions.clamp(0, x.shape[dim] - 1)
    low = positions.floor().long()
    high = (low + 1).clamp_max(x.shape[dim] - 1)
    share = (positions - low).reshape([-1 if d == dim else 1 for d in range(x.ndim)])
    return x.index_select(dim, low) * (1 - share) + x.index_select(dim, high) * share


def _stretch(change: Tensor, grid: torch.Size) -> Tensor:
    if change.shape[1:] == grid:
        return change
    return F.interpolate(change[None], size=tuple(grid), mode="bilinear", align_corners=True)[0]


def _variation(x: Tensor) -> Tensor:
    """Mean total variation along frequency and time."""
    parts = [x.diff(dim=dim).abs().mean() for dim in (1, 2) if x.shape[dim] > 1]
    return torch.stack([*parts, x.sum() * 0]).sum()
