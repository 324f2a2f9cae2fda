"""A server is found by those who would rather ask it; an exchange by files hands its job over."""

import json
import os
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.app import folder_requests
from bridge.files import wav
from bridge.service import discovery
from bridge.service.config import Config
from bridge.service.ledger import Store
from tests.children import first_line, until

WORKER = Path(__file__).with_name("halving_worker.py")
NOBODY = ("/nobody/works/here",)  # a worker that cannot be started


def test_a_server_is_found_while_it_is_there(tmp_path: Path) -> None:
    assert discovery.find(tmp_path) is None
    with discovery.publish(tmp_path, host="0.0.0.0", http=9558, osc=9557):
        found = discovery.find(tmp_path)
        assert found is not None
        assert (found.host, found.http, found.osc, found.lives) == ("127.0.0.1", 9558, 9557, True)
    assert discovery.find(tmp_path) is None
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"owner": 1}'])
def test_what_is_no_record_of_ours_is_no_server(tmp_path: Path, text: str) -> None:
    (tmp_path / discovery.FILE).write_text(text)
    assert discovery.find(tmp_path) is None


def test_the_record_of_a_process_that_is_gone_is_no_server(tmp_path: Path) -> None:
    with discovery.publish(tmp_path, host="127.0.0.1", http=1, osc=2):
        told = json.loads((tmp_path / discovery.FILE).read_text())
    pid, start, boot = told["owner"].split(" ")
    for owner in (f"{pid} {int(start) + 1} {boot}", "", f"{2**22 + 1} {start} {boot}"):
        (tmp_path / discovery.FILE).write_text(json.dumps(told | {"owner": owner}))
        assert discovery.find(tmp_path) is None


@pytest.fixture
def served(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A real server of the data folder, with the worker of the tests."""
    environment = os.environ | {
        "SCOREWIRE_DATA": str(tmp_path / "data"),
        "SCOREWIRE_OSC_PORT": "0",
        "SCOREWIRE_WORKER": shlex.join((sys.executable, str(WORKER))),
    }
    command = [sys.executable, "-m", "bridge.cli", "serve", "--json"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        json.loads(first_line(process))
        yield process
        process.terminate()
        process.wait(60)


def asked(folder: Path, prompt: str) -> Path:
    """What REAPER's action leaves there: a sound and a request."""
    folder.mkdir()
    about = {"rate": 48000, "channels": 1, "frames": 4800, "bext": wav.Bext()}
    wav.write(folder / "mix.wav", [bytes(4800 * 4)], **about)
    text = json.dumps({"file": "mix.wav", "prompts": [prompt]})
    (folder / folder_requests.REQUEST).write_text(text)
    return folder


def state(folder: Path) -> list[str]:
    file = folder / folder_requests.STATUS
    return file.read_text(encoding="utf-8").rstrip("\n").split("\t") if file.exists() else [""]


def test_the_server_that_runs_does_the_work(tmp_path: Path, served) -> None:
    folder = asked(tmp_path / "one", "vocals")
    folder_requests.answer(folder, Config(data=tmp_path / "data", worker=NOBODY))
    assert state(folder) == ["done", state(folder)[1], "1.0000", "-", str(folder / "mix.stems")]
    assert (folder / "mix.stems").read_text().startswith("scorewire-stems\t1\t48000\t0\t4800\t1\n")
    folder = asked(tmp_path / "two", "wrong")
    folder_requests.answer(folder, Config(data=tmp_path / "data", worker=NOBODY))
    assert state(folder)[0] == "failed"
    with Store(tmp_path / "data" / "jobs.sqlite") as store:
        assert [entry.state for entry in store.list()] == ["failed", "done"]
    served.terminate()
    assert served.wait(60) == 0
    assert not (tmp_path / "data" / discovery.FILE).exists()


@pytest.mark.parametrize("killed", [False, True], ids=["cancelled", "its server killed first"])
def test_handed_over_and_cancelled_nothing_is_left(tmp_path: Path, served, killed: bool) -> None:
    """Of a server that is killed its own worker takes the job over, and hears the cancel."""
    folder = asked(tmp_path / "one", "slow")
    mine = NOBODY if not killed else (sys.executable, str(WORKER))
    settings = Config(data=tmp_path / "data", worker=mine, grace=1)
    working = threading.Thread(target=folder_requests.answer, args=(folder, settings))
    working.start()
    until(lambda: state(folder)[0] == "running" and float(state(folder)[2]) > 0.0)  # by the worker
    if killed:
        served.send_signal(signal.SIGKILL)
        served.wait(60)
    (folder / folder_requests.CANCEL).write_text("")
    working.join(120)
    assert not working.is_alive()
    assert not folder.exists()
