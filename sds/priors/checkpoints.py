"""Checkpoints of stable-audio-tools: find the files, read the weights.

Every failure is a `ModelUnavailable` whose message is one sentence.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import pickle
import re
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib import request
from urllib.error import HTTPError, URLError

import torch
from torch import Tensor, nn

from presets.reading import read_json
from sds.weights import weights_folder

WEIGHTS = weights_folder()
"""Where the shipped models live."""

SHIPPED = ("default", "edm")
"""Models that come with Scorewire: magnitudes that a codec decodes, and complex spectrograms."""

CONFIG = "model_config.json"
MAX_CONFIG = 1 << 20  # bytes of one; that of Stable Audio Open has 5 kB
PATTERNS = ("model.safetensors", "*.safetensors", "model.ckpt", "*.ckpt", "*.pt")
"""Weight files, the most wanted first."""

SAMPLE_RATES = (8000, 192000)  # of a model, as of files
MAX_SECONDS = 3600  # that a model makes at once
WAIT = 10.0  # seconds for the hub to say anything
MAX_SIGMA = 1e6  # a noise level beyond which nothing of a sound is left in float32

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


class ModelUnavailable(ValueError):
    """A model that cannot be loaded; the message says what is wrong and what to do."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A model on this machine: its name, the content of its model_config.json, and its
    weight file.
    """

    name: str
    config: dict[str, Any]
    weights: Path


def find(model: str) -> Checkpoint:
    """Find the checkpoint of a shipped model, of a folder, or of a hub id ("owner/name"). Raises
    `ModelUnavailable`.
    """
    if model in SHIPPED:
        folder = WEIGHTS / model
        if not folder.is_dir():
            raise ModelUnavailable(
                f"the {model} model is not in this installation (no folder {folder}); "
                "reinstall Scorewire, or name another model with --model DIR."
            )
        return _in_folder(folder, model)
    path = Path(model).expanduser()
    if model and path.is_dir():  # "" would be the working directory
        return _in_folder(path, path.resolve().name)
    if model and path.exists():
        raise ModelUnavailable(
            f"the model {model} is a file; give the folder that holds {CONFIG} and the weights."
        )
    if HUB_ID.fullmatch(model) and not model.startswith(("./", "../")):
        return _on_hub(model)
    raise ModelUnavailable(
        f"there is no model {model!r}; give 'default', 'edm', a folder with {CONFIG} and weights, "
        "or a hub id such as 'stabilityai/stable-audio-open-1.0'."
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
        config = _read_config(fetch(name, CONFIG))
        weights = fetch(name, "model.safetensors", "model.ckpt")
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


def fetched(name: str, file: str) -> Path | None:
    """A file of a model of the hub, called `name`, in the local cache; None when it is not there.
    Asks nobody.
    """
    from huggingface_hub import errors, hf_hub_download

    with contextlib.suppress(errors.LocalEntryNotFoundError):
        return Path(hf_hub_download(name, file, local_files_only=True))
    return None


def is_here(model: str) -> bool:
    """Whether a model needs no download: it ships, is a folder, or is in the local cache of the
    hub, by stable-audio-tools' names of weights or diffusers' description. Asks nobody.
    """
    if model in SHIPPED or Path(model).expanduser().exists() or not HUB_ID.fullmatch(model):
        return True
    files = ("model.safetensors", "model.ckpt", "model_index.json")
    return any(fetched(model, file) is not None for file in files)


def fetch(name: str, *files: str) -> Path:
    """The first of `files` in the local cache, or else on the hub: no network, no wait.

    Raises `OSError` without a network, and what the hub's client raises.
    """
    from huggingface_hub import errors, hf_hub_download

    for file in files:
        if path := fetched(name, file):
            return path
    _knock()
    for file in files[:-1]:
        with contextlib.suppress(errors.RemoteEntryNotFoundError):
            return Path(hf_hub_download(name, file))
    return Path(hf_hub_download(name, files[-1]))


def _knock() -> None:
    """Raise `OSError` when nobody answers where the hub is: its client would try again and again,
    silently, for a minute.
    """
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return  # the client says so at once
    try:
        request.urlopen(request.Request(constants.ENDPOINT, method="HEAD"), timeout=WAIT).close()  # noqa: S310
    except HTTPError:
        return  # an answer
    except URLError as error:
        if not isinstance(error.reason, ssl.SSLError):  # there is someone
            raise OSError(f"the hub does not answer: {error.reason}") from error


def _read_config(path: Path) -> dict[str, Any]:
    try:
        config = read_json(path, MAX_CONFIG)
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
    _check_ranges(path, config)
    return dict(config)


def _check_ranges(path: Path, config: Mapping[str, Any]) -> None:
    """Refuse a model at a rate, of a length or with channels that no sound of ours has."""
    for key in ("sample_rate", "sample_size"):
        if not (isinstance(config[key], int) and config[key] > 0):
            raise ModelUnavailable(
                f"{key} in {path} must be an integer above 0, got {config[key]!r}."
            )
    rate, channels = config["sample_rate"], config.get("audio_channels", 2)
    low, high = SAMPLE_RATES
    if not low <= rate <= high:
        raise ModelUnavailable(f"sample_rate in {path} must be {low} to {high} Hz, got {rate}.")
    if config["sample_size"] > MAX_SECONDS * rate:
        raise ModelUnavailable(
            f"sample_size in {path} must be at most {MAX_SECONDS} s of samples, "
            f"{MAX_SECONDS * rate}, got {config['sample_size']}."
        )
    if channels not in (1, 2):
        raise ModelUnavailable(f"audio_channels in {path} must be 1 or 2, got {channels!r}.")
    sigmas = config.get("sigmas", (0.01, 100.0))
    try:
        smallest, largest = map(float, sigmas)
    except (TypeError, ValueError):
        smallest, largest = 0.0, 0.0
    if not 0.0 < smallest < largest <= MAX_SIGMA:
        raise ModelUnavailable(
            f"sigmas in {path} must be two rising numbers above 0 and up to {MAX_SIGMA:g}, "
            f"got {sigmas!r}."
        )


def load_weights(model: nn.Module, path: Path, device: str | torch.device = "cpu") -> str:
    """Give `model` the tensors of a weight file, copied to a device; first 16 hex digits of the
    file's SHA-256.

    Parameters and buffers are replaced, so the model may have been built without numbers
    (`sds.priors.blank_modules`); what the file does not hold stays where it is. Raises
    `ModelUnavailable`.
    """
    tensors = read_tensors(path)
    before = model.state_dict()
    if wrong := misfits(before, tensors):
        raise ModelUnavailable(
            f"the weights in {path} do not fit {CONFIG}: {wrong} (a training checkpoint "
            "must be unwrapped first)."
        )
    # The tensors of a file are its bytes in the page cache: a copy is what may be changed.
    own = {key: value.to(device, before[key].dtype, copy=True) for key, value in tensors.items()}
    model.load_state_dict(own, assign=True)
    return digest(path)


def misfits(own: Mapping[str, Tensor], tensors: Mapping[str, Tensor]) -> str:
    """Describe which tensors [...] by name differ from a network's `own` in name or shape; empty
    when none does.
    """
    wrong = [f"{key} is missing" for key in own if key not in tensors]
    wrong += [f"{key} is not in the model" for key in tensors if key not in own]
    wrong += [
        f"{key} is {_shape(tensors[key])}, not {_shape(value)}"
        for key, value in own.items()
        if key in tensors and tensors[key].shape != value.shape
    ]
    return _few(wrong)


def shipped_file(path: Path, made_by: str) -> Path:
    """The path of weights that ship. Raises `ModelUnavailable` with the script that makes them when
    they are not there.
    """
    if not path.is_file():
        raise ModelUnavailable(f"{path} is not there; {made_by} makes it.")
    return path


def fill(
    network: nn.Module, tensors: Mapping[str, Tensor], path: Path, name: str = "network"
) -> None:
    """Give a network, called by `name`, the tensors [...] that were read from `path`, in single
    precision, and freeze it.

    Raises `ModelUnavailable` unless they are all that it has, and nothing else.
    """
    if wrong := misfits(network.state_dict(), tensors):
        raise ModelUnavailable(f"the weights in {path} do not fit the {name}: {wrong}.")
    network.load_state_dict({key: value.float() for key, value in tensors.items()})
    network.eval().requires_grad_(False)


def digest(path: Path) -> str:
    """First 16 hex digits of the SHA-256 of a file, read once as long as it stays the same."""
    is_at = path.resolve()
    found = is_at.stat()
    return _digest(is_at, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


@functools.lru_cache(maxsize=256)
def _digest(path: Path, *_version: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read the tensors [...] by name of a weight file: safetensors, or a checkpoint of tensors
    only.

    Every file of weights comes in here. Raises `ModelUnavailable` with one sentence for a file that
    is damaged, and for a tensor with numbers that are not finite.
    """
    tensors = _safetensors(path) if path.suffix == ".safetensors" else _checkpoint(path)
    check_finite(path, tensors)
    return tensors


def read_metadata(path: Path) -> dict[str, str]:
    """Read the metadata of a safetensors file, strings by name; raises as `read_tensors` for a
    damaged one.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            return dict(file.metadata() or {})
    except (SafetensorError, OSError) as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> ModelUnavailable:
    return ModelUnavailable(
        f"{path} is damaged or incomplete ({first_line(error)}); fetch it again."
    )


def check_finite(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Check that tensors [...] by name are finite. Raises `ModelUnavailable` naming the file and
    the tensor that is not.
    """
    for name, tensor in tensors.items():
        bad = int((~torch.isfinite(tensor)).sum())
        if bad:
            raise ModelUnavailable(
                f"{path} is broken: {bad} of the {tensor.numel()} numbers of {name} are not "
                "finite; fetch or train it again."
            )


def _safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return dict(load_file(path))
    except FileNotFoundError:
        raise
    except (SafetensorError, OSError) as error:
        raise _damaged(path, error) from error


def _checkpoint(path: Path) -> dict[str, Tensor]:
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ModelUnavailable(
            f"{path} holds more than tensors, and a pickle can run any code, so it was not "
            "opened; convert it to model.safetensors."
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError, LookupError) as error:
        raise _damaged(path, error) from error
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
