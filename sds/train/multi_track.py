"""Train the model of four stems: denoising in the EDM framework, a noise level for each track.

    python -m sds.train.multi_track --minutes 60
    python -m sds.train.multi_track --minutes 60 --masks runs/stem-masks/best.safetensors

Log sigma is normal and the loss of D weighted by (sigma^2 + 1) / sigma^2 (Karras et al. 2022, arXiv
2206.00364, table 1). In more than half of the windows some tracks are known, at sigma 0, in all
combinations; their answers do not count. With --masks part of the windows come with their
mixture, as the masks see it; then the error of the corrected masks, in dB as `sds.train.stem_masks`
has it, counts beside that of D. Resumes from --out; what ships is `best.safetensors`, the moving
average where its loss on held-back songs was least.
"""

from __future__ import annotations

import argparse
import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from sds.priors.beats import BEATS, beat_maps
from sds.priors.checkpoints import fill, read_tensors
from sds.priors.multi_track import (
    PAIR,
    VECTOR,
    MultiTrackNetwork,
    Told,
    refined,
)
from sds.priors.stem_masks import STEMS, StemMaskNetwork, StemMasks, gain_to_level
from sds.signal.band_levels import BANDS, HOP, RATE, to_levels
from sds.similarity.two_tower import SEARCH_SCORER, TwoTowerScorer, load_scorer
from sds.train.common import Checkpoint
from sds.train.loop import BEST, Run, add_options
from sds.train.stem_bands import BandSongs, add_bands, refresh, songs_of
from sds.train.stem_data import Grid, Songs
from sds.train.stem_masks import errors_db
from sds.train.stem_mixtures import Mixtures, mixtures

log = logging.getLogger(__name__)
WINDOWS = (128, 128, 128, 256, 376)  # frames: 4, 8, 12 s
MEAN, DEVIATION = 0.0, 1.6  # of log sigma
LEVEL_DB = 3.0  # deviation of the mixture's level
DROP, HEARD = 0.15, 0.4  # how often the vector is of nothing, of the sound; else of a caption
UNCOUNTED = 0.3  # how often it is not told where the beats are
KNOWN = 0.6  # of windows without a mixture: some tracks are known
TOLD = 0.45  # of all windows: with the mixture
MASK_WEIGHT = 0.1  # of a dB of the masks' error beside the loss of D
LEVELS = (0.1, 0.4, 1.5, 6.0)  # noise levels of the held-back loss
CHECKED = 32  # held-back windows


class Vectors:
    """Vectors of captions, each made once, and of sounds."""

    def __init__(self, scorer: TwoTowerScorer) -> None:
        self.scorer = scorer
        self._read: dict[str, Tensor] = {}

    def read(self, caption: str) -> Tensor:
        """The vector [128] of a caption."""
        if caption not in self._read:
            self._read[caption] = self.scorer.read([caption])[0]
        return self._read[caption]

    def hear(self, audio: Tensor) -> Tensor:
        """The vector [128] of a sound [T] at 32 kHz."""
        return self.scorer.hear(audio[None, None], RATE)[0]


@dataclass(frozen=True, slots=True)
class Windows:
    """Windows of songs: their stems on bands, vectors [B, 128] and beats [B, 4, L]."""

    known: Mixtures
    vectors: Tensor
    beats: Tensor

    def to(self, device: torch.device | str) -> Windows:
        """The same on a device."""
        return Windows(self.known.to(device), self.vectors.to(device), self.beats.to(device))


def windows(
    songs: Songs | BandSongs,
    vectors: Vectors,
    count: int,
    frames: int,
    rng: np.random.Generator,
    *,
    plain: bool = False,
) -> Windows:
    """Draw `count` windows of `frames` frames of 32 ms; `plain` leaves out variation."""
    if isinstance(songs, BandSongs):
        return _band_windows(songs, vectors, count, frames, rng, plain=plain)
    sounds, said, beats = [], [], []
    at = np.arange(frames, dtype=np.float64) * (PAIR * HOP / RATE)
    for _ in range(count):
        audio, captions, grid = songs.window_on_beats(rng, (PAIR * frames - 1) * HOP, plain=plain)
        beats.append(_beats(grid, at, rng, plain=plain))
        sound = torch.as_tensor(audio)
        sounds.append(sound)
        which = 1.0 if plain else rng.random()
        if which < DROP:
            said.append(torch.zeros(VECTOR))
        elif which < DROP + HEARD:
            said.append(vectors.hear(sound.sum(0)))
        else:
            said.append(vectors.read(captions[0]))
    stems = torch.stack(sounds)
    gain = gain_to_level(stems.sum(1))[..., None]
    if not plain:
        change = torch.from_numpy(rng.normal(size=(count, 1, 1))).float()
        gain = gain * 10 ** (change * LEVEL_DB / 20)
    return Windows(mixtures(stems * gain), torch.stack(said), torch.stack(beats))


