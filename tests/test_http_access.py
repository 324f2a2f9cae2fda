"""Who may ask: Host, Origin and token, on HTTP and on websockets."""

import base64
import contextlib
import os
import re
import socket
import stat
import types

import pytest
from starlette.types import Scope

from bridge.http import access
from bridge.http import server as serving
from bridge.http.responses import Problem
from tests.http_server import Http, Running


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    server = Running(tmp_path_factory.mktemp("data"), http_names=("Studio.local",))
    yield server
    server.stop()


@pytest.fixture
def client(running):
    return Http(running.http, running.token)


def test_ping_needs_no_token(client):
    answer = client.ask("GET", "/v1/ping", token=None)
    assert answer.status == 200
    assert answer.json["state"] == "idle"
    assert re.fullmatch(r"\d+\.\d+\.\d+.*", answer.json["version"])


def test_one_number_serves_osc_and_http(running):
    assert running.port == running.http  # UDP and TCP have ports of their own


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/jobs"), ("POST", "/v1/jobs/j1/stop"),
        ("GET", "/v1/jobs"), ("GET", "/v1/jobs/j1"),
        ("DELETE", "/v1/jobs/j1"), ("GET", "/v1/jobs/j1/events"), ("GET", "/v1/jobs/j1/files/a"),
        ("HEAD", "/v1/blobs/sha256/" + "0" * 64), ("PUT", "/v1/blobs/sha256/" + "0" * 64),
    ],
)  # fmt: skip
def test_all_else_needs_the_token(client, method, path):
    answer = client.ask(method, path, token=None)
    assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert client.ask(method, path, token="x" * 43).status == 401
    assert client.ask(method, path, Authorization=f"Basic {client.token}").status == 401


def test_a_refusal_is_a_code_and_a_sentence(client):
    assert client.ask("GET", "/v1/jobs", token=None).code == "no-token"
    assert client.ask("GET", "/v1/jobs", token="wrong").code == "bad-token"
    assert client.ask("GET", "/v1/nothing").code == "no-address"
    assert client.ask("PATCH", "/v1/jobs").code == "no-method"
    wrong = client.ask("GET", "/v1/suggest")
    assert (wrong.code, wrong.headers["Allow"]) == ("no-method", "POST")


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200), ("LOCALHOST:9557", 200), ("127.0.0.1", 200), ("[::1]:9557", 200),
        ("studio.local:80", 200), ("evil.example", 403), ("localhost.evil.example", 403),
        ("127.0.0.1.evil.example", 403), ("", 403), ("[::1", 403),
    ],
)  # fmt: skip
def test_a_name_that_was_made_to_point_here_is_refused(client, host, status):
    answer = client.ask("GET", "/v1/ping", Host=host)
    assert answer.status == status
    if status == 403:
        assert answer.code == "bad-host"


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://127.0.0.1:{port}", 200), ("http://evil.example", 403), ("null", 403),
        ("http://127.0.0.1:1", 403), ("http://[", 403),
        ("http://127.0.0.1:{port}.evil.example", 403),
    ],
)  # fmt: skip
def test_pages_from_elsewhere_are_refused(client, origin, status):
    origin = origin.format(port=client.port)
    answer = client.ask("GET", "/v1/ping", Origin=origin, Host=f"127.0.0.1:{client.port}")
    assert answer.status == status


def handshake(port, *headers):
    """The status line of a websocket's opening."""
    key = base64.b64encode(os.urandom(16)).decode()
    lines = ["GET / HTTP/1.1", "Connection: Upgrade", "Upgrade: websocket"]
    lines += ["Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {key}", *headers]
    with socket.create_connection(("127.0.0.1", port), timeout=30) as line:
        line.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        return line.recv(4096).split(b"\r\n")[0]


@pytest.mark.parametrize(
    "headers",
    [
        ["Host: evil.example"],
        ["Host: 127.0.0.1", "Origin: http://evil.example"],
        ["Host: 127.0.0.1", "Authorization: Bearer " + "x" * 43],
    ],
)
def test_websockets_come_through_the_same_door(client, headers):
    assert b" 403 " in handshake(client.port, *headers)


@pytest.mark.parametrize("begun", [b"", b"GET /v1/ping HTTP/1.1\r\nX: "])
def test_who_asks_nothing_is_sent_away(tmp_path, monkeypatch, begun):
    monkeypatch.setattr(serving, "PATIENCE_FOR_HEAD", 0.05)
    with contextlib.closing(Running(tmp_path / "data")) as running:
        with socket.create_connection(("127.0.0.1", running.http), 60) as line:
            line.sendall(begun)
            assert line.recv(1) == b""


def test_who_hears_an_answer_stays(tmp_path, monkeypatch):
    monkeypatch.setattr(serving, "PATIENCE_FOR_HEAD", 1.0)
    with contextlib.closing(Running(tmp_path / "data", heartbeat=0.5)) as running:
        client = Http(running.http, running.token)
        job = client.job(kind="patch", prompt="stubborn", renderer="fm", out=str(tmp_path / "out"))
        with socket.create_connection(("127.0.0.1", running.http), 60) as line:
            head = f"GET /v1/jobs/{job}/events HTTP/1.0\r\nHost: localhost\r\n"
            line.sendall(f"{head}Authorization: Bearer {client.token}\r\n\r\n".encode())
            said = b""
            while said.count(b": nothing new") < 6:
                more = line.recv(4096)
                assert more
                said += more


