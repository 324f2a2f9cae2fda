"""An excerpt that was heard first: what the full run takes over from it.

What carries over is what was chosen: prompts, negative prompts, method, seed. No sound does: the
full run takes more steps and other windows, and its result must not depend on what was tried out.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bridge import stems

FOLDER = "excerpt"


def chosen(out: Path, file: Path) -> dict[str, Any]:
    """The fields of a `Separate` job that continues from the excerpt of `file` below `out`.

    Empty when there is none; `ValueError` when it is of another file.
    """
    path = out / FOLDER / stems.MANIFEST
    if not path.is_file():
        return {}
    heard = stems.load(path)
    if heard.source_sha256 != stems.sha256(file):
        raise ValueError(f"the excerpt in {path.parent} is of {heard.source}, not of {file.name}")
    return {
        "prompts": tuple(stem.prompt for stem in heard.stems),
        "negatives": heard.negatives,
        "method": heard.method,
        "seed": heard.seed,
    }
