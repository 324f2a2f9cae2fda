"""Write and read a stem's bext and iXML: place, names, and how to make it again.

iXML (www.ixml.info, version 3) is free of any schema: each reader takes the tags it knows. Ours
are the place in the session, the names of the channels, and a block SCOREWIRE of our own.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from bridge.files import riff
from bridge.files.wav import Bext, read_bext
from bridge.stems.manifest import Task

STAMP = "SPEED/TIMESTAMP_SAMPLE"  # what iXML's tags of the place begin with
LAYOUTS = {1: ("mono", ("",)), 2: ("stereo", (" L", " R"))}  # others are numbered
MODEL_HASH = 12  # letters of it in the description, where 256 must do


@dataclass(frozen=True, slots=True)
class Origin:
    """How the stems of a set came about. `job` is the manifest's, as are `task` and `words`;
    `start_samples` is their place.
    """

    job: str
    source: str
    source_sha256: str
    prompts: tuple[str, ...]
    negatives: tuple[str, ...]
    method: str
    steps: int
    seed: int
    model: str
    model_hash: str
    code: str
    rate: int
    channels: int
    start_samples: int
    task: Task | Literal[""] = ""  # separate by prompts
    words: str = ""


def tags(origin: Origin, number: int, name: str) -> tuple[Bext, str]:
    """The chunks of file `number` of a set: bext, and iXML as text.

    Files are counted from 1; `name` is the stem's prompt, or "residual" behind the last of them.
    """
    o = origin
    about = f"seed {o.seed}; method {o.method}"
    if o.model:  # a method may use none
        about += f"; model {short_model(o.model, o.model_hash)}"
    chunk = bext(
        name,
        about,
        rate=o.rate,
        channels=o.channels,
        code=o.code,
        reference=f"{o.job[:8]}/{number:02d}",
        start_samples=o.start_samples,
    )
    own = {key: value for key, value in asdict(o).items() if key not in _ELSEWHERE}
    own = {key: value for key, value in own.items() if value or key not in _NEWER}
    return chunk, ixml(
        name,
        rate=o.rate,
        channels=channel_names(name, o.channels),
        start_samples=o.start_samples,
        project=Path(o.source).stem,
        scene=o.job[:8],
        take=number,
        own={"prompt": name, "number": number} | own,
    )


_ELSEWHERE = {"rate", "channels", "start_samples"}  # the file's header and SPEED say it
_NEWER = {"task", "words"}  # only where they say something


def short_model(name: str, model_hash: str) -> str:
    """A model's name and the first letters of its digest."""
    return f"{name} {model_hash[:MODEL_HASH]}".strip()


def bext(
    name: str,
    about: str,
    *,
    rate: int,
    channels: int,
    code: str,
    reference: str,
    start_samples: int = 0,
) -> Bext:
    """The bext of a float file that holds `name`: how it came about, by which version of ours.

    What is cut where 256 letters are too few is the name: iXML has it whole.
    """
    mode, _ = _layout(channels)
    history = f"A=PCM,F={rate},W=32,{f'M={mode},' if mode else ''}T=Scorewire {code};{about}\r\n"
    room = 256 - len(f"; {about}")
    return Bext(start_samples, f"{name[:room]}; {about}", reference, history)


def channel_names(name: str, channels: int) -> list[str]:
    """The names of a file's channels: left and right, or numbered."""
    return [name + end for end in _layout(channels)[1]]


def _layout(channels: int) -> tuple[str, tuple[str, ...]]:
    """What the coding history calls so many channels, and the ends of their names."""
    return LAYOUTS.get(channels, ("", tuple(f" {n + 1}" for n in range(channels))))


def ixml(
    name: str,
    *,
    rate: int,
    channels: Sequence[str],
    start_samples: int,
    project: str,
    scene: str,
    take: int,
    own: Mapping[str, object],
) -> str:
    """The iXML of one file, `channels` by their names; `own` goes into the block SCOREWIRE.

    A tuple among `own` becomes one tag an entry.
    """
    root = ET.Element("BWFXML")
    _add(root, IXML_VERSION="3.01", PROJECT=project, SCENE=scene, TAKE=take, TAPE="", NOTE=name)
    speed = ET.SubElement(root, "SPEED")
    high, low = start_samples >> 32, start_samples & 0xFFFFFFFF
    _add(
        speed,
        FILE_SAMPLE_RATE=rate,
        AUDIO_BIT_DEPTH=32,
        DIGITIZER_SAMPLE_RATE=rate,
        TIMESTAMP_SAMPLES_SINCE_MIDNIGHT_HI=high,
        TIMESTAMP_SAMPLES_SINCE_MIDNIGHT_LO=low,
        TIMESTAMP_SAMPLE_RATE=rate,
    )
    tracks = ET.SubElement(root, "TRACK_LIST")
    _add(tracks, TRACK_COUNT=len(channels))
    for number, channel in enumerate(channels, start=1):
        track = ET.SubElement(tracks, "TRACK")
        _add(track, CHANNEL_INDEX=number, INTERLEAVE_INDEX=number, NAME=channel)
    ours = ET.SubElement(root, "SCOREWIRE")
    for key, value in own.items():
        for item in value if isinstance(value, tuple) else (value,):
            _add(ours, **{key.upper(): item})
    text = ET.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'


def _add(parent: ET.Element, **tags: object) -> None:
    for tag, value in tags.items():
        ET.SubElement(parent, tag).text = _legal(str(value))


def _legal(text: str) -> str:
    """Text with what XML 1.0 forbids (its section 2.2, Char) replaced."""
    return "".join(
        c if c in "\t\n\r" or " " <= c <= "\ud7ff" or "\ue000" <= c <= "\ufffd" or c >= "\U00010000"
        else "\ufffd"
        for c in text
    )  # fmt: skip


def start_samples(path: Path, rate: int) -> int:
    """Where a sound file at `rate` Hz says that it begins in its session, in samples; else 0.

    Said by the bext chunk, or else the iXML, of a WAV of any sample format, or of the WAV that a
    FLAC was made of (`flac --keep-foreign-metadata`).
    """
    with path.open("rb") as file:
        chunks = riff.read(file)
        order = chunks.order if chunks else "<"
        if chunks is None:
            texts = riff.flac_foreign(file)
        else:
            texts = {name: chunks.body(file, name) for name in (b"bext", b"iXML")}
    bext = read_bext(texts.get(b"bext", b""), order)
    if bext is not None:
        return bext.time_reference
    return ixml_start(texts.get(b"iXML", b"").decode(errors="replace").rstrip("\0 "), rate)


def ixml_start(text: str, rate: int) -> int:
    """Read the place in the session from iXML, in samples at `rate` Hz; 0 without one."""
    try:
        root = parse_ixml(text)
        high, low, at = (
            int(root.findtext(f"{STAMP}{end}") or default)
            for end, default in (
                ("S_SINCE_MIDNIGHT_HI", "0"),
                ("S_SINCE_MIDNIGHT_LO", "0"),
                ("_RATE", f"{rate}"),
            )
        )
    except (ET.ParseError, ValueError):
        return 0
    start = high << 32 | low
    if start < 0 or at <= 0:
        return 0
    return start if at == rate else round(start * rate / at)


def parse_ixml(ixml: str) -> ET.Element:
    """The tree of iXML that anybody may have written; `ValueError` or `ParseError` for none.

    Declarations are refused: iXML has no document type, and entities can be bombs.
    """
    if "<!" in ixml:
        raise ValueError("iXML with declarations is not read")
    return ET.fromstring(ixml)  # noqa: S314
