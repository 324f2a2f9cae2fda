"""How many workers there are, which have a GPU, and what they read."""

import asyncio
from pathlib import Path

import pytest

from bridge.cluster.dispatch import Dispatcher, Settings, _inputs
from bridge.protocol.jobs import Evaluate
from bridge.protocol.multitrack_jobs import Accompany


@pytest.fixture
def begun(monkeypatch):
    """Whether each worker that was begun has a GPU."""
    seen = []

    async def serve(self, number, *, gpu):
        assert number == len(seen)
        seen.append(gpu)

    monkeypatch.setattr(Dispatcher, "_serve", serve)
    return seen


@pytest.mark.parametrize(
    ("workers", "machines", "wanted"),
    [
        (0, [(0, 1)], [False]),
        (0, [(0, 1), (1, 1), (1, 1)], [False, True]),  # a machine with a GPU comes later
        (0, [(4, 2)], [True] * 4 + [False] * 2),
        (0, [(1, 0), (0, 0), (1, 0)], [True]),  # it goes, and comes again: Ray restarts its worker
        (3, [(1, 5)], [True, False, False]),
        (2, [(4, 0)], [True, True]),
        (2, [(0, 1), (0, 4)], [False, False]),
    ],
)
def test_workers_are_as_many_as_there_is_room_for(begun, workers, machines, wanted):
    async def story():
        dispatcher = Dispatcher(Settings(workers=workers), print)
        for gpus, others in machines:
            dispatcher._have_workers(gpus, others)
            await asyncio.sleep(0)

    asyncio.run(story())
    assert begun == wanted


def test_a_file_that_is_two_inputs_travels_once(tmp_path):
    given = {"bass": "/s/b.wav", "piano": "/s/p.wav"}
    job = Accompany(id="a", given=given, add=("drums",), like="/s/b.wav", out="/s/o")
    assert _inputs(job) == [Path("/s/b.wav"), Path("/s/p.wav")]
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.flac").write_bytes(b"x")
    assert _inputs(Evaluate(id="e", data=str(tmp_path), out="/o")) == [tmp_path / "sub" / "a.flac"]
