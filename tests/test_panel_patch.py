"""The room Patch in a real browser: a search heard as it runs, keys, knobs, what is made of it."""

import json
import re
from pathlib import Path

import pytest

import presets
from tests.browser import REAL, opened, serious, shot

FACTORY = Path(presets.__file__).parent / "factory"
PATIENCE_MS = 120_000  # workers start, and compiled kernels are read, on machines that do more
PROMPT = "glass bell <b id=evil>x</b>"

# Everything that plays goes through a tap as well, from which level and pitch are read.
TAP = """() => {
  const connect = AudioNode.prototype.connect;
  const taps = new Map();
  AudioNode.prototype.connect = function (to, ...rest) {
    if (to instanceof AudioDestinationNode && to.context instanceof AudioContext) {
      if (!taps.has(to.context)) {
        const tap = new AnalyserNode(to.context, { fftSize: 16384, smoothingTimeConstant: 0 });
        taps.set(to.context, tap);
      }
      connect.call(this, taps.get(to.context));
    }
    return connect.call(this, to, ...rest);
  };
  window.heard = () => {
    let [peak, hz] = [0, 0];
    for (const [context, tap] of taps) {
      const wave = new Float32Array(tap.fftSize);
      tap.getFloatTimeDomainData(wave);
      for (const value of wave) peak = Math.max(peak, Math.abs(value));
      const bins = new Float32Array(tap.frequencyBinCount);
      tap.getFloatFrequencyData(bins);
      const top = bins.indexOf(Math.max(...bins));
      hz = (top * context.sampleRate) / tap.fftSize;
    }
    return { peak, hz };
  };
}"""
# Stands in for a keyboard: Chromium asks the sequencer of ALSA, /dev/snd/seq, which is rarely here.
MIDI = """() => {
  const input = { name: "Test keys", onmidimessage: null };
  navigator.requestMIDIAccess = async () => ({ inputs: new Map([["1", input]]) });
  window.midi = (...data) => input.onmidimessage({ data: new Uint8Array(data) });
}"""

BRIGHTEST = """(canvas) => Math.max(...canvas.getContext("2d")
  .getImageData(0, 0, canvas.width, canvas.height).data.filter((value, i) => i % 4 === 0))"""


@pytest.fixture(scope="module")
def panel(tmp_path_factory):
    with opened(tmp_path_factory.mktemp("panel"), worker=REAL, grace=3.0) as panel:
        yield panel


@pytest.fixture(scope="module")
def page(panel):
    with panel.page("#/patch", allowed=("404",)) as page:  # of uploads that are not there yet
        page.set_default_timeout(PATIENCE_MS)
        page.evaluate(TAP)
        page.evaluate(MIDI)
        yield page


@pytest.fixture
def kalimba(panel, page):
    """The keyboard with a patch that comes with Scorewire, as it came."""
    page.evaluate("location.hash = '#/patch'")
    page.evaluate("document.querySelectorAll('.dial').forEach(dial => { dial.dataset.old = 1; })")
    page.evaluate("location.hash = '#/patch/factory/kalimba.json'")
    page.get_by_role("heading", name="On the keyboard: Kalimba", exact=True).wait_for()
    page.locator(".dial:not([data-old])").first.wait_for()  # not those of the test before
    return page


def strongest(page):
    """Peak and strongest frequency of what sounds, once it does."""
    until(page, lambda heard: heard["peak"] > 0.01)
    page.wait_for_timeout(150)
    return page.evaluate("heard()")


def quiet(page):
    until(page, lambda heard: heard["peak"] < 0.001)


def until(page, holds):
    """Wait for a level; the page's policy lets no function of playwright's wait there."""
    for _ in range(400):
        if holds(page.evaluate("heard()")):
            return
        page.wait_for_timeout(25)
    raise AssertionError(page.evaluate("heard()"))


def test_a_search_is_seen_and_heard_while_it_runs(page):
    page.get_by_label("Prompt").fill(PROMPT)
    page.get_by_label("Model").select_option("default")
    page.get_by_label("Recipe").select_option("fast")
    page.get_by_label("Renderer").select_option("fm")
    page.get_by_text("More", exact=True).click()
    page.get_by_label("Seconds of sound").fill("0,5")
    page.get_by_label("Distillation steps").fill("3")
    page.get_by_role("button", name="Start", exact=True).click()
    page.get_by_role("button", name="Play best 1").click()
    assert strongest(page)["peak"] > 0.05
    page.get_by_role("heading", name="What was found").wait_for()
    assert page.locator("#evil").count() == 0
    assert page.get_by_role("heading", name=f"Search: {PROMPT}").count() == 1
    for name in ("score", "loss"):
        points = page.locator(f".curve.{name}").get_attribute("points")
        assert len(points.split()) >= 2, name
    assert float(page.locator("figure output").first.text_content()) > 0.1
    for name in ("What it began with", "What was found"):
        picture = page.get_by_role("img", name=f"{name}: spectrogram")
        assert picture.evaluate(BRIGHTEST) > 200, name
    page.get_by_role("heading", name=f"On the keyboard: {PROMPT}").wait_for()
    assert not serious(page)
    page.set_viewport_size({"width": 1280, "height": 1600})
    shot(page, "patch")
    page.set_viewport_size({"width": 1280, "height": 800})


