"""Sample sounds that cannot be rendered in real time: a child renders notes, a store keeps them.

All of it runs on the player's own thread. Struck notes are rendered first, then octaves, then what
lies between, so that the nearest rendered note is soon near.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import json
import logging
import os
import subprocess
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from bridge.player.loading import Sample, Sound
from bridge.player.thread_priority import ordinary
from bridge.processes import parent_watch
from presets.reading import read_json

log = logging.getLogger(__name__)

STORE_SECONDS = 1800  # of mono audio at 48 kHz, 346 MB when full; memory is taken as it is used
LOWEST, HIGHEST = 24, 96  # notes rendered unasked
STRUCK = -1.0  # before everything
SPARE = 0.5  # of the store is kept for what was asked for: 128 slots of 6 s are 768 s


class Store:
    """One array that holds every rendered note; free stretches are found first fit."""

    def __init__(self, size: int) -> None:
        self.audio = np.zeros(size, np.float32)
        self._free = [(0, size)]

    def take(self, count: int, spare: int = 0) -> int | None:
        """Where `count` samples are free, now taken; None where they are not.

        At least `spare` stay free for others.
        """
        if sum(size for _, size in self._free) < count + spare:
            return None
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
    """A note to render, and what is called then: `done(note)`, or `failed(reason)`."""

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
        self._urgency = STRUCK  # of the current one
        self._unwanted = False  # what comes of the current one
        self._kept: set[Sound] = set()  # sounds with samples in this store
        self._folder = tempfile.TemporaryDirectory(prefix="scorewire-notes-")

    def want(self, request: Request, urgency: float = STRUCK) -> None:
        """Render a note of a sound unless it is there or on its way; smaller urgencies first."""
        wanted = (request.sound, request.note)
        current = None if self._unwanted else self._current
        on_its_way = current is not None and wanted == (current.sound, current.note)
        if request.note in request.sound.samples or on_its_way:
            return
        heapq.heappush(self._waiting, (urgency, next(self._count), request))
        self._next()

    def forget(self, sound: Sound) -> None:
        """Render nothing more of a sound; the store gets its samples back."""
        self.drop(sound)
        if sound in self._kept:
            self._kept.remove(sound)
            for sample in sound.samples.values():
                self.store.give(sample.first, sample.samples)
            sound.samples = {}

    def drop(self, sound: Sound) -> None:
        """Render nothing more of a sound that still may sound; nobody hears of what was asked."""
        self._waiting = [entry for entry in self._waiting if entry[2].sound is not sound]
        heapq.heapify(self._waiting)
        if self._current is not None and self._current.sound is sound:
            self._unwanted = True

    def close(self) -> list[Request]:
        """End the child and remove what it wrote; what was asked for and is not rendered."""
        left = [request for _, _, request in sorted(self._waiting, key=lambda entry: entry[:2])]
        if self._current is not None and not self._unwanted:
            left.insert(0, self._current)
        self._waiting, self._current = [], None
        if self._child is not None:
            self._child.kill()
            self._bury(self._child)
        self._folder.cleanup()
        return left

    def _next(self) -> None:
        while self._current is None and self._waiting:
            self._urgency, _, request = heapq.heappop(self._waiting)
            if request.note not in request.sound.samples:
                self._send(request)

    def _send(self, request: Request) -> None:
        child = self._child or self._start()
        self._current, self._unwanted = request, False
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
                parent_watch.command("bridge.player.prerender"), text=True,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, **quiet},
                start_new_session=True,  # Ctrl-C reaches us, and we end it
            )  # fmt: skip
        threading.Thread(target=self._read, args=(self._child.stdout,), daemon=True).start()
        return self._child

    def _read(self, lines: IO[str]) -> None:
        for line in lines:
            answer = read_json(line)
            self._hear(lambda answer=answer: self._take(answer))  # type: ignore[misc]
        self._hear(self._handle_exit)

    def _take(self, answer: dict[str, Any]) -> None:
        request, self._current = self._current, None
        if request is None:
            return
        if not self._unwanted:
            if "reason" in answer:
                request.failed(answer["reason"])
                self.drop(request.sound)
            else:
                self._keep(request, answer["samples"])
        self._next()

    def _keep(self, request: Request, count: int) -> None:
        struck = self._urgency == STRUCK
        spare = 0 if struck else round(SPARE * self.store.audio.size)
        first = self.store.take(count, spare)
        if first is None and struck:
            request.failed("there is no memory for more notes: empty a slot")
            return
        if first is None:
            log.info("half of the store is full: notes are rendered only when they are struck")
            self._waiting = [entry for entry in self._waiting if entry[0] == STRUCK]
            heapq.heapify(self._waiting)
            return
        with (Path(self._folder.name) / "note.f32").open("rb") as file:
            file.readinto(self.store.audio[first : first + count].data.cast("B"))  # holds no GIL
        sound = request.sound
        sound.samples = {**sound.samples, request.note: Sample(first, count)}  # never changed
        self._kept.add(sound)
        request.done(request.note)

    def _bury(self, child: subprocess.Popen[str]) -> None:
        if child.stdin is not None:
            with contextlib.suppress(BrokenPipeError):  # a line that it did not read
                child.stdin.close()
        child.wait()

    def _handle_exit(self) -> None:
        if self._child is not None:
            self._bury(self._child)
        self._child = None
        request, self._current = self._current, None
        if request is not None and not self._unwanted:  # it killed the child: not tried again
            request.failed(f"the process that renders notes ended at note {request.note}")
            self.drop(request.sound)
        self._next()
