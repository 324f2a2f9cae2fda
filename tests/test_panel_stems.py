"""The room Stems in a browser: taken apart, heard, compared, forced, packed, sent, generated."""

import json
import math
import re
import sys
import time
import zipfile
from array import array
from pathlib import Path

import pytest

from bridge.files import wav
from presets.library import FACTORY
from tests.browser import AWAY, GONE, REAL, opened, serious, shot

WORKER = (sys.executable, str(Path(__file__).with_name("stems_worker.py")))
RATE, SECONDS, LOUD = 8000, 6, 0.4
LOUD_DB = 20 * math.log10(LOUD / math.sqrt(2))
HOSTILE = '<img src=x onerror="document.title=1">'
PATIENCE = 120.0  # seconds for a model
NEW_UPLOAD = ("404",)  # what Chromium's console says of an upload that is not here yet


@pytest.fixture(scope="module")
def panel(tmp_path_factory):
    with opened(tmp_path_factory.mktemp("panel"), worker=WORKER) as panel:
        yield panel


@pytest.fixture(scope="module")
def song(tmp_path_factory):
    """A sine, so that levels are known: stereo, with a name that is no HTML."""
    path = tmp_path_factory.mktemp("song") / "song <b>bold.wav"
    sound = array("f")
    for n in range(RATE * SECONDS):
        value = LOUD * math.sin(2 * math.pi * 300 * n / RATE)
        sound.extend((value, -value))
    wav.write(
        path, [sound.tobytes()], rate=RATE, channels=2, frames=RATE * SECONDS, bext=wav.Bext()
    )
    return path


@pytest.fixture(scope="module")
def made(panel, song):
    """A set with the shares a half, a quarter and the rest: the id of its job."""
    return separated(panel, song, prompts=["kick", "snare"])


def separated(panel, song, **fields):
    data = song.read_bytes()
    ref = panel.http.upload(data).json["id"]
    job = panel.http.job(kind="separate", file=f"{ref}/{song.name}", **fields)
    panel.http.events(job)
    return job


def take(page, song):
    page.locator("input[type=file]").set_input_files(str(song))
    page.get_by_role("heading", name=song.name).wait_for()


def prompt(page, text):
    page.get_by_role("textbox", name="Prompts", exact=True).fill(text)
    page.keyboard.press("Enter")


def until(holds, patience=20.0):
    """Wait until `holds()`: playwright's own way is a script that the policy refuses."""
    end = time.monotonic() + patience
    while not holds():
        assert time.monotonic() < end, "it never came to hold"
        time.sleep(0.05)


def null_depth(page):
    output = page.locator(".null output")
    output.wait_for()
    until(lambda: output.get_attribute("data-db"), patience=PATIENCE)
    return float(output.get_attribute("data-db"))


def level(page, wanted):
    """Wait until the meter says a level, in dB."""
    meter = page.locator("meter")
    until(lambda: abs(float(meter.get_attribute("data-db")) - wanted) < 0.3)


def rows(page):
    return page.locator(".track h4").all_inner_texts()


def shown(panel, job):
    """The job as the server knows it."""
    return panel.http.ask("GET", f"/v1/jobs/{job}").json


def test_a_recording_is_taken_apart_and_the_stems_null_against_it(panel, song):
    with panel.page("#/stems", allowed=NEW_UPLOAD) as page:
        title = page.title()
        take(page, song)
        page.get_by_role("button", name="What is in there?").click()
        page.get_by_role("button", name="<b>dog</b>").click()
        tags = page.get_by_role("list", name="What is heard").get_by_role("button")
        assert tags.first.locator("rect").count() == 4
        prompt(page, HOSTILE)
        prompt(page, "absent bell")
        page.get_by_role("button", name="Separate the whole").click()
        assert null_depth(page) < -90
        assert rows(page) == ["<b>dog</b>", HOSTILE, "Residual"]
        assert page.locator(".absent li").inner_text().startswith("absent bell: heard with 5 %")
        page.get_by_role("button", name="Force stems of them").click()
        page.locator(".track h4", has_text="absent bell").wait_for()
        assert rows(page) == ["<b>dog</b>", HOSTILE, "absent bell", "Residual"]
        assert null_depth(page) < -90
        assert page.title() == title
        assert page.locator("#main b, #main img").count() == 0


