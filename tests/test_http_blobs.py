"""Uploads: whole, in parts, broken off at any byte, wrong, too big, and on a full disk."""

import contextlib
import hashlib
import http.client
import json
import os
import random
import socket
import subprocess
import sys
import time

import pytest

from bridge.http import blobs, responses
from bridge.http.blobs import Blobs
from tests.http_server import ROOT, Http, Running, blob, serving

LIMIT, QUOTA = 3_000_000, 5_000_000


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    server = Running(tmp_path_factory.mktemp("data"), upload_limit=LIMIT, upload_quota=QUOTA)
    yield server
    server.stop()


@pytest.fixture
def client(running):
    return Http(running.http, running.token)


@pytest.fixture
def data():
    return os.urandom(200_000)


def here(running, data):
    return running.config.blobs / "sha256" / hashlib.sha256(data).hexdigest()


def test_an_upload_is_kept_under_its_hash(running, client, data):
    assert client.ask("HEAD", blob(data)).status == 404
    answer = client.upload(data)
    assert (answer.status, answer.json["bytes"]) == (201, len(data))
    assert answer.json["id"] == "sha256:" + here(running, data).name
    assert here(running, data).read_bytes() == data
    head = client.ask("HEAD", blob(data))
    assert (head.status, head.headers["Upload-Complete"]) == (200, "?1")
    assert head.headers["Upload-Offset"] == str(len(data))
    assert client.upload(data).status == 200


def test_what_is_known_is_not_sent_again(client, data):
    """A client that waits for `100 Continue` is answered before it sends a byte."""
    client.upload(data)
    with socket.create_connection(("127.0.0.1", client.port), timeout=60) as line:
        head = f"PUT {blob(data)} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(data)}\r\n"
        head += f"Authorization: Bearer {client.token}\r\nExpect: 100-continue\r\n\r\n"
        line.sendall(head.encode())
        assert line.recv(4096).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("way", ["Content-Range", "Upload-Offset"])
def test_an_upload_in_parts(running, client, data, way):
    total, step = len(data), 70_000
    for at in range(0, total, step):
        chunk = data[at : at + step]
        if way == "Content-Range":
            headers = {"Content_Range": f"bytes {at}-{at + len(chunk) - 1}/{total}"}
        else:
            headers = {"Upload_Offset": str(at), "Upload_Length": str(total)}
        answer = client.ask("PUT", blob(data), chunk, **headers)
        if at + step < total:
            assert (answer.status, answer.headers["Upload-Offset"]) == (202, str(at + step))
            head = client.ask("HEAD", blob(data))
            assert (head.status, head.headers["Upload-Offset"]) == (204, str(at + step))
    assert answer.status == 201
    assert here(running, data).read_bytes() == data


def test_a_wrong_offset_is_answered_with_the_right_one(client, data):
    client.ask("PUT", blob(data), data[:500], Content_Range=f"bytes 0-499/{len(data)}")
    answer = client.ask("PUT", blob(data), data[700:], Upload_Offset="700")
    assert (answer.status, answer.code, answer.headers["Upload-Offset"]) == (
        409, "out-of-step", "500",
    )  # fmt: skip
    assert client.ask("PUT", blob(data), data[500:], Upload_Offset="500").status == 201


def test_a_whole_upload_begins_anew(client, data):
    client.ask("PUT", blob(data), data[:500], Content_Range=f"bytes 0-499/{len(data)}")
    assert client.upload(data).status == 201


def broken_off(client, data, sent, at=0):
    """A PUT whose connection ends after `sent` bytes."""
    line = http.client.HTTPConnection("127.0.0.1", client.port)
    line.putrequest("PUT", blob(data))
    line.putheader("Authorization", f"Bearer {client.token}")
    line.putheader("Content-Length", str(len(data) - at))
    line.putheader("Upload-Offset", str(at))
    line.endheaders()
    line.send(data[at : at + sent])
    line.close()


