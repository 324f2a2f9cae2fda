"""Evidence that a prompt's sound is in a recording, beside its cosine by the tagger.

The query network (`sds.separation.query_network`) separates the prompt's stem from the six seconds
in which the tagger's cosine is highest. Its share of the recording is evidence, and so is its
sound: the search scorer knows single sounds, and a stem of something else does not sound like its
prompt. On mixtures of held-back clips that is worth as much as the tagger, and both together are
worth more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from sds.detection.presence import (
    Activity,
    Calibration,
    Presence,
    cosines,
    measure_activity,
    presence_of,
    recording_cosine,
)
from sds.priors.spectral_codec import HOP, istft, mel_spread, stft
from sds.separation.query_network import RATE, Query
from sds.signal.audio_files import mono, resample
from sds.similarity.two_tower import TwoTowerScorer

STRETCH = 6  # seconds that are separated for a prompt ...
GRID = 3  # ... which begin at multiples of this
AT_ONCE = 8  # prompts in one pass of the network
FEWEST = 1e-4  # share of the recording at which log odds are cut off

Read = Callable[[int, int], Tensor]
"""(begin, end) in samples -> the recording [C, end - begin]."""


@dataclass(frozen=True, slots=True)
class PresenceNetworks:
    """The networks that detection uses: the tagger, the search scorer and the query network."""

    tagger: TwoTowerScorer
    search_scorer: TwoTowerScorer
    query: Query

    @property
    def hashes(self) -> tuple[str, ...]:
        """Hashes of their weights: tagger, search scorer, query network."""
        return self.tagger.model_hash, self.search_scorer.model_hash, self.query.model_hash


def presence(
    networks: PresenceNetworks,
    audio: Tensor,
    rate: int,
    prompts: Sequence[str],
    *,
    calibration: Calibration | None = None,
) -> Presence:
    """Detect whether and when the sounds that K prompts name are in audio [C, T] at `rate` Hz, a
    mixture or a stem.
    """
    activity = measure_activity(networks.tagger, audio, rate)
    *_, figures = evidence(
        networks, activity, lambda begin, end: audio[:, begin:end], rate, prompts
    )
    near = cosines(networks.tagger, activity, prompts)
    return presence_of(
        near, figures, activity.loud, hashes=networks.hashes, calibration=calibration
    )


def evidence(
    networks: PresenceNetworks, activity: Activity, read: Read, rate: int, prompts: Sequence[str]
) -> Iterator[Tensor]:
    """Evidence [K, 2] for K prompts in a recording at `rate` Hz, as far as it is gathered; the last
    is all of it.

    The cosine of each prompt with its stem, -1..1, and the log odds of its share of the magnitude.
    `activity` is the tagger's, `read` gives samples. The cost is one stretch a prompt, however long
    the recording is.
    """
    figures = torch.zeros(len(prompts), 2)
    starts = stretches(cosines(networks.tagger, activity, prompts), activity.loud)
    for start in sorted(set(starts)):
        rows = [i for i, s in enumerate(starts) if s == start]
        audio = stretch(read, rate, start, len(activity.level_db))
        for some in (rows[i : i + AT_ONCE] for i in range(0, len(rows), AT_ONCE)):
            figures[some] = separated_evidence(networks, audio, [prompts[i] for i in some])
            yield figures
    yield figures


def stretches(near: Tensor, loud: Tensor) -> list[int]:
    """The second at which the stretch with the greatest mean of cosines `near` [K, N] begins, for
    each of K prompts; only seconds where `loud` [N] count.
    """
    near = torch.where(loud, near, near.amin())
    last = max(0, near.shape[1] - STRETCH)
    starts = [*range(0, last + 1, GRID)] + ([last] if last % GRID else [])
    means = torch.stack([near[:, s : s + STRETCH].mean(1) for s in starts], 1)
    return [starts[i] for i in means.argmax(1).tolist()]


def stretch(read: Read, rate: int, start: int, seconds: int) -> Tensor:
    """Read the mono stretch [T] at RATE from second `start` of `seconds` on; T is whole frames.

    The recording is at `rate` Hz. The end is filled up with silence, to a second at least.
    """
    audio = mono(read(start * rate, min(seconds, start + STRETCH) * rate))
    audio = resample(audio[None], rate, RATE)[0] if rate != RATE else audio
    frames = -(-max(RATE, len(audio)) // HOP)
    return F.pad(audio, (0, frames * HOP - len(audio)))


@torch.no_grad()
def separated_evidence(networks: PresenceNetworks, audio: Tensor, prompts: Sequence[str]) -> Tensor:
    """Evidence [K, 2] of K prompts in audio [T] at RATE, each prompt separated by itself."""
    given = networks.query.mel_logits(audio, prompts).sigmoid()  # [K, M, N]
    spectrum = stft(audio[None])[0]  # [F, N']
    mel = networks.query.net.codec.mel
    mixture = mel @ spectrum.abs()
    share = (given * mixture).sum((1, 2)) / mixture.sum().clamp_min(1e-9)
    stems = istft((mel_spread(mel) @ given) * spectrum)
    scores = []
    for stem, word in zip(stems, networks.search_scorer.read(prompts), strict=True):
        inside = measure_activity(networks.search_scorer, stem[None], RATE)
        scores.append(recording_cosine(inside.vectors @ word, inside.loud))
    return torch.stack([torch.stack(scores), share.logit(FEWEST)], 1)
