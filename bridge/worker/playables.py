"""The presets that the suite `playable` plays: those of the factory, and those beside the data."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

import presets
from presets import Preset
from renderers import effects
from sds.scoreboard.board import Pitch, Playable

BELLS = {"bells", "mallets"}
NO_PITCH = {"drums", "percussion", "effects", "textures", "fx", "metal", "wood", "glass"}
FACTORY = Path(presets.__file__).parent / "factory"
BESIDE = "presets"  # folder of the data; what a patch search wrote, for instance


def playables(data: Path, rate: int) -> Iterator[Playable]:
    """The presets of the factory ("factory"), and those in `data`/presets ("found"), at `rate`
    Hz.

    A name ends with a digest of the file: a preset that was made anew is another one.
    """
    for group, folder in (("factory", FACTORY), ("found", data / BESIDE)):
        for path in sorted(folder.glob("*.json")):
            preset, digest = presets.load(path), hashlib.sha256(path.read_bytes()).hexdigest()[:8]
            play = partial(_play, preset, rate)
            name = f"{path.stem}, {group} {digest}"
            yield Playable(name, group, preset.note, pitch_of(preset), play)


def pitch_of(preset: Preset) -> Pitch:
    """What pitch a preset has by its tags; one that says nothing has one."""
    tags = set(preset.tags)
    if "unpitched" in tags or tags & NO_PITCH:
        return ""
    return "bell" if tags & BELLS else "harmonic"


def _play(preset: Preset, rate: int, note: float) -> Tensor:
    return torch.from_numpy(effects.render(preset, note=min(max(note, 0.0), 127.0), rate=rate))
