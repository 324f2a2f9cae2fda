"""A real browser on a real server, for the tests of the panel: Debian's chromium and playwright.

@pytest.fixture(scope="module")
def panel(tmp_path_factory):
    with opened(tmp_path_factory.mktemp("panel"), worker=REAL) as panel:
        yield panel

def test_a_room(panel):
    with panel.page("#/library") as page:   # fails for any error in the console
        page.get_by_role("searchbox").fill("organ")
"""

import contextlib
import os
import sys
from pathlib import Path

from tests.http_server import Http, Running
from tests.peers import peer

ROOT = Path(__file__).parents[1]
AXE = ROOT / "tests" / "vendor" / "axe.min.js"
REAL = (sys.executable, "-P", "-m", "bridge.worker")
FLAGS = ("--no-sandbox", "--autoplay-policy=no-user-gesture-required", "--disable-gpu",
         "--force-prefers-reduced-motion")  # fmt: skip
CHROMIUM = "/usr/bin/chromium"
PATIENCE_MS = 20_000
GONE = "The server does not answer; asking again."
AWAY = ("ERR_CONNECTION", "ERR_INCOMPLETE")  # what the console says while the server is away


class Panel:
    """One server and one browser; `url` is the page's address, `http` a client with the token."""

    def __init__(self, browser, data, settings):
        self.browser, self.data, self.settings = browser, data, settings
        self.start()

    def start(self):
        """Start the server; after `stop`, at the same address and with the same data."""
        self.running = running = Running(self.data, **self.settings)
        self.settings = self.settings | {"http_port": running.http}
        self.http = Http(running.http, running.token)
        self.url = f"http://127.0.0.1:{running.http}/panel/"

    def stop(self):
        """Stop the server."""
        self.running.stop()

    def link(self):
        """A new one-time link."""
        answer = self.http.ask("POST", "/v1/panel/link")
        assert answer.status == 201, answer.body
        return answer.json["url"]

    @contextlib.contextmanager
    def context(self, **settings):
        """A browser profile of its own that was not let in; `settings` as playwright's."""
        context = self.browser.new_context(**settings)
        context.set_default_timeout(PATIENCE_MS)
        try:
            yield context
        finally:
            context.close()

    @contextlib.contextmanager
    def page(self, hash="#/patch", *, width=1280, height=800, dark=False, allowed=()):
        """A page that was let in, at `hash`; errors in its console fail the test, but those that
        contain one of `allowed`."""
        scheme = "dark" if dark else "light"
        size = {"width": width, "height": height}
        with self.context(viewport=size, color_scheme=scheme, accept_downloads=True) as context:
            page = context.new_page()
            said = listen(page)
            page.goto(self.link())
            page.wait_for_url(f"{self.url}*")
            page.evaluate("hash => { location.hash = hash; }", hash)
            page.locator("section.room:not([hidden]) h2").first.wait_for()
            yield page
            wrong = [line for line in said if not any(word in line for word in allowed)]
            assert not wrong, wrong


def noting_browser(folder):
    """What stands in for the user's browser and only notes the address: its note, and the
    environment that has it called.
    """
    link, browser = folder / "link", folder / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" >"{link}.part"\nmv "{link}.part" "{link}"\n')
    browser.chmod(0o755)
    return link, {"BROWSER": f"{browser} %s"}


def listen(page):
    """The errors of a page's console and scripts, a list that grows."""
    said = []
    page.on("console", lambda message: message.type == "error" and said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    return said


@contextlib.contextmanager
def opened(folder, **settings):
    """A server, with a fake worker unless `settings` (of `Running`) name one, and a browser."""
    peer("chromium", "playwright")
    with launched() as browser:
        panel = Panel(browser, folder / "data", settings)
        try:
            yield panel
        finally:
            panel.stop()


_playing = []  # the playwright that runs: a thread can have one only, whoever asks while it does


@contextlib.contextmanager
def launched():
    """The browser by itself."""
    from playwright.sync_api import sync_playwright

    with contextlib.ExitStack() as stack:
        if not _playing:
            _playing.append(stack.enter_context(sync_playwright()))
            stack.callback(_playing.clear)
        browser = _playing[0].chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        try:
            yield browser
        finally:
            browser.close()


def shot(page, name):
    """A picture of what the page shows; SCREENSHOTS names the folder that keeps it (docs)."""
    folder = os.environ.get("SCREENSHOTS")
    picture = page.screenshot(path=Path(folder) / f"panel-{name}.png" if folder else None)
    assert picture[:4] == b"\x89PNG"


def serious(page, *rules):
    """What axe-core finds wrong on a page, serious or critical: a line each; by all its rules, or
    by some.
    """
    page.evaluate(AXE.read_text(encoding="utf-8"))  # by the debugger, which the policy lets in
    settings = {"preload": False} | ({"runOnly": list(rules)} if rules else {})
    found = page.evaluate(
        "async (settings) => (await axe.run(document, settings)).violations", settings
    )
    return [
        f"{one['id']}: {node['html'][:120]}: {node['failureSummary']}"
        for one in found if one["impact"] in ("serious", "critical") for node in one["nodes"]
    ]  # fmt: skip
