"""What the search scorer is trained on: band powers of every clip at several speeds, its sentences.

    python -m sds.train.search_data --data runs/corpus --out runs/search

Spectra and sentences are computed once, so that a step of `sds.train.search` is the towers alone:
balance and noise are laid on the powers. Beside them what a teacher hears, the features of
`sds.similarity.trunk`: of the beginnings of the recordings, and of patches of the shipped banks,
which nobody has captioned.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional as F

from sds.priors.sentence_encoder import encode_sentences
from sds.similarity.trunk import PEAK, STRIDE, Trunk, load_trunk
from sds.similarity.two_tower import (
    HOP,
    MELS,
    N_FFT,
    RATE,
    SEARCH_SCORER,
    Towers,
    levels,
    load_scorer,
)
from sds.train.bank import COUNTS, bank_sounds
from sds.train.data import Corpus
from sds.train.latents import RECORDINGS

log = logging.getLogger(__name__)
SPLIT = frozenset({"evaluation_scorer"})
SPEEDS = (0.87, 1.0, 1.15)  # pitch and length with them
SECONDS = 10.0  # of a clip that are kept
FAINT = 1e-12  # power of a band of silence, below what 16 bits can hold
HEARD = 2.3  # seconds of a clip, its first, that the teacher hears
PATCHES = 400  # of each bank, its last
SHORTEST, LONGEST = 0.5, 3.0  # seconds of a piece
VIEWS = 4  # of each clip
BATCH = 16


def band_powers(audio: Tensor, mel: Tensor) -> Tensor:
    """Log10 powers [MELS, L] in half precision of audio [T], as the towers hear bands."""
    spectrum = torch.stft(
        F.pad(audio, (0, max(0, N_FFT - len(audio)))),
        N_FFT, HOP, window=torch.hann_window(N_FFT), return_complex=True,
    )  # fmt: skip
    return (mel @ (spectrum.real**2 + spectrum.imag**2)).clamp_min(FAINT).log10().half()


def at_speed(audio: Tensor, speed: float) -> Tensor:
    """Audio [T / speed] of audio [T], played faster or slower, pitch and all."""
    if speed == 1.0:
        return audio
    return F.interpolate(audio[None, None], size=max(1, int(len(audio) / speed)), mode="linear")[
        0, 0
    ]


@torch.no_grad()
def trunk_features(trunk: Trunk, audio: Tensor) -> Tensor:
    """Features [B, 1024] of audio [B, T] brought to the trunk's level: maxima and means over time,
    of frames that are not silent.
    """
    audio = audio * (PEAK / audio.abs().amax(1, keepdim=True).clamp_min(1e-9))
    frames = trunk.frames(trunk.levels(F.pad(audio, (0, max(0, STRIDE * 1024 - audio.shape[1])))))
    return torch.cat([frames.amax(1), frames.mean(1)], 1)


def write_powers(corpus: Corpus, out: Path) -> None:
    """powers.f16 (frames of MELS numbers, clip after clip) and its index [N, SPEEDS, 2]."""
    mel, index, at = Towers().mel, [], 0
    with (out / "powers.f16.tmp").open("wb") as file:
        for number, clip in enumerate(corpus.clips):
            audio = corpus.audio(clip, 0, min(clip.frames, int(SECONDS * RATE)))
            spans = []
            for speed in SPEEDS:
                frames = band_powers(at_speed(audio, speed), mel).T.contiguous().numpy()
                file.write(frames.tobytes())
                spans.append([at, len(frames)])
                at += len(frames)
            index.append(spans)
            if number % 1000 == 0:
                log.info("powers: %d of %d clips", number, len(corpus.clips))
    (out / "powers.f16.tmp").replace(out / "powers.f16")
    save_file({"spans": torch.tensor(index)}, out / "powers.safetensors")


def read_powers(out: Path) -> tuple[npt.NDArray[np.float16], list[list[list[int]]]]:
    """Frames [M, MELS] that `write_powers` wrote, and where each clip at each speed lies in them:
    its first frame and how many.
    """
    frames = np.memmap(out / "powers.f16", dtype=np.float16, mode="r").reshape(-1, MELS)
    return frames, load_file(out / "powers.safetensors")["spans"].tolist()


def crop_powers(
    frames: npt.NDArray[np.float16], spans: list[list[list[int]]], rng: np.random.Generator
) -> Tensor:
    """Band powers [B, MELS, L] of pieces of B clips, of one length, at speeds of their own.

    A clip that is shorter is followed by silence.
    """
    length = int(rng.uniform(SHORTEST, LONGEST) * RATE / HOP)
    out = np.full((len(spans), length, MELS), np.log10(FAINT), np.float32)
    for row, speeds in zip(out, spans, strict=True):
        start, count = speeds[rng.integers(len(speeds))]
        at = start + int(rng.integers(max(1, count - length + 1)))
        piece = frames[at : min(at + length, start + count)]
        row[: len(piece)] = piece
    return torch.from_numpy(10.0**out).transpose(1, 2)


def disturb(power: Tensor, rng: np.random.Generator) -> Tensor:
    """Log-mel levels [B, MELS, L] of band powers, with another balance and noise in each."""
    size, bands, length = power.shape
    tilt = torch.from_numpy(rng.normal(0, 4, (size, 1))) * torch.linspace(-1, 1, bands)
    bumps = torch.from_numpy(rng.normal(0, 3, (size, 1, 8)))
    bumps = F.interpolate(bumps, bands, mode="linear", align_corners=True)[:, 0]
    power = power * (10 ** ((tilt + bumps) / 10)).float()[..., None]
    floor = -torch.from_numpy(rng.uniform(30, 90, (size, 1))).float()
    colour = torch.from_numpy(rng.normal(0, 6, (size, 1))).float() * torch.linspace(-1, 1, bands)
    noise = 10 ** ((floor + colour) / 10)[..., None] * power.amax((1, 2), keepdim=True)
    return levels(power + noise * -torch.rand(size, bands, length).clamp_min(1e-6).log())


@torch.no_grad()
def write_views(towers: Towers, out: Path) -> None:
    """views.safetensors: what the head is given [VIEWS, N, D] of pieces of the clips, each
    disturbed anew.
    """
    rng = np.random.default_rng(3)
    frames, spans = read_powers(out)
    views = []
    for view in range(VIEWS):
        some = (spans[i : i + 64] for i in range(0, len(spans), 64))
        pooled = [towers.pool(disturb(crop_powers(frames, each, rng), rng)).half() for each in some]
        views.append(torch.cat(pooled))
        log.info("views: %d of %d", view + 1, VIEWS)
    save_file({"views": torch.stack(views)}, out / "views.safetensors")


@torch.no_grad()
def write_patch_views(towers: Towers, out: Path) -> None:
    """patch_views.safetensors: what the head is given [VIEWS, P, D] of the patches."""
    rng = np.random.default_rng(4)
    powers = (10 ** load_file(out / "patches.safetensors")["powers"].float()).transpose(1, 2)
    some = [powers[i : i + 64] for i in range(0, len(powers), 64)]
    views = [
        torch.cat([towers.pool(disturb(each, rng)).half() for each in some]) for _ in range(VIEWS)
    ]
    save_file({"views": torch.stack(views)}, out / "patch_views.safetensors")


def write_sentences(corpus: Corpus, out: Path) -> None:
    """sentences.safetensors: vectors [M, 384] of the captions in sentences.json, in order."""
    texts = sorted({caption for clip in corpus.clips for caption in clip.captions}, key=len)
    rows = [encode_sentences(texts[i : i + 64]).half() for i in range(0, len(texts), 64)]
    (out / "sentences.json").write_text(json.dumps(texts), encoding="utf-8")
    save_file({"vectors": torch.cat(rows)}, out / "sentences.safetensors")
    log.info("sentences: %d", len(texts))


def write_patches(out: Path) -> None:
    """patches.safetensors: powers [N, L, MELS] of patches and the trunk's features [N, 1024]."""
    trunk, mel = load_trunk(), Towers().mel
    powers, features = [], []
    for name in sorted(COUNTS):
        for sound in bank_sounds(name, slice(-PATCHES, None)):
            powers += [band_powers(audio, mel).T for audio in sound]
            features.append(trunk_features(trunk, sound).half())
        log.info("patches: %d (%s)", len(powers), name)
    tensors = {"powers": torch.stack(powers), "features": torch.cat(features)}
    save_file(tensors, out / "patches.safetensors")


