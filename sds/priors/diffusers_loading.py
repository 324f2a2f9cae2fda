"""Find and load models in the layout of diffusers: a folder with model_index.json, or a hub id.

Every part is loaded by a class that this file names, from safetensors only: nothing in the folder
can choose what code runs. Nothing here imports diffusers before it is needed. Every failure is a
`ModelUnavailable` whose message is one sentence.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from presets.reading import read_json
from sds.priors.checkpoints import (
    CONFIG,
    HUB_ID,
    MAX_CONFIG,
    SHIPPED,
    ModelUnavailable,
    check_finite,
    digest,
    fetch,
    first_line,
)
from sds.priors.diffusers_prior import DiffusersPrior
from sds.priors.half_precision import HALVES
from sds.priors.quiet_import import BUILD_ERRORS, quiet

INDEX = "model_index.json"

TOKENIZER, SCHEDULER = "transformers.AutoTokenizer", "scheduler"

PIPELINES: dict[str, dict[str, str]] = {
    "StableAudio3Pipeline": {
        "vae": "diffusers.AutoencoderSAME",
        "text_encoder": "transformers.T5GemmaEncoderModel",
        "tokenizer": TOKENIZER,
        "duration_embedder": "diffusers.StableAudio3DurationEmbedder",
        "transformer": "diffusers.StableAudio3DiTModel",
        "scheduler": SCHEDULER,
    },
    "StableAudioPipeline": {
        "vae": "diffusers.AutoencoderOobleck",
        "text_encoder": "transformers.T5EncoderModel",
        "projection_model": "diffusers.StableAudioProjectionModel",
        "tokenizer": TOKENIZER,
        "transformer": "diffusers.StableAudioDiTModel",
        "scheduler": SCHEDULER,
    },
    "AudioLDM2Pipeline": {
        "vae": "diffusers.AutoencoderKL",
        "text_encoder": "transformers.ClapModel",
        "text_encoder_2": "transformers.T5EncoderModel",
        "projection_model": "diffusers.AudioLDM2ProjectionModel",
        "language_model": "transformers.GPT2LMHeadModel",
        "tokenizer": "transformers.RobertaTokenizer",
        "tokenizer_2": "transformers.T5Tokenizer",
        "unet": "diffusers.AudioLDM2UNet2DConditionModel",
        "scheduler": SCHEDULER,
        "vocoder": "transformers.SpeechT5HifiGan",
    },
}
"""The parts of each pipeline that can be a prior, and the class of each."""

SCHEDULERS: dict[str, tuple[str, ...]] = {
    "StableAudio3Pipeline": ("FlowMatchEulerDiscreteScheduler",),
    "StableAudioPipeline": (
        "CosineDPMSolverMultistepScheduler",
        "EDMDPMSolverMultistepScheduler",
        "EDMEulerScheduler",
    ),
    "AudioLDM2Pipeline": (
        "DDIMScheduler",
        "DPMSolverMultistepScheduler",
        "EulerDiscreteScheduler",
        "EulerAncestralDiscreteScheduler",
        "LMSDiscreteScheduler",
        "PNDMScheduler",
        "UniPCMultistepScheduler",
    ),
}
"""Schedulers whose description says how the network's answer becomes D."""

CONVERT = (
    "convert it once with diffusers' scripts/convert_stable_audio_3_to_diffusers.py "
    "and pass the folder that it writes with --model DIR"
)


@dataclass(frozen=True, slots=True)
class DiffusersModel:
    """A model in the layout of diffusers: its name, the class of its pipeline, and its folder; None
    for a model of the hub.
    """

    name: str
    pipeline: str
    folder: Path | None

    def description(self, part: str, file: str = "config.json") -> dict[str, Any]:
        """The description of a part, from the folder, the cache, or the hub. Raises
        `ModelUnavailable`.
        """
        if self.folder is not None:
            return _read(self.folder / part / file)
        with _refused(self.name):
            path = fetch(self.name, f"{part}/{file}")
        return _read(path)


def find_diffusers(model: str) -> DiffusersModel | None:
    """The model in a folder or on the hub, if it is one in the layout of diffusers, else None.

    A folder with a model_config.json is stable-audio-tools', whatever lies beside it. On the hub,
    what is in the local cache is asked first. Raises `ModelUnavailable` for a pipeline that cannot
    be used, and for Stable Audio 3 in its makers' layout.
    """
    if model in SHIPPED or not model:
        return None
    path = Path(model).expanduser()
    if path.is_dir():
        if (path / CONFIG).is_file():
            _refuse_original(model, path / CONFIG)
            return None
        if not (path / INDEX).is_file():
            return None
        return DiffusersModel(path.resolve().name, _pipeline(path / INDEX), path)
    if path.exists() or not HUB_ID.fullmatch(model) or model.startswith(("./", "../")):
        return None
    config = _fetched(model, CONFIG)
    if config is not None:
        _refuse_original(model, config)
        return None
    index = _fetched(model, INDEX)
    return None if index is None else DiffusersModel(model, _pipeline(index), None)


