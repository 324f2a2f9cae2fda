"""The tagger: a small network that asks what the trunk heard for any prompt.

    frames [B, N, 4, 512] -> groups of bands to 80 each -> 256, with their neighbours and the mean
    prompt -> sentence vector -> four questions, which look for their moments among the frames
           -> what they found, beside the prompt -> a logit: is its sound in there
    and frame by frame, the inner product of frame and prompt: does it sound just then

Beside it stands a plain estimate, linear in what the whole block has: for each class, and for a
prompt by the classes that its sentence is of. It was fitted in closed form and errs otherwise.

A prompt costs a few products of matrices, so it answers some hundred at once. Trained on mixtures
(`sds.train.tagger`) over the frozen trunk (`sds.detection.band_frames`).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sds.detection.band_frames import GROUPS, WIDTH, band_frames
from sds.priors.checkpoints import digest, fill, read_tensors
from sds.priors.sentence_encoder import WIDTH as SENTENCE
from sds.priors.sentence_encoder import encode_sentences
from sds.similarity.trunk import load_trunk
from sds.weights import weights_folder

FOLDER = weights_folder("tagger")
DIM, BAND, HEADS = 256, 80, 4
PART = DIM // HEADS
CLASSES = 109  # of `sds.datasets.captions`, in their alphabet
POOLED = (2 * GROUPS + 1) * WIDTH


def pool(frames: Tensor, there: Tensor) -> Tensor:
    """Means and maxima over time [B, POOLED] of frames [B, N, GROUPS, 512] that are `there` [B, N];
    the last part is the maximum over bands too.
    """
    roots = frames.sqrt() * there[..., None, None]
    mean = roots.sum(1) / there.sum(1).clamp_min(1)[:, None, None]
    most = roots.amax(1)
    return torch.cat([mean.flatten(1), most.flatten(1), most.amax(1)], 1)


class TaggerNet(nn.Module):
    """Frames and sentence vectors to logits."""

    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__()
        self.mean: Tensor
        self.deviation: Tensor
        self.register_buffer("mean", torch.zeros(GROUPS, WIDTH))
        self.register_buffer("deviation", torch.ones(GROUPS, WIDTH))
        self.pooled_mean: Tensor
        self.pooled_deviation: Tensor
        self.register_buffer("pooled_mean", torch.zeros(POOLED))
        self.register_buffer("pooled_deviation", torch.ones(POOLED))
        self.classes = nn.Linear(POOLED, CLASSES, bias=False)
        self.class_of = nn.Linear(SENTENCE, CLASSES, bias=False)
        self.bands = nn.Parameter(torch.randn(GROUPS, WIDTH, BAND) / WIDTH**0.5)
        self.mix = nn.Linear(GROUPS * BAND, DIM)
        self.near = nn.Conv1d(DIM, DIM, 3, padding=1, groups=DIM)
        self.whole = nn.Linear(DIM, DIM)
        self.outside = nn.Sequential(nn.LayerNorm(DIM), nn.Dropout(dropout))
        self.key, self.value = nn.Linear(DIM, DIM), nn.Linear(DIM, DIM)
        self.text = nn.Sequential(
            nn.Linear(SENTENCE, DIM), nn.GELU(), nn.Dropout(dropout), nn.Linear(DIM, 3 * DIM)
        )
        self.answer = nn.Linear(DIM, 64)
        self.say, self.say_plainly = nn.Linear(64, 1), nn.Linear(DIM, 1)
        self.scale = nn.Parameter(torch.tensor(1.0))
        self.common = nn.Linear(DIM, 2)
        nn.init.constant_(self.common.bias, -4.0)

    def hear(self, frames: Tensor, there: Tensor) -> Tensor:
        """States [B, N, DIM] of frames [B, N, GROUPS, 512], of which those count that are `there`,
        booleans [B, N].
        """
        x = (frames.sqrt() - self.mean) / self.deviation
        x = torch.einsum("bngw,gwd->bngd", x, self.bands).flatten(2)
        x = self.mix(F.gelu(x)) * there[..., None]
        whole = x.sum(1, keepdim=True) / there.sum(1).clamp_min(1)[:, None, None]
        x = x + self.near(x.transpose(1, 2)).transpose(1, 2) + F.gelu(self.whole(whole))
        out: Tensor = self.outside(x)
        return out

    def classify(self, frames: Tensor, there: Tensor) -> Tensor:
        """How much speaks for each class [B, CLASSES] in frames [B, N, GROUPS, 512], of which those
        count that are `there`, booleans [B, N].
        """
        x = (pool(frames, there) - self.pooled_mean) / self.pooled_deviation
        out: Tensor = self.classes(x)
        return out

    def read_classes(self, sentences: Tensor) -> Tensor:
        """Which classes sentence vectors [K, 384] are of, [K, CLASSES] in sum 1."""
        out: Tensor = self.class_of(sentences).softmax(1)
        return out

    def read(self, sentences: Tensor) -> Tensor:
        """Words [K, 3 DIM] for sentence vectors [K, 384]: questions, what to expect, what to see
        in a frame.
        """
        out: Tensor = self.text(sentences * SENTENCE**0.5)  # of variance 1
        return out

    def forward(self, states: Tensor, there: Tensor, words: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of presence [B, K] and of each frame [B, K, N] for states [B, N, DIM] and words
        [K, 3 DIM].
        """
        question, wanted, seen = words.chunk(3, dim=1)
        common = self.common(seen)  # [K, 2]: how often such a thing is there at all
        at_once = torch.einsum("bnd,kd->bkn", states, seen * (self.scale.exp() / DIM**0.5))
        at_once = at_once + common[:, 1:]
        keys = self.key(states).reshape(*states.shape[:2], HEADS, PART)
        look = torch.einsum("bnhp,khp->bkhn", keys, question.reshape(-1, HEADS, PART))
        look = (look / PART**0.5).masked_fill(~there[:, None, None], -1e4).softmax(3)
        found = torch.einsum("bkhn,bnhp->bkhp", look, self.value(states).reshape(keys.shape))
        found = found.flatten(2) * wanted  # [B, K, DIM]
        told = self.say(F.gelu(self.answer(found))) + self.say_plainly(found)
        return told.squeeze(2) + common[:, 0], at_once


