"""The room Library in a browser: found, heard, tagged, placed, exported, deleted, restored."""

import math
import sys
import zipfile

import numpy as np
import pytest

from bridge.files import wav
from presets import load
from presets.library import FACTORY, Library
from tests.browser import AWAY, GONE, opened, serious, shot
from tests.test_panel_stems import WORKER, until

SOME = ("accordion", "acid", "air-raid", "alarm")
RATE, HEARD = 8000, "heard.f32"  # of the player, and what it would play on a sound card
HOSTILE = '<img src=x onerror="document.title=1">'


@pytest.fixture(scope="module")
def panel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("panel")
    player = [sys.executable, "-m", "bridge.player", "--output", "offline", "--rate", str(RATE)]
    player += ["--capture", str(folder / HEARD)]
    with opened(folder, worker=WORKER, play_with=player) as panel:
        yield panel


@pytest.fixture
def library(panel):
    """Four factory presets, one of a hostile name, and nothing in slots and trash but that."""
    library = Library(panel.running.config.library)
    for entry in library.find(limit=1000):
        library.delete(entry.path.name)
    for file in library.trash():
        (library.folder / ".trash" / file).unlink()
    first, *others = sorted(FACTORY.glob("*.json"))[: len(SOME)]
    library.add_files(others)
    hostile = load(first).model_copy(update={"name": HOSTILE, "tags": ("keys", HOSTILE)})
    library.add(hostile, preview=first.with_suffix(".wav"))
    return library


def presets(page):
    return page.get_by_role("list", name="Presets").locator(".name").all_inner_texts()


def names(library):
    return [entry.name for entry in library.find()]


def level(page):
    return float(page.locator("section:not([hidden]) meter").get_attribute("data-db"))


def loudest_db(path):
    header = wav.read_header(path)
    return 20 * math.log10(max(abs(v) for block in wav.samples(header) for v in block))


def test_presets_are_found_as_one_types_by_tags_and_by_likeness(panel, library):
    with panel.page("#/library") as page:
        until(lambda: presets(page) == names(library))
        assert len(presets(page)) == len(SOME)
        page.get_by_role("searchbox", name="Search").fill(names(library)[-1][:3])
        until(lambda: len(presets(page)) == 1)
        page.get_by_role("searchbox", name="Search").fill("")
        title = page.title()
        page.get_by_role("list", name="Only with these tags").get_by_role(
            "button", name=HOSTILE
        ).click()
        until(lambda: presets(page) == [HOSTILE])
        assert page.title() == title
        assert page.locator("#main img").count() == 0
        page.get_by_role("list", name="Presets").get_by_role("button").click()
        page.get_by_role("list", name="Only with these tags").get_by_role(
            "button", name=HOSTILE
        ).click()
        page.get_by_role("button", name="Similar ones").click()
        wanted = [near.name for near in library.find(like=library.get(HOSTILE).path.name)]
        until(lambda: presets(page) == wanted)
        assert page.get_by_text("% alike").count() == len(wanted)


def test_what_is_pointed_at_sounds(panel, library):
    entry = library.find("acid")[0] if library.find("acid") else library.find()[1]
    with panel.page("#/library") as page:
        button = page.get_by_role("list", name="Presets").get_by_role("button", name=entry.name)
        button.hover()
        until(lambda: level(page) > -50)
        assert level(page) <= loudest_db(entry.preview)
        page.get_by_role("heading", name="Slots").hover()
        until(lambda: level(page) == -200)
        button.focus()
        until(lambda: level(page) > -50)
        page.get_by_role("checkbox", name="Play what is pointed at").uncheck()
        until(lambda: level(page) == -200)
        button.hover()
        page.wait_for_timeout(400)
        assert level(page) == -200


