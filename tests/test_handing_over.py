"""Commands hand their jobs to the server that runs: once, with Ctrl-C, and when the server dies."""

import json
import os
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from bridge.app.handing_over import LOST, Silent, hand_over
from bridge.cli import main
from bridge.protocol.events import Best, Event, Progress
from bridge.protocol.jobs import Evaluate
from bridge.protocol.patch_jobs import DesignPatch
from bridge.service import discovery
from bridge.service.config import Config
from bridge.service.discovery import Refusal, RunningServer
from bridge.service.ledger import Entry, Store
from tests.children import until
from tests.http_server import FAKE, Running, serving

NOBODY = "/nobody/works/here"  # a worker that cannot be started: what is done, the server did


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The data folder of commands, which have no worker."""
    monkeypatch.setenv("SCOREWIRE_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("SCOREWIRE_WORKER", NOBODY)
    return tmp_path / "data"


@contextmanager
def running(folder: Path, **settings: Any) -> Iterator[None]:
    """A server of the folder, in a thread of this process."""
    server = Running(folder, **settings)
    try:
        with discovery.publish(folder, host="127.0.0.1", http=server.http, osc=server.port):
            yield
    finally:
        server.stop()


@pytest.fixture
def server(folder: Path) -> Iterator[None]:
    with running(folder):
        yield


def ledger(tmp_path: Path) -> tuple[Entry, ...]:
    with Store(tmp_path / "data" / "jobs.sqlite") as store:
        return store.list()


def scorewire(capsys: Any, monkeypatch: Any, *arguments: object) -> tuple[int, dict[str, Any], str]:
    """Exit code, the JSON of the last line and stderr of a command with --json."""
    monkeypatch.setattr(sys, "argv", ["scorewire", *map(str, arguments), "--json"])
    with pytest.raises(SystemExit) as end:
        main.main()
    said = capsys.readouterr()
    return int(end.value.code or 0), json.loads(said.out.splitlines()[-1]), said.err


def job(tmp_path: Path, prompt: str = "ok", **fields: Any) -> DesignPatch:
    return DesignPatch(id="j1", prompt=prompt, out=str(tmp_path / "out"), **fields)


def test_the_server_does_what_a_command_asks(
    tmp_path: Path, server: Any, capsys: Any, monkeypatch: Any
) -> None:
    code, result, err = scorewire(capsys, monkeypatch, "patch", "ok", "--out", tmp_path / "out")
    assert (code, err, result["score_after"]) == (0, "", 0.75)
    for name in "ab":
        (tmp_path / name).write_text("sound")
    code, result, _ = scorewire(capsys, monkeypatch, "copycheck", tmp_path / "a", tmp_path / "b")
    assert (code, len(result["files"])) == (0, 2)
    code, result, err = scorewire(capsys, monkeypatch, "patch", "crash", "--out", tmp_path / "no")
    assert (code, result["error"]["code"]) == (1, "crashed")
    assert result["error"]["reason"].endswith("its last words: RuntimeError: out of memory")
    entries = ledger(tmp_path)
    assert [entry.state for entry in entries] == ["failed", "done", "done", "done"]
    assert {entry.client.partition("-")[0] for entry in entries} == {"http:cli"}


def test_here_does_without_the_server(
    tmp_path: Path, server: Any, capsys: Any, monkeypatch: Any
) -> None:
    arguments = ("patch", "ok", "--out", tmp_path / "out", "--here")
    code, result, _ = scorewire(capsys, monkeypatch, *arguments)
    assert (code, result["error"]["code"]) == (1, "crashed")
    assert "the worker could not be started" in result["error"]["reason"]
    assert [entry.client for entry in ledger(tmp_path)] == ["cli"]


def test_what_the_server_may_not_do_the_command_does(
    tmp_path: Path, folder: Path, capsys: Any, monkeypatch: Any
) -> None:
    monkeypatch.setenv("SCOREWIRE_WORKER", shlex.join(FAKE))
    with running(tmp_path / "data", write=(tmp_path / "allowed",)):
        code, result, _ = scorewire(capsys, monkeypatch, "patch", "ok", "--out", tmp_path / "out")
    assert (code, result["steps"]) == (0, 3)
    assert [entry.client for entry in ledger(tmp_path)] == ["cli"]


def test_progress_and_previews_are_told_and_each_once(tmp_path: Path, server: Any) -> None:
    heard: list[Event] = []
    entry = hand_over(job(tmp_path), Config(data=tmp_path / "data"), heard.append)
    assert entry is not None
    assert entry.state == "done"
    assert isinstance(heard[0], Progress)
    assert heard[0].stage == "waiting, in the server that runs"
    assert [event.score for event in heard if isinstance(event, Best)] == [0.5]
    assert {event.id for event in heard} == {entry.job.id}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_cancels_the_job_in_the_server(
    tmp_path: Path, server: Any, number: signal.Signals
) -> None:
    command = [sys.executable, "-m", "bridge.cli", "patch", "slow", "--json"]
    command += ["--out", str(tmp_path / "out")]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(os.environ)
    ) as child:
        until(lambda: [e.state for e in ledger(tmp_path)] == ["running"], child=child)
        child.send_signal(number)
        out, err = child.communicate(timeout=60)
    assert child.returncode == 130
    assert json.loads(out)["error"]["code"] == "cancelled"
    assert err == "scorewire: stopped by Ctrl-C; nothing was left behind\n"
    assert [entry.state for entry in ledger(tmp_path)] == ["cancelled"]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_server_that_ends_midway_is_one_sentence(
    tmp_path: Path, folder: Path, capsys: Any, monkeypatch: Any, number: signal.Signals
) -> None:
    def end_it(process: subprocess.Popen[str]) -> None:
        until(lambda: [e.state for e in ledger(tmp_path)] == ["running"])
        process.send_signal(number)
        process.wait(60)

    monkeypatch.setattr("bridge.app.handing_over.PAUSE", 0.05)
    with serving(tmp_path) as (process, _):
        ending = threading.Thread(target=end_it, args=(process,))
        ending.start()
        arguments = ("patch", "slow", "--out", tmp_path / "out")
        code, result, err = scorewire(capsys, monkeypatch, *arguments)
        ending.join(60)
    told = LOST if number == signal.SIGKILL else "the server stopped before the job ended"
    assert (code, result["error"]) == (1, {"code": "interrupted", "reason": told})
    assert err == f"scorewire: {told}\n"
    (entry,) = ledger(tmp_path)  # kept; the next server marks what a killed one left
    assert entry.state == ("running" if number == signal.SIGKILL else "interrupted")


def test_nothing_is_handed_to_another_version_nor_what_keeps_others_waiting(
    tmp_path: Path, server: Any, monkeypatch: Any
) -> None:
    settings = Config(data=tmp_path / "data")
    assert hand_over(job(tmp_path), Config(data=tmp_path), None) is None  # no server there
    long = Evaluate(id="j1", data=str(tmp_path), out=str(tmp_path / "out"))
    assert hand_over(long, settings, None) is None
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    assert hand_over(job(tmp_path, model="mine"), settings, None) is None
    monkeypatch.setattr(RunningServer, "ask", lambda *args, **kwargs: {"version": "0.0.0"})
    assert hand_over(job(tmp_path), settings, None) is None
    assert ledger(tmp_path) == ()


def unheard(monkeypatch: Any, sends: bool) -> None:
    """Answers to POST are lost; the job is asked for all the same, or not even that."""
    ask = RunningServer.ask

    def lose(self: RunningServer, method: str, *args: Any, **kwargs: Any) -> dict[str, Any]:
        if method != "POST":
            return ask(self, method, *args, **kwargs)
        if sends:
            ask(self, method, *args, **kwargs)
        raise TimeoutError("timed out")

    monkeypatch.setattr(RunningServer, "ask", lose)


def test_a_job_whose_answer_was_lost_is_followed_and_not_done_twice(
    tmp_path: Path, server: Any, monkeypatch: Any
) -> None:
    unheard(monkeypatch, sends=True)
    entry = hand_over(job(tmp_path), Config(data=tmp_path / "data"), None)
    assert entry is not None
    assert entry.state == "done"
    assert len(ledger(tmp_path)) == 1


def test_a_server_that_says_nothing_may_yet_begin_so_nobody_else_does(
    tmp_path: Path, server: Any, capsys: Any, monkeypatch: Any
) -> None:
    unheard(monkeypatch, sends=False)
    with pytest.raises(Silent, match="does not say whether it has taken the job: timed out"):
        hand_over(job(tmp_path), Config(data=tmp_path / "data"), None)
    code, result, _ = scorewire(capsys, monkeypatch, "patch", "ok", "--out", tmp_path / "out")
    assert (code, result["error"]["code"]) == (1, "stalled")
    assert ledger(tmp_path) == ()


def test_a_refusal_has_its_code(tmp_path: Path, server: Any) -> None:
    found = discovery.find(tmp_path / "data")
    assert found is not None
    token = (tmp_path / "data" / "token").read_text().strip()
    with pytest.raises(Refusal, match="kind must be one of") as refused:
        found.ask("POST", "/v1/jobs", token, {"kind": "dance"})
    assert refused.value.code == "bad-arguments"
