"""Sentence vectors of many captions, kept in a folder: encoding them takes minutes."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from presets.reading import read_json
from sds.priors.checkpoints import read_tensors
from sds.priors.sentence_encoder import WIDTH, encode_sentences

AT_ONCE = 512


def sentence_table(texts: Iterable[str], kept: Path | None = None) -> tuple[dict[str, int], Tensor]:
    """The row of each text in a table of sentence vectors [R, 384], half precision.

    A table in the folder `kept` is read, and added to where texts are new.
    """
    place: dict[str, int] = {}
    table = torch.zeros(0, WIDTH).half()
    if kept is not None and (kept / "sentences.json").is_file():
        place = {text: row for row, text in enumerate(read_json(kept / "sentences.json"))}
        table = read_tensors(kept / "sentences.safetensors")["table"]
    new = sorted(set(texts) - place.keys(), key=lambda text: (len(text), text))
    parts = [encode_sentences(new[i : i + AT_ONCE]).half() for i in range(0, len(new), AT_ONCE)]
    table = torch.cat([table, *parts])
    place |= {text: len(place) + row for row, text in enumerate(new)}
    if kept is not None and new:
        save_file({"table": table}, kept / "sentences.safetensors")
        (kept / "sentences.json").write_text(json.dumps([*place]), encoding="utf-8")
    return place, table
