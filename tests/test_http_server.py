"""A server ends within seconds, whatever its clients do."""

import asyncio
import contextlib
import socket
import sys
import threading
import time

import pytest
import uvicorn
from websockets.sync.client import connect

from bridge.http.health import processes
from tests.children import ended, until
from tests.http_server import Http, Running, blob

SILENT = (sys.executable, "-S", "-E", "-c", "import time; time.sleep(600)")  # as a player


@pytest.fixture
def start(tmp_path):
    """Starts servers; each is stopped at the end, if it was not before."""
    with contextlib.ExitStack() as stack:

        def begin(**settings):
            server = Running(tmp_path / "data", **settings)
            stack.callback(server.stop)
            return server

        yield begin


def seconds_to_stop(server):
    began = time.monotonic()
    server.stop()
    return time.monotonic() - began


def test_a_stop_waits_for_no_client(start, tmp_path):
    """One follows a job, one listens, one sends half a head and one half a body, one is idle, one
    reads nothing of what it asked for; and an examination waits for a player that says nothing.
    """
    server = start(play_with=SILENT)
    client = Http(server.http, server.token)
    large = bytes(32 * 2**20)  # more than the system takes for one who does not read
    assert client.upload(large).status == 201
    job = client.job(kind="patch", prompt="slow", renderer="fm", out=str(tmp_path / "out"))
    head = f" HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {server.token}\r\n"
    asked = (
        f"GET /v1/jobs/{job}/events{head}\r\n",
        f"GET {blob(large)}{head}\r\n",
        f"GET /v1/ping{head}\r\n",
        f"GET /v1/ping{head}",
        f"POST /v1/jobs{head}Content-Length: 1000\r\n\r\n{{",
    )
    with contextlib.ExitStack() as stack:
        stack.enter_context(connect(f"ws://127.0.0.1:{server.http}/"))
        for text in asked:
            line = stack.enter_context(socket.create_connection(("127.0.0.1", server.http), 60))
            line.sendall(text.encode())
            if text.endswith("\r\n\r\n"):
                assert line.recv(15) == b"HTTP/1.1 200 OK"
        assert client.ask("POST", "/v1/doctor").json["running"]
        until(lambda: any("sleep(600)" in each["name"] for each in processes()))
        assert seconds_to_stop(server) < 20


def test_a_stop_does_not_wait_for_a_clock(start, monkeypatch):
    """What looks every tenth of a second whether to end slept for minutes: a clock had been set."""

    async def main_loop(_):
        await asyncio.sleep(600)

    monkeypatch.setattr(uvicorn.Server, "main_loop", main_loop)
    assert seconds_to_stop(start()) < 20


def test_a_loop_that_does_not_end_says_where_it_waits():
    loop, release = asyncio.new_event_loop(), asyncio.Event()

    async def steps():
        await release.wait()
        yield

    async def wait_for_release():
        async for _ in steps():
            pass

    thread = threading.Thread(target=loop.run_until_complete, args=(wait_for_release(),))
    thread.start()
    try:
        with pytest.raises(AssertionError, match=r"(?s)in 0.2 s.*in steps.*release\.wait.*in wait"):
            ended(thread, loop, 0.2)
    finally:
        loop.call_soon_threadsafe(release.set)
        ended(thread, loop)
        loop.close()
