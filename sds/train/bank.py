"""Fill the banks of patches that a search begins with: `python -m sds.train.bank --help`.

Random patches of each renderer are played at middle C and heard by the search scorer. Make them
anew when a renderer's version or the search scorer has changed.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from presets import Note
from renderers import RENDERERS, Renderer, random_patches, tuning
from sds.distillation.patch_bank import FOLDER, Bank, load_bank, save_bank, synth
from sds.priors.checkpoints import ModelUnavailable, read_tensors
from sds.scoreboard.board import Instrument
from sds.similarity.two_tower import RATE, SEARCH_SCORER, TwoTowerScorer, load_scorer

log = logging.getLogger(__name__)
SECONDS, CHUNK = 1.5, 16
HELD = 1.0  # seconds for which the key is down
COUNTS = {"fm": 24576, "impact": 6144}  # impact patches have thirty times as many numbers
TUNED = {"fm-harmonic": 12288, "fm-bell": 6144}  # what they sound like when in tune


def play(renderer: Renderer, u: Tensor) -> Tensor:
    """Sound [B, C, T] of patches u [B, P] of a synth, SECONDS of middle C."""
    with torch.no_grad():
        return renderer.render(u.double(), Note(60, held=HELD), RATE, round(SECONDS * RATE)).float()


def fill(
    renderer: Renderer, search_scorer: TwoTowerScorer, count: int, seed: int, family: str = "free"
) -> Bank:
    """Render and embed `count` random patches of a synth, snapped as `family` of
    `renderers.tuning` has them.
    """
    generator = torch.Generator().manual_seed(seed)
    patches, vectors = [], []
    for start in range(0, count, CHUNK):
        u = random_patches(renderer, CHUNK, generator=generator)
        u = tuning.snap(renderer, family, u).half()
        patches.append(u)
        vectors.append(search_scorer.hear(play(renderer, u), RATE).half())
        if start % (64 * CHUNK) == 0:
            log.info("%s: %d of %d", renderer.name, start, count)
    u, embeddings = torch.cat(patches)[:count], torch.cat(vectors)[:count]
    instrument = synth(renderer.name, renderer.version, len(renderer.params))
    return Bank(u, embeddings, instrument, search_scorer.model_hash)


def instrument(name: str, search_scorer: TwoTowerScorer, folder: Path = FOLDER) -> Instrument:
    """A renderer with its bank as the scoreboard sees it, at middle C.

    Raises `ModelUnavailable` where there is no bank for this synth and scorer.
    """
    renderer = RENDERERS[name]
    of = synth(name, renderer.version, len(renderer.params))
    bank = load_bank(name, of, search_scorer.model_hash, folder)
    if bank is None:
        raise ModelUnavailable(f"there is no bank of {of} in {folder}: run sds.train.bank first")

    def draw(count: int, generator: torch.Generator) -> Tensor:
        return random_patches(renderer, count, generator=generator)

    def render(u: Tensor, samples: int) -> Tensor:
        return renderer.render(u, Note(60), RATE, samples).float()

    def near(prompt: str, count: int, generator: torch.Generator) -> Tensor:
        return bank.nearest(search_scorer.read([prompt])[0], count)

    return Instrument(name, draw, render, near)


def bank_sounds(name: str, rows: slice) -> Iterator[Tensor]:
    """Mono sounds [B, T] of some patches of a synth's shipped bank, a few at a time."""
    u = read_tensors(FOLDER / f"{name}.safetensors")["u"][rows]
    for start in range(0, len(u), CHUNK):
        yield play(RENDERERS[name], u[start : start + CHUNK]).mean(1)


def main() -> None:
    """Fill and save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=FOLDER)
    parser.add_argument("--bank", choices=[*COUNTS, *TUNED], nargs="+", default=[*COUNTS, *TUNED])
    parser.add_argument("--count", type=int, help=f"patches of each (default: {COUNTS | TUNED})")
    parser.add_argument("--seed", type=int, default=2026)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    args.out.mkdir(parents=True, exist_ok=True)
    search_scorer = load_scorer(SEARCH_SCORER)
    for name in args.bank:
        renderer, _, family = name.partition("-")
        count = args.count or (COUNTS | TUNED)[name]
        bank = fill(RENDERERS[renderer], search_scorer, count, args.seed, family or "free")
        save_bank(bank, args.out / f"{name}.safetensors")


if __name__ == "__main__":
    torch.set_flush_denormal(True)
    main()
