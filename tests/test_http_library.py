"""The library, its trash, slots and exports over HTTP."""

import hashlib
import io
import json
import struct
import wave

import pytest

from presets.library import FACTORY
from tests.http_server import Http, Running

ORGAN = json.loads((FACTORY / "accordion.json").read_text())


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    server = Running(tmp_path_factory.mktemp("data"))
    yield Http(server.http, server.token)
    server.stop()


def wav():
    data = io.BytesIO()
    with wave.open(data, "wb") as file:
        file.setparams((1, 2, 44100, 0, "NONE", ""))
        file.writeframes(struct.pack("<100h", *range(100)))
    return data.getvalue()


def added(client, name, **fields):
    answer = client.ask("POST", "/v1/library", {"preset": ORGAN | {"name": name}, **fields})
    assert answer.status == 201, answer.body
    return answer.json


def test_a_preset_is_kept_with_its_sound_and_found(client):
    assert client.upload(wav()).status == 201
    sound = f"sha256:{hashlib.sha256(wav()).hexdigest()}"
    kept = added(client, "Night organ", tags=["dark"], sound=sound)
    assert (kept["file"], kept["preview"]) == ("night-organ.json", True)
    assert kept["preset"]["name"] == "Night organ"
    said = client.ask("GET", "/v1/library?words=nigh&tags=dark").json
    assert [entry["file"] for entry in said["presets"]] == ["night-organ.json"]
    assert "dark" in said["tags"]
    assert client.ask("GET", "/v1/library/night-organ.json/sound").body == wav()


def test_names_and_tags_change(client):
    added(client, "Old name")
    path = "/v1/library/old-name.json"
    changed = client.ask("PATCH", path, {"name": "<b>New</b>", "add_tags": ["soft"]}).json
    assert (changed["name"], changed["file"]) == ("<b>New</b>", "b-new-b.json")
    assert "soft" in changed["tags"]
    assert client.ask("GET", path).code == "no-preset"
    assert client.ask("PATCH", "/v1/library/b-new-b.json", {"name": "  "}).code == "bad-input"


def test_the_trash_gives_back(client):
    added(client, "Gone")
    trashed = client.ask("DELETE", "/v1/library/gone.json").json["trashed"]
    assert trashed in client.ask("GET", "/v1/trash").json["presets"]
    assert client.ask("GET", "/v1/library/gone.json").status == 404
    assert client.ask("POST", f"/v1/trash/{trashed}/restore").json["file"] == "gone.json"
    assert client.ask("POST", f"/v1/trash/{trashed}/restore").code == "bad-input"


def test_the_most_similar_comes_first(client):
    added(client, "One")
    added(client, "Two")
    found = client.ask("GET", "/v1/library?like=one.json").json["presets"]
    assert "one.json" not in [entry["file"] for entry in found]
    distances = [entry["distance"] for entry in found]
    assert distances == sorted(distances)
    assert distances[0] == 0.0  # the same knobs


@pytest.mark.parametrize(
    ("method", "path", "body", "code"),
    [
        ("POST", "/v1/library", {"preset": {"name": "x"}}, "bad-arguments"),
        ("POST", "/v1/library", {"preset": ORGAN, "sound": "/etc/passwd"}, "bad-arguments"),
        ("POST", "/v1/library", {"preset": ORGAN, "sound": "sha256:../../x"}, "bad-input"),
        ("GET", "/v1/library?limit=0", None, "bad-arguments"),
        ("GET", "/v1/library/..%5Ctoken", None, "no-preset"),
        ("GET", "/v1/library/nothing.json/sound", None, "no-preset"),
        ("PUT", "/v1/slots/129", {"preset": "one.json"}, "bad-arguments"),
        ("POST", "/v1/slots/1/trigger", {}, "no-player"),
        ("GET", "/v1/factory/..%5Cpreset.py", None, "no-preset"),
        ("POST", "/v1/jobs", {"kind": "vary", "preset": "library:nothing"}, "no-preset"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(client, method, path, body, code):
    assert client.ask(method, path, body).code == code


def test_a_job_reads_a_preset_of_the_library(client):
    added(client, "Read")
    job = client.ask("POST", "/v1/jobs", {"kind": "vary", "preset": "library:read.json"}).json
    assert job["job"]["preset"].endswith("library/read.json")


def test_slots_are_filled_and_emptied(client):
    added(client, "Pad")
    assert client.ask("PUT", "/v1/slots/7", {"preset": "pad.json"}).json["name"] == "Pad"
    said = client.ask("GET", "/v1/slots").json
    assert (said["slots"]["7"], said["playing"]) == ({"file": "pad.json", "name": "Pad"}, False)
    assert client.ask("DELETE", "/v1/slots/7").status == 204
    assert "7" not in client.ask("GET", "/v1/slots").json["slots"]


def test_what_comes_with_scorewire_is_listed_without_an_index_beside_it(client):
    entries = client.ask("GET", "/v1/factory").json["presets"]
    assert len(entries) == len(list(FACTORY.glob("*.json")))
    assert client.ask("GET", "/v1/factory/accordion.json").json["preset"] == ORGAN
    assert client.ask("GET", "/v1/factory/accordion.json/sound").body[:4] == b"RIFF"
    assert {path.suffix for path in FACTORY.iterdir()} == {".json", ".wav"}


def test_formats_say_which_presets_they_carry(client):
    formats = {row["name"]: row for row in client.ask("GET", "/v1/formats").json["formats"]}
    assert formats["dx7"]["renderers"] == ["fm"]
    assert formats["wav"]["suffix"] == ".wav"
