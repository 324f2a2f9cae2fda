"""What the knobs of a preset are, and how it sounds right now, over HTTP."""

from __future__ import annotations

from dataclasses import asdict

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import Response

from bridge.http.jobs import read_fields
from bridge.http.responses import Problem, answer
from bridge.http.state import HttpState
from bridge.protocol.jobs import sentence
from bridge.protocol.patch_requests import Knobs, Sound
from presets import ranges


async def preview(request: Request) -> Response:
    """Render a preset, not beside the jobs that wait, and keep nothing of it."""
    web: HttpState = request.app.state.web
    try:
        asked = Sound.model_validate(await read_fields(request))
        sound = await web.server.previews.sound(asked)
    except ValidationError as error:
        raise Problem(422, "bad-arguments", sentence(error)) from error
    except ValueError as error:
        raise Problem(422, "bad-input", str(error)) from error
    return Response(sound, media_type="audio/wav", headers={"Cache-Control": "no-store"})


async def knobs(request: Request) -> Response:
    """The range, unit and scale of every value of a preset, and the settings of all effects."""
    try:
        asked = Knobs.model_validate(await read_fields(request))
        params = ranges.check_values(asked.preset)
    except ValidationError as error:
        raise Problem(422, "bad-arguments", sentence(error)) from error
    except ValueError as error:
        raise Problem(422, "bad-input", str(error)) from error
    effects = {kind: [asdict(param) for param in table] for kind, table in ranges.EFFECTS.items()}
    return answer({"params": [asdict(param) for param in params], "effects": effects})
