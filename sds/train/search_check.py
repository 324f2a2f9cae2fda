"""Compare search scorers: what they name of held-back recordings, and which patches they prefer.

    python -m sds.train.search_check --scorer sds/weights/search_scorer runs/search-b --half choose

Two kinds of figures, on the recordings of one half of `held`:

- *naming*: how often a recording's own class, or caption, is the first of all, and how often a
  recording of it is first for a class or caption.
- *preferring*: for prompts that are captions of held-back recordings, how often a scorer prefers of
  two patches of a bank the one that fits the prompt's class worse by the statistics of real
  recordings (`sds.metrics.spectral_statistics`), which nobody optimises: of all pairs, of pairs of
  one of the best tenth by the statistics and one of the others (chance is 0.5 for both), and where
  the eight it likes best stand among all by the statistics (1 is best, chance 0.5).
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from sds.datasets.captions import PHRASES
from sds.datasets.clips import Half, unit_hash
from sds.datasets.reference_statistics import reference
from sds.metrics.spectral_statistics import statistics
from sds.priors.sentence_encoder import encode_sentences
from sds.similarity.trunk import load_trunk
from sds.similarity.two_tower import RATE, SEARCH_SCORER, load_scorer
from sds.train.bank import COUNTS, bank_sounds
from sds.train.data import Corpus
from sds.train.latents import RECORDINGS
from sds.train.search import Teacher
from sds.train.search_data import HEARD, trunk_features

log = logging.getLogger(__name__)
PATCHES = 512  # of each bank, its first
PROMPTS, LIKED, BEST = 30, 8, 0.1


@dataclass(frozen=True, slots=True, eq=False)
class Ear:
    """Whatever puts B sounds [T] at RATE and K prompts among unit vectors: [B, dim], [K, dim]."""

    hear: Callable[[Sequence[Tensor]], Tensor]
    read: Callable[[Sequence[str]], Tensor]


def towers_ear(folder: Path) -> Ear:
    """Two towers in a folder."""
    scorer = load_scorer(folder)
    return Ear(
        lambda sounds: torch.cat([scorer.hear(sound[None, None], RATE) for sound in sounds]),
        scorer.read,
    )


@torch.no_grad()
def hear_features(sounds: Sequence[Tensor]) -> Tensor:
    """The trunk's features [B, 1024] of B sounds [T]."""
    trunk, frames = load_trunk(), int(HEARD * RATE)
    return torch.cat([trunk_features(trunk, sound[None, :frames]) for sound in sounds])


def trunk_ear(folder: Path) -> Ear:
    """A head on the trunk."""
    teacher = Teacher()
    teacher.load_state_dict(load_file(folder / "model.safetensors"))
    teacher.eval().requires_grad_(False)
    return Ear(
        lambda sounds: teacher.hear(hear_features(sounds)),
        lambda prompts: teacher.read(encode_sentences(prompts)),
    )


def together(one: Ear, other: Ear) -> Ear:
    """Both: the mean of their cosines."""
    return Ear(
        lambda sounds: torch.cat([one.hear(sounds), other.hear(sounds)], 1) / 2**0.5,
        lambda prompts: torch.cat([one.read(prompts), other.read(prompts)], 1) / 2**0.5,
    )


@dataclass(frozen=True, slots=True, eq=False)
class Held:
    """Held-back recordings: sounds, class and caption of each."""

    sounds: list[Tensor]
    labels: list[str]
    captions: list[str]


def read_held(data: Path, half: Half) -> Held:
    """Held-back recordings of a half; as much of them as a scorer hears in two windows."""
    corpus = Corpus(data, frozenset({"held"}), frozenset({RECORDINGS}), half=half)
    clips = corpus.clips
    sounds = [corpus.audio(clip, 0, min(clip.frames, 6 * RATE)) for clip in clips]
    return Held(sounds, [clip.label for clip in clips], [clip.captions[0] for clip in clips])


def top1(near: Tensor, rows: Sequence[str], columns: Sequence[str]) -> tuple[float, float]:
    """Share of rows whose own column is first, and of columns whose first row is one of theirs."""
    first, best = near.argmax(1).tolist(), near.argmax(0).tolist()
    named = sum(columns[j] == row for j, row in zip(first, rows, strict=True)) / len(rows)
    found = sum(rows[i] == column for i, column in zip(best, columns, strict=True)) / len(columns)
    return named, found


def naming(ear: Ear, heard: Tensor, held: Held) -> dict[str, float]:
    """Top-1 both ways over classes and over captions, of sounds heard [B, dim]."""
    labels, captions = sorted(set(held.labels)), sorted(set(held.captions))
    phrases = heard @ ear.read([PHRASES[label][0] for label in labels]).T
    named, found = top1(phrases, held.labels, labels)
    said, met = top1(heard @ ear.read(captions).T, held.captions, captions)
    return {"class of sound": named, "sound of class": found, "caption of sound": said,
            "sound of caption": met}  # fmt: skip


