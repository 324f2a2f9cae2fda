"""What is kept of searches is read as it was written."""

from pathlib import Path

import pytest
import torch

from bridge.worker import search_store
from bridge.worker.initial_patches import Attempt
from bridge.worker.search_store import Choice, FinishedSearch, Kept, SearchStore, Standing
from presets import Preset
from renderers import fm, impact, random_patches, to_values
from sds.distillation.search_state import SearchState

RENDERERS = [fm.renderer(matrix="dx7:5", voice="full"), fm.renderer(), impact.renderer()]


def standing() -> Standing:
    generator = torch.Generator().manual_seed(1)
    attempts = [Attempt(r, random_patches(r, 3, generator=generator).float()) for r in RENDERERS]
    kept = [Kept(0, attempts[0].u0[1], 0.25), Kept(1, attempts[1].u0[2], -float("inf"))]
    state = SearchState("evolve", 4, {"u": attempts[2].u0, "rest": attempts[2].u0[1:]})
    rows = [(1, "search", 0.0, None, None), (2, "fit", 0.0, 0.5, 0.1)]
    choice = Choice(attempts, None, "asked for", 0.1)
    return Standing(choice, kept, rows, 2, generator.get_state(), state)


def test_how_far_a_search_is(tmp_path: Path) -> None:
    store, asked = SearchStore(tmp_path), standing()
    assert store.standing(7) is None
    store.keep(7, asked)
    got = store.standing(7)
    assert got is not None
    for one, other in zip(got.choice.attempts, asked.choice.attempts, strict=True):
        assert (one.renderer.name, one.renderer.params) == (
            other.renderer.name,
            other.renderer.params,
        )
        assert torch.equal(one.u0, other.u0)
    assert [(k.attempt, k.score) for k in got.kept] == [(0, 0.25), (1, -float("inf"))]
    assert torch.equal(got.kept[1].u, asked.kept[1].u)
    assert torch.equal(got.random, asked.random)
    assert (got.rows, got.attempt, got.choice.pitched, got.choice.why, got.choice.fraction) == (
        asked.rows, 2, None, "asked for", 0.1,
    )  # fmt: skip
    assert got.state is not None
    assert (got.state.stage, got.state.index) == ("evolve", 4)
    assert torch.equal(got.state.tensors["rest"], standing().choice.attempts[2].u0[1:])


def test_a_finished_search_takes_the_place_of_how_far_it_was(tmp_path: Path) -> None:
    store, renderer = SearchStore(tmp_path), RENDERERS[1]
    u = random_patches(renderer, 1, generator=torch.Generator().manual_seed(1))[0]
    values = to_values(renderer, u)
    preset = Preset(name="p", renderer="fm", renderer_version=renderer.version, values=values)
    rows: list[search_store.Row] = [(1, "search", 0.0, None, 0.5)]
    found = FinishedSearch(7, preset, [(preset, 0.5)], True, "why", False, rows)
    store.keep(7, standing())
    store.finish(found)
    assert store.finished(7) == found
    assert store.finished(8) is None
    assert [path.name for path in tmp_path.iterdir()] == ["search-7.json"]


def test_a_state_is_kept_every_two_seconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(search_store.time, "monotonic", lambda: now)
    store = SearchStore(tmp_path)
    seen = []
    for now in (101.0, 102.0, 103.0, 104.0):  # noqa: B007, read above
        seen.append(store.due())
        if store.due():
            store.keep(7, standing())
    assert seen == [False, True, False, True]
