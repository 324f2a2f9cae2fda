"""The T5 that reads the prompts of a checkpoint: its files from the local cache first.

The library asks the hub for T5 by name at every load: without a network that is a minute of silent
retries for files that are there, and a folder of that name in the working directory takes their
place. Here the files are found first, and the library is given their folder.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sds.priors.checkpoints import fetch, fetched

FILES = ("config.json", "tokenizer.json", "model.safetensors")
"""What is needed of a T5 of the hub; the tokenizer's settings beside them are optional."""
BESIDE = "tokenizer_config.json"


def t5_folder(name: str) -> Path:
    """The folder of the local cache with the T5 called `name` on the hub, fetched if need be.

    Files that are all in the cache are not asked for again. Raises `OSError` where one cannot be
    fetched.
    """
    from huggingface_hub import errors

    if not all(fetched(name, file) for file in FILES):
        for file in FILES:
            fetch(name, file)
        with contextlib.suppress(errors.RemoteEntryNotFoundError):
            fetch(name, BESIDE)
    return fetch(name, FILES[0]).parent


@contextlib.contextmanager
def known_as(conditioners: Any, name: str, folder: Path) -> Iterator[str]:
    """What to call the T5 in `folder` for the library's `T5Conditioner`, which knows names only:
    inside, its tables have the folder as well, as wide as the T5 called `name`.
    """
    kind, path = conditioners.T5Conditioner, str(folder)
    names, widths = kind.T5_MODELS, kind.T5_MODEL_DIMS
    kind.T5_MODELS, kind.T5_MODEL_DIMS = [*names, path], {**widths, path: widths[name]}
    try:
        yield path
    finally:
        kind.T5_MODELS, kind.T5_MODEL_DIMS = names, widths
