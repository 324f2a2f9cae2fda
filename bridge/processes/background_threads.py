"""Work that blocks, beside the event loop, in threads that a process does not wait for at its end.

`asyncio.to_thread` is waited for: a DAW that did not answer, or a library that another process
held, kept a server from leaving for minutes. Standard library only.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


async def beside(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """What `work` returns or raises, called in a thread of its own.

    Cancelled, it leaves the thread to itself; the end of the process ends it wherever it is, so
    `work` must leave files whole at any time.
    """
    outcome: Future[T] = Future()

    def run() -> None:
        if not outcome.set_running_or_notify_cancel():
            return
        try:
            outcome.set_result(work(*args, **kwargs))
        except BaseException as error:  # noqa: BLE001 (passed on to who waits)
            outcome.set_exception(error)

    Thread(target=run, daemon=True, name=getattr(work, "__name__", "beside")).start()
    return await asyncio.wrap_future(outcome)
