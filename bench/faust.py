"""The FM graph as a Faust program, run by DawDreamer: the reference for forward speed.

Single precision, as Faust compiles by default. Phases count in 32-bit integers, so that they do
not drift: with frequencies that are multiples of 2^-32 turns a sample both graphs are the same.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from renderers.denormals import exact_denormals

ABSENT = (
    "not measured: dawdreamer could not be imported ({}); install it, and libGL"
    " (Debian: apt-get install libgl1)"
)


def on_grid(cycles: torch.Tensor) -> torch.Tensor:
    """Frequencies in turns a sample, rounded to multiples of 2^-32."""
    return torch.round(cycles * 2**32) / 2**32


def program(
    cycles: list[float],
    attack: list[float],
    decay: list[float],
    matrix: list[list[float]],
    mix: list[float],
    rate: int,
) -> str:
    """The recursion in Faust, matrix in radians; `~` is the paper's one-sample delay."""
    V = range(len(cycles))
    rows = [
        f"  sin(phase({round(cycles[v] * 2**32)})"
        + "".join(f" + {matrix[v][w]:.17g}*u{w}" for w in V if matrix[v][w])
        + f") * f({attack[v]:.17g}, {decay[v]:.17g})"
        for v in V
    ]
    return "\n".join(
        [
            'import("stdfaust.lib");',
            "n = (+(1) ~ _) - 1;",
            f"t = n/{rate}.0;",
            "phase(i) = ((+(i) ~ _) - i)*(2.0*ma.PI/4294967296.0);",
            "f(a, d) = max(0.0, min(t/(a + 1e-5), exp((a - t)/(d*d))*(d - (t - a))/d));",
            f"graph({', '.join(f'u{v}' for v in V)}) =",
            ",\n".join(rows) + ";",
            f"process = graph ~ si.bus({len(cycles)}) :"
            f" {', '.join(f'*({m:.17g})' for m in mix)} :> _;",
        ]
    )


def compiled(source: str, rate: int, seconds: float) -> Callable[[], np.ndarray]:
    """A function that renders `seconds` of a program from its start and returns audio [T].

    Raises `ImportError` where DawDreamer cannot be loaded.
    """
    import dawdreamer

    engine = dawdreamer.RenderEngine(rate, 512)
    processor = engine.make_faust_processor("fm")
    processor.set_dsp_string(source)
    with exact_denormals():
        done = processor.compile()
    if not done:
        raise ValueError("Faust did not compile the FM program")
    engine.load_graph([(processor, [])])

    def render() -> np.ndarray:
        engine.render(seconds)
        audio: np.ndarray = processor.get_audio()[0]
        return audio

    return render
