"""Keep what a search found, and play what the library holds, over HTTP."""

from __future__ import annotations

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import Response

from bridge.http.jobs import read_fields
from bridge.http.responses import Problem, answer
from bridge.http.state import HttpState
from bridge.protocol.jobs import sentence
from bridge.protocol.patch_requests import Keep, Play
from bridge.service import choosing
from presets.library import Library


async def keep(request: Request) -> Response:
    """Keep a patch of a search, by its number."""
    web: HttpState = request.app.state.web
    try:
        asked = Keep.model_validate(await read_fields(request))
        kept = choosing.keep(web.server.store, Library(web.server.config.library), asked)
    except ValidationError as error:
        raise Problem(422, "bad-arguments", sentence(error)) from error
    except ValueError as error:
        raise Problem(422, "bad-input", str(error)) from error
    told = {"number": asked.number, "name": kept.name, "preset": str(kept.path)}
    return answer(told | {"tags": kept.tags})


async def play(request: Request) -> Response:
    """Put presets of the library into slots, and start the player where none is."""
    web: HttpState = request.app.state.web
    started = web.server.player is None
    try:
        asked = Play.model_validate(await read_fields(request))
        slots = await web.server.put_in_slots(asked.presets)
    except ValidationError as error:
        raise Problem(422, "bad-arguments", sentence(error)) from error
    except ValueError as error:
        raise Problem(422, "bad-input", str(error)) from error
    files = {number: path.name for number, path in slots.items()}
    return answer({"slots": files, "started": started})
