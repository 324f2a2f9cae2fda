"""Measure hearing and separation with the weights that ship: `python -m sds.train.hearing --help`.

    python -m sds.train.hearing --data runs/corpus --score DIR
    python -m sds.train.hearing --only pairs "fire, piano" --count 4 --methods fast best
    python -m sds.train.hearing --table runs/before.jsonl runs/hearing.jsonl

Everything goes through what the product calls (`sds.separation.separate`, `sds.detection`), and is
of the half of the held-back clips that nobody chooses by; a kind of pairs that has too few clips
there is drawn from both halves, and its rows say so. --table sets the rows of one or two files side
by side, and says where their mixtures differ.
"""

from __future__ import annotations

import argparse
import logging
from dataclasses import asdict
from pathlib import Path

import torch

from sds.detection.evidence import PresenceNetworks
from sds.detection.tagger import load_tagger
from sds.priors.loading import load_prior
from sds.priors.shuffled import shuffled
from sds.separation.networks import load_networks
from sds.separation.separate import METHODS
from sds.train.hearing.detection import DETECTION
from sds.train.hearing.rows import (
    Row,
    Setup,
    append_row,
    cell,
    side_by_side,
    weight_digests,
    worth_of_prior,
)
from sds.train.hearing.separation import SEPARATION, SHUFFLED

log = logging.getLogger(__name__)

FIGURES = SEPARATION | DETECTION


def main() -> None:
    """Measure the figures that are named, or all, and write each; then show the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("runs/corpus"))
    parser.add_argument("--out", type=Path, default=Path("runs/hearing.jsonl"))
    parser.add_argument("--score", type=Path, help="a folder with mixtures/ and stems/")
    parser.add_argument(
        "--only", nargs="+", choices=[*FIGURES], default=[*FIGURES], metavar="NAME",
        help=f"some of {', '.join(map(repr, FIGURES))}",
    )  # fmt: skip
    parser.add_argument("--count", type=int, help="mixtures of a figure at most")
    parser.add_argument("--methods", nargs="+", choices=[*METHODS], default=["fast", "default"])
    parser.add_argument(
        "--null", action="store_true", help="each method by a prior with shuffled weights, too"
    )
    parser.add_argument("--table", type=Path, nargs="+", metavar="FILE", help="only show these")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if args.table:
        log.info("%s", "\n".join(side_by_side(args.table)))
        return
    networks = load_networks()
    if networks.query is None or networks.search_scorer is None:
        parser.error("the weights must have a query network and a search scorer")
    detection = PresenceNetworks(load_tagger(), networks.query)
    prior = load_prior()
    setup = Setup(
        prior, networks, detection, args.data, args.score, args.count, tuple(args.methods),
        shuffled(prior) if args.null else None,
    )  # fmt: skip
    weights = weight_digests()
    args.out.parent.mkdir(parents=True, exist_ok=True)
    known: dict[tuple[str, str], Row] = {}
    for name in args.only:
        for row in FIGURES[name](setup):
            append_row(args.out, row, weights)
            log.info("%s, %s: %s", row.figure, row.method, cell(asdict(row)))
            known[row.figure, row.method] = row
            own = known.get((row.figure, row.method.removesuffix(SHUFFLED)))
            if own is not None and own is not row:
                log.info("%s, %s - shuffled: %s", row.figure, own.method, worth_of_prior(own, row))
    log.info("%s", "\n".join(side_by_side([args.out])))


if __name__ == "__main__":
    torch.set_flush_denormal(True)
    main()
