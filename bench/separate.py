"""Separation of long files: time and memory for 10 s, 60 s and 600 s of 48 kHz stereo."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from presets.python_child import python_child
from sds.signal.audio_files import read, resample

MIXTURE = Path(__file__).parents[1] / "examples" / "data" / "mixture.flac"
RATE = 48000
PROMPTS = ("saxophone", "sea waves")
LENGTHS = {"fast": (10, 60, 600), "default": (10, 60)}  # seconds; default takes eight times as long
LIMIT_GB = 6.0


def rows() -> list[dict[str, object]]:
    """One worker, warm after a first job; the cost of a second of sound against that at 10 s.

    The cost is the worker's time on the processor, which a busy machine does not stretch.
    """
    with tempfile.TemporaryDirectory() as folder, _Worker() as worker:
        return [row for method in LENGTHS for row in _costs(worker, Path(folder), method)]


def _costs(worker: _Worker, folder: Path, method: str) -> Iterator[dict[str, object]]:
    shortest, *_ = LENGTHS[method]
    worker.separate(_loop(folder, 1), folder / f"{method}-1", method)
    first = 0.0
    for seconds in LENGTHS[method]:
        before = worker.cpu()
        result = worker.separate(_loop(folder, seconds), folder / f"{method}-{seconds}", method)
        spent, memory = (worker.cpu() - before) / seconds, worker.peak_gb()
        first = first or spent
        yield {
            "name": f"{method}, {seconds} s, {len(PROMPTS)} prompts",
            "value": f"{result['seconds']:.1f} s; {spent:.3f} s of CPU a second of sound",
            "reference": f"{first:.3f} s of CPU a second of sound, at {shortest} s",
            "ratio": first / spent,
            "error": f"null {result['null_db']:.0f} dB",
            "target": "linear; < -100 dB",
        }
        yield {
            "name": f"the same, peak memory of the worker so far, {seconds} s",
            "value": f"{memory:.2f} GB",
            "reference": f"the limit, {LIMIT_GB:g} GB",
            "ratio": LIMIT_GB / memory,
            "error": None,
            "target": f"< {LIMIT_GB:g} GB",
        }


def _loop(folder: Path, seconds: int) -> Path:
    """The example mixture over and over in stereo, the sides never quite alike."""
    mono, rate = read(MIXTURE)
    sound = resample(mono.mean(0), rate, RATE).numpy()
    path = folder / f"{seconds}.wav"
    with soundfile.SoundFile(path, "w", RATE, 2, subtype="PCM_24") as file:
        for second in range(seconds):
            at = np.arange(second * RATE, (second + 1) * RATE)
            left, right = sound[at % len(sound)], sound[(at + 50) % len(sound)]
            file.write(np.stack([left, 0.8 * right], 1))
    return path


class _Worker:
    """A worker process, spoken to in lines."""

    def __enter__(self) -> _Worker:
        self._child = subprocess.Popen(
            python_child("bridge.worker"),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        return self

    def __exit__(self, *_: object) -> None:
        self._child.communicate()

    def separate(self, file: Path, out: Path, method: str) -> dict[str, Any]:
        """The result of a job; its prompts are believed."""
        job = {"kind": "separate", "id": out.name, "file": str(file), "out": str(out)}
        job |= {"prompts": PROMPTS, "method": method, "force": True}
        stdin, stdout = self._child.stdin, self._child.stdout
        if stdin is None or stdout is None:
            raise RuntimeError("the worker has no pipes")
        stdin.write(json.dumps(job) + "\n")
        stdin.flush()
        for line in stdout:
            event = json.loads(line)
            if event["kind"] == "done":
                return dict(event["result"])
            if event["kind"] != "progress":
                raise RuntimeError(event.get("reason", "cancelled"))
        raise RuntimeError("the worker has ended")

    def cpu(self) -> float:
        """Seconds on the processor so far, in user and system."""
        stat = Path(f"/proc/{self._child.pid}/stat").read_text(encoding="ascii")
        user, system = stat.rpartition(")")[2].split()[11:13]  # see proc(5)
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def peak_gb(self) -> float:
        """The most memory that the worker has held so far."""
        status = Path(f"/proc/{self._child.pid}/status").read_text(encoding="ascii")
        (line,) = (line for line in status.splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024 / 1e9


if __name__ == "__main__":
    for row in rows():
        sys.stdout.write(json.dumps(row, ensure_ascii=False) + "\n")
