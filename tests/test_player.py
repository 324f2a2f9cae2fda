"""The player as the server sees it: a process, lines in, lines out, and what one would hear."""

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from bench.stage import Process
from presets import Note, Preset, save
from renderers import RENDERERS, random_patches, to_values

ROOT = Path(__file__).parents[1]
RATE = 48000


@pytest.fixture
def presets(tmp_path):
    """A sine and an impact as files."""
    values = {"op1_ratio": 1.0, "op1_attack": 0.001, "op1_decay": 10.0, "op1_mix": 0.5}
    values |= {"op1_from_op1": 0.0, "level": 0.5}
    save(Preset(name="sine", renderer="fm", renderer_version=1, values=values), tmp_path / "s.json")
    instrument = RENDERERS["impact"]
    u = random_patches(instrument, 1, generator=torch.Generator().manual_seed(3))[0]
    struck = to_values(instrument, u)
    save(
        Preset(name="pot", renderer="impact", renderer_version=1, values=struck, seconds=1.0),
        tmp_path / "i.json",
    )
    return tmp_path


@pytest.fixture
def offline(presets):
    process = Process("--output", "offline", "--capture", str(presets / "c.f32"))
    yield process
    process.leave()


def test_loads_play_and_end_in_a_file(offline, presets):
    ready = offline.wait("ready")
    assert (ready.output, ready.rate, ready.frames) == ("offline", RATE, 256)
    assert offline.ask(kind="load", slot=5, preset=str(presets / "s.json")).kind == "ok"
    assert offline.ask(kind="trigger", slot=5, note=69, seconds=0.3).kind == "ok"
    time.sleep(1.0)
    report = offline.ask(kind="status")
    assert report.slots == {5: "sine"}
    assert report.budget_us == pytest.approx(256 / RATE * 1e6)
    assert offline.ask(kind="sysex", data="f043000901f7").kind == "ok"
    assert offline.leave() == 0
    sound = np.fromfile(presets / "c.f32", np.float32)
    heard = np.nonzero(sound)[0]
    assert (heard[-1] - heard[0]) / RATE == pytest.approx(0.3 + 0.12, abs=0.01)
    crossings = np.nonzero((sound[:-1] < 0) & (sound[1:] >= 0))[0]
    assert (len(crossings) - 1) / (crossings[-1] - crossings[0]) * RATE == pytest.approx(
        Note(69).hz, rel=0.01
    )
    assert (presets / "c.syx").read_bytes() == bytes.fromhex("f043000901f7")
    assert offline.errors == []


def test_impacts_are_rendered_by_a_child_and_again_when_a_knob_moves(offline, presets):
    offline.wait("ready")
    assert offline.ask(kind="load", slot=1, preset=str(presets / "i.json")).kind == "ok"
    offline.wait("rendered", slot=1, note=48)
    offline.say(kind="trigger", slot=1, note=61)
    assert offline.wait("rendered", note=61).slot == 1  # struck notes come first
    offline.say(kind="param", slot=1, name="decay", position=0.2)
    offline.wait("rendered", slot=1, note=48)  # anew
    offline.say(kind="load", slot=2, preset=str(presets / "i.json"), id="late")
    assert offline.ask(kind="load", slot=2, preset=str(presets / "s.json")).kind == "ok"
    assert offline.wait("refused", id="late").code == "failed"  # the newer one stays
    assert offline.ask(kind="status").slots == {1: "pot", 2: "sine"}
    offline.say(kind="unload", slot=1)
    assert offline.ask(kind="trigger", slot=1).code == "empty-slot"


def test_what_makes_no_sense_is_refused_and_the_player_lives(offline, presets):
    offline.wait("ready")
    (presets / "bad.json").write_text("{}")
    values = {"op1_ratio": 1.0, "level": 1.0}
    save(Preset(name="x", renderer="fm", renderer_version=1, values=values), presets / "v.json")
    save(Preset(name="y", renderer="harp", renderer_version=1, values={}), presets / "h.json")
    for name, words in (
        ("none.json", "No such file"),
        ("bad.json", "not a preset"),
        ("v.json", "decays above 0"),
        ("h.json", "unknown renderer 'harp'"),
    ):
        refused = offline.ask(kind="load", slot=1, preset=str(presets / name))
        assert (refused.kind, refused.code) == ("refused", "bad-input")
        assert words in refused.reason
    for line in ("nonsense", "{}", '{"kind": "load", "slot": 0, "preset": "x"}', "[1]"):
        offline.child.stdin.write(line + "\n")
        offline.child.stdin.flush()
        assert offline.wait("refused").code == "bad-line"
    assert offline.ask(kind="note_on", slot=9, note=60).code == "empty-slot"
    assert offline.ask(kind="status").kind == "report"


def test_the_player_loads_no_torch():
    program = "import bridge.player, sys; print('torch' in sys.modules, 'numba' in sys.modules)"
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        capture_output=True, text=True, check=False, cwd=ROOT,
    )  # fmt: skip
    assert (run.returncode, run.stdout.split(), run.stderr) == (0, ["False", "True"], "")
