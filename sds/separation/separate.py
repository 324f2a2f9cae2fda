"""Prompt-driven separation: stems and a residual that sum to the mixture, whatever its length.

A method is a value; `METHODS` names those that ship. `paper` is Audio-SDS (Richter-Powell et al.
2025, arXiv 2505.04621): one latent a source, reconstruction plus gamma times Decoder-SDS. The
others move masks on the complex mixture (`sds.separation.time_frequency_masks`), so the mixture's
phase is kept, no codec caps the fidelity and the reconstruction term is exactly zero. They differ
in the evidence for the masks: `masks` uses the prior, `fast` a network trained for it, `default`
both and the search scorer, `best` the same of several factorisations. What was tried beside them is
in `sds.scoreboard.separate`.

A file is separated window by window. The result of a window depends on the sound in it, the seed
and its number, on nothing else: windows may be done in any order, by several processes, or half of
them tomorrow, and the stems are the same. `separate` does them all in memory; for long files the
caller does one at a time (`plan`, `part_window`) and adds them up on disk
(`sds.signal.overlap_add`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import torch
from torch import Generator, Tensor

from sds.priors.base import Prior
from sds.separation.audio_sds import LATENTS, Latents, audio_sds_stems
from sds.separation.base import WindowProgress
from sds.separation.dgmo import References, reference_stems
from sds.separation.mask_settings import BEST, DEFAULT, FAST, MASKS, Masks, uses_components
from sds.separation.networks import NO_NETWORKS, Networks
from sds.separation.time_frequency_masks import masked_stems
from sds.signal.overlap_add import Span, even_spans, fades, reflect_pad

Method: TypeAlias = Masks | Latents | References

METHODS: dict[str, Method] = {
    "default": DEFAULT,
    "fast": FAST,
    "best": BEST,
    "masks": MASKS,
    "paper": LATENTS,
}

SHARED = 2.0  # seconds in which two windows are cross-faded, at most a quarter of one
TAIL = 2.0  # seconds heard beyond the end of a window, at most a tenth of one

Read = Callable[[int, int], Tensor]
"""(begin, end) in samples -> the mixture [C, end - begin]."""


@dataclass(frozen=True, slots=True)
class Stems:
    """How far a separation is, and at the end its result; safe to stop after any.

    - `fraction`: of the work, 0..1; `stage`: what is being done; `figures`: numbers of the moment.
    - `stems`: [K, C, T] in the order of the prompts, None before the end.
    - `residual`: [C, T] = mix - sum of stems, None before the end.
    """

    fraction: float
    stage: str
    figures: dict[str, float]
    stems: Tensor | None = None
    residual: Tensor | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """The windows of a file of `samples`, and how many samples beyond its end each of them is
    given.

    A generator of clips fades out where a clip is said to end (stable-audio-tools' models were
    trained on clips with silence behind them). So each window is separated `tail` samples longer
    than it is kept, the last one with its end mirrored: every end that is kept is a middle.
    """

    samples: int
    windows: tuple[Span, ...]
    tail: int


@dataclass(frozen=True, slots=True)
class Separation:
    """What all windows of a file share.

    - `prior`, `networks`: the models that `method` uses; by default no networks beside the prior.
    - `prompts`: one a stem, at least 1; `negatives`: prompts that compete for the mixture as well,
      whose stems go into the residual; none by default.
    - `rate`: that of the file in Hz.
    - `method`: one of `METHODS`, or a value like them.
    - `seed`: of all random numbers; those of a window come from it and the window's index.
    """

    prior: Prior
    prompts: tuple[str, ...]
    rate: int
    method: Method
    seed: int
    negatives: tuple[str, ...] = ()
    networks: Networks = NO_NETWORKS

    @property
    def sources(self) -> int:
        """How many prompts compete for the mixture, negatives included."""
        return len(self.prompts) + len(self.negatives)


def plan(separation: Separation, samples: int) -> Plan:
    """Cut a file of `samples` into windows as long as the method takes at once, or
    evenly shorter.
    """
    return cut_evenly(samples, separation.rate, _longest(separation))


def cut_evenly(samples: int, rate: int, longest: float) -> Plan:
    """Cut a file of `samples` into windows of at most `longest` seconds, tails included, equally
    long.
    """
    size = max(1, int(longest * rate))
    tail = min(int(TAIL * rate), size // 10, samples)
    kept = size - tail
    shared = min(int(SHARED * rate), kept // 4)
    return Plan(samples, tuple(even_spans(samples, kept, shared=shared)), tail)


def part_window(
    separation: Separation, plan: Plan, read: Read, index: int
) -> Iterator[WindowProgress]:
    """Separate window `index` of a file; the last `WindowProgress` has its stems [K, C, end -
    begin].

    They are not yet faded.
    """
    begin, end = plan.windows[index]
    mix = read(begin, min(plan.samples, end + plan.tail))
    mix = reflect_pad(mix, end - begin + plan.tail)
    generator = Generator().manual_seed(window_seed(separation.seed, index))
    for progress in _work(separation, mix, generator):
        if progress.stems is None:
            yield progress
        else:
            yield replace(
                progress, stems=progress.stems[: len(separation.prompts), :, : end - begin]
            )


def separate(
    prior: Prior,
    prompts: Sequence[str],
    mix: Tensor,
    rate: int,
    *,
    method: Method,
    generator: Generator,
    negatives: Sequence[str] = (),
    networks: Networks = NO_NETWORKS,
) -> Iterator[Stems]:
    """Separate mix [C, T] at `rate` Hz into one stem a prompt and a residual.

    Rate, channels and sample count stay as they are. What the `negatives` name goes into the
    residual, as does what no prompt names. Closing the generator stops it within a step. All random
    numbers come from `generator`, on the CPU. Raises `ValueError` for no prompts, or for a mix that
    is not mono or stereo with at least 1 sample.
    """
    if mix.ndim != 2 or mix.shape[0] not in (1, 2) or mix.shape[1] == 0:
        raise ValueError(f"mix must be [C, T] with 1 or 2 channels, got {list(mix.shape)}")
    if not prompts:
        raise ValueError("prompts must name at least 1 stem, got none")
    separation = Separation(
        prior, tuple(prompts), rate, method, draw_seed(generator), tuple(negatives), networks
    )
    cut = plan(separation, mix.shape[1])
    stems = torch.zeros(len(prompts), *mix.shape)
    for i, ((begin, end), fade) in enumerate(zip(cut.windows, fades(cut.windows), strict=True)):
        work = part_window(separation, cut, lambda begin, end: mix[:, begin:end], i)
        for progress in work:
            yield Stems(
                (i + progress.fraction) / len(cut.windows), progress.stage, progress.figures
            )
            if progress.stems is not None:
                stems[..., begin:end] += progress.stems * fade
    yield Stems(1.0, "done", {}, stems, mix - stems.sum(0))


def draw_seed(generator: Generator) -> int:
    """Draw the seed that all windows of a file share."""
    return int(torch.randint(2**62, (), generator=generator))


def window_seed(seed: int, index: int) -> int:
    """Derive a window's own seed from the file's and its index, in 0..2^63: unlike its
    neighbours'.
    """
    digest = hashlib.sha256(f"{seed} {index}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def network_hashes(method: Method, sources: int, networks: Networks) -> dict[str, str]:
    """Name and hash of each network beside the prior that the method uses for so many prompts."""
    if not isinstance(method, Masks):
        return {}
    scored = sources > 1 and (method.listen or method.kept)
    used = {
        "query_network": networks.query if method.query else None,
        "search_scorer": networks.search_scorer if scored else None,
    }
    return {name: network.model_hash for name, network in used.items() if network is not None}


def asks_prior(method: Method, sources: int, networks: Networks) -> bool:
    """Whether the prior has a say under a method for so many prompts, negatives included.

    Where it has none (`fast`), any prior of the same sample rate and length gives the same stems.
    """
    if not isinstance(method, Masks) or method.recipe.steps:
        return True
    network = method.query > 0 and networks.query is not None
    if not uses_components(method, sources, network):
        return True  # annealing
    weight = 1.0 if sources > 1 else method.lone
    return (method.estimates > 0 and weight > 0) or not network


def with_steps(method: Method, steps: int | None) -> Method:
    """The method with so many distillation steps; as it is for None."""
    if steps is None:
        return method
    return replace(method, recipe=replace(method.recipe, steps=steps))


def _longest(separation: Separation) -> float:
    """Seconds that the method takes at once."""
    prior, method = separation.prior, separation.method
    if isinstance(method, Latents):
        return min(prior.max_seconds, method.window)
    if not isinstance(method, Masks) or method.recipe.steps:
        return prior.max_seconds
    network = method.query > 0 and separation.networks.query is not None
    if uses_components(method, separation.sources, network):
        return method.block  # a prior that takes less hears it in windows of its own
    return prior.max_seconds


def _work(separation: Separation, mix: Tensor, generator: Generator) -> Iterator[WindowProgress]:
    s, method = separation, separation.method
    prompts = [*s.prompts, *s.negatives]
    if isinstance(method, References):
        return reference_stems(s.prior, prompts, mix, s.rate, method=method, generator=generator)
    if isinstance(method, Masks):
        return masked_stems(
            s.prior, prompts, mix, s.rate,
            method=method, generator=generator, networks=s.networks,
        )  # fmt: skip
    return audio_sds_stems(s.prior, prompts, mix, s.rate, method=method, generator=generator)
