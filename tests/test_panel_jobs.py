"""The room of jobs and health in a real browser."""

import asyncio
import logging
import re
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from bridge.app import doctor
from bridge.http import health
from tests.browser import opened, serious, shot
from tests.http_server import ROOT

PLAYER = (sys.executable, "-S", "-E", str(ROOT / "tests" / "fake_player.py"))
HOSTILE = "<img src=x onerror=alert(1)> <b>organ</b>"


@pytest.fixture(scope="module")
def panel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("panel")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(folder))  # pictures show no path of the machine that made them
        known = health.processes  # of a real server playwright's driver is no child
        patch.setattr(
            health, "processes", lambda: [each for each in known() if each["name"] != "cli.js"]
        )
        with opened(folder, play_with=PLAYER) as panel:
            yield panel


def test_a_job_is_seen_cancelled_and_asked_for_again(panel):
    panel.http.job(kind="patch", prompt="slow strings")
    panel.http.job(kind="patch", prompt="ok waits")
    with panel.page("#/jobs") as page:
        queue = page.get_by_role("region", name="Queue")
        bar = queue.get_by_role("progressbar", name="Patch slow strings")
        bar.wait_for()
        queue.get_by_text("waits; 1 before it").wait_for()
        shown = float(bar.get_attribute("value"))
        page.wait_for_function("([bar, shown]) => Number(bar.getAttribute('value')) > shown",
                               arg=[bar.element_handle(), shown])  # fmt: skip
        queue.get_by_text("left").first.wait_for()
        page.get_by_role("button", name="Cancel Patch slow strings").click()
        rows = page.get_by_role("row")
        rows.filter(has_text="slow strings").filter(has_text="cancelled").wait_for()
        rows.filter(has_text="ok waits").filter(has_text="done").wait_for()
        page.get_by_role("button", name="Again: Patch ok waits").click()
        rows.filter(has_text="ok waits").nth(1).wait_for()
    assert len(panel.http.ask("GET", "/v1/jobs?state=done").json["jobs"]) == 2


def test_two_tabs_see_the_same(panel):
    with panel.page("#/jobs") as page:
        other = page.context.new_page()
        other.goto(f"{panel.url}#/jobs")
        panel.http.job(kind="patch", prompt="slow in two tabs")
        button = {"name": "Cancel Patch slow in two tabs"}
        page.get_by_role("button", **button).wait_for()
        other.get_by_role("button", **button).click()
        row = page.get_by_role("row").filter(has_text="slow in two tabs")
        row.filter(has_text="cancelled").wait_for()


def test_a_prompt_is_text_whatever_it_says(panel):
    panel.http.job(kind="patch", prompt=f"ok {HOSTILE}")
    with panel.page("#/jobs") as page:
        page.on("dialog", lambda dialog: pytest.fail("a prompt ran"))
        page.get_by_role("row").filter(has_text=HOSTILE).wait_for()
        assert page.locator("tbody img, tbody b").count() == 0


def test_it_says_what_doctor_says(panel):
    with panel.page("#/jobs") as page:
        page.get_by_text("Not examined since the server started.").wait_for()
        page.get_by_role("button", name="Examine now").click()
        page.get_by_text(re.compile("^Examined ")).wait_for()
        said = page.get_by_role("region", name="Doctor").locator("tbody tr").all_inner_texts()
    config = panel.running.config
    with ThreadPoolExecutor() as beside:  # playwright has a loop of its own in this thread
        report = beside.submit(asyncio.run, doctor.examine(config, model=config.model)).result()
    assert [line.split("\t")[1] for line in said] == [each["name"] for each in report["checks"]]
    assert panel.http.ask("GET", "/v1/doctor").json["report"]["checks"][0] == report["checks"][0]


def test_processes_models_and_the_log_are_shown(panel):
    logging.getLogger("bridge.test").warning("a line <i>of the log</i>")
    jobs = [panel.http.job(kind="patch", prompt=words) for words in ("slow brass", "ok flute")]
    with panel.page("#/jobs", width=1280, height=900) as page:
        page.get_by_text("a line <i>of the log</i>").wait_for()
        server = page.get_by_role("region", name="This server")
        for words in (
            "~/data",
            "default (",
            "server ",
            "fake_worker.py ",
            "none: scorewire serve --play",
        ):
            server.get_by_text(words).first.wait_for()
        assert serious(page) == []
        page.get_by_role("region", name="Queue").get_by_text("left").wait_for()
        shot(page, "jobs")
    for job in reversed(jobs):
        assert panel.http.ask("DELETE", f"/v1/jobs/{job}").status == 202


def test_a_browser_can_be_signed_out(panel):
    with panel.page("#/jobs", allowed=("401",)) as page:
        page.get_by_role("button", name="Sign this browser out").click()
        page.get_by_text("This browser is not let in yet").wait_for()
        assert page.context.cookies() == []


def test_what_a_job_made_is_opened_in_its_room(panel):
    entries = [
        {"id": "a", "state": "done", "kind": "separate"},
        {"id": "b", "state": "failed", "kind": "separate"},
        {"id": "c", "state": "done", "kind": "patch", "result": {"library": "/a/my kick.json"}},
        {"id": "d", "state": "done", "kind": "patch", "result": {}},
        {"id": "e", "state": "done", "kind": "suggest"},
    ]  # fmt: skip
    with panel.page() as page:
        text = "import('/panel/rooms/jobs/text.js')"
        said = page.evaluate(f"all => {text}.then((text) => all.map(text.roomOf))", entries)
        sizes = page.evaluate(
            f"all => {text}.then((text) => all.map(text.bytes))", [999, 1500, 78e6]
        )
    assert said == ["#/stems/job/a", "", "#/patch/library/my%20kick.json", "", ""]
    assert sizes == ["999 B", "1.5 kB", "78 MB"]
