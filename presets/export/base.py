"""What an exporter is: a preset and its sound in, the bytes of files and what was lost out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from presets.params import Note
from presets.preset import Preset


class Source(Protocol):
    """The preset as our renderer plays it, effects and all, in bytes: no array library here.

    `rate` in Hz, `channels` 1 or 2, `seconds` how long the patch sounds until it has fallen by
    80 dB (at most 60); of a patch that holds, its own key let go when its preset says. Samples are
    little-endian and interleaved.
    """

    rate: int
    channels: int
    seconds: float

    def floats(self, note: Note, seconds: float) -> bytes:
        """32-bit float samples of one note."""
        ...

    def pcm(
        self,
        note: Note,
        seconds: float,
        *,
        bits: int,
        gain: float = 1.0,
        loop: tuple[int, int] | None = None,
    ) -> bytes:
        """16- or 24-bit integer samples of one note times `gain`, last 10 ms faded out.

        With a `loop` they end with it, without a seam, and with 32 samples of it more.
        """
        ...

    def loop(self, note: Note, seconds: float, *, start: float, every: float) -> tuple[int, int]:
        """First sample of a loop and the one behind its last, in `seconds` of one note.

        It begins `start` seconds into the note at the earliest, and takes whole times `every`
        seconds, where that is not 0.
        """
        ...

    def peak(self, note: Note, seconds: float) -> float:
        """The largest absolute sample of one note."""
        ...

    def cycles(self, note: Note, times: Sequence[float], size: int) -> list[bytes]:
        """One period of `size` float samples at each of `times` (seconds), dry, band-limited.

        Raises `ValueError` when the patch has no period at this note.
        """
        ...

    def noise(self, seconds: float) -> bytes:
        """The noise of a full FM voice at its loudest, dry and unfiltered, of unit power: floats.

        It repeats without a seam. Raises `ValueError` for a voice that has none.
        """
        ...

    def impulse(self, rate: int) -> bytes:
        """The space of an impact preset, dry sound at sample 0, float mono. Else `ValueError`."""
        ...


@dataclass(frozen=True, slots=True)
class Exported:
    """Files by relative path (the first is the one to open), and what the format cannot say.

    A sentence of `lost` names the thing, what became of it, and how much, where that is known.
    """

    files: dict[str, bytes]
    lost: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Exporter:
    """One format: what it is called, which renderers' presets it carries, and how.

    `export(preset, source, stem)` names its files after `stem`, a safe file name without suffix.
    Raises `ValueError` with one sentence when this preset cannot be carried at all. In a bundle of
    formats the files go into `folder`, the format's own when "": formats of one folder share the
    files that both name, which are the same.
    """

    title: str
    suffix: str
    renderers: frozenset[str]
    export: Callable[[Preset, Source, str], Exported]
    folder: str = ""


def without_effects(preset: Preset) -> tuple[str, ...]:
    """What a format loses that holds the patch and not its chain, a sentence an effect.

    Raises `ValueError` when a plugin plays the note: the patch is then not what is heard.
    """
    for effect in preset.effects:
        if effect.plugin is not None and effect.plugin.instrument:
            raise ValueError(
                f"preset {preset.name!r} is played by the plugin {effect.plugin.file},"
                " which only samples can carry"
            )
    kinds = (e.kind if e.plugin is None else f"plugin {e.plugin.file}" for e in preset.effects)
    return tuple(f"effect {kind}: it is not in the file" for kind in kinds)
