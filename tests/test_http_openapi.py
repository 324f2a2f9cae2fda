"""The OpenAPI document: every address, every job, no id; docs/http.md names the same."""

import contextlib
import json
import logging
import re

import jsonschema
import pytest

from bridge.http import app, jobs, openapi
from bridge.http.answers import ANSWERS
from presets.library import FACTORY
from tests import api_types
from tests.http_server import ROOT, Http, Running


@pytest.fixture(scope="module")
def document():
    return openapi.document([(e.method, e.path, e.summary) for e in app.ENDPOINTS])


def test_it_is_served_to_anybody(tmp_path, document):
    running = Running(tmp_path / "data")
    answer = Http(running.http, "").ask("GET", "/openapi.json", token=None)
    running.stop()
    assert answer.json == document


def test_every_address_is_in_it(document):
    listed = {
        (method.upper(), path) for path, methods in document["paths"].items() for method in methods
    }
    assert listed == {(e.method, e.path.replace(":path", "")) for e in app.ENDPOINTS}


def test_every_reference_leads_somewhere(document):
    schemas = document["components"]["schemas"]
    for name in re.findall(r"#/components/schemas/(\w+)", str(document)):
        assert name in schemas


def test_a_job_is_as_the_server_takes_it(document):
    choices = document["paths"]["/v1/jobs"]["post"]["requestBody"]["content"]["application/json"]
    assert len(choices["schema"]["oneOf"]) == len(jobs.KINDS)
    whole = {"components": document["components"], **choices["schema"]}
    validator = jsonschema.Draft202012Validator(whole)
    good = {"kind": "separate", "file": "sha256:" + "0" * 64, "prompts": ["a"]}
    assert validator.is_valid(good)
    assert not validator.is_valid(good | {"id": "j1"})
    assert not validator.is_valid(good | {"seed": -1})
    assert not validator.is_valid({"kind": "separate"})
    assert not validator.is_valid({key: good[key] for key in ("file", "prompts")})


def test_docs_name_every_address_and_nothing_else():
    text = (ROOT / "docs" / "http.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"^### `([A-Z]+) (\S+)`$", text, re.MULTILINE))
    assert documented == {(e.method, e.path.replace(":path", "")) for e in app.ENDPOINTS}


def test_docs_name_every_code():
    text = (ROOT / "docs" / "http.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"^\| `([a-z-]+)` \|", text, re.MULTILINE))
    code = "\n".join(path.read_text() for path in (ROOT / "bridge" / "http").glob("*.py"))
    used = set(re.findall(r'\(\s*\d{3},\s*"([a-z-]+)"', code))
    used |= set(re.findall(r'\d{3}: \("([a-z-]+)"', code))
    assert used == documented


def test_the_types_of_the_panel_are_those_of_the_document(document):
    made = api_types.declarations(document)
    assert made == api_types.FILE.read_text(encoding="utf-8"), "python -m tests.api_types"
    assert "(path: `/v1/jobs/${string}`): Promise<JobEntry>;" in made


def test_what_is_answered_is_as_the_document_says(tmp_path, document):
    preset = json.loads((FACTORY / "kalimba.json").read_text(encoding="utf-8"))
    seen = set()

    def check(value, content):
        whole = {"components": document["components"], **content["schema"]}
        jsonschema.validate(value, whole, jsonschema.Draft202012Validator)

    def ask(method, path, body=None, **names):
        said = document["paths"][path][method.lower()]["responses"]["2XX"]
        answer = client.ask(method, path.format(**names), body).json
        check(answer, said["content"]["application/json"])
        seen.add((method, path))
        return answer

    with contextlib.closing(Running(tmp_path / "data")) as running:
        client = Http(running.http, running.token)
        job = ask("POST", "/v1/jobs", {"kind": "patch", "prompt": "ok"})["id"]
        stream = document["paths"]["/v1/jobs/{id}/events"]["get"]["responses"]["2XX"]["content"]
        for _, _, event in client.events(job)[0]:
            check(event, stream["text/event-stream"])
        again = ask("POST", "/v1/jobs/{id}/again", id=job)["id"]
        slow = ask("POST", "/v1/jobs", {"kind": "patch", "prompt": "slow"})["id"]
        ask("DELETE", "/v1/jobs/{id}", id=slow)
        ask("GET", "/v1/jobs/{id}", id=again)
        client.upload(b"a sound")
        ask("POST", "/v1/knobs", {"preset": preset})
        file = ask("POST", "/v1/library", {"preset": preset, "tags": ["a"]})["file"]
        ask("GET", "/v1/library/{file}", file=file)
        file = ask("PATCH", "/v1/library/{file}", {"name": "b"}, file=file)["file"]
        ask("PUT", "/v1/slots/{number}", {"preset": file}, number=3)
        ask("GET", "/v1/slots")
        ask("GET", "/v1/factory/{file}", file="kalimba.json")
        trashed = ask("DELETE", "/v1/library/{file}", file=file)["trashed"]
        ask("GET", "/v1/trash")
        ask("POST", "/v1/trash/{file}/restore", file=trashed)
        ask("POST", "/v1/panel/link")
        logging.getLogger("bridge.test").warning("a line")
        rest = ("ping", "jobs", "hosts", "library", "factory", "formats", "health", "doctor", "log",
                "blobs")  # fmt: skip
        for place in rest:
            ask("GET", f"/v1/{place}")
    told = {key for key in ANSWERS if key[0] == "GET"}
    assert told <= seen
