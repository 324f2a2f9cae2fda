"""Bad input: one sentence that says what is wrong and what is allowed, nothing half-written."""

import io
import json
import resource
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf

from bridge import worker
from bridge.cli import main
from bridge.protocol import worker_loop
from bridge.protocol.events import Done, Failed
from bridge.protocol.jobs import Job, Separate, job_adapter
from bridge.protocol.patch_jobs import RenderPreset
from bridge.stems import levels, null_test
from bridge.worker import models as worker_models
from presets import Effect, Preset, save
from sds.priors.gaussian import GaussianPrior
from sds.priors.stable_audio import ModelUnavailable
from sds.separation.mask_settings import Masks
from sds.separation.separate import METHODS

RATE = 44100


@pytest.fixture(autouse=True)
def _home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCOREWIRE_DATA", str(tmp_path_factory.mktemp("data")))
    monkeypatch.setenv("SCOREWIRE_MODEL", "gaussian")


def tone(path: Path, seconds: float, channels: int = 1, rate: int = RATE) -> Path:
    audio = 0.1 * np.random.default_rng(0).standard_normal((int(seconds * rate), channels))
    sf.write(path, audio, rate, subtype="FLOAT")
    return path


def nan_file(folder: Path) -> Path:
    audio = np.zeros(RATE, np.float32)
    audio[100:103] = np.nan
    sf.write(folder / "nan.wav", audio, RATE, subtype="FLOAT")
    return folder / "nan.wav"


def zero_frames(folder: Path) -> Path:
    sf.write(folder / "none.wav", np.zeros((0, 1), np.float32), RATE)
    return folder / "none.wav"


def text_file(folder: Path) -> Path:
    (folder / "notes.wav").write_text("these are the notes of the session\n" * 20)
    return folder / "notes.wav"


FILES = {
    "missing": (lambda folder: folder / "no.wav", "does not exist"),
    "folder": (lambda folder: folder, "is a folder"),
    "not audio": (text_file, "is not an audio file"),
    "no frames": (zero_frames, "has no samples; at least 1 is needed"),
    "NaN": (nan_file, "has 3 samples that are not finite numbers; 0 are allowed"),
    "8 channels": (lambda f: tone(f / "8.wav", 0.2, 8), "has 8 channels; 1 or 2 are allowed"),
    "4 kHz": (
        lambda f: tone(f / "low.wav", 0.5, 1, 4000),
        "has a rate of 4000 Hz; 8000 to 192000 are allowed",
    ),
    "too short": (
        lambda f: tone(f / "short.wav", 0.05),
        r"must last at least 0\.1 seconds, got 0\.05",
    ),
}


def failed(job: Job) -> Failed:
    """How the worker refuses `job`."""
    box = worker_loop.Inbox(io.StringIO(""))
    models = worker.Models(evaluation_scorer=Path("nowhere"))
    codes = {ModelUnavailable: "no-model"}
    *_, end = worker_loop.run(job, lambda job: worker.work(job, models), box, codes=codes)
    assert isinstance(end, Failed)
    assert "\n" not in end.reason
    return end


@pytest.mark.parametrize("kind", FILES)
def test_the_worker_refuses_a_file(tmp_path: Path, kind: str) -> None:
    make, reason = FILES[kind]
    job = Separate(
        id="j", file=str(make(tmp_path)), prompts=("a", "b"), out=str(tmp_path / "out"),
        model="gaussian", steps=1,
    )  # fmt: skip
    end = failed(job)
    assert end.code == "bad-input"
    with pytest.raises(ValueError, match=reason):  # the same words
        raise ValueError(end.reason)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("model", ["missing", "empty", "junk", "weights only"])
def test_a_model_folder_that_is_none(tmp_path: Path, model: str) -> None:
    folder = tmp_path / "model"
    if model != "missing":
        folder.mkdir()
    if model == "junk":
        (folder / "model_config.json").write_text("not json")
    if model == "weights only":
        (folder / "model.safetensors").write_bytes(b"")
    fields = {"kind": "patch", "id": "j", "prompt": "x", "renderer": "fm", "duration": 0.25}
    job = job_adapter.validate_python(fields | {"out": str(tmp_path / "out"), "model": str(folder)})
    end = failed(job)
    assert end.code == "no-model"
    assert str(folder) in end.reason
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("renderer", ["fm", "impact"])
def test_a_folder_that_cannot_be_made(tmp_path: Path, renderer: str) -> None:
    (tmp_path / "file").write_text("")
    out = tmp_path / "file" / "out"
    fields = {"kind": "patch", "id": "j", "prompt": "x", "renderer": renderer, "duration": 0.25}
    end = failed(job_adapter.validate_python(fields | {"out": str(out), "model": "gaussian"}))
    assert end.code == "bad-input"
    assert end.reason == f"out {out} cannot be written: Not a directory"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


