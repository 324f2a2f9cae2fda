"""The panel in a real browser: the way in, its policy, its shell."""

import os
import re
import signal
import subprocess
import sys

import pytest

from tests.browser import AWAY, GONE, listen, noting_browser, opened, serious
from tests.http_server import blob
from tests.test_panel_patch import TAP, strongest
from tests.test_panel_stems import until
from tests.vendored import ROOT, packages

FOLDER = ROOT / "bridge" / "web" / "panel"
ROOMS = ["patch", "stems", "library", "jobs"]


@pytest.fixture(scope="module")
def panel(tmp_path_factory):
    with opened(tmp_path_factory.mktemp("panel")) as panel:
        yield panel


@pytest.mark.parametrize("dark", [False, True])
def test_every_room_opens_without_a_serious_finding_of_axe(panel, dark):
    with panel.page(dark=dark) as page:
        for room in ROOMS:
            page.get_by_role("navigation").get_by_role("link", name=room.title()).click()
            page.locator("section.room:not([hidden]) h2").first.wait_for()
            assert page.title().lower() == f"{room} - scorewire"
            assert serious(page, *(["color-contrast"] if dark else [])) == []  # dark: colours only


def test_no_room_is_wider_than_a_phone_or_narrower_than_a_wall(panel):
    with panel.page() as page:
        for room in ROOMS:
            page.evaluate("room => { location.hash = `#/${room}`; }", room)
            page.locator(f"section[aria-label={room.title()}]:not([hidden]) h2").first.wait_for()
            for width in (360, 768, 2560):
                page.set_viewport_size({"width": width, "height": 800})
                assert page.evaluate("document.documentElement.scrollWidth") <= width, room


def test_a_link_lets_one_browser_in_once(panel):
    link = panel.link()
    with panel.context() as context:
        page = context.new_page()
        said = listen(page)
        page.goto(link)
        page.locator("section.room h2").first.wait_for()
        assert page.url.startswith(panel.url)
        assert "code" not in page.url
        assert "code" not in page.evaluate("document.referrer")
        (cookie,) = context.cookies()
        assert (cookie["sameSite"], cookie["httpOnly"]) == ("Strict", True)
        assert panel.running.token not in cookie["value"]
        assert not said
    with panel.context() as context:
        page = context.new_page()
        page.goto(link)
        page.get_by_text("used already").wait_for()
        assert not context.cookies()


def test_a_token_that_is_pasted_lets_in_and_a_wrong_one_does_not(panel):
    with panel.context() as context:
        page = context.new_page()
        page.goto(panel.url)
        field, button = page.get_by_label("Token"), page.get_by_role("button", name="Let me in")
        field.fill("no wörd")
        button.click()
        page.get_by_role("alert").filter(has_text="one word").wait_for()
        field.fill("wrong" * 10)
        button.click()
        page.get_by_role("alert").filter(has_text="not this server's").wait_for()
        assert page.locator("section.room").count() == 0
        assert serious(page) == []
        field.fill(f" {panel.running.token}\n")
        button.click()
        page.locator("section.room h2").first.wait_for()


def test_the_page_asks_no_other_host_and_runs_no_script_but_its_own(panel):
    asked = []
    with panel.page() as page:
        page.on("request", lambda request: asked.append(request.url))
        page.reload()
        page.locator("section.room h2").first.wait_for()
        assert asked
        assert all(url.startswith(panel.url.removesuffix("panel/")) for url in asked)
    with panel.page(allowed=("Content Security Policy",)) as page:
        broken = page.evaluate("""async () => {
            const rules = [];
            const note = ({ effectiveDirective }) => rules.push(effectiveDirective);
            addEventListener("securitypolicyviolation", note);
            const script = document.createElement("script");
            script.textContent = "window.ran = 1";
            document.body.append(script);
            await fetch("http://127.0.0.2:9/").catch(() => {});
            await new Promise((resolve) => setTimeout(resolve, 50));
            return [window.ran, ...rules];
        }""")
        assert broken == [None, "script-src-elem", "connect-src"]