def _fetched(name: str, file: str) -> Path | None:
    """A small file of a model of the hub; None where it is not to be had: `checkpoints.find` says
    why.
    """
    from huggingface_hub import errors

    with contextlib.suppress(OSError, errors.HFValidationError):
        return fetch(name, file)
    return None


@contextlib.contextmanager
def _refused(name: str) -> Iterator[None]:
    """Turn what the hub's client raises into one sentence."""
    from huggingface_hub import errors

    try:
        yield
    except errors.GatedRepoError as error:
        raise ModelUnavailable(
            f"{name} is gated: accept the licence on its page on the hub, then log in with "
            "`hf auth login` and try again."
        ) from error
    except OSError as error:
        raise ModelUnavailable(
            f"{name} is not whole in the local cache and cannot be downloaded "
            f"({first_line(error)}); get it on a machine with a network and pass its folder with "
            "--model DIR."
        ) from error


def _folder(model: DiffusersModel) -> Path:
    """The folder of a model, fetched where it is on the hub only: descriptions, safetensors and
    vocabularies of the parts that are needed.
    """
    if model.folder is not None:
        return model.folder
    from huggingface_hub import errors, snapshot_download

    wanted = [
        f"{part}/{pattern}"
        for part in PIPELINES[model.pipeline]
        for pattern in ("*.json", "*.safetensors", "*.txt", "*.model")
    ]
    with contextlib.suppress(errors.LocalEntryNotFoundError):
        path = Path(snapshot_download(model.name, allow_patterns=wanted, local_files_only=True))
        if not _lacking(model, path):
            return path
    with _refused(model.name):
        path = Path(snapshot_download(model.name, allow_patterns=wanted))
    if part := _lacking(model, path):
        raise ModelUnavailable(
            f"{model.name} is not whole: neither the local cache nor the hub has its {part} with "
            "weights as safetensors."
        )
    return path


def _lacking(model: DiffusersModel, path: Path) -> str:
    """The first part that was not fetched, or without its weights; "" when there is none."""
    for part in PIPELINES[model.pipeline]:
        described = (path / part / "config.json").is_file()
        if not (path / part).is_dir() or (
            described and not any((path / part).glob("*.safetensors"))
        ):
            return part
    return ""


def _read(path: Path) -> dict[str, Any]:
    try:
        content = read_json(path, MAX_CONFIG)
    except (OSError, ValueError) as error:
        raise ModelUnavailable(f"{path} cannot be read as JSON ({first_line(error)}).") from error
    return content if isinstance(content, dict) else {}


def _pipeline(index: Path) -> str:
    kind = str(_read(index).get("_class_name"))
    if kind not in PIPELINES:
        raise ModelUnavailable(
            f"{index} describes a {kind} of diffusers; one of {', '.join(PIPELINES)} is needed."
        )
    return kind


def _refuse_original(model: str, config: Path) -> None:
    """Stable Audio 3 in its makers' layout, before gigabytes are fetched."""
    content = _read(config)
    parts = content.get("model") if isinstance(content.get("model"), dict) else {}
    text = parts.get("conditioning") if isinstance(parts, Mapping) else None
    entries = text.get("configs") if isinstance(text, Mapping) else None
    for entry in entries if isinstance(entries, list) else ():
        if isinstance(entry, Mapping) and entry.get("type") == "t5gemma":
            raise ModelUnavailable(
                f"{model} is Stable Audio 3 in its makers' layout, which stable-audio-tools "
                f"0.0.19 does not know: {CONVERT}."
            )


def needed(model: DiffusersModel) -> None:
    """Import diffusers. Raises `ModelUnavailable` where it is not installed."""
    try:
        with quiet():
            importlib.import_module("diffusers")
    except ImportError as error:
        raise ModelUnavailable(
            f"{model.name} needs diffusers ({first_line(error)}); run `make install` in your "
            "clone of Scorewire, or install scorewire[diffusers]."
        ) from error


