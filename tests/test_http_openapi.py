"""The OpenAPI document: every address, every job, no id; docs/http.md names the same."""

import re

import jsonschema
import pytest

from bridge.http import app, jobs, openapi
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
