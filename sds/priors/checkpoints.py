"""Checkpoints of stable-audio-tools: find the files, read the weights.

Every failure is a `ModelUnavailable` whose message is one sentence.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import pickle
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sds.weights import weights_folder

WEIGHTS = weights_folder()
"""Where the shipped models live."""

CONFIG = "model_config.json"
PATTERNS = ("model.safetensors", "*.safetensors", "model.ckpt", "*.ckpt", "*.pt")
"""Weight files, the most wanted first."""

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


class ModelUnavailable(ValueError):
    """A model that cannot be loaded; the message says what is wrong and what to do."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A model on this machine: its name, what model_config.json says, and its weight file."""

    name: str
    config: dict[str, Any]
    weights: Path


def find(model: str) -> Checkpoint:
    """The checkpoint that "default", a folder, or a hub id ("owner/name") stands for."""
    if model == "default":
        folder = WEIGHTS / "default"
        if not folder.is_dir():
            raise ModelUnavailable(
                f"the default model is not in this installation (no folder {folder}); "
                "reinstall Scorewire, or name another model with --model DIR."
            )
        return _in_folder(folder, "default")
    path = Path(model).expanduser()
    if path.is_dir():
        return _in_folder(path, path.resolve().name)
    if path.exists():
        raise ModelUnavailable(
            f"the model {model} is a file; give the folder that holds {CONFIG} and the weights."
        )
    if HUB_ID.fullmatch(model) and not model.startswith(("./", "../")):
        return _on_hub(model)
    raise ModelUnavailable(
        f"there is no model {model!r}; give 'default', a folder with {CONFIG} and weights, or a "
        "hub id such as 'stabilityai/stable-audio-open-1.0'."
    )


def _in_folder(folder: Path, name: str) -> Checkpoint:
    if not (folder / CONFIG).is_file():
        raise ModelUnavailable(
            f"{folder} is not a model folder: it holds no {CONFIG} (a stable-audio-tools model is "
            f"{CONFIG} beside model.safetensors)."
        )
    for pattern in PATTERNS:
        files = sorted(path for path in folder.glob(pattern) if path.is_file())
        if len(files) > 1:
            raise ModelUnavailable(
                f"{folder} holds several weight files ({', '.join(p.name for p in files[:3])}); "
                "name the right one model.safetensors."
            )
        if files:
            return Checkpoint(name, _read_config(folder / CONFIG), files[0])
    raise ModelUnavailable(
        f"{folder} holds {CONFIG} but no weights; put model.safetensors (or model.ckpt) beside it."
    )


def _on_hub(name: str) -> Checkpoint:
    from huggingface_hub import errors

    try:
        config = _read_config(_fetch(name, CONFIG))
        weights = _fetch(name, "model.safetensors", "model.ckpt")
    except errors.GatedRepoError as error:
        raise ModelUnavailable(
            f"{name} is gated: accept the licence on its page on the hub, then log in with "
            "`hf auth login` and try again."
        ) from error
    except (errors.RepositoryNotFoundError, errors.HFValidationError) as error:
        raise ModelUnavailable(
            f"the hub shows no model {name}; check the spelling, and if it is private log in with "
            "`hf auth login`."
        ) from error
    except errors.RemoteEntryNotFoundError as error:
        raise ModelUnavailable(
            f"{name} is not a stable-audio-tools model: the hub has no {CONFIG} with "
            "model.safetensors or model.ckpt there."
        ) from error
    except OSError as error:  # not cached, and no network, offline mode, or a broken hub
        raise ModelUnavailable(
            f"{name} is not in the local cache and cannot be downloaded ({first_line(error)}); get "
            f"{CONFIG} and model.safetensors on a machine with a network and pass their folder "
            "with --model DIR."
        ) from error
    return Checkpoint(name, config, weights)


def _fetch(name: str, *files: str) -> Path:
    """The first of `files` in the local cache, or else on the hub: no network, no wait."""
    from huggingface_hub import errors, hf_hub_download

    for file in files:
        with contextlib.suppress(errors.LocalEntryNotFoundError):
            return Path(hf_hub_download(name, file, local_files_only=True))
    for file in files[:-1]:
        with contextlib.suppress(errors.RemoteEntryNotFoundError):
            return Path(hf_hub_download(name, file))
    return Path(hf_hub_download(name, files[-1]))


def _read_config(path: Path) -> dict[str, Any]:
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelUnavailable(f"{path} cannot be read as JSON ({first_line(error)}).") from error
    missing = [
        key
        for key in ("model_type", "model", "sample_rate", "sample_size")
        if not isinstance(config, dict) or key not in config
    ]
    if missing:
        raise ModelUnavailable(
            f"{path} is not a stable-audio-tools model description: it has no {missing[0]!r}."
        )
    for key in ("sample_rate", "sample_size"):
        if not (isinstance(config[key], int) and config[key] > 0):
            raise ModelUnavailable(
                f"{key} in {path} must be an integer above 0, got {config[key]!r}."
            )
    return dict(config)


def load_weights(model: nn.Module, path: Path) -> str:
    """Put the tensors of a weight file into `model`; first 16 hex digits of the file's SHA-256."""
    tensors = _read_weights(path)
    own = model.state_dict()
    wrong = [f"{key} is missing" for key in own if key not in tensors]
    wrong += [f"{key} is not in the model" for key in tensors if key not in own]
    wrong += [
        f"{key} is {_shape(tensors[key])}, not {_shape(value)}"
        for key, value in own.items()
        if key in tensors and tensors[key].shape != value.shape
    ]
    if wrong:
        raise ModelUnavailable(
            f"the weights in {path} do not fit {CONFIG}: {_few(wrong)} (a training checkpoint "
            "must be unwrapped first)."
        )
    model.load_state_dict(tensors)
    return digest(path)


def digest(path: Path) -> str:
    """Sixteen hex digits that tell the weights in a file from others."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def _read_weights(path: Path) -> dict[str, Tensor]:
    if path.suffix == ".safetensors":
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            return dict(load_file(path))
        except (SafetensorError, OSError) as error:
            raise ModelUnavailable(
                f"{path} is damaged or incomplete ({first_line(error)}); fetch it again."
            ) from error
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ModelUnavailable(
            f"{path} holds more than tensors, and a pickle can run any code, so it was not "
            "opened; convert it to model.safetensors."
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError, LookupError) as error:
        raise ModelUnavailable(
            f"{path} is damaged or incomplete ({first_line(error)}); fetch it again."
        ) from error
    state = loaded.get("state_dict", loaded) if isinstance(loaded, dict) else {}
    tensors = {key: value for key, value in state.items() if isinstance(value, Tensor)}
    if not tensors:
        raise ModelUnavailable(f"{path} holds no named tensors; give a model.safetensors instead.")
    return tensors


def _shape(tensor: Tensor) -> str:
    return "x".join(str(n) for n in tensor.shape) or "a number"


def _few(items: Sequence[str], limit: int = 3) -> str:
    more = len(items) - limit
    return ", ".join(items[:limit]) + (f" and {more} more" if more > 0 else "")


def first_line(error: BaseException) -> str:
    """The first sentence of an error's message, without its full stop."""
    text = (str(error).strip().splitlines() or [""])[0]
    return re.split(r"\.\s", text)[0].rstrip(".") or type(error).__name__
