"""Write a stem set that was made: its stems, given ones as they came, and the mix of all."""

from __future__ import annotations

import shutil
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bridge.files import atomic_output, names, wav
from bridge.stems import manifest
from bridge.stems.bwf_metadata import Origin, tags
from bridge.stems.levels import null_db
from bridge.stems.tempo import Points
from bridge.worker import mixture
from bridge.worker.mixture import Mixture, interleave
from bridge.worker.stem_writer import Levels
from sds.signal.audio_files import Recording

MIX = "mix"
BLOCK = 2**17  # frames written at once


@dataclass(frozen=True)
class MadeSet:
    """A stem set to be written.

    - `origin`: what was asked; its `prompts` name the stems in order
    - `frames`: of every file; `added`: what was made, by stem, [C, T] or mono [1, T]
    - `given`: the recordings of the others, by stem
    - `folder`: where in the job's folder it lies, "" for the folder itself
    - `tempo`: of its manifest
    """

    origin: Origin
    frames: int
    added: Mapping[str, Tensor]
    given: Mapping[str, Mixture] = field(default_factory=dict)
    folder: str = ""
    tempo: Points = ()

    @property
    def mix(self) -> str:
        """The place of the mix in the set's folder, out of the way of a folder import."""
        return f"source/{manifest.stem_name(self.origin.source, 0, MIX, self.origin.job)}"

    def wav(self, stem: str) -> str:
        """The file name of a stem."""
        number = self.origin.prompts.index(stem) + 1
        return manifest.stem_name(self.origin.source, number, stem, self.origin.job)


def file_names(made: MadeSet) -> list[str]:
    """All files of a set, from the job's folder."""
    own = [manifest.MANIFEST, made.mix, *(made.wav(stem) for stem in made.origin.prompts)]
    return [str(Path(made.folder) / name) for name in own]


def write(made: MadeSet, out: atomic_output.Output) -> Generator[float, None, dict[str, Any]]:
    """Write a set with its manifest; yields how much is written, 0..1, and returns its result.

    The mix is the sum of all stems in float32. A given WAV is copied byte for byte; another file's
    samples become a float WAV.
    """
    folder = out.partial / made.folder
    (folder / made.mix).parent.mkdir(parents=True, exist_ok=True)
    levels = Levels()
    for stem, source in made.given.items():
        _copy(made, stem, source, folder / made.wav(stem))
    with ExitStack() as stack:
        recordings = {
            stem: stack.enter_context(mixture.open_recording(source.file))
            for stem, source in made.given.items()
        }
        mix = stack.enter_context(_writer(made, 0, MIX, folder / made.mix))
        files = {
            stem: stack.enter_context(_writer(made, number, stem, folder / made.wav(stem)))
            for number, stem in enumerate(made.origin.prompts, start=1)
            if stem in made.added
        }
        for begin, parts in _blocks(made, recordings):
            whole = torch.stack(list(parts.values()))
            x = whole.sum(0)
            levels.add(x, whole)
            mix.write(interleave(x))
            for stem, file in files.items():
                file.write(interleave(parts[stem]))
            yield begin / made.frames
    stem_set = _manifest(made, _stems(made, levels.rms_db), levels.null_db, folder)
    manifest.save(stem_set, folder / manifest.MANIFEST)
    return {
        "stems": [
            {"prompt": stem.prompt, "wav": out.final(folder / stem.wav)} for stem in stem_set.stems
        ],
        "mix": out.final(folder / made.mix),
        "manifest": out.final(folder / manifest.MANIFEST),
        "null_db": stem_set.null_db,
    }


def _blocks(
    made: MadeSet, recordings: Mapping[str, Recording]
) -> Iterator[tuple[int, dict[str, Tensor]]]:
    """Where a block begins, and its samples [C, n] of every stem, in order."""
    channels = made.origin.channels
    for begin in range(0, made.frames, BLOCK):
        end = min(made.frames, begin + BLOCK)
        yield (
            begin,
            {
                stem: (
                    made.added[stem][:, begin:end]
                    if stem in made.added
                    else recordings[stem].read(begin, end)
                ).expand(channels, -1)
                for stem in made.origin.prompts
            },
        )


def _writer(made: MadeSet, number: int, name: str, path: Path) -> wav.Writer:
    bext, ixml = tags(made.origin, number, name)
    rate, channels = made.origin.rate, made.origin.channels
    return wav.Writer(path, rate=rate, channels=channels, frames=made.frames, bext=bext, ixml=ixml)


def _copy(made: MadeSet, stem: str, source: Mixture, path: Path) -> None:
    """The given file itself where it is a WAV that every reader here understands alike."""
    if mixture.is_plain_wav(source):
        shutil.copyfile(source.file, path)
        return
    number = made.origin.prompts.index(stem) + 1
    mixture.copy(source, 0, source.frames, path, *tags(made.origin, number, stem))


class ClipSet:
    """Clips of one length beside each other: a stem set of files that are written already."""

    def __init__(self) -> None:
        self._stems: list[manifest.Stem] = []
        self._sum = torch.zeros(0).double()  # [C, T]

    @property
    def channels(self) -> int:
        """Those of every clip."""
        return self._sum.shape[0]

    def add(self, prompt: str, file: str, sound: Tensor) -> None:
        """Count a clip [C, T], and the name of its file."""
        double = sound.double()
        self._sum = self._sum + double if self._stems else double
        level = null_db(float(double.square().sum()), float(double.numel()))
        self._stems.append(manifest.Stem(prompt=prompt, wav=file, rms_db=round(level, 3)))

    def write(self, origin: Origin, tempo: Points, out: atomic_output.Output) -> dict[str, Any]:
        """Write the mix and the manifest into the job's folder; manifest and null_db."""
        mix = self._sum.float()
        error = float((self._sum - mix.double()).square().sum())
        depth = round(null_db(error, float(mix.double().square().sum())), 3)
        made = MadeSet(origin, mix.shape[1], {}, tempo=tempo)
        place = out.partial / made.mix
        place.parent.mkdir()
        with _writer(made, 0, MIX, place) as file:
            file.write(interleave(mix))
        stem_set = _manifest(made, self._stems, depth, out.partial)
        manifest.save(stem_set, out.partial / manifest.MANIFEST)
        return {"manifest": out.final(out.partial / manifest.MANIFEST), "null_db": depth}


def _manifest(
    made: MadeSet, stems: Sequence[manifest.Stem], depth: float, folder: Path
) -> manifest.Manifest:
    origin = made.origin
    return manifest.Manifest(
        job=origin.job,
        task=origin.task or "prompts",
        words=origin.words,
        source=origin.source,
        source_sha256=names.sha256(folder / made.mix),
        source_wav=made.mix,
        rate=origin.rate,
        frames=made.frames,
        channels=origin.channels,
        start_samples=origin.start_samples,
        tempo=made.tempo,
        stems=tuple(stems),
        null_db=depth,
        method=origin.method,
        steps=origin.steps,
        seed=origin.seed,
        model=origin.model,
        model_hash=origin.model_hash,
        code=origin.code,
    )


def _stems(made: MadeSet, rms_db: Sequence[float]) -> tuple[manifest.Stem, ...]:
    return tuple(
        manifest.Stem(prompt=stem, wav=made.wav(stem), rms_db=level, given=stem in made.given)
        for stem, level in zip(made.origin.prompts, rms_db, strict=True)
    )
