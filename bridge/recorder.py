"""Record what plays on a JACK server into a WAV, in a process of its own.

    python -m bridge.recorder

The first line of stdin is a `Record` job, its events leave as lines of stdout
(`bridge.protocol.jobs`). A line `{"kind": "stop"}`, the end of stdin, SIGINT or SIGTERM end the
recording and keep it;
`{"kind": "cancel"}` drops it. Three threads: JACK's, which copies into a lock-free ring; stdin; and
the main thread, which writes from the ring to disk.

The file is a WAV at any time: once a second its header is brought up to date, so a crash costs one
second. Frames that JACK could not hand over in time are silence, so what follows is in its place.
"""

from __future__ import annotations

import array
import logging
import math
import os
import re
import signal
import struct
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from bridge.files import wav, write_terms
from bridge.files.atomic_output import code_of
from bridge.player.thread_priority import raise_priority
from bridge.processes import parent_watch
from bridge.protocol.events import Cancelled, Event, Failed
from bridge.protocol.jobs import Record, job_adapter, sentence
from bridge.protocol.worker_loop import Clock
from bridge.stems.bwf_metadata import ixml
from presets.reading import read_json

log = logging.getLogger(__name__)

NAME = "scorewire-record"
NO_SERVER = "no JACK server runs: start one (`jackd -d alsa`, or PipeWire with its JACK part)"
RING_SECONDS = 10.0  # that the disk may be late
LOST_SECONDS = 10.0  # of silence at most for frames that never came; more is another time
SAY = 0.25  # seconds between two reports
FLUSH = 1.0
POLL = 0.02
SILENT = 30.0  # seconds without a single period, after which the server is taken as stuck
CLOCK = 2**32  # JACK's frames wrap here
MAX_CHANNELS = 64
_BLOCK = struct.Struct("=IIII")  # frame of the clock, frames, whether the transport rolls, where


class CannotRecord(ValueError):
    """Why not: a stable short `code` and a sentence."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code


@dataclass(frozen=True, slots=True)
class Block:
    """One period: the frame of JACK's clock at its start, and its samples, a channel at a time.

    `transport` is the frame of the transport at its start while that rolls, else None.
    """

    at: int
    frames: int
    transport: int | None
    planar: bytes

    def interleave(self) -> array.array[float]:
        """The samples as a file has them."""
        planar = array.array("f", self.planar)
        channels = len(planar) // self.frames
        mixed = array.array("f", bytes(len(self.planar)))
        for c in range(channels):
            mixed[c::channels] = planar[c * self.frames : (c + 1) * self.frames]
        return mixed


class Capture:
    """A JACK client with one input a source; `blocks` is what came since the last call."""

    def __init__(self, patterns: tuple[str, ...]) -> None:
        """`patterns` are names or regular expressions of output ports; none: the sound card's."""
        try:
            import jack  # an extra; the library of the system is loaded here
        except (ImportError, OSError) as error:
            raise CannotRecord("no-device", f"JACK cannot be used: {error}") from None
        jack.set_error_function(log.debug)
        jack.set_info_function(log.debug)
        try:
            self._client = jack.Client(NAME, no_start_server=True)
        except jack.JackOpenError as error:
            log.info("%s", error)
            raise CannotRecord("no-device", NO_SERVER) from None
        try:
            self._join(jack, patterns)
        except jack.JackError as error:  # the server ended meanwhile
            self._client.close()
            raise CannotRecord("no-device", f"JACK cannot be joined: {error}") from None
        except CannotRecord:
            self._client.close()
            raise

    def _join(self, jack: Any, patterns: tuple[str, ...]) -> None:
        client = self._client
        self.rate, self.xruns, self.gone = client.samplerate, 0, ""
        self.sources = [port.name for port in _matching(client, patterns)]
        ports = [client.inports.register(f"in_{n}") for n in range(1, len(self.sources) + 1)]
        self._frame_bytes = 4 * len(ports)
        self._ring = ring = jack.RingBuffer(round(RING_SECONDS * self.rate) * self._frame_bytes)
        armed, freewheels = threading.Event(), threading.Event()

        @client.set_process_callback  # type: ignore[untyped-decorator]
        def process(frames: int) -> None:
            size = _BLOCK.size + frames * self._frame_bytes
            while freewheels.is_set() and ring.write_space < size:
                time.sleep(0.001)  # nobody waits for this period
            if not armed.is_set() or ring.write_space < size:
                return  # the next block's clock tells how much is missing
            state, position = client.transport_query_struct()
            rolls = state == jack.ROLLING
            ring.write(_BLOCK.pack(client.last_frame_time, frames, rolls, position.frame))
            for port in ports:
                ring.write(port.get_buffer())

        @client.set_freewheel_callback  # type: ignore[untyped-decorator]
        def freewheel(starting: bool) -> None:
            (freewheels.set if starting else freewheels.clear)()

        @client.set_xrun_callback  # type: ignore[untyped-decorator]
        def late(_microseconds: float) -> None:
            self.xruns += 1

        @client.set_shutdown_callback  # type: ignore[untyped-decorator]
        def shutdown(_status: Any, reason: str) -> None:
            self.gone = reason or "the JACK server ended"

        client.activate()
        for source, port in zip(self.sources, ports, strict=True):
            client.connect(source, port)
        self.xruns = 0  # jackd may report one while a client comes
        armed.set()

    def blocks(self) -> Iterator[Block]:
        """The whole blocks in the ring."""
        left = self._ring.read_space  # what comes meanwhile is for the next call
        while left >= _BLOCK.size:
            at, frames, rolls, transport = _BLOCK.unpack(self._ring.peek(_BLOCK.size))
            size = frames * self._frame_bytes
            left -= _BLOCK.size + size
            if left < 0:
                return
            self._ring.read_advance(_BLOCK.size)
            yield Block(at, frames, transport if rolls else None, bytes(self._ring.read(size)))

    def close(self) -> None:
        """Leave the server, if it is there."""
        if not self.gone:
            self._client.deactivate()
        self._client.close()


