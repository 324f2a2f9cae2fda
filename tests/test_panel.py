"""The panel in a real browser: the way in, its policy, its shell."""

import pytest

from tests.browser import listen, opened, serious


@pytest.fixture(scope="module")
def panel(tmp_path_factory):
    with opened(tmp_path_factory.mktemp("panel")) as panel:
        yield panel


@pytest.mark.parametrize("room", ["patch", "stems", "library", "jobs"])
def test_each_room_opens(panel, room):
    with panel.page(f"#/{room}") as page:
        assert page.title().lower() == f"{room} - scorewire"
        assert not serious(page)


def test_a_link_lets_one_browser_in_once(panel):
    link = panel.link()
    with panel.context() as context:
        page = context.new_page()
        said = listen(page)
        page.goto(link)
        page.locator("section.room h2").wait_for()
        assert page.url.startswith(panel.url)
        assert "code" not in page.url
        (cookie,) = context.cookies()
        assert (cookie["sameSite"], cookie["httpOnly"]) == ("Strict", True)
        assert not said
    with panel.context() as context:
        page = context.new_page()
        page.goto(link)
        page.get_by_text("used already").wait_for()
        assert not context.cookies()
