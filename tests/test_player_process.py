"""The player behind the server: played over OSC, supervised, and fed by jobs that have a slot."""

import asyncio
import contextlib
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from pythonosc.osc_message import OscMessage
from pythonosc.osc_message_builder import OscMessageBuilder

from bridge.player import protocol
from bridge.protocol.events import Best, Done
from bridge.protocol.patch_jobs import DesignPatch
from bridge.service.config import Config
from bridge.service.job_server import Server
from bridge.service.ledger import Store
from bridge.service.player_process import NotPlayed, PlayerProcess
from presets import Preset, load, save
from presets.dx7_file import read as read_file
from presets.library import Library
from renderers import fm
from tests.children import first_line

ROOT = Path(__file__).parents[1]


def tone(name, note=60.0):
    """One operator, fully mixed, that rings for seconds."""
    renderer = fm.renderer(operators=1)
    values = {p.name: p.low for p in renderer.params}
    values |= {"op1_ratio": 1.0, "op1_decay": 8.0, "op1_mix": 1.0, "level": 0.5}
    return Preset(name=name, renderer="fm", renderer_version=1, values=values, note=note)


class Client:
    """A UDP socket that speaks OSC."""

    def __init__(self, port):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.settimeout(240)
        self.socket.connect(("127.0.0.1", port))

    def send(self, address, *values):
        builder = OscMessageBuilder(address)
        for value in values:
            builder.add_arg(value)
        self.socket.send(builder.build().dgram)

    def ask(self, address, *values):
        self.send(address, *values)
        return self.next()

    def next(self):
        message = OscMessage(self.socket.recv(8192))
        return [message.address.removeprefix("/scorewire/"), *message.params]

    def until(self, name):
        while (heard := self.next())[0] != name:
            pass
        return heard


@contextlib.contextmanager
def playing(folder):
    """`scorewire play`, its player writing to a file; yields a client."""
    player = [sys.executable, "-m", "bridge.player", "--output", "offline", "--rate", "8000"]
    own = {
        "SCOREWIRE_OSC_PORT": "0",
        "SCOREWIRE_DATA": str(folder / "data"),
        "SCOREWIRE_PLAYER": shlex.join([*player, "--capture", str(folder / "heard.f32")]),
    }
    save(tone("given"), folder / "given.json")
    server = subprocess.Popen(
        [sys.executable, "-m", "bridge.cli", "play", str(folder / "given.json"), "--json"],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        cwd=ROOT, env=os.environ | own,
    )  # fmt: skip
    try:
        place = json.loads(first_line(server))
        assert place["slots"] == {"1": "given"}
        client = Client(place["port"])
        with contextlib.closing(client.socket):
            yield client, server
    finally:
        server.send_signal(signal.SIGINT)
        server.communicate(timeout=30)
    assert server.returncode == 0


def children(pid):
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in listed]


