"""`slots.json`: which preset a MIDI program number plays, as {"5": "kick.json"}."""

from __future__ import annotations

import json
from pathlib import Path

from presets.library.disk import draft
from presets.moves import Move
from presets.reading import read_json

FILE = "slots.json"
SLOTS = range(1, 129)
MAX_SLOTS = 1 << 20  # bytes of the file


def read(folder: Path) -> dict[int, str]:
    """File name by slot number; nothing when there is no such file. The reverse of `slots_move`."""
    path = folder / FILE
    try:
        slots = {int(number): file for number, file in read_json(path, MAX_SLOTS).items()}
    except FileNotFoundError:
        return {}
    except (AttributeError, ValueError) as error:
        raise ValueError(f'{path} must hold {{"1": "file.json", ...}}: {error}') from error
    for number, file in slots.items():
        check(number)
        if not isinstance(file, str) or Path(file).name != file:
            raise ValueError(f"{path}: slot {number} must be a file name here, got {file!r}")
    return slots


def slots_move(folder: Path, slots: dict[int, str]) -> list[Move]:
    """The move that puts `slots`, drafted here, in the place of the file."""
    move = (draft(), FILE)
    data = {str(number): file for number, file in sorted(slots.items())}
    text = json.dumps(data, indent=1, ensure_ascii=False) + "\n"
    (folder / move[0]).write_text(text, encoding="utf-8")
    return [move]


def check(slot: int) -> None:
    """Raise `ValueError` when there is no such slot."""
    if slot not in SLOTS:
        raise ValueError(f"slot must be {SLOTS[0]} .. {SLOTS[-1]}, got {slot}")