def test_solo_mute_gain_and_place_change_what_is_heard(panel, made):
    with panel.page(f"#/stems/job/{made}") as page:
        page.get_by_role("button", name="Play", exact=True).click()
        level(page, LOUD_DB)
        page.get_by_role("button", name="Solo snare").click()
        level(page, LOUD_DB - 12.04)
        page.get_by_role("button", name="Solo kick").click()
        level(page, LOUD_DB + 20 * math.log10(0.75))
        page.get_by_role("button", name="Mute kick").click()
        level(page, LOUD_DB - 12.04)
        page.get_by_role("slider", name="Gain of snare").fill("-20")
        level(page, LOUD_DB - 32.04)
        page.get_by_role("button", name="Sum (press for the original)").click()
        level(page, LOUD_DB)
        page.get_by_role("button", name="Pause").click()
        level(page, -200)
        wave = page.locator(".track .waveform").first
        wave.scroll_into_view_if_needed()
        box = wave.bounding_box()
        page.mouse.click(box["x"] + 0.9 * box["width"], box["y"] + 10)
        until(lambda: page.locator(".time").inner_text().startswith("0:05.4"))
        page.get_by_role("button", name="Play", exact=True).click()
        page.get_by_role("button", name="Pause").wait_for()
        page.get_by_role("button", name="Play", exact=True).wait_for()
        assert page.locator(".time").inner_text() == "0:00.0 / 0:06.0"


LOCKED = """async () => {
  const { renderTogether, nullDepth } = await import("/panel/rooms/stems/mixer.js");
  const sound = (at, value) => {
    const buffer = new AudioBuffer({ length: 1000, sampleRate: 8000 });
    buffer.getChannelData(0)[at] = value;
    return buffer;
  };
  const parts = [sound(500, 0.5), sound(500, 0.25)];
  const mix = await renderTogether(parts.map((buffer) => ({ buffer, gain: 1 })),
    { channels: 1, frames: 1000, rate: 8000 });
  const heard = [...mix.getChannelData(0).entries()].filter(([, value]) => value !== 0);
  const rows = parts.map((buffer) => ({ buffer, gainDb: 0 }));
  return [heard, await nullDepth(rows, sound(500, 0.75)), await nullDepth(rows, sound(501, 0.75))];
}"""


def test_all_sources_begin_at_the_same_sample_even_where_a_set_is_not_there(panel):
    with panel.page("#/stems/job/j00000000", allowed=("404",)) as page:
        page.get_by_text("there is no job").wait_for()
        heard, null, late = page.evaluate(LOCKED)
    assert heard == [[500, 0.75]]
    assert null == -200
    assert late == pytest.approx(20 * math.log10(math.sqrt(2)), abs=0.01)


def test_the_region_that_is_dragged_is_the_excerpt(panel, song):
    with panel.page("#/stems", allowed=NEW_UPLOAD) as page:
        take(page, song)
        prompt(page, "kick")
        box = page.locator(".source .waveform").bounding_box()
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 20)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + 20, steps=4)
        page.mouse.move(box["x"] + box["width"] * 0.75, box["y"] + 20, steps=4)
        page.mouse.up()
        assert float(page.get_by_label("Excerpt from").input_value()) == pytest.approx(3, abs=0.1)
        length = page.get_by_label("Length s", exact=True).first
        assert float(length.input_value()) == pytest.approx(1.5, abs=0.1)
        page.get_by_label("Length s", exact=True).first.fill("1,25")
        page.get_by_role("button", name="Separate the excerpt").click()
        assert null_depth(page) < -90
        assert page.locator(".time").inner_text() == "0:00.0 / 0:01.3"
        asked = shown(panel, page.url.rsplit("/", 1)[1])["job"]
    assert asked["excerpt"] == 1.25
    assert asked["excerpt_begin"] == pytest.approx(3, abs=0.1)


