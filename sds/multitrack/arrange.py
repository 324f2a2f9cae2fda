"""Make stems: all of them, or those that go with the ones that are given.

Given tracks are known to the denoiser, at noise level 0 (`sds.multitrack.impute`), so what is added
is drawn given them. What is longer than the model's window is made window by window: the end
of the last one is held as known in the next (replacement, as in RePaint, Lugmayr et al. 2022, arXiv
2201.09865), and sound is made of the whole at once, so there is no seam.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from sds.multitrack.base import STEMS, MultiTrackModel
from sds.multitrack.beat_tracking import Beats, counted, find_beats, lie_on
from sds.multitrack.impute import track_noise_stepwise
from sds.multitrack.loading import towers
from sds.multitrack.phases import sound
from sds.multitrack.waveforms import STEPS as WAVEFORM_STEPS
from sds.multitrack.waveforms import arrange_waveforms_stepwise
from sds.priors.beats import BEATS, beat_maps
from sds.priors.multi_source import MultiSource
from sds.priors.multi_track import VECTOR, WINDOW, MultiTrackPrior, Told
from sds.priors.stem_masks import LEVEL
from sds.samplers.schedules import karras
from sds.signal.audio_files import mono, resample
from sds.signal.band_levels import SILENCE, band_powers, stft

UNIT = 8  # frames of which the model takes a whole number
OVERLAP = 120  # frames of a window that the one before has made: 3.8 s
STEPS = 30
GUIDANCE = 2.0
CHURN = 10.0  # as multi-source diffusion imputes
BAR = 4  # beats


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is known: state [1, 4, 128, L], which tracks [4], the vector [1, 128], guidance, and
    beats [1, 4, L].
    """

    state: Tensor
    known: Tensor
    vector: Tensor
    scale: float
    beats: Tensor


def arrange_stepwise(
    model: MultiTrackModel,
    *,
    prompt: str,
    given: Mapping[str, Tensor],
    add: Sequence[str],
    samples: int,
    rate: int,
    like: Tensor | None = None,
    beats: Beats | None = None,
    steps: int | None = None,
    guidance: float | None = None,
    generator: torch.Generator,
) -> Generator[float, None, dict[str, Tensor]]:
    """Make the stems `add` so that they go with those `given`, each [C, T] at `rate` Hz; without
    any all of it is new. Returns each [1, samples] at `rate`.

    `prompt` and the sound `like` [C, T] say what it is to be like ("" and None: anything), `beats`
    where beats and bars of four are, from the beginning on (None, and where given drums are not on
    them: where the drums have their beats); steps are evaluations of the model, guidance how much
    more than without a prompt. Yields the fraction that is done. Raises `ValueError` for no
    samples, and for `like` and guidance with a model that hears neither (multi-source diffusion;
    prompt and beats say nothing to it).
    """
    if samples < 1:
        raise ValueError(f"samples must be at least 1, got {samples}")
    if isinstance(model, MultiSource):
        if like is not None or guidance is not None:
            raise ValueError(f"the model {model.name} hears no like and no guidance")
        return (
            yield from arrange_waveforms_stepwise(
                model, given=given, add=add, samples=samples, rate=rate,
                steps=steps or WAVEFORM_STEPS, generator=generator,
            )
        )  # fmt: skip
    length = math.ceil(samples * model.sample_rate / rate)
    plan, gain = _planned(model, given, add, length, rate)
    scale = GUIDANCE if guidance is None else guidance
    plan = replace(plan, vector=_vector(prompt, like, rate), scale=scale)
    plan = replace(plan, beats=_told_beats(model, given, rate, beats, plan.state.shape[-1]))
    total = len(windows_of(plan.state.shape[-1])) * ((steps or STEPS) + 1)
    state = plan.state.clone()
    for done, made in enumerate(_sampled(model, plan, steps or STEPS, generator), start=1):
        state = made
        yield 0.9 * done / total
    levels = model.levels(state)[0]
    made_levels = levels[[STEMS.index(name) for name in add]]
    audio = sound(made_levels, length, seed=int(torch.randint(2**31, (), generator=generator)))
    audio = audio / gain
    if rate != model.sample_rate:
        audio = resample(audio, model.sample_rate, rate)
    audio = F.pad(audio, (0, max(0, samples - audio.shape[-1])))[:, :samples]
    return {name: audio[row : row + 1] for row, name in enumerate(add)}


def windows_of(frames: int) -> list[tuple[int, int]]:
    """(begin, end) of each window of `frames` frames; the end of one is the beginning of the
    next.
    """
    out = [(0, min(frames, WINDOW))]
    while out[-1][1] < frames:
        begin = min(out[-1][1] - OVERLAP, frames - WINDOW)
        out.append((begin, begin + WINDOW))
    return out


