"""A library outlives whoever dies while changing it, and serves several who change it at once."""

import json
import random
import runpy
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from presets import load
from presets.library import Library
from tests.children import first_line

CHILD = Path(__file__).with_name("library_child.py")
MEMORY = Path("/dev/shm")  # a killed process loses nothing that it wrote, so no disk is needed

pytestmark = pytest.mark.skipif(
    sys.platform == "win32", reason="Windows has no fork and no SIGKILL: run this on Linux or macOS"
)


@pytest.fixture
def folder():
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as name:
        yield Path(name)


def child(*arguments, **options):
    return subprocess.Popen(
        [sys.executable, CHILD, *map(str, arguments)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options,
    )  # fmt: skip


def said(process):
    out, err = process.communicate(timeout=280)
    assert process.returncode == 0, err.decode()
    return out


# A run with stride 1 killed eight changes at 3,038 lines: 2,680 were found undone, 342 done.
@pytest.mark.parametrize(("how", "stride"), [("lines", 9), ("bytes", 23)])
def test_a_change_that_is_killed_anywhere_is_found_done_or_undone(folder, how, stride):
    found = json.loads(said(child(how, folder, stride)))
    assert len(found) == 8
    for name, outcome in found.items():
        assert outcome["neither"] == [], name
        assert outcome["undone"] >= 8, name
    if how == "lines":
        assert all(outcome["done"] >= 3 for outcome in found.values())


def test_what_was_acknowledged_outlives_sigkill(folder):
    """Killed from outside at random times: the change that ran is done or undone, all before is."""
    own = runpy.run_path(str(CHILD))
    reference = folder / "reference"
    reference.mkdir()
    (reference / "sound.wav").write_bytes(own["WAV"])
    library, states = Library(reference / "library"), []
    draw = random.Random(4)
    for round_ in range(8):
        place = folder / f"round {round_}"
        place.mkdir()
        process = child("steps", place)
        first_line(process)
        time.sleep(draw.uniform(0.0, 0.25))
        process.send_signal(signal.SIGKILL)
        out, err = process.communicate(timeout=60)
        assert (process.returncode, err) == (-signal.SIGKILL, b"")
        acknowledged = max(int(line) for line in out.split() or [0])
        while len(states) < acknowledged + 2:
            own["step"](library, reference / "sound.wav", len(states))
            states.append(own["state"](library))
        assert own["state"](Library(place / "library")) in states[acknowledged : acknowledged + 2]
        shutil.rmtree(place)


def test_three_processes_lose_nothing_of_each_other(folder):
    crowd = [child("crowd", folder, mine) for mine in range(3)]
    for process in crowd:
        said(process)
    library = Library(folder / "library")
    entries = library.find(limit=100)
    assert len(entries) == 36
    assert {load(entry.path).prompt for entry in entries} == {
        f"{mine} {number}" for mine in range(3) for number in range(12)
    }
    assert sorted(entry.name for entry in entries) == ["Kick"] * 24 + ["Snare"] * 12
    for mine in range(3):
        assert len(library.find(tags=[f"by{mine}"], limit=100)) == 12
    slots = library.slots()
    assert sorted(slots) == list(range(1, 37))
    prompts = [load(slots[number]).prompt for number in sorted(slots)]
    assert prompts == [f"{mine} {number}" for mine in range(3) for number in range(12)]
    assert len(library.trash()) == 9
    assert library.unreadable() == ()
    assert {path.name for path in (library.folder / ".work").iterdir()} == {"lock"}
