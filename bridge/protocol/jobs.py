"""Jobs and events: the words the bridge and the worker exchange, one JSON object a line.

Validated once, here, where the world enters; inside, a `Job` is known to make sense.
"""

from __future__ import annotations

import re
import secrets
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_core import PydanticKnownError

from bridge.files.write_terms import Terms
from bridge.protocol.base import Frozen
from bridge.protocol.host_names import HOST_NAMES
from bridge.stems import excerpt as audition
from bridge.stems.tempo import Points
from presets.export import EXPORTERS

ALL = "all"  # formats
AUTO = "dx7:auto"  # whichever of the DX7's algorithms suits best
MAX_PROMPT = 300
MAX_STEMS = 8
MAX_REASON = 300  # letters of what a check said, which may hold all that it was given


class Writes(Frozen):
    """A job that writes files; how, stands in its `terms`.

    `replace`: files that Scorewire did not make, or that were changed since, may be replaced.
    `new`: nothing that is there is. `within`: folders in which all files must lie; none: anywhere.
    """

    id: str
    out: str
    replace: bool = False
    new: bool = False
    within: tuple[str, ...] = Field(default=(), max_length=64)

    @property
    def terms(self) -> Terms:
        """Under which terms its files are written."""
        return Terms(self.replace, self.new, self.within)


def _format(name: str) -> str:
    if name != ALL and name not in EXPORTERS:
        raise ValueError(f"must be {ALL} or one of {', '.join(EXPORTERS)}")
    return name


def _matrix(name: str) -> str:
    if not re.fullmatch(r"free|acyclic|dx7:(auto|[1-9]|[12]\d|3[0-2])", name):
        raise ValueError("must be free, acyclic, dx7:auto or dx7:1 .. dx7:32")
    return name


def _host(name: str) -> str:
    if name not in HOST_NAMES:
        raise ValueError(f"must be one of {', '.join(HOST_NAMES)}")
    return name


def _wav(name: str) -> str:
    if not name.lower().endswith(".wav"):
        raise ValueError("must be a .wav file")
    return name


WavFile = Annotated[str, AfterValidator(_wav)]
Format = Annotated[str, AfterValidator(_format)]
HostName = Annotated[str, AfterValidator(_host)]
Prompt = Annotated[str, Field(min_length=1, max_length=MAX_PROMPT, pattern=r"\S")]
Listed = BeforeValidator(
    lambda given: [part.strip() for part in given.split(",")] if isinstance(given, str) else given
)
RendererName = Literal["fm", "impact"]
Matrix = Annotated[str, AfterValidator(_matrix)]
Seed = Annotated[int, Field(ge=0, lt=2**31)]
Recipe = Literal["paper", "default", "fast"]
Method = Literal["default", "fast", "best", "masks", "paper"]
SuiteName = Literal["codec", "prior", "patch", "separate", "ablation", "all"]


class DesignPatch(Writes):
    """Prompt to patch.

    The search begins at the bank's patches nearest to the prompt, or around the preset `start`,
    whose effects and matrix stay. `matrix` and `operators` are of `fm`: what modulates what. With
    `slot` each best is played there, and the last is kept in the library, in that slot.
    Result: preset, wav, initial_wav, score_before, score_after, steps, seconds; library with slot.
    """

    kind: Literal["patch"] = "patch"
    id: str
    prompt: Prompt
    renderer: RendererName
    out: str
    duration: float = Field(default=2.0, ge=0.25, le=10.0)  # seconds of sound
    steps: int | None = Field(default=None, ge=1, le=5000)
    seed: int = Field(default=0, ge=0, lt=2**31)
    recipe: Recipe = "default"
    model: str = "default"
    note: float | None = Field(default=None, ge=0, le=127)  # the start's, or 60
    start: str | None = None
    matrix: Matrix | None = None
    operators: int | None = Field(default=None, ge=1, le=8)
    slot: int | None = Field(default=None, ge=1, le=128)


