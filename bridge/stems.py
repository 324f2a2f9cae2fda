"""A set of stems: how files are named, the manifest beside them, and the check that they add up.

Standard library and pydantic only. A stem set is honest when stems + residual give the source
back, so `verify` adds the files up the way a DAW does and says how far off they are, in dB.
"""

from __future__ import annotations

import array
import hashlib
import importlib.util
import json
import math
import operator
import subprocess
import sys
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count, cycle
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from bridge import wav
from bridge.tempo import Points, Tempo

FORMAT = 1
MANIFEST = "stems.json"
MAX_SLUG = 100
MAX_NAME = 100
# Told apart by people with any colour vision: the palette of Okabe and Ito (2008) without black,
# and Tol's wine. The residual is grey.
PALETTE = (
    "#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7", "#882255",
)  # fmt: skip
GREY = "#808080"
ZERO_WIDTH_JOINER = "\u200d"  # makes one emoji of several
NULL_FLOOR_DB = -200.0
REFUSED = 3  # exit code of the child that adds up: its last words are a sentence for people
RESERVED = {"con", "prn", "aux", "nul"} | {f"{p}{n}" for p in ("com", "lpt") for n in range(1, 10)}

Unit = Annotated[float, Field(ge=0, le=1)]


class Stem(BaseModel):
    """One stem: what was asked for, its file beside the manifest, how to show and mix it.

    `name` is for people, the prompt when left out. Prompt match is a cosine: `score_before` of the
    mixture, `score_after` of the stem. `presence` in [0, 1] says how sure it is that the prompt's
    sound is in the mixture, `present` whether that is enough, `activity` the same a second.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    prompt: str
    wav: str
    rms_db: float
    name: str = ""
    colour: str = Field(default="", pattern=r"^(#[0-9a-f]{6})?$")
    gain_db: float = Field(default=0.0, ge=-120, le=60)
    score_before: float | None = None
    score_after: float | None = None
    presence: Unit | None = None
    present: bool | None = None
    activity: tuple[Unit, ...] = ()


class Absent(BaseModel):
    """A prompt without a stem, since its sound was not heard; figures as of a `Stem`."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    prompt: str
    presence: Unit
    present: bool = False
    activity: tuple[Unit, ...] = ()


