"""The models of jobs about patches: design, render, export, vary, morph, edit.

`bridge.protocol.jobs` has all jobs.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, ValidationInfo, field_validator
from pydantic_core import PydanticKnownError

from bridge.files import names
from bridge.protocol.base import MAX_PROMPT, SEEDS, Listed, Prompt, Seed, WritingJob
from presets.export import EXPORTERS

ALL = "all"  # formats
MOST = 8  # patches of one search
AUTO = "dx7:auto"  # whichever of the DX7's algorithms suits best


def _format(name: str) -> str:
    if name != ALL and name not in EXPORTERS:
        raise ValueError(f"must be {ALL} or one of {', '.join(EXPORTERS)}")
    return name


def _matrix(name: str) -> str:
    if not re.fullmatch(r"free|acyclic|dx7:(auto|[1-9]|[12]\d|3[0-2])", name):
        raise ValueError("must be free, acyclic, dx7:auto or dx7:1 .. dx7:32")
    return name


Format = Annotated[str, AfterValidator(_format)]
Matrix = Annotated[str, AfterValidator(_matrix)]
RendererName = Literal["auto", "fm", "impact"]
Recipe = Literal["paper", "default", "fast"]


class DesignPatch(WritingJob):
    """Design patches from a prompt, or from a recording that they are to sound like.

    The search begins at the bank's patches nearest to the prompt, or around the preset `start`,
    whose effects and matrix stay. But for `recipe` "paper", words of the prompt choose effects,
    length and movement too (`presets.prompt_words`).

    - `like`: recording to fit; default None
    - `prompt`: what the patch is to sound like, at most 300 characters, at least 1 without `like`
    - `renderer`: "fm", "impact" or "auto", the one that comes nearer in a first trial; default
      "auto"
    - `out`: folder of the results; default "": a folder of their own under the results, and copies
      in the library, tagged "inbox"
    - `count`: how many patches at most, the best first, 1..8; default 4
    - `duration`: seconds of sound, 0.25..10; default None: 2, or what the prompt says
    - `steps`: distillation steps, 1..5000; default None: those of the recipe
    - `seed`: of all random numbers, 0..2^31 - 1; default 0
    - `searches`: how many whole searches are done, 1..16, of whose patches the best are kept: from
      `seed`, `seed` + 1, ..., all below 2^31; default 1
    - `recipe`: "paper", "default" or "fast"; default "default"
    - `model`: name of the prior; default "default"
    - `scorer`: who the search listens to: "default", or a CLAP, as a folder or hub id; the bank
      where it begins stays the shipped scorer's; default "default"
    - `note`: MIDI note, fractions allowed, 0..127; default None: the start's, else 36 for a
      bass and 60 for others
    - `pitched`: whether it has a pitch, in tune with the keys; default None: as the prompt says,
      else as the nearest patch has one
    - `loudness`: LUFS, -40..-5, as far as its peak stays below -1 dBFS; default None: peak at -1
      dBFS
    - `start`: preset file to begin around; default None
    - `matrix`: of `fm`, which operator modulates which: "free", "acyclic", "dx7:1" .. "dx7:32" or
      "dx7:auto"; default None: the start's, else the renderer's own
    - `operators`: of `fm`, 1..8; default None, likewise
    - `modes`: of `impact`, 1..2048, with `recipe` "paper" and no `start`; default None: 2048
    - `denoise_steps`: DDIM steps from the noise down to each target of the distillation, 1..10, so
      with `recipe` "paper" or `steps`; default None: those of the recipe
    - `slot`: player slot 1..128 in which each best is played, and in which the last is kept in the
      library; default None

    Result: preset, wav, initial_wav, score_before, score_after, rating_before, rating, verdict,
    patches [{preset, wav, seed, score, score_after, rating, verdict}], renderer, why, pitched,
    steps, curves, seconds; library with slot; without `out` also in each of patches. A search from
    the `seed` of a patch alone finds it again. `score` is the search scorer's, `score_after` the
    evaluation scorer's, `rating` the same on a scale of 0..100, null without words; `pitched` is
    null where it was not decided.
    """

    kind: Literal["patch"] = "patch"
    id: str
    like: str | None = None
    prompt: str = Field(default="", max_length=MAX_PROMPT, validate_default=True)
    renderer: RendererName = "auto"
    out: str = ""
    count: int = Field(default=4, ge=1, le=MOST)
    duration: float | None = Field(default=None, ge=0.25, le=10.0)
    steps: int | None = Field(default=None, ge=1, le=5000)
    seed: Seed = 0
    searches: int = Field(default=1, ge=1, le=16)
    recipe: Recipe = "default"
    model: str = "default"
    scorer: str = "default"
    note: float | None = Field(default=None, ge=0, le=127)
    pitched: bool | None = None
    loudness: float | None = Field(default=None, ge=-40, le=-5)
    start: str | None = None
    matrix: Matrix | None = None
    operators: int | None = Field(default=None, ge=1, le=8)
    modes: int | None = Field(default=None, ge=1, le=2048)
    denoise_steps: int | None = Field(default=None, ge=1, le=10)
    slot: int | None = Field(default=None, ge=1, le=128)

    @property
    def file_name(self) -> str:
        """The name of its files, without suffix."""
        return names.slug(self.prompt or Path(str(self.like)).stem, otherwise="preset")

    @property
    def stale(self) -> tuple[str, ...]:
        """Files that a search which found more patches may have left beside its own."""
        first = names.patch_files(self.file_name)
        return names.patch_files(self.file_name, MOST)[len(first) :]

    @field_validator("searches")
    @classmethod
    def _check_searches(cls, searches: int, known: ValidationInfo) -> int:
        seed = known.data.get("seed", 0)
        if seed + searches > SEEDS:
            raise ValueError(f"must be at most {SEEDS - seed} from seed {seed} on, got {searches}")
        return searches

    @field_validator("prompt")
    @classmethod
    def _check_prompt(cls, prompt: str, known: ValidationInfo) -> str:
        if known.data.get("like") is None and not prompt.strip():
            if prompt:
                raise PydanticKnownError("string_pattern_mismatch", {"pattern": r"\S"})
            raise PydanticKnownError("string_too_short", {"min_length": 1})
        return prompt.strip() and prompt


class RenderPreset(WritingJob):
    """Render a preset file to a WAV file.

    - `preset`: preset file
    - `out`: WAV file
    - `note`: MIDI note, fractions allowed, 0..127; default None: the preset's
    - `velocity`: of the note, 1..127; default 100
    - `duration`: seconds, above 0 to 60, the key down for the same part of them as in the preset;
      default None: the preset's
    - `plugin`: a VST3: an effect behind the preset's own, or an instrument that plays the note;
      default None
    - `fleeting`: whether the file is needed for a moment only: then nothing is done for the case
      that the machine stops meanwhile, which takes longer than a sound; default False

    Result: wav, seconds.
    """

    kind: Literal["render"] = "render"
    id: str
    preset: str
    out: str
    note: float | None = Field(default=None, ge=0, le=127)
    velocity: int = Field(default=100, ge=1, le=127)
    duration: float | None = Field(default=None, gt=0, le=60)
    plugin: str | None = None
    fleeting: bool = False


class Export(WritingJob):
    """Export a preset to files of other synths.

    - `preset`: preset file
    - `formats`: names of `EXPORTERS`, or "all", as a list or one text with commas; at least one
    - `out`: one format: a folder, or a file with the format's suffix; several: a folder
    - `rate`: Hz of samples that are written, 44100 or 48000; default 44100

    Result: file, formats (an entry a name), seconds. Several formats make `out` a bundle, in which
    `file` is REPORT.md. An entry has file, files, lost, fidelity_db, rms, engine and unchecked
    (why there is no engine); or refused, why the format cannot carry this preset, which fails a
    job of one format.
    """

    kind: Literal["export"] = "export"
    id: str
    preset: str
    formats: Annotated[tuple[Format, ...], Listed] = Field(min_length=1)
    out: str
    rate: Literal[44100, 48000] = 44100

    @property
    def names(self) -> tuple[str, ...]:
        """The formats asked for, each once."""
        return tuple(EXPORTERS) if ALL in self.formats else tuple(dict.fromkeys(self.formats))

    @property
    def bundle(self) -> bool:
        """Whether `out` is a folder of several formats and a report."""
        return ALL in self.formats or len(self.names) > 1

    @property
    def folder(self) -> Path:
        """Where files are written."""
        return Path(self.out).parent if self.named else Path(self.out)

    @property
    def named(self) -> bool:
        """Whether `out` names the file itself, by the suffix of its one format."""
        if self.bundle:
            return False
        return Path(self.out).suffix.lower() == EXPORTERS[self.formats[0]].suffix


class Vary(WritingJob):
    """Make variations of a preset.

    - `preset`: preset file
    - `out`: folder of the results
    - `count`: how many, 1..100; default 10
    - `amount`: how far from the preset, above 0 to 1; default 0.3
    - `seed`: of all random numbers, 0..2^31 - 1; default 0

    Result: presets [{preset, wav}], seconds.
    """

    kind: Literal["vary"] = "vary"
    id: str
    preset: str
    out: str
    count: int = Field(default=10, ge=1, le=100)
    amount: float = Field(default=0.3, gt=0, le=1)
    seed: Seed = 0


class Morph(WritingJob):
    """Make presets on the way from one to another, both ends among them.

    - `preset`: preset file of one end
    - `other`: preset file of the other end
    - `out`: folder of the results
    - `steps`: how many presets, 2..100; default 5

    Result as of `Vary`.
    """

    kind: Literal["morph"] = "morph"
    id: str
    preset: str
    other: str
    out: str
    steps: int = Field(default=5, ge=2, le=100)


class EditPreset(WritingJob):
    """Edit a preset by words, such as "darker".

    - `preset`: preset file
    - `prompt`: the change in words, 1..300 characters
    - `out`: folder of the results
    - `old`: what the preset is now in words; default None: its own prompt, or its name
    - `steps`: 1..5000; default None: those of the edit
    - `seed`: of all random numbers, 0..2^31 - 1; default 0
    - `model`: name of the prior; default "default"

    Result: preset, wav, initial_wav, score_before, score_after, rating_before, rating, verdict,
    patches (this one patch), prompt, changed, steps, seconds; ratings as of `DesignPatch`.
    """

    kind: Literal["edit"] = "edit"
    id: str
    preset: str
    prompt: Prompt
    out: str
    old: Prompt | None = None
    steps: int | None = Field(default=None, ge=1, le=5000)
    seed: Seed = 0
    model: str = "default"