def load_diffusers(model: DiffusersModel, device: str) -> DiffusersPrior:
    """Load the prior of a model found by `find_diffusers`; the network in float16 on a GPU, as the
    examples of diffusers have it. Raises `ModelUnavailable`.
    """
    needed(model)
    folder, kinds = _folder(model), PIPELINES[model.pipeline]
    with silent(), torch.random.fork_rng(devices=[]):
        parts = {part: _part(model, folder / part, kind) for part, kind in kinds.items()}
        pipeline = assemble(model, parts)
    half = torch.device(device).type in HALVES
    return adapter_of(model.pipeline)(
        pipeline,
        name=model.name,
        model_hash=_hash(folder, kinds),
        device=device,
        precision=torch.float16 if half else torch.float32,
    )


@contextlib.contextmanager
def silent() -> Iterator[None]:
    """`quiet`, and neither library's progress bars and advice on stderr."""
    with quiet():
        from diffusers.utils import logging as ours
        from transformers.utils import logging as theirs

        libraries = [(ours, ours.get_verbosity()), (theirs, theirs.get_verbosity())]
        bars = [each for each, _ in libraries if each.is_progress_bar_enabled()]
        for each, _ in libraries:
            each.set_verbosity_error()
        for each in bars:
            each.disable_progress_bar()
        try:
            yield
        finally:
            for each, verbosity in libraries:
                each.set_verbosity(verbosity)
            for each in bars:
                each.enable_progress_bar()


def adapter_of(pipeline: str) -> Callable[..., DiffusersPrior]:
    """The adapter of a pipeline, one of `PIPELINES` by name."""
    if pipeline == "StableAudio3Pipeline":
        from sds.priors.diffusers_stable_audio_3 import StableAudio3Prior

        return StableAudio3Prior
    if pipeline == "StableAudioPipeline":
        from sds.priors.diffusers_stable_audio import DiffusersStableAudioPrior

        return DiffusersStableAudioPrior
    from sds.priors.diffusers_audioldm2 import AudioLDM2Prior

    return AudioLDM2Prior


def assemble(model: DiffusersModel, parts: dict[str, Any]) -> Any:
    """The pipeline of a model's parts by name."""
    import diffusers

    if model.pipeline == "AudioLDM2Pipeline":
        parts = {**parts, "feature_extractor": None}  # it only ranks clips
    return getattr(diffusers, model.pipeline)(**parts)


def _part(model: DiffusersModel, folder: Path, kind: str) -> Any:
    if not folder.is_dir():
        raise ModelUnavailable(
            f"the model {model.name} is incomplete: it has no folder {folder.name}."
        )
    try:
        if kind == SCHEDULER:
            return scheduler_of(model, folder)
        library, name = kind.split(".")
        made_by = getattr(importlib.import_module(library), name)
        if name.endswith("Tokenizer"):
            return made_by.from_pretrained(folder, local_files_only=True)
        return _weights(folder, made_by)
    except ModelUnavailable:
        raise
    except (*BUILD_ERRORS, OSError) as error:
        raise ModelUnavailable(
            f"{folder} cannot be loaded ({type(error).__name__}: {first_line(error)})."
        ) from error


def scheduler_of(model: DiffusersModel, folder: Path | None = None) -> Any:
    """The scheduler of a model, from its folder or from where its descriptions are. Raises
    `ModelUnavailable` for one that does not say how D is made.
    """
    import diffusers

    file = "scheduler_config.json"
    content = model.description(SCHEDULER, file) if folder is None else _read(folder / file)
    name, allowed = str(content.get("_class_name")), SCHEDULERS[model.pipeline]
    if name not in allowed:
        raise ModelUnavailable(
            f"the scheduler of {model.name} is {name}; it must be one of {', '.join(allowed)}."
        )
    return getattr(diffusers, name).from_config(content)


def _weights(folder: Path, made_by: Any) -> Any:
    """A part with weights, all of which are in its safetensors, and finite."""
    if not any(folder.glob("*.safetensors")):
        raise ModelUnavailable(
            f"{folder} holds no weights as safetensors; other files of weights can run any code "
            "and are not opened."
        )
    loaded, report = made_by.from_pretrained(
        folder, use_safetensors=True, local_files_only=True, output_loading_info=True
    )
    if wrong := [*report["missing_keys"], *report["mismatched_keys"]]:
        raise ModelUnavailable(
            f"the weights in {folder} do not fit its config.json: {wrong[0]} is missing or has "
            f"another shape ({len(wrong)} such tensors)."
        )
    check_finite(folder, loaded.state_dict())
    return loaded


def _hash(folder: Path, parts: Mapping[str, str]) -> str:
    """First 16 hex digits of a SHA-256 over the digests of all weight files, by name."""
    whole = hashlib.sha256()
    for part in sorted(parts):
        for path in sorted((folder / part).glob("*.safetensors")):
            whole.update(f"{part}/{path.name} {digest(path)}\n".encode())
    return whole.hexdigest()[:16]
