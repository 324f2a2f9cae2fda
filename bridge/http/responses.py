"""Make JSON answers, one shape for all errors, and read bodies."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any

from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import Response

SILENCE = 60.0  # seconds that a body may pause
LEAST_RATE = 1024.0  # bytes a second, on the average and after the first `SILENCE` seconds


class Problem(Exception):
    """A request that cannot be done: HTTP status, a stable short code, one sentence."""

    def __init__(
        self, status: int, code: str, reason: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(reason)
        self.status, self.code, self.reason, self.headers = status, code, reason, headers

    def response(self) -> Response:
        """The answer that says so."""
        return problem(self.status, self.code, self.reason, self.headers)


def answer(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """`value` as JSON; what JSON cannot say (a null depth of minus infinity) is null."""
    body = to_json(value, inf_nan_mode="null")
    return Response(body, status, headers, "application/json")


def problem(
    status: int, code: str, reason: str, headers: Mapping[str, str] | None = None
) -> Response:
    """{"error": {"code", "reason"}}."""
    text = reason.encode("utf-8", "replace").decode()  # JSON escapes can name half a letter
    return answer({"error": {"code": code, "reason": text}}, status, headers)


async def body(request: Request) -> AsyncIterator[bytes]:
    """Read the body of a request, piece by piece.

    Raises `Problem` when nothing comes for long, or little for longer: a client that has gone
    without a word, or says one now and then, must not keep a connection, and the room for its
    upload, for ever. Only the time that it is waited for counts.
    """
    stream = request.stream()
    waited, size = 0.0, 0
    while True:
        began = time.monotonic()
        try:
            async with asyncio.timeout(SILENCE):
                chunk = await anext(stream)
        except StopAsyncIteration:
            return
        except TimeoutError as error:
            reason = f"nothing of the body came for {SILENCE:g} seconds"
            raise Problem(408, "too-slow", reason) from error
        waited += time.monotonic() - began
        size += len(chunk)
        if size < LEAST_RATE * (waited - SILENCE):
            reason = f"the body came slower than {LEAST_RATE:g} bytes a second"
            raise Problem(408, "too-slow", reason)
        yield chunk
