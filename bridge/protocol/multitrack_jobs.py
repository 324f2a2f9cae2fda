"""The models of jobs that make sound: clips of a prompt, stem sets, stems that go with others.

`bridge.protocol.jobs` has all jobs.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator
from pydantic_core import PydanticKnownError

from bridge.protocol.base import MAX_PROMPT, HostName, Prompt, Seed, WritingJob
from bridge.protocol.sampling_fields import SamplerName, ScheduleName, Spans
from bridge.protocol.stem_classes import NAMES, STEMS, StemName, Stems
from bridge.stems.tempo import Points

MAX_PROMPTS = 16  # of one request
MAX_CLIP = 60.0  # seconds
MAX_SET = 600.0  # seconds of a stem set that is made
BEATS = 4  # a bar


def _given(given: Any) -> Any:
    """Stems by class, of an object or of texts STEM=FILE. Raises `ValueError` for what is none."""
    if isinstance(given, list | tuple):
        pairs = [str(text).partition("=") for text in given]
        wrong = [name for name, sign, _ in pairs if not sign]
        if wrong:
            raise ValueError(f"must be STEM=FILE, such as bass=bass.wav, got {wrong[0]!r:.80}")
        names = [name for name, _, _ in pairs]
        twice = [name for name in names if names.count(name) > 1]
        if twice:
            raise ValueError(f"must name a stem once, got {twice[0]!r:.80} twice")
        given = {name: file for name, _, file in pairs}
    if isinstance(given, dict):
        if not given:
            raise ValueError("must name at least 1 stem and its file, got none")
        unknown = [name for name in given if name not in STEMS]
        if unknown:
            raise ValueError(f"must name stems among {NAMES}, got {unknown[0]!r:.80}")
        return {name: given[name] for name in STEMS if name in given}
    return given


Given = Annotated[dict[StemName, str], BeforeValidator(_given)]


class GenerateClips(WritingJob):
    """Generate sounds by prompts: clips, or with `stems` sets of stems that belong together.

    Of each clip it is said which training recording it is nearest to. With `source` each is that
    recording with new sound in the parts that are not kept: its rate, channels, length and place.

    - `prompts`: what is to be heard, 1..16 of them, 1..300 characters each
    - `stems`: classes to generate together, "bass", "drums", "guitar" and "piano", or some of
      them; default (): clips, each a single sound
    - `out`: folder of the results; of several stem sets each has a numbered folder in it
    - `like`: recording whose sound stem sets are to be near; default None
    - `source`: recording of which `keep` stays, for clips, at most as long as the model can and at
      least a tenth of a second; default None
    - `keep`: seconds of `source` that stay as they are, sample for sample: 1..16 spans (begin,
      end), or a text of them such as "0-0.4,1.5-2"; what is behind the end of the recording is left
      out; default ()
    - `duration`: seconds of each, 0.25..60 and at most what the model can, of a stem set 0.25..600;
      default None: `bars`, else 2, of a stem set 10
    - `bars`: how long each is in bars of four beats, 1..512, with `tempo`; default None
    - `tempo`: beats a minute, 20..300, of stem sets, which begin with a bar of four, for `bars` and
      for the host; default None: stem sets have any tempo
    - `count`: how many of each prompt, 1..100; default None: 4 clips, 1 stem set
    - `steps`: noise levels for each, 1..200, with most samplers as many evaluations of the model;
      default None: those of the model's family
    - `guidance`: how strictly the prompt is followed, 0..20: 0 ignores it, 1 takes it as it was
      learned; default None: that of the model's family
    - `sampler`: name of the sampler of clips, as docs/samplers.md lists them; default None: that of
      the model's family, with `source` one that fills in
    - `schedule`: how noise levels of clips are spaced, "karras", "polyexponential", "rf_logsnr" or
      "sa3_logsnr"; default None: that of the model's family
    - `seed`: of the first of each prompt, counted up from there, 0..2^31 - 1; default 0
    - `model`: name of the prior, for clips; default "default"
    - `stem_model`: name of the model of stems, or its folder; default "default"
    - `host`: host on whose tracks the server puts them; default None

    Result of clips: clips, seconds; and note, where a clip may be a copy. An entry of clips has
    wav, prompt, seed, model, model_hash, steps, guidance, sampler, schedule, duration, code,
    gain_db (what it, or what is new in it, was turned down by), nearest {recording, author,
    licence, label, similarity, percentile}, null where the index of recordings is not installed;
    and warning, a sentence, where it is too near; with `source` also source, source_sha256 and
    keep. With `host` also manifest and null_db.

    Result of stem sets: stems [{prompt, wav}] of all, manifest of the first, sets [{prompt, seed,
    gain_db, stems, mix, manifest, null_db}], seconds. Both: placed {host, text, files} with `host`.
    """

    kind: Literal["generate"] = "generate"
    id: str
    prompts: tuple[Prompt, ...] = Field(min_length=1, max_length=MAX_PROMPTS)
    stems: Stems = ()
    out: str
    like: str | None = None
    source: str | None = None
    keep: Spans = Field(default=(), validate_default=True)
    duration: float | None = Field(default=None, ge=0.25, le=MAX_SET)
    bars: int | None = Field(default=None, ge=1, le=512)
    tempo: float | None = Field(default=None, ge=20, le=300, validate_default=True)
    count: int | None = Field(default=None, ge=1, le=100)
    steps: int | None = Field(default=None, ge=1, le=200)
    guidance: float | None = Field(default=None, ge=0, le=20)
    sampler: SamplerName | None = None
    schedule: ScheduleName | None = None
    seed: Seed = 0
    model: str = "default"
    stem_model: str = "default"
    host: HostName | None = None

    @field_validator("prompts")
    @classmethod
    def _check_prompts(cls, prompts: tuple[str, ...]) -> tuple[str, ...]:
        twice = [prompt for prompt in prompts if prompts.count(prompt) > 1]
        if twice:
            raise ValueError(f"must differ, and {twice[0]!r} is there twice; count says how many")
        return prompts

    @field_validator("like")
    @classmethod
    def _check_like(cls, like: str | None, known: ValidationInfo) -> str | None:
        if like is not None and not known.data.get("stems"):
            raise ValueError("must be left out without stems: clips are made by words alone")
        return like

    @field_validator("source", "sampler", "schedule")
    @classmethod
    def _check_clips(cls, given: str | None, known: ValidationInfo) -> str | None:
        if given is not None and known.data.get("stems"):
            raise ValueError("must be left out with stems: it is for clips")
        return given

    @field_validator("keep")
    @classmethod
    def _check_keep(
        cls, keep: tuple[tuple[float, float], ...], known: ValidationInfo
    ) -> tuple[tuple[float, float], ...]:
        if keep and known.data.get("source") is None:
            raise ValueError("must be left out without source, the recording that it is of")
        if not keep and known.data.get("source") is not None:
            raise ValueError("must name at least 1 span of source that stays, such as 0-0.4")
        return keep

    @field_validator("duration", "bars")
    @classmethod
    def _check_length(cls, given: float | None, known: ValidationInfo) -> float | None:
        if given is not None and known.data.get("source") is not None:
            raise ValueError("must be left out with source, which says how long it is")
        return given

    @field_validator("duration")
    @classmethod
    def _check_duration(cls, duration: float | None, known: ValidationInfo) -> float | None:
        if duration is not None and duration > MAX_CLIP and not known.data.get("stems"):
            raise PydanticKnownError("less_than_equal", {"le": MAX_CLIP})
        return duration

    @field_validator("bars")
    @classmethod
    def _check_bars(cls, bars: int | None, known: ValidationInfo) -> int | None:
        if bars is not None and known.data.get("duration") is not None:
            raise ValueError("must be left out beside duration: both say how long it is")
        return bars

    @field_validator("tempo")
    @classmethod
    def _check_tempo(cls, tempo: float | None, known: ValidationInfo) -> float | None:
        bars = known.data.get("bars")
        if bars is None:
            return tempo
        if tempo is None:
            raise ValueError("must be given with bars: it says how long a bar is")
        limit = MAX_SET if known.data.get("stems") else MAX_CLIP
        if bars * BEATS * 60 / tempo > limit:
            raise ValueError(
                f"makes {bars} bars last {bars * BEATS * 60 / tempo:.1f} seconds; "
                f"at most {limit:g} are allowed"
            )
        return tempo

    @property
    def seconds(self) -> float:
        """How long each clip or stem set is."""
        if self.bars is not None and self.tempo is not None:
            return self.bars * BEATS * 60 / self.tempo
        return self.duration or (10.0 if self.stems else 2.0)

    @property
    def each(self) -> int:
        """How many are made of each prompt."""
        return self.count or (1 if self.stems else 4)


class Accompany(WritingJob):
    """Generate stems that go with given ones, in time and at their place.

    The set has the given stems as they are, sample for sample, and what is added at their rate, as
    long as they are, and where they begin.

    - `given`: files of the given stems by class, "bass", "drums", "guitar" or "piano", 1..3 of
      them, of one rate, length and place, 600 seconds at most; an object, or a list of texts
      STEM=FILE
    - `add`: classes to add, none of the given; default (): all that are not given
    - `prompt`: what is to be heard, at most 300 characters; default "": whatever goes with them
    - `like`: recording whose sound the added stems are to be near; default None
    - `out`: folder of the results
    - `steps`: evaluations of the model, 1..200; default None: those of the model
    - `guidance`: how strictly the prompt is followed, 0..20: 0 ignores it, 1 takes it as it was
      learned; default None: that of the model
    - `seed`: of all random numbers, 0..2^31 - 1; default 0
    - `stem_model`: name of the model, or its folder; default "default"
    - `tempo`: the session's tempo map, (beat, beats a minute) points or a text of them: what is
      added keeps to its beats, in bars of four; default (): unknown, what is given says all
    - `host`: host on whose tracks the server puts the stems; default None

    Result: stems [{prompt, wav}], given and added (names of classes), mix, manifest, null_db,
    seconds; placed {host, text, files} with `host`.
    """

    kind: Literal["accompany"] = "accompany"
    id: str
    given: Given
    add: Stems = Field(default=(), validate_default=True)
    prompt: str = Field(default="", max_length=MAX_PROMPT)
    like: str | None = None
    out: str
    steps: int | None = Field(default=None, ge=1, le=200)
    guidance: float | None = Field(default=None, ge=0, le=20)
    seed: Seed = 0
    stem_model: str = "default"
    tempo: Points = ()
    host: HostName | None = None

    @field_validator("add")
    @classmethod
    def _check_add(cls, add: tuple[StemName, ...], known: ValidationInfo) -> tuple[StemName, ...]:
        given = known.data.get("given", {})
        both = [name for name in add if name in given]
        if both:
            raise ValueError(f"must name stems that are not given, got {both[0]!r}, which is")
        add = add or tuple(name for name in STEMS if name not in given)
        if not add:
            raise ValueError("has nothing left to name: all stems are given")
        return add
