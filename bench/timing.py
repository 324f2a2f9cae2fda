"""How the bench measures: the best of a few runs, after one that warms up."""

from __future__ import annotations

import time
from collections.abc import Callable


def best(work: Callable[[], object], *, repeats: int = 5) -> float:
    """Seconds of the fastest of `repeats` runs of `work`, which has run once before."""
    work()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def duel(
    ours: Callable[[], object], theirs: Callable[[], object], *, repeats: int
) -> tuple[float, float]:
    """`best` of two works taken in turns, so that a busy spell of the machine meets both."""
    rounds = [(best(ours, repeats=1), best(theirs, repeats=1)) for _ in range(repeats)]
    return min(a for a, _ in rounds), min(b for _, b in rounds)


def shown(seconds: float) -> str:
    """Seconds as text with three figures: '12.3 ms', '4.56 s', '1,230 s'."""
    if seconds < 1.0:
        return f"{seconds * 1e3:.3g} ms"
    return f"{seconds:.3g} s" if seconds < 1000 else f"{seconds:,.0f} s"
