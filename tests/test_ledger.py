"""The ledger: states, requests, recovery after a kill, two processes."""

import os
import sqlite3
import subprocess
import sys
import textwrap
from pathlib import Path
from types import SimpleNamespace

import pytest

from bridge.files import atomic_output
from bridge.http.blobs import Blobs
from bridge.protocol.events import Cancelled, Done, Failed
from bridge.protocol.jobs import Record
from bridge.protocol.patch_jobs import DesignPatch, RenderPreset
from bridge.service.ledger import MIGRATIONS, Store, describe_entry, mend, own_ledger
from presets import Preset
from presets.library import Library
from tests.children import first_line

ROOT = Path(__file__).parents[1]


def patch(job_id, prompt="kick"):
    return DesignPatch(id=job_id, prompt=prompt, renderer="fm", out="/out")


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "data" / "jobs.sqlite") as store:
        yield store


def test_a_life_is_written_down(store):
    store.add(patch("a"), client="c", request=7)
    entry = store.get("a")
    assert (entry.state, entry.job, entry.client, entry.request) == ("queued", patch("a"), "c", 7)
    assert entry.live
    assert entry.started is None
    store.progress("a", 0.25, "working")
    store.progress("a", 0.5, "still working")
    entry = store.get("a")
    assert (entry.state, entry.fraction, entry.stage) == ("running", 0.5, "still working")
    store.finish("a", "done", result={"wav": "/out/ü.wav", "null_db": -120.5})
    entry = store.get("a")
    assert (entry.state, entry.fraction) == ("done", 1.0)
    assert entry.result == {"wav": "/out/ü.wav", "null_db": -120.5}
    assert entry.created <= entry.started <= entry.ended
    assert not entry.live


def test_the_place_in_the_queue(store):
    """Jobs of this process that wait or run and came before; a recording waits for nobody."""
    for job in (patch("a"), Record(id="r", out="/out/r.wav"), patch("b"), patch("c")):
        store.add(job, client="c", request=7)
    store.progress("a", 0.5, "working")

    def places():
        return [store.ahead(store.get(name)) for name in "arbc"]

    assert places() == [None, None, 1, 2]
    store.finish("a", "cancelled")
    assert places() == [None, None, 0, 1]
    said = describe_entry(store.get("c"), 1)
    assert (said["state"], said["ahead"], said["job"]["prompt"]) == ("queued", 1, "kick")


def test_what_has_ended_stays_so(store):
    store.add(patch("a"), client="c", request=1)
    store.finish("a", "cancelled")
    store.finish("a", "failed", code="late", reason="too late")
    store.progress("a", 0.9, "late")
    entry = store.get("a")
    assert (entry.state, entry.code, entry.fraction) == ("cancelled", "", 0.0)


def test_the_last_event_can_be_told_again(store):
    for job_id in "abcd":
        store.add(patch(job_id), client="c", request=1)
    store.finish("a", "done", result={"steps": 3})
    store.finish("b", "failed", code="crashed", reason="it died")
    store.finish("c", "cancelled")
    assert store.get("a").last_event() == Done(id="a", result={"steps": 3})
    assert store.get("b").last_event() == Failed(id="b", code="crashed", reason="it died")
    assert store.get("c").last_event() == Cancelled(id="c")
    assert store.get("d").last_event() is None


def test_by_request_finds_the_newest_of_this_client(store):
    store.add(patch("a"), client="c", request=1)
    store.add(patch("b"), client="c", request=1)
    store.add(patch("x"), client="other", request=1)
    assert store.by_request("c", 1).job.id == "b"
    assert store.by_request("c", 2) is None


def test_list_is_newest_first_and_keeps_kinds(store):
    store.add(patch("a"), client="c", request=1)
    store.add(RenderPreset(id="b", preset="/p", out="/o"), client="c", request=2)
    store.finish("a", "done", result={})
    assert [e.job.id for e in store.list()] == ["b", "a"]
    assert [e.job.id for e in store.list(limit=1)] == ["b"]
    assert [e.job.id for e in store.list(state="done")] == ["a"]
    assert store.list()[0].job == RenderPreset(id="b", preset="/p", out="/o")


