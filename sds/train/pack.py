"""Put trained parts into sds/weights: half precision, safetensors, nothing a loader would execute.

    python -m sds.train.pack --codec runs/codec --prior runs/prior --evaluation-scorer runs/judge

`default` gets the best average of the prior and the codec in one file, under the names that
stable-audio-tools gives them; `evaluation_scorer` and `search_scorer` get their towers. A part that
is not named stays as it is.

`--share 0.5` ships halfway between the prior that is there and what training from it has come to.
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

import torch
from torch import Tensor

from sds.priors.checkpoints import WEIGHTS, read_tensors
from sds.train.common import CODEC, half, write_weights

log = logging.getLogger(__name__)


# Training on from good weights with small batches forgets as it learns. Between both ends of the
# straight line the loss is lower than at either (Wortsman et al. 2022, arXiv 2109.01903, WiSE-FT).
def interpolate(old: dict[str, Tensor], new: dict[str, Tensor], share: float) -> dict[str, Tensor]:
    """Interpolate (1 - share) old + share new, tensor by tensor [...]. Raises `ValueError` unless
    both have the same names.
    """
    if odd := sorted(old.keys() ^ new.keys()):
        raise ValueError(f"both models must have the same tensors; only one has {odd[0]}")
    return {k: torch.lerp(v.float(), new[k].float(), share) for k, v in old.items()}


def main() -> None:
    """Pack the parts that are named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--codec", type=Path)
    parser.add_argument("--prior", type=Path)
    parser.add_argument("--share", type=float, default=1.0, help="of --prior; the rest is old")
    parser.add_argument("--evaluation-scorer", type=Path)
    parser.add_argument("--search-scorer", type=Path)
    parser.add_argument("--out", type=Path, default=WEIGHTS)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    path = args.out / "default" / "model.safetensors"
    tensors = read_tensors(path) if path.is_file() else {}
    if args.codec:
        tensors = {k: v for k, v in tensors.items() if not k.startswith(CODEC)}
        codec = read_tensors(args.codec / "model.safetensors")
        tensors |= {CODEC + k: v for k, v in half(codec).items()}
    if args.prior:
        old = {k: v for k, v in tensors.items() if not k.startswith(CODEC)}
        tensors = {k: v for k, v in tensors.items() if k.startswith(CODEC)}
        if args.share < 1.0:
            prior = interpolate(old, read_tensors(args.prior / "mean.safetensors"), args.share)
        else:
            prior = read_tensors(args.prior / "best.safetensors")
        tensors |= half(prior)
    if args.codec or args.prior:
        write_weights(tensors, path)
    for name in ("evaluation_scorer", "search_scorer"):
        if folder := getattr(args, name):
            towers = half(read_tensors(folder / "model.safetensors"))
            write_weights(towers, args.out / name / "model.safetensors")


if __name__ == "__main__":
    torch.set_flush_denormal(True)
    main()
