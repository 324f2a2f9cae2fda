"""A mask for any prompt in one pass: the prior's transformer, trained to separate a mixture.

The prior knows what words sound like; separation needs the same knowledge in another form
(language-queried separation: LASS-Net, Liu et al. 2022, arXiv 2203.15147; AudioSep, arXiv
2308.05037). So the shipped prior's transformer is given the mixture's latents where noisy ones
were, and low-rank changes of its matrices (LoRA, Hu et al. 2022, arXiv 2106.09685) and a new head
make its answer a mask: the logit of the prompt's share of each cell, 128 mel bands by 11.6 ms.

    mixture -> mel levels -> latents -> transformer (prompt) -> patches of logits [128 x 8 cells]

A patch answers for 93 ms at once. That is no limit yet: true shares of whole patches make 16.4 dB
of SI-SDR improvement on pairs of clips, those of single cells 17.3.

Trained by `sds.train.query`; only what differs from the prior is in the file.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrize

from presets.reading import read_json
from sds.priors.checkpoints import (
    ModelUnavailable,
    digest,
    find,
    load_weights,
    misfits,
    read_tensors,
)
from sds.priors.spectral_codec import BINS, GROUP, HOP, N_FFT
from sds.priors.stable_audio_modules import build_model
from sds.priors.text_embedding import dim, pieces, sentence
from sds.signal.audio_files import peak_gain, resample
from sds.signal.overlap_add import Span, fades, spans
from sds.weights import weights_folder

FOLDER = weights_folder("query_network")
RATE = 44100
N = 2048  # window of the grid that shares are given on
LATENTS = 64  # latent frames heard at once: 3.0 s
FRAMES = LATENTS * GROUP  # mel frames of a window
PEAK = 0.5  # a mixture is brought to this, as the prior heard its clips
TIME = 0.4  # the diffusion time that the transformer is told
PIECES = 12


class LowRank(nn.Module):
    """A matrix and a change of low rank: W + up down."""

    def __init__(self, outside: int, inside: int, rank: int) -> None:
        super().__init__()
        self.up = nn.Parameter(torch.zeros(outside, rank))
        self.down = nn.Parameter(torch.randn(rank, inside) / inside**0.5)

    def forward(self, weight: Tensor) -> Tensor:
        """W + up down, [outside, inside], of weight W [outside, inside]."""
        return weight + self.up @ self.down


class QueryNet(nn.Module):
    """Network from mel levels of mixtures and text features to logits of the texts' shares."""

    def __init__(self, model: Any, *, rank: int) -> None:
        """`model` is the prior's module with its weights, which are frozen; changes are added."""
        super().__init__()
        model.requires_grad_(False)
        self.codec, self.dit = model.pretransform, model.model.model
        self.conditioners = model.conditioner.conditioners
        transformer = self.dit.transformer
        width = transformer.project_out.in_features
        transformer.project_out = nn.Identity()
        for module in [*transformer.modules()]:
            if isinstance(module, nn.Linear):
                parametrize.register_parametrization(
                    module, "weight", LowRank(module.out_features, module.in_features, rank)
                )
        cells = self.codec.mel.shape[0] * GROUP * self.dit.patch_size
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, cells)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        self.sharpness = nn.Parameter(torch.tensor(1.4))

    def forward(self, levels: Tensor, text: Tensor) -> Tensor:
        """Levels [B, M, L] (scaled dB), texts [B, K, 1 + PIECES, D] -> logits [B, K, M, L]."""
        b, k = text.shape[:2]
        bands, frames = levels.shape[1:]
        z = self.codec.encode_levels(levels).repeat_interleave(k, 0)  # [B K, D, L / GROUP]
        h = self.norm(self.tokens(z, text.flatten(0, 1)))  # [B K, N, width]
        patches = self.head(h).reshape(b, k, h.shape[1], bands, -1)
        out: Tensor = patches.permute(0, 1, 3, 2, 4).reshape(b, k, bands, frames)
        return out

    def among(self, logits: Tensor) -> Tensor:
        """Normalise logits [..., K, M, L], each for itself, to log-shares among the K alone, whose
        sum is 1.

        A prompt's logit compares it with all else. Were each certain, half the difference of two
        would be the logit between them; as two independent estimates of one quantity they justify a
        larger factor, and `sharpness` is learned.
        """
        return (self.sharpness * logits).log_softmax(-3)

    def tokens(self, z: Tensor, text: Tensor) -> Tensor:
        """Last states [B, N, width] of the transformer for latents z [B, D, L] and texts [B, 1 +
        PIECES, D].
        """
        parts, dit, b = self.conditioners, self.dit, len(z)
        prompt, lone = parts["prompt"].proj_out(text), parts["sentence"].proj_out(text[:, :1])
        seconds = z.shape[-1] * GROUP * HOP / RATE
        duration = parts["seconds_total"]([seconds] * b, z.device)[0]
        time = dit.timestep_features(torch.full((b, 1), TIME, device=z.device))
        state = dit.to_global_embed(torch.cat([lone, duration], dim=-1)[:, 0])
        z = dit.preprocess_conv(z) + z
        p = dit.patch_size
        x = z.reshape(b, z.shape[1], -1, p).transpose(1, 2).flatten(2)  # [B, N, D p]
        out: Tensor = dit.transformer(
            x,
            context=dit.to_cond_embed(torch.cat([prompt, duration], dim=1)),
            global_cond=state + dit.to_timestep_embed(time),
            use_checkpointing=False,
        )
        return out

    def trainable_parameters(self) -> dict[str, Tensor]:
        """Parameters that training changes, each [...] by name: all that has to be kept beside the
        prior.
        """
        return {name: p for name, p in self.named_parameters() if p.requires_grad}


