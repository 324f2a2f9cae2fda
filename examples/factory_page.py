"""The page of the factory presets: `python examples/factory_page.py --out docs`.

A family has one picture, with the spectrogram of each preset's preview, and a table.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import plots
import soundfile

from presets import Preset, load
from presets.library import FACTORY

HEAD = """# The factory presets

Made by `python -m sds.train.factory`, drawn by `examples/factory_page.py`: each was searched with
the shipped models as `scorewire patch` does, none was made by hand. Match is the evaluation
scorer's cosine with the prompt. That scorer also chose which presets stay, so it flatters them a
little. Each picture is from 40 Hz to 16 kHz, white is 70 dB below the loudest.
"""
COLUMNS = """| name | prompt | synth | note | seconds | effects | peak, dBFS | match |
|---|---|---|---|---|---|---|---|"""


def line(preset: Preset, wav: Path) -> str:
    """The table's row of a preset."""
    sound, _ = soundfile.read(wav, dtype="float32")
    peak = 20.0 * np.log10(np.abs(sound).max())
    effects = ", ".join(effect.kind for effect in preset.effects) or "-"
    match = preset.provenance.score_after or 0.0
    cells = (preset.name, preset.prompt, preset.renderer, f"{preset.note:g}")
    figures = (f"{preset.seconds:.2f}", effects, f"{peak:.1f}", f"{match:.2f}")
    return f"| {' | '.join(cells + figures)} |"


def main() -> None:
    """Draw and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("docs"))
    args = parser.parse_args()
    presets = {path: load(path) for path in sorted(FACTORY.glob("*.json"))}
    page = [HEAD]
    for family in dict.fromkeys(preset.tags[0] for preset in presets.values()):
        own = {path: preset for path, preset in presets.items() if preset.tags[0] == family}
        panels = [plots.Panel(p.name, path.with_suffix(".wav")) for path, p in own.items()]
        plots.sheet(args.out / f"factory-{family}.png", panels)
        rows = [line(preset, path.with_suffix(".wav")) for path, preset in own.items()]
        picture = f"![{family}](factory-{family}.png)"
        page += [f"## {family.capitalize()}", "", picture, "", COLUMNS, *rows, ""]
    (args.out / "factory.md").write_text("\n".join(page), encoding="utf-8")


if __name__ == "__main__":
    main()
