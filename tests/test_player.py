"""The player as the server sees it: a process, lines in, lines out, and what one would hear."""

import io
import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from bench.stage import Process
from bridge.player import sampler
from bridge.player.audio_outputs import NoDevice, PortAudio
from bridge.player.options import Options, options
from bridge.player.player import Player
from presets import Note, Preset, ranges, save
from renderers import RENDERERS, random_patches, to_values
from renderers.noise import LOUDNESS, PERIOD

ROOT = Path(__file__).parents[1]
RATE = 48000


@pytest.fixture
def presets(tmp_path):
    """A sine and an impact as files."""
    values = {"op1_ratio": 1.0, "op1_attack": 0.001, "op1_decay": 10.0, "op1_mix": 0.5}
    values |= {"op1_from_op1": 0.0, "level": 0.5}
    save(Preset(name="sine", renderer="fm", renderer_version=1, values=values), tmp_path / "s.json")
    instrument = RENDERERS["impact"]
    u = random_patches(instrument, 1, generator=torch.Generator().manual_seed(3))[0]
    struck = to_values(instrument, u)
    save(
        Preset(name="pot", renderer="impact", renderer_version=1, values=struck, seconds=1.0),
        tmp_path / "i.json",
    )
    return tmp_path


@pytest.fixture
def offline(presets):
    process = Process("--output", "offline", "--capture", str(presets / "c.f32"))
    yield process
    process.leave()


def test_loads_play_and_end_in_a_file(offline, presets):
    ready = offline.wait("ready")
    assert (ready.output, ready.rate, ready.frames) == ("offline", RATE, 256)
    assert offline.ask(kind="load", slot=5, preset=str(presets / "s.json")).kind == "ok"
    assert offline.ask(kind="trigger", slot=5, note=69, seconds=0.3).kind == "ok"
    time.sleep(1.0)
    report = offline.ask(kind="status")
    assert report.slots == {5: "sine"}
    assert report.budget_us == pytest.approx(256 / RATE * 1e6)
    assert offline.ask(kind="sysex", data="f043000901f7").kind == "ok"
    assert offline.leave() == 0
    sound = np.fromfile(presets / "c.f32", np.float32)
    heard = np.nonzero(sound)[0]
    assert (heard[-1] - heard[0]) / RATE == pytest.approx(0.3 + 0.12, abs=0.01)
    crossings = np.nonzero((sound[:-1] < 0) & (sound[1:] >= 0))[0]
    assert (len(crossings) - 1) / (crossings[-1] - crossings[0]) * RATE == pytest.approx(
        Note(69).hz, rel=0.01
    )
    assert (presets / "c.syx").read_bytes() == bytes.fromhex("f043000901f7")
    assert offline.errors == []


def test_impacts_are_rendered_by_a_child_and_again_when_a_knob_moves(offline, presets):
    offline.wait("ready")
    assert offline.ask(kind="load", slot=1, preset=str(presets / "i.json")).kind == "ok"
    offline.wait("rendered", slot=1, note=48)
    offline.say(kind="trigger", slot=1, note=61)
    assert offline.wait("rendered", note=61).slot == 1  # struck notes come first
    offline.say(kind="param", slot=1, name="decay", position=0.2)
    offline.wait("rendered", slot=1, note=48)  # anew
    offline.say(kind="load", slot=2, preset=str(presets / "i.json"), id="late")
    offline.say(kind="load", slot=2, preset=str(presets / "s.json"), id="newer")
    assert offline.wait("refused", id="late").code == "failed"
    offline.wait("ok", id="newer")
    assert offline.ask(kind="status").slots == {1: "pot", 2: "sine"}
    offline.say(kind="unload", slot=1)
    assert offline.ask(kind="trigger", slot=1).code == "empty-slot"


