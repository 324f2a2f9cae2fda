"""Read a `Separate` job back from an earlier stem set: its manifest, or any one of its files.

What comes along is what was asked: prompts, negative prompts, method, steps, seed and model, and
from a manifest whether sounds that are not heard got stems. The same sound, model and version of
Scorewire then give the same files, byte for byte.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bridge.files import wav
from bridge.stems import manifest
from bridge.stems.bwf_metadata import parse_ixml


def job_of_stem_set(path: Path) -> dict[str, Any]:
    """The fields of a `Separate` job like the one that made the stem set at `path`.

    `path` is its folder, its manifest, or a stem file that has lost both. Raises `ValueError` with
    one sentence for anything else.
    """
    path = manifest.manifest_path(path)
    return _by_file(path) if path.suffix.lower() == ".wav" else _by_manifest(path)


def _by_manifest(path: Path) -> dict[str, Any]:
    known = manifest.load(path)
    return _named(known.task, tuple(stem.prompt for stem in known.stems), known.model, path) | {
        "negatives": known.negatives,
        "method": known.method,
        "steps": known.steps or None,
        "seed": known.seed,
        "force": known.forced,
    }


def _named(task: str, names: tuple[str, ...], model: str, path: Path) -> dict[str, Any]:
    """What the stems are called, and the model that knows them; `ValueError` for a set made."""
    if task == "prompts":
        return {"prompts": names} | ({"model": model} if model else {})  # "": none was used
    if task == "stems":
        return {"stems": names, "stem_model": model}
    raise ValueError(f"{path.name} is of a set that was made, not separated")


def _by_file(path: Path) -> dict[str, Any]:
    """By the block SCOREWIRE of its iXML. The reverse of `bridge.stems.bwf_metadata.tags`, as far
    as it goes.
    """
    try:
        tags = dict(_lists(wav.read_header(path).ixml))
        task = tags.get("TASK", ("prompts",))[0]
        fields = {
            "negatives": tags.get("NEGATIVES", ()),
            "method": tags["METHOD"][0],
            "steps": int(tags["STEPS"][0]) or None,
            "seed": int(tags["SEED"][0]),
        }
        names, model = tags["PROMPTS"], tags["MODEL"][0]
    except (ET.ParseError, KeyError, ValueError) as error:
        raise ValueError(
            f"{path.name} does not say how it was made: it is no stem of ours"
        ) from error
    return _named(task, names, model, path) | fields


def _lists(ixml: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Every tag of our block, with its texts in order."""
    ours = parse_ixml(ixml).findall("SCOREWIRE/*")
    for tag in dict.fromkeys(element.tag for element in ours):
        yield tag, tuple(element.text or "" for element in ours if element.tag == tag)
