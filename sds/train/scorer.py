"""Train the text-audio evaluation scorer on its own split of the corpus.

    python -m sds.train.scorer --data runs/corpus --out runs/judge --minutes 15

Contrastive over a batch (Radford et al. 2021, arXiv 2103.00020, figure 3), with soft targets: a
clip's own caption counts 1, other captions of its class share SAME_CLASS, since "kick drum" is not
wrong for another kick. Reports top-1 over the classes on held-back recordings, with the class word
as the prompt.
"""

from __future__ import annotations

import argparse
import logging
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from sds.priors.text_embedding import dim, sentence, sentences
from sds.similarity.two_tower import RATE, WINDOW, Towers
from sds.train.common import Checkpoint, cosine
from sds.train.data import Clip, Corpus, class_weights
from sds.train.latents import RECORDINGS

log = logging.getLogger(__name__)
SAME_CLASS = 0.3


def batch(
    corpus: Corpus,
    weights: npt.NDArray[np.float64],
    size: int,
    rng: np.random.Generator,
    text: dict[str, Tensor],
) -> tuple[Tensor, Tensor, list[str]]:
    """Draw audio [B, T], sentence vectors [B, D] and labels; crops, speed, gain, hiss and tilt
    vary.
    """
    seconds = float(rng.uniform(1.0, WINDOW))
    picks = [corpus.clips[i] for i in rng.choice(len(corpus.clips), size, p=weights)]
    speed = float(rng.uniform(0.85, 1.18))
    audio = torch.stack([corpus.crop(c, int(speed * seconds * RATE), rng) for c in picks])
    audio = F.interpolate(audio[None], size=int(seconds * RATE), mode="linear")[0]
    tilt = torch.from_numpy(rng.uniform(-0.4, 0.4, (size, 1))).float()
    audio = audio + tilt * F.pad(audio, (1, 0))[:, :-1]
    hiss = 10.0 ** torch.from_numpy(rng.uniform(-5.0, -3.0, (size, 1))).float()
    audio = audio + hiss * audio.abs().amax(1, keepdim=True) * torch.randn_like(audio)
    captions = [c.captions[rng.integers(len(c.captions))] for c in picks]
    return audio, torch.stack([text[c] for c in captions]), [c.label for c in picks]


def loss(towers: Towers, audio: Tensor, text: Tensor, labels: list[str]) -> Tensor:
    """Symmetric cross-entropy [] of audio [B, T] and sentence vectors [B, D] against the soft
    targets.
    """
    logits = towers.hear(audio) @ towers.read(text).T * towers.log_scale.exp().clamp(max=50.0)
    names = np.array(labels)
    same = torch.from_numpy(names[:, None] == names[None]).float()
    target = torch.eye(len(labels)) + SAME_CLASS * same
    target = target / target.sum(1, keepdim=True)
    return F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target.T)


@torch.no_grad()
def top1(towers: Towers, corpus: Corpus, clips: list[Clip], names: list[str]) -> float:
    """Share of clips whose own class word is the nearest of `names`."""
    towers.eval()
    words = towers.read(sentences(names))
    right = 0
    for clip in clips:
        audio = corpus.audio(clip, 0, min(clip.frames, int(WINDOW * RATE)))
        audio = F.pad(audio, (0, max(0, RATE // 2 - len(audio))))
        right += names[int((towers.hear(audio[None]) @ words.T).argmax())] == clip.label
    towers.train()
    return right / len(clips)


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("runs/corpus"))
    parser.add_argument("--out", type=Path, default=Path("runs/judge"))
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--batch", type=int, default=48)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--real", type=float, default=3.0, help="how often recordings are drawn")
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


def main() -> None:
    """Train, with a checkpoint every three minutes."""
    args = arguments()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.manual_seed(args.seed)
    rng = np.random.default_rng(args.seed)
    corpus = Corpus(args.data, frozenset({"evaluation_scorer"}))
    held = Corpus(args.data, frozenset({"held"}), frozenset({"recordings"}), half="choose")
    names = sorted({clip.label for clip in held.clips})
    some = [held.clips[i] for i in np.random.default_rng(0).permutation(len(held.clips))[:200]]
    weights = class_weights(corpus.clips)
    weights *= [args.real if clip.part == RECORDINGS else 1.0 for clip in corpus.clips]
    weights /= weights.sum()
    text = {c: sentence(c) for clip in corpus.clips for c in clip.captions}
    log.info(
        "%d clips, %d captions; %d held-back classes", len(corpus.clips), len(text), len(names)
    )
    towers = Towers(text_dim=dim())
    optimizer = torch.optim.AdamW(towers.parameters(), lr=args.rate, weight_decay=0.02)
    checkpoint = Checkpoint(args.out)
    step = checkpoint.load(towers, optimizer) if checkpoint.exists else 0
    begin, first, total = time.monotonic(), step, 0.0
    while step < args.steps and time.monotonic() - begin < 60 * args.minutes:
        for group in optimizer.param_groups:
            group["lr"] = cosine(step, total=args.steps, warm=50, peak=args.rate)
        error = loss(towers, *batch(corpus, weights, args.batch, rng, text))
        optimizer.zero_grad()
        torch.autograd.backward([error])
        optimizer.step()
        step += 1
        total += error.item()
        if step % 100 == 0:
            speed = (step - first) / (time.monotonic() - begin)
            score = top1(towers, held, some, names)
            log.info(
                "step %d loss %.3f, held-back top-1 of %d: %.3f, %.2f steps/s",
                step, total / 100, len(names), score, speed,
            )  # fmt: skip
            total = 0.0
        if checkpoint.due():
            checkpoint.save(step, towers, optimizer)
    checkpoint.save(step, towers, optimizer)


if __name__ == "__main__":
    torch.set_flush_denormal(True)
    main()
