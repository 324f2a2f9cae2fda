"""What every answer is made of: JSON, and one shape for whatever went wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic_core import to_json
from starlette.responses import Response


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
    return answer({"error": {"code": code, "reason": reason}}, status, headers)
