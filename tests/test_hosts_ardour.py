"""Ardour: sessions it opens and renders, actions in its menu, and the whole loop in a real one."""

import base64
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import soundfile as sf
from lupa import lua53
from pythonosc.osc_message import OscMessage

from bench import ardour as real
from bridge.files import wav
from bridge.hosts import HOSTS, INSTALLERS, ardour, ardour_install, ardour_session
from bridge.hosts.layout import Layout, Track, layout
from bridge.service.config import Config
from bridge.stems import manifest as stems
from bridge.stems import null_test
from bridge.stems.tempo import Tempo
from tests.children import first_line
from tests.peers import peer
from tests.test_hosts_dawproject import RATE, stem_set
from tests.test_osc import COMMAND, KEY, Client, Running

ROOT = Path(__file__).parents[1]
SAVED = Path(__file__).parent / "data" / "ardour" / "ui_scripts"
START = 12_345
LOAD = """function say(...)
  local line = "@"
  for _, value in ipairs({{...}}) do line = line .. "\\t" .. tostring(value) end
  print(line)
end
AudioEngine:set_backend("None (Dummy)", "", "")
load_session("{folder}", "{name}")
for t in Session:get_tracks():iter() do
  for r in t:to_track():playlist():region_list():iter() do
    say(t:name(), t:presentation_info_ptr():color(), r:position():samples(),
      r:length():samples(), t:muted(), t:gain_control():get_value())
  end
end
say(Temporal.TempoMap.read():quarters_per_minute_at(Temporal.timepos_t({rate})))
quit()
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    peer("ardour", "xvfb")
    real.home(tmp_path / "home", rate=RATE)
    return tmp_path / "home"


# sessions


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_a_session_renders_to_the_sum_of_its_stems(tmp_path, home, channels):
    manifest = stem_set(tmp_path / "stems", start=START, channels=channels)
    (tmp_path / "out").mkdir()
    file = HOSTS["ardour"].place_audio(manifest, tmp_path / "out").files[0]
    real.export(file, tmp_path / "heard.wav", home)
    heard, rate = sf.read(tmp_path / "heard.wav", always_2d=True)
    gains = {"a": 1.0, "b": 10 ** (-6 / 20), "r": 1.0}
    parts = [
        gain * sf.read(tmp_path / "stems" / f"{name}.wav", always_2d=True)[0]
        for name, gain in gains.items()
    ]
    expected = np.pad(sum(parts), ((START, 0), (0, 0)))
    if channels == 1:
        expected = np.repeat(expected, 2, axis=1)
    assert (rate, heard.shape) == (RATE, expected.shape)
    assert np.abs(heard - expected).max() < 3e-7
    assert np.vdot(heard, expected) / np.vdot(expected, expected) == pytest.approx(1, abs=1e-7)


def test_ardour_reads_names_colours_places_gains_and_tempo(tmp_path, home):
    manifest = stem_set(tmp_path / "stems", start=START, tempo=((0, 97.5), (4, 60)))
    file = HOSTS["ardour"].place_audio(manifest, tmp_path).files[0]
    script = tmp_path / "load.lua"
    script.write_text(LOAD.format(folder=tmp_path, name=file.stem, rate=3 * RATE))
    said = subprocess.run(
        [real.LUA, str(script)], env={**os.environ, "HOME": str(home)}, check=True,
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    *tracks, tempo = [line.split("\t") for line in said.stdout.splitlines() if line[:1] == "@"]
    names = ["kick & <snare>", 'Håkan\'s "7ths" 🎷', "residual", "source"]
    assert [track[1] for track in tracks] == names
    colours = ["e69f00ff", "56b4e9ff", "808080ff", "808080ff"]
    assert [f"{int(track[2]):08x}" for track in tracks] == colours
    frames = str(stems.load(manifest).frames)
    assert {tuple(track[3:5]) for track in tracks} == {(str(START), frames)}
    assert [track[5] for track in tracks] == ["false", "false", "false", "true"]
    assert [float(track[6]) for track in tracks] == pytest.approx([1, 10 ** (-6 / 20), 1, 1])
    assert float(tempo[1]) == 60  # 3 s are past beat 4, which comes after 2.46 s


def test_a_session_that_ardour_has_saved_is_not_written_over(tmp_path):
    manifest = stem_set(tmp_path / "stems")
    file = HOSTS["ardour"].place_audio(manifest, tmp_path / "a.ardour").files[0]
    HOSTS["ardour"].place_audio(manifest, file)  # ours, as we left it
    file.write_text(file.read_text().replace('modified-with="Scorewire', 'modified-with="Ardour'))
    with pytest.raises(ValueError, match=r"Ardour has saved it: choose another folder$"):
        HOSTS["ardour"].place_audio(manifest, file)


@pytest.mark.parametrize("rate", [8000, 11025, 22050, 44100, 48000, 88200, 96000, 192000, 384000])
def test_a_sample_is_a_whole_number_of_superclock_ticks(rate):
    assert ardour_session.SUPERCLOCK % rate == 0


# actions


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration folder whose third action is a user's own, as Ardour 7.3 has saved it."""
    folder = tmp_path / "ardour7"
    folder.mkdir()
    text = SAVED.read_text()
    (folder / "ui_scripts").write_text(
        ardour_install.write_slots(text, {3: ardour_install.read_slots(text)[3]})
    )
    return folder