class Separate(Writes):
    """Track to stems. Result: stems [{prompt, wav}], residual, manifest, null_db, seconds.

    `start_samples` is where the file begins in the session, at the file's rate; left out, what the
    file's own bext says. `tempo` is the session's tempo map. With `host` the server then puts the
    stems on that host's tracks; the result has placed {host, text, files} too. A prompt whose
    sound is not heard gets no stem, unless with `force`: absent [{prompt, presence}] and note, a
    sentence, say so. With `auto` what is heard is suggested, beside the prompts given, if any.
    What `negatives`
    name goes into the residual. With `excerpt` only the busiest so many seconds are separated, in
    few steps, into the folder `excerpt` of `out`; the result has excerpt {begin, end} in seconds.
    """

    kind: Literal["separate"] = "separate"
    id: str
    file: str
    auto: bool = False
    force: bool = False
    prompts: tuple[Prompt, ...] = Field(default=(), max_length=MAX_STEMS, validate_default=True)
    negatives: Annotated[tuple[Prompt, ...], Listed] = Field(default=(), max_length=MAX_STEMS)
    out: str
    excerpt: float | None = Field(default=None, ge=1, le=60)
    method: Method = "default"
    steps: int | None = Field(default=None, ge=1, le=5000)
    seed: int = Field(default=0, ge=0, lt=2**31)
    model: str = "default"
    start_samples: int | None = Field(default=None, ge=0, lt=2**63)
    tempo: Points = ()
    host: HostName | None = None

    @field_validator("prompts")
    @classmethod
    def _some(cls, prompts: tuple[str, ...], known: ValidationInfo) -> tuple[str, ...]:
        if not prompts and not known.data.get("auto"):
            sizes = {"field_type": "Tuple", "min_length": 1, "actual_length": 0}
            raise PydanticKnownError("too_short", sizes)
        return prompts

    @field_validator("negatives")
    @classmethod
    def _not_wanted_too(cls, negatives: tuple[str, ...], known: ValidationInfo) -> tuple[str, ...]:
        both = [name for name in negatives if name in known.data.get("prompts", ())]
        if both:
            raise ValueError(f"must name what no stem is to hold, and {both[0]!r} is a prompt too")
        return negatives

    @property
    def folder(self) -> Path:
        """Where the stems will be."""
        return Path(self.out) / audition.FOLDER if self.excerpt else Path(self.out)


class Suggest(Frozen):
    """What is in a track: its suggestions, the likeliest first.

    Result: suggestions [{prompt, score, likelihood, present, activity}], seconds. `score` is 0..1,
    and what the tagger gives the best of 251 names is high: `likelihood` says what such a score
    was worth on held-back mixtures, `likely` (right in 16 of 25), `possible` (1 in 4) or `guess`
    (1 in 20). `activity` is a probability a second, `present` whether the score is enough for a
    separation.
    """

    kind: Literal["suggest"] = "suggest"
    id: str
    file: str
    top: int = Field(default=8, ge=1, le=50)


class RenderPreset(Writes):
    """Preset file to WAV file. Result: wav, seconds.

    `plugin` is a VST3: an effect behind the preset's own, or an instrument that plays the note.
    """

    kind: Literal["render"] = "render"
    id: str
    preset: str
    out: str
    note: float | None = Field(default=None, ge=0, le=127)
    velocity: int = Field(default=100, ge=1, le=127)
    duration: float | None = Field(default=None, gt=0, le=60)
    plugin: str | None = None


class Export(Writes):
    """Preset to files of other synths. Result: file, formats (an entry a name), seconds.

    One format is written to `out`, a folder or a file with the format's suffix; several, or "all",
    make the folder `out` a bundle, in which `file` is REPORT.md. An entry has file, files, lost,
    fidelity_db, rms, engine and unchecked (why there is no engine); or refused, why the format
    cannot carry this preset, which fails a job of one format.
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


class Vary(Writes):
    """Presets near a preset. Result: presets [{preset, wav}], seconds."""

    kind: Literal["vary"] = "vary"
    id: str
    preset: str
    out: str
    count: int = Field(default=10, ge=1, le=100)
    amount: float = Field(default=0.3, gt=0, le=1)
    seed: Seed = 0


class Morph(Writes):
    """Presets on the way from one to another, both ends among them. Result as of `Vary`."""

    kind: Literal["morph"] = "morph"
    id: str
    preset: str
    other: str
    out: str
    steps: int = Field(default=5, ge=2, le=100)


class EditPreset(Writes):
    """A preset changed by words, such as "darker".

    `old` is what it is now in words: its own prompt, or its name, when left out.
    Result: preset, wav, initial_wav, prompt, changed, score_before, score_after, steps, seconds.
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