def test_keys_sound_at_their_pitch_by_mouse_computer_and_midi(kalimba):
    page = kalimba
    quiet(page)
    page.get_by_role("button", name="C5", exact=True).hover()
    page.mouse.down()
    low = strongest(page)
    page.mouse.up()
    quiet(page)
    page.locator("h2").first.click()
    page.keyboard.down("k")  # the C above the lowest one
    high = strongest(page)
    page.keyboard.up("k")
    assert low["hz"] == pytest.approx(523.25, rel=0.02)
    assert high["hz"] == pytest.approx(523.25, rel=0.02)
    quiet(page)
    page.get_by_role("button", name="Use a MIDI keyboard").click()
    page.get_by_role("button", name="Test keys").wait_for()
    page.evaluate("midi(0x90, 84, 50)")
    soft = strongest(page)
    page.evaluate("midi(0x80, 84, 0)")
    assert soft["hz"] == pytest.approx(1046.5, rel=0.02)
    assert soft["peak"] < 0.4 * max(low["peak"], 0.5)


def test_a_turned_knob_renders_again_at_once_and_is_heard(kalimba):
    page = kalimba
    times = []
    level = page.get_by_role("slider", name="Whole sound, level")
    level.focus()
    for key in ("Home", "ArrowUp", "PageUp", "PageUp", "PageUp"):
        level.press(key)
        page.get_by_label("Rendering time").filter(has_text="ms").wait_for()
        times.append(page.get_by_label("Rendering time").text_content())
    assert all(re.fullmatch(r"rendered in \d+ ms", text) for text in times), times
    page.get_by_role("button", name="Whole sound, level: ").click()
    page.get_by_label("Whole sound, level in x").fill("0,1")
    page.keyboard.press("Enter")
    assert level.get_attribute("aria-valuetext") == "0.1 x"
    page.get_by_label("Rendering time").filter(has_text="ms").wait_for()
    quiet(page)
    page.get_by_role("button", name="Play", exact=True).last.click()
    soft = strongest(page)["peak"]
    page.get_by_role("button", name="As it came").click()
    page.get_by_label("Rendering time").filter(has_text="ms").wait_for()
    quiet(page)
    page.get_by_role("button", name="Play", exact=True).last.click()
    assert strongest(page)["peak"] == pytest.approx(10 * soft, rel=0.1)


def test_what_is_kept_is_in_library_and_slot(panel, kalimba):
    page = kalimba
    page.get_by_label("Name", exact=True).fill("My <i>kalimba</i>")
    page.get_by_label("Tags").fill("warm, mine")
    page.get_by_label("Slot").fill("7")
    page.get_by_label("Slot").press("Enter")
    page.get_by_role("button", name="Put in slot 7").click()
    page.get_by_text("is in slot 7").wait_for()
    slots = panel.http.ask("GET", "/v1/slots").json["slots"]
    entry = panel.http.ask("GET", f"/v1/library/{slots['7']['file']}").json
    assert (entry["name"], entry["tags"], entry["preview"]) == (
        "My <i>kalimba</i>",
        ["warm", "mine"],
        True,
    )
    values = json.loads((FACTORY / "kalimba.json").read_text(encoding="utf-8"))["values"]
    assert entry["preset"]["values"] == pytest.approx(values)


def test_it_is_compared_varied_morphed_changed_and_exported(kalimba):
    page = kalimba
    page.get_by_label("Compare with a library preset").fill("pizz")
    page.get_by_role("button", name="Pizzicato (factory)").click()
    page.get_by_role("button", name="C: Pizzicato", pressed=True).wait_for()
    page.get_by_role("button", name="B: as saved").click()
    page.get_by_label("Towards").fill("harp")
    page.get_by_role("button", name="Harp (factory)").click()
    page.get_by_label("Steps", exact=True).fill("3")
    page.get_by_label("Steps", exact=True).press("Enter")
    page.get_by_role("button", name="Morph", exact=True).click()
    made = page.get_by_label("From Kalimba to Harp").get_by_role("button", name="Play")
    made.nth(2).wait_for()
    assert made.count() == 3
    page.get_by_role("button", name="10 near this").click()
    near = page.get_by_label("10 near Kalimba")
    near.get_by_role("button", name="10 to the keyboard").click()
    page.get_by_role("button", name="B: Kalimba").wait_for()
    page.get_by_label("Format").select_option(label="SFZ")
    page.get_by_role("button", name="Export", exact=True).click()
    row = page.get_by_role("region", name="What was exported").locator("tbody tr")
    row.wait_for()
    assert page.get_by_role("link", name=".sfz").count() == 1