def offset(client, data, least):
    """How much is here, once at least `least` bytes are."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        got = int(client.ask("HEAD", blob(data)).headers["Upload-Offset"])
        if got >= least:
            return got
        time.sleep(0.02)
    raise AssertionError(f"only {got} of {least} bytes arrived")


def test_an_upload_broken_off_anywhere_goes_on(running, client):
    rng = random.Random(5)
    for _ in range(5):
        data = rng.randbytes(100_000)
        at = 0
        while at < len(data) - 1:
            sent = rng.randint(1, len(data) - 1 - at)
            broken_off(client, data, sent, at)
            at = offset(client, data, at + sent)
        answer = client.ask("PUT", blob(data), data[at:], Upload_Offset=str(at))
        assert answer.status == 201
        assert here(running, data).read_bytes() == data


def test_an_upload_survives_a_kill_at_any_byte(tmp_path):
    """The server dies by SIGKILL while bytes come in; what is there is a beginning of the data."""
    data = random.Random(7).randbytes(3_000_000)
    digest = hashlib.sha256(data).hexdigest()
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from bridge.http.blobs import Blobs\n"
        "folder, digest, at, total, size = sys.argv[1:]\n"
        "store = Blobs(Path(folder), limit=1 << 30, quota=1 << 30)\n"
        "with store.writing(digest, at=int(at), total=int(total)) as writer:\n"
        "    while chunk := sys.stdin.buffer.read1(int(size)):\n"
        "        writer.write(chunk)\n"
    )
    store = Blobs(tmp_path, limit=1 << 30, quota=1 << 30)
    rng = random.Random(9)
    for size in (1 << 16, 1013):
        at = store.offset(digest) or 0
        child = subprocess.Popen(
            [sys.executable, "-c", program, str(tmp_path), digest, str(at), str(len(data)),
             str(size)],
            cwd=ROOT, stdin=subprocess.PIPE,
        )  # fmt: skip
        with child:
            child.stdin.write(data[at : at + rng.randint(200_000, 1_000_000)])
            child.kill()
        left = store.offset(digest) or 0
        if left:
            partial = (tmp_path / "partial" / digest).read_bytes()
            assert partial == data[:left]
        assert store.find(digest) is None


def test_an_upload_goes_on_at_the_next_server(tmp_path):
    """The whole process is killed between two bytes; what it had is where the next goes on."""
    data = random.Random(11).randbytes(2_000_000)
    with serving(tmp_path) as (process, client):
        line = socket.create_connection(("127.0.0.1", client.port), timeout=60)
        head = f"PUT {blob(data)} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(data)}\r\n"
        head += f"Authorization: Bearer {client.token}\r\n\r\n"
        line.sendall(head.encode() + data[:1_234_567])
        offset(client, data, 1)
        process.kill()
        line.close()
    with serving(tmp_path) as (process, client):
        at = int(client.ask("HEAD", blob(data)).headers["Upload-Offset"])
        assert 1 <= at <= 1_234_567
        answer = client.ask("PUT", blob(data), data[at:], Upload_Offset=str(at))
        assert answer.status == 201
        process.terminate()


def test_a_wrong_hash_is_dropped(running, client, data):
    other = os.urandom(len(data))
    answer = client.ask("PUT", blob(data), other)
    assert (answer.status, answer.code) == (422, "wrong-hash")
    assert answer.headers["Upload-Offset"] == "0"
    assert client.ask("HEAD", blob(data)).status == 404
    assert not here(running, data).exists()


def test_too_big_is_said_before_it_is_sent(client):
    data = bytes(LIMIT + 1)
    answer = client.upload(data)
    assert (answer.status, answer.code) == (413, "too-big")
    more = b"x" * 300
    answer = client.ask("PUT", blob(more), more, Upload_Length="200")
    assert (answer.status, answer.code) == (413, "too-big")


def test_the_oldest_upload_makes_room(running, client):
    parts = [os.urandom(1_500_000) for _ in range(4)]
    for age, part in enumerate(parts):
        assert client.upload(part).status == 201
        stamp = time.time() - 1000 + age
        os.utime(here(running, part), (stamp, stamp))
    assert not here(running, parts[0]).exists()
    assert all(here(running, part).exists() for part in parts[2:])
    total = sum(p.stat().st_size for p in running.config.blobs.rglob("*") if p.is_file())
    assert total <= QUOTA


def test_what_a_job_reads_makes_no_room(tmp_path):
    store = Blobs(tmp_path, limit=1000, quota=1000)
    digest = _kept(store, b"a" * 600)
    link = store.named(digest, "Take 1.wav")
    assert link.name == "take-1.wav"
    with (
        pytest.raises(blobs.NoRoom, match="uploads may take 1000 bytes in all, and 600 are in use"),
        store.writing("0" * 64, at=0, total=600, used=[str(link)]),
    ):
        pass
    with store.writing("0" * 64, at=0, total=600) as writer:
        writer.write(b"b" * 600)
    assert store.find(digest) is None
    assert not link.exists()


def test_what_is_announced_drops_nothing_before_it_comes(tmp_path, monkeypatch):
    monkeypatch.setattr(blobs, "AHEAD", 100)
    store = Blobs(tmp_path, limit=1000, quota=1000)
    first, second = (_kept(store, letter * 300) for letter in (b"a", b"b"))
    os.utime(store.find(first), (1, 1))
    for _ in range(3):
        with store.writing("0" * 64, at=0, total=900):
            pass
    assert store.find(first)
    assert store.find(second)
    with store.writing("0" * 64, at=0, total=900) as writer:
        writer.write(bytes(400))
        assert store.find(first)
        assert store.find(second)
        writer.write(bytes(1))
        assert store.find(first) is None
        assert store.find(second)
        writer.write(bytes(499))
        assert store.find(second) is None


def test_stale_beginnings_are_dropped(tmp_path):
    store = Blobs(tmp_path, limit=1000, quota=1000)
    with store.writing("0" * 64, at=0, total=600) as writer:
        writer.write(b"x" * 10)
    old = time.time() - blobs.STALE - 1
    os.utime(tmp_path / "partial" / ("0" * 64), (old, old))
    with store.writing("1" * 64, at=0, total=600):
        pass
    assert store.offset("0" * 64) is None


def test_a_full_disk_is_a_sentence(tmp_path):
    """The system refuses to let a file grow, as a full disk does; what is there stays."""
    program = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from bridge.http.blobs import Blobs, NoRoom\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))\n"
        "store = Blobs(Path(sys.argv[1]), limit=1 << 20, quota=1 << 20)\n"
        "try:\n"
        "    with store.writing('0' * 64, at=0, total=9000) as writer:\n"
        "        writer.write(b'x' * 9000)\n"
        "except NoRoom as error:\n"
        "    print(error)\n"
    )
    said = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        cwd=ROOT, check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert said.stdout == "the disk is full after 5000 bytes of this upload\n"
    assert (tmp_path / "partial" / ("0" * 64)).read_bytes() == b"x" * 5000


def test_a_disk_without_room_refuses_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(blobs, "RESERVE", 1 << 60)
    store = Blobs(tmp_path, limit=1000, quota=1000)
    with (
        pytest.raises(blobs.NoRoom, match="the disk is full: 9 bytes more do not fit"),
        store.writing("0" * 64, at=0, total=9),
    ):
        pass


def test_the_request_that_came_last_goes_on(tmp_path):
    store = Blobs(tmp_path, limit=1000, quota=1000)
    with store.writing("0" * 64, at=0, total=9) as first:
        first.write(b"abc")
        with store.writing("0" * 64, at=3, total=9) as second:
            with pytest.raises(blobs.Superseded):
                first.write(b"def")
            second.write(b"DEF")
    assert (tmp_path / "partial" / ("0" * 64)).read_bytes() == b"abcDEF"


def test_a_whole_upload_that_was_taken_up_again_is_not_kept(tmp_path):
    store = Blobs(tmp_path, limit=1000, quota=1000)
    with store.writing("0" * 64, at=0, total=3) as first:
        first.write(b"abc")
        with store.writing("0" * 64, at=0, total=3):
            pass
    with pytest.raises(blobs.Superseded):
        first.check()


def test_a_beginning_that_is_sent_again_needs_no_room_twice(tmp_path):
    store = Blobs(tmp_path, limit=1000, quota=1000)
    with store.writing("0" * 64, at=0, total=900) as first:
        first.write(bytes(600))
    with store.writing("0" * 64, at=0, total=900) as again:
        assert again.left == 900


def test_an_upload_that_pauses_too_long_is_told_so_and_kept(running, monkeypatch):
    monkeypatch.setattr(responses, "SILENCE", 0.05)
    name = "/v1/blobs/sha256/" + "5" * 64
    line = http.client.HTTPConnection("127.0.0.1", running.http, timeout=60)
    with contextlib.closing(line):
        line.putrequest("PUT", name)
        line.putheader("Authorization", f"Bearer {running.token}")
        line.putheader("Content-Length", "100")
        line.endheaders(b"begin")
        said = line.getresponse()
        assert (said.status, json.loads(said.read())["error"]["code"]) == (408, "too-slow")


def test_an_upload_that_drips_is_told_so_and_kept(running, monkeypatch):
    monkeypatch.setattr(responses, "SILENCE", 0.2)
    name = "/v1/blobs/sha256/" + "6" * 64
    with socket.create_connection(("127.0.0.1", running.http), 60) as line:
        head = f"PUT {name} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n"
        line.sendall(f"{head}Authorization: Bearer {running.token}\r\n\r\n".encode())
        line.settimeout(0.05)
        said, sent = b"", 0
        while not said and sent < 1000:  # a byte at a time, never silent
            line.sendall(b"x")
            sent += 1
            with contextlib.suppress(TimeoutError):
                said = line.recv(4096)
        assert said.startswith(b"HTTP/1.1 408")
        line.settimeout(60)
        assert b"slower than 1024 bytes a second" in said + line.recv(4096)


def test_uploads_under_way_have_their_room(tmp_path):
    store = Blobs(tmp_path, limit=1000, quota=1000)
    with (
        store.writing("0" * 64, at=0, total=600) as first,
        pytest.raises(blobs.NoRoom, match="uploads may take 1000 bytes"),
        store.writing("1" * 64, at=0, total=600),
    ):
        pass
    assert first.left == 600
    with store.writing("1" * 64, at=0, total=600):
        pass


@pytest.mark.parametrize(
    "name", ["..", "../../etc/passwd", "0" * 63, "0" * 65, "G" * 64, "A" * 64, "0" * 63 + "\n"]
)
def test_nothing_but_a_hash_becomes_a_path(tmp_path, name):
    store = Blobs(tmp_path, limit=10, quota=10)
    for ask in (store.find, store.offset, store.named):
        with pytest.raises(ValueError, match="64 digits"):
            ask(name)


@pytest.mark.parametrize(
    ("path", "headers", "code"),
    [
        ("/v1/blobs/sha256/..%2f..%2ftoken", {}, "no-method"),
        ("/v1/blobs/sha256/" + "A" * 64, {}, "bad-hash"),
        ("/v1/blobs/md5/" + "0" * 64, {}, "no-method"),
        (None, {"Content_Range": "bytes 5-2/9"}, "bad-range"),
        (None, {"Content_Range": "bytes 0-9/9"}, "bad-range"),
        (None, {"Content_Range": "bytes */9"}, "bad-range"),
        (None, {"Upload_Offset": "-1"}, "bad-range"),
        (None, {"Upload_Length": "1e3"}, "bad-range"),
        (None, {"Upload_Offset": "7"}, "out-of-step"),
    ],
)  # fmt: skip
def test_nonsense_is_refused_in_a_sentence(client, path, headers, code):
    assert client.ask("PUT", path or blob(b"nobody"), b"x", **headers).code == code


def test_an_upload_without_a_length_is_refused(client):
    answer = client.ask("PUT", blob(b"chunk"), iter([b"chu", b"nk"]))
    assert (answer.status, answer.code) == (411, "no-length")


def _kept(store, data):
    import asyncio

    digest = hashlib.sha256(data).hexdigest()
    with store.writing(digest, at=0, total=len(data)) as writer:
        writer.write(data)
    asyncio.run(store.keep(digest))
    return digest
