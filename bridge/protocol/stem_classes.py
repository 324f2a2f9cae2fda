"""The four classes of stems that one model generates, accompanies and takes apart.

They are those of `sds.multitrack.base`, which no light process may import: a test compares them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Literal, TypeAlias, get_args

from pydantic import AfterValidator

from bridge.protocol.base import Listed

StemName: TypeAlias = Literal["bass", "drums", "guitar", "piano"]

STEMS: tuple[StemName, ...] = get_args(StemName)
_FORMS = {
    "bass": {"bass", "basses"},
    "drums": {"drum", "drums"},
    "guitar": {"guitar", "guitars"},
    "piano": {"piano", "pianos"},
}
NAMES = f"{', '.join(STEMS[:-1])} and {STEMS[-1]}"  # for sentences

Stems = Annotated[
    tuple[StemName, ...],
    Listed,
    AfterValidator(lambda given: tuple(name for name in STEMS if name in given)),
]
"""A field of a model: classes as a list or one text with commas, each once, in their order."""


def given_by_name(files: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Files by stem, of the names of their tracks. Raises `ValueError` with one sentence for a name
    that says no stem, and for a second one of a stem.
    """
    given: dict[str, str] = {}
    for name, file in files:
        stem = stem_of(name)
        if stem is None:
            raise ValueError(f"the name {name!r} says none of {NAMES}: call the track what it is")
        if stem in given:
            raise ValueError(f"{name!r} is a second track of {stem}; one can be given")
        given[stem] = file
    return given


def stem_of(name: str) -> StemName | None:
    """The class that a file or a track is called after; None where its words name none, or two.

    >>> stem_of("Bass.wav"), stem_of("take 2 - Drum loop"), stem_of("bass guitar DI")
    ('bass', 'drums', 'bass')
    >>> stem_of("lead"), stem_of("piano+guitar"), stem_of("bassoon")
    (None, None, None)
    """
    words = " ".join(re.findall(r"[a-z]+", name.lower())).replace("bass guitar", "bass").split()
    found = [stem for stem in STEMS if _FORMS[stem] & set(words)]
    return found[0] if len(found) == 1 else None
