"""Train the tagger of `sds.detection.tagger` on what the trunk heard of mixtures.

    python -m sds.train.tagged_mixtures --data runs/corpus --out runs/tagger-features
    python -m sds.train.tagger --data runs/tagger-features --out runs/tagger --minutes 30

Every pair of a mixture and a prompt counts by itself, with a sigmoid. The prompts of a step are a
caption of each clip in it and a phrase for each class, so the near neighbours of what sounds are
always among what does not. A pair is right where the prompt is one of the clip's captions and the
clip is loud enough; it does not count where it may be right: the prompt's class may name a sound in
there (`sds.datasets.related`), or it says nearly the same as a caption of it. Frames count one by
one. A part of each mixture is heard, cut out at random. Resumes from --out; the weights to ship are
--out/shipped.safetensors, the moving average in half precision. After that `sds.train.presence` has
to be run.
"""

from __future__ import annotations

import argparse
import logging
import time
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from presets.reading import read_json
from sds.datasets.captions import PHRASES
from sds.datasets.related import may_be
from sds.detection.tagger import CLASSES, TaggerNet, pool
from sds.priors.checkpoints import read_tensors
from sds.train.common import Checkpoint, average_into, cosine, half, write_weights
from sds.train.sentence_table import sentence_table

log = logging.getLogger(__name__)
SHORTEST = 5  # frames that are cut out of a mixture at least, where not all of them are heard
WHOLE, TWICE = 0.4, 0.5  # how often all of them are heard; two mixtures one after the other
LOUD_DB, FAINT_DB = -18.0, -35.0  # level in a frame that is heard; that is not
SAME, NEAR, OTHER = 0.9, 0.8, 0.45  # cosine of prompts that say the same; nearly; something else
FRAMES = 0.5  # weight of the loss of frames, against that of presence
JITTER = 0.015  # deviation added to sentence vectors, so that no caption is learned by heart
DECAY = 0.998
RIDGE, SHARP = 3e4, 30.0  # penalty of the plain estimate; how sure a sentence is of its class


@dataclass(frozen=True, slots=True)
class Sound:
    """A clip of a mixture: class, the rows of its captions among all sentence vectors, and which
    row of the mixture's levels is its own.
    """

    label: str
    rows: tuple[int, ...]
    place: int


class Features:
    """All shards of a folder: frames and levels in half precision, clips, and what was said."""

    def __init__(self, folder: Path) -> None:
        shards = sorted(folder.glob("shard-*.safetensors"))
        if not shards:
            raise ValueError(f"no shards in {folder}: run sds.train.tagged_mixtures first")
        tensors = [read_tensors(path) for path in shards]
        self.frames = torch.cat([some["frames"] for some in tensors])
        self.levels = torch.cat([some["levels"] for some in tensors])
        lines = [
            read_json(line)
            for path in shards
            for line in path.with_suffix(".jsonl").read_text(encoding="utf-8").splitlines()
        ]
        texts = sorted({text for row in lines for clip in row for text in clip["captions"]})
        texts = list(dict.fromkeys([*texts, *(p for all_ in PHRASES.values() for p in all_)]))
        self.row = {text: row for row, text in enumerate(texts)}
        self.vectors = remembered_sentences(folder, texts)
        self.sounds = [
            [
                Sound(clip["label"], tuple(self.row[t] for t in clip["captions"]), place)
                for place, clip in enumerate(row)
            ]
            for row in lines
        ]

    def __len__(self) -> int:
        return len(self.sounds)

    def moments(self) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation [GROUPS, 512] of the roots of some frames' features."""
        some = self.frames[::5].float().sqrt().flatten(0, 1)
        return some.mean(0), some.std(0) + 0.05


def remembered_sentences(folder: Path, texts: Sequence[str]) -> Tensor:
    """Sentence vectors [N, 384] of texts, kept in `folder` for the next time."""
    place, table = sentence_table(texts, folder)
    return table[[place[text] for text in texts]].float()


@dataclass(frozen=True, slots=True)
class Prompts:
    """The prompts of a step: rows of their sentence vectors [K], and the class of each."""

    rows: Tensor
    labels: tuple[str, ...]


def draw_prompts(
    features: Features, sounds: Sequence[Sequence[Sound]], rng: np.random.Generator
) -> Prompts:
    """A caption of each sound and a phrase for each class, none twice."""
    chosen: dict[int, str] = {}
    for some in sounds:
        for sound in some:
            chosen.setdefault(int(rng.choice(sound.rows)), sound.label)
    for label, phrases in PHRASES.items():
        chosen.setdefault(features.row[phrases[rng.integers(len(phrases))]], label)
    return Prompts(torch.tensor([*chosen]), tuple(chosen.values()))


