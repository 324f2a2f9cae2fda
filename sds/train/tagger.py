"""Train the tagger of `sds.detection.presence`: the evaluation scorer's towers, on mixtures.

    python -m sds.train.tagger --data runs/corpus --out runs/listener --minutes 15

Begins with the evaluation scorer, or with what --start names. A mixture is WINDOW seconds of 1 to 4
clips of different classes, each within 6 dB of the mean. Every pair of a mixture and a caption of
the batch counts by itself, with a sigmoid (Zhai et al. 2023, arXiv 2303.15343, algorithm 1): the
target of a caption of a clip in the mixture is 1, and so is that of one of the same class and
meaning; a caption that may name a sound in the mixture does not count, the target of others is 0.
Resumes from --out. The weights to ship are --out/shipped.safetensors, in half precision; after that
`sds.train.presence` has to be run.
"""

from __future__ import annotations

import argparse
import logging
import time
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from sds.detection.presence import WINDOW
from sds.priors.text_embedding import sentences
from sds.similarity.two_tower import FOLDER, RATE, Towers, load_scorer
from sds.train.common import Checkpoint, cosine
from sds.train.data import Clip, Corpus, class_weights
from sds.train.latents import RECORDINGS

log = logging.getLogger(__name__)
SOUNDS = (0.15, 0.45, 0.25, 0.15)  # how often a mixture has 1, 2, 3 or 4 of them
LEVEL_DB = 6.0
OFTEN = {RECORDINGS: 4.0, "patches": 0.4}  # how often clips of a part are drawn; others 1
SAME, NEAR = 0.75, 0.6  # cosine from which a caption says the same; may name the same
SHORT = 0.6  # share of the window below which a clip comes again and again, or anywhere
SIZE = int(WINDOW * RATE)