def slots(folder: Path) -> dict[int, str]:
    found = ardour_install.read_slots((folder / "ui_scripts").read_text())
    return {slot: ardour_install.name_of(script) for slot, script in found.items()}


OURS = {1: "Scorewire: separate selection", 2: "Scorewire: import stems"}
THEIRS = {3: "Shortcut - Common/Save"}
ACCOMPANY = "Scorewire: accompany selection"


def test_what_ardour_saved_is_read_and_written_again_as_it_is():
    text = SAVED.read_text()
    found = ardour_install.read_slots(text)
    names = {slot: ardour_install.name_of(script) for slot, script in found.items()}
    assert names == OURS | THEIRS
    program = base64.b64decode(re.search(r">([^<]{9,})<", text)[1])
    again = base64.b64decode(re.search(r">([^<]{9,})<", ardour_install.write_slots(text, found))[1])
    assert again.split() == program.split()


def test_installing_keeps_other_scripts_and_uninstalling_restores_them(config):
    before = (config / "ui_scripts").read_text()
    theirs = ardour_install.read_slots(before)
    INSTALLERS["ardour"].install(config, force=False)
    assert slots(config) == THEIRS | OURS | {4: ACCOMPANY}
    assert ardour_install.read_slots((config / "ui_scripts").read_text())[3] == theirs[3]
    assert (config / "ui_scripts.before-scorewire").read_text() == before
    once = (config / "ui_scripts").read_bytes()
    (config / "scorewire.conf").write_text("port 9999\nprompt my words\n")
    INSTALLERS["ardour"].install(config, force=False)
    assert (config / "ui_scripts").read_bytes() == once
    assert "my words" in (config / "scorewire.conf").read_text()
    assert sorted(f.name for f in (config / "scripts").iterdir()) == sorted(ardour_install.FILES)
    INSTALLERS["ardour"].uninstall(config, force=False)
    assert slots(config) == THEIRS
    assert ardour_install.read_slots((config / "ui_scripts").read_text()) == theirs
    assert not (config / "scripts").exists()
    assert (config / "ui_scripts.before-scorewire").read_text() == before
    assert INSTALLERS["ardour"].uninstall(config, force=True).files == (config / "scorewire.conf",)


