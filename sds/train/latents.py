"""Encode a corpus once, a file a part: latents and captions, so the prior never waits for audio.

Latents are kept as int8 with a scale per dimension (a step is 0.035 of a deviation, far below what
the codec loses), in memory and on the device that trains: a batch is one gather. The codec's
encoder is fixed by its first checkpoint, so this may run while the decoder still trains.
"""

from __future__ import annotations

import json
import logging
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from presets.reading import read_json
from sds.datasets.clips import Half, half_of
from sds.priors.spectral_codec import GROUP, HOP, SpectralCodec
from sds.priors.text_embedding import features
from sds.train.data import RATE, Corpus, balanced_weights

log = logging.getLogger(__name__)
FRAME = HOP * GROUP
SECONDS_A_FRAME = FRAME / RATE
TAIL = 3  # latent frames of silence kept after a clip
LONGEST = 30 * RATE
REACH = 4.5  # deviations that int8 spans
DROP = 0.125  # share of prompts left out, for guidance
GAIN_DB, TILT_DB = 3.0, 3.0  # deviation of the level, and of the balance of lows and highs
RECORDINGS = "recordings"  # the part that is not synthesised
SPEED = 1.2  # the most a clip is played faster or slower
KEPT, VERSIONS = 0.7, 2  # share of the words that a thinned caption keeps, and how many it has


@torch.no_grad()
def encode_corpus(corpus: Corpus, codec: SpectralCodec, path: Path) -> None:
    """Write `path`: z [N, D] int8, all clips one after the other, and the index in its header."""
    rows: list[Tensor] = []
    index: list[list[object]] = []
    start = 0
    for number, clip in enumerate(corpus.clips):
        audio = corpus.audio(clip, 0, min(clip.frames, LONGEST))
        z = codec.encode(torch.nn.functional.pad(audio, (0, TAIL * FRAME))[None, None])[0].T
        index.append([start, len(z), round(len(audio) / FRAME, 2), clip.label, clip.captions])
        rows.append(z)
        start += len(z)
        if number % 2000 == 0:
            log.info("encoded %d of %d clips", number, len(corpus.clips))
    whole = torch.cat(rows)
    scale = (REACH / 127) * codec.deviation()
    silence = codec.encode(torch.zeros(1, 1, 8 * FRAME))[0, :, 4]
    z = (torch.cat([whole, silence[None]]) / scale).round().clamp(-127, 127).to(torch.int8)
    partial = path.with_suffix(".partial")
    save_file({"z": z, "scale": scale}, partial, metadata={"index": json.dumps(index)})
    partial.replace(path)


def thin(caption: str, rng: random.Random) -> str:
    """Leave out words at random; at least one stays, and the order.

    >>> thin("a b c d e f g h i j", random.Random(0))
    'c d e f h i j'
    """
    words = caption.replace(",", "").split()
    kept = [word for word in words if rng.random() < KEPT]
    return " ".join(kept or [rng.choice(words)])


@dataclass(frozen=True, slots=True)
class Batch:
    """Windows z [B, D, L], raw text features [B, 1 + pieces, dim], seconds of sound [B]."""

    z: Tensor
    text: Tensor
    seconds: Tensor


