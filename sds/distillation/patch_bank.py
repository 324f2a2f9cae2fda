"""Banks of random patches of a synth, each with its embedding by the search scorer.

The nearest of thousands to a prompt are a product of a matrix and a vector away, so a search begins
at fitting patches, and one is playable at once. A bank knows no synth: rows of u in 0..1, and unit
vectors of `sds.similarity.two_tower`. `python -m sds.train.bank` makes it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor

from sds.priors.checkpoints import ModelUnavailable, read_metadata, read_tensors
from sds.weights import weights_folder

FOLDER = weights_folder("bank")
SCORER = "ear"  # under this key the shipped files hold the hash of the search scorer


@dataclass(frozen=True, slots=True)
class Bank:
    """Patches u [N, P] in 0..1 and the unit vectors [N, D] of their sounds; both float16.

    `instrument` is what `synth` says of the synth, `search_scorer` the hash of the weights that
    made the embeddings: with another of either, the bank is of no use.
    """

    u: Tensor
    vectors: Tensor
    instrument: str
    search_scorer: str

    def nearest(self, wanted: Tensor, count: int) -> Tensor:
        """The `count` patches [count, P] whose embeddings are nearest to `wanted` [D],
        best first.
        """
        score = self.vectors.float() @ wanted.float()
        return self.u[score.topk(min(count, len(score))).indices].float()


def synth(name: str, version: int, knobs: int) -> str:
    """Describe a synth, for `Bank.instrument`: its name, version and number of knobs."""
    return f"{name} {version}, {knobs} knobs"


def save_bank(bank: Bank, path: Path) -> None:
    """Write a bank, whole or not at all."""
    partial = path.with_suffix(".partial")
    made_with = {"instrument": bank.instrument, SCORER: bank.search_scorer}
    save_file({"u": bank.u, "heard": bank.vectors}, partial, metadata=made_with)
    partial.replace(path)


def load_bank(name: str, instrument: str, search_scorer: str, folder: Path = FOLDER) -> Bank | None:
    """Load the bank in `folder`/`name`.safetensors; None when there is none for this synth and
    search scorer.

    Raises `ModelUnavailable` for one that is damaged, not finite, or has not a vector a patch.
    """
    path = folder / f"{name}.safetensors"
    if not path.is_file():
        return None
    metadata = read_metadata(path)
    made_with = metadata.get("instrument"), metadata.get(SCORER)
    if made_with != (instrument, search_scorer):
        return None
    tensors = read_tensors(path)
    u, vectors = tensors.get("u"), tensors.get("heard")
    if u is None or vectors is None or not u.ndim == vectors.ndim == 2 or len(u) != len(vectors):
        raise ModelUnavailable(f"{path} is no bank: it must hold u [N, P] and heard [N, D].")
    return Bank(u, vectors, instrument, search_scorer)
