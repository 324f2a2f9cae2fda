"""Compile the kernels that searches ask for, once; each process that comes later reads them.

    python -m renderers.compile

Two minutes of a core: without it the first search, and every process that begins meanwhile, spends
them. The player compiles its own when it starts.
"""

from __future__ import annotations

import torch

from presets import Note, ranges
from renderers import fm, impact, random_patches
from renderers.base import Renderer
from renderers.denormals import flush_denormals

NOTE, RATE, SAMPLES = Note(60.0), 44100, 2048
DTYPES = (torch.float32, torch.float64)


def renderers() -> list[Renderer]:
    """One of every kind: a matrix with and without loops, as indexed edges, and the modal synth."""
    kinds = [fm.renderer(voice=v, matrix=m) for v in ("paper", "full") for m in ("acyclic", "free")]
    kinds += [fm.renderer(voice=voice, matrix="dx7:5") for voice in ("paper", "full")]
    return kinds + [impact.renderer(voice=voice) for voice in ranges.IMPACT_VOICES]


def main() -> None:
    """Render a moment of each, and go back through it."""
    flush_denormals()
    generator = torch.Generator().manual_seed(0)
    for renderer in renderers():
        for dtype in DTYPES:
            u = random_patches(renderer, 2, generator=generator).to(dtype).requires_grad_()
            energy = renderer.render(u, NOTE, RATE, SAMPLES).square().sum()
            torch.autograd.grad(energy, u)


if __name__ == "__main__":
    main()
