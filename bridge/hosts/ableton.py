"""Ableton Live: our Remote Script in it, or AbletonOSC, puts stems into the arrangement.

Live plays files where they are, so only paths travel. Our script (`scripts/ableton`) watches a
folder, and no port is opened:

    request-ID.json   {"tracks": [{"name", "colour", "file"}], "beat", "seconds"} or {"message"}
    answer-ID.json    {"done": WHAT} or {"failed": WHY}

AbletonOSC takes datagrams on port 11000 and answers to port 11001 of who asked. Its released
versions make no audio clips; some of its branches do (`/live/track/create_audio_clip`), but none of
them reaches the warp switch of an arrangement clip.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from platformdirs import user_data_path

from bridge.files.write_terms import ORDINARY, WriteRules
from bridge.hosts import installing
from bridge.hosts.base import HostCannot, HostResult
from bridge.hosts.files import whole
from bridge.hosts.layout import Layout, layout
from bridge.protocol import osc_wire
from presets.moves import private_folder
from presets.reading import read_json

SCRIPT = Path(__file__).parent / "scripts" / "ableton" / "__init__.py"
POLL = 0.05


def _exchange() -> Path:
    return user_data_path("scorewire") / "ableton"


@dataclass(frozen=True, slots=True)
class Ableton:
    """Live, as far as it can be reached from outside.

    `patience` are the seconds within which somebody takes a request, `longest` those in which Live
    may import it: it reads the files through, and makes waveforms of them.
    """

    name: str = "ableton"
    folder: Path = field(default_factory=_exchange)
    ports: tuple[int, int] = (11000, 11001)  # AbletonOSC's: to it, and from it
    patience: float = 2.0
    longest: float = 120.0

    def place_audio(self, manifest: Path, out: Path, terms: WriteRules = ORDINARY) -> HostResult:
        """Stems and residual on new tracks behind the others, unwarped, in the open set.

        Raises `ValueError` when Live does not answer or cannot; the files are where they were.
        """
        placing = layout(manifest)
        files = tuple(track.file for track in placing.tracks)
        done = self._ask(_request(placing))
        if done is not None:
            return HostResult(f"in Live: {done}; {_by_hand(placing)}", files)
        by = AbletonOSC(*self.ports, patience=self.patience, longest=self.longest)
        if by.answers():
            return HostResult(f"in Live: {by.place(placing)}; {_by_hand(placing)}", files)
        raise ValueError(
            "Live did not answer: choose Scorewire among its control surfaces (`scorewire install "
            f"ableton` puts it there), or drag the files of {manifest.parent} onto tracks"
        )

    def load_preset(self, preset: Path, track: str) -> HostResult:
        """Refused: Live opens no file in an instrument for others."""
        raise HostCannot("Live cannot load a preset for us: export it, and drag it onto the track")

    def set_param(self, track: str, param: str, value: float) -> None:
        """Refused: Live's own MIDI map does it better."""
        raise HostCannot("Live's knobs are not turned from here: map a MIDI controller to them")

    def notify(self, text: str) -> None:
        """One sentence in Live's status bar."""
        if self._ask({"message": text}) is None:
            raise HostCannot("Live shows no message: it does not run with the Scorewire script")

    def _ask(self, request: dict[str, Any]) -> str | None:
        """Ask our script by files; None when nobody took the request. Raises `ValueError`."""
        private_folder(self.folder)
        number = f"{time.time_ns():020d}-{secrets.token_hex(2)}"
        request_file, answered = (self.folder / f"{k}-{number}.json" for k in ("request", "answer"))
        with whole(request_file) as path:
            path.write_text(json.dumps(request), encoding="utf-8")
        _until(lambda: not request_file.exists(), self.patience)
        try:
            request_file.unlink()
        except FileNotFoundError:  # it was taken
            _until(answered.exists, self.longest)
        else:
            return None
        if not answered.exists():
            raise ValueError(f"Live took the stems, and said nothing for {self.longest:g} s")
        answer = read_json(answered)
        answered.unlink()
        if "failed" in answer:
            raise ValueError(f"Live could not: {answer['failed']}")
        return str(answer["done"])


def _request(placing: Layout) -> dict[str, Any]:
    tracks = [
        {"name": track.name, "colour": _colour(track.colour), "file": str(track.file)}
        for track in placing.tracks
    ]
    return {"tracks": tracks, "beat": placing.beat, "seconds": placing.start}


def _by_hand(placing: Layout) -> str:
    """List the gains to set by hand: Live's faders have no scale in dB for other programs."""
    gains = [f"{t.name} to {t.gain_db:+.1f} dB" for t in placing.tracks if t.gain_db]
    return "; set ".join(["mute the track they came from", *gains])


def _colour(text: str) -> int:
    return int(text.removeprefix("#"), 16)


