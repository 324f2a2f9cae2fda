"""A REAPER project file: a folder track of the stems and the residual, then the source, muted.

Text, one element a block: `<TAG ... >` with one line a value. Files are named relative to it. To
bring the tracks into an open project, drag the file there.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bridge.files.write_terms import ORDINARY, WriteRules
from bridge.hosts.base import HostResult
from bridge.hosts.files import file_name_text, link, whole
from bridge.hosts.layout import Layout, Track

SUFFIX = ".rpp"
_HOLD = 1  # the shape of a tempo point that holds until the next


def write(layout: Layout, file: Path, terms: WriteRules = ORDINARY) -> HostResult:
    """Write `file`; every item lies where the source did, without fades or stretching."""
    with whole(file, terms) as path:
        path.write_text("\n".join([*_project(layout, file.parent), ""]), encoding="utf-8")
    return HostResult(f"open {file.name} in REAPER, or drag it into a project", (file,))


def _project(layout: Layout, folder: Path) -> Iterator[str]:
    tempo = layout.tempo.spans
    yield '<REAPER_PROJECT 0.1 "7.0/scorewire"'
    yield f"  TEMPO {tempo[0][2]!r} 4 4"
    yield f"  SAMPLERATE {layout.rate} 1 0"
    yield "  TIMELOCKMODE 0"  # items stay at their second when the tempo is changed
    if len(tempo) > 1:
        yield "  <TEMPOENVEX"
        yield "    ACT 1"
        yield from (f"    PT {seconds!r} {bpm!r} {_HOLD}" for _, seconds, bpm in tempo)
        yield "  >"
    yield "  <TRACK"
    yield f"    NAME {_rpp_string(f'{layout.name} stems')}"
    yield "    ISBUS 1 1"
    yield "  >"
    for track in layout.everything:
        last = track is layout.tracks[-1]
        yield from _track(track, layout, folder, depth="2 -1" if last else "0 0")
    yield ">"


def _track(track: Track, layout: Layout, folder: Path, *, depth: str) -> Iterator[str]:
    """`depth` is ISBUS: "1 1" opens a folder, "2 -1" ends it behind this track."""
    yield "  <TRACK"
    yield f"    NAME {_rpp_string(track.name)}"
    yield f"    PEAKCOL {_colour(track.colour)}"
    yield f"    VOLPAN {track.gain!r} 0 -1 -1 1"
    yield f"    MUTESOLO {int(track.muted)} 0 0"
    yield f"    ISBUS {depth}"
    yield f"    NCHAN {max(2, layout.channels + layout.channels % 2)}"  # even, by REAPER's rule
    yield "    <ITEM"
    yield f"      POSITION {layout.start!r}"
    yield f"      LENGTH {layout.seconds!r}"
    yield "      LOOP 0"
    yield "      FADEIN 1 0 0 1 0 0 0"
    yield "      FADEOUT 1 0 0 1 0 0 0"
    yield "      BEAT 0"  # held to its time, not to its beat
    yield f"      NAME {_rpp_string(track.name)}"
    yield "      VOLPAN 1 0 1 -1"
    yield "      SOFFS 0"
    yield "      PLAYRATE 1 1 0 -1 0 0.0025"
    yield "      <SOURCE WAVE"
    yield f"        FILE {_path(link(track.file, folder))}"
    yield "      >"
    yield "    >"
    yield "  >"


def _rpp_string(text: str) -> str:
    """The text in those of the three quotes it does not hold; a backtick gives way to them all.

    >>> _rpp_string("a"), _rpp_string('7" tom'), _rpp_string('''o'er "x" `''')
    ('"a"', '\\'7" tom\\'', '`o\\'er "x" \\'`')
    """
    quote = next((q for q in "\"'" if q not in text), "`")
    return quote + (text.replace("`", "'") if quote == "`" else text) + quote


def _path(name: str) -> str:
    """The name of a file in quotes, exactly; `ValueError` when RPP has no way to say it."""
    if all(quote in name for quote in "\"'`"):
        raise ValueError(f"RPP cannot hold the name {name!r}: it has all three kinds of quotes")
    return _rpp_string(file_name_text(name))


def _colour(text: str) -> int:
    """#rrggbb as REAPER counts: red in the lowest byte, and a bit that says there is a colour.

    >>> hex(_colour("#0a0b0c"))
    '0x10c0b0a'
    """
    red, green, blue = bytes.fromhex(text.removeprefix("#"))
    return red | green << 8 | blue << 16 | 1 << 24