def test_it_is_light_and_paints_at_once(panel):
    files = [path for path in FOLDER.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 1.5e6
    with panel.page() as page:
        page.reload()
        page.locator("section.room h2").first.wait_for()
        first, room = page.evaluate("""["first-contentful-paint", "room"].map(
            (name) => performance.getEntriesByName(name)[0].startTime)""")
        assert first < 1000  # ms; docs/panel.md says what it is
        assert first < room


def test_rooms_are_reached_by_keys_alone(panel):
    with panel.page("#/jobs") as page:
        page.evaluate("document.activeElement.blur()")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "Skip to the room"
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == "main"
        page.get_by_role("link", name="Library").focus()
        page.keyboard.press("Enter")
        page.wait_for_url("**/#/library")
        assert page.get_by_role("link", name="Library").get_attribute("aria-current") == "page"


def test_decimals_are_typed_with_a_point_or_a_comma(panel):
    with panel.page() as page:
        parse = """texts => import('/panel/numbers.js').then(
            (numbers) => texts.map(numbers.parseNumber))"""
        said = page.evaluate(parse, ["1.5", "1,5", " -3 ", ".5", "1e3", "1.000,5", "x", ""])
        assert said == [1.5, 1.5, -3, 0.5, 1000, None, None, None]


def test_an_upload_arrives_whole_and_goes_on_where_it_stopped(panel):
    data = b"scorewire" * 30_000
    path = blob(data)
    first = {"Content_Range": f"bytes 0-99999/{len(data)}"}
    assert panel.http.ask("PUT", path, data[:100_000], **first).status == 202
    with panel.page() as page:
        upload = """async () => {
            const { api } = await import('/panel/api.js');
            const fractions = [];
            const file = new File(['scorewire'.repeat(30000)], '<b>a.wav');
            const { ref } = await api.upload(file, (fraction) => fractions.push(fraction));
            return { ref, fractions };
        }"""
        said = page.evaluate(upload)
    assert said["ref"] == f"sha256:{path.rpartition('/')[2]}/<b>a.wav"
    assert said["fractions"][0] > 100_000 / len(data)
    assert said["fractions"][-1] == 1
    assert panel.http.ask("HEAD", path).status == 200


def test_a_search_outlives_its_server_in_two_tabs_and_nothing_typed_is_lost(panel):
    with panel.page("#/patch", allowed=AWAY) as page:
        page.get_by_label("Prompt").fill("slow organ")
        page.get_by_role("button", name="Start", exact=True).click()
        search = page.get_by_role("region", name="Search: slow organ")
        search.get_by_text("working").wait_for()
        page.get_by_label("Prompt").fill("typed meanwhile")
        other = page.context.new_page()
        other.goto(f"{panel.url}#/jobs")
        other.get_by_role("button", name="Cancel Patch slow organ").wait_for()
        gone = page.get_by_text(GONE)
        panel.stop()
        gone.wait_for()
        panel.start()
        gone.wait_for(state="detached")
        row = other.get_by_role("row").filter(has_text="slow organ")
        row.filter(has_text="interrupted").wait_for()
        assert page.get_by_label("Prompt").input_value() == "typed meanwhile"
        search.get_by_text("the server stopped before the job ended").wait_for()
        search.get_by_role("button", name="Search again").click()
        search.get_by_text("working").wait_for()
        other.get_by_role("button", name="Cancel Patch slow organ").click()
        search.get_by_text("cancelled").wait_for()


def test_a_search_of_another_tab_is_seen_and_followed(panel):
    with panel.page("#/patch") as page:
        job = panel.http.job(kind="patch", prompt="slow flute")
        page.get_by_role("button", name="Follow: Search: slow flute").click()
        search = page.get_by_role("region", name="Search: slow flute")
        search.get_by_text("working").wait_for()
        assert page.get_by_role("list", name="Also under way").count() == 0
        assert panel.http.ask("DELETE", f"/v1/jobs/{job}").status == 202
        search.get_by_text("cancelled").wait_for()


def test_a_new_token_lets_the_page_ask_for_it_and_keeps_what_was_typed(panel):
    with panel.page("#/patch", allowed=(*AWAY, "401")) as page:
        page.get_by_label("Prompt").fill("typed before")
        panel.stop()
        panel.running.config.token_file.unlink()
        panel.start()
        page.get_by_text("This browser is not let in yet").wait_for()
        page.get_by_text("Run scorewire panel in a terminal").wait_for()
        assert page.locator("section.room:not([hidden])").count() == 0
        page.get_by_label("Token").fill(panel.running.token)
        page.get_by_role("button", name="Let me in").click()
        page.locator("section.room:not([hidden]) h2").wait_for()
        assert page.get_by_label("Prompt").input_value() == "typed before"


def test_what_is_vendored_is_what_is_pinned():
    pinned = {place for package in packages() for place in package["files"].values()}
    assert all((ROOT / place).is_file() for place in pinned)
    shipped = (path for path in (FOLDER / "vendor").rglob("*") if path.is_file())
    assert {path.relative_to(ROOT).as_posix() for path in shipped} <= pinned
    for package in packages():
        assert any(place.endswith("LICENSE") for place in package["files"].values())
        assert re.fullmatch(r"[0-9a-f]{64}", package["sha256"])


def test_first_steps_from_one_command_to_the_first_sound(panel, tmp_path):
    link, own = noting_browser(tmp_path)
    own |= {"SCOREWIRE_OSC_PORT": "0", "SCOREWIRE_DATA": str(tmp_path / "new")}
    command = [sys.executable, "-m", "bridge.cli", "panel"]
    with subprocess.Popen(command, cwd=ROOT, env=os.environ | own) as server:
        try:
            until(link.is_file, patience=60)
            with panel.context() as context:
                page = context.new_page()
                said = listen(page)
                page.goto(link.read_text().strip())
                page.evaluate(TAP)
                page.get_by_role("button", name="kalimba", exact=True).click()
                assert strongest(page)["hz"] == pytest.approx(523.25, rel=0.02)
                page.get_by_role("heading", name="On the keyboard: Kalimba", exact=True).wait_for()
                assert not said
        finally:
            server.send_signal(signal.SIGINT)
    assert server.returncode == 0