def test_a_first_installation_needs_no_ui_scripts(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    with pytest.raises(ValueError, match=r"start Ardour once, or name the folder with --path$"):
        INSTALLERS["ardour"].install(None, force=False)
    for version in ("ardour6", "ardour7", "ardourX"):
        (tmp_path / version).mkdir()
    INSTALLERS["ardour"].install(None, force=False)
    assert [slots(tmp_path / version) for version in ("ardour6", "ardour7")] == [
        OURS | {3: ACCOMPANY}
    ] * 2
    assert not (tmp_path / "ardourX" / "ui_scripts").exists()


def test_the_file_is_the_lua_program_that_ardour_restores(tmp_path):
    """As its ScriptManager does: run the program, load each factory, call it with the arguments."""
    INSTALLERS["ardour"].install(tmp_path, force=False)
    tag = ElementTree.parse(tmp_path / "ui_scripts").getroot().find("ActionScript")
    lua = lua53.LuaRuntime(encoding="utf-8")
    lua.execute(base64.b64decode(tag.text).decode())
    scripts = lua.globals().scripts
    for slot, name in enumerate(ardour_install.FILES, start=1):
        script = scripts[slot]
        assert script.s == (ardour_install.SCRIPTS / name).read_text()
        assert script.n == (OURS | {3: ACCOMPANY})[slot]
        factory = lua.globals().load(script.f)
        assert lua53.lua_type(factory(script.a)) == "function"


def test_a_file_that_is_not_understood_is_left_alone(config):
    text = ardour_install.write_slots(SAVED.read_text(), {1: b"scripts[1] = os.exit() "})
    (config / "ui_scripts").write_text(text)
    with pytest.raises(ValueError, match=r"^ui_scripts holds "):
        INSTALLERS["ardour"].install(config, force=False)
    assert (config / "ui_scripts").read_text() == text


# a region's sound


def test_a_region_is_cut_bit_by_bit_out_of_its_files(tmp_path):
    random = np.random.default_rng(2)
    left = random.uniform(-1, 1, 100_000).astype("f4")
    other = random.integers(-(2**23), 2**23, (100_000, 2))
    sf.write(tmp_path / "a%L.wav", left, 48000, subtype="FLOAT")
    sf.write(tmp_path / "b.wav", (other * 256).astype("i4"), 48000, subtype="PCM_24")
    region = ardour.Region(
        "take 1", ((0, tmp_path / "a%L.wav"), (1, tmp_path / "b.wav")), 777, 70_001, 2**33, 48000
    )
    ardour.write_region(region, tmp_path / "out.wav")
    found, rate = sf.read(tmp_path / "out.wav", dtype="float32")
    span = slice(777, 777 + 70_001)
    assert rate == 48000
    np.testing.assert_array_equal(found, np.stack([left[span], other[span, 1] / 2**23], axis=1))
    assert wav.read_header(tmp_path / "out.wav").bext.time_reference == 2**33


def test_regions_that_cannot_be_cut_are_refused_in_one_sentence(tmp_path):
    sf.write(tmp_path / "a.wav", np.zeros(100), 48000, subtype="FLOAT")
    sf.write(tmp_path / "a.flac", np.zeros(100), 48000)
    sf.write(tmp_path / "slow.wav", np.zeros(100), 44100, subtype="FLOAT")

    def cut(name="a.wav", channel=0, start=0, length=100):
        region = ardour.Region("r", ((channel, tmp_path / name),), start, length, 0, 48000)
        ardour.write_region(region, tmp_path / "out.wav")

    cut()
    for why, changes in (
        (r"^a.flac is not a WAV file; bounce the region in Ardour first$", {"name": "a.flac"}),
        (r"^slow.wav is at 44100 Hz, and the session at 48000; bounce", {"name": "slow.wav"}),
        (r"^a.wav has 1 channels, and no channel 1$", {"channel": 1}),
        (r"^a.wav has 100 samples, the region plays 1 .. 101$", {"start": 1}),
        (r"^length must be at least 1 sample, got 0$", {"length": 0}),
    ):
        with pytest.raises(ValueError, match=why):
            cut(**changes)
    with pytest.raises(ValueError, match=r"lines of a channel, a tab and a path, got '0 /a'$"):
        ardour.sources("0 /a")
    with pytest.raises(ValueError, match="regions must begin with a line of track, position, st"):
        ardour.track_region("Bass\t5\t0\n0\t/a", 48000)


def test_a_region_is_silent_beside_what_it_plays(tmp_path):
    sound = np.random.default_rng(2).uniform(-1, 1, 100).astype("f4")
    sf.write(tmp_path / "a.wav", sound, 48000, subtype="FLOAT")
    region = ardour.track_region(f"Bass\t1000\t20\t50\n0\t{tmp_path / 'a.wav'}", 48000)
    ardour.write_region(region, tmp_path / "out.wav", (990, 1100))
    found, _ = sf.read(tmp_path / "out.wav", dtype="float32")
    np.testing.assert_array_equal(found, np.pad(sound[20:70], (10, 50)))
    assert wav.read_header(tmp_path / "out.wav").bext.time_reference == 990


# the loop: a server of ours, and Ardour or a socket in its place


class Serving:
    """`scorewire serve` in a process of its own."""

    def __init__(self, folder: Path, **settings: str) -> None:
        settings = {"OSC_PORT": "0", "HTTP_PORT": "0", "DATA": str(folder / "data")} | settings
        environment = {**os.environ, **{f"SCOREWIRE_{k}": v for k, v in settings.items()}}
        self.errors = (folder / "server.log").open("w")
        self.child = subprocess.Popen(
            [sys.executable, "-m", "bridge.cli", "-v", "serve", "--json"], cwd=ROOT,
            env=environment, stdout=subprocess.PIPE, stderr=self.errors, text=True,
        )  # fmt: skip
        self.port = json.loads(first_line(self.child))["port"]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        real.ended(self.child)
        self.child.stdout.close()
        self.errors.close()


@pytest.fixture
def asked(tmp_path):
    """A server with a worker that does as it is told, an Ardour that is a socket, a session."""
    config = Config(osc_port=0, data=tmp_path / "data", worker=COMMAND, osc_key=KEY)
    (tmp_path / "song").mkdir()
    (tmp_path / "song" / "song.ardour").touch()
    sf.write(tmp_path / "song" / "a.wav", np.zeros(48_000), 48_000, subtype="FLOAT")
    server = Running(config)
    client = Client(server.port)
    double = Client(0)

    def ask(req, prompt, **changes):
        said = {"session": tmp_path / "song", "region": "Take 1", "position": 5, "start": 10}
        said |= {"length": 9_000, "rate": 48_000, "tempo": 97.5}
        said |= {"sources": f"0\t{tmp_path / 'song' / 'a.wav'}"} | changes
        options = [f"port={double.port}", "action=LuaAction/script-7", f"key={ask.key}"]
        options = [option for option in options if option != "key="]
        arguments = [*map(str, said.values()), prompt, *options]
        return client.ask("/scorewire/host/ardour/separate", req, *arguments)

    def fired():
        message = OscMessage(double.socket.recv(65536))
        return message.address, *message.params

    ask.client, ask.key, ask.port = client, KEY, double.port
    yield ask, fired, tmp_path / "song" / "scorewire"
    server.stop()
    client.socket.close()
    double.socket.close()


def test_the_answer_lies_beside_the_session_and_the_action_is_fired_when_all_is_over(asked):
    ask, fired, folder = asked
    name, (req, job) = ask(7, "crash")
    assert (name, req) == ("accepted", 7)
    assert (folder / "7" / "answer").read_text() == f"accepted\t{job}\n"
    region, _ = sf.read(folder / "7" / "take-1.wav")
    assert region.size == 9_000
    assert fired() == ("/access_action", "LuaAction/script-7")
    assert (folder / "7" / "import").read_text().startswith("failed\tthe worker ")
    assert fired() == ("/access_action", "LuaAction/script-7")  # until it is taken
    (folder / "7" / "import").rename(folder / "7" / "imported")
    assert ask(7, "crash") == ("ok", [7])  # counts once


def test_without_the_key_nothing_is_written_into_a_session(asked):
    ask, _, folder = asked
    ask.key = ""
    name, (_, _, code, text, _) = ask(7, "ok")
    assert (name, code) == ("fail", "bad-input")
    assert "is outside the folders allowed without the key" in text
    ask.key = "somebody-elses"
    assert ask(7, "ok")[1][2] == "bad-key"
    assert not folder.exists()


def test_how_far_it_is_lies_beside_the_session_too(asked):
    ask, _, folder = asked
    job = ask(7, "slow")[1][1]
    assert (folder / "7" / "progress").is_file()
    other = ask(8, "slow")[1][1]
    assert (folder / "8" / "progress").read_text() == "waits for 1 other job(s)\n"
    for one in (other, job):
        assert ask.client.ask("/scorewire/cancel", 9, one) == ("ok", [9])


def test_a_session_that_was_moved_keeps_the_news_from_nobody(asked, tmp_path):
    ask, _, folder = asked
    assert ask.client.ask("/scorewire/subscribe", 1, 60, "topics=jobs") == ("ok", [1])
    assert ask(7, "slow")[0] == "accepted"
    (tmp_path / "song").rename(tmp_path / "elsewhere")
    ask.client.send("/scorewire/cancel", 8, "last")
    while (heard := ask.client.receive())[0] != "cancelled":
        pass
    assert heard[1][0] == 1
    assert not folder.exists()


def test_nonsense_is_refused_where_the_action_looks(asked):
    ask, _, folder = asked
    for req, why, changes in (
        (1, "position must be a whole number, got 'x'", {"position": "x"}),
        (2, "session must be the folder of an Ardour session, got '/'", {"session": "/"}),
        (3, "file /gone.wav does not exist", {"sources": "0\t/gone.wav"}),
        (4, "sources must be lines of a channel, a tab and a path, got 'x'", {"sources": "x"}),
    ):
        name, (_, _, _, text, _) = ask(req, "ok", **changes)
        assert (name, text) == ("fail", why)
    refused = {place.parent.name: place.read_text() for place in folder.glob("*/answer")}
    assert sorted(refused) == ["3", "4"]
    assert refused["3"] == "refused\tfile /gone.wav does not exist\n"


def test_regions_of_named_tracks_are_given_from_the_first_begin_to_the_last_end(asked):
    ask, fired, folder = asked
    song = folder.parent
    line = f"0\t{song / 'a.wav'}"
    regions = (f"Bass DI\t100\t10\t9000\n{line}", f"Drums\t200\t0\t9000\n{line}\n{line}")

    def accompany(req, *values):
        port = f"port={ask.port}"
        said = (song, 48_000, 97.5, *values, port, "action=LuaAction/script-7", f"key={KEY}")
        address = "/scorewire/host/ardour/accompany"
        return ask.client.ask(address, req, *map(str, said[:3]), *said[3:])

    name, (req, job) = accompany(7, *regions, "prompt=crash", "add=piano")
    assert (name, req) == ("accepted", 7)
    assert (folder / "7" / "answer").read_text() == f"accepted\t{job}\n"
    assert fired() == ("/access_action", "LuaAction/script-7")
    headers = [wav.read_header(folder / "7" / f"given-{name}.wav") for name in ("bass", "drums")]
    assert {(h.frames, h.bext.time_reference) for h in headers} == {(9_100, 100)}
    assert [h.channels for h in headers] == [1, 2]
    for req, why, values in (
        (8, "the name 'Lead' says none of bass, drums,", (f"Lead\t1\t0\t9\n{line}",)),
        (9, "'bass' is a second track of bass", (regions[0], f"bass\t1\t0\t9\n{line}")),
        (10, "given bass /gone.wav does not exist", ("Bass\t1\t0\t9\n0\t/gone.wav",)),
        (11, "regions must be at least 1, got none", ()),
        (12, "add: must name stems that are not given", (regions[0], "add=bass")),
    ):
        name, (_, _, _, text, _) = accompany(req, *values)
        assert (name, text[: len(why)]) == ("fail", why)
        assert (folder / str(req) / "answer").read_text().startswith(f"refused\t{why}")


def region_of(folder: Path, mix: np.ndarray, *, trim: int, length: int, name: str = "mix") -> Path:
    """A session with one region: `length` frames from `trim` on of a file, at START."""
    folder.mkdir()
    sf.write(folder / "mix.wav", mix, RATE, subtype="FLOAT")
    track = Track(name, folder / "mix.wav")
    placing = Layout(
        name="song", rate=RATE, channels=2, frames=len(mix), start_samples=START,
        tempo=Tempo(((0, 97.5),)), tracks=(track,), source=None,
    )  # fmt: skip
    file = ardour_session.write(placing, folder / "song.ardour").files[0]
    tree = ElementTree.parse(file)
    region = tree.find("Playlists/Playlist/Region")
    region.set("start", ardour_session.clock(placing, trim))
    lasts = ardour_session.clock(placing, length)
    region.set("length", f"{lasts}@{ardour_session.clock(placing, START)}")
    tree.write(file)
    real.listening(file)
    return file


def test_from_a_selected_region_to_named_tracks_that_null_against_it(tmp_path, home):
    """Real Ardour, our server and the default model: nothing in this loop is a double."""
    sound, rate = sf.read(ROOT / "examples" / "data" / "mixture.flac", dtype="float32")
    assert rate == RATE
    trim, length = 5_000, 4 * RATE  # shorter, and the saxophone counts as absent
    mix = np.stack([sound, 0.8 * sound], axis=1)[: trim + length + 3_000]
    file = region_of(tmp_path / "song", mix, trim=trim, length=length)
    folder, config = tmp_path / "song" / "scorewire", home / ".config" / "ardour7"
    INSTALLERS["ardour"].install(config, force=False)
    with Serving(tmp_path) as server, real.Ardour(file, home) as daw:
        (config / "scorewire.conf").write_text(
            f"port {server.port}\ndialog no\nmute yes\n"
            "method masks\nprompt saxophone\nprompt sea waves\n"
            f"token {tmp_path / 'data' / 'token'}\n"
        )
        daw.ready(regions=1)
        daw.act("LuaAction/script-1")
        (answer,) = real.until(lambda: list(folder.glob("*/answer")), "the action is answered")
        assert answer.read_text().startswith("accepted\tj"), answer.read_text()
        place = answer.parent
        real.until(lambda: (place / "imported").exists(), "the stems are imported", 120)
        real.until(lambda: (folder / "pending").stat().st_size == 0, "the action is through")
        daw.save()
        daw.act("Common/Quit")
        daw.child.wait(timeout=real.PATIENCE)
    assert "failed" not in (place / "imported").read_text()
    manifest = stems.load(place / "stems.json")
    assert (manifest.start_samples, manifest.frames) == (START, length)
    assert manifest.start_beats == pytest.approx(START / RATE * 97.5 / 60)
    assert null_test.verify(place / "stems.json") < -100
    _named_and_placed(file, place / "stems.json")
    _bit_exact(file, place, manifest)
    real.export(file, tmp_path / "heard.wav", home)  # the region is muted: this is the stems' sum
    heard, _ = sf.read(tmp_path / "heard.wav", always_2d=True)
    expected = mix[trim : trim + length].astype(float)
    fade = 64  # what Ardour gives to both ends of every region it imports
    inner = slice(START + fade, START + length - fade)
    error = heard[inner] - expected[fade:-fade]
    assert np.sum(error**2) < 1e-10 * np.sum(expected**2)  # -100 dB; 0 was found: bit by bit
    assert not heard[:START].any()


def test_what_goes_with_a_selected_region_is_imported_beside_it(tmp_path, home):
    """Real Ardour and our server; the worker gives the given stem back, and silence beside it."""
    mix = 0.1 * np.random.default_rng(3).standard_normal((RATE, 2)).astype("f4")
    file = region_of(tmp_path / "song", mix, trim=500, length=RATE // 2, name="Bass")
    folder, config = tmp_path / "song" / "scorewire", home / ".config" / "ardour7"
    INSTALLERS["ardour"].install(config, force=False)
    worker = f"{sys.executable} {ROOT / 'tests' / 'halving_worker.py'}"
    with Serving(tmp_path, WORKER=worker) as server, real.Ardour(file, home) as daw:
        (config / "scorewire.conf").write_text(
            f"port {server.port}\ndialog no\nwords slow blues\nadd piano\n"
            f"token {tmp_path / 'data' / 'token'}\n"
        )
        daw.ready(regions=1)
        daw.act("LuaAction/script-3")
        (answer,) = real.until(lambda: list(folder.glob("*/answer")), "the action is answered")
        assert answer.read_text().startswith("accepted\tj"), answer.read_text()
        place = answer.parent
        real.until(lambda: (place / "imported").exists(), "the stems are imported", 120)
        real.until(lambda: (folder / "pending").stat().st_size == 0, "the action is through")
        daw.save()
        daw.act("Common/Quit")
        daw.child.wait(timeout=real.PATIENCE)
    given, _ = sf.read(place / "given-bass.wav", dtype="float32")
    np.testing.assert_array_equal(given, mix[500 : 500 + RATE // 2])
    root = ElementTree.parse(file).getroot()
    assert [route.get("name") for route in root.iter("Route")] == ["Master", "Bass", "piano"]
    tick = ardour_session.SUPERCLOCK // RATE
    regions = {region.get("name"): region for region in root.findall("Playlists/Playlist/Region")}
    for name in ("Bass", "piano"):
        assert regions[name].get("length") == f"a{RATE // 2 * tick}@a{START * tick}"
        assert regions[name].get("muted") == "0"


def _named_and_placed(file: Path, manifest: Path) -> None:
    """Tracks as the manifest says, each with one region where the old one was."""
    root, placing = ElementTree.parse(file).getroot(), layout(manifest)
    names = [track.name for track in placing.tracks]
    assert [name.removesuffix(" (absent)") for name in names[:2]] == ["saxophone", "sea waves"]
    routes = {route.get("name"): route for route in root.iter("Route")}
    assert list(routes) == ["Master", "mix", *names]
    colours = [int(routes[name].find("PresentationInfo").get("color")) for name in names]
    assert [f"#{colour >> 8:06x}" for colour in colours] == [t.colour for t in placing.tracks]
    tick = ardour_session.SUPERCLOCK // RATE
    regions = {region.get("name"): region for region in root.findall("Playlists/Playlist/Region")}
    lengths = {name: regions[name].get("length") for name in names}
    assert set(lengths.values()) == {f"a{placing.frames * tick}@a{START * tick}"}
    muted = {name: regions[name].get("muted") for name in ("mix", *names)}
    assert muted == {"mix": "1"} | dict.fromkeys(names, "0")


def _bit_exact(file: Path, place: Path, manifest: stems.Manifest) -> None:
    """Ardour keeps a file a channel."""
    audio = file.parent / "interchange" / "song" / "audiofiles"
    for name in [*(stem.wav for stem in manifest.stems), manifest.residual]:
        ours, _ = sf.read(place / name, dtype="float32")
        for channel, side in enumerate("LR"):
            theirs, _ = sf.read(audio / f"{Path(name).stem}%{side}.wav", dtype="float32")
            np.testing.assert_array_equal(theirs, ours[:, channel])
