"""A whole light process in a thread, and a client of its HTTP face, for the tests beside it."""

import asyncio
import contextlib
import hashlib
import http.client
import json
import os
import shlex
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

from bridge.app import doctor
from bridge.execution.local import LocalEngine
from bridge.http.access import token
from bridge.http.server import serve_http
from bridge.osc import requests
from bridge.service.config import Config
from bridge.service.job_server import Server
from bridge.service.ledger import Store
from tests.children import ended, first_line

ROOT = Path(__file__).parents[1]
FAKE = (sys.executable, "-S", "-E", str(ROOT / "tests" / "fake_worker.py"))


class Running:
    """Ledger, engine, OSC and HTTP on free ports, until `stop`."""

    def __init__(self, data, *, heartbeat=10.0, player=None, play_with=(), **settings):
        """`player` plays from the start, `play_with` is the command of one that is asked for."""
        settings = {"worker": FAKE, "grace": 0.5, "queue": 8, **settings}
        settings |= {"player": play_with} if play_with else {}
        self.config = Config(osc_port=0, data=data, **settings)
        self.port = self.http = 0
        self.player = player
        self._ready, self._heartbeat = threading.Event(), heartbeat
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main()))
        self._thread.start()
        assert self._ready.wait(60)
        self.token = token(self.config.token_file)

    async def _main(self):
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        with Store(self.config.ledger) as store:
            store.recover()
            engine = LocalEngine(self.config.worker, grace=self.config.grace)
            async with contextlib.AsyncExitStack() as stack:
                if self.player is not None:
                    await stack.enter_async_context(self.player)
                made = Server(self.config, store, engine, self.player)
                server = await stack.enter_async_context(made)
                osc = await stack.enter_async_context(requests.serve_osc(server))
                opened = serve_http(osc, examine=self._examine, heartbeat=self._heartbeat)
                self.http = await stack.enter_async_context(opened)
                self.port = osc.port
                self._ready.set()
                await self._stop.wait()
                await server.close()

    async def _examine(self):
        return await doctor.examine(self.config, model=self.config.model)

    def close(self):
        self.stop()

    def stop(self):
        if not self._thread.is_alive():
            return
        self._loop.call_soon_threadsafe(self._stop.set)
        ended(self._thread, self._loop)


@dataclass
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def code(self):
        """The short code of a refusal, whose sentence is one line."""
        error = self.json["error"]
        assert set(error) == {"code", "reason"}
        assert "\n" not in error["reason"]
        return error["code"]


class Http:
    """Requests with the token, one connection each."""

    def __init__(self, port, token):
        self.port, self.token = port, token

    def ask(self, method, path, body=None, **headers):
        """`headers` with _ for -; `token=None` leaves the token out; a dict is sent as JSON."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        token = sent.pop("token", self.token)
        if token is not None:
            sent.setdefault("Authorization", f"Bearer {token}")
        if isinstance(body, dict):
            body = json.dumps(body).encode()
            sent.setdefault("Content-Type", "application/json")
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port)) as line:
            line.request(method, path, body, sent)
            answer = line.getresponse()
            return Answer(answer.status, answer.headers, answer.read())

    def job(self, **fields):
        """Ask for a job; its id."""
        answer = self.ask("POST", "/v1/jobs", fields)
        assert answer.status == 202, answer.body
        return answer.json["id"]

    def events(self, job, **headers):
        """The whole stream of a job: (id, event, data) each, and the number of comments."""
        answer = self.ask("GET", f"/v1/jobs/{job}/events", **headers)
        assert answer.status == 200
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        blocks = answer.body.decode().split("\n\n")
        parted = [dict(line.split(": ", 1) for line in b.splitlines()) for b in blocks if b]
        said = [(p["id"], p["event"], json.loads(p["data"])) for p in parted if "data" in p]
        return said, len([p for p in parted if "" in p])

    def upload(self, data, **headers):
        """PUT the whole of `data`."""
        return self.ask("PUT", blob(data), data, **headers)


@contextlib.contextmanager
def serving(folder):
    """`scorewire serve` as a process; yields it and a client. It is killed at the end."""
    own = {"SCOREWIRE_OSC_PORT": "0", "SCOREWIRE_DATA": str(folder / "data")}
    own["SCOREWIRE_WORKER"] = shlex.join(FAKE)
    command = [sys.executable, "-m", "bridge.cli", "serve", "--json"]
    with subprocess.Popen(
        command, cwd=ROOT, env=os.environ | own, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        try:
            said = json.loads(first_line(process))
            yield process, Http(said["http_port"], token(folder / "data" / "token"))
        finally:
            process.kill()  # no more than a word to one that has ended


def blob(data):
    return f"/v1/blobs/sha256/{hashlib.sha256(data).hexdigest()}"
