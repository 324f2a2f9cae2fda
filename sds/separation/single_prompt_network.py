"""A mask for a prompt by itself: the prior's transformer, trained to separate a mixture.

The prior knows what words sound like; separation needs the same knowledge in another form
(language-queried separation: LASS-Net, Liu et al. 2022, arXiv 2203.15147; AudioSep, arXiv
2308.05037). So the shipped prior's transformer is given the mixture's latents where noisy ones
were, and low-rank changes of its matrices (LoRA, Hu et al. 2022, arXiv 2106.09685) and a new head
make its answer a mask: the logit of the prompt's share of each cell, 128 mel bands by 11.6 ms.

    mixture -> mel levels -> latents -> transformer (prompt) -> patches of logits [128 x 8 cells]

A patch answers for 93 ms at once, and a prompt knows nothing of the others: what comes of it is
where the query network (`sds.separation.query_network`) begins.

Trained by `sds.train.single_prompt` over the prior of its time. What ships is the whole transformer
with its changes merged, each row of a matrix in eight bits, so that the prior may go on learning.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from sds.priors.checkpoints import (
    ModelUnavailable,
    find,
    load_weights,
    misfits,
    shipped_file,
)
from sds.priors.quantised import read_quantised
from sds.priors.spectral_codec import GROUP, HOP
from sds.priors.stable_audio_modules import build_model
from sds.priors.text_embedding import dim, pieces, sentence
from sds.weights import weights_folder

FOLDER = weights_folder("query_network")
FILE = "single.safetensors"
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


class SinglePromptNet(nn.Module):
    """Network from mel levels of mixtures and text features to logits of the texts' shares."""

    def __init__(self, model: Any, *, rank: int) -> None:
        """`model` is the prior's module with its weights, which are frozen; changes of so many
        dimensions are added, none for 0.
        """
        super().__init__()
        model.requires_grad_(False)
        self.codec, self.dit = model.pretransform, model.model.model
        self.conditioners = model.conditioner.conditioners
        transformer = self.dit.transformer
        width = transformer.project_out.in_features
        transformer.project_out = nn.Identity()
        for module in [*transformer.modules()]:
            if rank and isinstance(module, nn.Linear):
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

    def merge(self) -> None:
        """Put the changes into the matrices; the answers stay as they are."""
        for module in self.modules():
            if parametrize.is_parametrized(module):
                parametrize.remove_parametrizations(module, "weight")

    def kept_parameters(self) -> dict[str, Tensor]:
        """Parameters [...] by name that a file of a merged network holds: all but the codec's
        decoder, which masks do not need.
        """
        skipped = ("codec.dec", "codec.synthesis", "conditioners.seconds_start")
        return {n: p for n, p in self.state_dict().items() if not n.startswith(skipped)}


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


def build(*, rank: int) -> SinglePromptNet:
    """Build the network over the shipped prior, changes zero."""
    checkpoint = find("default")
    with torch.random.fork_rng(devices=[]):
        model = build_model(checkpoint.config, blank=True)
        load_weights(model, checkpoint.weights)
        return SinglePromptNet(model, rank=rank)


def load_single_prompt_net(folder: Path = FOLDER) -> SinglePromptNet:
    """Load the network of `folder`, frozen.

    Raises `ModelUnavailable` for weights that are not there, do not fit or are not finite.
    """
    path = shipped_file(folder / FILE, "sds.train.single_prompt")
    with torch.random.fork_rng(devices=[]):
        net = SinglePromptNet(build_model(find("default").config), rank=0)
    tensors = read_quantised(path)
    if wrong := misfits(net.kept_parameters(), tensors):
        raise ModelUnavailable(f"the weights in {path} do not fit the network: {wrong}.")
    net.load_state_dict(tensors, strict=False)
    return net.eval().requires_grad_(False)