def test_an_id_is_used_once(store):
    store.add(patch("a"), client="c", request=1)
    with pytest.raises(sqlite3.IntegrityError):
        store.add(patch("a"), client="c", request=2)
    store.add(patch("b"), client="c", request=2)  # the failed transaction was rolled back


def test_finish_takes_only_ended_states(store):
    with pytest.raises(ValueError, match="got 'running'"):
        store.finish("a", "running")


def test_recovery_after_a_kill(tmp_path):
    """A process writes, holds the lock and is killed; the next one knows what was interrupted."""
    path = tmp_path / "jobs.sqlite"
    program = textwrap.dedent(
        """
        import os, signal, sys
        from bridge.protocol.patch_jobs import DesignPatch
        from bridge.service.ledger import Store
        store = Store(sys.argv[1])
        store.own()
        for name in "abc":
            job = DesignPatch(id=name, prompt="kick", renderer="fm", out="/out")
            store.add(job, client="c", request=1)
        store.progress("a", 1.0, "saving")
        store.finish("a", "done", result={"steps": 3})
        store.progress("b", 0.4, "working")
        os.kill(os.getpid(), signal.SIGKILL)
        """
    )
    ended = subprocess.run([sys.executable, "-c", program, path], cwd=ROOT, check=False)
    assert ended.returncode == -9
    with Store(path) as store:
        store.own()
        assert store.recover() == ("b", "c")
        states = {e.job.id: (e.state, e.fraction, e.code) for e in store.list()}
        assert states == {
            "a": ("done", 1.0, ""),
            "b": ("interrupted", 0.4, "interrupted"),
            "c": ("interrupted", 0.0, "interrupted"),
        }
        assert store.recover() == ()
        store.finish("b", "done", result={})  # it lived in another process, and reports
        assert store.get("b").state == "done"


def test_recovery_leaves_alone_the_job_of_a_living_process(tmp_path):
    """A command line works while a server starts on the same data: its job is not interrupted."""
    path = tmp_path / "jobs.sqlite"
    program = textwrap.dedent(
        """
        import sys
        from bridge.protocol.patch_jobs import DesignPatch
        from bridge.service.ledger import Store
        with Store(sys.argv[1]) as store:
            for name in "ab":
                job = DesignPatch(id=name, prompt="kick", renderer="fm", out="/out")
                store.add(job, client="cli", request=1)
            store.progress("a", 0.4, "working")
            print("ready", flush=True)
            sys.stdin.readline()
            store.finish("a", "done", result={})
        """
    )
    command = [sys.executable, "-c", program, path]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as beside, Store(path) as store:  # fmt: skip
        assert first_line(beside) == "ready\n"
        assert store.recover() == ()
        assert [store.get(name).state for name in "ab"] == ["running", "queued"]
        beside.communicate("go\n")
        assert store.recover() == ("b",)
        assert [store.get(name).state for name in "ab"] == ["done", "interrupted"]


def test_a_ledger_of_the_first_version_is_taken_over(tmp_path):
    path = tmp_path / "jobs.sqlite"
    with sqlite3.connect(path) as db:
        db.executescript(MIGRATIONS[0])
        db.execute(
            "INSERT INTO jobs (id, kind, job, client, request, state, created) "
            "VALUES ('a', 'patch', ?, 'c', 1, 'running', 0)", (patch("a").model_dump_json(),)
        )  # fmt: skip
        db.execute("PRAGMA user_version = 1")
    db.close()
    with Store(path) as store:
        assert store.get("a").state == "running"
        assert store.recover() == ("a",)


def test_one_server_owns_the_ledger_and_others_may_read(tmp_path):
    path = tmp_path / "jobs.sqlite"
    with Store(path) as first, Store(path) as second:
        first.own()
        first.add(patch("a"), client="c", request=1)
        assert second.get("a").job == patch("a")
        with pytest.raises(ValueError, match="another server already uses"):
            second.own()
        first.close()
        second.own()


def test_newer_ledger_and_foreign_file_are_refused_with_a_sentence(tmp_path):
    path = tmp_path / "jobs.sqlite"
    Store(path).close()
    with sqlite3.connect(path) as db:
        db.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    db.close()
    with pytest.raises(ValueError, match="written by a newer Scorewire"):
        Store(path)
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="set `data` to a folder you may write"):
        Store(tmp_path / "file" / "jobs.sqlite")
    other = tmp_path / "other"
    other.write_bytes(b"RIFF" * 500)
    with pytest.raises(ValueError, match="is not a job ledger"):
        Store(other)


