"""What a page does with a finished stem set: fetch its source and all of it, place it; uploads."""

import hashlib
import io
import sys
import zipfile
from array import array
from pathlib import Path

import pytest

from bridge.files import wav
from bridge.hosts import HOSTS
from bridge.http.stem_sets import zipped
from tests.http_server import Http, Running, blob

WORKER = (sys.executable, str(Path(__file__).with_name("stems_worker.py")))
FAR = {"X_Forwarded_For": "192.0.2.1"}


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    server = Running(tmp_path_factory.mktemp("data"), worker=WORKER)
    yield server
    server.stop()


@pytest.fixture(scope="module")
def client(running):
    return Http(running.http, running.token)


@pytest.fixture(scope="module")
def song(tmp_path_factory):
    path = tmp_path_factory.mktemp("song") / "song.wav"
    sound = array("f", (((n * 37) % 101) / 101 - 0.5 for n in range(8000)))
    wav.write(path, [sound.tobytes()], rate=8000, channels=1, frames=8000, bext=wav.Bext())
    return path.read_bytes()


@pytest.fixture(scope="module")
def made(client, song):
    ref = client.upload(song).json["id"]
    job = client.job(kind="separate", file=f"{ref}/song.wav", prompts=["kick"])
    client.events(job)
    return job


def samples(data, tmp_path):
    path = tmp_path / "x.wav"
    path.write_bytes(data)
    return [v for block in wav.samples(wav.read_header(path)) for v in block]


def test_the_source_is_what_the_stems_add_up_to(client, made, tmp_path):
    answer = client.ask("GET", f"/v1/jobs/{made}/source")
    assert answer.status == 200
    parts = [
        samples(client.ask("GET", f"/v1/jobs/{made}/files/{name}").body, tmp_path)
        for name in ("stem-0.wav", "residual.wav")
    ]
    whole = samples(answer.body, tmp_path)
    assert max(abs(x - a - b) for x, a, b in zip(whole, *parts, strict=True)) < 1e-7
    part = client.ask("GET", f"/v1/jobs/{made}/source", Range="bytes=0-3")
    assert (part.status, part.body) == (206, b"RIFF")


def test_all_files_are_one_zip(client, made):
    answer = client.ask("GET", f"/v1/jobs/{made}/zip")
    assert answer.headers["Content-Type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(answer.body)) as pack:
        assert pack.testzip() is None
        for name in pack.namelist():
            assert pack.read(name) == client.ask("GET", f"/v1/jobs/{made}/files/{name}").body
        assert {"stems.json", "stem-0.wav", "residual.wav"} <= set(pack.namelist())


def test_a_zip_comes_in_pieces_and_is_as_big_as_its_files(tmp_path):
    data = bytes(range(256)) * 20_000
    (tmp_path / "a").write_bytes(data)
    pieces = list(zipped({"Ö/a.wav": tmp_path / "a"}))
    assert len(pieces) > 4
    whole = b"".join(pieces)
    assert len(data) < len(whole) < 1.001 * len(data)
    with zipfile.ZipFile(io.BytesIO(whole)) as pack:
        assert pack.read("Ö/a.wav") == data


def test_a_set_is_placed_in_a_host(client, made):
    listed = client.ask("GET", "/v1/hosts").json["hosts"]
    assert [host["name"] for host in listed] == list(HOSTS)
    placed = client.ask("POST", f"/v1/jobs/{made}/place", {"host": "rpp"}).json
    assert placed["host"] == "rpp"
    assert Path(placed["files"][0]).read_text(encoding="utf-8").startswith("<REAPER_PROJECT")


def test_what_cannot_be_placed_is_refused(client, made):
    assert client.ask("POST", f"/v1/jobs/{made}/place", {"host": "cubase"}).code == "bad-arguments"
    assert client.ask("POST", "/v1/jobs/j0/place", {"host": "rpp"}).code == "no-job"
    answer = client.ask("POST", f"/v1/jobs/{made}/place", {"host": "ableton"})
    assert (answer.status, answer.code) == (422, "not-placed")
    assert client.ask("POST", f"/v1/jobs/{made}/place", {"host": "rpp"}, **FAR).code == "far"
    assert client.ask("GET", "/v1/hosts", **FAR).json == {"hosts": []}


def test_a_job_without_stems_has_no_source_and_no_zip(client, song):
    job = client.job(kind="suggest", file=client.upload(song).json["id"])
    client.events(job)
    for path in ("source", "zip"):
        assert client.ask("GET", f"/v1/jobs/{job}/{path}").code == "no-file"


def test_uploads_are_listed_and_fetched(client, made, song):
    (row,) = client.ask("GET", "/v1/blobs").json["blobs"]
    assert row["id"] == f"sha256:{hashlib.sha256(song).hexdigest()}"
    assert (row["names"], row["bytes"]) == (["song.wav"], len(song))
    assert client.ask("GET", blob(song)).body == song
    assert client.ask("GET", blob(b"not here")).code == "no-blob"


def test_the_second_at_which_an_excerpt_begins_is_a_field_of_the_job(client, song):
    ref = client.upload(song).json["id"]
    asked = {"kind": "separate", "file": ref, "prompts": ["kick"], "excerpt_begin": 0.5}
    assert client.ask("POST", "/v1/jobs", asked).code == "bad-arguments"
    answer = client.ask("POST", "/v1/jobs", asked | {"excerpt": 1}, **FAR)
    assert answer.json["job"]["excerpt_begin"] == 0.5
