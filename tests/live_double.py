"""A double of Ableton Live: its set as Remote Scripts see it, and AbletonOSC's datagrams over it.

The set keeps to what Live's Python API documents of the calls we use: argument counts and types,
an index of -1 for "behind the others", a path that must exist. AbletonOSC is modelled on its
sources: it answers to a fixed port, says nothing to calls without a result, echoes the track's
index, and reports unknown addresses at /live/error.
"""

import importlib.util
import socket
import sys
import threading
import types
from pathlib import Path

from pythonosc.osc_message import OscMessage
from pythonosc.osc_message_builder import OscMessageBuilder


class Clip:
    def __init__(self, path, beat):
        self.file_path, self.start_time, self.name = path, beat, Path(path).stem
        self.color, self.warping = 0, True  # Auto-Warp Long Samples is on


class Track:
    def __init__(self, song):
        self._song = song
        self.name, self.color, self.arrangement_clips = "Audio", 0, []

    def create_audio_clip(self, path, beat):
        assert isinstance(path, str)
        assert isinstance(beat, float)
        if not Path(path).is_file() or not Path(path).is_absolute():
            raise RuntimeError(f"cannot open {path}")
        self._song.imports -= 1
        if self._song.imports < 0:
            raise RuntimeError("the track is frozen")
        self.arrangement_clips.append(Clip(path, beat))
        return self.arrangement_clips[-1]


class OldTrack(Track):
    """Before Live 12.0.5."""

    @property
    def create_audio_clip(self):
        raise AttributeError("'Track' object has no attribute 'create_audio_clip'")


class Song:
    def __init__(self, *, tempo=120.0, kind=Track):
        self.tempo, self._kind, self.imports = tempo, kind, 100
        self.tracks = [kind(self)]
        self.undo = 0  # open steps
        self.steps = 0

    def create_audio_track(self, index):
        assert index == -1
        assert self.undo <= 1
        self.tracks.append(self._kind(self))
        return self.tracks[-1]

    def delete_track(self, index):
        del self.tracks[index]

    def begin_undo_step(self):
        self.undo += 1

    def end_undo_step(self):
        self.undo -= 1
        self.steps += 1


class ControlSurface:
    """What `_Framework.ControlSurface` gives our script."""

    def __init__(self, c_instance):
        self._c_instance = c_instance
        self.shown = []

    def song(self):
        return self._c_instance

    def show_message(self, text):
        self.shown.append(text)

    def update_display(self):
        pass


class Live:
    """Live with our script chosen: `update_display` is called as Live does, until `close`."""

    def __init__(self, script: Path, song: Song):
        framework = types.ModuleType("_Framework")
        surface = types.ModuleType("_Framework.ControlSurface")
        surface.ControlSurface = ControlSurface
        sys.modules["_Framework"], sys.modules["_Framework.ControlSurface"] = framework, surface
        try:
            spec = importlib.util.spec_from_file_location("Scorewire_in_Live", script)
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
        finally:
            del sys.modules["_Framework"], sys.modules["_Framework.ControlSurface"]
        self.surface = module.create_instance(song)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self):
        while not self._stop.wait(0.01):
            self.surface.update_display()

    def close(self):
        self._stop.set()
        self._thread.join()


class AbletonOSC:
    """The control surface of that name; `clips` as in the branches that make audio clips."""

    def __init__(self, song: Song, back: int, *, clips: bool, complains: bool = True):
        self.song, self._complains = song, complains
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._back = ("127.0.0.1", back)
        self.port = self._socket.getsockname()[1]
        self._calls = {
            "/live/test": lambda _: ("ok",),
            "/live/song/get/num_tracks": lambda _: (len(song.tracks),),
            "/live/song/get/tempo": lambda _: (song.tempo,),
            "/live/song/create_audio_track": lambda p: song.create_audio_track(*p) and None,
            "/live/song/delete_track": lambda p: song.delete_track(*p),
            "/live/track/set/name": lambda p: setattr(song.tracks[int(p[0])], "name", p[1]),
            "/live/track/set/color": lambda p: setattr(song.tracks[int(p[0])], "color", p[1]),
            "/live/track/get/arrangement_clips/name": lambda p: (
                int(p[0]), *(clip.name for clip in song.tracks[int(p[0])].arrangement_clips)
            ),
        }  # fmt: skip
        if clips:
            self._calls["/live/track/create_audio_clip"] = lambda p: (
                song.tracks[int(p[0])].create_audio_clip(*p[1:]) and None
            )
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self):
        while data := self._socket.recv(65536):
            message = OscMessage(data)
            call = self._calls.get(message.address)
            if call is None:
                self._complain(f"Unknown OSC address: {message.address}")
                continue
            try:
                answer = call(tuple(message.params))
            except RuntimeError as error:
                self._complain(f"Error handling {message.address}: {error}")
                continue
            if answer is not None:
                self._send(message.address, answer)

    def _complain(self, text):
        if self._complains:
            self._send("/live/error", (text,))

    def _send(self, address, args):
        builder = OscMessageBuilder(address)
        for arg in args:
            builder.add_arg(arg)
        self._socket.sendto(builder.build().dgram, self._back)

    def close(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
            one.sendto(b"", ("127.0.0.1", self.port))
        self._thread.join()
        self._socket.close()