def _beats(
    grid: Grid | None, at: npt.NDArray[np.float64], rng: np.random.Generator, *, plain: bool
) -> Tensor:
    """What is told of the beats [4, L] at the seconds `at` [L]: at times nothing."""
    if grid is None or (not plain and rng.random() < UNCOUNTED):
        return torch.zeros(BEATS, len(at))
    return beat_maps(torch.from_numpy(grid.position(at)).float(), grid.bar)


def _band_windows(
    songs: BandSongs,
    vectors: Vectors,
    count: int,
    frames: int,
    rng: np.random.Generator,
    *,
    plain: bool,
) -> Windows:
    """Windows of songs that are there on bands only."""
    known, places = songs.windows(count, PAIR * frames, rng, plain=plain)
    at, said, beats = np.arange(frames, dtype=np.float64) * (PAIR * HOP / RATE), [], []
    for place in places:
        beats.append(_beats(songs.grid(place), at, rng, plain=plain))
        which = 1.0 if plain else rng.random()
        if which < DROP:
            said.append(torch.zeros(VECTOR))
        elif which < DROP + HEARD:
            said.append(songs.vector(place, PAIR * frames))
        else:
            texts = songs.rows[place[0]]["captions"]
            said.append(vectors.read(texts[0 if plain else int(rng.integers(len(texts)))]))
    return Windows(known, torch.stack(said), torch.stack(beats))


def noise_levels(count: int, told: Tensor, g: torch.Generator) -> Tensor:
    """Noise levels [B, 4]: log-normal and stratified over the batch, 0 for tracks that are known;
    where the mixture is told [B] none is.
    """
    u = (torch.arange(count) + torch.rand(count, generator=g)) / count
    log_sigma = MEAN + DEVIATION * torch.special.ndtri(u.clamp(1e-4, 1 - 1e-4))
    sigma = log_sigma.exp()[torch.randperm(count, generator=g)][:, None].expand(-1, STEMS).clone()
    which = torch.randint(1, 2**STEMS - 1, (count,), generator=g)
    known = (which[:, None] >> torch.arange(STEMS)) & 1 == 1
    some = (torch.rand(count, generator=g) < KNOWN) & ~told
    out: Tensor = sigma.masked_fill(known & some[:, None], 0.0)
    return out


