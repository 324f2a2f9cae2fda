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
from sds.priors.nearest_captions import nearest
from sds.priors.quiet_import import importing
from sds.weights import weights_folder

with importing():
    from stable_audio_tools.models.conditioners import Conditioner

FOLDER = weights_folder("text")
OWN = 0.3  # share that a prompt's own words keep beside the captions that carry it


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


def features(text: str, max_pieces: int) -> Tensor:
    """Raw features [1 + max_pieces, D] of a text: the sentence, then its first word pieces; unused
    places are zeros.
    """
    out = torch.zeros(1 + max_pieces, dim())
    out[0] = sentence(text)
    vectors, _ = pieces(text, max_pieces)
    out[1 : 1 + len(vectors)] = vectors
    return out


def carried_features(prompt: str, max_pieces: int) -> Tensor:
    """The features [1 + max_pieces, D] of a caption; those of a prompt that is none are carried by
    the captions nearest to it (`sds.priors.nearest_captions`).

    Their sentences are mixed by their shares, and the prompt's own has the share `OWN`. The pieces
    are those of the nearest, then the prompt's own, as far as there is room: an adjective that no
    carrier has must not be lost.
    """
    near = nearest(prompt)
    if not near:
        return features(prompt, max_pieces)
    out = features(near[0][0], max_pieces)
    mean = OWN * sentence(prompt)
    for text, share in near:
        mean = mean + (1 - OWN) * share * sentence(text)
    out[0] = mean * (dim() ** 0.5 / mean.norm().clamp_min(1e-6))
    both = torch.cat([pieces(text, max_pieces)[0] for text in (near[0][0], prompt)])[:max_pieces]
    out[1 : 1 + len(both)] = both
    return out


class StaticText(Conditioner):  # type: ignore[misc]
    """Conditioner over the frozen table: the sentence vector, then `max_pieces` piece vectors.

    Output [B, 1 + max_pieces, output_dim]; unused places and empty prompts are zeros before the
    learned projection (which has no bias, so they are zeros after it too). With `max_pieces=0` it
    is a single vector, fit for a global condition. With `nearest_captions` a prompt that is no
    caption is carried by those nearest to it (`carried_features`).
    """

    def __init__(
        self, output_dim: int, max_pieces: int = 16, nearest_captions: bool = False
    ) -> None:
        super().__init__(dim(), output_dim)
        self.proj_out = torch.nn.Linear(dim(), output_dim, bias=False)
        self.max_pieces = max_pieces
        self.features = carried_features if nearest_captions else features

    def forward(
        self, texts: Sequence[str], device: torch.device | str = "cpu"
    ) -> tuple[Tensor, Tensor]:
        """Embeddings [B, 1 + max_pieces, output_dim] and their mask [B, 1 + max_pieces]."""
        x = torch.stack([self.features(text, self.max_pieces) for text in texts])
        mask = x.any(2).float()
        mask[:, 0] = 1.0
        weight = self.proj_out.weight
        return self.proj_out(x.to(weight.device, weight.dtype)), mask.to(device)
