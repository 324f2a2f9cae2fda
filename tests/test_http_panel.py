"""The panel's files, its links, and the cookie that stands for the token."""

import json
import os
import re
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest
from starlette.types import Scope

from bridge.http import access, sessions
from bridge.http.responses import Problem
from tests.http_server import ROOT, Http, Running, serving

TOKEN = b"t" * 43


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    server = Running(tmp_path_factory.mktemp("data"))
    yield server
    server.stop()


def turn_clock(monkeypatch, seconds):
    """For `sessions` alone: turned for the process, the server beside us slept that much longer."""
    late = SimpleNamespace(
        time=lambda: time.time() + seconds, monotonic=lambda: time.monotonic() + seconds
    )
    monkeypatch.setattr(sessions, "time", late)


@pytest.fixture
def client(running):
    return Http(running.http, running.token)


@pytest.fixture
def browser(client):
    """Asks as the panel's page does: by cookie and origin, without the token."""
    code = client.ask("POST", "/v1/panel/link").json["url"].rpartition("=")[2]
    entered = client.ask("GET", f"/panel/enter?code={code}", token=None)
    assert (entered.status, entered.headers["Location"]) == (303, "/panel/")
    cookie = entered.headers["Set-Cookie"].partition(";")[0]

    def ask(method, path, body=None, **headers):
        return client.ask(method, path, body, token=None, Cookie=cookie, **headers)

    return ask


def test_a_cookie_reads_and_with_our_own_origin_writes(client, browser):
    origin = f"http://127.0.0.1:{client.port}"
    assert browser("GET", "/v1/jobs").status == 200
    assert browser("POST", "/v1/panel/link").code == "no-token"
    assert browser("POST", "/v1/panel/link", Origin=origin).status == 201
    assert browser("POST", "/v1/panel/link", Origin="http://evil.example").code == "bad-origin"
    other_port = f"http://127.0.0.1:{client.port + 1}"
    assert browser("POST", "/v1/panel/link", Origin=other_port).code == "bad-origin"


@pytest.mark.parametrize(
    ("site", "status"),
    [("same-origin", 200), ("none", 200), ("same-site", 401), ("cross-site", 401)],
)
def test_a_cookie_that_a_strangers_page_sent_along_counts_for_nothing(browser, site, status):
    assert browser("GET", "/v1/jobs", Sec_Fetch_Site=site).status == status


def test_the_cookie_is_for_scripts_of_nobody_and_for_no_other_site(client):
    answer = client.ask("POST", "/v1/panel/session")
    assert answer.status == 204
    cookie = answer.headers["Set-Cookie"]
    assert cookie.startswith(f"scorewire-{client.port}=")
    assert {"HttpOnly", "SameSite=strict", "Path=/"} <= set(cookie.split("; "))
    assert client.token not in cookie


def test_a_link_is_used_once_and_not_by_who_only_looks(client):
    url = client.ask("POST", "/v1/panel/link").json["url"]
    path = url.removeprefix(f"http://127.0.0.1:{client.port}")
    assert client.ask("HEAD", path, token=None).status == 405
    assert "Set-Cookie" in client.ask("GET", path, token=None).headers
    again = client.ask("GET", path, token=None)
    assert (again.status, again.headers["Location"]) == (303, "/panel/#/used")
    assert "Set-Cookie" not in again.headers
    assert client.ask("POST", "/v1/panel/link", token=None).code == "no-token"


def test_codes_end_with_time_and_number(monkeypatch):
    codes = sessions.LoginCodes()
    made = [codes.issue() for _ in range(sessions.MAX_CODES + 1)]
    assert len(set(made)) == len(made)
    assert not codes.redeem(made[0])
    assert codes.redeem(made[1])
    turn_clock(monkeypatch, sessions.CODE_SECONDS + 1)
    assert not codes.redeem(made[2])


def test_a_session_is_of_one_token_and_for_a_month(monkeypatch):
    good = sessions.new_session(TOKEN)
    until, _, seal = good.partition(".")
    assert sessions.is_good(TOKEN, good)
    assert not sessions.is_good(b"another" * 6, good)
    for forged in ("", "x", ".", f"{int(until) + 1}.{seal}", f"{until}.{seal[:-1]}", f"-1.{seal}"):
        assert not sessions.is_good(TOKEN, forged)
    turn_clock(monkeypatch, sessions.MAX_AGE + 1)
    assert not sessions.is_good(TOKEN, good)


def test_a_websocket_with_the_cookie_needs_our_origin():
    door = access.AccessCheck(lambda *_: None, token=TOKEN.decode())

    def asked(**headers) -> bool:
        cookie = f"scorewire-9557={sessions.new_session(TOKEN)}"
        sent = {"host": "127.0.0.1:9557", "cookie": cookie, **headers}
        scope: Scope = {
            "type": "websocket", "path": "/", "client": ("127.0.0.1", 5), "server": ("", 9557),
            "headers": [(name.encode(), value.encode()) for name, value in sent.items()],
        }  # fmt: skip
        door._check(scope)
        return scope[access.TRUSTED]

    assert not asked()
    assert asked(origin="http://127.0.0.1:9557")
    with pytest.raises(Problem, match="pages from elsewhere"):
        asked(origin="http://127.0.0.1:9558")


def test_the_page_is_served_without_the_token_and_says_what_it_may(client):
    page = client.ask("GET", "/panel/", token=None)
    rules = dict(rule.split(" ", 1) for rule in page.headers["Content-Security-Policy"].split("; "))
    assert rules["default-src"] == rules["frame-ancestors"] == rules["base-uri"] == "'none'"
    assert rules["script-src"] == rules["connect-src"] == "'self'"
    (nonce,) = re.findall(r'name="style-nonce" content="([\w-]+)"', page.body.decode())
    assert rules["style-src"] == f"'self' 'nonce-{nonce}'"
    assert nonce not in client.ask("GET", "/panel/", token=None).body.decode()
    script = client.ask("GET", "/panel/app.js", token=None)
    assert script.headers["Content-Type"] == "text/javascript; charset=utf-8"
    assert script.headers["X-Content-Type-Options"] == "nosniff"
    unchanged = client.ask("GET", "/panel/app.js", If_None_Match=script.headers["ETag"])
    assert unchanged.status == 304
    assert client.ask("GET", "/panel", token=None).headers["Location"] == "/panel/"


@pytest.mark.parametrize(
    "path", ["..%2F..%2Fhttp%2Faccess.py", "../../http/access.py", "nothing.js", "rooms", "%00"]
)
def test_nothing_but_the_panels_files_is_served(client, path):
    assert client.ask("GET", f"/panel/{path}", token=None).code == "no-address"


def test_the_command_makes_a_link(tmp_path):
    own = os.environ | {"SCOREWIRE_DATA": str(tmp_path / "data")}

    def panel(*options):
        command = [sys.executable, "-m", "bridge.cli", "panel", *options]
        return subprocess.run(command, cwd=ROOT, env=own, text=True, capture_output=True)

    alone = panel("--json")
    assert (alone.returncode, json.loads(alone.stdout)["error"]["code"]) == (1, "no-server")
    with serving(tmp_path) as (_, client):
        link = panel("--print").stdout.strip()
        place, _, code = link.partition("enter?code=")
        assert place == f"http://127.0.0.1:{client.port}/panel/"
        entered = client.ask("GET", f"/panel/enter?code={code}", token=None)
        assert "Set-Cookie" in entered.headers