def test_a_word_changes_it_and_its_start_stays_to_compare_with(kalimba):
    page = kalimba
    page.get_by_role("button", name="darker", exact=True).click()
    page.get_by_role("heading", name="On the keyboard: Kalimba, darker").wait_for()
    page.get_by_role("button", name="B: Kalimba").click()
    quiet(page)
    page.get_by_role("button", name="Play", exact=True).last.click()
    assert strongest(page)["peak"] > 0.05


def test_a_reload_loses_nothing_and_a_search_can_be_cancelled(page):
    page.reload()
    page.get_by_role("heading", name="What was found").wait_for()
    assert len(page.locator(".curve.score").get_attribute("points").split()) >= 2
    page.get_by_label("Prompt").fill("kick drum")
    page.get_by_label("Model").select_option("gaussian")
    page.get_by_role("button", name="Start", exact=True).click()
    page.get_by_role("heading", name="Search: kick drum").wait_for()
    page.reload()
    page.get_by_role("heading", name="Search: kick drum").wait_for()
    page.get_by_role("button", name="Cancel").click()
    page.get_by_text("cancelled", exact=True).wait_for()
    page.get_by_role("button", name="Start", exact=True).wait_for()


# What needs no sound: functions of the room's modules, called in the page.


def called(page, module, expression):
    """The value of an expression in which `m` is a module of the room."""
    return page.evaluate(f"import('/panel/rooms/patch/{module}.js').then((m) => {expression})")


@pytest.mark.parametrize("scale", ["log", "linear"])
def test_a_knob_stands_where_scorewire_has_it(page, scale):
    param = presets.Param("x", 20.0, 20000.0, "Hz", scale)
    row = json.dumps({"name": "x", "low": 20, "high": 20000, "unit": "Hz", "scale": scale})
    assert called(page, "preset", f"m.valueAt({row}, 0.3)") == pytest.approx(param.value(0.3))
    assert called(page, "preset", f"m.positionOf({row}, 440)") == pytest.approx(param.position(440))
    assert called(page, "preset", f"m.words({row}, 1067.05)") == "1.07 kHz"


def test_notes_of_keys_and_of_midi(page):
    notes = called(page, "keys", "['KeyA', 'KeyW', 'KeyK', 'KeyZ'].map((k) => m.noteOfKey(k, 60))")
    assert notes == [60, 61, 72, None]
    key = called(
        page, "keys", "[[0x91, 60, 99], [0x90, 60, 0], [0xb0, 1, 2]].map((d) => m.midiKey(d))"
    )
    assert key == [
        {"on": True, "note": 60, "velocity": 99}, {"on": False, "note": 60, "velocity": 0}, None,
    ]  # fmt: skip
    assert called(page, "player", "[50, 100, 127].map(m.gainOf)") == pytest.approx(
        [presets.Note(60, v).gain for v in (50, 100, 127)]
    )


def test_what_a_search_asks_for_and_what_tags_change(page):
    form = {"prompt": "bell", "renderer": "fm", "recipe": "fast", "model": "", "count": 2,
            "duration": "1,5", "steps": "", "seed": "x"}  # fmt: skip
    assert "seed: a number" in called(page, "form", f"m.bodyOf({json.dumps(form)}).wrong")
    body = called(page, "form", f"m.bodyOf({json.dumps(form | {'seed': '7'})}).body")
    assert body == {"kind": "patch", "prompt": "bell", "renderer": "fm", "recipe": "fast",
                    "count": 2, "duration": 1.5, "seed": 7}  # fmt: skip
    change = called(page, "keep", "m.tagChange(['a', 'b'], ['b', 'c'])")
    assert change == {"add_tags": ["c"], "remove_tags": ["a"]}
    assert called(page, "keep", "m.tagChange(['a'], ['a'])") is None
    rows = "[{x: 0}, {x: 0.5, score: 0.2}, {x: 1, score: 0.4}]"
    assert called(page, "curves", f"m.line({rows}, 'score', 100, 10)") == "50.0,8.0 100.0,2.0"