def write_features(corpus: Corpus, out: Path) -> None:
    """features.safetensors: the trunk's features [N, 1024] of the beginnings of recordings, and
    whether a clip is one [N].
    """
    trunk, rows = load_trunk(), torch.zeros(len(corpus.clips), 1024).half()
    real = np.array([clip.part == RECORDINGS for clip in corpus.clips])
    lengths = np.array([min(clip.frames, int(HEARD * RATE)) for clip in corpus.clips])
    order = lengths.argsort(stable=True)
    order = order[real[order]]
    for start in range(0, len(order), BATCH):
        some = order[start : start + BATCH]
        longest = int(lengths[some[-1]])
        sounds = torch.stack([corpus.audio(corpus.clips[i], 0, longest) for i in some])
        rows[some] = trunk_features(trunk, sounds).half()
        if start % (32 * BATCH) == 0:
            log.info("features: %d of %d recordings", start, len(order))
    save_file({"features": rows, "heard": torch.from_numpy(real)}, out / "features.safetensors")


def main() -> None:
    """Write what is not there yet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("runs/corpus"))
    parser.add_argument("--out", type=Path, default=Path("runs/search"))
    parser.add_argument("--begin", type=Path, default=SEARCH_SCORER, help="whose body is kept")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    args.out.mkdir(parents=True, exist_ok=True)
    corpus = Corpus(args.data, SPLIT)
    towers = load_scorer(args.begin).towers
    jobs: dict[str, Callable[[], None]] = {
        "powers": lambda: write_powers(corpus, args.out),
        "sentences": lambda: write_sentences(corpus, args.out),
        "features": lambda: write_features(corpus, args.out),
        "patches": lambda: write_patches(args.out),
        "views": lambda: write_views(towers, args.out),
        "patch_views": lambda: write_patch_views(towers, args.out),
    }
    for name, write in jobs.items():
        if not (args.out / f"{name}.safetensors").is_file():
            write()


if __name__ == "__main__":
    torch.set_flush_denormal(True)
    main()
