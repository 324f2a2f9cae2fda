"""Child processes that leave when the process which started them has died, also while they import.

    python -m bridge.processes.parent_watch bridge.worker

runs a module as `python -m` does, and begins to watch before the module is imported: a worker
imports for half a minute on a busy machine, and until its end it would hear of nobody's death.
Standard library only.
"""

from __future__ import annotations

import os
import runpy
import select
import sys
import threading
from collections.abc import Callable

LOOK = 0.5  # seconds between two looks at the parent's id; a closed pipe is seen at once
GRACE = 8.0  # seconds for a process that was told to leave

_ENDED = select.POLLERR | select.POLLHUP if hasattr(select, "poll") else 0
_told: list[Callable[[], object]] = []  # what is called when the parent has died


def command(module: str, *arguments: str) -> tuple[str, ...]:
    """The command that runs `module` of ours as a child of this process."""
    from presets.python_child import python_child  # here alone: a child must not load pydantic

    return python_child("bridge.processes.parent_watch", module, *arguments)


def on_death(leave: Callable[[], object]) -> None:
    """Call `leave` when the parent has died, in place of an end at once.

    It is called in a thread of its own; the process ends `GRACE` seconds later at the latest.
    """
    _told.append(leave)


def watch() -> None:
    """Begin to watch, in a thread: who reads this process's stdout, and whose child it is."""
    if not _watching.acquire(blocking=False):
        return  # one thread is enough, for the life of the process
    arguments = (os.dup(1), os.getppid())  # a child puts other things in the place of stdout
    threading.Thread(target=_watch, args=arguments, daemon=True, name="watch").start()


_watching = threading.Lock()


def _watch(stdout: int, parent: int) -> None:
    reader = select.poll() if _ENDED else None
    if reader is not None:
        reader.register(stdout, 0)  # errors are told without being asked for
    ended = threading.Event()
    while os.getppid() == parent:
        if reader is None:
            ended.wait(LOOK)
        elif any(event & _ENDED for _, event in reader.poll(1000 * LOOK)):
            break
    for leave in _told:
        leave()
    if _told:
        ended.wait(GRACE)
    os._exit(0)


def main() -> None:
    """Run the module that the first argument names, with the others."""
    from bridge.processes import (
        parent_watch,  # not this copy, which is called __main__: the module asks that one
    )

    parent_watch.watch()
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