def _planned(
    model: MultiTrackPrior,
    given: Mapping[str, Tensor],
    add: Sequence[str],
    length: int,
    rate: int,
) -> tuple[_Plan, float]:
    """What is known of the tracks, and the gain that brought the given ones to the model's
    level.
    """
    frames = -(-(length + model.hop) // (UNIT * model.hop)) * UNIT
    audio = torch.zeros(len(STEMS), (frames - 1) * model.hop)
    for name, track in given.items():
        one = mono(track[None])[0]
        one = resample(one[None], rate, model.sample_rate)[0] if rate != model.sample_rate else one
        audio[STEMS.index(name), : min(length, len(one))] = one[:length]
    rms = float(audio.sum(0)[:length].square().mean().sqrt())
    share = len(given) / max(1, len(given) + len(add))
    gain = LEVEL * share**0.5 / rms if rms > 1e-6 else 1.0
    state = model.encode(band_powers(stft(audio * gain, model.hop))[None])
    known = torch.tensor([name not in add for name in STEMS])
    silent = model.network.white(torch.full_like(state, SILENCE))
    absent = torch.tensor([name not in add and name not in given for name in STEMS])
    state = torch.where(absent[None, :, None, None], silent, state)
    nothing = torch.zeros(1, VECTOR), 1.0, torch.zeros(1, BEATS, state.shape[-1])
    return _Plan(state, known, *nothing), gain


def _told_beats(
    model: MultiTrackPrior, given: Mapping[str, Tensor], rate: int, beats: Beats | None, frames: int
) -> Tensor:
    """What is told [1, 4, frames] of the beats: those of given drums, where they are not on the
    grid that is said; zeros where nothing is known.
    """
    found = find_beats(given["drums"], rate) if "drums" in given else None
    bar: int | None = BAR
    if found is not None and not (beats is not None and lie_on(found, beats)):
        beats, bar = counted(found), None
    if beats is None:
        return torch.zeros(1, BEATS, frames)
    at = [beats(frame * model.hop / model.sample_rate) for frame in range(frames)]
    return beat_maps(torch.tensor(at), bar)[None]


def _vector(prompt: str, like: Tensor | None, rate: int) -> Tensor:
    """The vector [1, 128] of a prompt and of a sound [C, T]; zeros for neither."""
    said = [towers().read([prompt])] if prompt else []
    heard = [towers().hear(like[None], rate)] if like is not None else []
    if not said and not heard:
        return torch.zeros(1, VECTOR)
    return F.normalize(torch.cat(said + heard).mean(0, keepdim=True), dim=1)


def _sampled(
    model: MultiTrackPrior, plan: _Plan, steps: int, generator: torch.Generator
) -> Iterator[Tensor]:
    """The state [1, 4, 128, L] after each evaluation, window after window."""
    state, made = plan.state.clone(), 0
    for begin, end in windows_of(state.shape[-1]):
        part = replace(plan, state=state[..., begin:end], beats=plan.beats[..., begin:end])
        for x in _window(model, part, made and made - begin, steps, generator):
            state = torch.cat([state[..., :begin], x, state[..., end:]], -1)
            yield state
        made = end


def _window(
    model: MultiTrackPrior, plan: _Plan, held: int, steps: int, generator: torch.Generator
) -> Iterator[Tensor]:
    """States [1, 4, 128, L] of one window, of which the first `held` frames are known of all."""
    known = plan.known[None, :, None, None].expand(plan.state.shape).clone()
    known[..., :held] = True

    def denoise(x: Tensor, sigma: Tensor) -> Tensor:
        return _guided(model, x, sigma, plan)

    sigmas = karras(steps, *model.sigmas)
    making = track_noise_stepwise(
        denoise, plan.state, known, sigmas, churn=CHURN, generator=generator
    )
    for _, x in making:
        yield x


def _guided(model: MultiTrackPrior, x: Tensor, sigma: Tensor, plan: _Plan) -> Tensor:
    """D [1, 4, 128, L] with guidance (Ho and Salimans 2022, arXiv 2207.12598, eq. 6)."""
    if plan.scale == 1.0 or not bool(plan.vector.any()):
        return model.denoise(x, sigma, Told(plan.vector, beats=plan.beats))
    vectors = torch.cat([plan.vector, torch.zeros_like(plan.vector)])
    both = Told(vectors, beats=plan.beats.expand(2, -1, -1))
    told, free = model.denoise(x.expand(2, -1, -1, -1), sigma.expand(2, -1), both)[:, None]
    out: Tensor = free + plan.scale * (told - free)
    return out
