"""The files of one job appear together, whoever is killed between two of them."""

import errno
import json
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from bridge.files import atomic_output, write_terms
from bridge.files.write_terms import WriteRules

NAMES = ("a.json", "a.wav", "deep/b.wav", "curves.json")
# Two jobs in each folder 0, 1 ...; the second is killed before its system call of that number,
# until one is not. A fork each: the imports are there.
CHILDREN = """
import os, signal, sys
from itertools import count
from pathlib import Path
from bridge.files import atomic_output
from bridge.files.write_terms import WriteRules

kind, names = sys.argv[1], sys.argv[3].split()
for left in count():
    target, child = Path(sys.argv[2], str(left)), os.fork()
    if child == 0:
        break
    _, status = os.waitpid(child, 0)
    if os.waitstatus_to_exitcode(status) != -signal.SIGKILL:
        sys.exit(os.waitstatus_to_exitcode(status))

def place():
    if kind == "folder":
        return atomic_output.folder(target, WriteRules(True), stale=("result.json",))
    return atomic_output.resumable(target, "key", WriteRules(True), stale=("result.json",))

def write(what):
    with place() as out:
        for name in names:
            path = out.partial / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(what)

write("old")
(target / "result.json").write_text("old")

def killing(real):
    def call(*args, **options):
        global left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*args, **options)
    return call

for owner, name in ((Path, "replace"), (Path, "mkdir"), (Path, "unlink"), (os, "link"),
                    (os, "fsync"), (os, "rmdir"), (os, "unlink")):
    setattr(owner, name, killing(getattr(owner, name)))
write("new")
"""


def contents(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_text() for path in files}


def killed(kind: str, parent: Path) -> list[Path]:
    """The folders of jobs that were killed before system call 0, 1 ..., and of one that was not."""
    command = [sys.executable, "-c", CHILDREN, kind, str(parent), " ".join(NAMES)]
    ended = subprocess.run(command, capture_output=True, check=False, timeout=300)
    assert ended.returncode == 0, ended.stderr.decode()
    return sorted((path for path in parent.iterdir()), key=lambda path: int(path.name))


@pytest.mark.parametrize("kind", ["folder", "resumable"])
def test_a_job_killed_between_any_two_calls_is_found_old_or_new(tmp_path: Path, kind: str) -> None:
    old = dict.fromkeys((*NAMES, "result.json"), "old")
    new = dict.fromkeys(NAMES, "new")
    found = []
    for folder in killed(kind, tmp_path):
        assert atomic_output.sweep(folder, unfinished=True)
        assert contents(folder) in (old, new)
        assert not [path.name for path in folder.iterdir() if path.name[0] == "."]
        found.append(contents(folder) == new)
    assert found == sorted(found)  # old until the promise, new after it
    assert found.count(False) >= 8
    assert found.count(True) >= 8


def test_the_next_job_in_the_folder_finishes_first(tmp_path: Path) -> None:
    for folder in killed("folder", tmp_path)[:-1]:
        with atomic_output.folder(folder) as out:
            (out.partial / "other.txt").write_text("x")
        values = {value for name, value in contents(folder).items() if name in NAMES}
        assert len(values) == 1
        assert sorted(path.name for path in folder.iterdir() if path.name[0] == ".") == []


def test_a_move_that_fails_takes_back_those_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in NAMES:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("old")
    real = write_terms.move

    def move(source: Path, place: Path, terms: WriteRules) -> None:
        if place.name == "b.wav":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(place))
        real(source, place, terms)

    monkeypatch.setattr(write_terms, "move", move)

    def job() -> None:
        with atomic_output.folder(tmp_path, WriteRules(replace=True)) as out:
            (out.partial / "deep").mkdir()
            for name in (*NAMES, "not there before"):
                (out.partial / name).write_text("new")

    with pytest.raises(OSError, match="No space left"):
        job()
    assert contents(tmp_path) == dict.fromkeys(NAMES, "old")


@pytest.mark.parametrize(
    "told",
    [
        [["../stolen", "here"]],
        [["/etc/hostname", ".partial-0-x/a"]],
        [["a", "b"]],
        [[".partial-0-x/a", ".partial-0-x/b"]],
        [[".partial-0-x/a", "out/b"]],
        [],
        {"a": 1},
        "[" * 100_000,
    ],
)
def test_a_list_of_a_stranger_moves_nothing(tmp_path: Path, told: object) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (tmp_path / "stolen").write_text("mine")
    (folder / "out").symlink_to(tmp_path)
    partial = folder / f"{atomic_output.PARTIAL}0-x"
    partial.mkdir()
    for name in ("a", "b"):
        (folder / name).write_text(name)
        (partial / name).write_text("theirs")
    text = told if isinstance(told, str) else json.dumps(told)
    (partial / atomic_output.MOVES).write_text(text)
    (folder / atomic_output.PARTIAL).with_name(".partial-9999999-l").symlink_to(tmp_path)
    atomic_output.sweep(folder)
    assert (tmp_path / "stolen").read_text() == "mine"
    assert (folder / "a").read_text() == "a"
    assert (folder / "b").read_text() == "b"
    assert not (tmp_path / "b").exists()


