"""The host without a DAW: the files stay where they are, and a page says where they belong."""

from __future__ import annotations

from html import escape
from pathlib import Path
from urllib.parse import quote

from bridge.files.write_terms import ORDINARY, WriteRules
from bridge.hosts.base import HostResult
from bridge.hosts.files import link, whole
from bridge.hosts.layout import Layout, Track

INDEX = "stems.html"

_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>{title}</title>
<style>body {{ font: 16px sans-serif; margin: 2em }} td {{ padding: .3em .8em }}
i {{ display: inline-block; width: 1em; height: 1em }}</style>
<h1>{title}</h1>
<p>Drag all files into the DAW at once, to {place}. Together they are the source.</p>
<table>
{rows}
</table>
</html>
"""


def write(layout: Layout, out: Path, terms: WriteRules = ORDINARY) -> HostResult:
    """Write `stems.html` into the folder `out`: each file, its colour, a player, and the place."""
    out.mkdir(parents=True, exist_ok=True)
    minutes, seconds = divmod(layout.start, 60)
    place = (
        f"{minutes:.0f}:{seconds:09.6f} (sample {layout.start_samples} at {layout.rate} Hz, "
        f"beat {layout.tempo.beats(layout.start):.4f} of the session)"
    )
    rows = "\n".join(_row(track, out) for track in layout.everything)
    page = out / INDEX
    text = _PAGE.format(title=escape(layout.name), place=place, rows=rows)
    with whole(page, terms) as path:
        path.write_text(text, encoding="utf-8")
    where = layout.tracks[0].file.parent
    return HostResult(f"the files are in {where}; they belong at {place}", (page,))


def _row(track: Track, folder: Path) -> str:
    path = link(track.file, folder)
    # Quoted, a colon in a name is none: a browser would take what is before it for a scheme.
    url = track.file.as_uri() if Path(path).is_absolute() else quote(path)
    muted = " (muted)" if track.muted else ""
    return (
        f'<tr><td><i style="background: {escape(track.colour)}"></i> {escape(track.name)}{muted}'
        f'<td><audio controls preload="none" src="{url}"></audio>'
        f'<td><a href="{url}">{escape(track.file.name)}</a></tr>'
    )