def test_connections_are_counted(tmp_path, monkeypatch):
    monkeypatch.setattr(serving, "MAX_CONNECTIONS", 2)
    with contextlib.closing(Running(tmp_path / "data")) as running:
        address = ("127.0.0.1", running.http)
        with contextlib.ExitStack() as stack:
            opened = [stack.enter_context(socket.create_connection(address, 60)) for _ in range(3)]
            with contextlib.suppress(ConnectionResetError):
                assert opened[0].recv(1) == b""  # the oldest goes, whoever comes
            assert Http(running.http, running.token).ask("GET", "/v1/jobs").status == 200


def listed(line):
    """Whether the jobs, of which there are none, were the answer."""
    said = b""
    while not said.endswith(b"}") and (more := line.recv(4096)):
        said += more
    return said.startswith(b"HTTP/1.1 200") and said.endswith(b'{"jobs":[]}')


def test_connections_without_the_token_do_not_shut_out_who_has_it(tmp_path, monkeypatch):
    monkeypatch.setattr(serving, "MAX_CONNECTIONS", 4)
    with contextlib.closing(Running(tmp_path / "data")) as running:
        address = ("127.0.0.1", running.http)
        head = f"GET /v1/jobs HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {running.token}"
        with contextlib.ExitStack() as stack:
            owner = stack.enter_context(socket.create_connection(address, 60))
            for _ in range(3):  # on one connection, before and behind a crowd
                owner.sendall(f"{head}\r\n\r\n".encode())
                assert listed(owner)
                for _ in range(20):
                    crowd = stack.enter_context(socket.create_connection(address, 60))
                    crowd.sendall(b"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\n")


def test_those_with_the_token_are_counted_too(tmp_path, monkeypatch):
    monkeypatch.setattr(serving, "MAX_CONNECTIONS", 2)
    with contextlib.closing(Running(tmp_path / "data")) as running:
        address = ("127.0.0.1", running.http)
        head = f"GET /v1/jobs HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {running.token}"
        with contextlib.ExitStack() as stack:
            for _ in range(4):
                line = stack.enter_context(socket.create_connection(address, 60))
                line.sendall(f"{head}\r\n\r\n".encode())
                assert listed(line)
            fifth = stack.enter_context(socket.create_connection(address, 60))
            with contextlib.suppress(ConnectionResetError):
                assert fifth.recv(1) == b""


def scope(host, **headers) -> Scope:
    raw = [(name.encode(), value.encode()) for name, value in {"host": "[::]", **headers}.items()]
    return {
        "type": "http", "method": "GET", "path": "/v1/ping", "headers": raw, "client": (host, 5),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("host", "headers", "far"),
    [
        ("127.0.0.1", {}, False), ("::1", {}, False), ("::ffff:127.0.0.1", {}, False),
        ("192.168.1.5", {}, True), ("::ffff:192.168.1.5", {}, True), ("", {}, True),
        ("127.0.0.1", {"x-forwarded-for": "10.0.0.1"}, True),
        ("127.0.0.1", {"forwarded": "for=10.0.0.1"}, True),
    ],
)  # fmt: skip
def test_another_machine_is_known_also_behind_a_proxy(host, headers, far):
    door = access.AccessCheck(lambda *_: None, token="t" * 30)
    asked = scope(host, **headers)
    door._check(asked)
    assert asked[access.FAR] is far
    assert asked[access.TRUSTED] is False


def test_two_hosts_are_none():
    door = access.AccessCheck(lambda *_: None, token="t" * 30)
    asked = scope("127.0.0.1")
    asked["headers"].append((b"host", b"localhost"))
    with pytest.raises(Problem, match="Host must be this machine"):
        door._check(asked)


def test_the_token_is_made_once_for_its_owner_alone(tmp_path):
    path = tmp_path / "new" / "token"
    first = access.token(path)
    assert re.fullmatch(r"[0-9a-f]{64}", first)  # 256 bits
    assert access.token(path) == first
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in path.parent.iterdir()] == ["token"]
    path.chmod(0o644)
    with pytest.raises(ValueError, match=r"its owner's alone \(600\), it is 644"):
        access.token(path)


def test_no_token_is_taken_for_an_option(tmp_path):
    """In `--key TOKEN`: of 64 letters one was "-"."""
    tokens = [access.token(tmp_path / str(number)) for number in range(100)]
    assert all(token.isalnum() and len(token) == 64 for token in tokens)


@pytest.mark.parametrize("text", ["", "short", "two words of twenty letters", "ümlaut" * 9])
def test_a_weak_token_is_refused(tmp_path, text):
    path = tmp_path / "token"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(ValueError, match="one word of at least 20 letters"):
        access.token(path)


def test_a_request_not_yet_looked_at_is_trusted_as_the_one_before():
    line = types.SimpleNamespace(scope={}, was_trusted=True)
    assert serving.is_trusted(line)
    line.scope = {access.TRUSTED: False}
    assert not serving.is_trusted(line)
    assert not serving.is_trusted(object())
