"""The manifest of a stem set: its fields, how files are named, and headers that must agree with it.

Standard library and pydantic only. Stems + residual give the source back sample by sample;
`bridge.stems.null_test` adds the files up the way a DAW does and measures the rest in dB. A set
that was made, not separated, is the same, with the mix of its stems as the source and no residual.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import count, cycle
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
)

from bridge.files import wav
from bridge.files.names import ZERO_WIDTH_JOINER, sha256, slug
from bridge.stems.levels import NULL_FLOOR_DB
from bridge.stems.tempo import Points, Tempo
from presets.reading import read_json

FORMAT = 1
MANIFEST = "stems.json"
MAX_MANIFEST = 16 << 20  # bytes of one
MAX_NAME = 100
# Told apart by people with any colour vision: the palette of Okabe and Ito (2008) without black,
# and Tol's wine. The residual is grey.
PALETTE = (
    "#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7", "#882255",
)  # fmt: skip
GREY = "#808080"

Unit = Annotated[float, Field(ge=0, le=1)]
Task: TypeAlias = Literal["prompts", "stems", "generate", "accompany", "clips"]


def _bare(name: str) -> str:
    """The name of a file in a folder, which leads to no other folder and no other drive."""
    if name in ("", ".", "..") or Path(name).name != name or set(name) & set("/\\\0"):
        raise ValueError(f"must be the bare name of a file beside the manifest, got {name[:80]!r}")
    return name


BareName = Annotated[str, AfterValidator(_bare)]
"""The name of a file beside the manifest: a manifest of a stranger must not carry others out."""


class Stem(BaseModel):
    """One stem: what was asked for, its file beside the manifest, how to show and mix it.

    - `prompt`: what the stem holds, as it was asked for
    - `wav`: bare name of its WAV in the manifest's folder
    - `rms_db`: level, dB re full scale, -200 for silence
    - `name`: for people; default: the prompt, made unlike the other stems' names
    - `colour`: "#rrggbb" in small digits; default: the next of `PALETTE`
    - `gain_db`: gain at which a host mixes it, dB, -120..60; default 0
    - `score_before`: cosine of prompt and mixture by the evaluation scorer, -1..1; default None:
      none
    - `score_after`: the same of prompt and stem
    - `presence`: probability that its sound is in the mixture, 0..1; default None: not asked
    - `present`: whether that is enough for a stem; False where it was forced; default None
    - `activity`: the probability of each second of the mixture, 0..1; default (): not asked
    - `given`: whether it was there before, and others were made to go with it; it then may be mono
      in a stereo set; default False
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    prompt: str
    wav: BareName
    rms_db: float
    name: str = ""
    colour: str = Field(default="", pattern=r"^(#[0-9a-f]{6})?$")
    gain_db: float = Field(default=0.0, ge=-120, le=60)
    score_before: float | None = None
    score_after: float | None = None
    presence: Unit | None = None
    present: bool | None = None
    activity: tuple[Unit, ...] = ()
    given: bool = False


class Absent(BaseModel):
    """A prompt without a stem, since its sound was not found in the mixture.

    - `prompt`: what was asked for
    - `presence`: probability that its sound is in the mixture, 0..1
    - `present`: whether that is enough for a stem; default False
    - `activity`: the probability of each second of the mixture, 0..1; default (): not known
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    prompt: str
    presence: Unit
    present: bool = False
    activity: tuple[Unit, ...] = ()


class Manifest(BaseModel):
    """What was separated or made, from what, by what, and where it belongs in the session.

    - `format`: version of this layout, 1..1; default 1
    - `job`: digest of what was asked: the same job gives the same file names and bytes
    - `task`: what that was: "prompts" (separate by prompts), "stems" (separate into fixed classes),
      "generate", "accompany" or "clips" (sounds of their own side by side); default "prompts"
    - `words`: what a set was made of; default ""
    - `source`: name of the file that was separated, or of the mix
    - `source_sha256`: its SHA-256 in hexadecimal digits
    - `source_wav`: path from the manifest's folder to the source itself when it is a WAV that
      `bridge.files.wav` reads, else to a float copy under `source/`, out of the way of a folder
      import; `source_header` checks it
    - `rate`: Hz of every file, > 0
    - `frames`: samples a channel of every file, > 0
    - `channels`: of every file, > 0
    - `start_samples`: place of frame 0 in the session, samples at `rate`, >= 0; default 0
    - `tempo`: (beat, beats a minute) points of the session's tempo map; default (): unknown
    - `start_beats`: `start_samples` in beats by `tempo`; default: computed; None without a tempo
    - `stems`: the stems, at least one, with names and colours of their own
    - `residual`: bare name of the WAV of what no stem holds: mixture minus the sum of the stems;
      default None: the set was made, and nothing is left
    - `residual_rms_db`: its level, dB re full scale, -200 for silence; default -200
    - `null_db`: power of mixture - (stems + residual), dB re the mixture's, >= -200
    - `negatives`: prompts that no stem was to hold; default ()
    - `absent`: prompts that got no stem; default ()
    - `auditioned`: `job` of an excerpt that the same choices were tried on; default "": none
    - `method`: name of the separation method
    - `steps`: distillation steps taken, or evaluations of the model asked for; 0 for none
    - `seed`: seed of all random numbers
    - `model`: name of the prior, or of the model of stems; "" where the method does not use the
      model, and the networks of `helpers` separated alone
    - `model_hash`: digest of its weights
    - `helpers`: network name -> digest of its weights, of those asked beside the model; default {}
    - `code`: version of Scorewire
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    format: int = Field(default=FORMAT, ge=1, le=FORMAT)
    job: str
    task: Task = "prompts"
    words: str = ""
    source: str
    source_sha256: str
    source_wav: str
    rate: int = Field(gt=0)
    frames: int = Field(gt=0)
    channels: int = Field(gt=0)
    start_samples: int = Field(default=0, ge=0)
    tempo: Points = ()
    start_beats: float | None = Field(default_factory=lambda known: _beats(known))
    stems: tuple[Stem, ...] = Field(min_length=1)
    residual: BareName | None = None
    residual_rms_db: float = NULL_FLOOR_DB
    null_db: float
    negatives: tuple[str, ...] = ()
    absent: tuple[Absent, ...] = ()
    auditioned: str = ""
    method: str
    steps: int
    seed: int
    model: str
    model_hash: str
    helpers: dict[str, str] = {}
    code: str

    @property
    def parts(self) -> tuple[str, ...]:
        """The files that add up to the source: the stems, then the residual where there is one."""
        names = tuple(stem.wav for stem in self.stems)
        return names if self.residual is None else (*names, self.residual)

    @property
    def forced(self) -> bool:
        """Whether a stem was made of a sound that is not heard."""
        return any(stem.present is False for stem in self.stems)

    @field_validator("stems")
    @classmethod
    def _name_stems(cls, stems: tuple[Stem, ...]) -> tuple[Stem, ...]:
        """Every stem has a name and a colour of its own."""
        names = display_names([stem.name or stem.prompt for stem in stems])
        return tuple(
            stem.model_copy(update={"name": name, "colour": stem.colour or colour})
            for stem, name, colour in zip(stems, names, cycle(PALETTE), strict=False)
        )


