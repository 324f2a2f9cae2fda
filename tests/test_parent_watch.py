"""Children leave when who started them has died, whatever they are doing."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bridge.execution import local, recording
from bridge.processes import parent_watch
from bridge.service.config import Config
from tests.children import first_line

ROOT = Path(__file__).parents[1]
# Starts a child with pipes, as all of ours are started, and waits for its own death.
PARENT = """
import subprocess, sys
child = subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
print(child.pid, flush=True)
child.wait()
"""
# Stands where a library is imported from: a machine so busy that the import takes for ever.
BUSY = """
import pathlib, time
pathlib.Path(__file__).with_name("importing").touch()
time.sleep(600)
"""


def lives(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state not in "ZX"


def wait_for(condition, seconds: float = 60.0) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return bool(condition())


def start(folder: Path, *arguments: str) -> tuple[subprocess.Popen[str], int]:
    """A parent, and the process id of its child."""
    places = os.pathsep.join([str(folder), str(ROOT)])
    command = [sys.executable, "-c", PARENT, *parent_watch.command(*arguments)]
    parent = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True,
        cwd=folder, env=os.environ | {"PYTHONPATH": places}, start_new_session=True,
    )  # fmt: skip
    return parent, int(first_line(parent))


def bury(parent: subprocess.Popen[str], child: int) -> None:
    parent.kill()
    parent.wait()
    parent.stdout.close()
    if lives(child):
        os.kill(child, signal.SIGKILL)


@pytest.mark.parametrize(
    ("module", "library"),
    [
        ("bridge.worker", "torch"),
        ("bridge.player", "numpy"),
        ("bridge.player.prerender", "torch"),
        ("bridge.stems.null_test_numpy", "numpy"),
        ("bridge.recorder", "pydantic"),
    ],
)
def test_a_child_that_still_imports_leaves_with_its_parent(tmp_path, module, library):
    (tmp_path / f"{library}.py").write_text(BUSY)
    parent, child = start(tmp_path, module)
    try:
        assert wait_for((tmp_path / "importing").exists)
        parent.send_signal(signal.SIGKILL)
        assert wait_for(lambda: not lives(child))
    finally:
        bury(parent, child)


def test_a_child_that_works_is_told_and_may_end_what_it_does(tmp_path):
    (tmp_path / "working.py").write_text(
        "import pathlib, threading\n"
        "from bridge.processes import parent_watch\n"
        "told = threading.Event()\n"
        "parent_watch.on_death(told.set)\n"
        "pathlib.Path('works').touch()\n"
        "told.wait()\n"
        "pathlib.Path('ended').touch()\n"
    )
    parent, child = start(tmp_path, "working")
    try:
        assert wait_for((tmp_path / "works").exists)
        assert lives(child)
        parent.send_signal(signal.SIGKILL)
        assert wait_for(lambda: not lives(child))
        assert (tmp_path / "ended").exists()
    finally:
        bury(parent, child)


def test_a_child_that_does_not_listen_ends_all_the_same(tmp_path):
    (tmp_path / "deaf.py").write_text(
        "import pathlib, time\n"
        "from bridge.processes import parent_watch\n"
        "parent_watch.GRACE = 0.1\n"
        "parent_watch.on_death(lambda: None)\n"
        "pathlib.Path('works').touch()\n"
        "time.sleep(600)\n"
    )
    parent, child = start(tmp_path, "deaf")
    try:
        assert wait_for((tmp_path / "works").exists)
        parent.send_signal(signal.SIGKILL)
        assert wait_for(lambda: not lives(child))
    finally:
        bury(parent, child)


def test_a_module_runs_as_with_python_m(tmp_path):
    (tmp_path / "said.py").write_text("import sys\nprint(__name__, sys.argv[1:])\n")
    done = subprocess.run(
        parent_watch.command("said", "a", "--b"), capture_output=True, text=True, check=True,
        cwd=tmp_path, env=os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])},
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("__main__ ['a', '--b']\n", "")


def test_every_child_of_the_server_is_watched():
    config = Config()
    assert config.worker == local.COMMAND == parent_watch.command("bridge.worker")
    assert config.player == parent_watch.command("bridge.player")
    assert recording.COMMAND == parent_watch.command("bridge.recorder")
