"""Suite `separate`: each stem against its true source, over the full clip and over the first half.

A row is one source of one mixture under one method. The stems of a mixture are made by the task
that first needs them, and kept in the setting's scratch folder for its other sources. Methods that
are told the true sources say so in `BASELINES`; the others get the mixture and the prompts.

A row "NAME, shuffled prior" is the method with the same seed, by a prior whose network has its
weights in random places (`sds.priors.shuffled`): what is not better than that row, the prior did
not do. `fast` has none: it does not use the model. Differences between the two are of mixtures,
each the mean over its sources.

A source is silent in a span (full clip, first half) when it is 60 dB below the mixture there:
no ratio is taken, `silent` counts it and `leak_db` says how loud its stem is against the mixture.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import permutations
from pathlib import Path
from statistics import fmean

import numpy as np
import torch
from scipy.ndimage import median_filter
from torch import Tensor

from sds.datasets.evaluation_items import Mixture, mixtures, stems
from sds.metrics.separation import (
    bss_sdr,
    level_db,
    museval_sdr,
    null_db,
    sdr,
    si_sdr,
    si_sdr_improvement,
)
from sds.priors.shuffled import shuffled
from sds.scoreboard.board import Column, Figures, Row, Setting, Task
from sds.scoreboard.paired import SHUFFLED, paired_difference
from sds.separation.audio_sds import LATENTS, Latents
from sds.separation.base import N
from sds.separation.dgmo import REFERENCES
from sds.separation.mask_settings import BEST, DEFAULT, FAST, MASKS, SDI
from sds.separation.separate import Method, asks_prior, separate
from sds.separation.zerosep import zerosep_estimate
from sds.signal.spectrogram import istft, shares, stft

FOR_TWO = ("harmonic/percussive", "paper")  # the paper reports two sources
HARMONIC, NMF_COMPONENTS, NMF_STEPS = 31, 16, 200
SILENT_DB = -60.0

Baseline = Callable[[Mixture, int, int], Tensor]
"""(mixture, STFT window in samples, seed) -> stems [K, C, T]."""


def mixture_as_sources(mixture: Mixture, n: int, seed: int) -> Tensor:
    """The mixture as the estimate of every source."""
    return mixture.audio.expand(len(mixture.sources), -1, -1)


def harmonic_percussive(mixture: Mixture, n: int, seed: int) -> Tensor:
    """Median-filter split (Fitzgerald 2010): masks H^2, P^2 / (H^2 + P^2), medians of 31 bins.

    Two outputs, given to the two sources in the order of the higher SI-SDR: the order is an oracle.
    """
    spectrum = stft(mixture.audio[None], n)
    power = spectrum.abs().square().mean(1)[0]  # [F, L]
    medians = [
        torch.from_numpy(median_filter(power.sqrt().numpy(), size=size, mode="reflect"))
        for size in ((1, HARMONIC), (HARMONIC, 1))
    ]
    split = _apply_masks(shares(torch.stack(medians).square()), spectrum, n, mixture)
    truth = torch.stack(mixture.sources).flatten(1)
    best = max(
        permutations(range(2)),
        key=lambda order: float(si_sdr(split[list(order)].flatten(1), truth).nanmean()),
    )
    return split[list(best)]


def nmf_sources(mixture: Mixture, n: int, seed: int) -> Tensor:
    """NMF of the magnitudes under the KL divergence (Lee & Seung 2001), 16 components a source.

    A component goes to the source whose true magnitudes it correlates with most: an oracle. The
    masks are the shares of each source's components in the sum of all.
    """
    from sklearn.decomposition import NMF
    from sklearn.exceptions import ConvergenceWarning

    spectrum = stft(mixture.audio[None], n)
    magnitude = spectrum.abs().square().mean(1)[0].sqrt().double().numpy()  # [F, L]
    model = NMF(
        min(NMF_COMPONENTS * len(mixture.sources), *magnitude.shape),
        solver="mu",
        beta_loss="kullback-leibler",
        init="nndsvda",
        max_iter=NMF_STEPS,
        random_state=seed,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the number of steps is fixed
        shapes = torch.from_numpy(model.fit_transform(magnitude))  # [F, P]
    gains = torch.from_numpy(model.components_)  # [P, L]
    truth = _powers(mixture, n).sqrt().double()  # [K, F, L]
    # <w h, S> / (|w h| |S|), without the factor |w h| that all sources share
    alike = torch.einsum("fp,kfl,pl->kp", shapes, truth, gains) / (
        truth.flatten(1).norm(dim=1)[:, None] + 1e-12
    )
    owner = torch.nn.functional.one_hot(alike.argmax(0), len(truth)).double()  # [P, K]
    models = torch.einsum("fp,pl,pk->kfl", shapes, gains, owner)
    return _apply_masks(shares(models).float(), spectrum, n, mixture)


def ideal_mask(mixture: Mixture, n: int, seed: int) -> Tensor:
    """Masks |S_k|^2 / sum_j |S_j|^2 of the true powers: what masks of this STFT may reach."""
    return _apply_masks(shares(_powers(mixture, n)), stft(mixture.audio[None], n), n, mixture)


BASELINES: dict[str, Baseline] = {
    "mixture": mixture_as_sources,
    "harmonic/percussive": harmonic_percussive,
    "NMF": nmf_sources,
    "ideal mask": ideal_mask,
}

# The ladder. Of the paper's 1000 steps with 10 noise draws, two cores do 16 on 10 s in 2 minutes.
# 100 steps of one draw take as long.
PROMPTED: dict[str, Method] = {
    "paper": replace(LATENTS, recipe=replace(LATENTS.recipe, steps=100, samples=1)),
    "masks": MASKS,
    "inversion": replace(MASKS, estimator=zerosep_estimate, estimates=1),
    "references": REFERENCES,
    "SDI": replace(DEFAULT, recipe=SDI),
    "ranked": replace(DEFAULT, candidates=4, kept=1),
    "fast": FAST,
    "default": DEFAULT,
    "best": BEST,
}


def suite(setting: Setting) -> list[Task]:
    """One task for each source of each mixture under each method."""
    found = [("mixtures", mixture) for mixture in mixtures(setting.data, setting.items)]
    found += [("stems", mixture) for mixture in stems(setting.data, setting.items)]
    return [
        Task(f"{mixture.name} / {prompt}", name, partial(_run, setting, mixture, name, k), (tag,))
        for tag, mixture in found[: setting.items]
        for name in (*BASELINES, *_prompted(setting, len(mixture.sources)))
        if name not in FOR_TWO or len(mixture.sources) == 2
        for k, prompt in enumerate(mixture.prompts)
    ]


def _prompted(setting: Setting, sources: int) -> list[str]:
    """The names of the methods that are given prompts, each followed by its control.

    There is none for a method that does not use the prior, and none without a network to shuffle.
    """
    whole = hasattr(setting.prior, "network")
    names = []
    for name, method in PROMPTED.items():
        names.append(name)
        if whole and asks_prior(method, sources, setting.networks):
            names.append(name + SHUFFLED)
    return names


def _run(setting: Setting, mixture: Mixture, name: str, k: int) -> Iterator[Figures]:
    path = setting.scratch / "separate" / name.replace("/", "-") / f"{mixture.name}.npy"
    if not path.exists():
        yield from _make(setting, mixture, name, path)
    parts = torch.from_numpy(np.load(path))  # [K + 1, C, T]
    figures = scores(mixture, parts[:-1], k)
    figures["null_db"] = null_db(mixture.audio, parts)
    figures["seconds"] = float(path.with_suffix(".seconds").read_text())
    method = PROMPTED.get(name.removesuffix(SHUFFLED))
    if isinstance(method, Latents):
        figures["steps"] = float(method.recipe.steps)
    yield figures


def _make(setting: Setting, mixture: Mixture, name: str, path: Path) -> Iterator[Figures]:
    """Write the stems and the residual [K + 1, C, T], last of all; yields as it goes."""
    start = time.perf_counter()
    known = name.removesuffix(SHUFFLED)  # the control has the same random numbers
    generator = setting.generator("separate", mixture.name, known)
    if name in BASELINES:
        n = 4 * max(1, round(N * mixture.rate / setting.prior.sample_rate / 4))
        seed = int(torch.randint(2**31, (), generator=generator))
        made = BASELINES[name](mixture, n, seed)
        parts = torch.cat([made, (mixture.audio - made.sum(0))[None]])
    else:
        work = separate(
            setting.prior if name == known else shuffled(setting.prior),
            mixture.prompts,
            mixture.audio,
            mixture.rate,
            method=PROMPTED[known],
            generator=generator,
            networks=setting.networks,
        )
        for now in work:
            yield {}
            if now.stems is not None and now.residual is not None:
                parts = torch.cat([now.stems, now.residual[None]])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_suffix(".seconds").write_text(str(time.perf_counter() - start))
    unfinished = path.with_suffix(".part.npy")
    np.save(unfinished, parts.numpy())
    unfinished.replace(path)


def scores(mixture: Mixture, estimates: Tensor, k: int) -> dict[str, float]:
    """Figures of source k for estimates [K, C, T]; those of the first half end in _half."""
    truth, figures, silent = torch.stack(mixture.sources), {}, 0
    for ending, samples in (("", truth.shape[-1]), ("_half", truth.shape[-1] // 2)):
        s, e, x = truth[..., :samples], estimates[..., :samples], mixture.audio[:, :samples]
        if level_db(s[k], x) < SILENT_DB:
            silent += 1
            figures[f"leak_db{ending}"] = level_db(e[k], x)
            continue
        reference, estimate, mix = s[k].flatten(), e[k].flatten(), x.flatten()
        found = {
            "sdr": sdr(estimate, reference),
            "si_sdr": si_sdr(estimate, reference),
            "si_sdri": si_sdr_improvement(estimate, reference, mix),
            "museval_sdr": museval_sdr(e, s, mixture.rate)[k],
            "bss_sdr": bss_sdr(estimate, reference),
        }
        figures |= {f"{key}{ending}": float(v) for key, v in found.items() if v.isfinite()}
    return {**figures, "silent": float(silent)}


def findings(rows: Sequence[Row]) -> list[str]:
    """What the trained prior is worth under each method that was asked both ways, over mixtures."""
    of_mixtures = _mean_over_sources(rows)
    methods = list(dict.fromkeys(row.method for row in rows))
    said = []
    for name in PROMPTED:
        if name + SHUFFLED in methods:
            difference = paired_difference(of_mixtures, "si_sdr", name, name + SHUFFLED)
            said.append(f"SI-SDR (dB), {name}, trained rather than shuffled prior: {difference}")
        elif name in methods and any(method.endswith(SHUFFLED) for method in methods):
            said.append(f"{name} does not use the model")
    return said


def _mean_over_sources(rows: Sequence[Row]) -> list[Row]:
    """A row for each mixture and method: the means of its sources' figures."""
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.item.partition(" / ")[0], row.method), []).append(row)
    return [
        Row("separate", mixture, method, {
            name: fmean(row.figures[name] for row in group if name in row.figures)
            for name in dict.fromkeys(name for row in group for name in row.figures)
        })
        for (mixture, method), group in groups.items()
    ]  # fmt: skip