PRESET = Preset(name="x", renderer="fm", renderer_version=1, values={})


@pytest.mark.parametrize(
    ("preset", "out", "reason"),
    [
        (None, "a.wav", "is not JSON text"),
        (PRESET, "a.wav", "an fm preset has op1_ratio up to op8_ratio, got 0 operators"),
        (PRESET.model_copy(update={"renderer": "organ"}), "a.wav", "unknown renderer 'organ'"),
        (PRESET.model_copy(update={"renderer_version": 99}), "a.wav", "this build plays version"),
        (
            PRESET.model_copy(update={"effects": (Effect(kind="Fuzz"),)}),
            "a.wav",
            "unknown effect 'Fuzz'",
        ),
        (PRESET, "a.mp3", "out must end in .wav, got 'a.mp3'"),
    ],
)
def test_a_preset_that_cannot_be_played(
    tmp_path: Path, preset: Preset | None, out: str, reason: str
) -> None:
    path = tmp_path / "p.json"
    if preset is None:
        path.write_text("{")
    else:
        save(preset, path)
    end = failed(RenderPreset(id="j", preset=str(path), out=str(tmp_path / "new" / out)))
    assert end.code == "bad-input"
    assert reason in end.reason
    assert [entry.name for entry in tmp_path.iterdir()] == ["p.json"]


