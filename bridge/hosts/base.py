"""The interface of a host: four operations, and `HostCannot` for those that it lacks.

Every host is fed by one manifest (`bridge.stems.manifest`), through `layout`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path
from typing import Protocol

from bridge.files.names import slug
from bridge.files.write_terms import ORDINARY, WriteRules
from bridge.hosts.layout import Layout, layout


class HostCannot(ValueError):
    """A host has no way to do this; one sentence that says so."""


@dataclass(frozen=True, slots=True)
class HostResult:
    """What a verb made: one sentence for people, and the files, the one to open first."""

    text: str
    files: tuple[Path, ...] = ()


class Host(Protocol):
    """A DAW, or a file that DAWs open. Each verb raises `HostCannot` where there is none.

    `ValueError` and `OSError` mean that this time it did not work: a file is missing, the DAW does
    not answer.
    """

    @property
    def name(self) -> str:
        """As in HOSTS."""

    def place_audio(self, manifest: Path, out: Path, terms: WriteRules = ORDINARY) -> HostResult:
        """Put the stems of the manifest file on tracks, where the source lay.

        `out` is where files go: a folder, or a file with the host's suffix. A host that runs puts
        the stems into its open session, and leaves there what it cannot do without. `terms` say
        which files may be replaced.
        """

    def load_preset(self, preset: Path, track: str) -> HostResult:
        """Load a preset file into the instrument on the track of that name."""

    def set_param(self, track: str, param: str, value: float) -> None:
        """Turn a knob of the instrument on a track; `value` in [0, 1]."""

    def notify(self, text: str) -> None:
        """Show the musician one sentence."""


class Act(Protocol):
    """Puts our scripts into a DAW, or takes them away."""

    def __call__(self, path: Path | None, *, force: bool) -> HostResult:
        """`path` is the DAW's folder of settings, None the usual one.

        Raises `ValueError` when it is not there, or holds a file of ours that was changed and
        `force` is not set.
        """


@dataclass(frozen=True, slots=True)
class Installer:
    """The two functions that install our scripts in a DAW and remove them."""

    install: Act
    uninstall: Act


@dataclass(frozen=True, slots=True)
class FileHost:
    """A host reached by a file of its format: `write(layout, file, terms)` says what it made.

    `suffix` is that of the file, "" when the folder itself is what is made. Nobody listens behind
    a file, so the other three verbs are refused.
    """

    name: str
    suffix: str
    write: Callable[[Layout, Path, WriteRules], HostResult]

    def place_audio(self, manifest: Path, out: Path, terms: WriteRules = ORDINARY) -> HostResult:
        """Write the file `out`, or a new one named as the source into the folder `out`."""
        placing = layout(manifest)
        if not self.suffix:
            return self.write(placing, out, terms)
        if out.suffix.lower() != self.suffix:
            if out.suffix and not out.is_dir():
                raise ValueError(f"out must be a folder or a {self.suffix} file, got {out.name!r}")
            out = _free(out / f"{slug(placing.name, otherwise='stems')}{self.suffix}")
        out.parent.mkdir(parents=True, exist_ok=True)
        return self.write(placing, out, terms)

    def load_preset(self, preset: Path, track: str) -> HostResult:
        """Refused: a file has no instrument."""
        raise HostCannot(f"{self.name} cannot load a preset: it is a file, not a running host")

    def set_param(self, track: str, param: str, value: float) -> None:
        """Refused: a file has no knobs."""
        raise HostCannot(f"{self.name} cannot turn a knob: it is a file, not a running host")

    def notify(self, text: str) -> None:
        """Refused: a file shows nothing."""
        raise HostCannot(f"{self.name} cannot show a message: it is a file, not a running host")


def _free(file: Path) -> Path:
    """The file, or one numbered: somebody may have worked in the project of that name since."""
    numbered = (file.with_stem(f"{file.stem}-{number}") for number in count(2))
    return next(path for path in chain((file,), numbered) if not path.exists())
