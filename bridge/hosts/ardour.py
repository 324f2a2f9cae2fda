"""Serve a running Ardour: cut a region's sound out of its files, list what to import.

The Lua actions in `scripts/ardour` speak to `bridge.osc.host_requests`; Ardour's Lua sends OSC and
hears none, so answers are files below `scorewire/REQ` in the session's folder:

    answer   accepted <tab> JOB, or refused <tab> WHY
    progress how far it is, in words, for who asks before the end
    import   start <tab> FIRST SAMPLE, then lines track <tab> RRGGBB <tab> GAIN <tab> NAME <tab>
             FILE; or failed <tab> WHY
"""

from __future__ import annotations

import re
import sys
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from bridge.files import wav
from bridge.hosts.ardour_session import track_names
from bridge.hosts.files import one_line, whole
from bridge.hosts.layout import Layout

FOLDER = "scorewire"  # in the session's folder
ANSWER, PROGRESS, IMPORT = "answer", "progress", "import"
ACTION = re.compile(r"LuaAction/script-\d{1,2}")


@dataclass(frozen=True, slots=True)
class Region:
    """A region of Ardour: which part of which files, and where it lies; all in samples.

    `sources` are (channel of the file, file), one a channel of the region.
    """

    name: str
    sources: tuple[tuple[int, Path], ...]
    start: int
    length: int
    position: int
    rate: int

    @property
    def span(self) -> tuple[int, int]:
        """Where it begins and ends in the session, in samples."""
        return self.position, self.position + self.length


def track_region(text: str, rate: int) -> Region:
    r"""A region with the name of its track, as the action that accompanies says it: a line of
    track, position, start and length with tabs between, then those of `sources`.

    >>> track_region("Bass\t96000\t0\t48000\n0\t/a/x.wav", 48000).position
    96000
    """
    head, _, rest = text.partition("\n")
    match = re.fullmatch(r"(.*)\t(\d{1,18})\t(\d{1,18})\t(\d{1,18})", head)
    if match is None:
        raise ValueError(
            f"regions must begin with a line of track, position, start and length, got {head!r:.80}"
        )
    position, start, length = (int(number) for number in match.groups()[1:])
    return Region(match[1], sources(rest), start, length, position, rate)


def sources(text: str) -> tuple[tuple[int, Path], ...]:
    r"""The sources of a region as its action says them: a line CHANNEL, tab, FILE each.

    >>> sources("0\t/a/x%L.wav\n0\t/a/x%R.wav")[1]
    (0, PosixPath('/a/x%R.wav'))
    """
    pairs = []
    for line in text.split("\n"):
        channel, _, path = line.partition("\t")
        if not re.fullmatch(r"\d{1,4}", channel) or not path.startswith("/"):
            raise ValueError(f"sources must be lines of a channel, a tab and a path, got {line!r}")
        pairs.append((int(channel), Path(path)))
    return tuple(pairs)


def session_folder(text: str) -> Path:
    """The folder of an Ardour session; `ValueError` when it is none."""
    folder = Path(text)
    if not folder.is_absolute() or not any(folder.glob("*.ardour")):
        raise ValueError(f"session must be the folder of an Ardour session, got {text!r}")
    return folder


def write_region(region: Region, out: Path, span: tuple[int, int] | None = None) -> None:
    """Write what the region plays as one float WAV, without its gain and fades; bit-exact.

    With `span` (begin, end) in samples of the session it is that long, silent beside the region.
    Raises `ValueError` when a file is no WAV, has another rate, or ends before the region does.
    """
    if region.length < 1:
        raise ValueError(f"length must be at least 1 sample, got {region.length}")
    parts = [_source(path, channel, region) for channel, path in region.sources]
    begin, end = span or region.span
    count, bext = len(parts), wav.Bext(begin, f"region: {region.name}")
    with wav.Writer(out, rate=region.rate, channels=count, frames=end - begin, bext=bext) as file:
        file.write(bytes(4 * count * (region.position - begin)))
        for blocks in zip(*parts, strict=True):
            frames = array("f", bytes(4 * count * len(blocks[0])))
            for number, block in enumerate(blocks):
                frames[number::count] = block
            if sys.byteorder == "big":
                frames.byteswap()
            file.write(frames.tobytes())
        file.write(bytes(4 * count * (end - region.span[1])))


def _source(path: Path, channel: int, region: Region) -> Iterator[array[float]]:
    """One channel of the region, in blocks of one length."""
    try:
        header = wav.read_header(path)
    except ValueError as error:
        raise ValueError(f"{error}; bounce the region in Ardour first") from error
    if header.rate != region.rate:  # Ardour resamples it as it plays: places are other samples
        raise ValueError(
            f"{path.name} is at {header.rate} Hz, and the session at {region.rate}; "
            "bounce the region in Ardour first"
        )
    if channel >= header.channels:
        raise ValueError(f"{path.name} has {header.channels} channels, and no channel {channel}")
    if region.start < 0 or region.start + region.length > header.frames:
        frames = f"{region.start} .. {region.start + region.length}"
        raise ValueError(f"{path.name} has {header.frames} samples, the region plays {frames}")
    offset = header.offset + region.start * header.channels * header.bits // 8
    part = replace(header, offset=offset, frames=region.length)
    return (array("f", block[channel :: header.channels]) for block in wav.samples(part))


def answer(folder: Path, name: str, text: str) -> None:
    """Let the Lua actions find `text` in the file `name`, whole or not at all."""
    with whole(folder / name) as path:
        path.write_text(text + "\n", encoding="utf-8", newline="\n")


def import_list(layout: Layout) -> str:
    """What the action "import stems" reads: the stems and the residual; neither the source, nor
    what was given, which the session has.
    """
    tracks = [track for track in layout.tracks if not track.given]
    names = track_names([track.name for track in tracks])
    lines = [f"start\t{layout.start_samples}"]
    for track, name in zip(tracks, names, strict=True):
        colour = track.colour.removeprefix("#")
        lines.append(f"track\t{colour}\t{track.gain!r}\t{name}\t{track.file}")
    return "\n".join(lines)


def error_list(why: str) -> str:
    """The list that says why there is nothing to import."""
    return f"failed\t{one_line(why)}"