# Renders into a folder where no file may outgrow 100 kB: as on a full disk, a write fails (EFBIG).
FULL = """
import resource, signal, sys
from pathlib import Path
from types import SimpleNamespace
from bridge.protocol import worker_loop
from bridge.protocol.patch_jobs import RenderPreset
from bridge.worker.render import render_preset
import io

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
out = Path(sys.argv[2])
job = RenderPreset(id="j", preset=sys.argv[1], out=str(out / "a.wav"), duration=5.0)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
*_, last = worker_loop.run(job, render_preset, worker_loop.Inbox(io.StringIO("")), codes={})
print(last.code, last.reason)
"""


def test_a_full_disk_is_no_fault_of_ours(tmp_path: Path) -> None:
    preset = Path(__file__).parents[1] / "presets" / "factory" / "clavinet.json"
    out = tmp_path / "out"
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(preset), str(out)],
        capture_output=True, text=True, check=True, timeout=300,
    )  # fmt: skip
    code, _, reason = done.stdout.partition(" ")
    assert code == "no-room"
    assert "File too large" in reason
    assert not out.exists()  # nothing half-written, and no folder made for it


@pytest.mark.parametrize("number", atomic_output.NO_ROOM)
def test_no_room_is_seen_through_the_sentences_about_it(number: int) -> None:
    def refusal() -> ValueError:
        try:
            raise OSError(number, os.strerror(number))
        except OSError as error:
            return atomic_output.cannot_write("out /x", error)

    said = refusal()
    assert str(said) == f"out /x cannot be written: {os.strerror(number)}"
    assert not atomic_output.no_room(said)
    said.__cause__ = OSError(number, "")
    assert atomic_output.code_of(said, "bad-input") == "no-room"
    assert atomic_output.code_of(OSError(errno.EACCES, ""), "bad-output") == "bad-output"


def test_a_full_ledger_is_no_room(tmp_path: Path) -> None:
    db = sqlite3.connect(tmp_path / "x.sqlite")
    db.execute("CREATE TABLE t (x)")
    db.execute("PRAGMA max_page_count = 3")
    with pytest.raises(sqlite3.OperationalError, match="full") as full:
        db.execute("INSERT INTO t VALUES (?)", ("x" * 100_000,))
    db.close()
    assert atomic_output.no_room(full.value)


def test_a_library_without_reason_is_believed_on_a_full_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = RuntimeError("System error.")
    assert not atomic_output.no_room(error, tmp_path / "not" / "there")
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=4096))
    assert atomic_output.no_room(error, tmp_path / "not" / "there")
    assert not atomic_output.no_room(ValueError("a prompt is missing"), tmp_path)


@pytest.mark.parametrize("replace", [False, True])
def test_what_somebody_put_there_after_a_kill_stays(tmp_path: Path, replace: bool) -> None:
    names, before = ("a.wav", "b.wav", "c.wav"), "old" if replace else ""
    killed = (
        "import os, signal, sys; from pathlib import Path\n"
        "from bridge.files import atomic_output, write_terms\n"
        "real = write_terms.move\n"
        "def move(source, place, terms):\n"
        "    if place.name == 'b.wav': os.kill(os.getpid(), signal.SIGKILL)\n"
        "    real(source, place, terms)\n"
        "write_terms.move = move\n"
        f"with atomic_output.folder(Path(sys.argv[1]), write_terms.WriteRules({replace})) as out:\n"
        f"    for name in {names}: (out.partial / name).write_text('new')\n"
    )
    for name in names:
        if before:
            (tmp_path / name).write_text(before)
    command = [sys.executable, "-c", killed, str(tmp_path)]
    ended = subprocess.run(command, capture_output=True, check=False, timeout=60)
    assert ended.returncode == -signal.SIGKILL, ended.stderr.decode()
    assert (tmp_path / "a.wav").read_text() == "new"
    (tmp_path / "mine").write_text("a recording of somebody else")
    (tmp_path / "mine").replace(tmp_path / "b.wav")
    assert atomic_output.sweep(tmp_path)
    kept = {"b.wav": "a recording of somebody else"}
    assert contents(tmp_path) == (dict.fromkeys(names, before) | kept if before else kept)


def test_a_path_of_a_thousand_bytes_is_a_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(atomic_output, "PATIENCE", 0.0)
    target = tmp_path / "/".join(["d" * 200] * 6)
    with atomic_output.folder(target) as out:
        (out.partial / "a.wav").write_text("sound")
    with atomic_output.resumable(target, "key") as out:
        (out.partial / "b.wav").write_text("sound")
        with pytest.raises(ValueError, match="is being written by another process"):
            atomic_output.resumable(target, "key").__enter__()
    assert contents(target) == {"a.wav": "sound", "b.wav": "sound"}
