"""What the search scorer is trained on: band powers of every clip at several speeds, its sentences.

    python -m sds.train.search_data --data runs/corpus --out runs/search

Spectra and sentences are computed once, so that a step of `sds.train.search` is the towers alone:
balance and noise are laid on the powers. Beside them what a teacher hears, the features of
`sds.similarity.trunk`: of the beginnings of the clips, and of patches of the shipped banks, which
nobody has captioned.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional as F

from presets import Note
from renderers import RENDERERS
from sds.distillation.patch_bank import FOLDER as BANK
from sds.priors.sentence_encoder import encode_sentences
from sds.similarity.trunk import PEAK, STRIDE, Trunk, load_trunk
from sds.similarity.two_tower import HOP, N_FFT, RATE, Towers
from sds.train.data import Corpus

log = logging.getLogger(__name__)
SPLIT = frozenset({"evaluation_scorer"})
SPEEDS = (0.87, 1.0, 1.15)  # pitch and length with them
SECONDS = 10.0  # of a clip that are kept
FAINT = 1e-12  # power of a band of silence, below what 16 bits can hold
HEARD = 2.3  # seconds of a clip, its first, that the teacher hears
PATCHES, PATCH_SECONDS = 1600, 1.5  # of each bank
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


def write_sentences(corpus: Corpus, out: Path) -> None:
    """sentences.safetensors: vectors [M, 384] of the captions in sentences.json, in order."""
    texts = sorted({caption for clip in corpus.clips for caption in clip.captions}, key=len)
    rows = [encode_sentences(texts[i : i + 64]).half() for i in range(0, len(texts), 64)]
    (out / "sentences.json").write_text(json.dumps(texts), encoding="utf-8")
    save_file({"vectors": torch.cat(rows)}, out / "sentences.safetensors")
    log.info("sentences: %d", len(texts))


def _patches() -> Iterator[tuple[str, Tensor, Tensor]]:
    """Names of synths, u [B, P] and audio [B, T] of patches of their banks."""
    for name, renderer in RENDERERS.items():
        u = load_file(BANK / f"{name}.safetensors")["u"][-PATCHES:]
        for batch in u.split(BATCH):
            frames = round(PATCH_SECONDS * RATE)
            with torch.no_grad():
                sound = renderer.render(batch.double(), Note(60), RATE, frames)
            yield name, batch, sound.mean(1).float()


def write_patches(out: Path) -> None:
    """patches.safetensors: powers [N, L, MELS] of patches and the trunk's features [N, 1024]."""
    trunk, mel = load_trunk(), Towers().mel
    powers, features = [], []
    for name, _, sound in _patches():
        powers += [band_powers(audio, mel).T for audio in sound]
        features.append(trunk_features(trunk, sound).half())
        if len(powers) % (20 * BATCH) == 0:
            log.info("patches: %d (%s)", len(powers), name)
    tensors = {"powers": torch.stack(powers), "features": torch.cat(features)}
    save_file(tensors, out / "patches.safetensors")


def write_features(corpus: Corpus, out: Path) -> None:
    """features.safetensors: the trunk's features [N, 1024] of the clips' beginnings."""
    trunk, rows = load_trunk(), torch.zeros(len(corpus.clips), 1024).half()
    lengths = np.array([min(clip.frames, int(HEARD * RATE)) for clip in corpus.clips])
    order = lengths.argsort()
    for start in range(0, len(order), BATCH):
        some = order[start : start + BATCH]
        audio = torch.stack(
            [corpus.audio(corpus.clips[i], 0, int(lengths[some[-1]])) for i in some]
        )
        rows[some] = trunk_features(trunk, audio).half()
        if start % (64 * BATCH) == 0:
            log.info("features: %d of %d clips", start, len(order))
    save_file({"features": rows}, out / "features.safetensors")


def main() -> None:
    """Write what is not there yet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("runs/corpus"))
    parser.add_argument("--out", type=Path, default=Path("runs/search"))
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    args.out.mkdir(parents=True, exist_ok=True)
    corpus = Corpus(args.data, SPLIT)
    for name, write in (
        ("powers", lambda: write_powers(corpus, args.out)),
        ("sentences", lambda: write_sentences(corpus, args.out)),
        ("features", lambda: write_features(corpus, args.out)),
        ("patches", lambda: write_patches(args.out)),
    ):
        if not (args.out / f"{name}.safetensors").is_file():
            write()


if __name__ == "__main__":
    torch.set_flush_denormal(True)
    main()
