"""A random FM patch and a random impact patch: each a preset (JSON) and its sound (WAV).

    python examples/make_a_sound.py [--seed N] [--note N] [--out DIR]

No model is needed: this is what a search starts from.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from presets import Effect, Preset, load, save
from renderers import RENDERERS, effects, random_patches, to_values

ROOM = Effect(kind="Reverb", values={"room_size": 0.5, "wet_level": 0.15, "dry_level": 0.8})


def random_preset(renderer_name: str, seed: int, note: float) -> Preset:
    """One musical random patch of a renderer, with a little room behind it."""
    renderer = RENDERERS[renderer_name]
    u = random_patches(renderer, 1, generator=torch.Generator().manual_seed(seed))[0]
    return Preset(
        name=f"{renderer_name} {seed}",
        renderer=renderer_name,
        renderer_version=renderer.version,
        values=to_values(renderer, u),  # u lies in [0, 1]; a preset holds Hz and seconds
        note=note,
        seconds=2.0,
        effects=(ROOM,),
        seed=seed,
    )


def main() -> None:
    """Write <renderer>.json and <renderer>.wav, and say where."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--note", type=float, default=60.0, help="MIDI number, 60 is middle C")
    parser.add_argument("--out", type=Path, default=Path("."))
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    for name in RENDERERS:
        file = args.out / f"{name}.json"
        save(random_preset(name, args.seed, args.note), file)
        effects.render_file(load(file), file.with_suffix(".wav"))
        print(f"{file} and {file.with_suffix('.wav').name}")


if __name__ == "__main__":
    torch.set_flush_denormal(True)
    main()