def test_silence_is_separated_into_silence(tmp_path: Path) -> None:
    sf.write(tmp_path / "zero.wav", np.zeros((RATE // 2, 2)), RATE)
    job = Separate(
        id="j", file=str(tmp_path / "zero.wav"), prompts=("a", "b"), out=str(tmp_path / "out"),
        model="gaussian", steps=1,
    )  # fmt: skip
    *_, end = worker.work(job, worker.Models(evaluation_scorer=Path("nowhere")))
    assert isinstance(end, Done)
    assert null_test.verify(Path(end.result["manifest"])) == levels.NULL_FLOOR_DB
    assert not sf.read(end.result["stems"][0]["wav"])[0].any()


def test_half_an_hour_comes_back_whole_in_bounded_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = METHODS["masks"]
    assert isinstance(short, Masks)
    quick = replace(short, factor_steps=5, estimates=1, recipe=replace(short.recipe, steps=0))
    monkeypatch.setitem(METHODS, "masks", quick)
    fields = {"sample_rate": 8000, "max_seconds": 20.0}
    prior = GaussianPrior({"": 0.0, "a": 0.0, "b": 0.0}, {"": 1.0, "a": 0.1, "b": 0.2}, **fields)
    monkeypatch.setattr(worker_models, "gaussian", lambda prompts: prior)
    file = tone(tmp_path / "long.wav", 3 * 600, rate=8000)
    job = Separate(
        id="j", file=str(file), prompts=("a", "b"), out=str(tmp_path / "out"), model="gaussian",
        method="masks",
    )  # fmt: skip
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    *_, end = worker.work(job, worker.Models(evaluation_scorer=Path("nowhere")))
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024  # MiB
    assert isinstance(end, Done)
    assert sf.info(end.result["residual"]).frames == 3 * 600 * 8000
    assert end.result["null_db"] < -120
    assert grown < 100  # mixture, stems and residual alone are 220


def refused(capsys: Any, monkeypatch: Any, *arguments: object) -> tuple[int, dict[str, str], str]:
    """Exit code, the error object, stderr of a command that must fail, run in this process."""
    monkeypatch.setattr(sys, "argv", ["scorewire", *map(str, arguments), "--json"])
    with pytest.raises(SystemExit) as end:
        main.main()
    said = capsys.readouterr()
    error = json.loads(said.out.strip().splitlines()[-1])["error"]
    assert "Traceback" not in said.err
    assert said.err == f"scorewire: {error['reason']}\n"
    return int(end.value.code or 0), error, said.err


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("patch", "", "--renderer", "fm"), "PROMPT: string should have at least 1 character"),
        (("patch", "  ", "--renderer", "fm"), "PROMPT must not be blank"),
        (("patch", "x" * 301, "--renderer", "fm"), "PROMPT: string should have at most 300"),
        (
            ("patch", "x", "--renderer", "organ"),
            "--renderer: input should be 'auto', 'fm' or",
        ),
        (("patch", "x", "--renderer", "fm", "--duration", "11"), "--duration: "),
        (("patch", "x", "--renderer", "fm", "--duration", "nan"), "--duration: "),
        (("patch", "x", "--renderer", "fm", "--steps", "0"), "--steps: "),
        (("patch", "x", "--renderer", "fm", "--seed", "-1"), "--seed: "),
        (("patch", "x", "--renderer", "fm", "--recipe", "slow"), "--recipe: input should be"),
        (("separate", "a.wav", "--prompt", ""), "--prompt: string should have at least 1"),
        (("separate", "a.wav", *["--prompt", "x"] * 9), "--prompt: tuple should have at most 8"),
        (("separate", "a.wav", "--prompt", "x", "--method", "magic"), "--method: input should be"),
        (("separate", "a.wav", "--prompt", "x", "--start-samples", "-1"), "--start-samples: input"),
        (("separate", "no.wav", "--prompt", "x"), "no.wav does not exist"),
    ],
)
def test_the_command_refuses(
    tmp_path: Path, arguments: tuple[str, ...], reason: str, capsys: Any, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    code, error, _ = refused(capsys, monkeypatch, *arguments, "--out", tmp_path / "out")
    assert code in (1, 2)
    assert error["code"] == "bad-input"
    assert reason in error["reason"]
    assert list(tmp_path.iterdir()) == []


def test_the_command_refuses_an_unwritable_folder(
    tmp_path: Path, capsys: Any, monkeypatch: Any
) -> None:
    (tmp_path / "file").write_text("")
    out = tmp_path / "file" / "sub"
    _, error, _ = refused(capsys, monkeypatch, "patch", "x", "--renderer", "fm", "--out", out)
    assert error["reason"].startswith(f"out {out} cannot be made")


def test_a_data_folder_that_cannot_be(tmp_path: Path, capsys: Any, monkeypatch: Any) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SCOREWIRE_DATA", str(tmp_path / "file" / "data"))
    out = tmp_path / "out"
    _, error, _ = refused(capsys, monkeypatch, "patch", "x", "--renderer", "fm", "--out", out)
    assert f"{tmp_path / 'file' / 'data' / 'jobs.sqlite'} cannot be opened" in error["reason"]
    assert not out.exists()


def test_settings_that_are_none(tmp_path: Path, capsys: Any, monkeypatch: Any) -> None:
    _, error, _ = refused(capsys, monkeypatch, "serve", "--config", tmp_path / "no.toml")
    assert error["reason"] == f"{tmp_path / 'no.toml'}: No such file or directory"
    monkeypatch.setenv("SCOREWIRE_TEMPO", "120")
    _, error, _ = refused(capsys, monkeypatch, "jobs")
    assert error["reason"].startswith("SCOREWIRE_TEMPO is not a setting; the settings are ")


def test_the_command_refuses_what_is_no_manifest(
    tmp_path: Path, capsys: Any, monkeypatch: Any
) -> None:
    (tmp_path / "stems.json").write_text("[]")
    _, error, _ = refused(capsys, monkeypatch, "verify", tmp_path / "stems.json")
    assert "stems.json is not a stem manifest" in error["reason"]
    _, error, _ = refused(capsys, monkeypatch, "verify", tmp_path / "none.json")
    assert "none.json does not exist" in error["reason"]


def test_a_refusal_of_a_real_child_is_one_sentence(
    tmp_path: Path, capsys: Any, monkeypatch: Any
) -> None:
    file = nan_file(tmp_path)
    code, error, _ = refused(
        capsys, monkeypatch, "separate", file, "--prompt", "x", "--out", tmp_path / "out"
    )
    assert (code, error["code"]) == (1, "bad-input")
    assert "has 3 samples that are not finite numbers" in error["reason"]
    assert not (tmp_path / "out").exists()
