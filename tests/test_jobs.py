"""Jobs and events: what is refused, in which words, and that a line says all."""

from typing import get_args

import pytest
from pydantic import ValidationError

from bridge.hosts import HOSTS
from bridge.protocol.base import WritingJob
from bridge.protocol.events import Cancelled, Done, Progress, event_adapter
from bridge.protocol.host_names import HOST_NAMES
from bridge.protocol.jobs import (
    Cancel,
    Evaluate,
    GenerateClips,
    Job,
    Probe,
    Separate,
    job_adapter,
    line_adapter,
    new_id,
    sentence,
)
from bridge.protocol.kinds import INPUTS, KINDS, JobKind, result_path
from bridge.protocol.patch_jobs import DesignPatch, RenderPreset

PATCH = {"kind": "patch", "id": "a", "prompt": "kick", "renderer": "fm", "out": "/out"}
SEPARATE = {"kind": "separate", "id": "a", "file": "/m.wav", "prompts": ["voice"], "out": "/out"}
GENERATE = {"kind": "generate", "id": "a", "prompts": ["kick"], "out": "/out"}
EVAL = {"kind": "eval", "id": "a", "data": "/d", "out": "/o"}


@pytest.mark.parametrize(
    "job",
    [
        DesignPatch(id="a", prompt="ü kick", renderer="impact", out="/o", steps=5, note=36.5),
        GenerateClips(id="a", prompts=("a", "b"), out="/o", guidance=2.5, steps=5, seed=9),
        Separate(id="a", file="/m", prompts=("a", "b"), out="/o", method="paper"),
        RenderPreset(id="a", preset="/p", out="/o", note=64, duration=1.5),
        Evaluate(id="a", suites=("codec", "patch"), data="/d", out="/o", items=3),
        Probe(id="a"),
    ],
)
def test_a_line_says_the_whole_job(job):
    line = job.model_dump_json()
    assert "\n" not in line
    assert job_adapter.validate_json(line) == job
    assert line_adapter.validate_json(line) == job


def test_lines_to_and_from_the_worker():
    assert line_adapter.validate_json('{"kind": "cancel", "id": "a"}') == Cancel(id="a")
    assert event_adapter.validate_json('{"kind": "cancelled", "id": "a"}') == Cancelled(id="a")
    done = Done(id="a", result={"stems": [{"prompt": "x", "wav": "/x"}], "null_db": -120.0})
    assert event_adapter.validate_json(done.model_dump_json()) == done
    with pytest.raises(ValidationError):
        event_adapter.validate_json('{"kind": "progress", "id": "a", "fraction": 1.5, "stage": ""}')


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        (PATCH | {"prompt": ""}, "patch.prompt: string should have at least 1 character, got ''"),
        (PATCH | {"prompt": " \t"}, "patch.prompt must not be blank, got ' \\t'"),
        (PATCH | {"prompt": "x" * 301}, "patch.prompt: string should have at most 300 characters"),
        (
            PATCH | {"renderer": "granular"},
            "'auto', 'fm' or 'impact', got 'granular'",
        ),
        (PATCH | {"duration": 11}, "patch.duration: input should be less than or equal to 10"),
        (PATCH | {"duration": float("nan")}, "patch.duration: input should be a finite number"),
        (PATCH | {"steps": 0}, "patch.steps: input should be greater than or equal to 1, got 0"),
        (PATCH | {"seed": -1}, "patch.seed: input should be greater than or equal to 0, got -1"),
        (PATCH | {"colour": 1}, "patch.colour is not known here"),
        (SEPARATE | {"prompts": []}, "prompts: tuple should have at least 1 item"),
        (SEPARATE | {"prompts": ["a"] * 9}, "prompts: tuple should have at most 8 items"),
        (SEPARATE | {"prompts": ["a", " "]}, "separate.prompts.1 must not be blank, got ' '"),
        (SEPARATE | {"method": "magic"}, "'dirac', 'gaussian' or 'accurate', got 'magic'"),
        (GENERATE | {"prompts": []}, "prompts: tuple should have at least 1 item"),
        (GENERATE | {"prompts": ["a"] * 17}, "prompts: tuple should have at most 16 items"),
        (GENERATE | {"prompts": ["a", "b", "a"]}, "prompts: must differ, and 'a' is there twice"),
        (GENERATE | {"duration": 0.2}, "duration: input should be greater than or equal to 0.25"),
        (GENERATE | {"guidance": 21}, "guidance: input should be less than or equal to 20, got 21"),
        (EVAL | {"suites": []}, "suites: tuple should have at least 1 item"),
        (EVAL | {"suites": ["x"]}, "input should be 'codec', 'prior', 'patch', 'playable', 's"),
        (EVAL | {"items": 0}, "eval.items: input should be greater than or equal to 1, got 0"),
        ({"kind": "patch"}, "patch.id: field required"),
        ({"kind": "opera"}, "the message: input tag 'opera' found using 'kind' does not match"),
    ],
)
def test_nonsense_is_refused_in_one_sentence(fields, words):
    with pytest.raises(ValidationError) as refused:
        job_adapter.validate_python(fields)
    text = sentence(refused.value)
    assert words in text
    assert "\n" not in text


def test_progress_takes_numbers_only():
    with pytest.raises(ValidationError):
        Progress(id="a", fraction=0.5, stage="s", figures={"loss": float("nan")})


def test_where_a_result_is():
    assert result_path(DesignPatch(id="a", prompt="k", renderer="fm", out="/o"), {}) == (
        "/o/result.json"
    )
    render = RenderPreset(id="a", preset="/p", out="/o/x.wav")
    assert result_path(render, {"wav": "/o/x.wav", "seconds": 1}) == "/o/x.wav"
    assert result_path(Probe(id="a"), {}) == ""


def test_ids_are_never_numbers():
    ids = {new_id() for _ in range(1000)}
    assert len(ids) == 1000
    assert all(name[0] == "j" and len(name) == 9 for name in ids)


def test_the_names_of_hosts_are_those_of_their_adapters() -> None:
    assert tuple(HOSTS) == HOST_NAMES


def test_the_table_of_kinds_has_a_row_for_each_model() -> None:
    assert set(get_args(Job)) == {kind.model for kind in KINDS.values()}


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_a_row_names_fields_of_its_model(kind: JobKind) -> None:
    fields = set(kind.model.model_fields)
    assert {*kind.reads, *kind.reads_folder, *(kind.far or "").split()} <= fields
    assert ("out" in fields) == (kind.writes != "nothing") == issubclass(kind.model, WritingJob)
    assert kind.far is None or not {"out", "host", "model", *INPUTS} & set(kind.far.split())


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_a_field_that_takes_a_path_is_checked(kind: JobKind) -> None:
    """Nobody adds a file field to a model and forgets the row: those fields are known by name."""
    paths = {"file", "preset", "start", "like", "source", "other", "data", "given"} & set(
        kind.model.model_fields
    )
    assert paths == {*kind.reads, *kind.reads_folder}
