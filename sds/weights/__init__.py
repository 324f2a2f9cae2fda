"""The weights that ship: one folder a model, each with what it is made of in DATA.md."""

from __future__ import annotations

from pathlib import Path


def weights_folder(name: str = "") -> Path:
    """The folder of the shipped model called `name`; without one, the folder that holds them
    all.
    """
    return Path(__file__).parent / name