def _beats(known: dict[str, Any]) -> float | None:
    if not known["tempo"]:
        return None
    return Tempo(known["tempo"]).beats(known["start_samples"] / known["rate"])


def display_names(texts: Sequence[str]) -> list[str]:
    """Names for people, one line each, no two alike; control and direction marks are left out.

    >>> display_names(["Alto sax", "kick\\n", "kick", "", "🎷"])
    ['Alto sax', 'kick', 'kick 2', 'stem', '🎷']
    """
    names: list[str] = []
    for text in texts:
        plain = "".join(c if c.isprintable() or c == ZERO_WIDTH_JOINER else " " for c in text)
        name = " ".join(plain.split())[:MAX_NAME].strip() or "stem"
        alike = (f"{name} {number}" for number in count(2))
        names.append(name if name not in names else next(n for n in alike if n not in names))
    return names


def stem_name(source: str, number: int, name: str, job: str) -> str:
    """`<source>__<NN>_<slug>__<job8>.wav`.

    >>> stem_name("Take 3.flac", 1, "Alto sax", "0123456789ab")
    'take-3__01_alto-sax__01234567.wav'
    """
    return f"{slug(Path(source).stem)}__{number:02d}_{slug(name)}__{job[:8]}.wav"


def save(manifest: Manifest, path: Path) -> None:
    """Write a manifest as JSON. The reverse of `load`."""
    text = json.dumps(manifest.model_dump(mode="json"), indent=1, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")


def manifest_path(path: Path) -> Path:
    """The manifest at `path`, or in the folder there; `ValueError` when there is none."""
    path = path / MANIFEST if path.is_dir() else path
    if not path.is_file():
        raise ValueError(f"manifest {path} does not exist")
    return path


def load(path: Path) -> Manifest:
    """Read a manifest. The reverse of `save`; `ValueError` with one sentence when it is none."""
    try:
        return Manifest.model_validate(read_json(path, MAX_MANIFEST, name="it"))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        why = first["msg"].removeprefix("Value error, ")
        raise ValueError(f"{path.name} is not a stem manifest: {where}: {why}") from error
    except ValueError as error:
        raise ValueError(f"{path.name} is not a stem manifest: {error}") from error


def part_header(manifest: Manifest, path: Path, name: str) -> wav.Wav:
    """The header of the file `name` of the set whose manifest is at `path`.

    Raises `ValueError` with one sentence when it is missing, no WAV, or of another rate, number of
    channels or length than the manifest says; but a given stem may be mono.
    """
    file = path.absolute().parent / name
    if not file.is_file():
        raise ValueError(f"{name}, named in {path.name}, is not there")
    header = wav.read_header(file)
    shape = (header.rate, header.channels, header.frames)
    wanted = (manifest.rate, manifest.channels, manifest.frames)
    if header.channels == 1 and any(stem.given and stem.wav == name for stem in manifest.stems):
        wanted = (manifest.rate, 1, manifest.frames)
    if shape != wanted:
        raise ValueError(f"{name} has (rate, channels, frames) {shape}, the manifest says {wanted}")
    return header


def source_header(manifest: Manifest, path: Path) -> wav.Wav:
    """The header of the source of the set whose manifest is at `path`; raises as `part_header`.

    A source in another place, or of the name that was separated, must have the manifest's SHA-256:
    no manifest leads to a sound whose bytes its writer did not have.
    """
    header = part_header(manifest, path, manifest.source_wav)
    folder = path.absolute().parent.resolve()
    outside = not header.path.resolve().is_relative_to(folder)
    if outside or header.path.name == manifest.source:
        if sha256(header.path) != manifest.source_sha256:
            name = header.path.name
            raise ValueError(f"{name} is not the file that was separated: it has changed")
    return header
