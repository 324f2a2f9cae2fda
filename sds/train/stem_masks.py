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
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from sds.priors.checkpoints import read_tensors
from sds.priors.stem_masks import StemMaskNetwork, gain_to_level
from sds.signal.band_levels import HOP, band_powers, on_bands, stft, to_levels
from sds.train.common import Checkpoint
from sds.train.loop import Run, add_options
from sds.train.stem_data import Songs

log = logging.getLogger(__name__)
FLOOR = 5e-3  # of the mixture's energy: less than that of a stem is as good as none
FRAMES = 192  # of a window: 3 s
CELLS = 0.3  # power of a cell's power that it weighs
ERROR = 0.03  # of a dB of error beside the cross entropy
LEVEL_DB = 4.0  # deviation of the mixture's level
CHECKED = 64  # held-back windows


@dataclass(frozen=True, slots=True)
class Mixtures:
    """Mixtures and what is known of their stems, on bands.

    - `levels`: [B, 128, L] of the mixtures.
    - `stems`, `cross`: [B, 4, 128, K], powers of the stems, and real parts of stem times mixture,
      of every second frame from `first` on.
    - `power`: [B, 128, K] of the mixtures, likewise.
    """

    levels: Tensor
    stems: Tensor
    cross: Tensor
    power: Tensor
    first: int


def mixtures(audio: Tensor, first: int = 0) -> Mixtures:
    """What is known of stems [B, 4, T] at 32 kHz that are mixed as they are; `first` is 0 or 1."""
    mixture = audio.sum(1)
    levels = to_levels(band_powers(stft(mixture)))
    part = audio[..., first * HOP :]
    spectra = stft(part, 2 * HOP)
    whole = spectra.sum(1)
    cross = spectra.real * whole.real[:, None] + spectra.imag * whole.imag[:, None]
    return Mixtures(levels, band_powers(spectra), on_bands(cross), band_powers(whole), first)


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
        mixed = not plain and rng.random() < 0.5
        audio, _ = songs.window(rng, (FRAMES - 1) * HOP, plain=plain, mixed=mixed)
        rows.append(torch.as_tensor(audio))
    stems = torch.stack(rows)
    gain = gain_to_level(stems.sum(1))[..., None]
    if not plain:
        change = torch.from_numpy(rng.normal(size=(count, 1, 1))).float()
        gain = gain * 10 ** (change * LEVEL_DB / 20)
    return stems * gain


@torch.no_grad()
def held_back_error(net: nn.Module, held: Songs) -> list[float]:
    """Mean error in dB of each stem where it sounds, on the same held-back windows each time."""
    rng, rows, there = np.random.default_rng(0), [], []
    for _ in range(CHECKED // 8):
        known = mixtures(batch(held, 8, rng, plain=True))
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
    add_options(parser, rate=1.5e-3, ema=0.998, check=150)
    parser.add_argument("--begin", type=Path, help="weights of another run to begin with")
    return parser.parse_args()


def main() -> None:
    """Train, with a checkpoint every three minutes."""
    args = arguments()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    songs, held = Songs(args.data, "train"), Songs(args.data, "held", half="choose")
    torch.manual_seed(0)
    net = StemMaskNetwork()
    net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if args.begin and not Checkpoint(args.out).exists:
        net.load_state_dict(read_tensors(args.begin))
    run = Run(net, args)
    rng = np.random.default_rng(run.step)

    def lowered(step: int) -> tuple[Tensor, Sequence[Tensor]]:
        known = mixtures(batch(songs, args.batch, rng), step % 2)
        whole, error = loss(net(known.levels), known)
        return whole, [error]

    def check(mean: nn.Module) -> tuple[float, str]:
        songs.refresh()
        held.refresh()
        each = held_back_error(mean, held)
        return sum(each) / len(each), f"dB ({' '.join(f'{x:.2f}' for x in each)})"

    run.until_done(lowered, check, clip=5.0)


if __name__ == "__main__":
    torch.set_flush_denormal(True)
    main()
