"""Find the server that runs for a data folder, and ask it over HTTP.

`server.json` in the folder names its process (`bridge.processes.process_identity`), host and
ports. It goes when the server ends; what a killed one leaves is known by its process, which lives
no more.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

from bridge.hosts.files import whole
from bridge.processes import process_identity
from presets.reading import read_json

FILE = "server.json"
PATIENCE = 10.0  # seconds for an answer
SILENCE = 30.0  # seconds of an event stream, which says something every ten
MAX_ANSWER = 16 << 20  # bytes of one
ANY = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104, where a server of all addresses is asked


class Refusal(ValueError):
    """The server has answered that it does not do it: a stable short `code` and a sentence."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code


@dataclass(frozen=True, slots=True)
class RunningServer:
    """A server: the name of its process, the address of its HTTP face, the ports of both faces."""

    owner: str
    host: str
    http: int
    osc: int

    @property
    def lives(self) -> bool:
        """Whether its process is still there."""
        return process_identity.lives(self.owner)

    def ask(
        self,
        method: str,
        path: str,
        token: str,
        fields: dict[str, Any] | None = None,
        *,
        key: str = "",
    ) -> dict[str, Any]:
        """The answer to a request, under an Idempotency-Key where one is given.

        Raises `Refusal`, `ValueError` for an answer that is none of ours, `OSError` for none.
        """
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        if key:
            headers["Idempotency-Key"] = key
        with self._connection(PATIENCE) as connection:
            connection.request(method, path, json.dumps(fields), headers)
            answer = connection.getresponse()
            body = answer.read(MAX_ANSWER + 1)
        reply: dict[str, Any] = read_json(body, MAX_ANSWER, name=f"the answer of port {self.http}")
        if answer.status >= 400:
            raise Refusal(str(reply["error"]["code"]), str(reply["error"]["reason"]))
        return reply

    def events(self, path: str, token: str, after: str = "") -> Iterator[tuple[str, Any]]:
        """The events of a stream behind the one with the id `after`: id and fields of each.

        Raises as `ask` when the stream breaks off; it may be asked for again.
        """
        headers = {"Authorization": f"Bearer {token}", "Last-Event-ID": after}
        with self._connection(SILENCE) as connection:
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            number = ""
            while line := answer.readline(MAX_ANSWER):
                name, _, text = line.decode().rstrip("\r\n").partition(": ")
                if name == "id":
                    number = text
                elif name == "data":
                    yield number, read_json(text, MAX_ANSWER, name="an event")

    @contextmanager
    def _connection(self, patience: float) -> Iterator[HTTPConnection]:
        """A connection that waits `patience` seconds for each answer."""
        with closing(HTTPConnection(self.host, self.http, timeout=patience)) as connection:
            try:
                yield connection
            except HTTPException as error:
                raise ValueError(f"no answer of ours from port {self.http}: {error!r}") from error


def panel_address(host: str, http: int) -> str:
    """The address of the panel of a server, as a browser on its machine reaches it."""
    reached = ANY.get(host, host)
    return f"http://{f'[{reached}]' if ':' in reached else reached}:{http}/panel/"


@contextmanager
def publish(data: Path, *, host: str, http: int, osc: int) -> Iterator[None]:
    """Let `find` find this process, which owns `data`, while inside."""
    path = data / FILE
    with whole(path) as partial:
        running = RunningServer(process_identity.own_name(), ANY.get(host, host), http, osc)
        partial.write_text(json.dumps(asdict(running)) + "\n", encoding="utf-8")
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def find(data: Path) -> RunningServer | None:
    """The server that runs for the data folder, None without one (or where nobody can tell)."""
    try:
        running = RunningServer(**read_json(data / FILE))
    except (OSError, ValueError, TypeError):
        return None
    return running if running.lives else None
