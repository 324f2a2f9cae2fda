"""Name a process so that no other ever has the name: id, start time and boot."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

PROC = Path("/proc")
GONE = "ZX"  # states of a process that has ended and was not yet waited for


@lru_cache(maxsize=1)
def own_name() -> str:
    """The name of this process; "" on a system without /proc."""
    return name_of(os.getpid())


def lives(name: str) -> bool:
    """Whether the process of this name is still there; False when nobody can tell."""
    pid = name.partition(" ")[0]
    return pid.isdigit() and name_of(int(pid)) == name


def name_of(pid: int) -> str:
    """Process id, start time and boot of a living process; "" when there is none (or no /proc).

    Process ids come again; with the clock tick of the start, and the boot, they do not.
    """
    try:
        stat = (PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
        boot = (PROC / "sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
    except OSError:
        return ""
    fields = stat.rpartition(")")[2].split()  # the name before it may hold spaces; see proc(5)
    return "" if fields[0] in GONE else f"{pid} {fields[19]} {boot}"
