"""Audio outputs with their MIDI inputs: JACK, PortAudio with RtMidi, or a file.

An output calls `Play` on its audio thread, which returns mono for both channels. It says that it
is gone by `gone`, never by an exception on the audio thread; the player opens it again by name.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from bridge.player.protocol import MAX_SYSEX

log = logging.getLogger(__name__)

Message = tuple[int, bytes]  # samples into the block, MIDI
Play = Callable[[Iterable[Message], int], NDArray[np.float32]]

QUEUE = 1024  # MIDI messages of a block that came early
LONGEST_BLOCK = 8192


class Output(Protocol):
    """An open device: its figures, its late blocks, whether it is still there."""

    kind: str
    name: str
    rate: int
    frames: int
    xruns: int
    gone: str  # "" while it is there, else why not

    def send(self, data: bytes) -> None:
        """One SysEx message to the MIDI output."""

    def close(self) -> None:
        """Leave."""


class NoDevice(ValueError):
    """There is nothing to open."""


class Jack:
    """A JACK client: ports out_1, out_2, midi_in, midi_out. Events keep their place in a block."""

    kind = "jack"

    def __init__(self, name: str, make: Callable[[int], Play], *, connect: bool) -> None:
        """`make(rate)` gives what to play; `connect` to the first two speakers."""
        try:
            import jack  # an extra; the library of the system is loaded here
        except (ImportError, OSError) as error:
            raise NoDevice(f"JACK cannot be used: {error}") from None
        self.gone = ""
        self._out: deque[bytes] = deque()
        jack.set_error_function(log.debug)
        jack.set_info_function(log.debug)
        try:
            self._client = jack.Client(name, no_start_server=True)
        except jack.JackOpenError as error:
            log.info("%s", error)
            raise NoDevice("no JACK server runs") from None
        try:
            self._join(make, connect)
        except jack.JackError as error:  # the server ended meanwhile
            self._client.close()
            raise NoDevice(f"the JACK server cannot be joined: {error}") from None

    def _join(self, make: Callable[[int], Play], connect: bool) -> None:
        client = self._client
        self.name, self.rate, self.frames = client.name, client.samplerate, client.blocksize
        self.xruns = 0
        self._play = make(self.rate)
        left, right = (client.outports.register(f"out_{n}") for n in (1, 2))
        notes = client.midi_inports.register("midi_in")
        sysex = client.midi_outports.register("midi_out")

        @client.set_process_callback  # type: ignore[untyped-decorator]
        def process(frames: int) -> None:
            events = [(at, bytes(data)) for at, data in notes.incoming_midi_events()]
            audio = self._play(events, frames)
            left.get_array()[:] = audio
            right.get_array()[:] = audio
            sysex.clear_buffer()
            if self._out:
                sysex.write_midi_event(0, self._out.popleft())  # one a block: 4 kB at most

        @client.set_xrun_callback  # type: ignore[untyped-decorator]
        def late(_microseconds: float) -> None:
            self.xruns += 1

        @client.set_shutdown_callback  # type: ignore[untyped-decorator]
        def shutdown(_status: Any, reason: str) -> None:
            self.gone = reason or "the JACK server ended"

        @client.set_blocksize_callback  # type: ignore[untyped-decorator]
        def resized(frames: int) -> None:
            self.frames = frames

        client.activate()
        self.xruns = 0  # jackd may report one while a client comes
        if connect:
            speakers = client.get_ports(is_physical=True, is_input=True, is_audio=True)
            for ours, theirs in zip((left, right), speakers, strict=False):
                client.connect(ours, theirs)

    def send(self, data: bytes) -> None:
        """Queue bytes, in pieces that JACK's MIDI buffers hold."""
        self._out.extend(data[i : i + MAX_SYSEX] for i in range(0, len(data), MAX_SYSEX))

    def close(self) -> None:
        """Leave the server, if it is there."""
        if not self.gone:
            self._client.deactivate()
        self._client.close()


