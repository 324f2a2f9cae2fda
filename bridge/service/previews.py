"""Render presets at once, by a worker that does nothing else: never behind a job that takes long.

Whoever turns a knob waits for the sound. Nothing of it is kept, and the ledger does not know it.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack, aclosing
from pathlib import Path

from bridge.execution.local import LocalEngine
from bridge.processes.background_threads import beside
from bridge.protocol.events import Done, Event, Failed
from bridge.protocol.jobs import new_id
from bridge.protocol.patch_jobs import RenderPreset
from bridge.protocol.patch_requests import Sound
from presets import ranges, save


class Previews:
    """Renders one preset after another; its worker is started by the first and stays."""

    def __init__(self, command: Sequence[str], *, grace: float) -> None:
        self._engine = LocalEngine(command, grace=grace)
        self._stack = AsyncExitStack()
        self._turn = asyncio.Lock()  # one file for all: read before the next one is written
        self._folder: Path | None = None

    async def __aenter__(self) -> Previews:
        await self._stack.enter_async_context(self._engine)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def sound(self, asked: Sound) -> bytes:
        """The WAV of a preset. Raises `ValueError` with one sentence when it cannot be rendered."""
        ranges.check(asked.preset)
        async with self._turn:
            folder = self._place()
            job = RenderPreset(
                id=new_id(),
                preset=str(folder / "preset.json"),
                out=str(folder / "sound.wav"),
                note=asked.note,
                velocity=asked.velocity,
                duration=asked.duration,
                fleeting=True,
            )
            await beside(save, asked.preset, job.preset)
            last: Event | None = None
            async with aclosing(self._engine.submit(job)) as events:
                async for event in events:
                    last = event
            if isinstance(last, Done):
                return await beside(_taken, Path(job.out))
        raise ValueError(last.reason if isinstance(last, Failed) else "the preview was stopped")

    def _place(self) -> Path:
        """The folder of preset and sound, which goes with the server."""
        if self._folder is None:
            made = tempfile.TemporaryDirectory(prefix="scorewire-previews-")
            self._folder = Path(self._stack.enter_context(made))
        return self._folder


def _taken(path: Path) -> bytes:
    """What is in a file, which goes."""
    data = path.read_bytes()
    path.unlink()
    return data
