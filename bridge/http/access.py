"""Check Host, Origin and token of every request and websocket: a plain ASGI wrapper.

A browser runs pages of strangers, and they can reach this port. Three things keep them out. `Host`
must be an address or a name of this machine, so no name that is made to point here (DNS rebinding)
works. `Origin` must be absent or our own. And whatever costs time or touches files wants the token,
which a page cannot know. Middleware for HTTP alone would leave websockets open.

The panel's page has a cookie in the token's place. A browser sends it along whoever asks, another
port of this machine included, so it counts only where the browser says that our own page asks: by
`Origin` for what changes something and for websockets, by `Sec-Fetch-Site` where that comes.
"""

from __future__ import annotations

import hmac
import ipaddress
import os
import secrets
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.types import ASGIApp, Receive, Scope, Send

from bridge.http import sessions
from bridge.http.responses import Problem
from presets.moves import private_folder

TRUSTED = "scorewire.trusted"  # in the ASGI scope: the request came with the token
FAR = "scorewire.far"  # in the ASGI scope: it came from another machine
OPEN = "/v1/ping"
CLOSED = "/v1/"
MIN_TOKEN = 20  # letters
_FORWARDED = ("forwarded", "x-forwarded-for")


class AccessCheck:
    """Lets in what has the right Host, Origin and token; answers 401 or 403 to the rest."""

    def __init__(self, app: ASGIApp, *, token: str, names: tuple[str, ...] = ()) -> None:
        self._app = app
        self._token = token.encode()
        self._names = {"localhost", *(name.lower() for name in names)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request or websocket (ASGI)."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        try:
            self._check(scope)
        except Problem as wrong:
            if scope["type"] == "websocket":  # closed before it is accepted: HTTP 403
                await send({"type": "websocket.close", "code": 1008, "reason": wrong.reason[:120]})
            else:
                await wrong.response()(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _check(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        hosts = headers.getlist("host")
        if len(hosts) != 1 or not self._is_known_host(hosts[0]):
            got = ", ".join(hosts)[:80]
            raise Problem(
                403, "bad-host", f"Host must be this machine, got {got!r}; see http_names"
            )
        for origin in headers.getlist("origin"):
            if not _same_host(origin, hosts[0]):
                reason = f"pages from elsewhere may not ask, and this is from {origin[:80]!r}"
                raise Problem(403, "bad-origin", reason)
        client = scope.get("client") or ("", 0)
        scope[FAR] = not is_loopback(client[0]) or any(name in headers for name in _FORWARDED)
        scope[TRUSTED] = self._has_token(headers) or self._has_session(scope, headers)
        path: str = scope["path"]
        if path.startswith(CLOSED) and path != OPEN and not scope[TRUSTED]:
            reason = "this needs `Authorization: Bearer TOKEN`; `scorewire token` says which"
            raise Problem(401, "no-token", reason, {"WWW-Authenticate": "Bearer"})

    def _is_known_host(self, host: str) -> bool:
        """An IP address cannot be made to point elsewhere; a name must be known."""
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        with suppress(ValueError):
            ipaddress.ip_address(name)
            return True
        return name in self._names

    def _has_token(self, headers: Headers) -> bool:
        """Whether the token came; a wrong one is never taken for none."""
        given = headers.getlist("authorization")
        if not given:
            return False
        scheme, _, token = given[0].partition(" ")
        right = hmac.compare_digest(token.strip().encode(), self._token)
        if len(given) > 1 or scheme.lower() != "bearer" or not right:
            reason = "the token is not this server's; `scorewire token` says which"
            raise Problem(401, "bad-token", reason, {"WWW-Authenticate": "Bearer"})
        return True

    def _has_session(self, scope: Scope, headers: Headers) -> bool:
        """Whether our own page asks, and its cookie is one that the token's owner was given."""
        safe = scope["type"] == "http" and scope["method"] in ("GET", "HEAD")
        if not (safe or headers.get("origin")):  # an origin that is not ours was refused before
            return False
        if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            return False
        cookies = cookie_parser("; ".join(headers.getlist("cookie")))
        return sessions.is_good(self._token, cookies.get(sessions.cookie_name(scope), ""))


def _same_host(origin: str, host: str) -> bool:
    try:
        return urlsplit(origin).netloc.lower() == host.lower()
    except ValueError:  # such as `http://[`
        return False


def is_loopback(host: str) -> bool:
    """Whether an address is this machine's own, IPv4 within IPv6 included."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


def token(path: Path) -> str:
    """The token in the file at `path`, made (for its owner's eyes only) when there is none.

    Raises `ValueError` when others may read it or it is too short, `OSError` without a folder.
    """
    if not path.exists():
        private_folder(path.parent)
        fresh = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        with os.fdopen(os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
            file.write(secrets.token_hex(32) + "\n")  # never begins with "-", as an option does
        try:
            os.link(fresh, path)
        except FileExistsError:  # another process was first
            fresh.unlink()
        except OSError:  # a file system without hard links
            fresh.replace(path)
        else:
            fresh.unlink()
    if os.name == "posix" and path.stat().st_mode & 0o077:
        mode = path.stat().st_mode & 0o777
        reason = f"the token file {path} must be its owner's alone (600), it is {mode:o}"
        raise ValueError(f"{reason}: chmod it, or set `token` to another place")
    text = path.read_text(encoding="utf-8").strip()
    if len(text) < MIN_TOKEN or not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError(f"the token in {path} must be one word of at least {MIN_TOKEN} letters")
    return text
