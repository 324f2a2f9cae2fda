"""Children of the tests: waits that are bounded and look whether the child lives, and what is left.

Every process started while the tests run inherits a mark, by which `left_behind` finds it.
"""

import asyncio
import contextlib
import gc
import inspect
import os
import sys
import threading
import time
import traceback
from pathlib import Path

PATIENCE = 120.0  # seconds: other work may have the cores
MARK = "TEST_SESSION"  # the variable that children inherit
TRACKER = b"multiprocessing.resource_tracker"  # leaves with the tests' own process, not before


def until(true, *, child=None, seconds=PATIENCE):
    """What `true()` gives once it is true. Fails after `seconds`, or when `child` ended before."""
    end = time.monotonic() + seconds
    while not (found := true()):
        if child is not None and child.poll() is not None and not true():
            raise AssertionError(f"the child ended ({child.returncode}) before it happened")
        assert time.monotonic() < end, f"it did not happen in {seconds:g} s"
        time.sleep(0.02)
    return found


@contextlib.contextmanager
def bounded(child, seconds=PATIENCE):
    """A block that reads what `child` says: at the latest after `seconds` it is killed."""
    timer = threading.Timer(seconds, child.kill)
    timer.start()
    try:
        yield child
    finally:
        timer.cancel()
        timer.join()


@contextlib.contextmanager
def stopped(child):
    """A block at whose end `child` is killed, if it still lives, its pipes closed."""
    with child:
        try:
            yield child
        finally:
            child.kill()  # no more than a word to one that has ended


def first_line(child, seconds=PATIENCE):
    """The next line of the child's output. A child that says none in time is killed."""
    with bounded(child, seconds):
        line = child.stdout.readline()
    if not line:
        child.kill()
        raise AssertionError(f"the child ended ({child.wait()}) and said nothing")
    return line


def ended(thread, loop, seconds=60.0):
    """Wait for the end of a thread that runs `loop`. Fails after `seconds`, with all stacks."""
    thread.join(seconds)
    if not thread.is_alive():
        return
    lines = [f"the event loop did not end in {seconds:g} s"]
    for task in asyncio.all_tasks(loop):
        lines += [f"{task!r}", *traceback.format_list(_stack(task.get_coro()))]
    for number, frame in sys._current_frames().items():
        lines += [f"thread {number}", *traceback.format_stack(frame)]
    raise AssertionError("\n".join(lines))


def _stack(waits):
    """Where a coroutine waits, and what it waits for, down to the future."""
    frames = traceback.StackSummary()
    while waits is not None:
        kind = next((k for k in ("cr", "gi", "ag") if hasattr(waits, f"{k}_frame")), "")
        if not kind:  # the step of an asynchronous generator does not say whose it is
            waits = next(filter(inspect.isasyncgen, gc.get_referents(waits)), None)
            continue
        if frame := getattr(waits, f"{kind}_frame"):
            frames += traceback.extract_stack(frame, limit=1)
        waits = getattr(waits, "gi_yieldfrom" if kind == "gi" else f"{kind}_await")
    return frames


def left_behind(mark, seconds=10.0):
    """Processes with this mark that still run after `seconds`: id, and who started what."""
    end = time.monotonic() + seconds
    while (left := _marked(mark)) and time.monotonic() < end:
        time.sleep(0.05)
    return left


def _marked(mark):
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            variables = dict(
                each.split(b"=", 1)
                for each in (folder / "environ").read_bytes().split(b"\0")
                if b"=" in each
            )
            command = (folder / "cmdline").read_bytes()
        except OSError:  # another's, or gone
            continue
        ours = variables.get(MARK.encode()) == mark.encode()
        if ours and int(folder.name) != os.getpid() and TRACKER not in command:
            words = command.decode("utf-8", "replace").replace("\0", " ").strip()
            test = variables.get(b"PYTEST_CURRENT_TEST", b"?").decode("utf-8", "replace")
            found[int(folder.name)] = f"{words} (started by {test})"
    return found
