"""Python files that happen to lie in the working folder are not run by any process of ours."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bridge.execution import local, recording
from bridge.hosts import reaper
from bridge.service import config
from bridge.stems import null_test
from presets import load
from presets.python_child import python_child
from renderers import plugins

ROOT = Path(__file__).parents[1]
OURS = ("presets", "renderers", "sds", "bridge", "bench", "examples")
# What people call a script of their own, and what our processes import first.
NAMES = ("array", "json", "numpy", "platform", "queue", "random", "signal", "torch", "typing")
CHILDREN = {
    "worker": config.Config().worker,
    "player": (*config.Config().player, "--output", "offline"),
    "recorder": recording.COMMAND,
    "prerender": python_child("bridge.player.prerender"),
    "resum": python_child("bridge.stems.null_test_numpy", "stems.json"),
    "exchange": python_child("bridge.app.folder_requests", "nowhere"),
    "plugin": python_child(plugins.CHILD, "nowhere"),
}


@pytest.fixture
def shadowed(tmp_path, monkeypatch):
    """A working folder with Python files of common names, each of which says that it was run."""
    folder = tmp_path / "samples"
    folder.mkdir()
    for name in NAMES:
        said = f"open({str(folder / 'ran.txt')!r}, 'a').write({name!r})\n"
        (folder / f"{name}.py").write_text(said + "raise ImportError('here by chance')\n")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("SCOREWIRE_DATA", str(tmp_path / "data"))
    return folder


@pytest.mark.parametrize("child", CHILDREN)
def test_no_child_runs_what_lies_in_the_working_folder(shadowed, child):
    ended = subprocess.run(CHILDREN[child], input="", capture_output=True, text=True, check=False)
    assert not (shadowed / "ran.txt").exists()
    assert "here by chance" not in ended.stderr
    assert "No module named" not in ended.stderr


def test_the_engine_starts_the_same_worker():
    assert local.COMMAND == CHILDREN["worker"]


def test_without_it_python_runs_what_lies_in_the_working_folder(shadowed):
    command = [word for word in CHILDREN["worker"] if word != "-P"]
    subprocess.run(command, input="", capture_output=True, check=False)
    assert (shadowed / "ran.txt").exists()


def test_a_preset_is_rendered_beside_them(shadowed):
    preset = next((ROOT / "presets" / "factory").rglob("*.json"))
    assert load(preset).values
    program = "from bridge.cli.main import main; main()"
    command = [sys.executable, "-P", "-c", program, "render", str(preset)]
    command += ["--out", "x.wav", "--duration", "0.5"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run(command, env=environment, capture_output=True, check=True)
    assert (shadowed / "x.wav").stat().st_size > 44
    assert not (shadowed / "ran.txt").exists()


def test_reaper_starts_it_so_too():
    assert (
        reaper._files()[reaper.COMMAND] == f'"{sys.executable}" -P -m bridge.app.folder_requests\n'
    )


def test_stems_are_added_up_beside_them(shadowed):
    with pytest.raises(ValueError, match=r"stems\.json"):
        null_test.add_up_fast(shadowed / "stems.json")
    assert not (shadowed / "ran.txt").exists()


def test_every_python_child_is_started_by_that_one_function():
    files = [path for package in OURS for path in (ROOT / package).rglob("*.py")]
    naming = {path.name for path in files if "sys.executable" in path.read_text(encoding="utf-8")}
    assert naming == {"python_child.py"}