class PortAudio:
    """A sound card by PortAudio, MIDI by a virtual port of RtMidi (or the first real ones)."""

    kind = "portaudio"

    def __init__(self, name: str, make: Callable[[int], Play], *, device: str, frames: int) -> None:
        """`device` is part of its name, "" the system's own choice."""
        try:
            import sounddevice
        except (ImportError, OSError) as error:
            raise NoDevice(f"PortAudio cannot be used: {error}") from None
        sounddevice._terminate()  # the list of devices is made once, when PortAudio starts
        sounddevice._initialize()
        try:
            device_info = sounddevice.query_devices(device or None, "output")
        except (ValueError, sounddevice.PortAudioError) as error:
            log.info("%s", error)
            named = f" is called {device!r}" if device else " was found"
            raise NoDevice(f"no sound card{named}") from None
        self.name, self.rate, self.frames = (
            device_info["name"],
            int(device_info["default_samplerate"]),
            frames,
        )
        self.gone = ""
        self.xruns = 0
        self._closing = False
        self._events: deque[Message] = deque(maxlen=QUEUE)
        self._play = make(self.rate)
        self._midi = Keyboard(name, lambda data: self._events.append((0, data)))
        try:
            self._stream = sounddevice.OutputStream(
                samplerate=self.rate, blocksize=frames, device=device_info["index"], channels=2,
                dtype="float32", latency="low",
                callback=self._process, finished_callback=self._mark_gone,
            )  # fmt: skip
            self._stream.start()
        except sounddevice.PortAudioError as error:  # another program has it
            self._midi.close()
            raise NoDevice(f"{self.name} cannot be opened: {error}") from None

    def _process(self, out: NDArray[np.float32], frames: int, _time: Any, status: Any) -> None:
        if status.output_underflow:
            self.xruns += 1
        events = [self._events.popleft() for _ in range(len(self._events))]
        out[:] = self._play(events, frames)[:, None]

    def _mark_gone(self) -> None:
        if not self._closing:
            self.gone = "the sound card is gone"

    def send(self, data: bytes) -> None:
        """Send bytes now."""
        self._midi.send(data)

    def close(self) -> None:
        """Stop."""
        self._closing = True
        self._stream.close()
        self._midi.close()


class Keyboard:
    """MIDI in and out by RtMidi: ports of our own where there can be, else the first there are."""

    def __init__(self, name: str, hear: Callable[[bytes], None]) -> None:
        self._ports: list[Any] = []
        try:
            import rtmidi
        except ImportError as error:
            log.warning("no MIDI: %s", error)
            return
        try:
            ports = [rtmidi.MidiIn(name=name), rtmidi.MidiOut(name=name)]
            for port in ports:
                try:
                    port.open_virtual_port("midi")
                except (NotImplementedError, rtmidi.UnsupportedOperationError):  # Windows
                    if port.get_port_count():
                        port.open_port(0)
        except (SystemError, rtmidi.SystemError) as error:
            log.warning("no MIDI: %s", error)
            return
        ports[0].ignore_types(sysex=True, timing=False, active_sense=True)
        ports[0].set_callback(lambda event, _: hear(bytes(event[0])))
        self._ports = ports

    def send(self, data: bytes) -> None:
        """Send one message, in pieces."""
        if not self._ports:
            raise NoDevice("there is no MIDI output")
        for i in range(0, len(data), MAX_SYSEX):
            self._ports[1].send_message(data[i : i + MAX_SYSEX])

    def close(self) -> None:
        """Close both ports."""
        for port in self._ports:
            port.close_port()
            port.delete()
        self._ports = []


class Offline:
    """No device: blocks at their pace into a file of raw float32, mono. SysEx goes beside it."""

    kind = "offline"

    def __init__(self, path: Path, make: Callable[[int], Play], *, rate: int, frames: int) -> None:
        self.name, self.rate, self.frames = path.name, rate, frames
        self.xruns, self.gone = 0, ""
        self._play = make(rate)
        self._path = path
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        due = time.monotonic()
        with self._path.open("wb") as file:
            while not self._stop.is_set():
                file.write(self._play((), self.frames).tobytes())
                due += self.frames / self.rate
                time.sleep(max(0.0, due - time.monotonic()))

    def send(self, data: bytes) -> None:
        """Append to the file of the same name with the ending syx."""
        with self._path.with_suffix(".syx").open("ab") as file:
            file.write(data)

    def close(self) -> None:
        """Stop, and end the file."""
        self._stop.set()
        self._thread.join()
