"""Build the training corpus, part by part: `python -m sds.train.corpus --help`.

A part already whole is left alone, so an interrupted run goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import chain, count
from pathlib import Path
from typing import TypeAlias

import torch

from presets import Note
from renderers import fm, impact, starts
from renderers.base import Renderer
from sds.datasets.captions import PHRASES
from sds.datasets.clips import RATE, Audio, Clip, is_whole, read_table, write_part
from sds.datasets.recordings import EXCLUDED, read_exclude, recordings
from sds.train.corpus.midi import find_fonts, midi_clips
from sds.train.corpus.patches import patch_clips
from sds.train.corpus.phrases import drum_hits, one_shots, phrases
from sds.train.corpus.procedural import procedural
from sds.train.corpus.songs import songs

HELP_EXCLUDE = "recordings to leave out, a path a line (default: those in the demo's mixtures)"
HELP_DATA = "folder of recordings with captions.csv, may be repeated"
HELP_MIDI = "folder of MIDI songs, may be repeated"
HELP_FONT = "General MIDI sound font, may be repeated (default: those of the usual folders)"

PATCH_SECONDS, PATCH_BATCH = 3.0, 16
PatchStart: TypeAlias = Callable[[Renderer, int, torch.Generator], torch.Tensor]
PATCHES: dict[str, tuple[Callable[[], Renderer], PatchStart, range]] = {
    # renderer: maker, random patches, keys
    "fm": (fm.renderer, starts.fm_patches, range(28, 85)),
    "impact": (impact.renderer, starts.impact_patches, range(48, 73)),
}

log = logging.getLogger(__name__)


def _recordings(options: argparse.Namespace) -> Iterator[Clip]:
    if not options.data:
        raise ValueError("--data must name the folder with captions.csv for the recordings")
    exclude = read_exclude(options.exclude)
    if missing := [path for path in exclude if not _holder(options.data, path)]:
        raise ValueError(f"exclude must name files of captions.csv, got {sorted(missing)}")
    return chain.from_iterable(
        recordings(
            folder,
            exclude=[path for path in exclude if _holder(options.data, path) == folder],
            workers=options.workers,
        )
        for folder in options.data
    )


def _holder(folders: list[Path], path: str) -> Path | None:
    """The first of the folders that has a file `path`."""
    return next((folder for folder in folders if (folder / path).is_file()), None)


def _midi(options: argparse.Namespace) -> Iterator[Clip]:
    seed = options.seed
    scores = chain(one_shots(seed), drum_hits(seed), phrases(seed, options.phrases))
    for folder in options.midi:
        scores = chain(scores, songs(folder, seed))
    return midi_clips(scores, find_fonts(options.font), workers=options.workers)


def _procedural(options: argparse.Namespace) -> Iterator[Clip]:
    return procedural(options.seed, hours=options.hours, workers=options.workers)


def _patch_sounds(renderer: str, seed: int) -> Iterator[tuple[str, Audio]]:
    make, start, keys = PATCHES[renderer]
    instrument, generator = make(), torch.Generator().manual_seed(seed)
    for batch in count():
        u = start(instrument, PATCH_BATCH, generator)
        key = keys[int(torch.randint(len(keys), (), generator=generator))]
        with torch.no_grad():
            audio = instrument.render(u, Note(key), RATE, round(PATCH_SECONDS * RATE))  # [B, C, T]
        for index, sound in enumerate(audio.mean(dim=1).float()):
            yield f"{seed}/{batch}/{index}", sound.numpy()


def _patches(options: argparse.Namespace) -> Iterator[Clip]:
    for renderer in PATCHES:
        frames = 0
        for clip in patch_clips(renderer, _patch_sounds(renderer, options.seed), seed=options.seed):
            if frames >= options.patch_hours * 3600 * RATE / len(PATCHES):
                break
            frames += len(clip.audio)
            yield clip


PARTS: dict[str, Callable[[argparse.Namespace], Iterator[Clip]]] = {
    "recordings": _recordings,
    "midi": _midi,
    "procedural": _procedural,
    "patches": _patches,
}


def write_classes(folder: Path) -> None:
    """classes.json: a prompt a class with the clips of each split, most clips first."""
    counts: dict[str, Counter[str]] = {}
    for part in PARTS:
        if is_whole(folder, part):
            for row in read_table(folder, part):
                counts.setdefault(row["class"], Counter())[row["split"]] += 1
    ordered = sorted(counts, key=lambda label: (-counts[label].total(), label))
    classes = [
        {"class": label, "prompt": PHRASES.get(label, (label,))[0], **counts[label]}
        for label in ordered
    ]
    temporary = folder / "classes.json.tmp"
    temporary.write_text(json.dumps(classes, indent=1) + "\n", encoding="utf-8")
    os.replace(temporary, folder / "classes.json")


def parser() -> argparse.ArgumentParser:
    """The command line."""
    cli = argparse.ArgumentParser(prog="python -m sds.train.corpus", description=__doc__)
    cli.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; all if none")
    cli.add_argument("--out", type=Path, default=Path("runs/corpus"), help="default: %(default)s")
    cli.add_argument("--data", type=Path, action="append", default=[], help=HELP_DATA)
    cli.add_argument("--midi", type=Path, action="append", default=[], help=HELP_MIDI)
    cli.add_argument("--exclude", type=Path, metavar="FILE", default=EXCLUDED, help=HELP_EXCLUDE)
    cli.add_argument("--font", type=Path, action="append", default=[], help=HELP_FONT)
    cli.add_argument(
        "--phrases", type=int, default=1200, help="MIDI phrases (default: %(default)s)"
    )
    cli.add_argument("--hours", type=float, default=3.0, help="procedural (default: %(default)s)")
    cli.add_argument("--patch-hours", type=float, default=1.5, help="default: %(default)s")
    cli.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    cli.add_argument("--workers", type=int, default=1, help="processes (default: %(default)s)")
    return cli


def main(arguments: list[str] | None = None) -> int:
    """Build the parts asked for; 2 and one sentence when something needed is not there."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    cli = parser()
    options = cli.parse_args(arguments)
    unknown = sorted(set(options.parts) - set(PARTS))
    if unknown:
        cli.error(f"PART must be of {', '.join(PARTS)}, got {', '.join(unknown)}")
    for part in options.parts or PARTS:
        if is_whole(options.out, part):
            log.info("%s: whole already", part)
            continue
        try:
            clips = write_part(options.out, part, PARTS[part](options))
        except (ValueError, OSError) as error:
            log.error("%s: %s", part, error)
            return 2
        hours = (options.out / f"{part}.i16").stat().st_size / 2 / RATE / 3600
        log.info("%s: %d clips, %.2f hours", part, clips, hours)
    write_classes(options.out)
    return 0


if __name__ == "__main__":
    torch.set_flush_denormal(True)
    raise SystemExit(main())
