"""The models of all jobs: what may be asked of the worker, field by field, and in which range.

A job is one JSON object. It is validated once, here, where the world enters; inside, a `Job` is
known to make sense. Fields named `id` and `kind` are the job's id and the name of its kind. The
models of jobs about patches are in `bridge.protocol.patch_jobs`.
"""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import (
    AfterValidator,
    Field,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticKnownError

from bridge.protocol.base import Frozen, HostName, Listed, Prompt, WritingJob
from bridge.protocol.multitrack_jobs import Accompany, GenerateClips
from bridge.protocol.patch_jobs import (
    DesignPatch,
    EditPreset,
    Export,
    Morph,
    RenderPreset,
    Vary,
)
from bridge.protocol.stem_classes import Stems
from bridge.stems.excerpt import FOLDER as EXCERPT_FOLDER
from bridge.stems.tempo import Points

MAX_STEMS = 8
ROWS = "rows.jsonl"  # of an evaluation: what was measured, a line each
MAX_REASON = 300  # letters of what a check said, which may hold all that it was given


def _wav(name: str) -> str:
    if not name.lower().endswith(".wav"):
        raise ValueError("must be a .wav file")
    return name


def _safetensors(name: str) -> str:
    if not name.lower().endswith(".safetensors"):
        raise ValueError("must be a .safetensors file")
    return name


SafetensorsFile = Annotated[str, AfterValidator(_safetensors)]
WavFile = Annotated[str, AfterValidator(_wav)]
Method = Literal["default", "fast", "best", "masks", "paper", "dirac", "gaussian", "accurate"]
BY_PROMPTS = ("default", "fast", "best", "masks", "paper")
BY_CLASSES = ("default", "fast", "dirac", "gaussian", "accurate")
SuiteName = Literal[
    "codec",
    "prior",
    "patch",
    "playable",
    "separate",
    "ablation",
    "stage_by_stage",
    "multisource",
    "all",
]


class Separate(WritingJob):
    """Separate a track into stems and a residual that add up to it.

    Stems are named by prompts, or are classes of the model that also generates them.

    - `file`: audio file to separate
    - `auto`: whether prompts are suggested too, beside those given; default False
    - `force`: whether a prompt whose sound is not found gets a stem too; default False
    - `stems`: classes to take apart instead of prompts, "bass", "drums", "guitar" and "piano", or
      some of them; what the others hold goes to the residual; default (): prompts name the stems
    - `prompts`: what each stem holds, 1..8 of them, 0..8 with `auto`, none with `stems`, 1..300
      characters each
    - `negatives`: what no stem is to hold, so it goes to the residual, 0..8 prompts or one text
      with commas; none of `prompts`; default ()
    - `out`: folder of the stems
    - `excerpt`: seconds of the busiest stretch, 1..60, which alone is separated, in few steps, into
      the folder `excerpt` of `out`; default None: the whole file
    - `excerpt_begin`: second of the file at which the excerpt begins instead, >= 0; default None:
      the busiest stretch
    - `method`: "default", "fast", "best", "masks" or "paper"; with `stems` "default", "fast",
      "dirac", "gaussian" or "accurate"; default "default"
    - `steps`: distillation steps, with `stems` evaluations of the model, 1..5000; default None:
      those of the method
    - `seed`: of all random numbers, 0..2^31 - 1; default 0
    - `model`: name of the prior, which method "fast" does not use; default "default"
    - `stem_model`: name of the model of `stems`, or its folder; default "default"
    - `start_samples`: where the file begins in the session, samples at its rate, 0..2^63 - 1;
      default None: as the file's bext says
    - `tempo`: the session's tempo map, (beat, beats a minute) points or a text of them; default ():
      unknown
    - `host`: host on whose tracks the server puts the stems; default None

    Result: stems [{prompt, wav}], residual, manifest, null_db, model (its name, "" where the method
    does not use the model), seconds; excerpt {begin, end} in seconds with `excerpt`; placed {host,
    text, files} with `host`; where a prompt got no stem, absent [{prompt, presence}]; note, a
    sentence that says so, or who was asked what is in there.
    """

    kind: Literal["separate"] = "separate"
    id: str
    file: str
    auto: bool = False
    force: bool = False
    stems: Stems = ()
    prompts: tuple[Prompt, ...] = Field(default=(), max_length=MAX_STEMS, validate_default=True)
    negatives: Annotated[tuple[Prompt, ...], Listed] = Field(default=(), max_length=MAX_STEMS)
    out: str
    excerpt: float | None = Field(default=None, ge=1, le=60)
    excerpt_begin: float | None = Field(default=None, ge=0, le=1e6)
    method: Method = "default"
    steps: int | None = Field(default=None, ge=1, le=5000)
    seed: int = Field(default=0, ge=0, lt=2**31)
    model: str = "default"
    stem_model: str = "default"
    start_samples: int | None = Field(default=None, ge=0, lt=2**63)
    tempo: Points = ()
    host: HostName | None = None

    @field_validator("stems")
    @classmethod
    def _check_stems(cls, stems: tuple[str, ...], known: ValidationInfo) -> tuple[str, ...]:
        if stems and (known.data.get("auto") or known.data.get("force")):
            raise ValueError("must be left out with auto and force, which choose among prompts")
        return stems

    @field_validator("prompts")
    @classmethod
    def _check_prompts(cls, prompts: tuple[str, ...], known: ValidationInfo) -> tuple[str, ...]:
        if prompts and known.data.get("stems"):
            raise ValueError("must be left out with stems, which are named already")
        if not prompts and not known.data.get("auto") and not known.data.get("stems"):
            sizes = {"field_type": "Tuple", "min_length": 1, "actual_length": 0}
            raise PydanticKnownError("too_short", sizes)
        return prompts

    @field_validator("negatives")
    @classmethod
    def _check_negatives(cls, negatives: tuple[str, ...], known: ValidationInfo) -> tuple[str, ...]:
        both = [name for name in negatives if name in known.data.get("prompts", ())]
        if both:
            raise ValueError(f"must name what no stem is to hold, and {both[0]!r} is a prompt too")
        if negatives and known.data.get("stems"):
            raise ValueError("must be left out with stems, which are named already")
        return negatives

    @field_validator("excerpt_begin")
    @classmethod
    def _check_begin(cls, begin: float | None, known: ValidationInfo) -> float | None:
        if begin is not None and known.data.get("excerpt") is None:
            raise ValueError("must be left out without excerpt, which says how long it is")
        return begin

    @field_validator("method")
    @classmethod
    def _check_method(cls, method: str, known: ValidationInfo) -> str:
        allowed = BY_CLASSES if known.data.get("stems") else BY_PROMPTS
        if method not in allowed:
            named = " or ".join([", ".join(map(repr, allowed[:-1])), repr(allowed[-1])])
            why = "with stems" if known.data.get("stems") else "without stems"
            raise ValueError(f"input should be {named} {why}")
        return method

    @property
    def folder(self) -> Path:
        """Where the stems will be."""
        return Path(self.out) / EXCERPT_FOLDER if self.excerpt else Path(self.out)


class Suggest(Frozen):
    """Suggest prompts for a track, the likeliest first.

    - `file`: audio file to listen to
    - `top`: how many suggestions at most, 1..50; default 8

    Result: suggestions [{prompt, score, likelihood, present, activity}], unsure, seconds. `score`
    is the probability, 0..1, that a sound of its kind is there, and `likelihood` the same in a
    word: `likely` (0.6 and more), `possible` (0.3 and more) or `guess`. `unsure` says that even the
    first is a guess. `activity` is a probability a second, `present` whether the sound would count
    as present if it were asked for by name.
    """

    kind: Literal["suggest"] = "suggest"
    id: str
    file: str
    top: int = Field(default=8, ge=1, le=50)


class CopyCheck(Frozen):
    """Find the training recording that a sound is nearest to: is it a copy of one?

    - `file`: audio file to compare
    - `label`: class of the training recordings that are asked; default None: all

    Result: recording, author, licence, label, similarity, percentile, match, match_percentile,
    warning, seconds. `recording` is the nearest recording that the models learned from, `label` its
    class; it is empty for a silent file. `similarity` is a cosine, -1..1; `percentile` says what
    share of training recordings, 0..100 %, are less like their own nearest one. `match` says how
    well the fingerprints fit, at most 1; `match_percentile` says what share of training recordings,
    0..100 %, match any other less; `warning` is a sentence above the 99th, else empty.
    """

    kind: Literal["copycheck"] = "copycheck"
    id: str
    file: str
    label: Prompt | None = None


class Convert(WritingJob):
    """Convert a released checkpoint of multi-source diffusion (MSDM) to safetensors.

    The checkpoint's pickle is read without trusting it: nothing in it is run.

    - `file`: checkpoint of PyTorch (.ckpt)
    - `out`: file that ends in .safetensors
    - `to`: "safetensors"; default "safetensors"

    Result: file, tensors (how many), parameters (how many numbers), tracks (4, or 1 for a weakly
    supervised model), seconds.
    """

    kind: Literal["convert"] = "convert"
    id: str
    file: str
    out: SafetensorsFile
    to: Literal["safetensors"] = "safetensors"


class Evaluate(WritingJob):
    """Measure the scoreboard.

    Rows in `out` that an earlier job left are not measured again where all that decides them is the
    same: the code of the suite, the model and every other network, the methods' values, data, seed
    and `items`. A job that is cancelled or crashes leaves its rows.

    - `suites`: "codec", "prior", "patch", "playable", "separate", "ablation",
      "stage_by_stage", "multisource" or "all", at least one; default ("all",)
    - `data`: folder of the evaluation recordings
    - `out`: folder of page and rows
    - `models`: names of the priors, at least one, whose rows stand beside each other; default
      ("default",)
    - `evaluation_scorer`: name of the scorer that measures; default "default"
    - `seed`: of all random numbers, 0..2^31 - 1; default 0
    - `items`: recordings or prompts a suite, >= 1; default None: all
    - `methods`: names of those that run, as in the tables; default (): all
    - `measured`: whether to write the page of the rows that are there, and to measure nothing;
      default False

    Result: page (Markdown), figures (JSON), rows, seconds.
    """

    kind: Literal["eval"] = "eval"
    id: str
    suites: tuple[SuiteName, ...] = Field(default=("all",), min_length=1)
    data: str
    out: str
    models: tuple[str, ...] = Field(default=("default",), min_length=1)
    evaluation_scorer: str = "default"
    seed: int = Field(default=0, ge=0, lt=2**31)
    items: int | None = Field(default=None, ge=1)
    methods: tuple[str, ...] = ()
    measured: bool = False


class Probe(Frozen):
    """Check the worker for `doctor`: run a kernel, load the model.

    - `model`: name of the prior to load; default "default"

    Result: a list of checks.
    """

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


class Record(WritingJob):
    """Record what plays on a JACK server into a WAV file that does not exist yet.

    - `out`: WAV file
    - `inputs`: output ports to record, by name or regular expression, a channel each, at most 64;
      default (): the sound card's own
    - `duration`: seconds after which it ends, above 0 to 86400; default None: when it is stopped
    - `start_samples`: where the file begins, 0..2^63 - 1; default None: where JACK's transport was,
      0 while that stood still

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


class Part(Frozen):
    """Do a share of the steps of a job that can be done apart, and leave them in its folder.

    There the job, run afterwards, finds them and does the rest: nobody can tell it from one that
    was done in one go. An engine on several machines asks for it, no user.

    - `job`: the whole job
    - `index`: which share, 0..of - 1: every `of`th step from this one on
    - `of`: how many shares, 1..1000

    Result: seconds.
    """

    kind: Literal["part"] = "part"
    id: str
    job: Annotated[Separate | DesignPatch | Evaluate, Field(discriminator="kind")]
    index: int = Field(ge=0)
    of: int = Field(ge=1, le=1000)

    @model_validator(mode="after")
    def _below(self) -> Part:
        if self.index >= self.of:
            raise ValueError(f"index must be below of ({self.of}), got {self.index}")
        return self

    def share(self, steps: int) -> range:
        """Which of so many steps are its own."""
        return range(self.index, steps, self.of)


class Cancel(Frozen):
    """To the worker: stop job `id` at its next step."""

    kind: Literal["cancel"] = "cancel"
    id: str


Job: TypeAlias = (
    Suggest | CopyCheck | Convert |
    DesignPatch | GenerateClips | Separate | RenderPreset | Export | Vary | Morph | EditPreset
    | Evaluate | Probe | Record | Accompany | Part
)  # fmt: skip

job_adapter: TypeAdapter[Job] = TypeAdapter(Annotated[Job, Field(discriminator="kind")])
line_adapter: TypeAdapter[Job | Cancel] = TypeAdapter(
    Annotated[Job | Cancel, Field(discriminator="kind")]
)


class QueueFull(ValueError):
    """As many jobs wait already as the server takes."""


def same_request(job: Job, known: Job) -> bool:
    """Whether two jobs ask for the same, but for id and what the server adds by itself."""
    added = {"id", "new", "within"}
    if not getattr(job, "out", True):
        added.add("out")  # the server chose
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
