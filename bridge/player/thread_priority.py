"""Run every thread of the player in real time, where the system allows it.

A thread that holds Python's lock while another program has its core makes the audio thread wait:
beside five busy processes each note from a line cost a late block, and none with this.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Iterator

log = logging.getLogger(__name__)

LEVEL = 1  # of real time, the lowest: JACK's threads are above it


def raise_priority() -> None:
    """Run this thread, and all that it starts, in real time; where that is refused, as before."""
    if sys.platform == "linux":
        try:
            os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(LEVEL))
        except PermissionError:
            log.info("real-time priority is not allowed (ulimit -r): notes may come late")


@contextlib.contextmanager
def ordinary() -> Iterator[None]:
    """A child that is started in here does not run in real time."""
    if sys.platform != "linux" or os.sched_getscheduler(0) == os.SCHED_OTHER:
        yield
        return
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    try:
        yield
    finally:
        raise_priority()
