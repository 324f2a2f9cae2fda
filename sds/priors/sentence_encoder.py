"""What a prompt means: all-MiniLM-L6-v2, a sentence encoder of six layers, in eight bits.

The word vectors of `sds.priors.text_embedding` know words but not what they make together. This
network read a billion pairs of sentences (Wang et al. 2020, arXiv 2002.10957; Reimers and Gurevych
2019, arXiv 1908.10084; Apache-2.0): its vectors put "someone knocking" near "hitting a door". What
hears and what separates is conditioned on it. `sds.train.sentence` makes the file: each row of a
matrix in eight bits with a scale of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn import functional as F

from sds.priors.checkpoints import fill, shipped_file
from sds.priors.quantised import read_quantised
from sds.weights import weights_folder

FOLDER = weights_folder("sentence")
VOCABULARY = weights_folder("text") / "tokenizer.json"
WIDTH, LAYERS, HEADS, INNER = 384, 6, 12, 1536
PIECES, PLACES = 30522, 64  # word pieces it knows, and how many of a prompt it reads


class SentenceEncoder(nn.Module):
    """BERT's encoder without its pooling: word pieces to states."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(PIECES, WIDTH)
        self.places = nn.Embedding(PLACES, WIDTH)
        self.norm = nn.LayerNorm(WIDTH, eps=1e-12)
        layer = nn.TransformerEncoderLayer(
            WIDTH, HEADS, INNER, dropout=0.0, activation="gelu", layer_norm_eps=1e-12,
            batch_first=True,
        )  # fmt: skip
        self.layers = nn.TransformerEncoder(layer, LAYERS, enable_nested_tensor=False)

    def forward(self, ids: Tensor, there: Tensor) -> Tensor:
        """States [B, n, 384] of word pieces [B, n], of which those are read that are `there`
        [B, n].
        """
        places = torch.arange(ids.shape[1], device=ids.device)
        x = self.norm(self.words(ids) + self.places(places))
        out: Tensor = self.layers(x, src_key_padding_mask=~there)
        return out


@lru_cache(maxsize=1)
def _tokenizer() -> Tokenizer:
    tokenizer = Tokenizer.from_file(str(VOCABULARY))
    tokenizer.enable_truncation(PLACES)
    tokenizer.enable_padding()  # with [PAD], number 0
    return tokenizer


@lru_cache(maxsize=1)
def load_encoder(folder: Path = FOLDER) -> SentenceEncoder:
    """Load the encoder, frozen; the same one each time.

    Raises `ModelUnavailable` for weights that are not there, do not fit or are not finite.
    """
    path = shipped_file(folder / "model.safetensors", "sds.train.sentence")
    encoder = SentenceEncoder()
    fill(encoder, read_quantised(path), path, "encoder")
    return encoder


@torch.no_grad()
def encode_sentences(texts: Sequence[str]) -> Tensor:
    """Unit vectors [B, 384] of B texts: the mean of their pieces' states. Zeros for empty text."""
    if not texts:
        return torch.zeros(0, WIDTH)
    encodings = _tokenizer().encode_batch([text.lower() for text in texts])
    ids = torch.tensor([encoding.ids for encoding in encodings])
    there = torch.tensor([encoding.attention_mask for encoding in encodings]).bool()
    states = load_encoder()(ids, there) * there[..., None]
    full = torch.tensor([bool(text.strip()) for text in texts])
    return F.normalize(states.sum(1), dim=1) * full[:, None]
