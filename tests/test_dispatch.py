"""How many workers there are, and which have a GPU."""

import asyncio

import pytest

from bridge.cluster.dispatch import Dispatcher, Settings


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
