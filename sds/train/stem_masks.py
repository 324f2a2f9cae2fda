"""Train the one-pass separator of four stems.

    python -m sds.train.stem_masks --out runs/stem-masks --minutes 60

The loss has two terms: how far shares are from those of the stems' powers, cell by cell (cross
entropy, cells weighed by what is in them), which teaches most; and the error of the masked mixture
in dB below each stem, as in the waveform (a spectrum's energy is the sound's), which is what
counts; a silent stem counts from `FLOOR` of the mixture's energy on. Half the windows are of one
song, half have their four stems from four songs. Resumes from --out; what ships
is `best.safetensors`, the moving average where held-back songs were separated best.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from sds.priors.checkpoints import read_tensors
from sds.priors.stem_masks import StemMaskNetwork, gain_to_level
from sds.signal.band_levels import HOP
from sds.train.common import Checkpoint
from sds.train.loop import Run, add_options
from sds.train.stem_bands import BandSongs, add_bands, refresh, songs_of
from sds.train.stem_data import Songs
from sds.train.stem_mixtures import Mixtures, mixtures

log = logging.getLogger(__name__)
FLOOR = 5e-3  # of the mixture's energy: less than that of a stem is as good as none
FRAMES = 192  # of a window: 3 s
CELLS = 0.3  # power of a cell's power that it weighs
ERROR = 0.03  # of a dB of error beside the cross entropy
MIXED = 0.5  # of windows: four songs
LEVEL_DB = 4.0  # deviation of the mixture's level
CHECKED = 64  # held-back windows


def errors_db(shares: Tensor, known: Mixtures) -> Tensor:
    """Error [B, 4] of each masked stem in dB, relative to the stem; shares [B, 4, 128, L].

    A band's error is that of one gain for all its bins.
    """
    power, shares = known.power[:, None], shares[..., known.first :: 2]
    error = (known.stems - 2 * shares * known.cross + shares.square() * power).sum((2, 3))
    floor = FLOOR * power.sum((2, 3))
    ratio = (error + floor) / (known.stems.sum((2, 3)) + floor).clamp_min(1e-12)
    return 10 * ratio.clamp_min(1e-6).log10()


def loss(logits: Tensor, known: Mixtures) -> tuple[Tensor, Tensor]:
    """What training lowers, of logits [B, 4, 128, L], and the mean error in dB within it."""
    own = known.stems + 1e-9
    target = own / own.sum(1, keepdim=True)
    weight = known.power**CELLS
    weight = weight / weight.sum((1, 2), keepdim=True).clamp_min(1e-9)
    entropy = -(target * logits[..., known.first :: 2].log_softmax(1)).sum(1)
    error = errors_db(logits.softmax(1), known).mean()
    return (entropy * weight).sum((1, 2)).mean() + ERROR * error, error


def batch(songs: Songs, count: int, rng: np.random.Generator, *, plain: bool = False) -> Tensor:
    """Stems [B, 4, T] of `count` windows, the mixture brought to the level that is known, more or
    less.
    """
    rows = []
    for _ in range(count):
        mixed = not plain and rng.random() < MIXED
        audio, _ = songs.window(rng, (FRAMES - 1) * HOP, plain=plain, mixed=mixed)
        rows.append(torch.as_tensor(audio))
    stems = torch.stack(rows)
    gain = gain_to_level(stems.sum(1))[..., None]
    if not plain:
        change = torch.from_numpy(rng.normal(size=(count, 1, 1))).float()
        gain = gain * 10 ** (change * LEVEL_DB / 20)
    return stems * gain


def drawn(
    songs: Songs | BandSongs,
    count: int,
    rng: np.random.Generator,
    first: int = 0,
    *,
    plain: bool = False,
) -> Mixtures:
    """`count` windows of recordings, or of their bands."""
    if isinstance(songs, BandSongs):
        mixed = 0.0 if plain else MIXED
        return songs.windows(count, FRAMES, rng, first, plain=plain, mixed=mixed)[0]
    return mixtures(batch(songs, count, rng, plain=plain), first)


@torch.no_grad()
def held_back_error(net: nn.Module, held: Songs | BandSongs, device: str = "cpu") -> list[float]:
    """Mean error in dB of each stem where it sounds, on the same held-back windows each time."""
    rng, rows, there = np.random.default_rng(0), [], []
    for _ in range(CHECKED // 8):
        known = drawn(held, 8, rng, plain=True).to(device)
        rows.append(errors_db(net(known.levels).softmax(1), known))
        share = known.stems.sum((2, 3)) / known.power.sum((1, 2))[:, None]
        there.append(share > 2 * FLOOR)
    error, sounding = torch.cat(rows), torch.cat(there)
    each = (error * sounding).sum(0) / sounding.sum(0).clamp_min(1)
    return [float(x) for x in each]


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("runs/stems"))
    parser.add_argument("--out", type=Path, default=Path("runs/stem-masks"))
    parser.add_argument("--batch", type=int, default=8)
    add_options(parser, rate=1.5e-3, ema=0.998, check=150, device=True)
    add_bands(parser)
    parser.add_argument("--begin", type=Path, help="weights of another run to begin with")
    return parser.parse_args()


def main() -> None:
    """Train, with a checkpoint every three minutes."""
    args = arguments()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    songs, held = songs_of(args)
    torch.manual_seed(0)
    net = StemMaskNetwork()
    net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if args.begin and not Checkpoint(args.out).exists:
        net.load_state_dict(read_tensors(args.begin))
    run = Run(net.to(args.device), args)
    rng = np.random.default_rng(run.step)

    def lowered(step: int) -> tuple[Tensor, Sequence[Tensor]]:
        known = drawn(songs, args.batch, rng, step % 2).to(args.device)
        whole, error = loss(net(known.levels), known)
        return whole, [error]

    def check(mean: nn.Module) -> tuple[float, str]:
        refresh(songs, held)
        each = held_back_error(mean, held, args.device)
        return sum(each) / len(each), f"dB ({' '.join(f'{x:.2f}' for x in each)})"

    run.until_done(lowered, check, clip=5.0)


if __name__ == "__main__":
    torch.set_flush_denormal(True)
    main()
