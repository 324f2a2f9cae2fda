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


def shown(seconds: float) -> str:
    """Seconds as text with three figures: '12.3 ms', '4.56 s', '1,230 s'."""
    if seconds < 1.0:
        return f"{seconds * 1e3:.3g} ms"
    return f"{seconds:.3g} s" if seconds < 1000 else f"{seconds:,.0f} s"
