"""Keep finished searches on disk, and how far another one is, from which a killed job goes on."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from bridge.files import atomic_output
from bridge.worker.initial_patches import Attempt
from presets import Preset
from presets.reading import read_json
from renderers import for_preset, to_values
from sds.distillation.search_state import SearchState, below

KEEP_GAP = 2.0  # seconds between two of the states that are kept of a search that runs
TOLD = "search"  # the key of the metadata that holds, as JSON, what is no tensor

Row: TypeAlias = tuple[int, str, float, float | None, float | None]
"""Step, stage, t, loss and score, null where there is none."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Where a search goes on: candidates for each renderer, and what was decided in words.

    `fraction` of its time has passed.
    """

    attempts: list[Attempt]
    pitched: bool | None
    why: str
    fraction: float


@dataclass(frozen=True, slots=True)
class Kept:
    """A patch u [P] of an attempt, by its number, and its search score."""

    attempt: int
    u: Tensor
    score: float


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a search is: what it chose, and what it knows of its attempts.

    - `choice`: where it began; it is not chosen again
    - `kept`: what the attempts that are done found; `rows` of all curves so far
    - `attempt`: the number of the one it is in; `random`: where the random numbers were as that
      began; `state`: where it goes on, None at its beginning
    """

    choice: Choice
    kept: list[Kept]
    rows: list[Row]
    attempt: int
    random: Tensor
    state: SearchState | None = None


@dataclass(frozen=True, slots=True)
class FinishedSearch:
    """What a search found: its best patches with their search scores, the best first.

    - `seed`: of its random numbers; a search with this one alone finds the same
    - `first`: the patch that was to be beaten
    - `pitched`, `why`: what was decided
    - `in_tune`: whether the patches are, where they have a pitch
    - `rows`: its curves
    """

    seed: int
    first: Preset
    patches: list[tuple[Preset, float]]
    pitched: bool | None
    why: str
    in_tune: bool
    rows: list[Row]


@dataclass(slots=True)
class SearchStore:
    """The searches of a job, in files of their own below `folder`, each whole or not at all."""

    folder: Path
    _kept: float = field(default_factory=lambda: time.monotonic())

    def finish(self, found: FinishedSearch) -> None:
        """Keep a search; it counts as done from now on."""
        value = {
            "seed": found.seed,
            "first": found.first.model_dump(mode="json"),
            "patches": [[one.model_dump(mode="json"), score] for one, score in found.patches],
            "pitched": found.pitched,
            "why": found.why,
            "in_tune": found.in_tune,
            "rows": found.rows,
        }
        atomic_output.write_whole(self._finished(found.seed), json.dumps(value).encode())
        self._standing(found.seed).unlink(missing_ok=True)

    def finished(self, seed: int) -> FinishedSearch | None:
        """The search of this seed, None while it is not done. The reverse of `finish`."""
        path = self._finished(seed)
        if not path.is_file():
            return None
        value = read_json(path)
        patches = [(Preset.model_validate(one), score) for one, score in value.pop("patches")]
        rows = [_row(values) for values in value.pop("rows")]
        first = Preset.model_validate(value.pop("first"))
        return FinishedSearch(**value, first=first, patches=patches, rows=rows)

    def due(self) -> bool:
        """Whether it is time to keep how far a search is."""
        return time.monotonic() - self._kept >= KEEP_GAP

    def keep(self, seed: int, standing: Standing) -> None:
        """Keep how far the search of this seed is, in place of what was kept before."""
        atomic_output.write_whole(self._standing(seed), _encode(standing))
        self._kept = time.monotonic()

    def standing(self, seed: int) -> Standing | None:
        """How far the search of this seed was, None where nothing tells. The reverse of `keep`."""
        path = self._standing(seed)
        return _decode(path) if path.is_file() else None

    def _finished(self, seed: int) -> Path:
        return self.folder / f"search-{seed}.json"

    def _standing(self, seed: int) -> Path:
        return self.folder / f"search-{seed}.safetensors"


def _encode(standing: Standing) -> bytes:
    """Safetensors, and what is no tensor as their metadata. The reverse of `_decode`."""
    choice, state = standing.choice, standing.state
    told = {
        "pitched": choice.pitched,
        "why": choice.why,
        "fraction": choice.fraction,
        "renderers": [_as_preset(one).model_dump(mode="json") for one in choice.attempts],
        "kept": [(one.attempt, one.score) for one in standing.kept],
        "rows": standing.rows,
        "attempt": standing.attempt,
        "state": None if state is None else (state.stage, state.index),
    }
    tensors = {"random": standing.random}
    tensors |= {f"u0.{number}": one.u0 for number, one in enumerate(choice.attempts)}
    tensors |= {f"kept.{number}": one.u for number, one in enumerate(standing.kept)}
    if state is not None:
        tensors |= {f"state.{name}": value for name, value in state.tensors.items()}
    own = {name: value.detach().clone().contiguous() for name, value in tensors.items()}
    return save(own, {TOLD: json.dumps(told)})


def _decode(path: Path) -> Standing:
    """What `_encode` wrote. The reverse of it."""
    with safe_open(path, "pt") as file:
        told = read_json(file.metadata()[TOLD])
        tensors = {name: file.get_tensor(name) for name in file.keys()}
    attempts = [
        Attempt(for_preset(Preset.model_validate(one)), tensors[f"u0.{number}"])
        for number, one in enumerate(told["renderers"])
    ]
    kept = [
        Kept(attempt, tensors[f"kept.{number}"], score)
        for number, (attempt, score) in enumerate(told["kept"])
    ]
    state = None
    if told["state"] is not None:
        stage, index = told["state"]
        state = SearchState(stage, index, below(tensors, "state"))
    return Standing(
        choice=Choice(attempts, told["pitched"], told["why"], told["fraction"]),
        kept=kept,
        rows=[_row(values) for values in told["rows"]],
        attempt=told["attempt"],
        random=tensors["random"],
        state=state,
    )


def _as_preset(attempt: Attempt) -> Preset:
    """The first candidate of an attempt, whose values say which renderer plays it."""
    renderer = attempt.renderer
    return Preset(
        name="candidate",
        renderer=renderer.name,
        renderer_version=renderer.version,
        values=to_values(renderer, attempt.u0[0]),
    )


def _row(values: list[Any]) -> Row:
    step, stage, t, loss, score = values
    return step, stage, t, loss, score
