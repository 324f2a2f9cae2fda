"""Masks for any prompts in one pass: a network of its own, trained to share out mixtures.

Language-queried separation (LASS-Net, Liu et al. 2022, arXiv 2203.15147; AudioSep, arXiv
2308.05037) asks for one sound at a time. Here all prompts come at once, and a rest, of what no
prompt names, competes with them, as the queries of MaskFormer do for the pixels of a picture (Cheng
et al. 2021, arXiv 2107.06278):

    levels [128 bands, L] -> convolutions -> grid of [16, L / 8] cells, beside it the maps of the
    trunk (`sds.similarity.trunk`): what it takes the sounds for
    prompts -> shares by each alone (`sds.separation.single_prompt_network`), the first guess
    prompts -> how well they fit the trunk's cells (`sds.similarity.cell_words`), the evidence
    prompts -> sentence vectors, and what the grid holds where guess and evidence are -> queries,
    and one for the rest
    grid and queries attend to each other -> vectors of the single cells, a direction for each query
    logit of a cell = the first guess + its vector along the query's direction + the evidence
    shares = softmax over the queries

Masks are on mel bands, on the frames of
`sds.signal.spectrogram.stft(mid, 2048)`. Trained by `sds.train.query`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sds.priors.checkpoints import digest, fill, read_tensors
from sds.priors.sentence_encoder import FOLDER as SENTENCES
from sds.priors.sentence_encoder import WIDTH as SENTENCE
from sds.priors.sentence_encoder import encode_sentences
from sds.priors.spectral_codec import BINS, mel_matrix, mel_spread
from sds.separation.query_layers import Exchange, Residual, conv3
from sds.separation.single_prompt_network import FILE as SINGLE
from sds.separation.single_prompt_network import FRAMES as SINGLE_FRAMES
from sds.separation.single_prompt_network import (
    SinglePromptNet,
    load_single_prompt_net,
    text_features,
)
from sds.signal.audio_files import peak_gain, resample
from sds.signal.overlap_add import Span, fades, spans
from sds.signal.spectrogram import stft
from sds.similarity.cell_words import FILE as WORDS
from sds.similarity.cell_words import CellWords, load_cell_words
from sds.similarity.trunk import BANDS, WIDTHS, load_trunk
from sds.similarity.trunk import FOLDER as TRUNK
from sds.weights import weights_folder

FOLDER = weights_folder("query_network")
RATE = 44100
N = 2048  # window of the grid that shares are given on
HOP = N // 4
MELS = 128
WINDOW = 512  # frames heard at once: 5.9 s
BLOCK = 16  # frames of which a window has a whole number
PEAK = 0.5  # a mixture is brought to this
FLOOR_DB, CENTRE_DB, SCALE_DB = -90.0, -45.0, 20.0
CHANNELS = (16, 32, 64, 160)  # at full resolution, a half, a quarter, an eighth
LAYERS = 3
CELL = 24  # numbers of a single cell's vector
LEAST = 1e-3  # share of a first guess
TRUST = 0.5  # weight of the network beside the first guess: they err in different places
EVIDENCE = 6  # numbers that are known of a prompt in a cell of the grid


@dataclass(frozen=True, slots=True)
class Prompts:
    """Prompts as the networks read them: sentence vectors `text` [B, K, SENTENCE], and `words` [B,
    K, n, D], the features of `sds.separation.single_prompt_network`.
    """

    text: Tensor
    words: Tensor


@dataclass(frozen=True, slots=True)
class Heard:
    """What the network is given of a sound.

    - `levels`: [B, MELS, L] scaled dB; `maps`: the trunk's.
    - `guess`: [B, K + 1, MELS, L], log-shares of each prompt alone, and of the rest.
    - `fit`: [B, K, 12, L / 16], cosines of the trunk's cells with the prompts.
    """

    levels: Tensor
    maps: list[Tensor]
    guess: Tensor
    fit: Tensor


class QueryNet(nn.Module):
    """Network from mel levels, the trunk's maps and sentence vectors to logits of shares."""

    def __init__(self) -> None:
        super().__init__()
        full, half, quarter, eighth = CHANNELS
        self.stem = conv3(4, full)
        self.down = nn.ModuleList(nn.Conv2d(a, b, 2, 2) for a, b in pairwise(CHANNELS))
        self.encode = nn.ModuleList(Residual(width) for width in CHANNELS[1:])
        self.trunk = nn.ModuleList(
            nn.Conv2d(a, b, 1) for a, b in zip(WIDTHS[1:], (quarter, eighth, eighth), strict=True)
        )
        self.bands = nn.Parameter(0.02 * torch.randn(MELS // 8, 1, eighth))
        self.text = nn.Sequential(nn.Linear(SENTENCE, eighth), nn.GELU(), nn.Linear(eighth, eighth))
        self.rest = nn.Parameter(0.02 * torch.randn(eighth))
        self.sound = nn.Linear(eighth, eighth)
        self.first = nn.Parameter(torch.ones(()))  # weight of the first guess
        self.fitting = nn.Linear(eighth, eighth)
        self.evidence = nn.Linear(EVIDENCE, eighth)
        weigh = nn.Linear(32, 1)
        self.weigh = nn.Sequential(nn.Linear(EVIDENCE, 32), nn.GELU(), weigh)
        self.layers = nn.ModuleList(Exchange(eighth) for _ in range(LAYERS))
        self.up = nn.ModuleList(nn.Conv2d(a, 4 * b, 1) for b, a in reversed([*pairwise(CHANNELS)]))
        self.decode = nn.ModuleList(Residual(width) for width in (quarter, half))
        self.cells = nn.Sequential(nn.SiLU(), conv3(full, CELL))
        direction = nn.Linear(eighth, CELL + 1)
        self.direction = nn.Sequential(nn.LayerNorm(eighth), direction)
        self.coarse = nn.Linear(eighth, eighth)
        for last in (direction, self.coarse, weigh, self.fitting, self.evidence):
            # it begins with the first guess
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)
        self.presence = nn.Sequential(nn.LayerNorm(eighth), nn.Linear(eighth, 1))
        self.sharpness: Tensor
        self.register_buffer("sharpness", torch.tensor(1.0))
        for index, rows in enumerate((MELS // 4, MELS // 8, MELS // 8)):
            columns = BANDS >> (index + 1)
            self.register_buffer(f"rows{index}", _warp(rows, columns), persistent=False)
        mel = mel_matrix(RATE, MELS)
        self.mel: Tensor
        self.spread: Tensor
        self.register_buffer("mel", mel, persistent=False)
        self.register_buffer("spread", mel_spread(mel), persistent=False)

    def levels(self, magnitude: Tensor) -> Tensor:
        """Scaled dB [B, MELS, L] of magnitudes [B, 1025, L]."""
        db = 20 * (self.mel @ magnitude).clamp_min(10 ** (FLOOR_DB / 20)).log10()
        return (db - CENTRE_DB) / SCALE_DB

    def forward(self, heard: Heard, text: Tensor, there: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of shares [B, K + 1, MELS, L], the last one the rest's, and of presence [B, K].

        Of what was heard, and of sentence vectors [B, K, SENTENCE] of prompts, of which those count
        that are `there` [B, K].
        """
        x, kept = self._heard(heard)
        evidence = self._evidence(heard, there)  # [B, K, MELS / 8, L / 8, EVIDENCE]
        queries = self._queries(x, heard, evidence, text)
        count = F.pad(there, (0, 1), value=True)
        grid = x.permute(0, 2, 3, 1) + self.bands
        for layer in self.layers:
            grid, queries = layer(grid, queries, count)
        x = grid.permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)
        coarse = torch.einsum("bkd,bmld->bkml", self.coarse(queries), grid) / CHANNELS[-1] ** 0.5
        coarse = coarse + F.pad(self.weigh(evidence)[..., 0], (0, 0, 0, 0, 0, 1))
        for index, up in enumerate(self.up):
            x = F.pixel_shuffle(up(x), 2) + kept[-1 - index]
            if index < len(self.decode):
                x = self.decode[index](x)
        direction = self.direction(queries)
        fine = torch.einsum("bkc,bcml->bkml", direction[..., :-1], self.cells(x))
        logits = self.first * heard.guess + fine + direction[..., -1:, None]
        logits = logits + F.interpolate(coarse, scale_factor=8, mode="bilinear")
        logits = logits.masked_fill(~count[..., None, None], -1e4)
        return logits, self.presence(queries[:, :-1])[..., 0]

    def _evidence(self, heard: Heard, asked: Tensor) -> Tensor:
        """What is known of each prompt in each cell of the grid: [B, K, MELS / 8, L / 8, EVIDENCE].

        How well it fits, how much better there than elsewhere and than the other prompts, its share
        and the rest's by the first guess, and the level.
        """
        shares = F.avg_pool2d(heard.guess.exp(), 8).clamp_min(LEAST).log() / 4
        own, rest = shares[:, :-1], shares[:, -1:]
        fit = torch.einsum("bknl,mn->bkml", 4 * heard.fit, self.get_buffer("rows2"))
        fit = F.interpolate(fit, size=own.shape[-2:], mode="bilinear")
        others = fit.masked_fill(~asked[..., None, None], -10.0)
        beside = fit - others.amax(1, keepdim=True)
        there = fit - fit.mean((2, 3), keepdim=True)
        level = F.avg_pool2d(heard.levels[:, None], 8)
        parts = (fit, there, beside, own, rest.expand_as(own), level.expand_as(own))
        return torch.stack(parts, -1)

    def _queries(self, x: Tensor, heard: Heard, evidence: Tensor, text: Tensor) -> Tensor:
        """Queries [B, K + 1, D]: what prompts mean, and what of the grid x [B, D, M, L] is theirs
        by the first guess, and by fit.
        """
        energy = F.avg_pool2d(10.0**heard.levels, 8)  # [B, M, L]
        energy = energy / energy.sum((1, 2), keepdim=True).clamp_min(1e-6)
        queries = self.text(text * SENTENCE**0.5)
        queries = queries + self.evidence(torch.einsum("bkmle,bml->bke", evidence, energy))
        close = (4 * evidence[..., 0]).flatten(2).softmax(-1)
        queries = queries + self.fitting(close @ x.flatten(2).transpose(1, 2))
        queries = torch.cat([queries, self.rest.expand(len(text), 1, -1)], 1)
        held = F.avg_pool2d(heard.guess.exp(), 8)
        held = held / held.sum((2, 3), keepdim=True).clamp_min(1e-6)
        out: Tensor = queries + self.sound(torch.einsum("bkml,bdml->bkd", held, x))
        return out

    def _heard(self, heard: Heard) -> tuple[Tensor, list[Tensor]]:
        """The grid [B, 160, MELS / 8, L / 8], and the finer maps on the way to it."""
        levels, maps, guess = heard.levels, heard.maps, heard.guess
        height = torch.linspace(-1, 1, MELS, device=levels.device)[:, None].expand(levels.shape)
        clearest = guess[:, :-1].amax(1)
        x = torch.stack([levels, height, guess[:, -1] / 4, clearest / 4], 1)
        x = self.stem(x.contiguous(memory_format=torch.channels_last))
        kept = [x]
        for index, (down, encode) in enumerate(zip(self.down, self.encode, strict=True)):
            x = down(x)
            if index == 1:
                x = x + self._mapped(maps, 0, x)
            if index == 2:
                x = x + self._mapped(maps, 1, x) + self._mapped(maps, 2, x)
            x = encode(x)
            kept.append(x)
        return x, kept[:-1]

    def _mapped(self, maps: Sequence[Tensor], index: int, like: Tensor) -> Tensor:
        """One of the trunk's maps [B, D, L', M'] on the cells of maps `like` [B, C, M, L]."""
        x = torch.einsum("bdlr,mr->bdml", maps[index], self.get_buffer(f"rows{index}"))
        x = self.trunk[index](x)
        if x.shape[-1] != like.shape[-1]:
            x = F.interpolate(x, size=like.shape[-2:], mode="bilinear")
        return x


def _warp(rows: int, columns: int) -> Tensor:
    """Matrix [rows, columns] that reads the trunk's bands (HTK mel) at those of our cells."""
    mel = mel_matrix(RATE, MELS)
    centres = mel @ torch.linspace(0, RATE / 2, BINS)
    hertz = centres.reshape(rows, -1).mean(1)
    place = 2595 * (1 + hertz / 700).log10() / (2595 * torch.tensor(1 + RATE / 1400).log10())
    place = (place * columns - 0.5).clamp(0, columns - 1)
    low = place.floor().clamp_max(columns - 2)
    out = torch.zeros(rows, columns)
    index = torch.arange(rows)
    out[index, low.long()] = 1 - (place - low)
    out[index, low.long() + 1] += place - low
    return out


def first_guess(net: SinglePromptNet, audio: Tensor, words: Tensor, there: Tensor) -> Tensor:
    """Log-shares [B, K + 1, MELS, L] of prompts and the rest, each prompt asked by itself.

    Of audio [B, (L - 1) HOP], L whole SINGLE_FRAMES or fewer, and of `text_features` [B, K, n, D]
    of prompts, of which those count that are `there` [B, K]. The rest has what all leave together.
    """
    levels = net.codec.levels(F.pad(audio, (0, HOP)))  # its frames lie between ours
    size = min(SINGLE_FRAMES, levels.shape[-1])
    logits = torch.cat([net(part, words) for part in levels.split(size, -1)], -1)
    logits = (logits + torch.cat([logits[..., :1], logits[..., :-1]], -1)) / 2
    logits = logits.masked_fill(~there[..., None, None], -1e4)
    total = logits.sigmoid().sum(1, keepdim=True).clamp_max(1.0)
    shares = torch.cat([net.among(logits).exp() * total, 1 - total], 1)
    return (shares + LEAST).log()


@dataclass(frozen=True, slots=True)
class Guides:
    """The frozen networks that the network hears through, beside the trunk."""

    single: SinglePromptNet
    words: CellWords


def load_guides() -> Guides:
    """Load the shipped ones."""
    return Guides(load_single_prompt_net(), load_cell_words())


@torch.no_grad()
def hear(net: QueryNet, guides: Guides, audio: Tensor, prompts: Prompts, there: Tensor) -> Heard:
    """What is heard of audio [B, (L - 1) HOP], L whole BLOCKs, before the network itself."""
    trunk = load_trunk()
    maps = trunk.maps(trunk.levels(audio)[:, : audio.shape[-1] // (2 * HOP) + 1])
    return Heard(
        net.levels(stft(audio[:, None], N)[:, 0].abs()),
        maps,
        first_guess(guides.single, audio, prompts.words, there),
        guides.words.fit(maps[-1], prompts.text),
    )


class Query:
    """The shipped separator by prompts, on the CPU."""

    def __init__(self, net: QueryNet, guides: Guides, *, model_hash: str) -> None:
        self.net, self.guides = net.eval().requires_grad_(False), guides
        self.model_hash = model_hash

    def windows(self, samples: int, rate: int) -> list[Span]:
        """(begin, end) of each window, in frames, of so many samples at `rate`."""
        frames = samples * RATE // (rate * HOP) + 1
        return spans(-(-frames // BLOCK) * BLOCK, WINDOW)

    def shares(self, mid: Tensor, rate: int, prompts: Sequence[str]) -> Tensor:
        """Each prompt's share [K + 1, F, N], 0..1, of the bins of `sds.signal.spectrogram.stft(mid,
        2048)`; the last is the rest's, and their sum is 1.

        Of mid [1, 1, T] at `rate` Hz, of any length, in windows. Raises `ValueError` for another
        shape.
        """
        return self.answer(mid, rate, prompts)[0]

    def answer(self, mid: Tensor, rate: int, prompts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """`shares` [K + 1, F, N], and the log odds [K] that each prompt's sound is there at all, in
        the window that speaks most for it.
        """
        *_, (logits, presence) = self._logits_by_window(_mono(mid, rate), prompts)
        return self._on_bins(logits, mid.shape[-1], rate), presence

    def shares_by_window(self, mid: Tensor, rate: int, prompts: Sequence[str]) -> Iterator[Tensor]:
        """The same as `shares` [K + 1, F, N], which it yields last; before that an empty tensor [0]
        after each window.
        """
        logits = torch.zeros(0)
        for so_far, _ in self._logits_by_window(_mono(mid, rate), prompts):
            logits = so_far
            yield torch.zeros(0)
        yield self._on_bins(logits, mid.shape[-1], rate)

    @torch.no_grad()
    def _logits_by_window(
        self, audio: Tensor, prompts: Sequence[str]
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Logits [K + 1, MELS, L] of shares and [K] of presence of audio [T] so far, after each
        window.
        """
        windows = self.windows(len(audio), RATE)
        total = windows[-1][1]
        audio = audio * peak_gain(audio[None, None], PEAK).squeeze()
        audio = F.pad(audio, (0, max(0, (total - 1) * HOP - len(audio))))
        asked = Prompts(encode_sentences(prompts)[None], text_features(prompts)[None])
        there = torch.ones(1, len(prompts), dtype=torch.bool)
        logits = torch.zeros(len(prompts) + 1, MELS, total)
        presence = torch.full((len(prompts),), -torch.inf)
        for (begin, end), fade in zip(windows, fades(windows), strict=True):
            part = audio[None, begin * HOP : (end - 1) * HOP]
            heard = hear(self.net, self.guides, part, asked, there)
            learned, here = self.net(heard, asked.text, there)
            both = TRUST * learned[0].log_softmax(0) + (1 - TRUST) * heard.guess[0]
            logits[..., begin:end] += both * fade
            presence = presence.maximum(here[0])
            yield logits, presence

    def _on_bins(self, logits: Tensor, samples: int, rate: int) -> Tensor:
        """Shares [K + 1, F, N] of so many samples at `rate` Hz by logits [K + 1, MELS, L]."""
        shares = self.net.spread @ (self.net.sharpness * logits).softmax(0)
        return _on_grid(shares, samples, rate)


def _on_grid(x: Tensor, samples: int, rate: int) -> Tensor:
    """x [K, 1025, L] on our grid at RATE, on that of `samples` at `rate` Hz: [K, 1025, N]."""
    frames = samples // HOP + 1
    if rate == RATE:
        return x[..., :frames]
    rows = torch.arange(BINS) * (rate / RATE)
    columns = torch.arange(frames) * (RATE / rate)
    grid = torch.stack(
        torch.meshgrid(
            columns * 2 / (x.shape[2] - 1) - 1, rows * 2 / (x.shape[1] - 1) - 1, indexing="xy"
        ),
        dim=2,
    )
    return F.grid_sample(x[None], grid[None], padding_mode="border", align_corners=True)[0]


def _mono(mid: Tensor, rate: int) -> Tensor:
    """Audio [T] at RATE of mid [1, 1, T'] at `rate`."""
    if mid.ndim != 3 or mid.shape[:2] != (1, 1) or mid.shape[-1] == 0:
        raise ValueError(f"mid must be [1, 1, T > 0], got {list(mid.shape)}")
    return mid[0, 0] if rate == RATE else resample(mid[0], rate, RATE)[0]


def load_query(folder: Path = FOLDER) -> Query | None:
    """Load the separator in `folder`; None when there is none.

    Raises `ModelUnavailable` for weights that do not fit or are not finite.
    """
    path = folder / "model.safetensors"
    if not path.is_file():
        return None
    net = QueryNet()
    fill(net, read_tensors(path), path)
    return Query(net, load_guides(), model_hash=_digest_of_all(path))


def _digest_of_all(path: Path) -> str:
    """16 hex digits of the weights in `path` and of all that is heard and read through."""
    beside = (FOLDER / SINGLE, TRUNK / WORDS, TRUNK / "model.safetensors")
    digests = [digest(file) for file in (path, *beside, SENTENCES / "model.safetensors")]
    return hashlib.sha256(" ".join(digests).encode()).hexdigest()[:16]
