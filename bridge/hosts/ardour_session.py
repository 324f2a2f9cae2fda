"""An Ardour session in a folder: a track a stem and the residual, then the source, muted.

The session file is XML as Ardour 7 writes it, with what it cannot do without; Ardour adds the rest.
Times are in superclock ticks. Nothing is panned or faded, so the master is the sum of the stems.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from xml.etree import ElementTree

from bridge.files.write_terms import ORDINARY, WriteRules
from bridge.hosts.base import HostResult
from bridge.hosts.files import file_name_text, one_line, whole
from bridge.hosts.layout import Layout, Track

SUFFIX = ".ardour"
SUPERCLOCK = 282_240_000  # ticks a second: a whole number of them to a sample at all usual rates
TICKS = 1920  # of music, to a beat
OURS = 'modified-with="Scorewire'  # the mark of a session that Ardour has not saved yet
TAKEN = ("Master", "Monitor", "Click", "Auditioner")  # names that Ardour needs for itself


def write(layout: Layout, file: Path, terms: WriteRules = ORDINARY) -> HostResult:
    """Write the session `file`, and copies of the audio where Ardour keeps it: `interchange/`.

    Raises `ValueError` when another session is there: what somebody did in Ardour is not lost.
    """
    saved = file.exists() and OURS not in file.read_text(encoding="utf-8", errors="replace")[:1000]
    if saved and not terms.replace:
        raise ValueError(f"{file} is there already, and Ardour has saved it: choose another folder")
    for track in layout.everything:
        file_name_text(track.file.name)
    audio = file.parent / "interchange" / file.stem / "audiofiles"
    audio.mkdir(parents=True, exist_ok=True)
    for track in layout.everything:
        with whole(audio / track.file.name, terms) as path:
            shutil.copyfile(track.file, path)
    session = _Session(layout, file.stem)
    with whole(file, terms) as path:
        session.tree.write(path, encoding="UTF-8", xml_declaration=True)
    files = (file, *(audio / track.file.name for track in layout.everything))
    return HostResult(f"open {file.name} in Ardour 7 or newer", files)


def clock(layout: Layout, samples: int) -> str:
    """A time or a length in samples as Ardour writes it: "a", for audio, and superclock ticks."""
    return f"a{round(samples * SUPERCLOCK / layout.rate)}"


def track_names(names: list[str]) -> Iterator[str]:
    """Names that Ardour takes as they are: no two alike, no `:` or `/`, which part its port names.

    >>> list(track_names(["a/b", "Master", "a-b"]))
    ['a-b', 'Master 2', 'a-b 2']
    """
    used = set(TAKEN)
    for name in names:
        plain = one_line(name).replace("/", "-").replace(":", "-") or "stem"
        free = (f"{plain} {number}" for number in count(2))
        plain = plain if plain not in used else next(name for name in free if name not in used)
        used.add(plain)
        yield plain


class _Session:
    """The tree of one session; every element with an id gets the next number."""

    def __init__(self, layout: Layout, name: str) -> None:
        self.layout, self.ids = layout, count(1)
        self.root = ElementTree.Element("Session")
        self.tree = ElementTree.ElementTree(self.root)
        self._add(self.root, "ProgramVersion", created_with="Scorewire", modified_with="Scorewire")
        config = self._add(self.root, "Config")
        self._add(config, "Option", name="native-file-data-format", value="FormatFloat")
        self._add(config, "Option", name="native-file-header-format", value="WAVE")
        parts = ("Sources", "Regions", "Locations", "Routes", "Playlists", "UnusedPlaylists")
        self.parts = {part: self._add(self.root, part) for part in (*parts, "RouteGroups")}
        self._range()
        self._master()
        names = track_names([track.name for track in layout.everything])
        for order, (track, title) in enumerate(zip(layout.everything, names, strict=True), 1):
            self._track(track, title, order)
        self._tempo()
        self.root.attrib |= {
            "version": "7002", "name": name, "sample-rate": str(layout.rate),
            "id-counter": str(next(self.ids)),
        }  # fmt: skip

    def _add(self, parent: ElementTree.Element, tag: str, **values: object) -> ElementTree.Element:
        """A child; `_` of its attributes' names is "-", which no argument of Python can have."""
        attributes = {key.replace("_", "-"): str(value) for key, value in values.items()}
        return ElementTree.SubElement(parent, tag, attributes)

    def _id(self) -> int:
        return next(self.ids)

    def _range(self) -> None:
        """What is exported: from the session's start, so that the export lies at 0."""
        end = clock(self.layout, self.layout.start_samples + self.layout.frames)
        place = {"start": clock(self.layout, 0), "end": end, "flags": "IsSessionRange"}
        self._add(self.parts["Locations"], "Location", id=self._id(), name="session", **place)

    def _master(self) -> None:
        kind = {"meter_point": "MeterOutput", "meter_type": "MeterK14", "strict_io": 1}
        route = self._route(self._id(), "Master", **kind)
        self._add(route, "PresentationInfo", order=0, flags="MasterOut,OrderSet", color=0)
        ports = max(2, self.layout.channels)
        self._io(route, "Master", "Input", "in", [()] * ports)
        outs = [(f"system:playback_{number + 1}",) for number in range(ports)]
        self._io(route, "Master", "Output", "out", outs)
        self._amp(route, 1.0)
        self._outs(route, "Master")
        self._processor(route, "meter-Master", "meter")

    def _track(self, track: Track, name: str, order: int) -> None:
        route_id, playlist_id = self._id(), self._id()
        kind = {"audio_playlist": playlist_id, "mode": "Normal", "meter_point": "MeterPostFader"}
        route = self._route(route_id, name, **kind)
        colour = int(track.colour.removeprefix("#") + "ff", 16)  # red first, opaque last
        flags = "AudioTrack,OrderSet"
        self._add(route, "PresentationInfo", order=order, flags=flags, color=colour)
        self._add(
            route, "MuteMaster", mute_point="PreFader,PostFader,Listen,Main", muted=_bit(track)
        )
        mute = {"name": "mute", "flags": "Toggle,RealTime", "value": _bit(track)}
        self._add(route, "Controllable", id=self._id(), **mute)
        channels = range(track.channels)
        self._io(route, name, "Input", "in", [()] * len(channels))
        mono = [("Master/audio_in 1", "Master/audio_in 2")]  # both sides, with no pan law between
        outs = [(f"Master/audio_in {channel + 1}",) for channel in channels]
        self._io(route, name, "Output", "out", outs if len(channels) > 1 else mono)
        self._processor(route, f"player:{name}", "diskreader")
        self._amp(route, track.gain)
        self._processor(route, f"meter-{name}", "meter")
        self._outs(route, name)
        sources = [self._source(track.file, channel) for channel in channels]
        self._region(self.parts["Regions"], name, sources, whole_file=1, at=0)
        fields = {"type": "audio", "orig_track_id": route_id, "frozen": 0, "combine_ops": 0}
        lists = self.parts["Playlists"]
        playlist = self._add(lists, "Playlist", id=playlist_id, name=name, **fields)
        self._region(playlist, name, sources, whole_file=0, at=self.layout.start_samples)

    def _source(self, file: Path, channel: int) -> int:
        """One channel of a file; its id."""
        number, fields = self._id(), {"type": "audio", "flags": "", "origin": "", "gain": 1}
        place = {"natural_position": clock(self.layout, self.layout.start_samples), "take_id": ""}
        fields |= place | {"channel": channel}
        self._add(self.parts["Sources"], "Source", name=file.name, id=number, **fields)
        return number

    def _region(
        self,
        parent: ElementTree.Element,
        name: str,
        sources: list[int],
        *,
        whole_file: int,
        at: int,
    ) -> None:
        length = f"{clock(self.layout, self.layout.frames)}@{clock(self.layout, at)}"
        fields = {"type": "audio", "start": "a0", "length": length, "whole_file": whole_file}
        fields |= {"opaque": 1, "channels": len(sources)}
        fields |= dict.fromkeys(("default_fade_in", "default_fade_out"), 0)
        fields |= dict.fromkeys(("fade_in_active", "fade_out_active"), 0)
        for number, source in enumerate(sources):
            fields |= {f"source_{number}": source, f"master_source_{number}": source}
        self._add(parent, "Region", id=self._id(), name=name, **fields)

    def _tempo(self) -> None:
        """Tempi hold until the next; four quarters a bar, as no manifest says otherwise."""
        parent = self._add(self.root, "TempoMap", superclocks_per_second=SUPERCLOCK)
        tempi, meters = self._add(parent, "Tempos"), self._add(parent, "Meters")
        self._add(parent, "MusicTimes")
        fixed = {"type": "Tempo::Constant", "note_type": 4, "active": 1, "omega": 0}
        fixed |= {"locked_to_meter": 0, "continuing": 0}
        for beat, seconds, bpm in self.layout.tempo.spans:
            ticks = round(beat * TICKS)
            whole_beats, rest = divmod(ticks, TICKS)
            bar, of_bar = divmod(whole_beats, 4)
            where = {"quarters": f"{whole_beats}:{rest}", "bbt": f"{bar + 1}|{of_bar + 1}|{rest}"}
            fields = {"npm": bpm, "enpm": bpm, "sclock": round(seconds * SUPERCLOCK)}
            self._add(tempi, "Tempo", **fields, **fixed, **where)
        start = {"sclock": 0, "quarters": "0:0", "bbt": "1|1|0"}
        self._add(meters, "Meter", note_value=4, divisions_per_bar=4, **start)

    def _route(self, number: int, name: str, **fields: object) -> ElementTree.Element:
        kind = {"version": "7002", "default_type": "audio", "active": 1}
        return self._add(self.parts["Routes"], "Route", id=number, name=name, **kind, **fields)

    def _io(
        self,
        route: ElementTree.Element,
        name: str,
        way: str,
        port: str,
        to: Sequence[tuple[str, ...]],
    ) -> None:
        """Ports of one direction, each with what it is connected to."""
        fields = {"direction": way, "default_type": "audio"}
        io = self._add(route, "IO", name=name, id=self._id(), **fields)
        for number, others in enumerate(to, start=1):
            child = self._add(io, "Port", type="audio", name=f"{name}/audio_{port} {number}")
            for other in others:
                self._add(child, "Connection", other=other)

    def _processor(
        self, route: ElementTree.Element, name: str, kind: str, **fields: object
    ) -> ElementTree.Element:
        fields |= {"active": 1, "type": kind}
        return self._add(route, "Processor", id=self._id(), name=name, **fields)

    def _amp(self, route: ElementTree.Element, gain: float) -> None:
        amp = self._processor(route, "Amp", "amp")
        fields = {"name": "gaincontrol", "flags": "GainLike", "value": repr(gain)}
        self._add(amp, "Controllable", id=self._id(), **fields)

    def _outs(self, route: ElementTree.Element, name: str) -> None:
        ends = {"own_input": 1, "own_output": 0, "output": name, "role": "Main"}
        outs = self._processor(route, name, "main-outs", **ends)
        self._add(outs, "PannerShell", bypassed=1, user_panner="", linked_to_route=1)


def _bit(track: Track) -> int:
    return int(track.muted)
