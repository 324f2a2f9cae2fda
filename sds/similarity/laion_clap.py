"""LAION-CLAP as a scorer, through `transformers` (Wu et al. 2023, arXiv 2211.06687).

Audio is prepared as for the CLAP score of stable-audio-metrics: mono, 48 kHz, peak at -1 dB, a
round trip through int16. What CLAP leaves to chance is fixed here. It embeds 10 s, and of longer
audio random pieces: here windows of 10 s are embedded and averaged. Of a batch of short clips a
fused checkpoint fuses one, drawn at random: here every window is embedded alone.

Usual checkpoints: laion/larger_clap_general, laion/larger_clap_music, and laion/clap-htsat-fused,
by LAION's account the 630k-audioset-fusion-best of the papers. Their pages say Apache-2.0; the
recordings they were trained on have many licences, some not named. None ships with Scorewire. A
checkpoint that a search has used flatters it: report with another one.
"""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor
from torch.nn import functional as F

from sds.priors.checkpoints import HUB_ID, ModelUnavailable, check_finite, digest, first_line
from sds.priors.quiet_import import BUILD_ERRORS, quiet
from sds.signal.audio_files import mono, resample
from sds.signal.overlap_add import spans

PEAK = 10 ** (-1 / 20)
TOKENS = 77  # the longest text in LAION's training
NEEDED = ("config.json", "tokenizer.json", "model.safetensors")
INDICES = ("position_ids", "token_type_ids", "relative_position_index")
"""Buffers that follow from the config; older checkpoints lack some, or bring others."""


def prepare(audio: Tensor, rate: int, to: int) -> Tensor:
    """Audio [B, C, T] at `rate` -> mono [B, T'] at `to`: peaks at -1 dB, int16 steps, on the CPU.

    Silence stays silence.
    """
    signal = resample(mono(audio.cpu().float()), rate, to)
    peak = signal.abs().amax(-1, keepdim=True)
    signal = signal * torch.where(peak > 0, PEAK / peak, 0.0)
    return (signal * 32767).trunc() / 32767  # LAION's conversion cuts, it does not round


class LaionClapScorer:
    """A ClapModel with its feature extractor and tokenizer, with the methods of
    `sds.similarity.two_tower.TwoTowerScorer`.
    """

    def __init__(
        self, model: Any, extractor: Any, tokenizer: Any, name: str, *, model_hash: str = ""
    ) -> None:
        self.model = model.eval().requires_grad_(False)
        self.extractor = extractor
        self.tokenizer = tokenizer
        self.name, self.model_hash = name, model_hash

    @torch.no_grad()
    def hear(self, audio: Tensor, rate: int) -> Tensor:
        """Unit vectors [B, dim] of audio [B, C, T] at `rate` Hz."""
        mono = prepare(audio, rate, self.extractor.sampling_rate)
        windows = spans(mono.shape[-1], self.extractor.nb_max_samples, overlap=0.0)
        vectors = [torch.stack([self._hear(clip[a:b]) for a, b in windows]) for clip in mono]
        return F.normalize(torch.stack(vectors).mean(1), dim=1)  # [B, windows, dim] -> [B, dim]

    def _hear(self, window: Tensor) -> Tensor:
        """Unit vector [dim] of 10 s or less [T]."""
        features = self.extractor(
            window.numpy(), sampling_rate=self.extractor.sampling_rate, return_tensors="pt"
        )
        vector: Tensor = self.model.get_audio_features(**features).pooler_output[0]
        return vector

    @torch.no_grad()
    def similarity(self, audio: Tensor, rate: int, prompts: Sequence[str]) -> Tensor:
        """Cosine [B, K] of audio [B, C, T] with each of K prompts; -1..1, higher is closer."""
        return self.hear(audio, rate) @ self.read(prompts).T

    @torch.no_grad()
    def read(self, prompts: Sequence[str]) -> Tensor:
        """Unit vectors [K, dim] of K prompts."""
        tokens = self.tokenizer(
            list(prompts), padding=True, truncation=True, max_length=TOKENS, return_tensors="pt"
        )
        read: Tensor = self.model.get_text_features(
            tokens["input_ids"], attention_mask=tokens["attention_mask"]
        ).pooler_output
        return read