def test_names_and_tags_are_changed(panel, library):
    old = names(library)[1]
    with panel.page("#/library") as page:
        page.get_by_role("list", name="Presets").get_by_role("button", name=old).click()
        page.get_by_label("Name", exact=True).fill("Röhre & <b>Glas</b>")
        page.get_by_role("button", name="Rename").click()
        page.get_by_role("heading", name="Röhre & <b>Glas</b>").wait_for()
        page.get_by_label("Add tags").fill("warm, 80s")
        page.get_by_role("button", name="Add", exact=True).click()
        page.get_by_role("button", name="Remove the tag factory").click()
        until(lambda: "factory" not in library.get("Röhre & <b>Glas</b>").tags)
        until(lambda: "Röhre & <b>Glas</b>" in presets(page))
    assert set(library.get("Röhre & <b>Glas</b>").tags) >= {"warm", "80s"}


def test_slots_are_filled_struck_and_emptied(panel, library):
    entry = library.find()[1]
    with panel.page("#/library", height=1400) as page:
        button = page.get_by_role("list", name="Presets").get_by_role("button", name=entry.name)
        pads = page.get_by_role("group", name="Slots 1 to 128")
        assert pads.get_by_role("button").count() == 128
        button.drag_to(pads.get_by_role("button", name="Slot 77: empty"))
        pad = pads.get_by_role("button", name=f"Slot 77: {entry.name}")
        pad.wait_for()
        assert library.slots()[77].name == entry.path.name
        page.get_by_role("checkbox", name="Play what is pointed at").uncheck()
        pad.click()
        until(lambda: level(page) > -50)
        button.click()
        page.get_by_label("Slot", exact=True).fill("3")
        page.get_by_role("button", name="Put into the slot").click()
        pads.get_by_role("button", name=f"Slot 3: {entry.name}").wait_for()
        pad.focus()
        page.keyboard.press("Delete")
        pads.get_by_role("button", name="Slot 77: empty").wait_for()
    assert list(library.slots()) == [3]


def test_what_was_deleted_comes_back(panel, library):
    first, second, *_ = names(library)
    with panel.page("#/library") as page:
        for name in (first, second):
            page.get_by_role("list", name="Presets").get_by_role("button", name=name).click()
            page.get_by_role("button", name="To the trash").click()
            page.get_by_text(f"{name} is in the trash").wait_for()
        assert set(names(library)).isdisjoint({first, second})
        page.get_by_role("button", name="Undo").click()
        until(lambda: second in presets(page))
        page.get_by_text("Trash (1)").click()
        page.get_by_role("button", name="Bring back").click()
        until(lambda: first in presets(page))
    assert set(names(library)) >= {first, second}


def test_a_preset_leaves_as_a_file(panel, library, tmp_path):
    entry = library.find(renderer="fm")[0]
    with panel.page("#/library") as page:
        button = page.get_by_role("list", name="Presets").get_by_role("button", name=entry.name)
        dragged = button.evaluate("""button => {
          const event = new DragEvent("dragstart", { dataTransfer: new DataTransfer() });
          button.dispatchEvent(event);
          return event.dataTransfer.getData("DownloadURL");
        }""")
        kind, name, url = dragged.split(":", 2)
        assert (kind, name) == ("application/octet-stream", f"{entry.path.stem}.wav")
        path = url.removeprefix(f"http://127.0.0.1:{panel.http.port}")
        assert panel.http.ask("GET", path).body == entry.preview.read_bytes()
        button.click()
        page.get_by_label("Export as").select_option("dx7")
        page.get_by_role("button", name="Export").click()
        link = page.get_by_role("link", name="Download 2 files (ZIP)")
        link.wait_for()
        assert page.locator(".exported li").inner_text() == "<b>reverb</b>"
        with page.expect_download() as download:
            link.click()
        download.value.save_as(tmp_path / "exported.zip")
    with zipfile.ZipFile(tmp_path / "exported.zip") as pack:
        assert pack.namelist() == ["dx7-0.bin", "dx7-1.bin"]
        assert pack.read("dx7-0.bin") == entry.path.read_bytes()


