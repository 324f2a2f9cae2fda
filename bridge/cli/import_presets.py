"""Files of other synths to preset files; what was lost is said voice by voice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bridge.files import atomic_output, names
from bridge.files.write_terms import Terms
from bridge.service import file_access
from presets import dx7_sysex, import_dx7, save


def syx(
    file: Path, out: Path, *, voice: int | None = None, replace: bool = False
) -> list[dict[str, Any]]:
    """The voices of a DX7 file (all, or the one of this number) as presets in the folder `out`.

    A line has voice, name, and preset (the file) with lost, or refused for a voice that cannot be
    a preset. Nothing is written when none can be. With `replace` files of others are replaced.
    Raises `ValueError` with one sentence.
    """
    file_access.check_input("file", str(file.expanduser().absolute()), ())
    data = file.read_bytes()
    voices = dx7_sysex.read_bank(data)
    doubt = () if dx7_sysex.intact(data) else ("the file's checksum is wrong: it may be damaged",)
    if voice is not None and not 1 <= voice <= len(voices):
        raise ValueError(f"voice must be 1 .. {len(voices)}, got {voice}")
    rows: list[dict[str, Any]] = []
    refused = ""
    with atomic_output.folder(out, Terms(replace)) as made:
        for number, one in enumerate(voices, start=1):
            if voice not in (None, number):
                continue
            row: dict[str, Any] = {"voice": number, "name": one.name.strip()}
            try:
                preset, lost = import_dx7.to_preset(one)
            except ValueError as error:
                refused = str(error)
                rows.append(row | {"refused": refused})
                continue
            path = made.partial / f"{number:02d}-{names.slug(preset.name, otherwise='voice')}.json"
            save(preset, path)
            rows.append(row | {"preset": made.final(path), "lost": [*doubt, *lost]})
        if all("refused" in row for row in rows):
            raise ValueError(refused)
    return rows
