"""Searches for a patch: several of one job, shares of them, killed and gone on with."""

import json
import shutil
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import soundfile
import torch
from pydantic import ValidationError

from bridge import worker
from bridge.files import atomic_output
from bridge.protocol import worker_loop
from bridge.protocol.events import Best, Done, Event, Progress
from bridge.protocol.jobs import Job, Part
from bridge.protocol.patch_jobs import DesignPatch
from bridge.worker import models, patch, search_store
from bridge.worker.search_store import FinishedSearch, SearchStore
from presets import Preset, load
from renderers import RENDERERS, random_patches, to_values
from sds.distillation import stages
from sds.distillation.recipes import RECIPES
from tests import small_worker
from tests.test_worker_separate import Child, contents, unfinished

SEEDS = (5, 6, 7)


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(RECIPES, "fast", small_worker.SEARCH)
    monkeypatch.setattr(models, "gaussian", small_worker.gaussian)


@pytest.fixture(scope="module")
def loaded() -> worker.Models:
    return worker.Models(evaluation_scorer=Path("nowhere"), search_scorer=Path("nowhere"))


def job(out: Path, **changes: Any) -> DesignPatch:
    fields = {"id": "j", "prompt": "a bell", "renderer": "fm", "model": "gaussian", "count": 3}
    fields |= {
        "out": str(out),
        "duration": 0.25,
        "recipe": "fast",
        "seed": SEEDS[0],
        "pitched": False,
    }
    return DesignPatch.model_validate(fields | changes)


def ended(asked: Job, loaded: worker.Models) -> tuple[list[Event], dict[str, Any]]:
    """Do the work: its events, and its result."""
    *events, end = worker.work(asked, loaded)
    assert isinstance(end, Done), end
    return events, end.result


def stores(out: Path) -> Iterator[SearchStore]:
    return (SearchStore(left / atomic_output.SCRATCH) for left in unfinished(out))


def steps(events: list[Event]) -> list[str]:
    """The stages of the steps of searches."""
    stages = ("search", "prefer", "generate", "evolve", "fit", "distill")
    told = [e for e in events if isinstance(e, Progress) and "score" in e.figures]
    return [event.stage for event in told if event.stage in stages]


def test_searches_in_parts_have_the_bytes_of_one_go_and_keep_the_best_of_each_alone(
    tmp_path: Path, loaded: worker.Models
) -> None:
    whole = job(tmp_path / "out", searches=3)
    for index, done in ((1, [6]), (0, [5, 6, 7])):
        ended(Part(id=f"p{index}", job=whole, index=index, of=2), loaded)
        (store,) = stores(tmp_path / "out")
        assert [seed for seed in SEEDS if store.finished(seed)] == done
        assert list(store.folder.glob("*.safetensors")) == []
    assert list((tmp_path / "out").glob("[!.]*")) == []  # nothing where people look
    events, got = ended(whole, loaded)
    assert steps(events) == []  # no search is done again
    assert unfinished(tmp_path / "out") == []

    events, one = ended(whole.model_copy(update={"out": str(tmp_path / "one")}), loaded)
    fractions = [event.fraction for event in events if isinstance(event, Progress)]
    assert fractions == sorted(fractions)
    assert contents(tmp_path / "out") == contents(tmp_path / "one")
    curves = json.loads(Path(one["curves"]).read_text())
    assert curves["step"] == list(range(1, len(curves["step"]) + 1))
    scores = [score for score in curves["score"] if score is not None]
    assert scores == sorted(scores)
    shown = [event.score for event in events if isinstance(event, Best)]
    assert shown == sorted(shown)

    alone: list[tuple[float, Preset]] = []
    for seed in SEEDS:
        _, found = ended(job(tmp_path / str(seed), seed=seed), loaded)
        alone += [(made["score"], load(made["preset"])) for made in found["patches"]]
    kept = [(made["score"], load(made["preset"])) for made in got["patches"]]
    assert kept[0][0] == max(score for score, _ in alone)
    assert [score for score, _ in kept] == sorted((score for score, _ in kept), reverse=True)
    for made, (_, preset) in zip(got["patches"], kept, strict=True):
        assert made["seed"] == preset.seed
    by_values = {tuple(preset.values.items()): (s, preset.seed) for s, preset in alone}
    assert [by_values[tuple(p.values.items())] for _, p in kept] == [(s, p.seed) for s, p in kept]
    for score, preset in alone:  # what scored higher and is not there sounds like one that is
        if score > kept[-1][0] and (score, preset.seed) not in [(s, p.seed) for s, p in kept]:
            assert any(patch._alike(preset, other, 8000) for _, other in kept)