class Tagger:
    """The trained network with the trunk and the sentence encoder that it stands on."""

    def __init__(self, net: TaggerNet, *, model_hash: str = "") -> None:
        self.net = net.eval().requires_grad_(False)
        self.model_hash = model_hash

    @torch.no_grad()
    def hear(self, audio: Tensor) -> tuple[Tensor, Tensor]:
        """States [B, N, DIM] of audio [B, T] at RATE, a frame each 8192 samples, and how much
        speaks for each class [B, CLASSES].
        """
        frames = band_frames(load_trunk(), audio)
        there = frames.new_ones(frames.shape[:2], dtype=torch.bool)
        return self.net.hear(frames, there), self.net.classify(frames, there)

    @torch.no_grad()
    def ask(
        self, states: Tensor, there: Tensor, classes: Tensor, prompts: Sequence[str]
    ) -> tuple[Tensor, Tensor]:
        """What is said of K prompts: logits of presence and what speaks for their classes
        [B, K, 2], and logits of each frame [B, K, N], for states [B, N, DIM] and classes
        [B, CLASSES].
        """
        sentences = sentence_vectors(tuple(prompts))
        told, at_once = self.net(states, there, self.net.read(sentences))
        return torch.stack([told, classes @ self.net.read_classes(sentences).T], 2), at_once


@lru_cache(maxsize=8)
def sentence_vectors(prompts: tuple[str, ...]) -> Tensor:
    """`encode_sentences` [K, 384] of prompts, kept for the next time: a vocabulary takes a
    second.
    """
    return encode_sentences(prompts)


def load_tagger(folder: Path = FOLDER) -> Tagger:
    """Load the shipped tagger.

    Raises `FileNotFoundError` when there is none, `ModelUnavailable` for weights that do not fit or
    are not finite.
    """
    path = folder / "model.safetensors"
    net = TaggerNet()
    fill(net, read_tensors(path), path)
    return Tagger(net, model_hash=digest(path))
