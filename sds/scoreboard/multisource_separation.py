"""Taking clips of four stems apart: the methods that suite `multisource` compares, and what it
measures of their stems.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import torch
from torch import Tensor

from sds.datasets.evaluation_items import Mixture
from sds.metrics.multi_source import multi_source_figures
from sds.metrics.separation import level_db, null_db, sdr, si_sdr_improvement
from sds.multitrack.base import STEMS
from sds.multitrack.take_apart import SAMPLES, STEPS, masked, take_apart_stepwise
from sds.scoreboard.board import Figures, Row, Setting
from sds.scoreboard.multisource_clips import Clip, drained, load, multi_track
from sds.scoreboard.multisource_nulls import LEARNED, UNLEARNED, WEAK, variant
from sds.scoreboard.separate import BASELINES, SILENT_DB
from sds.separation.base import N
from sds.separation.mask_settings import DEFAULT
from sds.separation.separate import separate
from sds.signal.audio_files import mono, resample
from sds.signal.band_levels import RATE, band_powers, stft

MSDM_RATE = 22050  # Hz, of the published protocol
PROMPTS = ("bass guitar", "drum kit", "electric guitar", "piano")  # in the order of `STEMS`
LEAST = 1e-12


@dataclass(frozen=True, slots=True)
class Separator:
    """A method of `sds.multitrack.take_apart`, its evaluations a sample (None: its own), the
    number of reserved clips that it is measured on (slow ones on few), and which model it asks.
    """

    method: str
    steps: int | None
    clips: int
    model: str = LEARNED

    @property
    def evaluations(self) -> int:
        """How often the model is asked for a window."""
        return SAMPLES.get(self.method, 1) * (self.steps or STEPS.get(self.method, 0))


SEPARATORS = {
    "fast": Separator("fast", None, 40),
    "accurate": Separator("accurate", None, 20),
    "projection, 20 evaluations": Separator("projection", 20, 20),
    "Dirac, 20 evaluations": Separator("dirac", 20, 8),
    "Dirac, 150 evaluations": Separator("dirac", 150, 4),
    "Gaussian, 20 evaluations": Separator("gaussian", 20, 8),
    "Gaussian, 150 evaluations": Separator("gaussian", 150, 4),
    "accurate, shuffled weights": Separator("accurate", None, 4, UNLEARNED),
    "projection, 20 evaluations, weak": Separator("projection", 20, 4, WEAK),
}
DIFFUSION = tuple(name for name in SEPARATORS if name != "fast")

MIXTURE, NMF, IDEAL = "mixture", "NMF, told the sources", "ideal masks"
IDEAL_BANDS, BY_PROMPTS = "ideal masks on 128 bands", "default by prompts"
COMPARED = {MIXTURE: 40, NMF: 8, IDEAL: 40, IDEAL_BANDS: 40, BY_PROMPTS: 2}
"""What stands beside them, and on how many reserved clips."""

PUBLISHED: Mapping[str, Sequence[float]] = {
    "published, Slakh2100: MSDM Dirac": (17.12, 18.68, 15.38, 14.73),
    "published, Slakh2100: MSDM Gaussian": (13.93, 17.92, 14.19, 12.11),
    "published, Slakh2100: weak MSDM Dirac": (19.36, 20.90, 14.70, 14.13),
    "published, Slakh2100: MT-MusicLDM Dirac": (3.26, 3.63, 2.79, 2.58),
    "published, Slakh2100: MT-MusicLDM Gaussian": (3.23, 3.07, 1.97, 2.53),
}
"""SI-SDR improvement in dB of bass, drums, guitar and piano on test tracks of Slakh2100: Mariani et
al. 2023 (arXiv 2302.02257v4) and Karchkhadze et al. 2024 (arXiv 2409.02845)."""


def separated(setting: Setting, clip: Clip, name: str) -> Iterator[Figures]:
    """Figures of a clip under the method called `name`, once it is done."""
    yield {}
    mixture, start = load(clip), time.perf_counter()
    stems = yield from _stems(setting, mixture, name)
    seconds = time.perf_counter() - start
    figures = scores(mixture, stems, clip.sounding)
    if name in SEPARATORS:
        figures["evaluations"] = float(SEPARATORS[name].evaluations)
    if name in SEPARATORS or name == BY_PROMPTS:
        figures["seconds"] = seconds
    yield figures


def _stems(setting: Setting, mixture: Mixture, name: str) -> Generator[Figures, None, Tensor]:
    """Stems [4, C, T] in the order of `STEMS`."""
    generator = setting.generator("multisource", mixture.name, name)
    if name in SEPARATORS:
        how = SEPARATORS[name]
        work = take_apart_stepwise(
            variant(multi_track(setting), how.model),
            mixture.audio,
            mixture.rate,
            method=how.method,
            steps=how.steps,
            generator=generator,
        )
        found = yield from drained(work)
        return torch.stack([found[stem] for stem in STEMS])
    if name == BY_PROMPTS:
        return (yield from _by_prompts(setting, mixture, generator))
    if name == IDEAL_BANDS:
        return ideal_on_bands(mixture)
    n = 4 * max(1, round(N * mixture.rate / setting.prior.sample_rate / 4))  # as suite `separate`
    baseline = {MIXTURE: "mixture", NMF: "NMF", IDEAL: "ideal mask"}[name]
    return BASELINES[baseline](mixture, n, int(torch.randint(2**31, (), generator=generator)))


def _by_prompts(
    setting: Setting, mixture: Mixture, generator: torch.Generator
) -> Generator[Figures, None, Tensor]:
    """Stems [4, C, T] of the product's method for any prompts."""
    stems = torch.zeros(0)
    for now in separate(
        setting.prior,
        PROMPTS,
        mixture.audio,
        mixture.rate,
        method=DEFAULT,
        generator=generator,
        networks=setting.networks,
    ):
        yield {}
        if now.stems is not None:
            stems = now.stems
    return stems