def test_a_set_comes_as_a_zip_and_goes_to_a_host(panel, made, tmp_path):
    with panel.page(f"#/stems/job/{made}") as page:
        with page.expect_download() as download:
            page.get_by_role("link", name="Download all (ZIP)").click()
        download.value.save_as(tmp_path / "all.zip")
        page.get_by_label("Send to").select_option("dawproject")
        page.get_by_role("button", name="Send", exact=True).click()
        page.locator(".host code").first.wait_for()
        file = Path(page.locator(".host code").first.inner_text())
    assert file.suffix == ".dawproject"
    assert zipfile.is_zipfile(file)
    with zipfile.ZipFile(tmp_path / "all.zip") as pack:
        assert pack.testzip() is None
        names = {row["name"]: row["bytes"] for row in shown(panel, made)["files"]}
        assert {info.filename: info.file_size for info in pack.infolist()} == names
        assert json.loads(pack.read("stems.json"))["task"] == "prompts"


DURATION = """audio => new Promise((resolve) => {
  audio.onloadedmetadata = () => resolve(audio.duration);
  audio.preload = "auto";
  audio.load();
})"""


def test_stems_are_generated_and_accompanied_and_single_sounds_made(panel):
    with panel.page("#/stems", allowed=NEW_UPLOAD) as page:
        page.get_by_role("tab", name="Generate").click()
        page.get_by_label("What is to be heard").fill("calm waltz")
        form = page.locator("form.generate")
        for name in ("guitar", "piano"):
            form.get_by_role("checkbox", name=name).uncheck()
        form.get_by_role("button", name="Generate").click()
        assert null_depth(page) < -90
        assert rows(page) == ["bass", "drums"]
        page.get_by_text("Accompany: generate stems").click()
        added = page.locator(".accompany").get_by_role("checkbox")
        assert [added.nth(i).is_checked() for i in range(added.count())] == [True, True]
        page.get_by_role("button", name="Accompany").click()
        page.locator(".track h4", has_text="piano").wait_for()
        assert rows(page) == ["bass", "drums", "guitar", "piano"]
        assert null_depth(page) < -90
        asked = shown(panel, page.url.rsplit("/", 1)[1])["job"]
        for name in ("bass", "drums"):
            form.get_by_role("checkbox", name=name).uncheck()
        form.get_by_role("button", name="Generate").click()
        clip = page.get_by_role("list", name="Generated sounds").locator("audio")
        clip.wait_for()
        assert clip.evaluate(DURATION) == pytest.approx(1.0, abs=0.01)
    assert (sorted(asked["given"]), asked["add"]) == (["bass", "drums"], ["guitar", "piano"])


def test_a_page_that_is_loaded_again_goes_on_with_its_job(panel, song):
    with panel.page("#/stems", allowed=NEW_UPLOAD) as page:
        take(page, song)
        prompt(page, "slow")
        page.get_by_role("button", name="Separate the whole").click()
        page.get_by_text("working").wait_for()
        page.reload()
        page.get_by_text("working").wait_for()
        page.get_by_role("button", name="Cancel").click()
        page.get_by_text("The job was cancelled").wait_for()
        assert page.locator(".running").count() == 0


