"""Encode a corpus once, a file a part: latents and captions, so the prior never waits for audio.

Each clip is encoded `copies` times, at random offsets inside a latent frame and random gains, with
a little silence after it. The codec's encoder is fixed by its first checkpoint, so this may run
while the decoder still trains.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from sds.codec import GROUP, HOP, SpectralCodec
from sds.train.data import RATE, Clip, Corpus

log = logging.getLogger(__name__)
FRAME = HOP * GROUP
TAIL = 8  # latent frames of silence kept after a clip


@torch.no_grad()
def encode_corpus(corpus: Corpus, codec: SpectralCodec, path: Path, copies: int = 2) -> None:
    """Write `path`: z [N, D] half, all clips one after the other, and the index in its header."""
    rng = np.random.default_rng(0)
    rows: list[Tensor] = []
    index: list[list[object]] = []
    start = 0
    for number, clip in enumerate(corpus.clips):
        audio = corpus.audio(clip, 0, min(clip.frames, 30 * RATE))
        for copy in range(copies):
            lead = int(rng.integers(0, FRAME // 2)) if copy else 0
            gain = 10.0 ** (rng.uniform(-9, 0) / 20.0) if copy else 1.0
            padded = torch.nn.functional.pad(audio * gain, (lead, TAIL * FRAME))
            z = codec.encode(padded[None, None])[0].T.half()
            length = (lead + len(audio)) / FRAME
            index.append([start, len(z), round(length, 2), clip.label, list(clip.captions)])
            rows.append(z)
            start += len(z)
        if number % 2000 == 0:
            log.info("encoded %d of %d clips", number, len(corpus.clips))
    silence = codec.encode(torch.zeros(1, 1, 8 * FRAME))[0, :, 4]
    partial = path.with_suffix(".partial")
    save_file(
        {"z": torch.cat(rows), "silence": silence}, partial, metadata={"index": json.dumps(index)}
    )
    partial.replace(path)


@dataclass(frozen=True, slots=True)
class Entry:
    """One encoded clip: rows start .. start + rows of z, of which `sounding` frames are sound."""

    start: int
    rows: int
    sounding: float
    label: str
    captions: tuple[str, ...]


class Latents:
    """Files of `encode_corpus`, in memory."""

    def __init__(self, paths: Sequence[Path]) -> None:
        rows: list[Tensor] = []
        self.entries: list[Entry] = []
        first = 0
        for path in paths:
            with safe_open(path, framework="pt") as file:
                rows.append(file.get_tensor("z"))
                self.silence: Tensor = file.get_tensor("silence")
                index = json.loads(file.metadata()["index"])
            self.entries += [Entry(first + a, b, c, d, tuple(e)) for a, b, c, d, e in index]
            first += len(rows[-1])
        self.z = torch.cat(rows)

    def crop(self, entry: Entry, frames: int, rng: np.random.Generator) -> tuple[Tensor, float]:
        """A random window [D, frames] and the seconds of sound in it.

        A clip longer than the window fills it from anywhere; a shorter one begins the window, and
        silence follows.
        """
        slack = int(entry.sounding) - frames
        start = int(rng.integers(0, slack + 1)) if slack > 0 else 0
        z = self.silence[:, None].repeat(1, frames)
        stop = min(entry.rows, start + frames)
        z[:, : stop - start] = self.z[entry.start + start : entry.start + stop].T.float()
        return z, min(float(frames), entry.sounding - start) * FRAME / RATE


def as_clips(latents: Latents) -> list[Clip]:
    """The entries as clips, for `class_weights`."""
    return [
        Clip("", e.start, int(e.sounding * FRAME), e.captions, e.label, "") for e in latents.entries
    ]
