"""What speaks for a prompt's sound being in a recording, beside how near a listener finds the two.

The query network (`sds.query`) takes the prompt's stem out of the six seconds in which the listener
hears it most. What it gives it of the recording says something, and so does what comes out: the ear
knows single sounds, and a stem of something else does not sound like its prompt. On mixtures of
held-back clips that says as much as the listener does, and both together say more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from sds.audio import resample
from sds.codec import HOP, istft, mel_spread, stft
from sds.judge import Judge
from sds.presence import Calibration, Heard, Presence, cosines, hear, presence_of, summed_up
from sds.query import RATE, Query

STRETCH = 6  # seconds that are looked at for a prompt ...
GRID = 3  # ... which begin at multiples of this
AT_ONCE = 8  # prompts that the network is asked for
FEWEST = 1e-4  # share of the recording: less says no more

Read = Callable[[int, int], Tensor]
"""(begin, end) in samples -> the recording [C, end - begin]."""


@dataclass(frozen=True, slots=True)
class Ears:
    """All who are asked: the listener, the ear and the query network."""

    listener: Judge
    ear: Judge
    query: Query

    @property
    def hashes(self) -> tuple[str, ...]:
        """Of their weights."""
        return self.listener.model_hash, self.ear.model_hash, self.query.model_hash


def presence(
    ears: Ears,
    audio: Tensor,
    rate: int,
    prompts: Sequence[str],
    *,
    calibration: Calibration | None = None,
) -> Presence:
    """Whether and when the sounds that prompts name are in audio [C, T], a mixture or a stem."""
    heard = hear(ears.listener, audio, rate)
    *_, found = evidence(ears, heard, lambda begin, end: audio[:, begin:end], rate, prompts)
    near = cosines(ears.listener, heard, prompts)
    return presence_of(near, found, heard.loud, hashes=ears.hashes, calibration=calibration)


def evidence(
    ears: Ears, heard: Heard, read: Read, rate: int, prompts: Sequence[str]
) -> Iterator[Tensor]:
    """Evidence [K, 2] for K prompts as far as it is gathered, at last all of it.

    The cosine of each prompt with its stem, and the log odds of its share of the magnitude. The
    cost is one stretch a prompt, however long the recording is.
    """
    found = torch.zeros(len(prompts), 2)
    starts = stretches(cosines(ears.listener, heard, prompts), heard.loud)
    for start in sorted(set(starts)):
        rows = [i for i, s in enumerate(starts) if s == start]
        audio = stretch(read, rate, start, len(heard.level_db))
        for some in (rows[i : i + AT_ONCE] for i in range(0, len(rows), AT_ONCE)):
            found[some] = stemmed(ears, audio, [prompts[i] for i in some])
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
    """The mono stretch [T] at RATE that begins at second `start` of `seconds`."""
    mono = read(start * rate, min(seconds, start + STRETCH) * rate).mean(0)
    mono = resample(mono[None], rate, RATE)[0] if rate != RATE else mono
    return F.pad(mono, (0, max(RATE - len(mono), -len(mono) % HOP)))


@torch.no_grad()
def stemmed(ears: Ears, audio: Tensor, prompts: Sequence[str]) -> Tensor:
    """Evidence [K, 2] of prompts in audio [T] at RATE, each prompt asked for by itself."""
    given = ears.query.heard(audio, prompts).sigmoid()  # [K, M, N]
    spectrum = stft(audio[None])[0]  # [F, N']
    mel = ears.query.net.codec.mel
    heard = mel @ spectrum.abs()
    share = (given * heard).sum((1, 2)) / heard.sum().clamp_min(1e-9)
    stems = istft((mel_spread(mel) @ given) * spectrum)
    found = []
    for stem, word in zip(stems, ears.ear.read(prompts), strict=True):
        inside = hear(ears.ear, stem[None], RATE)
        found.append(summed_up(inside.vectors @ word, inside.loud))
    return torch.stack([torch.stack(found), share.logit(FEWEST)], 1)
