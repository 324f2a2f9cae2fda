"""Write a stem set block by block, and measure its levels on the way."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from bridge.files import atomic_output, wav
from bridge.stems import manifest
from bridge.stems.bwf_metadata import Origin, tags
from bridge.stems.levels import null_db
from bridge.worker.mixture import interleave, open_recording
from sds.signal.audio_files import Recording

RESIDUAL = "residual"
PEAK_DB = -1.0  # dBFS: converters and lossy coders still have room above it


@dataclass(slots=True)
class Levels:
    """Sums of squares of the mixture, of what the parts leave of it, and of each part."""

    mixture: float = 0.0
    error: float = 0.0
    parts: list[float] = field(default_factory=list)
    samples: int = 0

    def add(self, x: Tensor, parts: Tensor) -> None:
        """Count a block of the mixture [C, n] and all parts [K + 1, C, n], in double precision."""
        doubles = parts.double()
        self.mixture += float(x.double().square().sum())
        self.error += float((x.double() - doubles.sum(0)).square().sum())
        powers = doubles.square().sum((1, 2)).tolist()
        self.parts = [a + b for a, b in zip(self.parts or [0.0] * len(powers), powers, strict=True)]
        self.samples += x.numel()

    @property
    def null_db(self) -> float:
        """As `stems.verify` will find it."""
        return round(null_db(self.error, self.mixture), 3)

    @property
    def rms_db(self) -> list[float]:
        """Of each part, the residual last, against full scale."""
        return [round(null_db(power, float(self.samples)), 3) for power in self.parts]


def names(origin: Origin) -> list[str]:
    """File names of the parts: one a prompt, then the residual."""
    display = manifest.display_names([*origin.prompts, RESIDUAL])  # a prompt may be there twice
    return [
        manifest.stem_name(origin.source, i, name, origin.job) for i, name in enumerate(display, 1)
    ]


def write(
    origin: Origin,
    mixture: Recording,
    blocks: Iterable[Tensor],
    out: atomic_output.Output,
    levels: Levels,
) -> Iterator[float]:
    """Write stems [K, C, n] block by block, and the residual = mixture - their sum, in float32.

    Yields how much of the mixture is written, 0..1; `levels` are counted on the way.
    """
    prompts = [*origin.prompts, RESIDUAL]
    with ExitStack() as stack:
        files = []
        for number, (file, name) in enumerate(zip(names(origin), prompts, strict=True), start=1):
            bext, ixml = tags(origin, number, name)
            writer = wav.Writer(
                out.partial / file,
                rate=mixture.rate,
                channels=mixture.channels,
                frames=mixture.frames,
                bext=bext,
                ixml=ixml,
            )
            files.append(stack.enter_context(writer))
        begin = 0
        for block in blocks:
            x = mixture.read(begin, begin + block.shape[-1])
            parts = torch.cat([block, (x - block.sum(0))[None]])
            levels.add(x, parts)
            for writer, part in zip(files, parts, strict=True):
                writer.write(interleave(part))
            begin += block.shape[-1]
            yield begin / mixture.frames


def read_samples(path: Path, begin: int, seconds: float) -> Tensor:
    """Samples [1, C, T] of a file from `begin` on, as an evaluation scorer takes them."""
    with open_recording(path) as recording:
        return recording.read(begin, begin + math.ceil(seconds * recording.rate))[None]


def turned_down(sound: Tensor) -> tuple[Tensor, float]:
    """Audio [C, T] with a peak of at most `PEAK_DB`, and its gain in dB, 0 where it was left."""
    peak, limit = float(sound.abs().amax()), 10 ** (PEAK_DB / 20)
    if peak <= limit:
        return sound, 0.0
    gain = torch.tensor(limit / peak)
    return sound * gain, float(20 * gain.log10())