def test_two_tabs_hear_for_themselves_and_see_the_same_jobs(panel, made):
    with panel.page(f"#/stems/job/{made}", allowed=AWAY) as page:
        other = page.context.new_page()
        other.goto(f"{panel.url}#/stems/job/{made}")
        page.get_by_role("button", name="Mute kick").click()
        for tab, wanted in ((page, LOUD_DB - 6.02), (other, LOUD_DB)):
            tab.get_by_role("button", name="Play", exact=True).click()
            level(tab, wanted)
            tab.get_by_role("button", name="Pause").click()
        assert (
            other.get_by_role("button", name="Mute kick").get_attribute("aria-pressed") == "false"
        )
        page.get_by_label("Or one that is here").select_option(index=1)
        prompt(page, "slow")
        page.get_by_role("button", name="Separate the whole").click()
        page.get_by_text("working").wait_for()
        other.get_by_role("button", name=re.compile("^Follow: separate of .*: slow$")).click()
        other.get_by_text("working").wait_for()
        assert page.get_by_role("list", name="Also under way").count() == 0
        prompt(page, "typed meanwhile")
        panel.stop()
        page.get_by_text(GONE).wait_for()
        panel.start()
        for tab in (page, other):
            tab.get_by_text("the server stopped before the job ended").first.wait_for()
        page.get_by_role("button", name="Remove typed meanwhile").wait_for()
        page.get_by_role("button", name="Go on with it").click()
        page.get_by_text("working").wait_for()
        page.get_by_role("button", name="Cancel").click()
        page.get_by_text("The job was cancelled").wait_for()


def test_what_is_not_heard_at_all_can_be_forced(panel, made):
    with panel.page("#/stems") as page:
        page.get_by_label("Or one that is here").select_option(index=1)
        prompt(page, "absent bell")
        page.get_by_role("button", name="Separate the whole").click()
        page.get_by_role("button", name="Force it").click()
        assert null_depth(page) < -90
        assert rows(page) == ["absent bell", "Residual"]
        assert page.get_by_role("button", name="Force it").count() == 0


def test_earlier_sets_and_uploads_are_found_again(panel, made, song):
    with panel.page("#/stems") as page:
        page.get_by_role("tab", name="Earlier sets").click()
        page.get_by_role("button", name="kick, snare").first.click()
        page.locator(".track").first.wait_for()
        assert page.url.endswith(f"#/stems/job/{made}")
        page.get_by_role("tab", name="Take apart").click()
        page.get_by_label("Or one that is here").select_option(index=1)
        page.locator(".source .waveform").wait_for()


def test_the_mixer_fits_and_can_be_read_by_all(panel, made):
    with panel.page(f"#/stems/job/{made}", dark=True) as page:
        null_depth(page)
        for width in (2560, 360):
            page.set_viewport_size({"width": width, "height": 800})
            assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert not serious(page)


@pytest.fixture
def duet(tmp_path):
    """Two sounds of the factory at once."""
    sounds = [wav.read_header(FACTORY / name) for name in ("church-bell.wav", "footsteps.wav")]
    shape = {"rate": sounds[0].rate, "channels": sounds[0].channels}
    values = [[v for block in wav.samples(sound) for v in block] for sound in sounds]
    mix = array("f", (0.5 * sum(pair) for pair in zip(*values, strict=False)))
    path = tmp_path / "duet.wav"
    frames = len(mix) // shape["channels"]
    wav.write(path, [mix.tobytes()], frames=frames, bext=wav.Bext(), **shape)
    return path


def test_a_recording_is_taken_apart_by_the_model(tmp_path, duet):
    with opened(tmp_path, worker=REAL) as panel:
        with panel.page("#/stems", height=900, allowed=NEW_UPLOAD) as page:
            page.set_default_timeout(1000 * PATIENCE)
            take(page, duet)
            page.get_by_role("button", name="What is in there?").click()
            heard = page.get_by_role("list", name="What is heard").get_by_role("button")
            heard.filter(has_text="bell").first.click()
            prompt(page, "footsteps")
            page.get_by_text("Method and seed").click()
            page.get_by_label("Method", exact=True).select_option("fast")
            page.get_by_label("Force: make a stem").check()
            page.get_by_role("button", name="Separate the whole").click()
            assert null_depth(page) < -90
            assert page.locator(".track").count() == 3
            page.locator(".result").evaluate("result => result.scrollIntoView()")
            shot(page, "stems")