@dataclass(frozen=True, slots=True)
class Targets:
    """What is right of B mixtures and K prompts: `there` [B, K] and `active` [B, K, N] in 0..1, and
    which of each count.
    """

    there: Tensor
    counted: Tensor
    active: Tensor
    frames_counted: Tensor


def targets(
    features: Features, sounds: Sequence[Sequence[Sound]], levels: Tensor, prompts: Prompts
) -> Targets:
    """What is right for mixtures of `sounds` at `levels` [B, MOST, N] in dB, of all prompts."""
    size = (len(sounds), len(prompts.rows))
    level = torch.full((*size, levels.shape[2]), -100.0)
    maybe = torch.zeros(size, dtype=torch.bool)
    asked = features.vectors[prompts.rows]
    kin = {
        label: torch.tensor([may_be(label, other) for other in prompts.labels])
        for label in {sound.label for some in sounds for sound in some}
    }
    own = {label: torch.tensor([label == other for other in prompts.labels]) for label in kin}
    general = {label: {features.row[phrase] for phrase in PHRASES.get(label, ())} for label in kin}
    plain = torch.tensor(
        [
            int(row) in general.get(label, ())
            for row, label in zip(prompts.rows, prompts.labels, strict=True)
        ]
    )
    for i, some in enumerate(sounds):
        for sound in some:
            near = features.vectors[list(sound.rows)] @ asked.T  # [captions, K]
            exact = [row for row in sound.rows if row not in general[sound.label]]
            told = features.vectors[exact or list(sound.rows)] @ asked.T
            same = (near.amax(0) > SAME) & own[sound.label]
            other = own[sound.label] & ~plain & (told.amax(0) < OTHER)
            maybe[i] |= ((kin[sound.label] & ~other) | (near.amax(0) > NEAR)) & ~same
            level[i, same] = torch.maximum(level[i, same], levels[i, sound.place])
    loudest = level.amax(2)
    there = loudest > LOUD_DB
    counted = there | (~maybe & (loudest < FAINT_DB))
    active = level > LOUD_DB
    frames = (active | (level < FAINT_DB)) & (there | ~maybe)[..., None] & counted[..., None]
    return Targets(there.float(), counted.float(), active.float(), frames.float())


def loss(net: TaggerNet, frames: Tensor, words: Tensor, right: Targets) -> Tensor:
    """Binary cross-entropy [] of all that counts, a mean over mixtures: frames [B, N, GROUPS, 512],
    sentence vectors [K, 384].
    """
    all_there = frames.new_ones(frames.shape[:2], dtype=torch.bool)
    told, at_once = net(net.hear(frames, all_there), all_there, net.read(words))
    presence = F.binary_cross_entropy_with_logits(told, right.there, reduction="none")
    activity = F.binary_cross_entropy_with_logits(at_once, right.active, reduction="none")
    activity = (activity * right.frames_counted).mean(2).sum()
    return ((presence * right.counted).sum() + FRAMES * activity) / len(frames)


def draw(
    features: Features, batch: int, rng: np.random.Generator
) -> tuple[Tensor, Tensor, Targets]:
    """Frames [B, N, GROUPS, 512] of some mixtures, or of two one after the other, the prompts'
    vectors [K, 384] and what is right.
    """
    sounds, frames, levels = mixtures(features, batch, rng)
    if rng.random() < TWICE:
        more, later, after = mixtures(features, batch, rng)
        first, places = levels.shape[2], levels.shape[1]
        sounds = [
            [*one, *(replace(sound, place=places + sound.place) for sound in other)]
            for one, other in zip(sounds, more, strict=True)
        ]
        frames = torch.cat([frames, later], 1)
        levels, after = (
            F.pad(levels, (0, after.shape[2]), value=-100.0),
            F.pad(after, (first, 0), value=-100.0),
        )
        levels = torch.cat([levels, after], 1)
    if rng.random() > WHOLE:
        size = int(rng.integers(SHORTEST, frames.shape[1]))
        start = int(rng.integers(0, frames.shape[1] - size + 1))
        frames, levels = frames[:, start : start + size], levels[..., start : start + size]
    frames = frames * torch.empty(batch, 1, 1, 1).uniform_(0.85, 1.15)
    prompts = draw_prompts(features, sounds, rng)
    words = features.vectors[prompts.rows]
    words = F.normalize(words + JITTER * torch.randn_like(words), dim=1)
    return frames, words, targets(features, sounds, levels, prompts)