def test_a_change_in_one_tab_shows_in_the_other_and_after_the_server_was_away(panel, library):
    first, second, *_ = names(library)
    with panel.page("#/library", allowed=(*AWAY, "404")) as page:
        other = page.context.new_page()
        other.goto(f"{panel.url}#/library")
        until(lambda: presets(other) == names(library))
        shown = other.get_by_role("list", name="Presets")
        shown.get_by_role("button", name=first).click()
        other.get_by_label("Add tags").fill("typed meanwhile")
        page.get_by_role("list", name="Presets").get_by_role("button", name=first).click()
        page.get_by_label("Add tags").fill("warm")
        page.get_by_role("button", name="Add", exact=True).click()
        other.get_by_role("button", name="Remove the tag warm").wait_for()
        page.get_by_role("button", name="Put into the slot").click()
        other.get_by_role("button", name=f"Slot 1: {first}").wait_for()
        panel.stop()
        for tab in (page, other):
            tab.get_by_text(GONE).wait_for()
        library.delete(library.get(second).path.name)
        panel.start()
        until(lambda: presets(page) == presets(other) == names(library))
        assert second not in presets(page)
        assert other.get_by_label("Add tags").input_value() == "typed meanwhile"
        page.get_by_role("button", name="To the trash").click()
        until(lambda: first not in presets(other))
        other.get_by_text("Choose a preset to hear").wait_for()


def test_presets_that_come_along_are_kept(panel, library):
    for slot, kept in enumerate(library.find(tags=["factory"]), start=1):
        library.assign(slot, kept.path.name)
    with panel.page("#/library", height=1500, allowed=("404",)) as page:
        page.get_by_role("tab", name="Comes with Scorewire").click()
        until(lambda: len(presets(page)) == len(list(FACTORY.glob("*.json"))))
        page.get_by_role("searchbox", name="Search").fill("glass")
        until(lambda: 0 < len(presets(page)) < 20)
        name = presets(page)[0]
        page.get_by_role("list", name="Presets").get_by_role("button", name=name).first.click()
        page.get_by_role("button", name="Keep in my library").click()
        page.get_by_text("is in your library").wait_for()
        page.get_by_role("searchbox", name="Search").fill("")
        until(lambda: len(presets(page)) > 20)
        shot(page, "library")
    assert library.get(name).preview is not None


def test_the_room_fits_and_can_be_read_by_all(panel, library):
    with panel.page("#/library", dark=True) as page:
        page.get_by_role("list", name="Presets").get_by_role("button").first.click()
        page.get_by_role("heading", name=names(library)[0]).wait_for()
        for width in (2560, 360):
            page.set_viewport_size({"width": width, "height": 800})
            assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert not serious(page)


def test_a_struck_pad_is_heard_from_the_player(panel, library):
    """The last of these: from here on the server plays."""
    kalimba = library.add(load(FACTORY / "kalimba.json"))
    asked = panel.http.ask("POST", "/v1/play", {"presets": [kalimba.path.name]})
    assert asked.json == {"slots": {"1": kalimba.path.name}, "started": True}
    heard = panel.data.parent / HEARD
    with panel.page("#/library", height=1400) as page:
        page.get_by_text("Struck pads sound in the player.").wait_for()
        until(lambda: panel.http.ask("GET", "/v1/health").json["player"]["device"], patience=240)
        before = np.fromfile(heard, np.float32)
        assert not before.any()
        page.get_by_role("button", name="Slot 1: Kalimba").click()
        until(lambda: np.fromfile(heard, np.float32).size > before.size + 2 * RATE)
        assert level(page) == -200  # of what the page itself plays
    note = np.fromfile(heard, np.float32)[before.size :]
    begin = np.flatnonzero(np.abs(note) > 0.01)[0]
    spectrum = np.abs(np.fft.rfft(note[begin : begin + RATE]))
    wanted = 440 * 2 ** ((load(kalimba.path).note - 69) / 12)
    assert np.abs(note).max() > 0.1
    assert np.argmax(spectrum) == pytest.approx(wanted, rel=0.01)  # one bin a Hz