def text_features(prompts: Sequence[str]) -> Tensor:
    """Text features [K, 1 + PIECES, D]: the sentence vector of each of K prompts, then those of its
    word pieces.
    """
    out = torch.zeros(len(prompts), 1 + PIECES, dim())
    for row, prompt in zip(out, prompts, strict=True):
        row[0] = sentence(prompt)
        vectors, _ = pieces(prompt, PIECES)
        row[1 : 1 + len(vectors)] = vectors
    return out


def build(*, rank: int) -> tuple[QueryNet, str]:
    """Build the network over the shipped prior, changes zero; with the hash of the
    prior's weights.
    """
    checkpoint = find("default")
    with torch.random.fork_rng(devices=[]):
        model = build_model(checkpoint.config)
        base = load_weights(model, checkpoint.weights)
        return QueryNet(model, rank=rank), base


class Query:
    """The shipped separator by prompts, on the CPU."""

    def __init__(self, net: QueryNet, *, model_hash: str) -> None:
        for module in net.modules():
            if parametrize.is_parametrized(module):
                parametrize.remove_parametrizations(module, "weight")
        self.net = net.eval().requires_grad_(False)
        self.model_hash = model_hash

    def mel_logits(self, audio: Tensor, prompts: Sequence[str]) -> Tensor:
        """Logits [K, M, T / HOP] of each prompt's share of audio [T] at RATE."""
        *_, logits = self.mel_logits_by_window(audio, prompts)
        return logits

    @torch.no_grad()
    def mel_logits_by_window(self, audio: Tensor, prompts: Sequence[str]) -> Iterator[Tensor]:
        """`mel_logits` window by window: the logits [K, M, T / HOP] so far, after each."""
        windows = self.windows(len(audio), RATE)
        count, frames = -(-len(audio) // HOP), windows[-1][1] * GROUP
        audio = audio * peak_gain(audio[None, None], PEAK).squeeze()
        levels = self.net.codec.levels(F.pad(audio, (0, frames * HOP - len(audio)))[None])
        text = text_features(prompts)[None]
        out = torch.zeros(len(prompts), *levels.shape[1:])
        for (begin, end), fade in zip(windows, fades(windows), strict=True):
            part = slice(begin * GROUP, end * GROUP)
            logits = self.net(levels[..., part], text)[0]
            out[..., part] += logits * fade.repeat_interleave(GROUP)
            yield out[..., :count]

    def windows(self, samples: int, rate: int) -> list[Span]:
        """(begin, end) of each window, in latent frames, of so many samples at `rate`."""
        frames = -(-samples * RATE // (rate * HOP * GROUP))
        return spans(max(LATENTS, frames), LATENTS)

    def logits(self, mid: Tensor, rate: int, prompts: Sequence[str]) -> Tensor:
        """Logits [K, F, N] of each prompt's share of mid [1, 1, T] at `rate` Hz.

        On the bins of `sds.signal.spectrogram.stft(mid, N)`.
        """
        *_, logits = self.mel_logits_by_window(_mono(mid, rate), prompts)
        return self._on_bins(logits, mid.shape[-1], rate)

    def _on_bins(self, logits: Tensor, samples: int, rate: int) -> Tensor:
        hertz = torch.arange(N // 2 + 1) * (rate / N)
        seconds = torch.arange(samples // (N // 4) + 1) * (N / 4 / rate)
        centres = self.net.codec.mel @ torch.arange(BINS).float() * (RATE / N_FFT)
        frames = seconds * (RATE / HOP) - 0.5  # ours lie between the samples, not around them
        return _interpolate(logits, _places(hertz, centres), frames)

    def shares(self, mid: Tensor, rate: int, prompts: Sequence[str]) -> Tensor:
        """Each prompt's share [K, F, N], 0..1, of the bins of `sds.signal.spectrogram.stft(mid,
        2048)`.

        Of mid [1, 1, T] at `rate` Hz, of any length, in windows. Their sum is at most 1: what is
        left to 1 belongs to none of the prompts. Divide by the sum where nothing else is in the
        mixture. Raises `ValueError` for another shape.
        """
        *_, shares = self.shares_by_window(mid, rate, prompts)
        return shares

    def shares_by_window(self, mid: Tensor, rate: int, prompts: Sequence[str]) -> Iterator[Tensor]:
        """The same as `shares` [K, F, N], which it yields last; before that an empty tensor [0]
        after each window.
        """
        mel_logits = torch.zeros(0)
        for so_far in self.mel_logits_by_window(_mono(mid, rate), prompts):
            mel_logits = so_far
            yield torch.zeros(0)
        logits = self._on_bins(mel_logits, mid.shape[-1], rate)
        yield self.net.among(logits).exp() * logits.sigmoid().sum(0).clamp_max(1.0)


def _mono(mid: Tensor, rate: int) -> Tensor:
    """Audio [T] at RATE of mid [1, 1, T'] at `rate`."""
    if mid.ndim != 3 or mid.shape[:2] != (1, 1) or mid.shape[-1] == 0:
        raise ValueError(f"mid must be [1, 1, T > 0], got {list(mid.shape)}")
    return mid[0, 0] if rate == RATE else resample(mid[0], rate, RATE)[0]


def _places(values: Tensor, grid: Tensor) -> Tensor:
    """Where `values` lie on a rising grid, in fractional steps, held at its ends."""
    above = torch.searchsorted(grid, values).clamp(1, len(grid) - 1)
    low, high = grid[above - 1], grid[above]
    return above - 1 + ((values - low) / (high - low)).clamp(0, 1)


def _interpolate(x: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """x [K, M, L] at fractional rows and columns, [K, rows, columns]; the edges are held."""
    m, n = x.shape[1:]
    grid = torch.stack(
        torch.meshgrid((columns * 2 + 1) / n - 1, (rows * 2 + 1) / m - 1, indexing="xy"), dim=2
    )
    return F.grid_sample(x[None], grid[None], padding_mode="border", align_corners=False)[0]


def load_query(folder: Path = FOLDER) -> Query | None:
    """Load the separator in `folder`; None when there is none.

    Raises `ModelUnavailable` when it was trained over other weights than the default prior's.
    """
    path = folder / "model.safetensors"
    if not path.is_file():
        return None
    config = read_json(folder / "query.json")
    net, base = build(rank=config["rank"])
    if base != config["prior"]:
        raise ModelUnavailable(
            f"{path} was trained over the prior {config['prior']}, and the default model is "
            f"{base}; train it anew with sds.train.query."
        )
    tensors = {name: value.float() for name, value in read_tensors(path).items()}
    if wrong := misfits(net.trainable_parameters(), tensors):
        raise ModelUnavailable(f"{path} does not fit the network: {wrong}.")
    net.load_state_dict(tensors, strict=False)
    return Query(net, model_hash=digest(path))
