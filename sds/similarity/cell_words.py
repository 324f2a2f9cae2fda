"""How well a prompt fits each cell of a sound: a text head on the trunk's last map.

The trunk (`sds.similarity.trunk`) makes a vector of every cell of eight bands by 186 ms. Two small
networks bring these vectors and sentence vectors into one space, as CLAP does with whole sounds
(Elizalde et al. 2022, arXiv 2206.04769): so a prompt's fit is told cell by cell, in a mixture too.
Trained by `sds.train.cell_words` on single clips.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sds.priors.checkpoints import fill, read_tensors, shipped_file
from sds.priors.sentence_encoder import WIDTH as SENTENCE
from sds.similarity.trunk import BANDS, STRIDE, WIDTH
from sds.weights import weights_folder

FOLDER = weights_folder("trunk")
FILE = "words.safetensors"
DIM, INNER, ROWS = 128, 256, BANDS // STRIDE


class CellWords(nn.Module):
    """Cells and sentence vectors to unit vectors of one space."""

    def __init__(self) -> None:
        super().__init__()
        self.cells = nn.Sequential(
            nn.LayerNorm(WIDTH), nn.Linear(WIDTH, INNER), nn.GELU(), nn.Linear(INNER, DIM)
        )
        self.bands = nn.Embedding(ROWS, INNER)
        self.text = nn.Sequential(
            nn.Linear(SENTENCE, INNER), nn.GELU(), nn.Dropout(0.1), nn.Linear(INNER, DIM)
        )
        self.log_scale = nn.Parameter(torch.tensor(2.5))

    def hear(self, cells: Tensor, bands: Tensor) -> Tensor:
        """Unit vectors [..., DIM] of cells [..., 512], of the bands [...], 0..11."""
        norm, widen, bend, narrow = self.cells
        x = bend(widen(norm(cells.sqrt())) + self.bands(bands))
        return F.normalize(narrow(x), dim=-1)

    def read(self, sentences: Tensor) -> Tensor:
        """Unit vectors [..., DIM] of sentence vectors [..., 384]."""
        return F.normalize(self.text(sentences * SENTENCE**0.5), dim=-1)

    def fit(self, last_map: Tensor, sentences: Tensor) -> Tensor:
        """Cosines [B, K, 12, L'] of the trunk's last map [B, 512, L', 12] with sentences
        [B, K, 384].
        """
        cells = last_map.permute(0, 3, 2, 1)  # [B, 12, L', 512]
        bands = torch.arange(ROWS, device=cells.device)[:, None].expand(cells.shape[1:3])
        return torch.einsum("bmld,bkd->bkml", self.hear(cells, bands), self.read(sentences))


@lru_cache(maxsize=1)
def load_cell_words(folder: Path = FOLDER) -> CellWords:
    """Load the shipped heads, frozen; the same ones each time.

    Raises `ModelUnavailable` for weights that are not there, do not fit or are not finite.
    """
    path = shipped_file(folder / FILE, "sds.train.cell_words")
    heads = CellWords()
    fill(heads, read_tensors(path), path, "heads")
    return heads