class Evaluate(Writes):
    """The scoreboard. Result: page (Markdown), figures (JSON), rows, seconds.

    Rows in `out` that an earlier job left are not measured again where all that decides them is the
    same: the code of the suite, the model and every other network, the methods' values, data, seed
    and `items`. A job that is cancelled or crashes leaves its rows.
    """

    kind: Literal["eval"] = "eval"
    id: str
    suites: tuple[SuiteName, ...] = Field(default=("all",), min_length=1)
    data: str
    out: str
    model: str = "default"
    evaluation_scorer: str = "default"
    seed: int = Field(default=0, ge=0, lt=2**31)
    items: int | None = Field(default=None, ge=1)  # recordings or prompts a suite


class Probe(Frozen):
    """`doctor`: run a kernel, load the model. Result: a list of checks."""

    kind: Literal["probe"] = "probe"
    id: str
    model: str = "default"


Check = dict[str, Any]
"""name, ok, text: what was seen, fix: what to do when it is not ok, optional: works without it."""


def check(name: str, ok: bool, text: str, fix: str = "", *, optional: bool = False) -> Check:
    """One line of what `doctor` reports."""
    return {
        "name": name,
        "ok": ok,
        "text": text,
        "fix": "" if ok else fix,
        "optional": optional,
    }


class Record(Writes):
    """What plays on a JACK server into the WAV file `out`, which is not there yet.

    `inputs` are ports that sound comes out of, by name or regular expression, a channel each; none
    are the sound card's own. It ends after `duration` seconds, or when it is told to stop. The
    file begins at `start_samples`; left out, where JACK's transport was, 0 while that stood still.
    Result: wav, frames, rate, channels, inputs, start_samples, peak_db, xruns, lost (frames that
    came too late and are silent), ended (duration, stop, or what went wrong), seconds.
    """

    kind: Literal["record"] = "record"
    id: str
    replace: Literal[False] = False  # what was played cannot be played again
    out: WavFile
    inputs: tuple[Prompt, ...] = Field(default=(), max_length=64)
    duration: float | None = Field(default=None, gt=0, le=86_400)
    start_samples: int | None = Field(default=None, ge=0, lt=2**63)


class Cancel(Frozen):
    """To the worker: stop job `id` at its next step."""

    kind: Literal["cancel"] = "cancel"
    id: str


Job: TypeAlias = (
    Suggest |
    DesignPatch | Separate | RenderPreset | Export | Vary | Morph | EditPreset | Evaluate | Probe
    | Record
)  # fmt: skip

job_adapter: TypeAdapter[Job] = TypeAdapter(Annotated[Job, Field(discriminator="kind")])
line_adapter: TypeAdapter[Job | Cancel] = TypeAdapter(
    Annotated[Job | Cancel, Field(discriminator="kind")]
)


class QueueFull(ValueError):
    """As many jobs wait already as the server takes."""


def same(job: Job, known: Job) -> bool:
    """Whether two jobs ask for the same, but for id and what the server adds by itself."""
    added = {"id", "new", "within"}
    kind = type(job) is type(known)
    return kind and job.model_dump(exclude=added) == known.model_dump(exclude=added)


def new_id() -> str:
    """A fresh job id: a letter first, so that no client takes it for a number."""
    return "j" + secrets.token_hex(4)


def sentence(error: ValidationError) -> str:
    """What pydantic found first, in one sentence: name, limit, value."""
    first = error.errors()[0]
    where = ".".join(map(str, first["loc"])) or "the message"
    if first["type"] == "string_pattern_mismatch":
        return f"{where} must not be blank, got {first['input']!r:.80}"
    if first["type"] == "extra_forbidden":
        return f"{where} is not known here"
    text = first["msg"].removeprefix("Value error, ").replace(" after validation", "")
    text = text if len(text) <= MAX_REASON else f"{text[:MAX_REASON]}..."
    text = text[0].lower() + text[1:]
    known = first["type"] == "missing" or ", got " in text
    got = "" if known else f", got {repr(first['input'])[:80]}"
    return f"{where}: {text}{got}"
