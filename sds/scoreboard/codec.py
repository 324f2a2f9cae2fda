"""What the latents keep: recordings after encode and decode, and what that caps.

Each one-shot and each source of a mixture goes through `encode` and `decode`, once on its own
(`codec`) and once with the phase of the recording (`codec, phase given`). Beside them Griffin-Lim
on the true magnitudes (`true magnitudes`): what it loses, phase alone costs.

So do, where the data has train/captions.csv, at most 10 recordings of each of 22 classes: those
that nothing was trained on (`held back`), and, since these have no snare and no clock, kicks,
snares and clocks that the codec learned from and the evaluation scorer did not (`learned`). Of
each the first 3 s.

Attack is the rise of the energy from 10 % to 90 % of its peak at the loudest onset
(`sds.metrics.attack`), onset is where it begins; both in ms away from the recording's, where that
rises within 50 ms. Top-1 is how often the evaluation scorer picks the right class among those of
all one-shots, or among the 22; `as recorded` is that of the recordings themselves.

`separation` is what latents cap there, SI-SDR of the sources of each mixture: the true sources as
masks (`ideal masks`), the decoded sources as masks (`masks of decoded sources`), and the decoded
sources as they are, with the phase of the mixture (`decoded sources`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

import torch
from torch import Tensor
from torch.nn import functional as F

from sds.datasets.clips import Split
from sds.datasets.evaluation_items import Mixture, manifest, mixtures, one_shots, read_resampled
from sds.datasets.recordings import Recording
from sds.datasets.reference_statistics import CLASSES, recordings
from sds.metrics.attack import energy_envelope, rise
from sds.metrics.separation import si_sdr
from sds.priors.base import Prior
from sds.priors.spectral_codec import griffin_lim
from sds.priors.spectral_codec import stft as codec_stft
from sds.scoreboard.board import Column, Figures, Row, Setting, Task
from sds.separation.base import N
from sds.separation.time_frequency_masks import apply
from sds.signal.audio_files import resample, with_channels
from sds.signal.spectrogram import log_mel_distance, multi_scale_distance, shares, stft

COLUMNS = (
    Column("si_sdr", "SI-SDR, dB", 1, "higher"),
    Column("spectral", "multi-scale distance", 2, "lower"),
    Column("log_mel", "log-mel distance, dB", 1, "lower"),
    Column("attack_ms", "attack off by, ms", 1, "lower"),
    Column("onset_ms", "onset off by, ms", 1, "lower"),
    Column("top1", "top-1", 2, "higher"),
)
HEADERS = {"si_sdr": "SI-SDR", "attack_ms": "Error of the attack"}
SHARP = 0.050  # seconds: what rises more slowly has no attack to time
NEAR = 0.050  # seconds before and after the true peak in which the decoded one is sought
COUNT, SECONDS = 10, 3.0  # recordings of a class, and how much of each
TIMED = ("kick", "snare", "clock")  # classes with a table of their own: transients must survive
UNIT = 2048  # samples: Griffin-Lim takes whole frames
ROUNDS = 16  # of Griffin-Lim, as in the spectral codec

Way = Callable[[Tensor], Tensor]
"""Audio [1, C, T] at the prior's rate -> what comes back of it, the same shape."""


@dataclass(frozen=True, slots=True)
class Clip:
    """A recording [1, C, T] at the prior's rate; `right` of `choices` is what it is."""

    name: str
    audio: Tensor
    tags: tuple[str, ...]
    choices: Sequence[str] = ()
    right: int = 0


def suite(setting: Setting) -> list[Task]:
    """Every recording by every way through the codec; every mixture's sources by every cap."""
    mixed = mixtures(setting.data, setting.items)
    clips = [*_one_shots(setting), *_sources(mixed, setting.prior), *_recordings(setting)]
    tasks = []
    for clip in clips:
        if clip.choices:
            tasks.append(Task(clip.name, "as recorded", _naming_rows(clip, setting), clip.tags))
        for method, way in ways(setting, clip.name).items():
            tasks.append(Task(clip.name, method, _passing_rows(clip, way, setting), clip.tags))
    for mixture in mixed:
        for method, cap in CAPS.items():
            for k in range(len(mixture.sources)):
                run = _ceiling_rows(mixture, k, cap, setting.prior)
                tasks.append(Task(f"{mixture.name} {k + 1}", method, run, ("separation",)))
    return tasks