class Tagger(nn.Module):
    """Towers and the offset of the sigmoid, which only training needs."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.towers: Towers = load_scorer(folder).towers.requires_grad_(True)
        self.bias = nn.Parameter(torch.tensor(-3.0))
        self.towers.log_scale.data.fill_(2.3)

    def forward(self, audio: Tensor, text: Tensor) -> Tensor:
        """Logits [B, N] of audio [B, T] and sentence vectors [N, D]."""
        scale = self.towers.log_scale.exp().clamp(max=50.0)
        out: Tensor = scale * self.towers.hear(audio) @ self.towers.read(text).T + self.bias
        return out


class Mixer:
    """Draws clips of a corpus and mixes them."""

    def __init__(self, corpus: Corpus) -> None:
        self.corpus = corpus
        weights = class_weights(corpus.clips)
        weights *= [OFTEN.get(clip.part, 1.0) for clip in corpus.clips]
        self.weights = weights / weights.sum()

    def mixture(self, rng: np.random.Generator) -> tuple[Tensor, list[Clip]]:
        """Draw a mixture [SIZE] at peak 1, tilted, with some hiss; and the clips in it."""
        clips: list[Clip] = []
        sounds: list[Tensor] = []
        count = 1 + rng.choice(len(SOUNDS), p=SOUNDS)
        while len(clips) < count:
            clip = self.corpus.clips[rng.choice(len(self.weights), p=self.weights)]
            sound = self.sound(clip, rng)
            power = float(sound.square().mean())
            if power < 1e-6 or clip.label in [other.label for other in clips]:
                continue
            clips.append(clip)
            sounds.append(sound * (10 ** (rng.uniform(-LEVEL_DB, LEVEL_DB) / 20) / power**0.5))
        mixed = torch.stack(sounds).sum(0)
        mixed = mixed / mixed.abs().max()
        mixed = mixed + float(rng.uniform(-0.4, 0.4)) * F.pad(mixed, (1, 0))[:-1]
        return mixed + 10 ** float(rng.uniform(-5.0, -3.0)) * torch.randn(SIZE), clips

    def sound(self, clip: Clip, rng: np.random.Generator) -> Tensor:
        """A window [SIZE] of a clip; a short one is moved about, and mostly comes again."""
        sound = self.corpus.crop(clip, SIZE, rng)
        if clip.frames >= SHORT * SIZE:
            return sound
        if rng.random() < 0.6:
            once = F.pad(self.corpus.audio(clip), (0, int(rng.uniform(0.02, 0.5) * RATE)))
            sound = once.repeat(-(-SIZE // len(once)))[:SIZE]
        return sound.roll(int(rng.integers(0, SIZE)))


def targets(clips: list[list[Clip]], vectors: Tensor) -> tuple[Tensor, Tensor]:
    """Targets [B, N] in 0..1 for each mixture's clips and all captions, and which pairs count [B,
    N].

    `vectors` [N, D] are the sentence vectors of one caption a clip, in order.
    """
    own = torch.tensor([row for row, some in enumerate(clips) for _ in some])
    labels = [clip.label for some in clips for clip in some]
    same = torch.tensor(
        [[label in [clip.label for clip in some] for label in labels] for some in clips]
    )
    unit = F.normalize(vectors, dim=1)
    near = torch.zeros(len(clips), len(labels))
    near.scatter_reduce_(0, own[:, None].expand(-1, len(labels)), unit @ unit.T, "amax")
    mine = own[None] == torch.arange(len(clips))[:, None]
    there = mine | (same & (near > SAME))
    return there.float(), (there | ~(same | (near > NEAR))).float()


def loss(model: Tagger, audio: Tensor, clips: list[list[Clip]], text: Tensor) -> Tensor:
    """Binary cross-entropy [] of all pairs that count, a mean over mixtures: audio [B, T], sentence
    vectors [N, D].
    """
    there, counted = targets(clips, text)
    pairs = F.binary_cross_entropy_with_logits(model(audio, text), there, reduction="none")
    return (counted * pairs).sum() / len(clips)


def main() -> None:
    """Train, with a checkpoint every three minutes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("runs/corpus"))
    parser.add_argument("--out", type=Path, default=Path("runs/listener"))
    parser.add_argument(
        "--start", type=Path, default=FOLDER, help="folder of an evaluation scorer's weights"
    )
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--steps", type=int, default=700)
    parser.add_argument("--batch", type=int, default=40)
    parser.add_argument("--rate", type=float, default=6e-4)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.manual_seed(args.seed)
    rng = np.random.default_rng(args.seed)
    mixer = Mixer(Corpus(args.data, frozenset({"prior", "evaluation_scorer"})))
    model = Tagger(args.start).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.rate, weight_decay=0.02)
    checkpoint = Checkpoint(args.out)
    step = checkpoint.load(model, optimizer) if checkpoint.exists else 0
    begin, total = time.monotonic(), 0.0
    while step < args.steps and time.monotonic() - begin < 60 * args.minutes:
        for group in optimizer.param_groups:
            group["lr"] = cosine(step, total=args.steps, warm=20, peak=args.rate)
        rows = [mixer.mixture(rng) for _ in range(args.batch)]
        clips = [some for _, some in rows]
        captions = [str(rng.choice(clip.captions)) for some in clips for clip in some]
        error = loss(model, torch.stack([audio for audio, _ in rows]), clips, sentences(captions))
        optimizer.zero_grad()
        torch.autograd.backward([error])
        optimizer.step()
        step += 1
        total += error.item()
        if step % 25 == 0:
            log.info("step %d loss %.3f, %.0f s", step, total / 25, time.monotonic() - begin)
            total = 0.0
        if checkpoint.due():
            checkpoint.save(step, model, optimizer)
    checkpoint.save(step, model, optimizer)
    weights = {
        name: value.detach().half().contiguous()
        for name, value in model.towers.state_dict().items()
        if value.is_floating_point()
    }
    save_file(weights, args.out / "shipped.safetensors")


if __name__ == "__main__":
    torch.set_flush_denormal(True)
    main()