def mixtures(
    features: Features, batch: int, rng: np.random.Generator
) -> tuple[list[list[Sound]], Tensor, Tensor]:
    """Some mixtures: their sounds, frames [B, N, GROUPS, 512] and levels [B, MOST, N]."""
    rows = torch.from_numpy(rng.integers(0, len(features), batch))
    sounds = [features.sounds[row] for row in rows.tolist()]
    return sounds, features.frames[rows].float(), features.levels[rows].float()


def main() -> None:
    """Train, with a checkpoint every three minutes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("runs/tagger-features"))
    parser.add_argument("--out", type=Path, default=Path("runs/tagger"))
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--steps", type=int, default=1200)
    parser.add_argument("--batch", type=int, default=40)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--dropout", type=float, default=0.15)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.manual_seed(args.seed)
    rng = np.random.default_rng(args.seed)
    features = Features(args.data)
    log.info("%d mixtures, %d texts", len(features), len(features.vectors))
    net = TaggerNet(dropout=args.dropout).train()
    net.mean, net.deviation = features.moments()
    mean = deepcopy(net).eval()
    optimizer = torch.optim.AdamW(net.parameters(), lr=args.rate, weight_decay=0.03)
    checkpoint = Checkpoint(args.out)
    step = checkpoint.load(net, optimizer, mean) if checkpoint.exists else 0
    begin, total = time.monotonic(), 0.0
    while step < args.steps and time.monotonic() - begin < 60 * args.minutes:
        for group in optimizer.param_groups:
            group["lr"] = cosine(step, total=args.steps, warm=30, peak=args.rate)
        error = loss(net, *draw(features, args.batch, rng))
        optimizer.zero_grad()
        torch.autograd.backward([error])
        torch.nn.utils.clip_grad_norm_(net.parameters(), 5.0)
        optimizer.step()
        step += 1
        average_into(mean, net, min(DECAY, 1 - 1 / (1 + step / 10)))
        total += error.item()
        if step % 25 == 0:
            log.info("step %d loss %.3f, %.0f s", step, total / 25, time.monotonic() - begin)
            total = 0.0
        if checkpoint.due():
            checkpoint.save(step, net, optimizer, mean)
            save_shipped(mean, args.out)
    fit_classes(mean, features)
    checkpoint.save(step, net, optimizer, mean)
    save_shipped(mean, args.out)


@torch.no_grad()
def fit_classes(net: TaggerNet, features: Features) -> None:
    """Fit the plain estimate of classes, and the classes of sentences, by ridge regression."""
    labels = {label: place for place, label in enumerate(sorted(PHRASES))}
    x, y = [], torch.zeros(len(features), CLASSES)
    for begin in range(0, len(features), 200):
        frames = features.frames[begin : begin + 200].float()
        x.append(pool(frames, torch.ones(frames.shape[:2], dtype=torch.bool)))
    loud = features.levels.float().amax(2) > LOUD_DB
    said = torch.zeros(len(features.vectors), CLASSES)
    for row, sounds in enumerate(features.sounds):
        for sound in sounds:
            y[row, labels[sound.label]] = float(loud[row, sound.place])
            said[list(sound.rows), labels[sound.label]] = 1.0
    for label, phrases in PHRASES.items():
        said[[features.row[phrase] for phrase in phrases], labels[label]] = 1.0
    pooled, share = torch.cat(x), y.mean(0)
    net.pooled_mean, net.pooled_deviation = pooled.mean(0), pooled.std(0) + 0.02
    pooled = (pooled - net.pooled_mean) / net.pooled_deviation
    y = (y - share) / (share * (1 - share)).sqrt().clamp_min(0.03)
    net.classes.weight.copy_(ridge(pooled, y, RIDGE).T)
    said = said / said.sum(1, keepdim=True).clamp_min(1)
    weight = (said @ (1 / said.sum(0).clamp_min(1))).sqrt()[:, None]  # each class counts alike
    net.class_of.weight.copy_(SHARP * ridge(weight * features.vectors, weight * said, 0.1).T)


def ridge(x: Tensor, y: Tensor, penalty: float) -> Tensor:
    """Weights [D, C] that make y [N, C] of x [N, D] with the least squares, and a penalty on
    their own.
    """
    gram = x.T @ x
    gram.diagonal().add_(penalty)
    weights: Tensor = torch.linalg.solve(gram, x.T @ y)
    return weights


def save_shipped(net: TaggerNet, folder: Path) -> None:
    """Write the weights to ship, in half precision."""
    write_weights(half(net.state_dict()), folder / "shipped.safetensors")


if __name__ == "__main__":
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    main()
