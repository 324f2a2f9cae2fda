"""Train the text head on the trunk's cells (`sds.similarity.cell_words`).

    python -m sds.train.cell_words --data runs/cells-evaluation_scorer runs/cells-prior
    python -m sds.train.cell_words --data runs/cells-prior --out runs/words

The first one ships. The second is what `sds.train.query` learns with, on clips that it has not
heard.

The loss is InfoNCE (Radford et al. 2021, arXiv 2103.00020) between clips, the mean of some of their
cells, and one of their captions each, and between single cells and captions; clips of the same
class and captions that mean the same are no negatives of each other. Keeps the weights of the end.
"""

from __future__ import annotations

import argparse
import logging
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from presets.reading import read_json
from sds.priors.checkpoints import read_tensors
from sds.priors.sentence_encoder import encode_sentences
from sds.similarity.cell_words import FILE, FOLDER, CellWords
from sds.train.common import half, write_weights

log = logging.getLogger(__name__)
BATCH, SEEN = 384, 6  # clips a step, and cells of each
ALIKE = 0.8  # cosine of captions from which they mean the same
RATE, NOISE = 1e-3, 0.02


class Cells:
    """All shards of some folders in memory."""

    def __init__(self, folders: Sequence[Path]) -> None:
        shards = [path for folder in folders for path in sorted(folder.glob("*.safetensors"))]
        tensors = [read_tensors(path) for path in shards]
        self.cells = torch.cat([t["cells"] for t in tensors])  # [N, CELLS, 512]
        self.bands = torch.cat([t["bands"] for t in tensors]).long()
        lines = [
            read_json(line)
            for path in shards
            for line in path.with_suffix(".jsonl").read_text(encoding="utf-8").splitlines()
        ]
        self.captions = [line["captions"] for line in lines]
        _, classes = np.unique([line["class"] for line in lines], return_inverse=True)
        self.classes = torch.from_numpy(classes)
        weights = 1 / np.sqrt(np.bincount(classes))[classes]
        self.weights = weights / weights.sum()
        texts = sorted({c for captions in self.captions for c in captions}, key=len)
        self.place = {text: row for row, text in enumerate(texts)}
        rows = [encode_sentences(texts[i : i + 512]).half() for i in range(0, len(texts), 512)]
        self.table = torch.cat(rows)

    def batch(self, size: int, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Cells [B, SEEN, 512], their bands, sentences [B, 384] and classes [B] of `size` clips."""
        rows = rng.choice(len(self.weights), size, p=self.weights)
        chosen = [self.captions[row][int(rng.integers(len(self.captions[row])))] for row in rows]
        some = torch.from_numpy(rng.integers(self.cells.shape[1], size=(size, SEEN)))
        index = torch.from_numpy(rows)
        cells = self.cells[index[:, None], some].float()
        text = self.table[[self.place[caption] for caption in chosen]].float()
        return cells, self.bands[index[:, None], some], text, self.classes[index]


def loss(net: CellWords, cells: Tensor, bands: Tensor, text: Tensor, classes: Tensor) -> Tensor:
    """The sum [] of the two losses of the module's text."""
    heard, said = net.hear(cells, bands), net.read(text)
    whole = F.normalize(heard.mean(1), dim=-1)
    same = (classes[:, None] == classes) | (
        F.normalize(text, dim=1) @ F.normalize(text, dim=1).T > ALIKE
    )
    hidden = same & ~torch.eye(len(same), dtype=torch.bool)
    target = torch.arange(len(same))
    scale = net.log_scale.exp()
    logits = (scale * whole @ said.T).masked_fill(hidden, -1e4)
    lone = (scale * heard[:, 0] @ said.T).masked_fill(hidden, -1e4)
    return (
        F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)
    ) / 2 + F.cross_entropy(lone, target)


@torch.no_grad()
def ranks(net: CellWords, held: Cells) -> tuple[float, float]:
    """Share of clips whose own class, of all there are, has the caption nearest to the mean of
    their cells; and of single cells.
    """
    net.eval()
    prompts = {int(c): held.captions[i][-1] for i, c in enumerate(held.classes)}
    said = net.read(encode_sentences(list(prompts.values())))
    labels = torch.tensor(list(prompts))
    heard = net.hear(held.cells.float(), held.bands)
    whole = labels[(F.normalize(heard.mean(1), dim=-1) @ said.T).argmax(1)] == held.classes
    lone = labels[(heard[:, 0] @ said.T).argmax(1)] == held.classes
    net.train()
    return float(whole.float().mean()), float(lone.float().mean())


def main() -> None:
    """Train and write the heads in half precision."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, nargs="+", required=True)
    parser.add_argument("--held", type=Path, default=Path("runs/cells-held"))
    parser.add_argument("--out", type=Path, default=FOLDER)
    parser.add_argument("--minutes", type=float, default=4.0)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    data, held = Cells(args.data), Cells([args.held])
    net = CellWords().train()
    optimizer = torch.optim.AdamW(net.parameters(), lr=RATE, weight_decay=0.02)
    begin, step = time.monotonic(), 0
    while (spent := (time.monotonic() - begin) / (60 * args.minutes)) < 1:
        for group in optimizer.param_groups:
            group["lr"] = RATE * min(1.0, (step + 1) / 50, 2 * (1 - spent))
        cells, bands, text, classes = data.batch(BATCH, rng)
        noise = NOISE * torch.randn(text.shape)
        error = loss(net, cells, bands, F.normalize(text + noise, dim=1), classes)
        optimizer.zero_grad()
        torch.autograd.backward([error])
        optimizer.step()
        step += 1
        if step % 100 == 0:
            whole, lone = ranks(net, held)
            log.info(
                "step %d loss %.3f, held back: class %.3f, of a cell %.3f",
                step,
                float(error.detach()),
                whole,
                lone,
            )
    write_weights(half(net.state_dict()), args.out / FILE)


if __name__ == "__main__":
    torch.set_flush_denormal(True)
    main()