def _powers(mixture: Mixture, n: int) -> Tensor:
    """Power [K, F, L] of each true source, a mean over channels."""
    return stft(torch.stack(mixture.sources), n).abs().square().mean(1)


def _apply_masks(masks: Tensor, spectrum: Tensor, n: int, mixture: Mixture) -> Tensor:
    """Stems [K, C, T] of the mixture's spectrum [1, C, F, L] under masks [K, F, L]."""
    return istft(masks[:, None] * spectrum, n, mixture.audio.shape[-1])


COLUMNS = (
    Column("sdr", "SDR (dB)", 1, "higher"),
    Column("si_sdr", "SI-SDR (dB)", 1, "higher"),
    Column("si_sdri", "SI-SDRi (dB)", 1, "higher"),
    Column("museval_sdr", "museval SDR (dB)", 1, "higher"),
    Column("bss_sdr", "BSSEval SDR, 512 taps (dB)", 1, "higher"),
    Column("sdr_half", "SDR, first half (dB)", 1, "higher"),
    Column("si_sdr_half", "SI-SDR, first half (dB)", 1, "higher"),
    Column("si_sdri_half", "SI-SDRi, first half (dB)", 1, "higher"),
    Column("museval_sdr_half", "museval SDR, first half (dB)", 1, "higher"),
    Column("silent", "silent spans (full, half)", 1),
    Column("leak_db", "leakage where silent (dB)", 1, "lower"),
    Column("null_db", "null (dB)", 0, "lower"),
    Column("seconds", "seconds", 0, "lower"),
    Column("steps", "steps", 0),
)