def test_a_killed_search_goes_on_and_ends_with_the_same_bytes(
    tmp_path: Path, loaded: worker.Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    monkeypatch.setenv("DIES_IN", "evolve")
    with Child() as child:
        assert not any(isinstance(event, Done) for event in child.events(job(out)))
        assert child.process.wait() == -signal.SIGKILL
    (store,) = stores(out)
    standing = store.standing(SEEDS[0])
    assert standing is not None
    assert standing.state is not None
    assert standing.state.stage == "evolve"
    assert len(standing.rows) == standing.state.index

    events, got = ended(job(out, id="j2"), loaded)
    assert list(dict.fromkeys(steps(events))) == ["evolve", "fit", "distill"]
    first = next(e for e in events if isinstance(e, Progress) and e.stage in steps(events))
    assert first.fraction > 0.3
    _, one = ended(job(tmp_path / "one"), loaded)
    every = len(json.loads(Path(one["curves"]).read_text())["step"])
    assert len(steps(events)) == every - standing.state.index <= 0.7 * every
    assert contents(out) == contents(tmp_path / "one")
    assert got["patches"][0]["score"] >= float(standing.state.best(1)[1])


def stopped_at(asked: DesignPatch, loaded: worker.Models, stage: str) -> worker_loop.Events:
    """The job, as far as two steps into a stage."""
    events, seen = worker.work(asked, loaded), 0
    for event in events:
        seen += isinstance(event, Progress) and event.stage == stage
        if seen == 2:
            break
    return events


def test_a_worker_that_must_leave_keeps_a_search_and_a_cancelled_job_keeps_nothing(
    tmp_path: Path, loaded: worker.Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search_store, "KEEP_GAP", 0.0)
    out = tmp_path / "out"
    with pytest.raises(atomic_output.Interrupted):
        stopped_at(job(out), loaded, "evolve").throw(atomic_output.Interrupted())
    (store,) = stores(out)
    standing = store.standing(SEEDS[0])
    assert standing is not None
    assert standing.state is not None
    assert standing.state.stage == "evolve"

    events = stopped_at(job(out, slot=3, id="j2"), loaded, "distill")  # the same work
    assert unfinished(out) == [store.folder.parent]
    events.close()
    assert list(out.iterdir()) == []


def test_other_work_takes_nothing_over(tmp_path: Path, loaded: worker.Models) -> None:
    out, start = tmp_path / "out", tmp_path / "start.json"
    shutil.copy(Path(patch.presets.__file__).parent / "factory" / "kalimba.json", start)
    base = job(out)
    keys = [key(base.model_copy(update=change), loaded) for change in (
        {}, {"seed": 6}, {"searches": 2}, {"prompt": "a gong"}, {"count": 4}, {"start": str(start)},
    )]  # fmt: skip
    assert len(set(keys)) == len(keys)
    again = {"id": "j9", "out": "/elsewhere", "slot": 3, "replace": True, "within": ("/a",)}
    assert key(base.model_copy(update=again), loaded) == keys[0]
    moved = tmp_path / "moved.json"
    start.rename(moved)
    assert key(base.model_copy(update={"start": str(moved)}), loaded) == keys[-1]
    moved.write_text(moved.read_text().replace('"name": "', '"name": "x'))
    assert key(base.model_copy(update={"start": str(moved)}), loaded) != keys[-1]


def key(asked: DesignPatch, loaded: worker.Models) -> str:
    return patch._key(patch.load_search(asked, loaded), loaded)


def test_the_best_of_all_searches_differ_and_are_in_tune_where_one_is() -> None:
    listed = RENDERERS["fm"]
    rows = random_patches(listed, 3, generator=torch.Generator().manual_seed(2))
    first, second, third = (
        Preset(name="p", renderer="fm", renderer_version=listed.version,
               values=to_values(listed, u), seconds=0.25)
        for u in rows
    )  # fmt: skip
    a = FinishedSearch(0, first, [(first, 0.9)], True, "", True, [])
    b = FinishedSearch(1, first, [(first, 0.8), (second, 0.7)], True, "", True, [])
    c = FinishedSearch(2, first, [(third, 0.99)], True, "", False, [])
    best = patch._best([a, b, c], 4, 8000)
    assert [(one.seed, score) for one, (_, score) in best] == [(0, 0.9), (1, 0.7)]
    assert [score for _, (_, score) in patch._best([c], 4, 8000)] == [0.99]
    assert [score for _, (_, score) in patch._best([b], 1, 8000)] == [0.8]


def test_seeds_stay_in_their_range() -> None:
    assert job(Path("/a"), seed=2**31 - 16, searches=16).searches == 16
    with pytest.raises(ValidationError, match="must be at most 1 from seed 2147483647 on, got 2"):
        job(Path("/a"), seed=2**31 - 1, searches=2)
    for wrong in (0, 17):
        with pytest.raises(ValidationError, match="searches"):
            job(Path("/a"), searches=wrong)


def paper(out: Path, **changes: Any) -> DesignPatch:
    return job(out, **{"recipe": "paper", "renderer": "impact", "pitched": None} | changes)


def test_the_recipe_paper_moves_its_own_impact_voice_and_keeps_the_last_step(
    tmp_path: Path, loaded: worker.Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    sds = RECIPES["paper"].distillation
    asked: list[int] = []
    target = stages.target

    def counted(*args: Any, **options: Any) -> list[torch.Tensor]:
        asked.append(options["recipe"].denoise_steps)
        return target(*args, **options)

    monkeypatch.setattr(stages, "target", counted)
    few = replace(sds, samples=1, scales=(256,))
    monkeypatch.setitem(RECIPES, "paper", replace(RECIPES["paper"], distillation=few))
    _, got = ended(paper(tmp_path, modes=3, steps=2, denoise_steps=4), loaded)
    assert asked == [4, 4]
    assert (got["steps"], len(got["patches"])) == (2, 1)
    preset = load(got["preset"])
    names = set(preset.values)
    assert {"mode003_hz", "band32_hz"} <= names
    assert "mode004_hz" not in names
    assert preset.provenance.method == "distill/paper"
    info = soundfile.info(got["wav"])
    assert info.channels == 2


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"recipe": "fast", "modes": 3}, "only the recipe paper has modes to choose"),
        ({"renderer": "fm", "modes": 3}, "only impact has modes, and this asks for fm"),
        ({"renderer": "auto", "matrix": "free", "modes": 3}, "only impact has modes"),
        (
            {"recipe": "fast", "denoise_steps": 3},
            "denoise_steps is of the distillation, so it needs steps, or the recipe paper",
        ),
    ],
)
def test_what_only_the_recipe_paper_has_is_refused_elsewhere(
    tmp_path: Path,
    loaded: worker.Models,
    monkeypatch: pytest.MonkeyPatch,
    changes: dict[str, Any],
    sentence: str,
) -> None:
    sds = replace(RECIPES["fast"].distillation, steps=0)
    monkeypatch.setitem(RECIPES, "fast", replace(RECIPES["fast"], distillation=sds))
    with pytest.raises(ValueError, match=sentence):
        list(worker.work(paper(tmp_path, **changes), loaded))