def _matching(client: Any, patterns: tuple[str, ...]) -> list[Any]:
    """Output ports in the order of the patterns, each once."""
    ports = client.get_ports(is_audio=True, is_output=True)
    matching: list[Any]
    if not patterns:
        matching = list(client.get_ports(is_audio=True, is_output=True, is_physical=True))
    else:
        matching = []
        for pattern in patterns:
            exact = [port for port in ports if port.name == pattern]
            try:
                some = exact or [port for port in ports if re.search(pattern, port.name)]
            except re.error as error:
                raise CannotRecord("bad-input", f"input {pattern!r}: {error}") from None
            if not some:
                names = ", ".join(port.name for port in ports) or "none"
                raise CannotRecord("bad-input", f"no port is named {pattern!r}; there are {names}")
            matching += [port for port in some if port.name not in {f.name for f in matching}]
    if not 1 <= len(matching) <= MAX_CHANNELS:
        raise CannotRecord(
            "bad-input", f"1 to {MAX_CHANNELS} inputs are needed, got {len(matching)}"
        )
    return matching


class RecorderCommands:
    """The last command from stdin: "", "stop" or "cancel"."""

    def __init__(self) -> None:
        self.said = ""

    def hear(self) -> None:
        """Read stdin to its end, which means stop."""
        for line in sys.stdin:
            try:
                kind = read_json(line).get("kind")
            except (ValueError, AttributeError):
                log.warning("stdin: not a line of ours: %r", line[:200])
                continue
            if kind in ("stop", "cancel"):
                self.said = kind
                return
        self.said = self.said or "stop"

    def stop(self, *_: object) -> None:
        """A signal."""
        self.said = self.said or "stop"


def record(job: Record, capture: Capture, orders: RecorderCommands) -> Iterator[Event]:
    """Write what is captured until `orders`, the job's duration or the server's end."""
    clock, take = Clock(job.id), RecordedFile(job, capture)
    limit = math.inf if job.duration is None else round(job.duration * capture.rate)
    last_said = flushed = last_block = time.monotonic()
    try:
        yield clock.progress(0.0, "recording")
        ended = ""
        while not ended:
            ended = orders.said or capture.gone
            for block in capture.blocks():  # what came before the order is kept
                last_block = time.monotonic()
                ended = take.add(block, limit) or ended
                if take.frames >= limit:
                    ended = "duration"
                    break
            seconds = time.monotonic()
            if seconds - last_block > SILENT:
                ended = ended or f"JACK gave nothing for {SILENT:g} s"
            if seconds - flushed > FLUSH:
                flushed = seconds
                take.flush()
            if seconds - last_said > SAY:
                last_said = seconds
                yield clock.progress(min(1.0, take.frames / limit), "recording", take.figures())
            if not ended:
                time.sleep(POLL)
    except BaseException:
        take.close()
        raise
    take.close()
    if ended == "cancel":
        take.path.unlink(missing_ok=True)
        yield Cancelled(id=job.id)
    elif take.frames == 0:
        take.path.unlink(missing_ok=True)
        yield Failed(id=job.id, code="no-sound", reason=f"nothing came from JACK: {ended}")
    else:
        yield clock.done(take.result() | {"ended": ended})


