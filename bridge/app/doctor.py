"""Check what a first job needs, and say what is missing and how to get it: `scorewire doctor`.

Light here; the kernel and the model are tried in a worker process, by a `Probe` job.
"""

from __future__ import annotations

import asyncio
import logging
import platform
import sys
import tempfile
import time
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

from pydantic import ValidationError

from bridge.app.engines import engine_of
from bridge.execution.child_process import Child
from bridge.execution.local import LocalEngine
from bridge.execution.ray import RayEngine
from bridge.files.names import homely
from bridge.osc import requests
from bridge.player import protocol
from bridge.protocol import osc_wire
from bridge.protocol.cluster_lines import Cluster
from bridge.protocol.events import Done, Failed
from bridge.protocol.jobs import Check, Probe, check, new_id
from bridge.service.config import Config
from bridge.service.job_server import Server
from bridge.service.ledger import Store
from presets.moves import private_folder

log = logging.getLogger(__name__)

WORKER_PACKAGES = (
    "numpy",
    "numba",
    "pedalboard",
    "safetensors",
    "scipy",
    "soundfile",
    "stable_audio_tools",
    "torch",
)
INSTALL = "run `make install` in your clone of Scorewire"
OSC_PATIENCE = 2.0  # seconds
CLUSTER_PATIENCE = 60.0  # Ray takes ten seconds to connect, thirty on a busy machine
PLAYER_PATIENCE = 180.0  # its first start compiles, over 60 s on two busy cores


def missing_packages() -> str:
    """A sentence when the worker's packages are not all installed, else ""."""
    missing = [name for name in WORKER_PACKAGES if find_spec(name) is None]
    if not missing:
        return ""
    return f"the worker needs {', '.join(missing)}, not installed here: {INSTALL}"


async def examine(config: Config, *, model: str) -> dict[str, Any]:
    """Every check, in the order a first job would meet them; `ok` when all are."""
    checks = [_python(), _packages(), _data(config), await _round_trip(config)]
    if config.engine == "ray":
        checks.append(await _cluster(config))
    if checks[1]["ok"]:
        checks += [await _player(config), *await _probe(config, model)]
    return {
        "ok": all(check["ok"] or check["optional"] for check in checks),
        "version": metadata.version("scorewire"),
        "checks": checks,
    }


def _python() -> Check:
    ok = sys.version_info >= (3, 11)
    return check("python", ok, platform.python_version(), "install Python 3.11 or newer")


def _packages() -> Check:
    missing = missing_packages()
    return check("packages", not missing, missing or "all of the worker's are here", INSTALL)


def _data(config: Config) -> Check:
    """Write and delete a file where the ledger lives."""
    try:
        private_folder(config.data)
        with tempfile.NamedTemporaryFile(dir=config.data):
            pass
    except OSError as error:
        fix = "set `data` in the configuration, or SCOREWIRE_DATA, to a folder you may write"
        return check("data", False, f"{config.data}: {error.strerror}", fix)
    return check("data", True, homely(config.data))


async def _round_trip(config: Config) -> Check:
    """A server on a free port, a ping to it through a real socket, and its pong."""
    fix = "let this program use UDP on 127.0.0.1 (a firewall or sandbox forbids it)"
    engine = LocalEngine(config.worker)
    alone = Config(osc_host=config.osc_host, osc_port=0, worker=config.worker)
    try:
        with tempfile.TemporaryDirectory() as folder, Store(Path(folder) / "jobs.sqlite") as store:
            async with (
                engine,
                Server(alone, store, engine) as server,
                requests.serve_osc(server) as endpoint,
            ):
                port = endpoint.port
                started = time.monotonic()
                async with asyncio.timeout(OSC_PATIENCE):
                    answer = await _ask(config.osc_host, port, "/scorewire/ping", 1)
                spent = 1000 * (time.monotonic() - started)
    except TimeoutError:
        return check("osc", False, f"no answer to /scorewire/ping in {OSC_PATIENCE:g} s", fix)
    except OSError as error:
        return check("osc", False, f"no UDP socket on {config.osc_host}: {error.strerror}", fix)
    ok = answer.address == "/scorewire/pong" and answer.args[:1] == (1,)
    return check("osc", ok, f"{answer.address} after {spent:.1f} ms on port {port}", fix)


async def _ask(host: str, port: int, address: str, req: int) -> osc_wire.Message:
    """Send one request from a socket of our own and wait for one answer."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[bytes] = loop.create_future()

    class Once(asyncio.DatagramProtocol):
        def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
            if not answer.done():
                answer.set_result(data)

    transport, _ = await loop.create_datagram_endpoint(Once, remote_addr=(host, port))
    try:
        transport.sendto(osc_wire.encode(address, [req]))
        return osc_wire.decode(await answer)[0]
    finally:
        transport.close()


async def _cluster(config: Config) -> Check:
    """Connect to the Ray cluster, and count its machines."""
    where = config.cluster or "this machine"
    fix = "start one (`ray start --head`), and name it with --address: docs/cluster.md"
    try:
        engine = engine_of(config)
    except ValueError as error:
        return check("cluster", False, str(error), "run `make install`")
    async with engine:
        try:
            async with asyncio.timeout(CLUSTER_PATIENCE):
                while (cluster := cast(RayEngine, engine).cluster) is None:
                    await asyncio.sleep(0.1)
        except TimeoutError:
            text = f"no Ray cluster at {where} answered in {CLUSTER_PATIENCE:g} s"
            return check("cluster", False, text, fix)
    return check("cluster", not cluster.problem, cluster.problem or _machines(cluster), fix)


def _machines(cluster: Cluster) -> str:
    return f"{cluster.machines} machine{'s' if cluster.machines != 1 else ''} in the Ray cluster"


async def _player(config: Config) -> Check:
    """Start a player and check its sound device; without one all but playing works."""
    try:
        player = await Child.start(config.player)
    except OSError as error:
        return check("player", False, f"it cannot be started: {error}", INSTALL)
    try:
        async with asyncio.timeout(PLAYER_PATIENCE):
            line = await player.lines.get()
            if line is None:
                words = f": {player.tail[-1][:200]}" if player.tail else ""
                return check("player", False, f"it ended ({player.ending}){words}", INSTALL)
            first = protocol.happening_adapter.validate_json(line)
    except TimeoutError:
        late = f"it did not start within {PLAYER_PATIENCE:g} s; its first start compiles"
        return check("player", False, late, "ask again when the machine is less busy")
    except ValidationError:
        return check("player", False, f"it began with {line!r:.80}, not with a device", INSTALL)
    finally:
        await player.close(OSC_PATIENCE)
    if isinstance(first, protocol.Ready):
        text = f"{first.output} ({first.name}), {first.rate} Hz, {first.frames} frames a block"
        return check("player", True, text)
    why = first.reason if isinstance(first, protocol.Gone) else first.kind
    text = f"no sound device, so patches are not played live: {why}"
    fix = "start a JACK server (apt install jackd2), or plug in a sound card"
    return check("player", False, text, fix, optional=True)


async def _probe(config: Config, model: str) -> list[Check]:
    """Ask a worker whether its kernel, model and evaluation scorer work."""
    job = Probe(id=new_id(), model=model)
    async with LocalEngine(config.worker, grace=config.grace, stall=config.stall) as engine:
        async for event in engine.submit(job):
            match event:
                case Done():
                    return list(event.result["checks"])
                case Failed():
                    return [check("worker", False, event.reason, f"{INSTALL}, then ask again")]
    return [check("worker", False, "the worker ended without an answer", INSTALL)]
