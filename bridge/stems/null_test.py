"""Measure whether the stems and the residual of a set add up to its source."""

from __future__ import annotations

import array
import importlib.util
import operator
import subprocess
from dataclasses import dataclass
from pathlib import Path

from bridge.files import wav
from bridge.processes import parent_watch
from bridge.stems.levels import null_db
from bridge.stems.manifest import load, part_header, source_header
from presets.reading import read_json

REFUSED = 3  # exit code of the child that adds up: its last words are a sentence for people


@dataclass(frozen=True, slots=True)
class NullDepth:
    """How deep a stem set nulls against its source, in dB: added in double, and as a DAW adds."""

    double_db: float
    float_db: float


def verify(path: Path) -> float:
    """Null depth in dB of the stem set of the manifest at `path`, added up in double precision."""
    return add_up(path).double_db


def add_up(path: Path) -> NullDepth:
    """Null depths of the stem set of the manifest at `path`: 10 log10(sum e^2 / sum x^2).

    x is the source, e = x - sum of g s over stems s with their gains g, and the residual, in file
    order: once all in double precision, once with every product and every sum rounded to float32,
    as on a DAW's bus; -200 when nothing is left. Memory is one block a file. Raises what `check`
    and `null_db` raise. `bridge.stems.null_test_numpy` is the same by numpy, for long files.
    """
    headers, gains = check(path)
    doubles = floats = power = 0.0
    for x, *parts in zip(*map(wav.samples, headers), strict=True):
        double, bus = [0.0] * len(x), array.array("f", bytes(4 * len(x)))
        for gain, part in zip(gains, parts, strict=True):
            if len(part) < len(x):  # a given mono stem sounds in every channel
                part = [v for v in part for _ in range(headers[0].channels)]
            scaled = [gain * v for v in part] if gain != 1.0 else part
            double = list(map(operator.add, double, scaled))
            bus = array.array("f", map(operator.add, bus, array.array("f", scaled)))
        doubles += sum(e * e for e in map(operator.sub, x, double))
        floats += sum(e * e for e in map(operator.sub, x, bus))
        power += sum(v * v for v in x)
    return NullDepth(null_db(doubles, power), null_db(floats, power))


def add_up_fast(path: Path) -> NullDepth:
    """`add_up` in a child process with numpy, or here where there is none."""
    if importlib.util.find_spec("numpy") is None:
        return add_up(path)
    command = parent_watch.command("bridge.stems.null_test_numpy", str(path))
    child = subprocess.run(command, capture_output=True, text=True, check=False)
    words = child.stderr.strip().splitlines() or [f"exit code {child.returncode}"]
    if child.returncode == REFUSED:
        raise ValueError(words[-1])
    if child.returncode:
        raise ValueError(f"{path.name} could not be added up: {words[-1]}")
    return NullDepth(*read_json(child.stdout))


def check(path: Path) -> tuple[list[wav.Wav], list[float]]:
    """The files of a set, source first, residual last, if any, and the gains of all but the source.

    Raises `ValueError` naming the file that is missing, changed, of another shape than the manifest
    says, or that says by its bext that it begins elsewhere.
    """
    manifest = load(path)
    headers = [source_header(manifest, path)]
    for name in manifest.parts:
        header = part_header(manifest, path, name)
        begins = header.bext.time_reference if header.bext else None
        if begins not in (None, manifest.start_samples):
            raise ValueError(
                f"{name} begins at sample {begins} by its bext, "
                f"the manifest says {manifest.start_samples}"
            )
        headers.append(header)
    gains = [10 ** (stem.gain_db / 20) for stem in manifest.stems]
    return headers, gains + [1.0] * (len(manifest.parts) - len(gains))
