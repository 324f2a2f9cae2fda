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
from pathlib import Path

from sds.train.captions import PHRASES
from sds.train.clips import RATE, Clip, is_whole, read_table, write_part
from sds.train.recordings import recordings

log = logging.getLogger(__name__)


def read_exclude(file: Path | None) -> tuple[str, ...]:
    """Paths, one a line; empty lines and lines that begin with # do not count."""
    if file is None:
        return ()
    lines = (line.strip() for line in file.read_text(encoding="utf-8").splitlines())
    return tuple(line for line in lines if line and not line.startswith("#"))


def _recordings(options: argparse.Namespace) -> Iterator[Clip]:
    if options.data is None:
        raise ValueError("--data must name the folder with captions.csv for the recordings")
    exclude = read_exclude(options.exclude)
    return recordings(options.data, exclude=exclude, workers=options.workers)


PARTS: dict[str, Callable[[argparse.Namespace], Iterator[Clip]]] = {
    "recordings": _recordings,
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
    cli.add_argument("--data", type=Path, help="folder of recordings with captions.csv (and midi/)")
    cli.add_argument("--exclude", type=Path, metavar="FILE", help="recordings to leave out")
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
            count = write_part(options.out, part, PARTS[part](options))
        except (ValueError, OSError) as error:
            log.error("%s: %s", part, error)
            return 2
        hours = (options.out / f"{part}.i16").stat().st_size / 2 / RATE / 3600
        log.info("%s: %d clips, %.2f hours", part, count, hours)
    write_classes(options.out)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
