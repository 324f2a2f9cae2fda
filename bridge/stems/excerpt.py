"""Take over the settings of an excerpt that was tried first.

What carries over is what was chosen: prompts, negative prompts, method, seed. No sound does: the
full run takes more steps and other windows, and its result must not depend on what was tried out.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bridge.files import names
from bridge.stems import manifest as stems
from bridge.stems.manifest import Manifest

FOLDER = "excerpt"


def settings_of_excerpt(out: Path, file: Path) -> dict[str, Any]:
    """The fields of a `Separate` job that continues from the excerpt of `file` below `out`.

    Empty when there is none; `ValueError` when it is of another file.
    """
    path = out / FOLDER / stems.MANIFEST
    if not path.is_file():
        return {}
    excerpt = stems.load(path)
    if excerpt.source_sha256 != names.sha256(file):
        raise ValueError(f"the excerpt in {path.parent} is of {excerpt.source}, not of {file.name}")
    return _choice(excerpt) | {"force": excerpt.forced}


def excerpt_job(out: Path, full: Manifest) -> str:
    """The `job` of the excerpt below `out` on which the choices of `full` were heard; else ""."""
    path = out / FOLDER / stems.MANIFEST
    try:
        excerpt = stems.load(path)
    except (ValueError, FileNotFoundError):  # none, or of another version: nothing to tell
        return ""
    same = excerpt.source_sha256 == full.source_sha256 and _choice(excerpt) == _choice(full)
    return excerpt.job if same else ""


def _choice(manifest: Manifest) -> dict[str, Any]:
    named = tuple(stem.prompt for stem in manifest.stems)
    return {
        "stems" if manifest.task == "stems" else "prompts": named,
        "negatives": manifest.negatives,
        "method": manifest.method,
        "seed": manifest.seed,
    }
