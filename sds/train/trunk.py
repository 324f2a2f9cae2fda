"""Make sds/weights/trunk: the embedding network of the package `aisfx`, batch norms folded.

    pip install --no-deps aisfx
    python -m sds.train.trunk

The package's checkpoint is a pickle: it is read once, here, by PyTorch's reader of weights alone,
with numpy's scalars allowed (it keeps class counts beside the weights). Its code is not imported.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy._core import multiarray
from torch import Tensor

from sds.similarity.trunk import FOLDER, WIDTHS
from sds.train.common import half, package_folder, write_weights

log = logging.getLogger(__name__)
EPSILON = 1e-5  # of its batch norms
ALLOWED: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = [
    multiarray.scalar, (multiarray.scalar, "numpy.core.multiarray.scalar"),  # as numpy 1 named it
    np.dtype, np.dtypes.Int64DType, np.dtypes.Float64DType,
]  # fmt: skip


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """The tensors of a checkpoint of `aisfx`, by name; of anything else in it only numbers."""
    with torch.serialization.safe_globals(ALLOWED):
        weights, _ = torch.load(path, map_location="cpu", weights_only=True)
    return dict(weights)


def fold(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights [out, in, 3, 3] and biases [out] of `sds.similarity.trunk.Trunk`.

    A batch norm after a convolution without bias is a factor and an offset a channel.
    """
    out = {}
    for block in range(len(WIDTHS)):
        for layer in range(2):
            prefix = f"embedding_net.conv_block{block + 1}."
            norm = f"{prefix}bn{layer + 1}."
            factor = weights[norm + "weight"] / (weights[norm + "running_var"] + EPSILON).sqrt()
            kernel = weights[f"{prefix}conv{layer + 1}.weight"]
            offset = weights[norm + "bias"] - factor * weights[norm + "running_mean"]
            out[f"blocks.{block}.{layer}.weight"] = factor[:, None, None, None] * kernel
            out[f"blocks.{block}.{layer}.bias"] = offset
    return out


def main() -> None:
    """Write model.safetensors in half precision."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", type=Path, help="default: that of the installed package")
    parser.add_argument("--out", type=Path, default=FOLDER)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    checkpoint = args.checkpoint or package_folder("aisfx") / "models" / "checkpoint.pth"
    write_weights(half(fold(read_checkpoint(checkpoint))), args.out / "model.safetensors")


if __name__ == "__main__":
    torch.set_flush_denormal(True)
    main()
