"""How the server is, what its log says, and jobs asked for again."""

import logging
import os

import pytest

from bridge.http.health import processes
from bridge.http.log_tail import KEPT, LogTail
from tests.http_server import Http, Running


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    server = Running(tmp_path_factory.mktemp("data"))
    yield Http(server.http, server.token)
    server.stop()


def test_this_process_and_its_children_are_weighed(client):
    client.events(client.job(kind="patch", prompt="ok"))
    said = client.ask("GET", "/v1/health").json
    (own,) = (each for each in said["processes"] if each["pid"] == os.getpid())
    assert own["name"] == "server"
    assert 10e6 < own["bytes"] < 100e9
    assert "fake_worker.py" in [each["name"] for each in processes()]
    assert [each["name"] for each in said["models"]] == ["default", "edm"]
    assert all(each["bytes"] > 1e5 for each in said["models"])
    assert (said["model"], said["player"]) == ("default", None)


def test_the_log_is_told_from_a_line_on(client):
    logging.getLogger("bridge.here").warning("first")
    line = client.ask("GET", "/v1/log").json["lines"][-1]
    assert (line["text"], line["level"], line["name"]) == ("first", "WARNING", "bridge.here")
    assert client.ask("GET", f"/v1/log?after={line['number']}").json["lines"] == []
    assert client.ask("GET", "/v1/log?after=x").code == "bad-arguments"


def test_the_log_keeps_the_newest():
    tail = LogTail()
    for number in range(KEPT + 10):
        tail.emit(logging.LogRecord("a", logging.INFO, "", 1, "line %d", (number,), None))
    assert [line["text"] for line in tail.since(KEPT + 8)] == ["line 508", "line 509"]
    assert len(tail.since(0)) == KEPT


def test_a_job_that_has_ended_is_asked_for_again(client):
    first = client.job(kind="generate", prompts=["ok"], duration=1.0)
    assert client.events(first)[0][-1][1] == "done"
    answer = client.ask("POST", f"/v1/jobs/{first}/again")
    assert answer.status == 202
    again = answer.json
    assert again["id"] != first
    assert again["job"]["out"].endswith(again["id"])
    assert again["job"]["prompts"] == ["ok"]
    slow = client.job(kind="patch", prompt="slow")
    assert client.ask("POST", f"/v1/jobs/{slow}/again").code == "not-ended"
    assert client.ask("DELETE", f"/v1/jobs/{slow}").status == 202


def test_a_job_that_was_lost_goes_on_in_its_folder(client):
    lost = client.job(kind="generate", prompts=["crash"], duration=1.0)
    assert client.events(lost)[0][-1][1] == "failed"
    again = client.ask("POST", f"/v1/jobs/{lost}/again").json
    assert again["job"]["out"].endswith(lost)