def test_slots_are_played_over_osc_and_a_dead_player_comes_back(tmp_path):
    with playing(tmp_path) as (client, server):
        assert client.ask("/scorewire/subscribe", 1, 600.0)[0] in ("ok", "play/ready")
        deadline = time.monotonic() + 240
        while client.ask("/scorewire/play/status", 2)[0] != "play/slot":  # the library's
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert client.until("play/state")[1] == 2

        save(tone("mine", note=72), tmp_path / "mine.json")
        client.ask("/scorewire/slot/5/load", 3, str(tmp_path / "mine.json"))
        assert client.until("ok") == ["ok", 3]
        assert client.ask("/scorewire/slot/5/trigger", 4.0, "velocity=", 120.0) == ["ok", 4]
        assert client.ask("/scorewire/slot/1/on", 5, 60) == ["ok", 5]
        time.sleep(0.3)
        client.ask("/scorewire/play/status", 6)
        assert client.until("play/state")[2] == 2  # voices
        other = Client(client.socket.getpeername()[1])
        with contextlib.closing(other.socket):  # a second controller sees what the first one does
            assert other.ask("/scorewire/subscribe", 1, 600.0, "topics=play") == ["ok", 1]
            assert client.ask("/scorewire/slot/1/param/brightness", 7, 0.75) == ["ok", 7]
            assert other.until("play/turned") == ["play/turned", 1, 1, "brightness", 0.75]
        assert client.ask("/scorewire/slot/1/off", 8, 60) == ["ok", 8]
        faders_and_pads(client)
        assert client.ask("/scorewire/play/panic", 9) == ["ok", 9]
        loaded = client.ask("/scorewire/slot/5/load", 10, "given")  # by its name in the library
        assert loaded == ["play/loaded", 1, 5, "given", 60.0]
        assert client.until("ok") == ["ok", 10]

        assert client.ask("/scorewire/slot/5/sysex", 11) == ["ok", 11]
        (voice,) = read_file((tmp_path / "heard.syx").read_bytes()).voices
        assert voice.name.strip().lower() == "given"

        refused = {
            "/scorewire/slot/9/trigger": ((), "empty-slot", "slot 9 is empty"),
            "/scorewire/slot/9/sysex": ((), "empty-slot", "slot 9 is empty"),
            "/scorewire/slot/129/trigger": ((), "bad-arguments", "slot: input should be less"),
            "/scorewire/slot/x/trigger": ((), "bad-arguments", "slot must be a whole number"),
            "/scorewire/slot/1/param/colour": ((0.5,), "bad-arguments", "name: input should be"),
            "/scorewire/slot/1/param/decay": ((1.5,), "bad-arguments", "position: input should"),
            "/scorewire/slot/1/load": (("no such",), "bad-input", "no such"),
        }
        for number, (address, (values, code, text)) in enumerate(refused.items(), start=20):
            reply = client.ask(address, number, *values)
            assert reply[:3] == ["fail", number, address], reply
            assert reply[3] == code, reply
            assert text in reply[4], reply

        (player,) = children(server.pid)
        os.kill(player, signal.SIGKILL)
        assert "killed by SIGKILL" in client.until("play/gone")[3]
        slots = {client.until("play/loaded")[2] for _ in range(2)}
        assert slots == {1, 5}
    assert np.isfinite(np.fromfile(tmp_path / "heard.f32", "<f4")).all()


DEADLY = """
import os
from bridge.player import __main__ as program
from bridge.player import slots
real = slots.load
slots.load = lambda file: os._exit(9) if "deadly" in file else real(file)
program.main()
"""


def test_the_preset_that_ended_the_player_is_left_out_and_the_others_play_on(tmp_path):
    """Slots 1 and 3 come back; slot 2 is said to be left out, and is empty."""
    library = Library(tmp_path / "library")
    for slot, name in enumerate(("one", "deadly", "three"), start=1):
        library.add(tone(name))
        library.assign(slot, name)
    offline = ("--output", "offline", "--rate", "8000", "--capture", str(tmp_path / "c.f32"))

    async def story():
        heard, starts = [], asyncio.Event()

        def deliver(happening):
            heard.append(happening)
            if sum(one.kind == "loaded" and one.slot == 3 for one in heard) == 1:
                starts.set()

        async with PlayerProcess((sys.executable, "-c", DEADLY, *offline), library) as stage:
            stage.listen("test", deliver)
            await asyncio.wait_for(starts.wait(), 240)
            answers = [await stage.do(protocol.Trigger(slot=slot)) for slot in (1, 3)]
            with pytest.raises(NotPlayed, match="slot 2 is empty"):
                await stage.do(protocol.Trigger(slot=2))
            with pytest.raises(NotPlayed, match="started again without deadly"):
                await stage.do(protocol.Load(slot=1, preset=str(library.get("deadly").path)))
            return heard, answers, stage.loaded

    heard, answers, loaded = asyncio.run(story())
    assert [answer.kind for answer in answers] == ["ok", "ok"]
    gone = [one.reason for one in heard if one.kind == "gone"]
    assert "without deadly.json, which slot 2 was loading then; load it again" in gone[0]
    assert [one.slot for one in heard if one.kind == "unloaded"] == [2]
    assert loaded == {1, 3}  # what slot 1 held before comes back


def test_a_server_that_does_not_play_says_so(tmp_path):
    own = {"SCOREWIRE_OSC_PORT": "0", "SCOREWIRE_DATA": str(tmp_path)}
    server = subprocess.Popen(
        [sys.executable, "-m", "bridge.cli", "serve", "--json"],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        cwd=ROOT, env=os.environ | own,
    )  # fmt: skip
    client = Client(json.loads(first_line(server))["port"])
    with contextlib.closing(client.socket):
        reply = client.ask("/scorewire/slot/1/trigger", 1)
    server.send_signal(signal.SIGINT)
    server.communicate(timeout=30)
    assert reply[0] == "fail"
    assert reply[3:5] == ["no-player", "this server does not play: start it with serve --play"]


