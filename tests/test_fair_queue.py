"""Whose turn it is."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from bridge.execution.fair_queue import FairQueue


def drained(queue):
    return [queue.take() for _ in range(len(queue))]


def test_clients_have_their_turns():
    queue = FairQueue()
    for item in ("a1", "a2", "a3", "b1", "c1", "c2"):
        queue.put(item[0], item)
    assert list(queue) == ["a1", "a2", "a3", "b1", "c1", "c2"]
    assert drained(queue) == ["a1", "b1", "c1", "a2", "c2", "a3"]
    assert queue.take() is None


def test_who_comes_late_is_not_last():
    queue = FairQueue()
    for number in range(100):
        queue.put("a", number)
    assert queue.take() == 0
    queue.put("b", "late")
    assert [queue.take(), queue.take()] == [1, "late"]


def test_what_comes_back_is_first():
    queue = FairQueue()
    for item in ("a1", "b1", "b2"):
        queue.put(item[0], item)
    first = queue.take()
    queue.put("a", first, first=True)
    assert drained(queue) == ["a1", "b1", "b2"]


def test_an_item_is_taken_out_of_its_turn():
    queue = FairQueue()
    for item in ("a1", "b1", "b2"):
        queue.put(item[0], item)
    assert queue.remove("b1")
    assert queue.remove("a1")
    assert not queue.remove("a1")
    assert drained(queue) == ["b2"]
    queue.put("a", "a2")
    queue.clear()
    assert len(queue) == 0


@given(st.lists(st.sampled_from("abc"), max_size=30))
def test_each_item_comes_once_and_no_client_waits_for_more_than_a_round(clients):
    queue = FairQueue()
    for number, client in enumerate(clients):
        queue.put(client, (client, number))
    out = drained(queue)
    assert sorted(out) == sorted((client, number) for number, client in enumerate(clients))
    for client in set(clients):
        own = [item for item in out if item[0] == client]
        assert own == sorted(own)
        places = [place for place, item in enumerate(out) if item[0] == client]
        gaps = [after - before for before, after in itertools.pairwise(places)]
        assert max([places[0] + 1, *gaps]) <= len(set(clients))