def test_what_makes_no_sense_is_refused_and_the_player_lives(offline, presets):
    offline.wait("ready")
    (presets / "bad.json").write_text("{}")
    values = {"op1_ratio": 1.0, "level": 1.0}
    save(Preset(name="x", renderer="fm", renderer_version=1, values=values), presets / "v.json")
    save(Preset(name="y", renderer="harp", renderer_version=1, values={}), presets / "h.json")
    save(Preset(name="z", renderer="impact", renderer_version=1, values={}), presets / "p.json")
    for name, words in (
        ("none.json", "No such file"),
        ("bad.json", "not a preset"),
        ("v.json", "fm needs a value 'op1_attack' in 0.001..2"),
        ("h.json", "unknown renderer 'harp'"),
        ("p.json", "an impact preset has mode001_hz up to mode2048_hz"),
    ):
        refused = offline.ask(kind="load", slot=1, preset=str(presets / name))
        assert (refused.kind, refused.code) == ("refused", "bad-input")
        assert words in refused.reason
    for line in ("nonsense", "{}", '{"kind": "load", "slot": 0, "preset": "x"}', "[1]"):
        offline.child.stdin.write(line + "\n")
        offline.child.stdin.flush()
        assert offline.wait("refused").code == "bad-line"
    assert offline.ask(kind="note_on", slot=9, note=60).code == "empty-slot"
    assert offline.ask(kind="status").kind == "report"


def test_no_preset_takes_the_player_away_from_the_other_slots(offline, presets):
    offline.wait("ready")
    assert offline.ask(kind="load", slot=1, preset=str(presets / "s.json")).kind == "ok"
    good = json.loads((presets / "s.json").read_text())
    bad = {
        "op1_mix must be in 0..1, got 1e+50": good | {"values": good["values"] | {"op1_mix": 1e50}},
        "got -1e+308": good | {"values": good["values"] | {"op1_decay": -1e308}},
        "values.level: Input should be a finite number": good
        | {"values": good["values"] | {"level": float("nan")}},
        "this build plays version 1": good | {"renderer_version": 2},
        "Gain gain_db must be in range -60..60 dB, got 1e+09": good
        | {"effects": [{"kind": "Gain", "values": {"gain_db": 1e9}}]},
        "seconds": good | {"seconds": 1e30},
    }
    files = {words: json.dumps(data) for words, data in bad.items()}
    files["levels deep"] = "[" * 200_000 + "]" * 200_000
    for words, text in files.items():
        (presets / "bad.json").write_text(text)
        refused = offline.ask(kind="load", slot=2, preset=str(presets / "bad.json"))
        assert (refused.kind, refused.code, refused.slot) == ("refused", "bad-input", 2)
        assert words in refused.reason
        assert offline.ask(kind="trigger", slot=1).kind == "ok"
    assert offline.ask(kind="status").voices >= 1
    assert offline.errors == []


def test_any_fault_of_one_line_is_refused_and_the_next_is_heard(presets, monkeypatch):
    here = Here(monkeypatch)

    here.tell(kind="load", slot=1, preset=str(presets / "s.json"), id="a")
    monkeypatch.setattr(here.player, "_need", lambda _slot: 1 / 0)
    here.tell(kind="trigger", slot=1, id="b")
    here.tell(kind="panic", id="c")
    assert here.said()[-2:] == [("refused", "b"), ("ok", "c")]
    assert "ZeroDivisionError: division by zero" in here.out.getvalue()
    here.player.slots._sampler.close()


def test_a_signal_ends_it_cleanly(tmp_path):
    (tmp_path / "tmp").mkdir()
    capture = tmp_path / "c.f32"
    process = Process(
        "--output", "offline", "--capture", str(capture), TMPDIR=str(tmp_path / "tmp")
    )
    process.wait("ready")
    process.child.send_signal(signal.SIGTERM)
    assert process.child.wait(timeout=20) == 0
    process.leave()
    assert process.errors == []
    assert not list((tmp_path / "tmp").iterdir())


