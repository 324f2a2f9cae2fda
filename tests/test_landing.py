"""Files that come from other machines, put where the job would have written them."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bridge.cluster.landing import Landing
from bridge.cluster.parcels import Piece
from bridge.files.atomic_output import UNFINISHED
from bridge.protocol.jobs import Evaluate, Separate


def separate(out, **changes):
    return Separate(id="j", file="/a.wav", prompts=("one",), out=str(out), **changes)


def files(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def receive(out, path):
    with Landing(separate(out)) as landing:
        landing.receive(Piece(path, b"RIFF", last=True))


def test_results_appear_when_the_job_is_done(tmp_path):
    out = tmp_path / "out"
    with Landing(separate(out)) as landing:
        landing.receive(Piece(f"{out}/a.wav", b"RI", last=False))
        landing.receive(Piece(f"{out}/source/b.wav", b"b", last=True))
        landing.receive(Piece(f"{out}/a.wav", b"FF", last=True))
        window = f"{out}/{UNFINISHED}k/scratch/window-0.f32"
        landing.receive(Piece(window, b"w", last=True))
        assert not list(out.glob("[!.]*"))
        assert [str(path) for path in landing.known()] == [window]
        landing.kept = False
    assert files(out) == ["a.wav", "source/b.wav"]
    assert (out / "a.wav").read_bytes() == b"RIFF"


@pytest.mark.parametrize("kept", [True, False])
def test_a_job_that_failed_leaves_what_it_had_finished_or_nothing(tmp_path, kept):
    out = tmp_path / "out"
    landing = Landing(separate(out)).__enter__()
    landing.receive(Piece(f"{out}/a.wav", b"RIFF", last=True))
    landing.receive(Piece(f"{out}/half.wav", b"RI", last=False))
    landing.receive(Piece(f"{out}/{UNFINISHED}k/scratch/w", b"w", last=True))
    landing.kept = kept
    landing.__exit__(RuntimeError, RuntimeError("it failed"), None)
    left = [f"{UNFINISHED}k/scratch/w"] if kept else []
    assert [name for name in files(out) if not name.endswith(".lock")] == left


def test_previews_have_the_place_that_their_event_names(tmp_path):
    out = tmp_path / "out"
    with Landing(separate(out)) as landing:
        there = f"{out}/.partial-77-abc/scratch/best.wav"
        landing.receive(Piece(there, b"RIFF", last=True))
        here = landing.renamed(there)
        assert here != there
        assert Path(here).read_bytes() == b"RIFF"
    assert files(out) == []


@pytest.mark.parametrize("path", ["/elsewhere/a.wav", "{out}/../a.wav", "{out}x/a.wav"])
def test_nothing_is_written_elsewhere(tmp_path, path):
    out = tmp_path / "out"
    with pytest.raises(ValueError, match=r"a machine sent .* this job writes no such file"):
        receive(out, path.format(out=out))
    assert not out.exists() or files(out) == []


def test_a_file_of_the_user_s_stays(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "a.wav").write_bytes(b"mine")
    with pytest.raises(ValueError, match="Scorewire did not make it"):
        receive(out, f"{out}/a.wav")
    assert (out / "a.wav").read_bytes() == b"mine"


def test_rows_of_several_machines_come_together(tmp_path):
    out = tmp_path / "board"
    out.mkdir()
    (out / "rows.jsonl").write_text("1\n2\n")
    with Landing(Evaluate(id="j", data="/d", out=str(out))) as landing:
        assert [path.name for path in landing.known()] == ["rows.jsonl"]
        landing.receive(Piece(f"{out}/rows.jsonl", b"1\n2\n3\n", last=True))
        landing.receive(Piece(f"{out}/rows.jsonl", b"1\n2\n4\n", last=True))
        landing.receive(Piece(f"{out}/rows.jsonl", b"1\n2\n4\n5\n", last=True))
    assert (out / "rows.jsonl").read_text() == "1\n2\n3\n4\n5\n"


def test_rows_that_come_at_once_are_all_kept(tmp_path):
    out = tmp_path / "board"
    out.mkdir()
    with Landing(Evaluate(id="j", data="/d", out=str(out))) as landing:

        def send(sender):
            for number in range(20):
                lines = "".join(f"{sender} {k}\n" for k in range(number + 1)).encode()
                half = len(lines) // 2
                landing.receive(Piece(f"{out}/rows.jsonl", lines[:half], last=False), sender)
                landing.receive(Piece(f"{out}/rows.jsonl", lines[half:], last=True), sender)

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(send, "abcd"))
    rows = (out / "rows.jsonl").read_text().splitlines()
    assert sorted(rows) == sorted(f"{sender} {k}" for sender in "abcd" for k in range(20))


def test_parts_that_begin_at_once_share_the_folder(tmp_path):
    out = tmp_path / "out"
    with Landing(separate(out)) as landing:

        def send(number):
            window = f"{out}/{UNFINISHED}k/scratch/window-{number}.f32"
            landing.receive(Piece(window, b"w", last=True), str(number))

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(send, range(8)))
        assert len(list(landing.known())) == 8
