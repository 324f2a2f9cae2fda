"""Import files of other synths as preset files, and list what each voice lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bridge.files import atomic_output, names
from bridge.files.write_terms import WriteRules
from bridge.service import file_access
from presets import dx7_file, import_dx7, save


def syx(
    file: Path, out: Path, *, voice: int | None = None, replace: bool = False
) -> dict[str, Any]:
    """The voices of a DX7 file (all, or the one of this number) as presets in the folder `out`.

    Returns voices, a line a voice, and passed_over, sentences on what else is in the file. A line
    has voice, name, and preset (the file) with lost, or refused for a voice that cannot be a
    preset. Nothing is written when none can be. With `replace` files of others are replaced.
    Raises `ValueError` with one sentence.
    """
    file_access.check_input("file", str(file.expanduser().absolute()), ())
    with file.open("rb") as opened:
        data = opened.read(dx7_file.MAX_BYTES + 1)
    try:
        dump = dx7_file.read(data)
    except ValueError as error:
        raise ValueError(f"file {file}: {error}") from error
    count = len(dump.voices)
    if voice is not None and not 1 <= voice <= count:
        raise ValueError(f"voice must be 1 .. {count}, got {voice}")
    rows: list[dict[str, Any]] = []
    refused = ""
    digits = max(2, len(str(count)))
    with atomic_output.folder(out, WriteRules(replace)) as made:
        for number, (dx7_voice, doubts) in enumerate(zip(dump.voices, dump.doubts, strict=True), 1):
            if voice not in (None, number):
                continue
            row: dict[str, Any] = {"voice": number, "name": dx7_voice.name.strip()}
            try:
                preset, lost = import_dx7.to_preset(dx7_voice)
            except ValueError as error:
                refused = str(error)
                rows.append(row | {"refused": refused})
                continue
            name = names.slug(preset.name, otherwise="voice")
            path = made.partial / f"{number:0{digits}d}-{name}.json"
            save(preset, path)
            doubtful = (f"message: {doubt}" for doubt in doubts)
            rows.append(row | {"preset": made.final(path), "lost": [*doubtful, *lost]})
        if all("refused" in row for row in rows):
            raise ValueError(refused)
    return {"voices": rows, "passed_over": list(dump.passed_over)}
