"""What speaks for a prompt's sound being in a recording, beside how near a tagger finds the two.

The query network (`sds.separation.query_network`) takes the prompt's stem out of the six seconds
in which the tagger hears it most. What it gives it of the recording says something, and so does
what comes out: the search scorer knows single sounds, and a stem of something else does not sound
like its prompt. On mixtures of held-back clips that says as much as the tagger does, and both
together say more.
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

STRETCH = 6  # seconds that are looked at for a prompt ...
GRID = 3  # ... which begin at multiples of this
AT_ONCE = 8  # prompts that the network is asked for
FEWEST = 1e-4  # share of the recording: less says no more

Read = Callable[[int, int], Tensor]
"""(begin, end) in samples -> the recording [C, end - begin]."""


@dataclass(frozen=True, slots=True)
class PresenceNetworks:
    """All who are asked: the tagger, the search scorer and the query network."""

    tagger: TwoTowerScorer
    search_scorer: TwoTowerScorer
    query: Query

    @property
    def hashes(self) -> tuple[str, ...]:
        """Of their weights."""
        return self.tagger.model_hash, self.search_scorer.model_hash, self.query.model_hash


def presence(
    networks: PresenceNetworks,
    audio: Tensor,
    rate: int,
    prompts: Sequence[str],
    *,
    calibration: Calibration | None = None,
) -> Presence:
    """Whether and when the sounds that prompts name are in audio [C, T], a mixture or a stem."""
    heard = measure_activity(networks.tagger, audio, rate)
    *_, found = evidence(networks, heard, lambda begin, end: audio[:, begin:end], rate, prompts)
    near = cosines(networks.tagger, heard, prompts)
    return presence_of(near, found, heard.loud, hashes=networks.hashes, calibration=calibration)


def evidence(
    networks: PresenceNetworks, heard: Activity, read: Read, rate: int, prompts: Sequence[str]
) -> Iterator[Tensor]:
    """Evidence [K, 2] for K prompts as far as it is gathered, at last all of it.

    The cosine of each prompt with its stem, and the log odds of its share of the magnitude. The
    cost is one stretch a prompt, however long the recording is.
    """
    found = torch.zeros(len(prompts), 2)
    starts = stretches(cosines(networks.tagger, heard, prompts), heard.loud)
    for start in sorted(set(starts)):
        rows = [i for i, s in enumerate(starts) if s == start]
        audio = stretch(read, rate, start, len(heard.level_db))
        for some in (rows[i : i + AT_ONCE] for i in range(0, len(rows), AT_ONCE)):
            found[some] = separated_evidence(networks, audio, [prompts[i] for i in some])
            yield found
    yield found


def stretches(near: Tensor, loud: Tensor) -> list[int]:
    """The second at which the stretch with the greatest mean cosine begins, for each of [K, N]."""
    near = torch.where(loud, near, near.amin())
    last = max(0, near.shape[1] - STRETCH)
    starts = [*range(0, last + 1, GRID)] + ([last] if last % GRID else [])
    means = torch.stack([near[:, s : s + STRETCH].mean(1) for s in starts], 1)
    return [starts[i] for i in means.argmax(1).tolist()]


def stretch(read: Read, rate: int, start: int, seconds: int) -> Tensor:
    """The mono stretch [T] at RATE that begins at second `start` of `seconds`; T is whole frames.

    The end is filled up with silence, to a second at least.
    """
    audio = mono(read(start * rate, min(seconds, start + STRETCH) * rate))
    audio = resample(audio[None], rate, RATE)[0] if rate != RATE else audio
    frames = -(-max(RATE, len(audio)) // HOP)
    return F.pad(audio, (0, frames * HOP - len(audio)))


@torch.no_grad()
def separated_evidence(networks: PresenceNetworks, audio: Tensor, prompts: Sequence[str]) -> Tensor:
    """Evidence [K, 2] of prompts in audio [T] at RATE, each prompt asked for by itself."""
    given = networks.query.heard(audio, prompts).sigmoid()  # [K, M, N]
    spectrum = stft(audio[None])[0]  # [F, N']
    mel = networks.query.net.codec.mel
    heard = mel @ spectrum.abs()
    share = (given * heard).sum((1, 2)) / heard.sum().clamp_min(1e-9)
    stems = istft((mel_spread(mel) @ given) * spectrum)
    found = []
    for stem, word in zip(stems, networks.search_scorer.read(prompts), strict=True):
        inside = measure_activity(networks.search_scorer, stem[None], RATE)
        found.append(recording_cosine(inside.vectors @ word, inside.loud))
    return torch.stack([torch.stack(found), share.logit(FEWEST)], 1)
