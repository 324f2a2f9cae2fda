"""Train the search scorer's head and text tower on what `sds.train.search_data` wrote.

    python -m sds.train.search --out runs/search-plain
    python -m sds.train.search --out runs/search-teacher --teacher
    python -m sds.train.search --out runs/search-taught --from runs/search-teacher

Contrastive over a batch (Radford et al. 2021, arXiv 2103.00020, figure 3), each clip with two of
its captions. Half a batch is of one family of classes, whose phrases are near each other, so that a
snare has to be told from a rim shot. What counts as right is soft: a caption shares the answer with
those that mean the same (cosine of their sentence vectors) and with its class.

`--teacher` trains a head on the frozen trunk instead: far better ears, twenty times as dear. With
`--from` the towers learn its answers too, to the captions of a batch, on recordings and on patches
of the banks, which nobody has captioned and which are what a search listens to. The towers' body is
that of the folder `--begin`, and is not trained: a step is a few matrices.
"""

from __future__ import annotations

import argparse
import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from presets.reading import read_json
from sds.datasets.captions import PHRASES
from sds.priors.sentence_encoder import WIDTH as SENTENCE
from sds.priors.sentence_encoder import encode_sentences
from sds.similarity.two_tower import SEARCH_SCORER, Towers
from sds.train.common import cosine, write_weights
from sds.train.data import Clip, Corpus, class_weights
from sds.train.latents import RECORDINGS
from sds.train.search_data import SPLIT

log = logging.getLogger(__name__)
SAME_CLASS, SAME_WORDS = 0.15, 0.07  # weight of the class; softness of meaning the same
FAMILY = 6  # classes
TEMPERATURE = 0.05  # of the teacher's answers