def load_clap(name: str) -> LaionClapScorer:
    """Load the CLAP in a folder, or of a hub id: "owner/name", or "owner/name@revision".

    Only safetensors are read, no pickle: where the main revision has nothing else, name another.
    Nothing is downloaded that is in the hub's local cache. Raises `ModelUnavailable`: one sentence
    that says what to do.
    """
    path = Path(name).expanduser()
    folder = path if name and path.is_dir() else _on_hub(name)
    if missing := _missing(folder):
        raise ModelUnavailable(
            f"{name} has no {missing}; give a folder or a hub revision with {', '.join(NEEDED)}, "
            "such as laion/clap-htsat-fused@refs/pr/3 (a pickle is not opened)."
        )
    try:
        with _silent():
            from transformers import ClapModel, ClapProcessor

            loaded: Any = ClapModel.from_pretrained(
                folder,
                use_safetensors=True,
                local_files_only=True,
                dtype=torch.float32,
                ignore_mismatched_sizes=True,
                output_loading_info=True,
            )
            processor: Any = ClapProcessor.from_pretrained(folder, local_files_only=True)
    except (*BUILD_ERRORS, OSError, SafetensorError) as error:
        raise ModelUnavailable(
            f"{name} cannot be loaded as a CLAP ({type(error).__name__}: {first_line(error)}); "
            "fetch it again, or name another."
        ) from error
    model, report = loaded
    wrong = sorted(
        {key for key in report["missing_keys"] if not key.endswith(INDICES)}
        | {key for key, *_ in report["mismatched_keys"]}
    )
    if wrong:
        raise ModelUnavailable(
            f"the weights of {name} do not fit a CLAP of its config.json: {len(wrong)} tensors are "
            f"missing or of another shape, the first is {wrong[0]}."
        )
    check_finite(folder / "model.safetensors", model.state_dict())
    label = path.resolve().name if path.is_dir() else name
    hashed = digest(folder / "model.safetensors")
    extractor, tokenizer = processor.feature_extractor, processor.tokenizer
    return LaionClapScorer(model, extractor, tokenizer, label, model_hash=hashed)


def _missing(folder: Path) -> str | None:
    return next((file for file in NEEDED if not (folder / file).is_file()), None)


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """`quiet`, and without the progress bars and load reports of transformers."""
    logger = logging.getLogger("transformers")
    with quiet():
        import transformers  # noqa: F401  (its import sets the level)

        level = logger.level
        logger.setLevel(logging.CRITICAL)
        try:
            with contextlib.redirect_stderr(io.StringIO()):
                yield
        finally:
            logger.setLevel(level)


def _on_hub(name: str) -> Path:
    repo, _, revision = name.partition("@")
    if not HUB_ID.fullmatch(repo):
        raise ModelUnavailable(
            f"there is no CLAP {name!r}; give a folder with {', '.join(NEEDED)}, or a hub id such "
            "as 'laion/larger_clap_general'."
        )
    from huggingface_hub import errors, snapshot_download

    def fetch(*, local: bool) -> Path:
        return Path(
            snapshot_download(
                repo,
                revision=revision or None,
                allow_patterns=["*.json", "merges.txt", "model.safetensors"],
                local_files_only=local,
            )
        )

    with contextlib.suppress(errors.LocalEntryNotFoundError):
        if not _missing(folder := fetch(local=True)):
            return folder
    try:
        return fetch(local=False)
    except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError) as error:
        raise ModelUnavailable(
            f"the hub shows no model {name}; check the spelling, and if it is gated or private "
            "accept its licence there and log in with `hf auth login`."
        ) from error
    except (OSError, errors.HFValidationError) as error:
        raise ModelUnavailable(
            f"{name} is not in the local cache and cannot be downloaded ({first_line(error)}); get "
            "it with `hf download` on a machine with a network and give its folder."
        ) from error
