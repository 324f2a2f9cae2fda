"""What to ask of the default model for a prompt that no caption said: the captions nearest to it.

The default prior has read a few thousand captions, as static vectors of word pieces, and knows
little beyond them. The sentence encoder knows that "breakers on a rocky shore" is near "waves on
the beach". So a prompt outside the captions is carried by captions that are near: those of the
class that most of its neighbours name. A prompt that is a caption of the corpus stays as it is.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor

from presets.reading import read_json
from sds.priors.checkpoints import read_metadata, read_tensors, shipped_file
from sds.priors.sentence_encoder import encode_sentences
from sds.weights import weights_folder

FILE = weights_folder("captions") / "captions.safetensors"
SCALE = 127.0  # of the eight-bit vectors
NEIGHBOURS, SOFTNESS = 50, 0.1  # that vote for a class, and the cosine that divides a vote by e
CARRIERS = 4  # captions of that class that carry the prompt
UNSAID = 0.05  # cosine that a carrier loses by each word that the prompt does not have
LEAST = 0.3  # cosine of the nearest below which nothing is near


@dataclass(frozen=True, slots=True, eq=False)
class Captions:
    """Captions to be near to: `texts` [N], their unit vectors [N, 384], the class of each [N], and
    `keys` [M], sorted: those of all captions of the corpus.
    """

    texts: tuple[str, ...]
    vectors: Tensor
    classes: Tensor
    keys: Tensor

    def knows(self, prompt: str) -> bool:
        """Whether the prompt is a caption of the corpus."""
        key = caption_key(prompt)
        at = int(torch.searchsorted(self.keys, key))
        return at < len(self.keys) and int(self.keys[at]) == key


def tidy(prompt: str) -> str:
    """A prompt as captions are written.

    >>> tidy(" A  kick drum. ")
    'a kick drum'
    """
    return " ".join(prompt.lower().split()).strip(" .,")


def caption_key(prompt: str) -> int:
    """A number of 32 bits that stands for a caption; the same for all of its spellings."""
    digest = hashlib.blake2b(tidy(prompt).encode(), digest_size=4).digest()
    return int.from_bytes(digest, signed=True)


@lru_cache(maxsize=2)
def read_captions(path: Path = FILE) -> Captions:
    """Load what `sds.train.captions` wrote. Raises `ModelUnavailable` where it is not there, or is
    damaged.
    """
    tensors = read_tensors(shipped_file(path, "sds.train.captions"))
    return Captions(
        tuple(read_json(read_metadata(path)["texts"])),
        tensors["vectors"].float() / SCALE,
        tensors["classes"].long(),
        tensors["keys"],
    )


@lru_cache(maxsize=1024)
def nearest(prompt: str, path: Path = FILE) -> tuple[tuple[str, float], ...]:
    """The captions that carry a prompt and their shares, nearest first; the shares sum to 1.

    None for an empty prompt, for a caption of the corpus, and where nothing is near.
    """
    captions = read_captions(path)
    if not prompt.strip() or captions.knows(prompt):
        return ()
    cosines = captions.vectors @ encode_sentences([tidy(prompt)])[0]
    near, index = cosines.topk(min(NEIGHBOURS, len(cosines)))
    if near[0] < LEAST:
        return ()
    votes = (near / SOFTNESS).softmax(0)
    classes = captions.classes[index]
    elected = torch.zeros(int(captions.classes.max()) + 1).index_add(0, classes, votes).argmax()
    able = index[classes == elected]
    texts = [captions.texts[i] for i in able.tolist()]
    said = set(tidy(prompt).split())
    unsaid = torch.tensor([len(set(text.split()) - said) for text in texts])
    fit, order = (cosines[able] - UNSAID * unsaid).sort(descending=True, stable=True)
    shares = (fit[:CARRIERS] / SOFTNESS).softmax(0).tolist()
    return tuple((texts[i], share) for i, share in zip(order.tolist(), shares, strict=False))


def nearest_caption(prompt: str, path: Path = FILE) -> tuple[str, float]:
    """The caption nearest in meaning to a prompt, and the cosine of the two, -1..1.

    A caption of the corpus is its own nearest, with cosine 1.
    """
    captions = read_captions(path)
    if captions.knows(prompt):
        return tidy(prompt), 1.0
    cosines = captions.vectors @ encode_sentences([tidy(prompt)])[0]
    return captions.texts[int(cosines.argmax())], float(cosines.max())