class Teacher(nn.Module):
    """Features of the trunk [B, 1024] and sentence vectors [B, 384] into one space."""

    def __init__(self, dim: int = 256) -> None:
        super().__init__()
        self.audio = nn.Sequential(
            nn.BatchNorm1d(1024), nn.Dropout(0.3), nn.Linear(1024, 512), nn.ReLU(),
            nn.Dropout(0.3), nn.Linear(512, dim),
        )  # fmt: skip
        self.text = nn.Sequential(
            nn.Linear(SENTENCE, 512), nn.ReLU(), nn.Dropout(0.2), nn.Linear(512, dim)
        )
        self.log_scale = nn.Parameter(torch.tensor(2.5))

    def hear(self, features: Tensor) -> Tensor:
        """Unit vectors [B, dim] of features [B, 1024]."""
        return F.normalize(self.audio(features), dim=1)

    def read(self, sentences: Tensor) -> Tensor:
        """Unit vectors [B, dim] of sentence vectors [B, 384]."""
        return F.normalize(self.text(sentences), dim=1)


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Clips of a batch: their numbers, two sentence vectors each [2, B, 384], and classes [B]."""

    clips: list[int]
    sentences: Tensor
    labels: Tensor


class Draws:
    """Batches of clips of the corpus, with what was computed of them."""

    def __init__(
        self, corpus: Corpus, cache: Path, *, real: float, only: Tensor | None = None
    ) -> None:
        self.clips = corpus.clips
        texts = read_json(cache / "sentences.json")
        self._row = {text: row for row, text in enumerate(texts)}
        self._vectors = load_file(cache / "sentences.safetensors")["vectors"].float()
        weights = class_weights(self.clips)
        weights *= [real if clip.part == RECORDINGS else 1.0 for clip in self.clips]
        if only is not None:
            weights *= only.numpy()
        self._weights = weights / weights.sum()
        names = sorted({clip.label for clip in self.clips})
        self._label = np.array([names.index(clip.label) for clip in self.clips])
        phrases = encode_sentences([" ".join(PHRASES[name][:2]) for name in names])
        near = (phrases @ phrases.T).topk(FAMILY).indices
        self._family = [np.isin(self._label, classes.numpy()).nonzero()[0] for classes in near]

    def __call__(self, size: int, rng: np.random.Generator) -> Batch:
        """Draw a batch, half of it of one family."""
        picks = rng.choice(len(self.clips), size, p=self._weights)
        family = self._family[self._label[picks[0]]]
        share = self._weights[family] / self._weights[family].sum()
        half = size // 2
        picks[:half] = rng.choice(family, half, p=share)
        rows = [self._two(self.clips[i], rng) for i in picks]
        sentences = self._vectors[torch.tensor(rows).T]
        return Batch(picks.tolist(), sentences, torch.from_numpy(self._label[picks]))

    def _two(self, clip: Clip, rng: np.random.Generator) -> list[int]:
        picks = rng.integers(len(clip.captions), size=2)
        return [self._row[clip.captions[i]] for i in picks]


def targets(sentences: Tensor, labels: Tensor) -> Tensor:
    """Which captions [B, 384] answer for which clips of these classes [B]; [B, B], rows sum to
    one.
    """
    alike = ((sentences @ sentences.T - 1) / SAME_WORDS).exp()
    alike = alike.maximum(SAME_CLASS * (labels[:, None] == labels[None]).float())
    return alike / alike.sum(1, keepdim=True)


def contrast(heard: Tensor, read: Tensor, scale: Tensor, wanted: Tensor) -> Tensor:
    """Symmetric cross-entropy [] of unit vectors [B, dim] against targets [B, B]."""
    logits = heard @ read.T * scale.exp().clamp(max=50.0)
    return F.cross_entropy(logits, wanted) + F.cross_entropy(
        logits.T, wanted.T / wanted.sum(0)[:, None]
    )


def distil(heard: Tensor, read: Tensor, scale: Tensor, answers: Tensor) -> Tensor:
    """Cross-entropy [] of the towers' answers to B captions with a teacher's cosines [A, B]."""
    logits = heard @ read.T * scale.exp().clamp(max=50.0)
    return F.cross_entropy(logits, (answers / TEMPERATURE).softmax(1)) + F.cross_entropy(
        logits.T, (answers.T / TEMPERATURE).softmax(1)
    )


class Distillation:
    """A teacher's answers about recordings and patches."""

    def __init__(self, teacher: Path, cache: Path) -> None:
        self.model = Teacher()
        self.model.load_state_dict(load_file(teacher / "model.safetensors"))
        self.model.eval().requires_grad_(False)
        clips = load_file(cache / "features.safetensors")
        patches = load_file(cache / "patches.safetensors")["features"]
        self.known = clips["heard"]
        self.views = load_file(cache / "patch_views.safetensors")["views"]
        with torch.no_grad():
            self.clips = self.model.hear(clips["features"].float())
            self.patches = self.model.hear(patches.float())

    def draw(self, size: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Rows [A] of some patches and what the head is given of them [A, D]."""
        rows = torch.from_numpy(rng.choice(len(self.patches), size, replace=False))
        return rows, self.views[rng.integers(len(self.views)), rows]

    def loss(self, heard: Tensor, batch: Batch, read: Tensor, scale: Tensor) -> Tensor:
        """Loss [] on the recordings of the batch, heard [B, dim], read [B, dim]."""
        known = self.known[batch.clips]
        answers = self.clips[batch.clips][known] @ self.model.read(batch.sentences[0]).T
        return distil(heard[known], read, scale, answers)

    def patch_loss(
        self, heard: Tensor, rows: Tensor, batch: Batch, read: Tensor, scale: Tensor
    ) -> Tensor:
        """Loss [] on patches of these rows [A], heard [A, dim], with the batch's captions."""
        answers = self.patches[rows] @ self.model.read(batch.sentences[0]).T
        return distil(heard, read, scale, answers)


def train_towers(args: argparse.Namespace, draws: Draws) -> None:
    """The head and the text tower, on views of what the body hears; taught where there is a
    teacher.
    """
    rng = np.random.default_rng(args.seed)
    towers = Towers(text_dim=SENTENCE)
    kept = load_file(args.begin / "model.safetensors").items()
    towers.load_state_dict({k: v.float() for k, v in kept if "text" not in k}, strict=False)
    clips = load_file(args.cache / "views.safetensors")["views"]
    teacher = Distillation(args.teacher_from, args.cache) if args.teacher_from else None
    learned = [*towers.head.parameters(), *towers.text.parameters(), towers.log_scale]
    optimizer = torch.optim.AdamW(learned, lr=args.rate, weight_decay=args.decay)

    def hear(pooled: Tensor) -> Tensor:
        return F.normalize(towers.head(pooled.float()), dim=1)

    total = 0.0
    for step in range(args.steps):
        for group in optimizer.param_groups:
            group["lr"] = cosine(step, total=args.steps, warm=50, peak=args.rate)
        batch, scale = draws(args.batch, rng), towers.log_scale
        heard = hear(clips[rng.integers(len(clips)), batch.clips])
        read = [towers.read(sentences) for sentences in batch.sentences]
        error = torch.stack([
            contrast(heard, words, scale, targets(sentences, batch.labels))
            for words, sentences in zip(read, batch.sentences, strict=True)
        ]).mean()  # fmt: skip
        if teacher is not None:
            some, pooled = teacher.draw(args.batch // 2, rng)
            error = error + args.share * teacher.loss(heard, batch, read[0], scale)
            played = hear(pooled)
            error = error + args.share * teacher.patch_loss(played, some, batch, read[0], scale)
        total += descend(optimizer, error)
        if (step + 1) % 250 == 0:
            log.info("step %d loss %.3f", step + 1, total / 250)
            total = 0.0
    save(towers, args.out)


def descend(optimizer: torch.optim.Optimizer, error: Tensor) -> float:
    """One step down a loss []; returns it."""
    optimizer.zero_grad()
    torch.autograd.backward([error])
    optimizer.step()
    return error.item()


def train_teacher(args: argparse.Namespace, draws: Draws) -> None:
    """A head on the features of the trunk."""
    rng = np.random.default_rng(args.seed)
    features = load_file(args.cache / "features.safetensors")["features"].float()
    teacher = Teacher()
    optimizer = torch.optim.AdamW(teacher.parameters(), lr=args.rate, weight_decay=0.05)
    total = 0.0
    for step in range(args.steps):
        for group in optimizer.param_groups:
            group["lr"] = cosine(step, total=args.steps, warm=50, peak=args.rate)
        batch = draws(args.batch, rng)
        heard = teacher.hear(features[batch.clips])
        error = contrast(
            heard,
            teacher.read(batch.sentences[0]),
            teacher.log_scale,
            targets(batch.sentences[0], batch.labels),
        )
        total += descend(optimizer, error)
        if (step + 1) % 250 == 0:
            log.info("step %d loss %.3f", step + 1, total / 250)
            total = 0.0
    save(teacher, args.out)


def save(model: nn.Module, folder: Path) -> None:
    """Write model.safetensors, whole or not at all."""
    write_weights(model.state_dict(), folder / "model.safetensors")


def main() -> None:
    """Train one of the two."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("runs/corpus"))
    parser.add_argument("--cache", type=Path, default=Path("runs/search"))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--begin", type=Path, default=SEARCH_SCORER, help="whose body is kept")
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--decay", type=float, default=0.05)
    parser.add_argument("--share", type=float, default=0.5, help="of the teacher's loss")
    parser.add_argument("--real", type=float, default=3.0, help="how often recordings are drawn")
    parser.add_argument("--seed", type=int, default=2)
    parser.add_argument("--teacher", action="store_true", help="a head on the trunk instead")
    parser.add_argument("--from", dest="teacher_from", type=Path, help="folder of a teacher")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.manual_seed(args.seed)
    args.out.mkdir(parents=True, exist_ok=True)
    only = load_file(args.cache / "features.safetensors")["heard"] if args.teacher else None
    draws = Draws(Corpus(args.data, SPLIT), args.cache, real=args.real, only=only)
    (train_teacher if args.teacher else train_towers)(args, draws)


if __name__ == "__main__":
    torch.set_flush_denormal(True)
    main()
