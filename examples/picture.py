"""The picture of the README: six spectrograms of sounds this code has made.

    python examples/picture.py --demo demo-out --out docs/picture.png     (after `make demo`)
    python examples/picture.py --out picture.png                          (random patches)

The first shows the demo's stems and patches; the second needs no model.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import make_a_sound
import matplotlib.pyplot as plt
import plots

from presets import load
from renderers import effects
from renderers.denormals import flush_denormals

Row = list[plots.Panel]


def demo_rows(demo: Path) -> list[Row]:
    """Mixture and stems; then each patch where its search began and where it ended."""
    manifest = json.loads((demo / "stems" / "stems.json").read_text(encoding="utf-8"))
    stems = [
        plots.Panel(f"stem “{stem['prompt']}”", demo / "stems" / stem["wav"])
        for stem in manifest["stems"][:2]
    ]
    first = plots.Panel("the mixture", demo / "stems" / manifest["source_wav"])
    patches: list[Row] = [[], []]
    for row, renderer in zip(patches, ("impact", "fm"), strict=True):
        folder = demo / f"patch-{renderer}"
        result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
        prompt = load(folder / Path(result["preset"]).name).prompt
        first_wav, wav = (folder / Path(result[key]).name for key in ("initial_wav", "wav"))
        row.append(plots.Panel(f"{renderer}: a random patch", first_wav))
        row.append(plots.Panel(f"{renderer}: “{prompt}”", wav))
    return [[first, *stems], [*patches[0], patches[1][1]]]


def random_rows(folder: Path) -> list[Row]:
    """Three random patches of each renderer: where a search starts."""
    rows: list[Row] = []
    for name, note in (("fm", 48.0), ("impact", 60.0)):
        rows.append([])
        for seed in (3, 4, 8):
            wav = folder / f"{name}-{seed}.wav"
            effects.render_file(make_a_sound.random_preset(name, seed, note), wav)
            rows[-1].append(plots.Panel(f"{name}: a random patch", wav))
    return rows


def draw(rows: list[Row], path: Path) -> None:
    """Each row on a scale of its own: 0 dB is its loudest bin."""
    with plt.rc_context(plots.STYLE):
        figure, axes = plt.subplots(2, 3, figsize=(10, 5.2), layout="constrained")
        for line, row in zip(axes, rows, strict=True):
            image = plots._spectrograms(list(line), row)
            bar = figure.colorbar(image, ax=list(line), pad=0.01, aspect=24)
            bar.set_label("dB below the loudest")
            for ax in line[1:]:
                ax.set_ylabel("")
        figure.savefig(path, dpi=110)
        plt.close(figure)


def main() -> None:
    """Draw the demo's results, or random patches when no demo is named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--demo", type=Path, help="the folder of `make demo`")
    parser.add_argument("--out", type=Path, default=Path("picture.png"))
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        draw(demo_rows(args.demo) if args.demo else random_rows(Path(folder)), args.out)
    print(args.out)


if __name__ == "__main__":
    flush_denormals()
    main()