class Manifest(BaseModel):
    """What was separated, from what, by what, and where it belongs.

    Files are paths from the manifest's folder. `source_wav` is the source itself when it is a WAV
    `bridge.wav` reads, else a float copy of it under `source/`, out of the way of a folder import.
    `start_samples` is the place of frame 0 in the session; `start_beats` the same by `tempo`, the
    (beat, beats a minute) points of the session's tempo map, None where no tempo is known.
    `job` is a digest of what was asked: the same job gives the same file names and bytes;
    `auditioned` that of an excerpt on which the same choices were heard first. `helpers` are the
    networks that were asked beside the model, by name, with the hashes of their weights.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    format: int = Field(default=FORMAT, ge=1, le=FORMAT)
    job: str
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
    residual: str
    residual_rms_db: float
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
    def forced(self) -> bool:
        """Whether a stem was made of a sound that is not heard."""
        return any(stem.present is False for stem in self.stems)

    @field_validator("stems")
    @classmethod
    def _told_apart(cls, stems: tuple[Stem, ...]) -> tuple[Stem, ...]:
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


def slug(text: str, *, otherwise: str = "stem") -> str:
    """ASCII file-name piece of at most 100 characters that no file system refuses.

    `otherwise` stands for a text without letters or digits, and behind the name of a device.

    >>> slug("Händel's Säx / night")
    'handel-s-sax-night'
    >>> slug("CON"), slug("!!!")
    ('con-stem', 'stem')
    """
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    kept = "".join(c if c.isalnum() else "-" for c in plain)
    piece = "-".join(part for part in kept.split("-") if part)[:MAX_SLUG].strip("-")
    if not piece:
        return otherwise
    return f"{piece}-{otherwise}" if piece in RESERVED else piece


def stem_name(source: str, number: int, name: str, job: str) -> str:
    """`<source>__<NN>_<slug>__<job8>.wav`.

    >>> stem_name("Take 3.flac", 1, "Alto sax", "0123456789ab")
    'take-3__01_alto-sax__01234567.wav'
    """
    return f"{slug(Path(source).stem)}__{number:02d}_{slug(name)}__{job[:8]}.wav"


def sha256(path: Path) -> str:
    """Hex digest of a file, read in blocks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def save(manifest: Manifest, path: Path) -> None:
    """Write a manifest as JSON. The reverse of `load`."""
    text = json.dumps(manifest.model_dump(mode="json"), indent=1, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")


def found(path: Path) -> Path:
    """The manifest at `path`, or in the folder there; `ValueError` when there is none."""
    path = path / MANIFEST if path.is_dir() else path
    if not path.is_file():
        raise ValueError(f"manifest {path} does not exist")
    return path


def load(path: Path) -> Manifest:
    """Read a manifest. The reverse of `save`; `ValueError` with one sentence when it is none."""
    try:
        return Manifest.model_validate_json(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise ValueError(f"{path.name} is not a stem manifest: it is not JSON text") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise ValueError(f"{path.name} is not a stem manifest: {where}: {first['msg']}") from error


@dataclass(frozen=True, slots=True)
class Sum:
    """How deep a stem set nulls against its source, in dB: added in double, and as a DAW adds."""

    double_db: float
    float_db: float


def verify(path: Path) -> float:
    """Null depth in dB of the stem set of the manifest at `path`, added up in double precision."""
    return add_up(path).double_db


def add_up(path: Path) -> Sum:
    """Null depths of the stem set of the manifest at `path`: 10 log10(sum e^2 / sum x^2).

    x is the source, e = x - sum of g s over stems s with their gains g, and the residual, in file
    order: once all in double precision, once with every product and every sum rounded to float32,
    as on a DAW's bus; -200 when nothing is left. Memory is one block a file. Raises what `check`
    and `null_db` raise. `bridge.resum` is the same by numpy, for long files.
    """
    headers, gains = check(path)
    doubles = floats = power = 0.0
    for x, *parts in zip(*map(wav.samples, headers), strict=True):
        double, bus = [0.0] * len(x), array.array("f", bytes(4 * len(x)))
        for gain, part in zip(gains, parts, strict=True):
            scaled = [gain * v for v in part] if gain != 1.0 else part
            double = list(map(operator.add, double, scaled))
            bus = array.array("f", map(operator.add, bus, array.array("f", scaled)))
        doubles += sum(e * e for e in map(operator.sub, x, double))
        floats += sum(e * e for e in map(operator.sub, x, bus))
        power += sum(v * v for v in x)
    return Sum(null_db(doubles, power), null_db(floats, power))


def add_up_fast(path: Path) -> Sum:
    """`add_up` in a child process with numpy, or here where there is none."""
    if importlib.util.find_spec("numpy") is None:
        return add_up(path)
    command = [sys.executable, "-m", "bridge.resum", str(path)]
    child = subprocess.run(command, capture_output=True, text=True, check=False)
    words = child.stderr.strip().splitlines() or [f"exit code {child.returncode}"]
    if child.returncode == REFUSED:
        raise ValueError(words[-1])
    if child.returncode:
        raise ValueError(f"{path.name} could not be added up: {words[-1]}")
    return Sum(*json.loads(child.stdout))


def check(path: Path) -> tuple[list[wav.Wav], list[float]]:
    """The files of a set, source first, residual last, and the gains of all but the source.

    Raises `ValueError` naming the file that is missing, changed, of another shape than the manifest
    says, or that says by its bext that it begins elsewhere.
    """
    manifest = load(path)
    names = [manifest.source_wav, *(stem.wav for stem in manifest.stems), manifest.residual]
    headers = []
    for number, name in enumerate(names):
        file = path.parent / name
        if not file.is_file():
            raise ValueError(f"{name}, named in {path.name}, is not there")
        header = wav.read_header(file)
        shape = (header.rate, header.channels, header.frames)
        wanted = (manifest.rate, manifest.channels, manifest.frames)
        if shape != wanted:
            raise ValueError(
                f"{name} has (rate, channels, frames) {shape}, the manifest says {wanted}"
            )
        begins = header.bext.time_reference if header.bext else None
        if number > 0 and begins not in (None, manifest.start_samples):
            raise ValueError(
                f"{name} begins at sample {begins} by its bext, "
                f"the manifest says {manifest.start_samples}"
            )
        headers.append(header)
    source = path.parent / manifest.source_wav
    if source.name == manifest.source and sha256(source) != manifest.source_sha256:
        raise ValueError(f"{manifest.source} is not the file that was separated: it has changed")
    return headers, [*(10 ** (stem.gain_db / 20) for stem in manifest.stems), 1.0]


def null_db(error: float, power: float) -> float:
    """10 log10(error / power), -200 when there is no error; against full scale when no power.

    Raises `ValueError` for sums of samples that are no numbers: nothing is said of them.

    >>> null_db(1e-12, 1.0)
    -120.0
    """
    if not math.isfinite(error + power):
        raise ValueError("samples must be finite numbers, and some of these files' are not")
    if error <= 0:
        return NULL_FLOOR_DB
    return max(NULL_FLOOR_DB, 10 * math.log10(error / (power if power > 0 else 1.0)))
