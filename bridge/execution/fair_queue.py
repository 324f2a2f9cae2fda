"""A queue that takes from its clients in turn: who asks for much keeps nobody waiting."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class FairQueue(Generic[T]):
    """Items in the order they came from each client, the clients in turn (round robin)."""

    def __init__(self) -> None:
        self._lines: OrderedDict[str, deque[T]] = OrderedDict()

    def __len__(self) -> int:
        return sum(map(len, self._lines.values()))

    def __iter__(self) -> Iterator[T]:
        for line in self._lines.values():
            yield from line

    def put(self, client: str, item: T, *, first: bool = False) -> None:
        """Add an item of a client: behind its others, or `first`, before all clients' items."""
        line = self._lines.setdefault(client, deque())
        if first:
            line.appendleft(item)
            self._lines.move_to_end(client, last=False)
        else:
            line.append(item)

    def take(self) -> T | None:
        """The next item, None when there is none; its client comes last then."""
        if not self._lines:
            return None
        client, line = self._lines.popitem(last=False)
        item = line.popleft()
        if line:
            self._lines[client] = line
        return item

    def remove(self, item: T) -> bool:
        """Take an item out of its turn; False when it is not here."""
        for client, line in self._lines.items():
            if item in line:
                line.remove(item)
                if not line:
                    del self._lines[client]
                return True
        return False

    def clear(self) -> None:
        """Drop all items."""
        self._lines.clear()
