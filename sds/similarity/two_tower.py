"""How well a sound matches a text: two towers, one for log-mel spectra, one for sentences.

Trained apart from the prior, on other clips (`sds.train.scorer`), with nothing learned in common:
its own mel front end, its own networks; only the frozen text features serve both. Those are word
vectors (`sds.priors.text_embedding`) or those of whole sentences (`sds.priors.sentence_encoder`):
the width of the file's text tower says which. The score is the cosine of the two embeddings, as
CLAP's is (Elizalde et al. 2022, arXiv 2206.04769).

Two are shipped. Searches maximise the one in SEARCH_SCORER, which therefore flatters what they
find; the one in FOLDER, the evaluation scorer, reports, and has chosen nothing of what the
scoreboard has. It has chosen one thing: which of the factory's prompts became presets
(`sds.train.factory`).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sds.priors.checkpoints import ModelUnavailable, digest, misfits, read_tensors
from sds.priors.sentence_encoder import WIDTH as SENTENCE
from sds.priors.sentence_encoder import encode_sentences
from sds.signal.audio_files import mono, resample
from sds.weights import weights_folder

RATE = 44100
N_FFT, HOP, MELS = 2048, 1024, 64
WINDOW = 3.0  # seconds heard at once
MIN_SECONDS = 0.5
COUNTER = "num_batches_tracked"  # of batch norms: training counts, nobody reads it
FOLDER = weights_folder("evaluation_scorer")
SEARCH_SCORER = weights_folder("search_scorer")


def log_mel(audio: Tensor, mel: Tensor) -> Tensor:
    """Log-mel levels [B, MELS, L] of audio [B, T] at RATE: dB relative to the loudest band, in
    -80..0, scaled to -1..1.
    """
    spectrum = torch.stft(
        F.pad(audio, (0, max(0, N_FFT - audio.shape[-1]))),
        N_FFT,
        HOP,
        window=torch.hann_window(N_FFT, device=audio.device),
        return_complex=True,
    )
    return levels(mel @ (spectrum.real**2 + spectrum.imag**2))


def levels(power: Tensor) -> Tensor:
    """Log-mel levels [B, MELS, L] of band powers [B, MELS, L], scaled as `log_mel` has it.

    The same at any level; silence is all one level.
    """
    db = 10.0 * torch.log10(power.clamp_min(torch.finfo(power.dtype).tiny))
    db = db - db.amax((1, 2), keepdim=True)
    return db.clamp_min(-80.0) / 40.0 + 1.0


def _conv(inside: int, outside: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inside, outside, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(outside),
        nn.ReLU(),
        nn.Conv2d(outside, outside, 3, padding=1, groups=outside, bias=False),
        nn.Conv2d(outside, outside, 1, bias=False),
        nn.BatchNorm2d(outside),
        nn.ReLU(),
    )


class Towers(nn.Module):
    """Audio [B, T] at 44.1 kHz and sentence vectors [B, D] into one space of unit vectors."""

    def __init__(self, text_dim: int = 128, dim: int = 128, width: int = 32) -> None:
        from torchaudio.functional import melscale_fbanks

        super().__init__()
        self.text_dim = text_dim
        mel = melscale_fbanks(
            N_FFT // 2 + 1, 30.0, 16000.0, MELS, RATE, norm="slaney", mel_scale="htk"
        ).T.contiguous()
        self.mel: Tensor
        self.register_buffer("mel", mel, persistent=False)
        widths = [1, width, 2 * width, 4 * width, 6 * width]
        self.body = nn.Sequential(*(_conv(a, b) for a, b in pairwise(widths)))
        flat = 6 * width * (MELS // 16)
        self.head = nn.Sequential(
            nn.Dropout(0.2), nn.Linear(2 * flat, 256), nn.ReLU(), nn.Linear(256, dim)
        )
        self.text = nn.Sequential(
            nn.Linear(text_dim, 256), nn.ReLU(), nn.Dropout(0.1), nn.Linear(256, dim)
        )
        self.log_scale = nn.Parameter(torch.tensor(2.5))

    def hear(self, audio: Tensor) -> Tensor:
        """Unit vectors [B, dim] of audio [B, T]."""
        return self.hear_levels(log_mel(audio, self.mel))

    def hear_levels(self, x: Tensor) -> Tensor:
        """Unit vectors [B, dim] of log-mel levels [B, MELS, L]."""
        return F.normalize(self.head(self.pool(x)), dim=1)

    def pool(self, x: Tensor) -> Tensor:
        """What the head is given [B, 2 C F], of log-mel levels [B, MELS, L]: means and maxima over
        time.
        """
        x = self.body(x[:, None]).flatten(1, 2)  # [B, C F, L]
        return torch.cat([x.mean(-1), x.amax(-1)], dim=1)

    def read(self, sentences: Tensor) -> Tensor:
        """Unit vectors [B, dim] of sentence vectors [B, D]."""
        return F.normalize(self.text(sentences), dim=1)


def text_features(prompts: Sequence[str], width: int) -> Tensor:
    """Text features [K, width] of K prompts, of the kind that has this width."""
    from sds.priors.text_embedding import sentences

    return encode_sentences(prompts) if width == SENTENCE else sentences(prompts)


class TwoTowerScorer:
    """A pair of trained towers as a scorer; longer audio is embedded in windows of WINDOW seconds,
    whose vectors are averaged.
    """

    def __init__(self, towers: Towers, name: str, *, model_hash: str = "") -> None:
        self.towers = towers.eval().requires_grad_(False)
        self.name, self.model_hash = name, model_hash

    @torch.no_grad()
    def hear(self, audio: Tensor, rate: int) -> Tensor:
        """Unit vectors [B, dim] of audio [B, C, T] at `rate` Hz."""
        signal = mono(audio)  # [B, T]
        if rate != RATE:
            signal = resample(signal, rate, RATE)
        signal = F.pad(signal, (0, max(0, int(MIN_SECONDS * RATE) - signal.shape[-1])))
        step = int(WINDOW * RATE)
        count = max(1, round(signal.shape[-1] / step))
        parts = [self.towers.hear(part) for part in signal.tensor_split(count, dim=-1)]
        return F.normalize(torch.stack(parts).mean(0), dim=1)

    @torch.no_grad()
    def read(self, prompts: Sequence[str]) -> Tensor:
        """Unit vectors [K, dim] of K prompts."""
        return self.towers.read(text_features(prompts, self.towers.text_dim))

    @torch.no_grad()
    def similarity(self, audio: Tensor, rate: int, prompts: Sequence[str]) -> Tensor:
        """Cosine [B, K] of audio [B, C, T] with each of K prompts; -1..1, higher is closer."""
        return self.hear(audio, rate) @ self.read(prompts).T


def load_scorer(folder: Path = FOLDER) -> TwoTowerScorer:
    """Load the scorer in `folder`.

    Raises `FileNotFoundError` when there is none, `ModelUnavailable` for weights that do not fit or
    are not finite.
    """
    path = folder / "model.safetensors"
    tensors = {k: v.float() for k, v in read_tensors(path).items() if not k.endswith(COUNTER)}
    text = tensors.get("text.0.weight")
    sentence = text is not None and text.shape[1:] == (SENTENCE,)
    towers = Towers(text_dim=SENTENCE) if sentence else Towers()
    own = {k: v for k, v in towers.state_dict().items() if not k.endswith(COUNTER)}
    if wrong := misfits(own, tensors):
        raise ModelUnavailable(f"the weights in {path} do not fit the network: {wrong}.")
    towers.load_state_dict(tensors, strict=False)
    return TwoTowerScorer(towers, folder.name, model_hash=digest(path))