def findings(rows: Sequence[Row]) -> list[str]:
    """What `codec` does to most recordings, and to the one that it does the most to."""
    said = []
    for name, unit, worst in (("si_sdr", "dB", min), ("attack_ms", "ms", max)):
        found = [r.figures[name] for r in rows if r.method == "codec" and name in r.figures]
        if found:
            said.append(
                f"{HEADERS[name]} of encode and decode without a given phase: median "
                f"{median(found):.1f} {unit}, worst {worst(found):.1f} {unit} of {len(found)}."
            )
    return said


def ways(setting: Setting, name: str) -> dict[str, Way]:
    """What may happen to the clip called `name`."""
    prior = setting.prior

    def fitted(audio: Tensor, like: Tensor) -> Tensor:
        return F.pad(audio, (0, max(0, like.shape[-1] - audio.shape[-1])))[..., : like.shape[-1]]

    def true_magnitudes(audio: Tensor) -> Tensor:
        whole = F.pad(audio[0], (0, -audio.shape[-1] % UNIT))
        noise = torch.randn(whole.shape, generator=setting.generator("codec", name))
        found = griffin_lim(codec_stft(whole).abs(), codec_stft(noise), rounds=ROUNDS)
        return fitted(found[None], audio)

    return {
        "codec": lambda audio: fitted(prior.decode(prior.encode(audio)), audio),
        "codec, phase given": lambda audio: prior.decode(prior.encode(audio), like=audio),
        "true magnitudes": true_magnitudes,
    }


def _one_shots(setting: Setting) -> list[Clip]:
    shots = one_shots(setting.data, setting.prior.sample_rate, setting.items)
    labels = list(dict.fromkeys(row["cls"] for row in manifest(setting.data / "oneshots")))
    return [
        Clip(
            shot.name,
            with_channels(shot.audio[None], setting.prior.channels),
            ("one-shots", shot.label) if shot.label in TIMED else ("one-shots",),
            labels,
            labels.index(shot.label),
        )
        for shot in shots
    ]


def _sources(mixed: list[Mixture], prior: Prior) -> list[Clip]:
    return [
        Clip(f"{mixture.name} {k + 1}", _at_prior(source, mixture.rate, prior), ("sources",))
        for mixture in mixed
        for k, source in enumerate(mixture.sources)
    ]


def _recordings(setting: Setting) -> list[Clip]:
    held = _some(setting, CLASSES, "held")
    learned = _some(setting, TIMED, "prior")
    return [_recording_rows(setting, row, "held back") for row in held] + [
        _recording_rows(setting, row, "learned") for row in learned
    ]


def _some(setting: Setting, labels: Sequence[str], side: Split) -> list[Recording]:
    rows = [row for label in labels for row in recordings(setting.data, [label], [side])[:COUNT]]
    return rows[: setting.items]


def _recording_rows(setting: Setting, row: Recording, tag: str) -> Clip:
    rate = setting.prior.sample_rate
    audio = read_resampled(setting.data / "train" / row.path, rate)[:, : round(SECONDS * rate)]
    return Clip(
        row.path,
        with_channels(audio[None], setting.prior.channels),
        (tag, row.label) if row.label in TIMED else (tag,),
        CLASSES,
        CLASSES.index(row.label),
    )


def _at_prior(audio: Tensor, rate: int, prior: Prior) -> Tensor:
    """Audio [C, T] at `rate` -> [1, C', T'] as the prior takes it."""
    return with_channels(resample(audio, rate, prior.sample_rate)[None], prior.channels)


def _naming_rows(clip: Clip, setting: Setting) -> Callable[[], Iterator[Figures]]:
    def run() -> Iterator[Figures]:
        yield is_recognised(clip.audio, clip, setting)

    return run


def _passing_rows(clip: Clip, way: Way, setting: Setting) -> Callable[[], Iterator[Figures]]:
    def run() -> Iterator[Figures]:
        with torch.no_grad():
            found = way(clip.audio)
            lost = distances(found, clip, setting.prior.sample_rate)
        yield {**lost, **is_recognised(found, clip, setting)}

    return run


