"""What each stage of a search is worth, on captions of held-back recordings: to choose recipes by.

    python -m sds.train.search_stages --data runs/corpus --half choose --items 8 --out runs/stages

The suite `stage_by_stage` (`sds.scoreboard`) asks the board's captions, which report; this
asks captions of the training corpus that nothing was trained on, one a class, of the half that is
there to choose on, and looks for the right recording among theirs.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from sds.datasets.clips import Half, unit_hash
from sds.priors.loading import load_prior
from sds.scoreboard.baselines import Prompt
from sds.scoreboard.board import Row, Setting, Task, evaluate, read_rows
from sds.scoreboard.patch import LONGEST, SHORTEST, spectra
from sds.scoreboard.stage_by_stage import FULL, findings, tasks
from sds.similarity.two_tower import RATE, SEARCH_SCORER, load_scorer
from sds.train.bank import instrument
from sds.train.data import Clip, Corpus
from sds.train.latents import RECORDINGS

log = logging.getLogger(__name__)


def held_prompts(data: Path, half: Half) -> tuple[list[Prompt], list[list[Tensor]]]:
    """One caption a class of the held-back recordings of a half, in an order by hash, and the
    spectra of the recordings they are of.
    """
    corpus = Corpus(data, frozenset({"held"}), frozenset({RECORDINGS}), half=half)
    of_class: dict[str, Clip] = {}
    for clip in sorted(corpus.clips, key=lambda clip: unit_hash(clip.captions[0])):
        of_class.setdefault(clip.label, clip)
    asked: list[Prompt] = []
    recordings: list[list[Tensor]] = []
    for clip in sorted(of_class.values(), key=lambda clip: unit_hash(clip.label)):
        samples = min(clip.frames, round(LONGEST * RATE))
        text, seconds = clip.captions[0], max(samples / RATE, SHORTEST)
        asked.append(Prompt(text, text, clip.label, seconds, len(recordings)))
        sound = corpus.audio(clip, 0, samples)
        recordings.append(spectra(sound[None], round(LONGEST * RATE)))
    return asked, recordings


def held_setting(data: Path, out: Path, renderers: Sequence[str]) -> Setting:
    """The shipped models, and the renderers of these names with their banks."""
    search_scorer = load_scorer(SEARCH_SCORER)
    return Setting(
        data=data,
        prior=load_prior(),
        evaluation_scorer=load_scorer(),
        search_scorer=search_scorer,
        instruments=tuple(instrument(name, search_scorer) for name in renderers),
        scratch=out,
    )


def measure(
    suite: str,
    work: list[Task],
    setting: Setting,
    rows: Path,
    findings: Callable[[Sequence[Row]], list[str]],
) -> None:
    """Run the tasks that are not in the file `rows` yet, and print what the rows say."""
    for now in evaluate({suite: lambda _: work}, setting, rows):
        if now.row and not now.old:
            log.info("%d/%d %s, %s: %s", now.index, now.of, now.item, now.method, now.row.figures)
    for line in findings(read_rows(rows)):
        print(line)  # noqa: T201


def main() -> None:
    """Run what is not in the rows yet, and print what the rows say."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--half", choices=("choose", "report"), default="choose")
    parser.add_argument("--items", type=int, default=8)
    parser.add_argument("--renderer", nargs="+", default=["fm", "impact"])
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    args.out.mkdir(parents=True, exist_ok=True)
    asked, recordings = held_prompts(args.data, args.half)
    setting = held_setting(args.data, args.out, args.renderer)
    work = tasks(setting, asked[: args.items], recordings, FULL)
    rows = args.out / f"{args.half}.jsonl"
    measure("stages", work, setting, rows, findings)


if __name__ == "__main__":
    torch.set_flush_denormal(True)
    main()
