"""Say over HTTP how this server is: processes and their memory, models, player, doctor, log."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import time
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from bridge.files import names
from bridge.http.responses import Problem, answer
from bridge.http.state import HttpState
from bridge.processes.background_threads import beside
from bridge.protocol.base import SHIPPED_MODELS


async def health(request: Request) -> Response:
    """What can be said at once; `doctor` tries more, and takes longer."""
    web: HttpState = request.app.state.web
    server = web.server
    told: dict[str, Any] = {
        "version": importlib.metadata.version("scorewire"),
        "state": "busy" if server.busy else "idle",
        "seconds": time.time() - web.began,
        "data": names.homely(server.config.data),
        "model": server.config.model,
        "models": await beside(_models),
        "processes": await beside(processes),
        "cluster": None if (cluster := server.cluster) is None else cluster.model_dump(),
        "player": None if server.player is None else server.player.describe(),
    }
    return answer(told)


async def report(request: Request) -> Response:
    """The newest report of the examination, and whether one runs."""
    web: HttpState = request.app.state.web
    return answer(web.examination.describe())


async def examine(request: Request) -> Response:
    """Begin an examination, where none runs."""
    web: HttpState = request.app.state.web
    web.examination.start()
    return answer(web.examination.describe(), 202)


async def log(request: Request) -> Response:
    """The newest lines of the log, behind line `after`."""
    web: HttpState = request.app.state.web
    text = request.query_params.get("after", "0")
    if not (text.isdecimal() and len(text) < 10):
        raise Problem(400, "bad-arguments", f"after must be a whole number, got {text[:40]!r}")
    return answer({"lines": web.log_tail.since(int(text))})


def processes() -> list[dict[str, Any]]:
    """This process and those that it started, with the bytes of memory that each has now.

    Empty where there is no /proc to say it.
    """
    parents: dict[int, tuple[int, str, int]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            command = (folder / "cmdline").read_bytes().decode("utf-8", "replace").split("\0")
        except OSError:  # it has ended meanwhile, or is none of ours
            continue
        ours = [word.rpartition(".")[2] for word in command if word.startswith("bridge.")]
        others = [Path(word).name for word in command[1:] if word and not word.startswith("-")]
        name = [*others[:1], *ours][-1] if others else Path(command[0]).name
        parents[int(folder.name)] = int(fields[1]), name, int(fields[21])
    own = os.getpid()
    page = os.sysconf("SC_PAGE_SIZE") if parents else 1
    return [
        {"pid": pid, "name": "server" if pid == own else name, "bytes": pages * page}
        for pid, (parent, name, pages) in sorted(parents.items())
        if own in (pid, parent)
    ]


def _models() -> list[dict[str, Any]]:
    """The models that come with Scorewire, with their bytes on disk."""
    package = importlib.util.find_spec("sds")
    if package is None or package.origin is None:
        return []
    weights = Path(package.origin).parent / "weights"
    return [
        {"name": name, "bytes": sum(file.stat().st_size for file in (weights / name).iterdir())}
        for name in SHIPPED_MODELS
    ]