def test_a_command_line_for_another_device_is_refused():
    done = subprocess.run(
        [sys.executable, "-m", "bridge.cli", "play", "--output", "tape"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "--output must be auto, jack or portaudio, got 'tape'" in done.stderr


def voices(client, req):
    """How many notes sound, when what is let go has faded out."""
    time.sleep(0.4)
    client.send("/scorewire/play/status", req)
    return client.until("play/state")[2]


def faders_and_pads(client):
    """One number and no req, which is answered only when it is wrong; two notes sound on."""
    before = voices(client, 30)
    client.send("/scorewire/slot/1/param/level", 0.5)
    client.send("/scorewire/slot/1/on", 64.0)
    client.send("/scorewire/slot/1/on", 67)
    assert voices(client, 31) == before + 2
    client.send("/scorewire/slot/1/off", 64.0)
    client.send("/scorewire/slot/1/off", 67.0)
    assert voices(client, 32) == before
    client.send("/scorewire/slot/5/trigger", 0.75)
    assert voices(client, 33) == before + (before == 0)  # struck again: the same key
    client.send("/scorewire/slot/5/trigger", 0.0)  # goes up
    client.send("/scorewire/slot/5/trigger", False)
    assert voices(client, 34) == before + (before == 0)
    wrong = ("fail", -1, "/scorewire/slot/1/param/level", "bad-arguments")
    assert tuple(client.ask("/scorewire/slot/1/param/level", 1.5)[:4]) == wrong
    assert client.ask("/scorewire/slot/5/trigger", 1.0) == ["ok", 1]


class Engine:
    """Runs a patch job as the worker does: a best, then the end."""

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        pass

    async def submit(self, job, *, client):
        out = Path(job.out)
        out.mkdir(parents=True, exist_ok=True)
        for name in ("best", "last"):
            save(tone(name), out / f"{name}.json")
            (out / f"{name}.wav").write_bytes(b"RIFF")
        files = {"preset": str(out / "best.json"), "wav": str(out / "best.wav")}
        yield Best(id=job.id, step=1, score=0.5, **files)
        others = [
            {"preset": str(out / f"{name}.json"), "wav": str(out / f"{name}.wav")}
            for name in ("last", "best")
        ]
        yield Done(id=job.id, result=others[0] | {"patches": others})


class Slots:
    """A stage that remembers what it was given."""

    def __init__(self):
        self.given = []

    def put(self, slot, preset):
        self.given.append((slot, Path(preset).name))


@pytest.mark.parametrize("slot", [None, 7])
def test_each_best_goes_to_the_slot_and_the_last_into_the_library(tmp_path, slot):
    config = Config(osc_port=0, data=tmp_path / "data")
    stage = Slots()

    async def story():
        with Store(config.ledger) as store:
            async with Server(config, store, Engine(), stage) as server:
                job = DesignPatch(
                    id="j1", prompt="x", renderer="fm", out=str(tmp_path / "out"), slot=slot
                )
                return await server.wait(server.submit(job, client="c", req=1))

    entry = asyncio.run(story())
    assert entry.state == "done"
    kept = Library(config.library).slots()
    if slot is None:
        assert (stage.given, dict(kept)) == ([], {})
        return
    assert stage.given == [(7, "best.json"), (7, "last.json")]
    assert kept == {7: Path(entry.result["library"])}
    assert load(kept[7]).name == "last"
    assert kept[7].with_suffix(".wav").read_bytes() == b"RIFF"
    assert json.loads((tmp_path / "out" / "result.json").read_text()) == entry.result


def test_without_a_folder_the_library_keeps_all_patches_in_its_inbox(tmp_path):
    config = Config(osc_port=0, data=tmp_path / "data")

    async def story():
        with Store(tmp_path / "jobs.sqlite") as store:
            async with Server(config, store, Engine()) as server:
                job = DesignPatch(id="j1", prompt="x", slot=3)
                first = server.submit(job, client="c", req=1)
                again = job.model_copy(update={"id": "j2"})
                assert server.submit(again, client="c", req=1) == first
                return await server.wait(first)

    entry = asyncio.run(story())
    assert entry.state == "done"
    assert entry.job.out == str(config.results / "j1")
    library = Library(config.library)
    assert [one.name for one in library.find(tags=["inbox"])] == ["best", "last"]
    kept = [made["library"] for made in entry.result["patches"]]
    assert [load(path).name for path in kept] == ["last", "best"]
    assert entry.result["library"] == kept[0]
    assert dict(library.slots()) == {3: Path(kept[0])}
