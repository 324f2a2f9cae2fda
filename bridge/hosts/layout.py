"""Lay out a stem set as tracks on a timeline: what every host writes in its own format.

Stems and residual are heard and add up to the source, so the residual is never muted; the source
lies beside them, muted, to compare with. All start at the same sample and last equally long.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bridge.hosts.files import one_line
from bridge.stems import manifest as stems
from bridge.stems.tempo import Tempo


@dataclass(frozen=True, slots=True)
class Track:
    """One track: its name, its file (absolute), colour "#rrggbb", gain, whether it is heard.

    `activity` is the presence of its prompt, one value in [0, 1] a second; empty when not known.
    `channels` are those of its file. `given` says that the session has it already.
    """

    name: str
    file: Path
    colour: str = stems.GREY
    gain_db: float = 0.0
    muted: bool = False
    activity: tuple[float, ...] = ()
    channels: int = 2
    given: bool = False

    @property
    def gain(self) -> float:
        """The gain as a factor."""
        return float(10 ** (self.gain_db / 20))


@dataclass(frozen=True, slots=True)
class Layout:
    """Tracks of one length at one place. `name` is that of the source, without its suffix.

    `tracks` are the stems in order, then the residual, if any: together they are the source.
    `source` is None when its file is no longer what and where the manifest says. `beat` is the
    start in beats, None when the manifest has no tempo: `tempo` is then the usual one.
    """

    name: str
    rate: int
    channels: int
    frames: int
    start_samples: int
    tempo: Tempo
    tracks: tuple[Track, ...]
    source: Track | None
    beat: float | None = None

    @property
    def everything(self) -> tuple[Track, ...]:
        """All tracks, the source last."""
        return (*self.tracks, self.source) if self.source else self.tracks

    @property
    def start(self) -> float:
        """Seconds from the session's start to the first frame."""
        return self.start_samples / self.rate

    @property
    def seconds(self) -> float:
        """How long every track lasts."""
        return self.frames / self.rate


def layout(path: Path) -> Layout:
    """The tracks of the manifest at `path`, or in the folder there.

    Every file's header is read first. Raises `ValueError` with one sentence for a file that is no
    manifest, or a stem that is missing, no WAV or of another shape than the manifest says.
    """
    path = stems.manifest_path(path)
    manifest = stems.load(path)

    def track(name: str, wav: str, **how: Any) -> Track:
        header = stems.part_header(manifest, path, wav)
        return Track(name, header.path, channels=header.channels, **how)

    tracks = [
        track(
            _name(stem), stem.wav, colour=stem.colour, gain_db=stem.gain_db,
            activity=stem.activity, given=stem.given,
        )
        for stem in manifest.stems
    ]  # fmt: skip
    if manifest.residual is not None:
        tracks.append(track("residual", manifest.residual))
    return Layout(
        name=one_line(Path(manifest.source).stem) or "source",
        rate=manifest.rate,
        channels=manifest.channels,
        frames=manifest.frames,
        start_samples=manifest.start_samples,
        tempo=Tempo(manifest.tempo) if manifest.tempo else Tempo(),
        tracks=tuple(tracks),
        source=_source(manifest, path),
        beat=manifest.start_beats,
    )


def _name(stem: stems.Stem) -> str:
    """Name a track, with a mark where its sound was not found in the mixture."""
    return f"{stem.name} (absent)" if stem.present is False else stem.name


def _source(manifest: stems.Manifest, path: Path) -> Track | None:
    """The track of the source; None when it is gone, or no longer what was separated."""
    try:
        header = stems.source_header(manifest, path)
    except ValueError:
        return None
    return Track("source", header.path.resolve(), muted=True, channels=header.channels)