def distances(found: Tensor, clip: Clip, rate: int) -> Figures:
    """How far `found` [1, C, T] is from the clip; nothing of a silent one."""
    true = clip.audio
    if not true.any():
        return {}
    return {
        "si_sdr": float(si_sdr(found, true).nanmean()),
        "spectral": float(multi_scale_distance(found, true)),
        "log_mel": float(log_mel_distance(found, true, rate)),
        **timing_errors(found[0].mean(0), true[0].mean(0), rate),
    }


def is_recognised(found: Tensor, clip: Clip, setting: Setting) -> Figures:
    """Whether the evaluation scorer picks the right choice for `found` [1, C, T], 1 or 0."""
    if not clip.choices:
        return {}
    rate = setting.prior.sample_rate
    picked = setting.evaluation_scorer.similarity(found, rate, list(clip.choices))[0].argmax()
    return {"top1": float(int(picked) == clip.right)}


def timing_errors(found: Tensor, true: Tensor, rate: int) -> Figures:
    """How far attack and onset of `found` [T] are from those of `true` [T], in ms.

    The attack is the rise of the energy from 10 % to 90 % of its peak. The peak of `found` is
    sought near that of `true`, so that no stroke is taken for another. Nothing of a `true` that is
    not `SHARP`, nor of a silent `found`.
    """
    a, b = energy_envelope(found, rate), energy_envelope(true, rate)
    peak, near = int(b.argmax()), round(NEAR * rate)
    start = max(0, peak - near)
    onset_a, attack_a = rise(a, start + int(a[start : peak + near].argmax()))
    onset_b, attack_b = rise(b, peak)
    if attack_b > SHARP * rate or not found.any():
        return {}
    ms = 1000 / rate
    return {"attack_ms": abs(attack_a - attack_b) * ms, "onset_ms": abs(onset_a - onset_b) * ms}


# What latents cap in separation.

Cap = Callable[[Mixture, Prior], Tensor]
"""A mixture -> estimates [K, C, T] of its sources at its rate, from the sources themselves."""


def _ideal(mixture: Mixture, prior: Prior) -> Tensor:
    return _apply_power_masks(mixture, _true_sources(mixture, prior), prior)


def _masks_after_codec(mixture: Mixture, prior: Prior) -> Tensor:
    return _apply_power_masks(mixture, _decode_sources(mixture, prior), prior)


def _sources_after_codec(mixture: Mixture, prior: Prior) -> Tensor:
    found = with_channels(_decode_sources(mixture, prior), len(mixture.audio))
    return resample(found, prior.sample_rate, mixture.rate, frames=mixture.audio.shape[-1])


CAPS: Mapping[str, Cap] = {
    "ideal masks": _ideal,
    "masks of decoded sources": _masks_after_codec,
    "decoded sources": _sources_after_codec,
}


def _true_sources(mixture: Mixture, prior: Prior) -> Tensor:
    return torch.cat([_at_prior(source, mixture.rate, prior) for source in mixture.sources])


def _decode_sources(mixture: Mixture, prior: Prior) -> Tensor:
    """Sources [K, C, T] at the prior's rate after encode and decode, like the mixture."""
    sources = _true_sources(mixture, prior)
    like = _at_prior(mixture.audio, mixture.rate, prior).expand_as(sources)
    return prior.decode(prior.encode(sources), like=like)


def _apply_power_masks(mixture: Mixture, sources: Tensor, prior: Prior) -> Tensor:
    """The mixture under power masks |S_k|^2 / sum_j |S_j|^2 of sources [K, C, T]."""
    powers = stft(sources, N).abs().square().mean(1)
    return apply(shares(powers), mixture.audio, mixture.rate, prior.sample_rate)


def _ceiling_rows(
    mixture: Mixture, k: int, cap: Cap, prior: Prior
) -> Callable[[], Iterator[Figures]]:
    def run() -> Iterator[Figures]:
        with torch.no_grad():
            found = cap(mixture, prior)[k]
        true = mixture.sources[k]
        yield {"si_sdr": float(si_sdr(found, true).nanmean())} if true.any() else {}

    return run