class RecordedFile:
    """A file being recorded."""

    def __init__(self, job: Record, capture: Capture) -> None:
        self.path, self._capture, self._terms = Path(job.out), capture, job.terms
        self._start = job.start_samples
        self._writer: wav.Writer | None = None
        self._first = 0  # frame of the clock
        self._lost = 0
        self._peak = self._peak_now = 0.0

    @property
    def frames(self) -> int:
        """Frames so far."""
        return 0 if self._writer is None else self._writer.frames

    def add(self, block: Block, limit: float) -> str:
        """Append a block, up to `limit` frames in all; says why no other can follow, or ""."""
        if self._writer is None:
            if self._start is None:
                self._start = block.transport or 0
            self._writer, self._first = self._open(self._start), block.at
        width = 4 * len(self._capture.sources)
        missing = (block.at - self._first - self.frames + CLOCK // 2) % CLOCK - CLOCK // 2
        if abs(missing) > LOST_SECONDS * self._capture.rate:
            return "JACK's clock has jumped"
        # After a late period JACK's clock may be a period ahead for a moment. What was too much
        # silence then is taken off the next: places are reckoned from the first frame.
        silence = max(0, missing)
        self._lost += silence
        self._write(bytes(silence * width), width, limit)
        mixed = block.interleave()
        self._peak_now = max(self._peak_now, max(mixed), -min(mixed))
        self._peak = max(self._peak, self._peak_now)
        self._write(mixed.tobytes(), width, limit)
        return ""

    def _write(self, data: bytes, width: int, limit: float) -> None:
        if self._writer is not None and data:
            room = min(len(data), int(min(limit - self._writer.frames, len(data))) * width)
            self._writer.write(data[:room])

    def _open(self, start: int) -> wav.Writer:
        sources, rate = self._capture.sources, self._capture.rate
        about = f"recorded from {', '.join(sources)}"
        self._terms.check_folder(self.path.parent)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        return wav.Writer(
            self.path,
            file=write_terms.create(self.path, self._terms),
            rate=rate,
            channels=len(sources),
            frames=None,
            bext=wav.Bext(start, about[:256], "", f"A=PCM,F={rate},W=32,T=Scorewire;JACK\r\n"),
            ixml=ixml(
                about, rate=rate, channels=sources, start_samples=start,
                project=self.path.stem, scene="", take=1, own={"recorded_from": tuple(sources)},
            ),
        )  # fmt: skip

    def flush(self) -> None:
        """Write a header for all frames so far."""
        if self._writer is not None:
            self._writer.flush()

    def close(self) -> None:
        """End the file, and leave JACK."""
        self._capture.close()
        if self._writer is not None:
            self._writer.__exit__(None, None, None)

    def figures(self) -> dict[str, float]:
        """Numbers of the moment; the peak is that since the last call."""
        peak, self._peak_now = self._peak_now, 0.0
        seconds = self.frames / self._capture.rate
        return {"seconds": seconds, "peak_db": _db(peak), "xruns": float(self._capture.xruns)}

    def result(self) -> dict[str, Any]:
        """The result of the job."""
        return {
            "wav": str(self.path),
            "frames": self.frames,
            "rate": self._capture.rate,
            "channels": len(self._capture.sources),
            "inputs": self._capture.sources,
            "start_samples": self._start,
            "peak_db": round(_db(self._peak), 2),
            "xruns": self._capture.xruns,
            "lost": self._lost,
        }


def _db(peak: float) -> float:
    return 20 * math.log10(peak) if peak > 1e-10 else -200.0


def events(line: str, orders: RecorderCommands) -> Iterator[Event]:
    """The events of the job on a line; whatever goes wrong is the last of them."""
    job_id = ""
    try:
        job = job_adapter.validate_json(line)
        job_id = job.id
        if not isinstance(job, Record):
            raise CannotRecord("bad-input", f"only a record job is known here, got {job.kind}")
        if os.path.lexists(job.out):
            raise CannotRecord(
                "bad-input", f"out {job.out} exists already: nothing is recorded over"
            )
        yield from record(job, Capture(job.inputs), orders)
    except ValidationError as error:
        yield Failed(id=job_id, code="bad-input", reason=sentence(error))
    except CannotRecord as error:
        yield Failed(id=job_id, code=error.code, reason=str(error))
    except ValueError as error:
        yield Failed(id=job_id, code="bad-output", reason=str(error))
    except OSError as error:
        reason = f"the recording stopped: {error.filename or 'the file'}: {error.strerror}"
        yield Failed(id=job_id, code=code_of(error, "bad-output"), reason=reason)


def main() -> None:
    """One recording, from stdin to a file, its events to stdout."""
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as out:
        os.dup2(2, 1)  # what libraries print is not the protocol
        logging.basicConfig(stream=sys.stderr, format="%(name)s: %(message)s")
        sys.setswitchinterval(0.0001)  # the audio thread waits at most this long for the lock
        raise_priority()
        orders = RecorderCommands()
        parent_watch.on_death(orders.stop)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, orders.stop)
        line = sys.stdin.readline()
        threading.Thread(target=orders.hear, daemon=True).start()
        for event in events(line, orders):
            out.write(event.model_dump_json() + "\n")
            out.flush()


if __name__ == "__main__":
    main()