def test_without_a_device_slots_are_loaded_and_notes_refused(presets):
    process = Process("--output", "jack", JACK_DEFAULT_SERVER="scorewire-has-none")
    process.wait("gone")
    process.child.stdin.write('{"kind": "stat\xff\n')
    assert process.ask(kind="load", slot=3, preset=str(presets / "s.json")).kind == "ok"
    refused = process.ask(kind="trigger", slot=3)
    assert refused.code == "no-device"
    assert refused.reason.startswith("there is nothing to play on: ")
    assert process.ask(kind="sysex", data="f043000901f7").code == "no-midi"
    assert process.ask(kind="status").slots == {3: "sine"}
    assert process.leave() == 0


class Here:
    """A player without device and child; notes are rendered as ones, when asked for."""

    def __init__(self, monkeypatch, samples=4800):
        def send(sampler, request):
            sampler._current, sampler._unwanted = request, False
            self.sent.append((sampler, request))

        monkeypatch.setattr(sampler.Sampler, "_send", send)
        self.sent, self.samples, self.out = [], samples, io.StringIO()
        self.player = Player(Options("offline", "x", "", False, Path("x"), RATE, 256), self.out)

    def tell(self, **command):
        self.player._line(json.dumps(command))

    def render(self):
        """The answer to the oldest request."""
        asked, _ = self.sent.pop(0)
        ones = np.ones(self.samples, np.float32)
        (Path(asked._folder.name) / "note.f32").write_bytes(ones.tobytes())
        asked._take({"number": 0, "samples": self.samples})

    def said(self):
        lines = [json.loads(line) for line in self.out.getvalue().splitlines()]
        heard = [line for line in lines if line["kind"] != "load_begun"]
        return [(line["kind"], line.get("id", "")) for line in heard]


def test_another_rate_keeps_slots_channels_and_loads_on_their_way(presets, monkeypatch):
    here = Here(monkeypatch)
    player = here.player
    here.tell(kind="load", slot=1, preset=str(presets / "i.json"), id="a")
    here.render()
    here.tell(kind="assign", channel=1, slot=128)
    here.tell(kind="load", slot=2, preset=str(presets / "i.json"), id="b")
    player.slots.instrument.catch_up()
    play = player.slots.play_function(44100)
    while here.sent:
        here.sent.pop(0)
        if player.slots._sampler._current is not None:
            break
    here.sent = [(player.slots._sampler, player.slots._sampler._current)]
    player.slots.rebuild()
    for _ in range(4):
        here.render()
    assert ("ok", "b") in here.said()
    player.slots.instrument.catch_up()
    for slot in (1, 2):
        player.slots.instrument.press(slot, 0, 60, 100)
        assert np.abs(play((), 512)).max() > 0.025
        player.slots.instrument.silence()
        play((), 4096)
    assert player.slots.midi.channels[0].slot == 128
    assert player.slots.instrument.rate == 44100
    player.slots._sampler.close()


def test_the_newest_load_wins_at_once_and_what_it_replaces_takes_no_memory(presets, monkeypatch):
    here = Here(monkeypatch)
    free = here.player.slots._sampler.store._free[0]
    for command in "abc":
        here.tell(kind="load", slot=1, preset=str(presets / "i.json"), id=command)
    assert here.said() == [("refused", "a"), ("refused", "b")]
    here.render()  # a's note, which nobody wants
    assert here.player.slots._sampler.store._free == [free]
    here.render()
    assert here.said()[2:] == [("loaded", ""), ("ok", "c")]
    here.tell(kind="load", slot=2, preset=str(presets / "i.json"), id="d")
    here.tell(kind="unload", slot=2)
    assert here.said()[4:] == [("refused", "d")]
    here.player.slots._sampler.close()


