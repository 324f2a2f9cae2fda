"""A frozen text embedding that ships with the model: one vector a word piece.

The vectors are distilled from all-MiniLM-L6-v2 (each piece sent through the sentence encoder alone,
then reduced by PCA, as Model2Vec does), so words near in meaning are near in space and prompts
reach beyond the training captions, at the cost of a table look-up. `sds.train.text` makes the file.

Sentence vectors have norm sqrt(dim), not 1: with norm 1 a default-initialised projection makes the
text far quieter than the time embedding, and the prior never learns to use it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import torch
from tokenizers import Tokenizer
from torch import Tensor

from sds.priors.checkpoints import read_tensors
from sds.priors.quiet_import import quiet
from sds.weights import weights_folder

with quiet():  # the library prints and warns while it is imported
    from stable_audio_tools.models.conditioners import Conditioner

FOLDER = weights_folder("text")


@lru_cache(maxsize=1)
def _table() -> tuple[Tokenizer, Tensor, Tensor]:
    """Tokenizer, piece vectors [V, D] and piece weights [V] of the shipped file."""
    tensors = read_tensors(FOLDER / "pieces.safetensors")
    tokenizer = Tokenizer.from_file(str(FOLDER / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer, tensors["vectors"].float(), tensors["weights"].float()


def dim() -> int:
    """Width of the piece vectors."""
    return int(_table()[1].shape[1])


def pieces(text: str, limit: int) -> tuple[Tensor, Tensor]:
    """Vectors [n, D] and weights [n] of the first `limit` word pieces; n = 0 for empty text."""
    tokenizer, vectors, weights = _table()
    ids = tokenizer.encode(text, add_special_tokens=False).ids[:limit]
    index = torch.tensor(ids, dtype=torch.long)
    return vectors[index], weights[index]


def sentence(text: str, *, limit: int = 48) -> Tensor:
    """One vector [D] of norm sqrt(D): the weighted mean of the pieces; zeros for empty text."""
    vectors, weights = pieces(text, limit)
    if not len(vectors):
        return torch.zeros(dim())
    mean = (weights[:, None] * vectors).sum(0)
    scaled: Tensor = mean * (dim() ** 0.5 / mean.norm().clamp_min(1e-6))
    return scaled


def sentences(texts: Sequence[str]) -> Tensor:
    """Sentence vectors [B, D] of B texts, as `sentence` makes them."""
    return torch.stack([sentence(text) for text in texts])


class StaticText(Conditioner):  # type: ignore[misc]
    """Conditioner over the frozen table: the sentence vector, then `max_pieces` piece vectors.

    Output [B, 1 + max_pieces, output_dim]; unused places and empty prompts are zeros before the
    learned projection (which has no bias, so they are zeros after it too). With `max_pieces=0` it
    is a single vector, fit for a global condition.
    """

    def __init__(self, output_dim: int, max_pieces: int = 16) -> None:
        super().__init__(dim(), output_dim)
        self.proj_out = torch.nn.Linear(dim(), output_dim, bias=False)
        self.max_pieces = max_pieces

    def forward(
        self, texts: Sequence[str], device: torch.device | str = "cpu"
    ) -> tuple[Tensor, Tensor]:
        """Embeddings [B, 1 + max_pieces, output_dim] and their mask [B, 1 + max_pieces]."""
        x = torch.zeros(len(texts), 1 + self.max_pieces, dim())
        mask = torch.zeros(len(texts), 1 + self.max_pieces)
        mask[:, 0] = 1.0
        for row, text in enumerate(texts):
            x[row, 0] = sentence(text)
            vectors, _ = pieces(text, self.max_pieces)
            x[row, 1 : 1 + len(vectors)] = vectors
            mask[row, 1 : 1 + len(vectors)] = 1.0
        weight = self.proj_out.weight
        return self.proj_out(x.to(weight.device, weight.dtype)), mask.to(device)