def _until(true: Callable[[], bool], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while not (done := true()) and time.monotonic() < end:
        time.sleep(POLL)
    return done


class AbletonOSC:
    """The control surface of that name, as far as stems need it."""

    def __init__(self, to: int, back: int, *, patience: float, longest: float) -> None:
        self._to, self._back = ("127.0.0.1", to), ("127.0.0.1", back)
        self._patience, self._longest = patience, longest

    def answers(self) -> bool:
        """Whether it answers."""
        with self._talk() as talk:
            return talk.ask("/live/test") is not None

    def place(self, placing: Layout) -> str:
        """What was done, in words; raises `ValueError`, and leaves no track then."""
        with self._talk() as talk:
            before = int(talk.number("/live/song/get/num_tracks"))
            bpm = talk.number("/live/song/get/tempo")
            beat = placing.start * bpm / 60 if placing.beat is None else placing.beat
            try:
                for number, track in enumerate(placing.tracks, start=before):
                    talk.say("/live/song/create_audio_track", -1)
                    talk.say("/live/track/set/name", number, track.name)
                    talk.say("/live/track/set/color", number, _colour(track.colour))
                    talk.say("/live/track/create_audio_clip", number, str(track.file), beat)
                    self._clip(talk, number)
            except ValueError:
                tracks_now = int(talk.number("/live/song/get/num_tracks"))
                for number in reversed(range(before, tracks_now)):
                    talk.say("/live/song/delete_track", number)
                talk.need("/live/song/get/num_tracks")  # they are gone when this is answered
                raise
        count = len(placing.tracks)
        return f"{count} tracks at beat {beat:g}; switch Warp off in their clips if it is on"

    def _clip(self, talk: _Talk, number: int) -> None:
        """Wait until the track has its clip."""
        end = time.monotonic() + self._longest
        while time.monotonic() < end:
            if len(talk.need("/live/track/get/arrangement_clips/name", number)) > 1:
                return
            if talk.wrong:
                break
            time.sleep(POLL)
        why = f" ({talk.wrong})" if talk.wrong else ""
        raise ValueError(
            f"this AbletonOSC makes no audio clips{why}; `scorewire install ableton` puts a script "
            "beside it that does, in Live 12.0.5 and newer"
        )

    def _talk(self) -> _Talk:
        return _Talk(self._to, self._back, self._patience)


class _Talk:
    """An exchange of datagrams with Live: one request and one answer at a time."""

    def __init__(self, to: tuple[str, int], back: tuple[str, int], patience: float) -> None:
        self._to, self._patience = to, patience
        self.wrong = ""  # what /live/error said
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            self._socket.bind(back)
        except OSError as error:
            self._socket.close()
            raise ValueError(
                f"port {back[1]}, to which AbletonOSC answers, is in use: end the other program"
            ) from error

    def __enter__(self) -> _Talk:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def say(self, address: str, *args: osc_wire.Value) -> None:
        self._socket.sendto(osc_wire.encode(address, args), self._to)

    def ask(self, address: str, *args: osc_wire.Value) -> tuple[osc_wire.Value, ...] | None:
        """The arguments of the answer, which has the address of the question; None without one."""
        self.say(address, *args)
        end = time.monotonic() + self._patience
        while (left := end - time.monotonic()) > 0:
            self._socket.settimeout(left)
            try:
                messages = osc_wire.decode(self._socket.recv(65536))
            except osc_wire.Malformed:
                continue
            except OSError:  # nobody listens there, or no answer in time
                return None
            for message in messages:
                if message.address == "/live/error":
                    self.wrong = str(message.args[0]) if message.args else "an error"
                elif message.address == address:
                    return message.args
        return None

    def need(self, address: str, *args: osc_wire.Value) -> tuple[osc_wire.Value, ...]:
        """Like `ask`; raises `ValueError` without an answer."""
        answer = self.ask(address, *args)
        if not answer:
            raise ValueError(f"AbletonOSC did not answer {address} within {self._patience:g} s")
        return answer

    def number(self, address: str) -> float:
        """The first argument of an answer; raises `ValueError` when it is no number."""
        value = self.need(address)[0]
        if not isinstance(value, int | float):
            raise ValueError(f"AbletonOSC answered {value!r} to {address}, which is no number")
        return float(value)


def install(path: Path | None, *, force: bool) -> HostResult:
    """Put the Remote Script into the User Library `path`, or the usual one.

    Raises `ValueError` when it is not there, or holds another script of that name and `force` is
    not set.
    """
    files = installing.write_scripts(_home(path), _files(), force=force)
    text = "restart Live, and choose Scorewire in Settings > Link, Tempo & MIDI > Control Surface"
    return HostResult(text, files)


def uninstall(path: Path | None, *, force: bool) -> HostResult:
    """Take away what `install` put there. Raises as that does."""
    return installing.remove_scripts(_home(path), _files(), force=force)


def _files() -> dict[str, str]:
    return {SCRIPT.name: SCRIPT.read_text(encoding="utf-8"), "folder.txt": f"{_exchange()}\n"}


def library() -> Path:
    """Live's User Library of this user, where Live puts it unless told otherwise."""
    if sys.platform == "darwin":
        return Path.home() / "Music" / "Ableton" / "User Library"
    home = Path(os.environ.get("USERPROFILE", Path.home()))
    return home / "Documents" / "Ableton" / "User Library"


def _home(path: Path | None) -> Path:
    base = path or library()
    if not base.is_dir():
        raise ValueError(
            f"Live's User Library {base} is not there: name the folder that Live shows under "
            "Settings > Library with --path"
        )
    return base.absolute() / "Remote Scripts" / "Scorewire"
