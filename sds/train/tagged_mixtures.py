"""Mixtures that the tagger learns from, heard by the trunk once and kept.

    python -m sds.train.tagged_mixtures --data runs/corpus --out runs/tagger-features

A mixture is FRAMES frames of 1 to 4 clips of different classes of the splits `prior` and
`evaluation_scorer`, at levels, speeds, tilts and in rooms drawn at random, over a noise floor.
Short clips sound once, or come again with gaps. What is kept is in shards of SHARD mixtures: the
trunk's frames (`sds.detection.band_frames`) and each clip's level against the mixture in each of
them, in half precision, with what clips they were. A shard that is there is not made again, so it
can be stopped at any time; shard k is the same on any machine.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from sds.detection.band_frames import FRAME, RATE, band_frames
from sds.similarity.trunk import Trunk, load_trunk
from sds.train.data import Clip, Corpus, class_weights
from sds.train.latents import RECORDINGS

log = logging.getLogger(__name__)
FRAMES = 11  # of the tagger: 2.04 s
FLOORS = 24  # noise floors to choose from
SHARD, AT_ONCE = 200, 10  # mixtures in a file; heard at once
SOUNDS = (0.25, 0.40, 0.22, 0.13)  # how often a mixture has 1, 2, 3 or 4 of them
MOST = len(SOUNDS)
LEVEL_DB = 8.0  # of a clip, at most over or under the mean
REAL = 4.0  # how often recordings are drawn, against made sounds
SPEED = (0.85, 1.18)
CHANGED, ROOM, AGAIN = 0.5, 0.25, 0.5  # how often the speed is changed, in a room, comes again
SILENT_DB = -60.0  # the lowest level against the mixture that is told from silence


@dataclass(frozen=True, slots=True)
class Heard:
    """A clip of a mixture: where it comes from, its class and its captions."""

    part: str
    label: str
    captions: tuple[str, ...]


class Mixer:
    """Draws clips of a corpus and mixes them to so many frames."""

    def __init__(self, corpus: Corpus, frames: int = FRAMES) -> None:
        self.corpus, self.size = corpus, frames * FRAME
        weights = class_weights(corpus.clips)
        weights *= [REAL if clip.part == RECORDINGS else 1.0 for clip in corpus.clips]
        self.weights = weights / weights.sum()
        self.floors = [noise(self.size, np.random.default_rng([k, 5])) for k in range(FLOORS)]

    def mixture(self, rng: np.random.Generator) -> tuple[Tensor, Tensor, list[Clip]]:
        """Draw a mixture [T], the levels in dB of its clips against it [MOST, N], SILENT_DB and
        less where there is none, and its clips.
        """
        clips: list[Clip] = []
        sounds: list[Tensor] = []
        count = 1 + int(rng.choice(MOST, p=SOUNDS))
        while len(clips) < count:
            clip = self.corpus.clips[rng.choice(len(self.weights), p=self.weights)]
            if clip.label in [other.label for other in clips]:
                continue
            sound = vary(self.corpus.crop(clip, min(clip.frames, self.size + RATE), rng), rng)
            power = float(sound.square().mean())
            if power < 1e-8:
                continue
            gain = 10 ** (rng.uniform(-LEVEL_DB, LEVEL_DB) / 20) / power**0.5
            clips.append(clip)
            sounds.append(place(gain * sound, self.size, rng))
        mixed = torch.stack(sounds)
        floor = 10 ** float(rng.uniform(-4.0, -1.5)) * self.floors[rng.integers(FLOORS)]
        return mixed.sum(0) + floor, levels(mixed, mixed.sum(0) + floor), clips


def vary(sound: Tensor, rng: np.random.Generator) -> Tensor:
    """A sound [T] at another speed, tilted and in a room, each of them now and then: [T']."""
    if rng.random() < CHANGED:
        size = max(FRAME, int(len(sound) / rng.uniform(*SPEED)))
        sound = F.interpolate(sound[None, None], size=size, mode="linear")[0, 0]
    if rng.random() < CHANGED:
        sound = sound + float(rng.uniform(-0.6, 0.6)) * F.pad(sound, (1, 0))[:-1]
    return reverberate(sound, rng) if rng.random() < ROOM else sound


def reverberate(sound: Tensor, rng: np.random.Generator) -> Tensor:
    """A sound [T] in a room whose response is noise that decays by 60 dB in 0.2 to 1.5 s: [T + the
    first third of it].
    """
    decay = float(rng.uniform(0.2, 1.5))
    size = int(decay * RATE / 3)
    time_s = torch.arange(size) / RATE
    room = torch.from_numpy(rng.standard_normal(size).astype(np.float32))
    room = room * 10 ** (-3 * time_s / decay)
    room = room / room.square().sum().sqrt() * float(rng.uniform(0.3, 1.2))
    room[0] = 1.0
    total = len(sound) + size
    fast = 1 << (total - 1).bit_length()
    wet: Tensor = torch.fft.irfft(torch.fft.rfft(sound, fast) * torch.fft.rfft(room, fast), fast)
    return wet[:total]


def place(sound: Tensor, size: int, rng: np.random.Generator) -> Tensor:
    """A sound [T] somewhere in [size], once or again and again with gaps; a longer one is cut."""
    if len(sound) >= size:
        start = int(rng.integers(0, len(sound) - size + 1))
        return sound[start : start + size]
    start = int(rng.integers(0, size - len(sound) + 1))
    if rng.random() < AGAIN:
        gap = int(rng.uniform(0.02, 1.0) * min(len(sound), RATE))
        sound = F.pad(sound, (0, gap)).repeat(-(-size // (len(sound) + gap)))
    cut = sound[: size - start]
    return F.pad(cut, (start, size - start - len(cut)))


def noise(size: int, rng: np.random.Generator) -> Tensor:
    """A noise floor [size] with the mean power 1, white to red."""
    white = torch.from_numpy(rng.standard_normal(size).astype(np.float32))
    spectrum = torch.fft.rfft(white)
    slope = float(rng.uniform(0.0, 1.0))
    spectrum = spectrum / (1 + torch.arange(len(spectrum)) * (1 / 200)) ** slope
    out: Tensor = torch.fft.irfft(spectrum, size)
    out = out / out.square().mean().sqrt()
    return out


def levels(sounds: Tensor, mixed: Tensor) -> Tensor:
    """Levels in dB [MOST, N] of sounds [K, N FRAME] against their mixture [N FRAME], frame by
    frame, at least SILENT_DB; where there is no sound, less.
    """
    power = sounds.reshape(len(sounds), -1, FRAME).square().mean(2)
    whole = mixed.reshape(-1, FRAME).square().mean(1)
    # a frame that is much quieter than the mixture's mean is silence, not what is in it
    against = power / torch.maximum(whole, 1e-4 * mixed.square().mean())
    table = torch.full((MOST, power.shape[1]), SILENT_DB - 20)
    table[: len(sounds)] = (10 * (against + 1e-12).log10()).clamp_min(SILENT_DB)
    return table


class LastMap(nn.Module):
    """The trunk's last map [B, 512, N', 12] of levels [B, L, 96]."""

    def __init__(self, trunk: Trunk) -> None:
        super().__init__()
        self.trunk = trunk

    def forward(self, levels: Tensor) -> Tensor:
        """That map of levels."""
        return self.trunk.maps(levels)[-1]


def fast_last_map() -> Callable[[Tensor], Tensor]:
    """`LastMap` traced and with its layers fused, for AT_ONCE mixtures: half the time."""
    traced = torch.jit.trace(  # type: ignore[no-untyped-call]
        LastMap(load_trunk()).eval(), load_trunk().levels(torch.zeros(AT_ONCE, FRAMES * FRAME))
    )
    fused: Callable[[Tensor], Tensor] = torch.jit.optimize_for_inference(torch.jit.freeze(traced))
    return fused


def make_shard(mixer: Mixer, last_map: Callable[[Tensor], Tensor], index: int, path: Path) -> None:
    """Write shard `index` to `path` and its clips beside it, the tensors last."""
    rng = np.random.default_rng([index, 11])
    frames, shares, rows = [], [], []
    for _ in range(SHARD // AT_ONCE):
        made = [mixer.mixture(rng) for _ in range(AT_ONCE)]
        audio = torch.stack([sound for sound, _, _ in made])
        frames.append(band_frames(load_trunk(), audio, last_map).half())
        shares += [table.half() for _, table, _ in made]
        rows += [[asdict(Heard(c.part, c.label, c.captions)) for c in clips] for *_, clips in made]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    path.with_suffix(".jsonl").write_text(lines, encoding="utf-8")
    tensors = {"frames": torch.cat(frames).contiguous(), "levels": torch.stack(shares)}
    save_file(tensors, path.with_suffix(".tmp"))
    os.replace(path.with_suffix(".tmp"), path)


def main() -> None:
    """Make the shards that are not there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("runs/corpus"))
    parser.add_argument("--out", type=Path, default=Path("runs/tagger-features"))
    parser.add_argument("--mixtures", type=int, default=10_000)
    parser.add_argument("--parts", nargs="*", help="of the corpus; all by default")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    splits = frozenset({"prior", "evaluation_scorer"})
    mixer = Mixer(Corpus(args.data, splits, frozenset(args.parts) if args.parts else None))
    last_map = fast_last_map()
    args.out.mkdir(parents=True, exist_ok=True)
    begin = time.monotonic()
    for index in range(-(-args.mixtures // SHARD)):
        path = args.out / f"shard-{index:03d}.safetensors"
        if not path.exists():
            make_shard(mixer, last_map, index, path)
            log.info("shard %d, %.0f s", index, time.monotonic() - begin)


if __name__ == "__main__":
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    main()
