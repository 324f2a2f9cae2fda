"""Children of the tests: waits that are bounded and look whether the child lives, and what is left.

Every process started while the tests run inherits a mark, by which `left_behind` finds it.
"""

import contextlib
import os
import threading
import time
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
