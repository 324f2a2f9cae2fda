"""A model of Six Sines' law in numpy: no program here plays its patches without a screen.

It reads a `.sxsnp` file and computes what the synth is documented to: operators in their order,
edges and mixers under their own envelopes, feedback as the mean of two samples, all at 2.5 times
the host's rate. Not modelled: envelopes in steps of a block, velocity, the main envelope.
"""

from __future__ import annotations

import math
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.signal import resample_poly

from presets import Note
from renderers.engines.base import Engine
from renderers.kernels import compile_kernel

Array = NDArray[np.float64]

FASTER, SLOWER = 5, 2
OPERATORS = 6


@compile_kernel
def feedback_sine(phase: Array, index: Array, out: Array) -> None:
    """out[n] = sin(phase[n] + index[n] (out[n-1] + out[n-2]) / 2)."""
    before = last = 0.0
    for n in range(phase.size):
        before, last = last, math.sin(phase[n] + index[n] * 0.5 * (before + last))
        out[n] = last


def values(file: bytes) -> dict[int, float]:
    """The numbers of a patch by parameter. Raises `ValueError` when it is not one of Six Sines."""
    try:
        root = ElementTree.fromstring(file)  # noqa: S314 (files that we wrote)
    except ElementTree.ParseError as error:
        raise ValueError(f"not a Six Sines patch: it is not XML ({error})") from error
    if root.get("id") != "org.baconpaul.six-sines":
        raise ValueError(f"not a Six Sines patch: its id is {root.get('id')!r}")
    return {int(p.attrib["id"]): float(p.attrib["v"]) for p in root.iter("p")}


def play(patch: dict[int, float], note: Note, seconds: float, rate: int) -> Array:
    """One note as the law has it: [T]."""
    t = np.arange(round(seconds * rate * FASTER / SLOWER)) / (rate * FASTER / SLOWER)
    heard: list[Array] = []
    out = np.zeros(t.size)
    for k in range(OPERATORS):
        if not patch.get(1501 + 250 * k):
            break
        phase = 2.0 * np.pi * note.hz * 2.0 ** patch[1500 + 250 * k] * t
        for s, u in enumerate(heard):
            edge = 30000 + 200 * (k * (k - 1) // 2 + s)
            phase += 4.0 * np.pi * _level(patch, edge, t, note.held) * u
        u = np.empty_like(phase)
        feedback_sine(phase, 0.5 * np.pi * _level(patch, 10000 + 100 * k, t, note.held), u)
        heard.append(u)
        out += _level(patch, 20000 + 100 * k, t, note.held) * u
    audio: Array = resample_poly(out, SLOWER, FASTER)
    return audio


def _level(patch: dict[int, float], node: int, t: Array, held: float) -> Array:
    """The level of an edge or a mixer under its envelope: 0 when it is switched off."""
    if not patch[node + 1]:
        return np.zeros(t.size)
    attack, decay = _seconds(patch[node + 3]), _seconds(patch[node + 5])
    sustain, ends_itself = patch[node + 6], patch.get(node + 14, 0.0)
    falling = _fall((t - attack) / decay, patch[node + 10])
    level: Array = np.where(t < attack, t / attack, sustain + (1.0 - sustain) * falling)
    if held < t[-1] and not ends_itself:  # from wherever it is then
        off = int(np.searchsorted(t, held))
        release = _seconds(patch[node + 7])
        level[off:] = level[off] * _fall((t[off:] - held) / release, patch.get(node + 11, 0.0))
    result: Array = patch[node] * level
    return result


def _fall(x: Array, shape: float) -> Array:
    """From 1 at 0 to 0 at 1, bent by the shape."""
    x, bend = np.clip(x, 0.0, 1.0), 8.0 * shape * abs(shape)
    result: Array = 1.0 - (np.expm1(bend * x) / np.expm1(bend) if abs(bend) > 1e-7 else x)
    return result


def _seconds(position: float) -> float:
    return (math.exp(0.6931471824646 + 9.4335641861 * position) - 2.0) / 1000.0


def _render(file: Path, note: Note, seconds: float, rate: int) -> NDArray[np.float32]:
    return play(values(file.read_bytes()), note, seconds, rate).astype(np.float32)[None]


MODEL = Engine("a numpy model of Six Sines, not the synth", lambda: "", _render)
