"""Serve the panel's static files under a strict policy, and let its page in by a one-time link."""

from __future__ import annotations

import secrets
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.staticfiles import StaticFiles

from bridge.http import sessions
from bridge.http.responses import answer
from bridge.http.state import HttpState

PLACE = "/panel/"
FOLDER = Path(__file__).parents[1] / "web" / "panel"
TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
NONCE = "{{nonce}}"  # in index.html: what the styles that wavesurfer makes itself carry
_files = StaticFiles(directory=FOLDER)


def policy(nonce: str) -> dict[str, str]:
    """The headers of the page: nothing from another host, no script or style but its own files."""
    rules = {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": f"'self' 'nonce-{nonce}'" if nonce else "'self'",
        "img-src": "'self' data: blob:",
        "media-src": "'self' blob:",
        "connect-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    return {
        "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in rules.items()),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Cache-Control": "no-cache",
    }


async def redirect(request: Request) -> Response:
    """The page lies in a folder of its own."""
    return RedirectResponse(PLACE, 308)


async def page(request: Request) -> Response:
    """The one page."""
    nonce = secrets.token_urlsafe(16)
    text = (FOLDER / "index.html").read_text(encoding="utf-8").replace(NONCE, nonce)
    headers = policy(nonce) | {"Cache-Control": "no-store"}
    return Response(text, 200, headers, TYPES[".html"])


async def static(request: Request) -> Response:
    """A file of the panel, with what the browser may do with it."""
    name = request.path_params["file"]
    kind = TYPES.get(Path(name).suffix, "text/plain; charset=utf-8")
    response = await _files.get_response(name, request.scope)
    response.headers.update(policy("") | {"Content-Type": kind})
    return response


async def enter(request: Request) -> Response:
    """Use up the code of a link: the answer sets the cookie and leads on to the page.

    The address with the code is not the page's, so it stays in no address bar; used, it is worth
    nothing. A program that only looks at links (HEAD) does not use it up.
    """
    if request.method != "GET":
        raise HTTPException(405, headers={"Allow": "GET"})
    web: HttpState = request.app.state.web
    response = RedirectResponse(PLACE, 303, policy("") | {"Cache-Control": "no-store"})
    if web.codes.redeem(request.query_params.get("code", "")):
        _let_in(request, response)
    else:
        response.headers["Location"] = f"{PLACE}#/used"
    return response


async def link(request: Request) -> Response:
    """A link that lets one browser in, once and soon: for who has the token."""
    web: HttpState = request.app.state.web
    code = web.codes.issue()
    host = request.headers["host"]
    url = f"http://{host}{PLACE}enter?code={code}"
    told = {"url": url, "seconds": sessions.CODE_SECONDS}
    return answer(told, 201, {"Cache-Control": "no-store"})


async def open_session(request: Request) -> Response:
    """Let this browser in: its request came with the token, which its page forgets after."""
    response = Response(status_code=204)
    _let_in(request, response)
    return response


async def close_session(request: Request) -> Response:
    """Forget this browser's cookie."""
    response = Response(status_code=204)
    response.delete_cookie(sessions.cookie_name(request.scope), path="/")
    return response


def _let_in(request: Request, response: Response) -> None:
    web: HttpState = request.app.state.web
    response.set_cookie(
        sessions.cookie_name(request.scope),
        sessions.new_session(web.token),
        max_age=sessions.MAX_AGE,
        path="/",
        httponly=True,
        samesite="strict",
    )
