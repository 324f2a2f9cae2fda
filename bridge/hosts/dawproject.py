"""DAWproject 1.0, the open exchange file of Bitwig Studio, Studio One, Cubase and others.

A ZIP with project.xml, metadata.xml and, unless it only points to it, the audio. Two things are as
Bitwig writes them, since readers were seen to drop the audio of other shapes without a word: clips
are nested and warped, and the channel of a group has the role of a master, that of its own.
The warp points say beats and seconds at both ends and at every change of tempo between, so the
audio runs at its own speed under any tempo map.
"""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Callable
from functools import partial
from importlib import metadata
from pathlib import Path
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from bridge.files.write_terms import ORDINARY, WriteRules
from bridge.hosts.base import HostResult
from bridge.hosts.files import file_name_text, link, whole
from bridge.hosts.layout import Layout, Track

SUFFIX = ".dawproject"
_AGES_AGO = (1980, 1, 1, 0, 0, 0)  # of every entry, so that the same stems give the same bytes
_GROUP, _MASTER, _TEMPO = "group", "master", "tempo"


def write(
    layout: Layout, file: Path, terms: WriteRules = ORDINARY, *, embed: bool = True
) -> HostResult:
    """Write `file`: a group of the stems and the residual, then the source, muted.

    With `embed` the audio is copied into it, else it points to the files where they are.
    """
    place = _inside if embed else partial(_beside, folder=file.parent)
    with whole(file, terms) as path, zipfile.ZipFile(path, "x", zipfile.ZIP_STORED) as archive:
        for name, xml in (("project", _project(layout, place)), ("metadata", _metadata(layout))):
            indent(xml)
            text = tostring(xml, encoding="UTF-8", xml_declaration=True)
            archive.writestr(zipfile.ZipInfo(f"{name}.xml", _AGES_AGO), text)
        for track in layout.everything if embed else ():
            entry = zipfile.ZipInfo(place(track)["path"], _AGES_AGO)
            entry.file_size = track.file.stat().st_size  # above 2 GiB the entry has another header
            with track.file.open("rb") as audio, archive.open(entry, "w") as copy:
                shutil.copyfileobj(audio, copy, 2**20)
    return HostResult(f"open or drag {file.name} into the DAW", (file,))


def _inside(track: Track) -> dict[str, str]:
    """The attributes of a file in the archive; the source apart, as it may be named as a stem."""
    folder = "audio/source" if track.muted else "audio"
    return {"path": f"{folder}/{file_name_text(track.file.name)}"}


def _beside(track: Track, *, folder: Path) -> dict[str, str]:
    return {"path": file_name_text(link(track.file, folder)), "external": "true"}


def _project(layout: Layout, place: Callable[[Track], dict[str, str]]) -> Element:
    project = Element("Project", version="1.0")
    SubElement(project, "Application", name="Scorewire", version=metadata.version("scorewire"))
    transport = SubElement(project, "Transport")
    _real(transport, "Tempo", layout.tempo.spans[0][2], "bpm", id=_TEMPO, name="Tempo")
    SubElement(transport, "TimeSignature", numerator="4", denominator="4")

    structure = SubElement(project, "Structure")
    name = f"{layout.name} stems"
    group = _track(structure, layout, _GROUP, name, kind="tracks", role="master", to=_MASTER)
    for number, track in enumerate(layout.everything):
        parent, to = (structure, _MASTER) if track.muted else (group, _GROUP)
        _track(parent, layout, f"track-{number}", track.name, kind="audio", to=to, track=track)
    _track(structure, layout, _MASTER, "Master", kind="audio notes", role="master")

    arrangement = SubElement(project, "Arrangement", id="arrangement")
    lanes = SubElement(arrangement, "Lanes", id="lanes", timeUnit="beats")
    for number, track in enumerate(layout.everything):
        lane = SubElement(lanes, "Lanes", id=f"lane-{number}", track=f"track-{number}")
        _clip(SubElement(lane, "Clips", id=f"clips-{number}"), layout, track, place(track))
    if len(layout.tempo.spans) > 1:
        _tempo_map(arrangement, layout)
    return project


def _tempo_map(arrangement: Element, layout: Layout) -> None:
    points = SubElement(arrangement, "TempoAutomation", id="map", timeUnit="beats", unit="bpm")
    SubElement(points, "Target", parameter=_TEMPO)
    for beat, _, bpm in layout.tempo.spans:
        SubElement(points, "RealPoint", time=repr(beat), value=repr(bpm), interpolation="hold")


def _track(
    parent: Element,
    layout: Layout,
    id: str,
    name: str,
    *,
    kind: str,
    role: str = "regular",
    to: str = "",
    track: Track | None = None,
) -> Element:
    """A track and its mixer channel, which plays into that of the track `to`."""
    colour = {"color": track.colour} if track else {}
    made = SubElement(parent, "Track", colour, contentType=kind, loaded="true", id=id, name=name)
    into = {"destination": f"{to}-channel"} if to else {}
    channel = SubElement(
        made, "Channel", into, id=f"{id}-channel", role=role, solo="false",
        audioChannels=str(track.channels if track else layout.channels),
    )  # fmt: skip
    gain, muted = (track.gain, track.muted) if track else (1.0, False)
    # The schema wants them in this order.
    SubElement(channel, "Mute", value=str(muted).lower(), id=f"{id}-mute", name="Mute")
    _real(channel, "Pan", 0.5, "normalized", id=f"{id}-pan", name="Pan")
    _real(channel, "Volume", gain, "linear", id=f"{id}-volume", name="Volume")
    return made


def _real(parent: Element, tag: str, value: float, unit: str, **named: str) -> None:
    SubElement(parent, tag, named, unit=unit, value=repr(float(value)))


def _clip(clips: Element, layout: Layout, track: Track, file: dict[str, str]) -> None:
    """A clip that holds a clip that warps the file; all times in beats, the file's in seconds."""
    tempo, start, end = layout.tempo, layout.start, layout.start + layout.seconds
    beat = tempo.beats(start)
    length = tempo.beats(end) - beat
    span = {"duration": repr(length), "playStart": "0.0"}
    still = {"fadeTimeUnit": "beats", "fadeInTime": "0.0", "fadeOutTime": "0.0"}
    outer = SubElement(
        clips, "Clip", {"time": repr(beat)} | span | still, name=track.name, color=track.colour
    )
    inner = SubElement(
        SubElement(outer, "Clips", id=f"{clips.get('id')}-inner"),
        "Clip", {"time": "0.0"} | span | still, contentTimeUnit="beats",
    )  # fmt: skip
    warps = SubElement(
        inner, "Warps", id=f"{clips.get('id')}-warps", contentTimeUnit="seconds", timeUnit="beats"
    )
    audio = SubElement(
        warps, "Audio", id=f"{clips.get('id')}-audio", algorithm="raw",
        duration=repr(layout.seconds), channels=str(track.channels), sampleRate=str(layout.rate),
    )  # fmt: skip
    SubElement(audio, "File", file)
    between = [at for at, seconds, _ in tempo.spans if start < seconds < end]
    points = [(at - beat, tempo.seconds(at) - start) for at in between]
    for time, content in [(0.0, 0.0), *points, (length, layout.seconds)]:
        SubElement(warps, "Warp", time=repr(time), contentTime=repr(content))


def _metadata(layout: Layout) -> Element:
    root = Element("MetaData")
    SubElement(root, "Title").text = f"{layout.name} stems"
    names = ", ".join(track.name for track in layout.tracks)
    SubElement(root, "Comment").text = f"Scorewire stems of {layout.name}: {names}"
    return root
