"""What the training scripts share: learning-rate curve, moving average, checkpoints."""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from presets.reading import read_json
from sds.priors.checkpoints import read_tensors

log = logging.getLogger(__name__)
CODEC = "pretransform."  # prefix of the codec's tensors in a model


def cosine(step: int, *, total: int, warm: int, peak: float, floor: float = 0.02) -> float:
    """Learning rate: linear warm-up over `warm` steps, then a cosine down to `floor * peak`."""
    if step < warm:
        return peak * (step + 1) / warm
    x = min(1.0, (step - warm) / max(1, total - warm))
    return peak * (floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * x)))


@torch.no_grad()
def average_into(mean: nn.Module, model: nn.Module, decay: float) -> None:
    """Exponential moving average of parameters, in place."""
    for slow, fast in zip(mean.parameters(), model.parameters(), strict=True):
        slow.lerp_(fast, 1.0 - decay)


def flat_optimizer(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Flatten the optimiser's moments to tensors [...] by name, so that they fit in a safetensors
    file.
    """
    state = optimizer.state_dict()["state"]
    return {
        f"{index}.{key}": value if isinstance(value, Tensor) else torch.tensor(float(value))
        for index, values in state.items()
        for key, value in values.items()
    }


def restore_optimizer(optimizer: torch.optim.Optimizer, flat: dict[str, Tensor]) -> None:
    """Restore the moments [...] that `flat_optimizer` flattened; its inverse."""
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in flat.items():
        index, key = name.split(".", 1)
        state.setdefault(int(index), {})[key] = value
    whole = optimizer.state_dict()
    whole["state"] = state
    optimizer.load_state_dict(whole)


def half(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Convert float32 tensors [...] to float16; the rest (counters) stay as they are."""
    return {
        k: (v.detach().half() if v.dtype == torch.float32 else v).contiguous()
        for k, v in tensors.items()
    }


def write_weights(
    tensors: dict[str, Tensor], path: Path, metadata: dict[str, str] | None = None
) -> None:
    """Save tensors [...] atomically, readable by all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    save_file(tensors, partial, metadata=metadata)
    partial.chmod(0o644)
    partial.replace(path)
    log.info("%s: %.1f MB", path, path.stat().st_size / 1e6)


def package_folder(name: str) -> Path:
    """The folder of an installed package, which is not imported. Raises `ModuleNotFoundError` when
    it is not there.
    """
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"the package {name.replace('_', '-')} must be installed")
    return Path(spec.origin).parent


class Checkpoint:
    """A folder with the last state of a run: model, average, optimiser, step. Safetensors only."""

    def __init__(self, folder: Path, every_seconds: float = 180.0) -> None:
        self.folder = folder
        self.every = every_seconds
        self._last = time.monotonic()
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def exists(self) -> bool:
        """Whether there is a run to resume."""
        return (self.folder / "state.json").is_file()

    def due(self) -> bool:
        """Whether enough time has passed since the last save."""
        return time.monotonic() - self._last >= self.every

    def save(
        self,
        step: int,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        mean: nn.Module | None = None,
    ) -> None:
        """Write all, each file atomically, the step last."""
        self._write("model", dict(model.state_dict()))
        if mean is not None:
            self._write("mean", dict(mean.state_dict()))
        self._write("optimizer", flat_optimizer(optimizer))
        partial = self.folder / "state.json.partial"
        partial.write_text(json.dumps({"step": step}))
        partial.replace(self.folder / "state.json")
        self._last = time.monotonic()

    def load(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        mean: nn.Module | None = None,
    ) -> int:
        """Restore what `save` wrote; returns the step."""
        model.load_state_dict(read_tensors(self.folder / "model.safetensors"))
        if mean is not None:
            mean.load_state_dict(read_tensors(self.folder / "mean.safetensors"))
        restore_optimizer(optimizer, read_tensors(self.folder / "optimizer.safetensors"))
        return int(read_json(self.folder / "state.json")["step"])

    def _write(self, name: str, tensors: dict[str, Tensor]) -> None:
        partial = self.folder / f"{name}.partial"
        save_file({k: v.detach().contiguous().clone() for k, v in tensors.items()}, partial)
        partial.replace(self.folder / f"{name}.safetensors")
