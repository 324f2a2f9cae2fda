"""Open the audio and MIDI device by its name, notice when it vanishes, and open it again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

from pydantic import BaseModel

from bridge.player import protocol
from bridge.player.audio_outputs import Jack, Message, NoDevice, Offline, Output, PortAudio
from bridge.player.options import Options

REOPEN = 0.5  # seconds between two tries


class Device:
    """The device of a player, or the reason why there is none.

    `play_function` makes the audio callback of a rate; `say` writes a line of the player.
    """

    def __init__(
        self,
        options: Options,
        play_function: Callable[[int], Callable[[Iterable[Message], int], Any]],
        say: Callable[[BaseModel], None],
    ) -> None:
        self._options, self._play_function, self._say = options, play_function, say
        self._output: Output | None = None
        self.why = ""  # there is no device
        self._tried = -REOPEN
        self.xruns = self._xruns_before = 0

    @property
    def is_open(self) -> bool:
        """Whether there is one."""
        return self._output is not None

    @property
    def frames(self) -> int:
        """Frames a block: those of the device, else those asked for."""
        return self._output.frames if self._output is not None else self._options.frames

    def check(self) -> bool:
        """Notice late blocks and a vanished device, open one again; True when it has vanished."""
        seconds = time.monotonic()
        if self._output is not None:
            return self._look_after(self._output, seconds)
        if seconds - self._tried >= REOPEN:
            self._tried = seconds
            self._try_to_open()
        return False

    def send(self, data: bytes) -> None:
        """Send bytes of MIDI; raises `NoDevice`."""
        if self._output is None:
            raise NoDevice("there is no device to send to")
        self._output.send(data)

    def close(self) -> None:
        """Close the device after the fade of a silenced instrument."""
        if self._output is not None:
            time.sleep(0.03)  # the fade
            self._output.close()

    def _look_after(self, output: Output, seconds: float) -> bool:
        total = self._xruns_before + output.xruns
        if total > self.xruns:
            self.xruns = total
            self._say(protocol.Xrun(count=total))
        if not output.gone:
            return False
        self.why = output.gone
        self._say(protocol.Gone(name=output.name, reason=self.why))
        self._xruns_before = self.xruns
        output.close()
        self._output, self._tried = None, seconds
        return True

    def _try_to_open(self) -> None:
        try:
            o = self._output = self._open()
        except NoDevice as error:
            if str(error) != self.why:
                self.why = str(error)
                self._say(protocol.Gone(name=self._options.name, reason=self.why))
        else:
            self.why = ""
            self._say(protocol.Ready(output=o.kind, name=o.name, rate=o.rate, frames=o.frames))

    def _open(self) -> Output:
        o, make = self._options, self._play_function
        if o.output == "offline" and o.capture is not None:
            return Offline(o.capture, make, rate=o.rate, frames=o.frames)
        reasons = []
        if o.output in ("auto", "jack"):
            try:
                return Jack(o.name, make, connect=o.connect)
            except NoDevice as error:
                reasons.append(str(error))
        if o.output in ("auto", "portaudio"):
            try:
                return PortAudio(o.name, make, device=o.device, frames=o.frames)
            except NoDevice as error:
                reasons.append(str(error))
        raise NoDevice("; ".join(reasons))
