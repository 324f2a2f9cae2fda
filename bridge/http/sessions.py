"""Let a browser in: one-time codes of links, and the cookie that stands for the token."""

from __future__ import annotations

import hmac
import secrets
import time

from starlette.types import Scope

CODE_SECONDS = 120.0  # in which a link can be used, once
MAX_CODES = 16  # links not used yet
MAX_AGE = 30 * 86_400  # seconds that a browser is let in


class LoginCodes:
    """The codes of links that were not used yet: random, each for one use and a short time."""

    def __init__(self) -> None:
        self._until: dict[str, float] = {}

    def issue(self) -> str:
        """A new code; the oldest goes when there are too many."""
        code = secrets.token_urlsafe(24)
        self._until[code] = time.monotonic() + CODE_SECONDS
        while len(self._until) > MAX_CODES:
            del self._until[next(iter(self._until))]
        return code

    def redeem(self, code: str) -> bool:
        """Whether the code is good; it is not after."""
        return self._until.pop(code, 0.0) > time.monotonic()


def cookie_name(scope: Scope) -> str:
    """The name of the panel's cookie: a browser does not keep those of two ports apart."""
    _, port = scope.get("server") or ("", 0)
    return f"scorewire-{port}"


def new_session(token: bytes) -> str:
    """The cookie of a browser that is let in now."""
    return _signed(token, int(time.time()) + MAX_AGE)


def is_good(token: bytes, session: str) -> bool:
    """Whether a cookie was made from this token, and its time has not passed."""
    until = session.partition(".")[0]
    if not (until.isascii() and until.isdecimal() and len(until) < 12):
        return False
    right = hmac.compare_digest(session.encode(), _signed(token, int(until)).encode())
    return right and int(until) > time.time()


def _signed(token: bytes, until: int) -> str:
    """A cookie good until that second since 1970: it outlives the server, but not the token."""
    return f"{until}.{hmac.new(token, b'panel until %d' % until, 'sha256').hexdigest()}"