def damaged(path):
    """A ledger of many pages, some of them overwritten."""
    with Store(path) as store:
        for number in range(300):
            store.add(patch(f"j{number}"), client="c", request=number)
    data = bytearray(path.read_bytes())
    data[8 * 4096 : 20 * 4096] = b"\xa5" * (12 * 4096)
    path.write_bytes(data)
    return bytes(data)


def test_a_damaged_ledger_is_set_aside_and_kept(tmp_path, caplog):
    path = tmp_path / "jobs.sqlite"
    data = damaged(path)
    with own_ledger(path) as store:
        assert store.list() == ()
        assert store.aside.name.startswith("jobs-damaged-")
        assert store.aside.read_bytes() == data
        store.add(patch("new"), client="c", request=1)
    assert f"the job ledger {path} is damaged: it is kept as {store.aside}" in caplog.text
    with own_ledger(path) as store:
        assert store.aside is None
        assert [entry.job.id for entry in store.list()] == ["new"]


def test_a_command_beside_no_server_sets_a_damaged_ledger_aside(tmp_path):
    path = tmp_path / "jobs.sqlite"
    assert mend(path) is None
    data = damaged(path)
    with sqlite3.connect(f"{path}.lock", isolation_level=None) as server:
        server.execute("BEGIN EXCLUSIVE")
        assert mend(path) is None  # its server will, when it starts again
        server.execute("ROLLBACK")
    server.close()
    assert mend(path).read_bytes() == data
    assert not path.exists()


def test_what_is_no_database_is_set_aside_too(tmp_path):
    path = tmp_path / "jobs.sqlite"
    path.write_text("a diary, by mistake " * 500)
    with own_ledger(path) as store:
        assert store.list() == ()
        assert store.aside.read_text() == "a diary, by mistake " * 500


def test_two_damaged_ledgers_of_one_second_are_both_kept(tmp_path, monkeypatch):
    monkeypatch.setattr("time.strftime", lambda form: "20260101-000000")
    path = tmp_path / "jobs.sqlite"
    for text in ("first" * 500, "second" * 500):
        path.write_text(text)
        with own_ledger(path):
            pass
        path.unlink()
    kept = sorted(p.read_text()[:5] for p in tmp_path.glob("jobs-damaged-*.sqlite"))
    assert kept == ["first", "secon"]


def test_the_ledger_of_a_server_that_runs_is_not_touched(tmp_path):
    path = tmp_path / "jobs.sqlite"
    with own_ledger(path):
        with pytest.raises(ValueError, match="another server already uses"), own_ledger(path):
            pass


def test_folders_of_ours_are_for_their_user_alone(tmp_path):
    sound = Preset(name="a", renderer="fm", renderer_version=1, values={})
    before = os.umask(0)
    try:
        with own_ledger(tmp_path / "a" / "b" / "jobs.sqlite"):
            pass
        Library(tmp_path / "c" / "library").add(sound)
        disk = tmp_path / "c" / "library" / ".work"
        with Blobs(tmp_path / "d" / "blobs", limit=9, quota=9).writing("0" * 64, at=0, total=1):
            pass
    finally:
        os.umask(before)
    made = [path for path in tmp_path.rglob("*") if path.is_dir()]
    assert disk in made
    assert {path.stat().st_mode & 0o777 for path in made} == {0o700}


class FullDisk:
    """A connection on a disk without room for SQLite's own files."""

    def execute(self, *_):
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode = sqlite3.SQLITE_IOERR
        raise error

    def close(self):
        pass


def test_a_full_disk_is_neither_another_server_nor_a_strange_file(tmp_path, monkeypatch):
    monkeypatch.setattr("sqlite3.connect", lambda *_, **__: FullDisk())
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=0))
    for begin in (Store, lambda path: own_ledger(path).__enter__()):
        with pytest.raises(ValueError, match=r"opened: No space left on device$") as full:
            begin(tmp_path / "jobs.sqlite")
        assert atomic_output.code_of(full.value, "bad-input") == "no-room"