def ideal_on_bands(mixture: Mixture) -> Tensor:
    """Stems [4, C, T] by the true shares of power on the bands that the model's masks have: what
    any mask of that grid may reach.
    """
    sources = resample(mono(torch.stack(mixture.sources)), mixture.rate, RATE)
    powers = band_powers(stft(sources)) + LEAST  # [4, 128, L]
    return masked(mixture.audio, mixture.rate, powers / powers.sum(0))


def scores(
    mixture: Mixture, estimates: Tensor, sounding: Sequence[str] = STEMS
) -> dict[str, float]:
    """Figures of estimates [4, C, T] of a mixture's sources, in dB.

    Stems that are 60 dB below the mixture, or not among those `sounding`, are left out of the
    means; `silent` counts them, and `leak_db` is the level of what was found of them below the
    mixture. The figures of the published protocol (`sds.metrics.multi_source`) are of 22 050 Hz.
    """
    improvements, plain, leaks = dict[str, float](), list[float](), list[float]()
    mix = mixture.audio
    for stem, true, found in zip(STEMS, mixture.sources, estimates, strict=True):
        if stem not in sounding or level_db(true, mix) < SILENT_DB:
            leaks.append(level_db(found, mix))
            continue
        e, s = found.flatten(), true.flatten()
        improvements[stem] = float(si_sdr_improvement(e, s, mix.flatten()))
        plain.append(float(sdr(e, s)))
    figures = {f"si_sdri_{stem}": value for stem, value in improvements.items()}
    if improvements:
        figures |= {"si_sdri": fmean(improvements.values()), "sdr": fmean(plain)}
    if leaks:
        figures["leak_db"] = fmean(leaks)
    null = null_db(mix, estimates)
    return {**figures, **_windows(mixture, estimates), "silent": float(len(leaks)), "null_db": null}


def _windows(mixture: Mixture, estimates: Tensor) -> dict[str, float]:
    """SI-SDR improvement as MSDM measures it, without the stems that are silent in a window, and
    with them as published.
    """
    found, true = (
        resample(mono(stems), mixture.rate, MSDM_RATE)
        for stems in (estimates, torch.stack(mixture.sources))
    )
    try:
        measured = multi_source_figures(found, true, MSDM_RATE)
    except ValueError:  # no window in which two stems sound
        return {}
    figures = {"windows_with_silent": float(measured.with_silent.mean())}
    if bool(measured.active.isfinite().any()):
        figures["windows"] = float(measured.active.nanmean())
    return figures


def published(name: str) -> Iterator[Figures]:
    """What a paper says of its method."""
    each = PUBLISHED[name]
    found = {f"si_sdri_{stem}": value for stem, value in zip(STEMS, each, strict=True)}
    yield {**found, "windows_with_silent": fmean(each)}


def difference(rows: Sequence[Row], name: str, other: str) -> tuple[float, int] | None:
    """How many dB more SI-SDR improvement method `name` has than `other` on the clips that both
    took apart, and how many these are; None for none.
    """
    found = {
        method: {
            row.item: row.figures["si_sdri"]
            for row in rows
            if row.method == method and "si_sdri" in row.figures
        }
        for method in (name, other)
    }
    both = found[name].keys() & found[other].keys()
    if not both:
        return None
    return fmean(found[name][item] - found[other][item] for item in both), len(both)


def findings(rows: Sequence[Row]) -> list[str]:
    """How methods compare on the same clips, of each set."""
    said = []
    for tag in dict.fromkeys(tag for row in rows for tag in row.tags):
        own = [row for row in rows if tag in row.tags and "si_sdri" in row.figures]
        over = {name: difference(own, name, "fast") for name in DIFFUSION}
        gains = [f"{name} {gap[0]:+.1f} dB ({gap[1]} clips)" for name, gap in over.items() if gap]
        if gains:
            said.append(f"{tag}, over fast on the same clips: {', '.join(gains)}.")
        gap = difference(own, "projection, 20 evaluations", "Dirac, 150 evaluations")
        if gap is not None:
            said.append(
                f"{tag}, projection at 20 evaluations over Dirac at 150: {gap[0]:+.1f} dB "
                f"({gap[1]} clips)."
            )
    return said
