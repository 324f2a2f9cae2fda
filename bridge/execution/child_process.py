"""A child process that speaks in lines: stdin and stdout for the protocol, stderr for the log."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import subprocess
from collections import deque
from collections.abc import Sequence
from typing import cast

log = logging.getLogger(__name__)

MAX_LINE = 8 * 2**20  # bytes; a longer line is noise
TAIL = 40  # last lines of stderr kept
# Threads that spin long on busy cores starve one another: beside other work a training step of
# 1.5 s took 13 s. Threads that never spin are slow alone: an evaluation of the model took 42 ms,
# not 21. This many turns took 25 ms alone, and 73 ms beside two busy processes.
PATIENT = {"GOMP_SPINCOUNT": "5000"}


class Child(asyncio.SubprocessProtocol):
    """One child process: lines of its stdout in `lines` (None after the last), stderr in `tail`."""

    def __init__(self) -> None:
        self.lines: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.tail: deque[str] = deque(maxlen=TAIL)
        self.returncode: int | None = None
        self.alive = True
        self.pid = 0
        self._transport: asyncio.SubprocessTransport | None = None
        self._parts = {1: b"", 2: b""}
        self._exited = asyncio.Event()
        self._silent = False

    @classmethod
    async def start(cls, command: Sequence[str]) -> Child:
        """Start the child in its own session, so that Ctrl-C reaches us and we end it.

        Its threads spin but shortly while they wait, unless the user has set OMP_WAIT_POLICY.
        """
        loop = asyncio.get_running_loop()
        chosen = "OMP_WAIT_POLICY" in os.environ
        _, worker = await loop.subprocess_exec(
            cls,
            *command,
            stdin=subprocess.PIPE,
            start_new_session=True,
            env=dict(os.environ) if chosen else PATIENT | os.environ,
        )
        log.info("worker %d started", worker.pid)
        return worker

    @property
    def ending(self) -> str:
        """How it ended, in words: 'killed by SIGSEGV', 'exit code 1'."""
        if self.returncode is None:
            return "unknown end"
        if self.returncode >= 0:
            return f"exit code {self.returncode}"
        try:
            return f"killed by {signal.Signals(-self.returncode).name}"
        except ValueError:
            return f"killed by signal {-self.returncode}"

    def send(self, line: str) -> None:
        """Write one line to the child; what cannot be written shows as its death."""
        pipe = self._transport.get_pipe_transport(0) if self._transport else None
        if pipe is not None and not pipe.is_closing():
            cast(asyncio.WriteTransport, pipe).write(line.encode() + b"\n")

    async def close(self, patience: float) -> None:
        """Close its stdin, wait `patience` seconds, then kill it, and wait for its end."""
        if self._transport is None:
            return
        pipe = self._transport.get_pipe_transport(0)
        if pipe is not None:
            pipe.close()
        if patience > 0 and not self._exited.is_set():
            try:
                await asyncio.wait_for(self._exited.wait(), patience)
            except TimeoutError:
                log.warning("worker %d did not leave in %.1f s: killing it", self.pid, patience)
        if not self._exited.is_set():
            self._transport.kill()
            await self._exited.wait()
        self._transport.close()
        self._transport = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember the transport (asyncio)."""
        self._transport = cast(asyncio.SubprocessTransport, transport)
        self.pid = self._transport.get_pid()

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        """Cut what came into lines (asyncio)."""
        *lines, rest = (self._parts[fd] + data).split(b"\n")
        if len(rest) > MAX_LINE:
            log.warning("worker %d: a line of more than %d bytes was dropped", self.pid, MAX_LINE)
            rest = b""
        self._parts[fd] = rest
        for line in lines:
            if fd == 1:
                self.lines.put_nowait(line)
            elif line.strip():
                self._hear(line)

    def process_exited(self) -> None:
        """The child is gone; its last output may still be in the pipes (asyncio)."""
        self.alive = False
        if self._transport is not None:
            self.returncode = self._transport.get_returncode()
        self._exited.set()
        # A grandchild may hold the pipes open for ever; half a second is enough for what is ours.
        asyncio.get_running_loop().call_later(0.5, self._finish)

    def connection_lost(self, exc: Exception | None) -> None:
        """The child is gone and both pipes are read to their end (asyncio)."""
        self._finish()

    def _finish(self) -> None:
        if self._silent:
            return
        self._silent = True
        if self._parts[1].strip():
            log.warning(
                "worker %d ended in the middle of a line: %r", self.pid, self._parts[1][:200]
            )
        if self._parts[2].strip():
            self._hear(self._parts[2])
        self.lines.put_nowait(None)

    def _hear(self, line: bytes) -> None:
        text = line.decode("utf-8", "replace").rstrip()
        self.tail.append(text)
        log.info("worker %d: %s", self.pid, text)
