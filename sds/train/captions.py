"""Make sds/weights/captions: the captions of the corpus, for `sds.priors.nearest_captions`.

    python -m sds.train.captions --data runs/corpus

Every caption of the split `prior` is known by a key of 32 bits. The short ones of recordings and of
sound fonts, and the phrases of all classes, have vectors of the sentence encoder, in eight bits.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections import Counter, defaultdict
from pathlib import Path

import torch
from torch import Tensor

from sds.datasets.captions import PHRASES
from sds.datasets.clips import read_table
from sds.priors.nearest_captions import FILE, SCALE, caption_key
from sds.priors.sentence_encoder import encode_sentences
from sds.train.common import write_weights

log = logging.getLogger(__name__)
LONGEST = {"recordings": 8, "midi": 2, "procedural": 2}  # words of those that have vectors


def read_classes(data: Path) -> tuple[dict[str, str], set[str]]:
    """The class of each caption to be near to, and all captions of the split `prior`."""
    every: set[str] = set()
    votes: dict[str, Counter[str]] = defaultdict(Counter)
    for label, phrases in PHRASES.items():
        for phrase in phrases:
            votes[phrase][label] += 1
    for part in sorted(path.stem for path in data.glob("*.jsonl")):
        for row in read_table(data, part):
            if row["split"] != "prior":
                continue
            every.update(row["captions"])
            for caption in row["captions"]:
                if "," not in caption and len(caption.split()) <= LONGEST.get(part, 0):
                    votes[caption][row["class"]] += 1
    return {text: votes[text].most_common(1)[0][0] for text in sorted(votes)}, every


def pack(classes: dict[str, str], every: set[str]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors and the header of the file."""
    names = sorted(set(classes.values()))
    texts = list(classes)
    batches = [texts[i : i + 64] for i in range(0, len(texts), 64)]
    vectors = torch.cat([encode_sentences(batch) for batch in batches])
    keys = sorted({caption_key(text) for text in every | set(texts)})
    tensors = {
        "vectors": (SCALE * vectors).round().to(torch.int8),
        "classes": torch.tensor([names.index(classes[text]) for text in texts]).to(torch.uint8),
        "keys": torch.tensor(keys, dtype=torch.int32),
    }
    return tensors, {"texts": json.dumps(texts), "classes": json.dumps(names)}


def main() -> None:
    """Write captions.safetensors."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("runs/corpus"))
    parser.add_argument("--out", type=Path, default=FILE)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    tensors, header = pack(*read_classes(args.data))
    write_weights(tensors, args.out, header)
    log.info("%d captions, %d known", len(tensors["vectors"]), len(tensors["keys"]))


if __name__ == "__main__":
    torch.set_flush_denormal(True)
    main()