class Latents:
    """Files of `encode_corpus` on a device, drawn from at random."""

    def __init__(
        self,
        paths: Sequence[Path],
        *,
        max_pieces: int,
        device: str = "cpu",
        real: float = 1.0,
        favour: Mapping[str, float] = MappingProxyType({}),
        thinned: float = 0.0,
        half: Half | None = None,
    ) -> None:
        """`real` is how many times as often as by its class a recording is drawn, `favour` how many
        times as often any clip of a class.

        `thinned` is the share of captions with words left out, `half` takes the clips of that half
        only.
        """
        rows: list[Tensor] = []
        index: list[tuple[int, int, float, str, list[str]]] = []
        times: list[float] = []
        first = 0
        for path in paths:
            with safe_open(path, framework="pt") as file:
                z, self.scale = file.get_tensor("z"), file.get_tensor("scale").to(device)
                entries = read_json(file.metadata()["index"])
            if half:
                entries = [row for row in entries if half_of(row[3], row[4][0]) == half]
            rows.append(z)
            index += [(first + a, b, c, label, texts) for a, b, c, label, texts in entries]
            often = real if path.stem == RECORDINGS else 1.0
            times += [often * favour.get(row[3], 1.0) for row in entries]
            first += len(z)
        self.z = torch.cat(rows).to(device)  # the last row is silence
        self.labels = [label for _, _, _, label, _ in index]
        self.start = torch.tensor([a for a, *_ in index], device=device)
        self.rows = torch.tensor([b for _, b, *_ in index], device=device)
        self.sounding = torch.tensor([c for _, _, c, *_ in index], device=device)
        texts = ["", *sorted({text for *_, some in index for text in some})]
        place = {text: i for i, text in enumerate(texts)}
        most = max(len(some) for *_, some in index)
        padded = [[place[some[k % len(some)]] for k in range(most)] for *_, some in index]
        self.captions = torch.tensor(padded, device=device)
        self.thinned, self.texts = thinned, len(texts)
        if thinned:  # row k * texts + i is the k-th version of caption i
            rng = random.Random(0)
            texts += [thin(text, rng) if text else "" for text in texts * VERSIONS]
        rows = [features(text, max_pieces).half() for text in texts]
        self.text = torch.stack(rows).to(device)
        shares = balanced_weights(self.labels, (self.sounding * SECONDS_A_FRAME).tolist())
        self.weights = torch.tensor(shares, device=device) * torch.tensor(times, device=device)

    def __len__(self) -> int:
        return len(self.labels)

    def batch(
        self,
        count: int,
        frames: int,
        codec: SpectralCodec,
        g: torch.Generator,
        *,
        plain: bool = False,
    ) -> Batch:
        """Draw `count` random windows of `frames` latent frames; `plain` leaves out dropping and
        all variation.

        A clip longer than the window fills it from anywhere; a shorter one begins the window and
        silence follows. The duration in the condition is the seconds of sound in the window, or
        (for every second clip) the window itself, so that 2 s of a kick drum is a kick and its
        silence. Speed (with it pitch and length), level and balance vary.
        """
        device = self.z.device

        def rand(*shape: int) -> Tensor:
            return torch.rand(*shape, generator=g, device=device)

        pick = torch.multinomial(self.weights, count, replacement=True, generator=g)
        speed = torch.ones(count, device=device) if plain else SPEED ** (2 * rand(count) - 1)
        span = frames if plain else math.ceil(frames * SPEED) + 1
        slack = (self.sounding[pick] - frames * speed).floor().clamp_min(0)
        begin = (rand(count) * (slack + 1)).floor().long()
        at = begin[:, None] + torch.arange(span, device=device)
        inside = at < self.rows[pick, None]
        z = self.z[torch.where(inside, self.start[pick, None] + at, len(self.z) - 1)]
        z = z.float() * self.scale  # [B, L, D]
        caption = (rand(count) * self.captions.shape[1]).long()
        text = self.captions[pick, caption]
        whole = torch.full((count,), float(frames), device=device)
        sounding = torch.minimum(whole, (self.sounding[pick] - begin) / speed)
        if not plain and self.thinned:
            version = (1 + rand(count) * VERSIONS).long()
            text = text + (rand(count) < self.thinned) * version * self.texts
        if not plain:
            text = torch.where(rand(count) < DROP, torch.zeros_like(text), text)
            change = torch.randn(count, 2, generator=g, device=device)
            change = change * torch.tensor([GAIN_DB, TILT_DB], device=device)
            audible = torch.arange(frames, device=device) < sounding[:, None]
            z = codec.at_speed(z.transpose(1, 2), speed, frames).transpose(1, 2)
            z = z + audible[..., None] * (change @ codec.tilts())[:, None]
        seconds = torch.where(rand(count) < 0.5, whole, sounding) * SECONDS_A_FRAME
        return Batch(z.transpose(1, 2).contiguous(), self.text[text].float(), seconds)
