"""Sounds that cannot be made in time: a child renders notes, a store keeps them, none waits.

All of it runs on the player's own thread. Struck notes are rendered first, then octaves, then what
lies between, so that the nearest rendered note is soon near.
"""

from __future__ import annotations

import heapq
import itertools
import json
import logging
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from bridge.live.priority import ordinary
from bridge.live.sounds import Sample, Sound

log = logging.getLogger(__name__)

STORE_SECONDS = 1800  # of mono audio at 48 kHz, 346 MB when full; memory is taken as it is used
LOWEST, HIGHEST = 24, 96  # notes rendered unasked
STRUCK = -1.0  # before everything


class Store:
    """One array that holds every rendered note; free stretches are found first fit."""

    def __init__(self, size: int) -> None:
        self.audio = np.zeros(size, np.float32)
        self._free = [(0, size)]

    def take(self, count: int) -> int | None:
        """Where `count` samples are free, now taken; None where they are not."""
        for i, (first, size) in enumerate(self._free):
            if size >= count:
                self._free[i : i + 1] = [(first + count, size - count)] if size > count else []
                return first
        return None

    def give(self, first: int, count: int) -> None:
        """Undo `take`."""
        merged: list[tuple[int, int]] = []
        for start, size in sorted([*self._free, (first, count)]):
            if merged and sum(merged[-1]) == start:
                merged[-1] = (merged[-1][0], merged[-1][1] + size)
            else:
                merged.append((start, size))
        self._free = merged


@dataclass(frozen=True, slots=True)
class Request:
    """A note to render, and who hears of it: `done(note)`, or `failed(reason)`."""

    sound: Sound
    note: int
    done: Callable[[int], None]
    failed: Callable[[str], None]


def notes(root: int) -> list[int]:
    """The order in which notes are rendered unasked: the root, octaves, tritones, thirds, all.

    >>> notes(60)[:8]
    [60, 48, 72, 36, 84, 24, 96, 54]
    """
    between = range(LOWEST, HIGHEST + 1)
    order: dict[int, None] = {root: None}
    for step in (12, 6, 3, 1):
        order |= dict.fromkeys(
            sorted((n for n in between if (n - root) % step == 0), key=lambda n: abs(n - root))
        )
    return list(order)


class Sampler:
    """The child and what it is still to render. One request is with the child at a time."""

    def __init__(self, rate: int, hear: Callable[[Callable[[], None]], None]) -> None:
        """`hear` is called from the reading thread with work for the player's thread."""
        self.store = Store(STORE_SECONDS * 48000)
        self._rate, self._hear = rate, hear
        self._child: subprocess.Popen[str] | None = None
        self._waiting: list[tuple[float, int, Request]] = []
        self._count = itertools.count()
        self._current: Request | None = None
        self._folder = tempfile.TemporaryDirectory(prefix="scorewire-notes-")

    def want(self, request: Request, urgency: float = STRUCK) -> None:
        """Render a note of a sound unless it is there or on its way; smaller urgencies first."""
        asked = (request.sound, request.note)
        if request.note in request.sound.samples or (
            self._current is not None and asked == (self._current.sound, self._current.note)
        ):
            return
        heapq.heappush(self._waiting, (urgency, next(self._count), request))
        self._next()

    def forget(self, sound: Sound) -> None:
        """Render nothing more of a sound; the store gets its samples back."""
        self._waiting = [entry for entry in self._waiting if entry[2].sound is not sound]
        heapq.heapify(self._waiting)
        for sample in sound.samples.values():
            self.store.give(sample.first, sample.samples)
        sound.samples = {}

    def drop(self, sound: Sound) -> None:
        """Render nothing more of a sound that still may sound."""
        self._waiting = [entry for entry in self._waiting if entry[2].sound is not sound]
        heapq.heapify(self._waiting)

    def close(self) -> None:
        """End the child and remove what it wrote."""
        self._waiting = []
        if self._child is not None and self._child.stdin is not None:
            self._child.stdin.close()
            self._child.kill()
            self._child.wait()
        self._folder.cleanup()

    def _next(self) -> None:
        while self._current is None and self._waiting:
            request = heapq.heappop(self._waiting)[2]
            if request.note not in request.sound.samples:
                self._send(request)

    def _send(self, request: Request) -> None:
        child = self._child or self._start()
        self._current = request
        sound = request.sound
        plain = sound.preset.model_copy(update={"values": dict(sound.values), "effects": ()})
        line = {
            "number": 0,
            "preset": plain.model_dump(mode="json"),
            "note": request.note,
            "rate": self._rate,
            "file": str(Path(self._folder.name) / "note.f32"),
        }
        if child.stdin is None:
            return
        try:
            child.stdin.write(json.dumps(line) + "\n")
            child.stdin.flush()
        except BrokenPipeError:
            log.warning("the rendering child is gone")  # its reader says so too

    def _start(self) -> subprocess.Popen[str]:
        quiet = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}
        with ordinary():
            self._child = subprocess.Popen(
                [sys.executable, "-m", "bridge.live.prerender"], text=True,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, **quiet},
            )  # fmt: skip
        threading.Thread(target=self._read, args=(self._child.stdout,), daemon=True).start()
        return self._child

    def _read(self, lines: IO[str]) -> None:
        for line in lines:
            answer = json.loads(line)
            self._hear(lambda answer=answer: self._take(answer))  # type: ignore[misc]
        self._hear(self._gone)

    def _take(self, answer: dict[str, Any]) -> None:
        request, self._current = self._current, None
        if request is None:
            return
        if "reason" in answer:
            request.failed(answer["reason"])
            self.drop(request.sound)
        else:
            self._keep(request, answer["samples"])
        self._next()

    def _keep(self, request: Request, count: int) -> None:
        first = self.store.take(count)
        if first is None:
            log.warning("no memory for more notes: what is rendered is played at other pitches")
            self._waiting = []
            return
        with (Path(self._folder.name) / "note.f32").open("rb") as file:
            file.readinto(self.store.audio[first : first + count].data.cast("B"))  # holds no GIL
        sound = request.sound
        sound.samples = {**sound.samples, request.note: Sample(first, count)}  # never changed
        request.done(request.note)

    def _gone(self) -> None:
        self._child = None
        request, self._current = self._current, None
        if request is not None:  # most likely it killed the child: not tried again
            request.failed(f"the process that renders notes ended at note {request.note}")
            self.drop(request.sound)
            self._next()