def loss(
    net: MultiTrackNetwork,
    masks: StemMasks | None,
    drawn: Windows,
    sigma: Tensor,
    told: Tensor,
    g: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """Weighted error of D over the unknown tracks at noise levels sigma [B, 4], and the mean error
    in dB of the corrected masks of those that are `told` [B] the mixture (0 when none is).
    """
    known = drawn.known
    x0 = net.white(to_levels(known.stems))
    sigma, told = sigma.to(x0.device), told.to(x0.device)
    x = x0 + sigma[:, :, None, None] * torch.randn(x0.shape, generator=g).to(x0.device)
    side = Told(drawn.vectors, beats=drawn.beats)
    if masks is not None:
        logits = masks.logits(known.levels)
        mixture = to_levels(known.power)
        side = Told(drawn.vectors, mixture, logits, drawn.beats)
    d, correction = _told(net, x, sigma, side, told)
    unknown = (sigma > 0)[:, :, None, None]
    weight = torch.where(sigma > 0, 1 / sigma.clamp_min(1e-3).square() + 1, 0.0)[:, :, None, None]
    squared = ((d - x0).square() * weight).mean((2, 3), keepdim=True)
    error = squared.sum() / unknown.sum().clamp_min(1)
    if side.logits is None or not bool(told.any()):
        return error, torch.zeros((), device=x0.device)
    shares = refined(side.logits[told], correction[told]).softmax(1)
    return error, errors_db(shares, _those(known, told)).mean()


def _told(
    net: MultiTrackNetwork, x: Tensor, sigma: Tensor, side: Told, told: Tensor
) -> tuple[Tensor, Tensor]:
    """Both answers [B, 4, 128, L], each window told the mixture or not."""
    if side.mixture is None or side.logits is None or side.beats is None:
        out: tuple[Tensor, Tensor] = net(x, sigma, side)
        return out
    d, correction = torch.empty_like(x), torch.zeros_like(x)
    for chosen, one in (
        (told, Told(side.vector[told], side.mixture[told], side.logits[told])),  # of no beats
        (~told, Told(side.vector[~told], beats=side.beats[~told])),
    ):
        if bool(chosen.any()):
            d[chosen], correction[chosen] = net(x[chosen], sigma[chosen], one)
    return d, correction


def _those(known: Mixtures, chosen: Tensor) -> Mixtures:
    return Mixtures(
        known.levels[chosen],
        known.stems[chosen],
        known.cross[chosen],
        known.power[chosen],
        known.first,
    )


@torch.no_grad()
def held_back(
    net: MultiTrackNetwork,
    masks: StemMasks | None,
    held: Songs | BandSongs,
    vectors: Vectors,
    device: str = "cpu",
) -> tuple[list[float], float, float]:
    """The loss of D at each of `LEVELS` with half the tracks known, and the errors in dB of the
    masks before and after correction, on the same held-back windows and noise each time.
    """
    g, rng = torch.Generator().manual_seed(0), np.random.default_rng(0)
    rows, before, after = [], [], []
    for _ in range(CHECKED // 8):
        drawn = windows(held, vectors, 8, 128, rng, plain=True).to(device)
        none, every = torch.zeros(8, dtype=torch.bool), torch.ones(8, dtype=torch.bool)
        pattern = noise_levels(8, none, g) > 0
        errors = (loss(net, None, drawn, level * pattern, none, g)[0] for level in LEVELS)
        rows.append([float(error) for error in errors])
        if masks is not None:
            sigma = torch.full((8, STEMS), LEVELS[-1])
            after.append(float(loss(net, masks, drawn, sigma, every, g)[1]))
            shares = masks.logits(drawn.known.levels).softmax(1)
            before.append(float(errors_db(shares, drawn.known).mean()))
    each = torch.tensor(rows).mean(0).tolist()
    one, two = (sum(x) / len(x) if x else math.nan for x in (before, after))
    return each, one, two


def measure(songs: Songs | BandSongs, net: MultiTrackNetwork, count: int = 96) -> None:
    """Set mean and deviation of each band of each track, where it sounds and where it does not."""
    rng = np.random.default_rng(0)
    levels = []
    for _ in range(count // 8):
        if isinstance(songs, BandSongs):
            known, _ = songs.windows(8, 256, rng, plain=True)
            levels.append(to_levels(known.stems))
            continue
        audio = torch.stack(
            [torch.as_tensor(songs.window(rng, 255 * HOP, plain=True)[0]) for _ in range(8)]
        )
        audio = audio * gain_to_level(audio.sum(1))[..., None]
        levels.append(to_levels(mixtures(audio).stems))
    every = torch.cat(levels).permute(1, 2, 0, 3).reshape(STEMS, BANDS, -1)
    net.mean.copy_(every.mean(-1))
    net.deviation.copy_(every.std(-1).clamp_min(0.2))


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("runs/stems"))
    parser.add_argument("--out", type=Path, default=Path("runs/multi-track"))
    parser.add_argument("--masks", type=Path, help="weights of sds.train.stem_masks")
    parser.add_argument("--batch", type=int, default=12)
    add_bands(parser)
    add_options(parser, rate=1e-3, ema=0.998, check=100, device=True)
    return parser.parse_args(given)


def main() -> None:
    """Train, with a checkpoint every three minutes."""
    args = arguments()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    songs, held = songs_of(args)
    torch.manual_seed(0)
    net, vectors, masks = MultiTrackNetwork(), Vectors(load_scorer(SEARCH_SCORER)), None
    if args.masks:
        network = StemMaskNetwork()
        fill(network, read_tensors(args.masks), args.masks)
        masks = StemMasks(network)
    if not Checkpoint(args.out).exists:
        measure(songs, net)
    train(args, net, masks, vectors, songs, held)


def train(
    args: argparse.Namespace,
    net: MultiTrackNetwork,
    masks: StemMasks | None,
    vectors: Vectors,
    songs: Songs | BandSongs,
    held: Songs | BandSongs,
) -> None:
    """Train until --minutes or --steps have passed, from the checkpoint in `args.out` on."""
    net.to(args.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    if masks is not None:
        masks.network.to(args.device)
    if masks is not None and Checkpoint(args.out).exists and not (args.out / "told").exists():
        (args.out / BEST).unlink(missing_ok=True)  # its loss was another
        (args.out / "told").touch()
    run = Run(net, args)
    g, rng = torch.Generator().manual_seed(run.step), np.random.default_rng(run.step)

    def lowered(step: int) -> tuple[Tensor, Sequence[Tensor]]:
        frames = int(rng.choice(WINDOWS))
        count = max(4, args.batch * 128 // frames)
        told = torch.rand(count, generator=g) < (TOLD if masks is not None else 0.0)
        drawn = windows(songs, vectors, count, frames, rng).to(args.device)
        errors = loss(net, masks, drawn, noise_levels(count, told, g), told, g)
        return errors[0] + MASK_WEIGHT * errors[1], errors

    def check(mean: MultiTrackNetwork) -> tuple[float, str]:
        refresh(songs, held)
        if masks is not None:  # they may be in training
            fill(masks.network, read_tensors(args.masks), args.masks)
        each, before, after = held_back(mean, masks, held, vectors, args.device)
        held_loss = sum(each) / len(each) + (0.0 if masks is None else MASK_WEIGHT * after)
        levels = " ".join(f"{x:.3f}" for x in each)
        return held_loss, f"({levels}), masks {before:.2f} -> {after:.2f} dB"

    run.until_done(lowered, check)


if __name__ == "__main__":
    torch.set_flush_denormal(True)
    main()