def test_the_noise_of_a_full_voice_is_mixed_once_and_given_back(monkeypatch, tmp_path):
    """It outlives knobs that move and a change of the rate, and not the last note that has it."""
    values = {p.name: p.value(0.5) for p in ranges.fm(operators=1, voice="full")}
    save(Preset(name="wind", renderer="fm", renderer_version=1, values=values), tmp_path / "w.json")
    here = Here(monkeypatch)
    slots = here.player.slots
    free = slots._sampler.store._free[0]
    here.tell(kind="load", slot=1, preset=str(tmp_path / "w.json"), id="a")
    assert here.said() == [("loaded", ""), ("ok", "a")]
    left = [(free[0] + PERIOD, free[1] - PERIOD)]
    assert slots._sampler.store._free == left
    noise = slots._sampler.store.audio[:PERIOD]
    assert np.sqrt(np.mean(noise.astype(float) ** 2)) == pytest.approx(LOUDNESS, rel=1e-4)
    slots.instrument.catch_up()
    slots.instrument.press(1, 0, 60, 100)
    slots.instrument.block(256)
    here.tell(kind="param", slot=1, name="brightness", position=0.9)
    settle(here)
    slots.instrument.press(1, 0, 64, 100)
    slots.instrument.block(256)
    settle(here)
    assert slots._sampler.store._free == left
    slots.play_function(44100)
    slots.instrument.catch_up()
    assert slots._sampler.store._free == left
    slots.instrument.press(1, 0, 60, 100)
    here.tell(kind="unload", slot=1)
    settle(here)
    assert slots._sampler.store._free == left  # a note still has it
    slots.instrument.silence()
    slots.instrument.block(4096)
    settle(here)
    assert slots._sampler.store._free == [free]
    slots._sampler.close()


def settle(here):
    """What the main thread and the audio thread do in turns."""
    slots = here.player.slots
    slots.rebuild()
    slots.instrument.catch_up()
    while not here.player.inbox.empty():
        here.player._take(here.player.inbox.get())
    slots.free()


def test_what_is_rendered_unasked_leaves_half_of_the_store(presets, monkeypatch):
    half = sampler.STORE_SECONDS * 48000 // 2
    here = Here(monkeypatch, samples=half)
    for slot in (1, 2, 3):
        here.tell(kind="load", slot=slot, preset=str(presets / "i.json"), id=str(slot))
        here.render()
        while here.sent:
            here.render()
    said = here.said()
    assert ("ok", "1") in said
    assert ("ok", "2") in said
    assert ("refused", "3") in said
    here.player.slots._sampler.close()


@pytest.mark.parametrize("arguments", [("--frames", "0"), ("--frames", "9000"), ("--rate", "1")])
def test_blocks_and_rates_have_limits(arguments, capsys):
    with pytest.raises(SystemExit):
        options([*arguments])
    assert f"{arguments[0]} must be " in capsys.readouterr().err


def test_the_offline_output_asks_for_its_file(capsys):
    with pytest.raises(SystemExit):
        options(["--output", "offline"])
    assert "needs --capture FILE" in capsys.readouterr().err


def test_a_sound_card_that_is_taken_is_no_device_yet(monkeypatch):
    class Taken(Exception):
        pass

    def taken(**_):
        raise Taken("Device unavailable")

    card = SimpleNamespace(
        PortAudioError=Taken, OutputStream=taken, _terminate=lambda: None, _initialize=lambda: None,
        query_devices=lambda *_: {"name": "Card", "default_samplerate": 44100.0, "index": 0},
    )  # fmt: skip
    monkeypatch.setitem(sys.modules, "sounddevice", card)
    monkeypatch.setitem(sys.modules, "rtmidi", None)
    with pytest.raises(NoDevice, match="Card cannot be opened: Device unavailable"):
        PortAudio("x", lambda _: lambda *_: None, device="", frames=256)


def test_the_player_loads_no_torch():
    program = (
        "import bridge.player.__main__, sys; print('torch' in sys.modules, 'numba' in sys.modules)"
    )
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        capture_output=True, text=True, check=False, cwd=ROOT,
    )  # fmt: skip
    assert (run.returncode, run.stdout.split(), run.stderr) == (0, ["False", "True"], "")