def choose_prompts(held: Held, names: Sequence[str]) -> list[tuple[str, str]]:
    """Pairs (caption, class) of the classes that the statistics know, as even as can be."""
    known = sorted(
        {(c, k) for c, k in zip(held.captions, held.labels, strict=True) if k in names},
        key=lambda pair: unit_hash("|".join(pair)),
    )
    turn: dict[str, int] = {}
    ranked = []
    for caption, label in known:
        turn[label] = turn.get(label, -1) + 1
        ranked.append((turn[label], caption, label))
    return [(caption, label) for _, caption, label in sorted(ranked, key=lambda x: x[0])[:PROMPTS]]


def fits(sounds: Tensor) -> tuple[Tensor, tuple[str, ...]]:
    """By how much sounds [N, T] fit each class of the statistics better than any other [N, C]."""
    ref = reference()
    classes = ref.classes()
    x = torch.cat([
        statistics(sounds[i : i + 32, None], RATE) for i in range(0, len(sounds), 32)
    ])  # fmt: skip
    scores = classes.scores(ref.standard(x))
    others = torch.stack(
        [
            scores.index_fill(1, torch.tensor([c]), -torch.inf).amax(1)
            for c in range(scores.shape[1])
        ],
        1,
    )
    return scores - others, classes.names


def discord(a: Tensor, b: Tensor) -> float:
    """Share of pairs that a [N] and b [N] order differently."""
    i, j = torch.triu_indices(len(a), len(a), 1)
    return float(((a[i] - a[j]) * (b[i] - b[j]) < 0).double().mean())


def preferring(near: Tensor, fit: Tensor) -> list[float]:
    """Three figures of cosines with a prompt [N] and by how much the patches fit its class [N]."""
    order = fit.argsort(descending=True)
    count = int(BEST * len(fit))
    good, other = near[order[:count]], near[order[count:]]
    missed = float((good[:, None] < other[None]).double().mean())
    rank = fit.argsort().argsort().double() / (len(fit) - 1)
    return [discord(near, fit), missed, float(rank[near.topk(LIKED).indices].mean())]


def report(
    ear: Ear,
    held: Held,
    heard: Tensor,
    patches: dict[str, tuple[Tensor, Tensor]],
    names: Sequence[str],
) -> dict[str, object]:
    """Figures of an ear: of held-back recordings it heard [B, dim], and of the patches of each
    synth, heard [N, dim] and how they fit the classes of `names` [N, C].
    """
    row: dict[str, object] = {k: round(v, 3) for k, v in naming(ear, heard, held).items()}
    prompts = choose_prompts(held, names)
    words = ear.read([caption for caption, _ in prompts])
    for synth, (played, fit) in patches.items():
        near = played @ words.T
        figures = torch.tensor([
            preferring(near[:, k], fit[:, names.index(label)])
            for k, (_, label) in enumerate(prompts)
        ])  # fmt: skip
        mean, error = figures.mean(0), figures.std(0) / len(figures) ** 0.5
        row[synth] = [f"{m:.3f} +- {e:.3f}" for m, e in zip(mean, error, strict=True)]
    return row


def main() -> None:
    """Print a JSON line for each ear and half."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("runs/corpus"))
    parser.add_argument("--scorer", type=Path, nargs="+", default=[SEARCH_SCORER])
    parser.add_argument("--teacher", type=Path, help="alone, and together with each scorer")
    parser.add_argument("--half", choices=("choose", "report"), nargs="+", default=["choose"])
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    ears = {str(folder): towers_ear(folder) for folder in args.scorer}
    if args.teacher is not None:
        teacher = trunk_ear(args.teacher)
        ears |= {f"{name} and teacher": together(ear, teacher) for name, ear in ears.items()}
        ears["teacher"] = teacher
    sounds = {name: torch.cat([*bank_sounds(name, slice(PATCHES))]) for name in sorted(COUNTS)}
    fit = {name: fits(each) for name, each in sounds.items()}
    names = fit[next(iter(fit))][1]
    halves = {half: read_held(args.data, half) for half in args.half}
    for name, ear in ears.items():
        patches = {synth: (ear.hear([*each]), fit[synth][0]) for synth, each in sounds.items()}
        for half, held in halves.items():
            row = report(ear, held, ear.hear(held.sounds), patches, names)
            log.info("%s", json.dumps({"scorer": name, "half": half, **row}))


if __name__ == "__main__":
    torch.set_flush_denormal(True)
    main()
