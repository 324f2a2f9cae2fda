"""Write places as a MIDI file of tempo and markers, and as files and labels for Audacity."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import mido

from bridge.files.write_terms import ORDINARY, WriteRules
from bridge.hosts.base import HostCannot, HostResult
from bridge.hosts.files import file_name_text, link, whole
from bridge.hosts.layout import Layout

HEARD = 0.5  # of a prompt's activity: more likely there than not
TICKS = 960  # a beat
LONGEST = 2**28 - 1  # ticks between two events: four bytes of seven bits


def active_spans(activity: tuple[float, ...], seconds: float) -> Iterator[tuple[float, float]]:
    """(begin, end) in seconds of each stretch in which a prompt is heard, from a value a second.

    >>> list(active_spans((0.9, 0.8, 0.1, 0.7), 3.5))
    [(0, 2), (3, 3.5)]
    """
    begin = None
    for second, value in enumerate((*activity, 0.0)):
        if value >= HEARD and begin is None:
            begin = second
        elif value < HEARD and begin is not None:
            yield begin, min(second, seconds)
            begin = None


def write_midi(layout: Layout, file: Path, terms: WriteRules = ORDINARY) -> HostResult:
    """Write a MIDI file without a note: the tempo map, a marker at the stems' start and end.

    Where a prompt begins and ceases to be heard, a marker says so too.
    """
    track = mido.MidiTrack()
    last = 0
    for tick, message in sorted(_meta(layout), key=lambda timed: timed[0]):
        if tick - last > LONGEST:
            raise HostCannot(
                f"a MIDI file holds no pause of more than {LONGEST // TICKS} beats, "
                f"got {(tick - last) / TICKS:.0f}"
            )
        track.append(message.copy(time=tick - last))
        last = tick
    score = mido.MidiFile(type=0, ticks_per_beat=TICKS, tracks=[track], charset="utf-8")
    with whole(file, terms) as path:
        score.save(path)
    return HostResult(
        f"import {file.name} with its tempo map, then the stems at the marker", (file,)
    )


def _meta(layout: Layout) -> Iterator[tuple[int, mido.MetaMessage]]:
    def tick(seconds: float) -> int:
        return round(layout.tempo.beats(seconds) * TICKS)

    for beat, _, bpm in layout.tempo.spans:
        microseconds = round(60_000_000 / bpm)
        if not 0 < microseconds < 2**24:
            raise HostCannot(f"a MIDI file holds tempos of 3.6 to 6e7 bpm, got {bpm:g}")
        yield round(beat * TICKS), mido.MetaMessage("set_tempo", tempo=microseconds)
    end = layout.start + layout.seconds
    yield tick(layout.start), mido.MetaMessage("marker", text=f"{layout.name} stems")
    for track in layout.tracks:
        for begins, ceases in active_spans(track.activity, layout.seconds):
            for at, what in ((begins, "begins"), (ceases, "ends")):
                text = f"{track.name} {what}"
                yield tick(layout.start + at), mido.MetaMessage("marker", text=text)
    yield tick(end), mido.MetaMessage("marker", text=f"{layout.name} stems end")


def write_audacity(layout: Layout, file: Path, terms: WriteRules = ORDINARY) -> HostResult:
    """Write a list of files with their offset, and labels that say where each prompt is heard.

    The source is left out: a list cannot mute it.
    """
    names = [file_name_text(link(track.file, file.parent)) for track in layout.tracks]
    for name in names:
        if '"' in name:
            raise HostCannot(f"a list of files for Audacity cannot hold the name {name!r}")
    labels = file.with_suffix(".labels.txt")
    spans = [(0.0, layout.seconds, f"{layout.name} stems")]
    for track in layout.tracks:
        spans += [(*span, track.name) for span in active_spans(track.activity, layout.seconds)]
    with whole(labels, terms) as path:
        lines = (f"{layout.start + a:.6f}\t{layout.start + b:.6f}\t{text}" for a, b, text in spans)
        path.write_text("\n".join([*lines, ""]), encoding="utf-8")
    with whole(file, terms) as path:
        lines = (f'file "{name}" offset {layout.start!r}' for name in names)
        path.write_text("\n".join(["window", *lines, ""]), encoding="utf-8")
    return HostResult(f"open {file.name} in Audacity, then import {labels.name}", (file, labels))
