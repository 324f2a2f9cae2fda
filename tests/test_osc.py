"""The OSC face over real datagrams: python-osc, liblo and Pure Data as peers, and junk."""

import asyncio
import contextlib
import json
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pythonosc.osc_bundle_builder import OscBundleBuilder
from pythonosc.osc_message import OscMessage
from pythonosc.osc_message_builder import OscMessageBuilder
from pythonosc.udp_client import SimpleUDPClient

from bridge.execution.local import LocalEngine
from bridge.osc import requests
from bridge.osc.addresses import REPLIES, REQUESTS
from bridge.protocol import osc_wire
from bridge.service.config import Config
from bridge.service.job_server import Server
from bridge.service.ledger import Store
from tests.children import bounded, ended, first_line, stopped, until
from tests.peers import peer

ROOT = Path(__file__).parents[1]
FAKE = Path(__file__).with_name("fake_worker.py")
COMMAND = (sys.executable, "-S", "-E", str(FAKE))
KEY = "known-to-the-owner"


class Running:
    """A server in a thread of its own."""

    def __init__(self, config):
        self.config = config
        self.port = 0
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main()))
        self._thread.start()
        assert self._ready.wait(10)

    async def _main(self):
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        with Store(self.config.ledger) as store:
            store.recover()
            engine = LocalEngine(self.config.worker, grace=self.config.grace)
            async with (
                Server(self.config, store, engine) as server,
                requests.serve_osc(server) as endpoint,
            ):
                self.port = endpoint.port
                self._ready.set()
                await self._stop.wait()
                await server.close()

    def stop(self):
        self._loop.call_soon_threadsafe(self._stop.set)
        ended(self._thread, self._loop)


class Client:
    """A UDP socket that speaks OSC through python-osc's builder and parser."""

    def __init__(self, port, timeout=10.0):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.settimeout(timeout)
        self.server = ("127.0.0.1", port)
        self.news = []  # of jobs, that came before an answer

    @property
    def port(self):
        return self.socket.getsockname()[1]

    def raw(self, data):
        self.socket.sendto(data, self.server)

    def send(self, address, *values):
        self.raw(message(address, *values))

    def receive(self):
        return self.news.pop(0) if self.news else self._receive()

    def _receive(self):
        data = self.socket.recv(65536)
        assert len(data) <= osc_wire.MAX_OUT
        reply = OscMessage(data)
        assert reply.address in REPLIES
        return reply.address.removeprefix("/scorewire/"), reply.params

    def ask(self, address, *values):
        """The answer; what jobs asked for before say meanwhile is kept for `receive`."""
        self.send(address, *values)
        waiting = self.news
        self.news = []
        while (said := self._receive())[0] in ("progress", "best", "done"):
            waiting.append(said)
        self.news = waiting
        return said

    def until(self, *names):
        """Everything received up to the first message of one of these names."""
        seen = [self.receive()]
        while seen[-1][0] not in names:
            seen.append(self.receive())
        return seen

    def silent(self, seconds=0.15):
        """Whether nothing comes."""
        self.socket.settimeout(seconds)
        try:
            self.socket.recv(65536)
        except TimeoutError:
            return True
        finally:
            self.socket.settimeout(10.0)
        return False


def message(address, *values):
    builder = OscMessageBuilder(address)
    for value in values:
        if isinstance(value, tuple):  # ("d", 1.5): a type of one's own choice
            builder.add_arg(value[1], value[0])
        else:
            builder.add_arg(value)
    return builder.build().dgram


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    data = tmp_path_factory.mktemp("data")
    everywhere = (tmp_path_factory.getbasetemp(),)
    settings = {"worker": COMMAND, "grace": 0.5, "queue": 8, "osc_write": everywhere}
    server = Running(Config(osc_port=0, data=data, osc_key=KEY, **settings))
    yield server
    server.stop()


@pytest.fixture
def client(running):
    client = Client(running.port)
    yield client
    client.socket.close()


@pytest.fixture
def out(tmp_path):
    return str(tmp_path / "ö out")


@pytest.fixture
def mix(tmp_path):
    path = tmp_path / "mix.wav"
    path.write_bytes(b"RIFF")
    return str(path)


# The documents and the tables


def test_every_address_is_documented_and_nothing_else():
    text = (ROOT / "docs" / "osc.md").read_text(encoding="utf-8")
    heading = r"^### `([^`]+)`\n(?:Options: (.*)\n)?(?:Alone: `(.*)`\n)?"
    sections = re.findall(heading, text, re.MULTILINE)
    documented = {
        line: (" ".join(re.findall(r"`([^`]+)`", options)), alone)
        for line, options, alone in sections
    }
    tables = {f"{path} {one.args}": (one.options, one.alone) for path, one in REQUESTS.items()}
    tables |= {f"{address} {args}": ("", "") for address, args in REPLIES.items()}
    assert documented == tables
    assert list(requests.ANSWERS) == list(REQUESTS)


def test_every_code_of_failure_is_documented():
    text = (ROOT / "docs" / "osc.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"^\| `([a-z-]+)` \|", text, re.MULTILINE))
    sources = (ROOT / "bridge").rglob("*.py")
    code = "\n".join(
        path.read_text()
        for path in sources
        if path.name != "doctor.py" and "cli" not in path.parts and "scripts" not in path.parts
    )
    used = re.findall(
        r"""(?:Refused\(\s*|code=|code, text = |target, req, error.address, )"([a-z-]+)""", code
    )
    assert used
    assert set(used) <= documented


# Asking and being answered


def test_ping(client):
    name, (req, version, state) = client.ask("/scorewire/ping", 7)
    assert (name, req, state) == ("pong", 7, "idle")
    assert re.fullmatch(r"\d+\.\d+\.\d+.*", version)


@pytest.mark.parametrize(
    "req", [7.0, ("d", 7.0), ("h", 7), "7", "7.0", True], ids=["f", "d", "h", "s", "sf", "T"]
)
def test_numbers_come_in_any_type(client, req):
    expected = 1 if req is True else 7
    assert client.ask("/scorewire/ping", req)[1][0] == expected


def test_patch_from_request_to_done(client, out):
    client.send(
        "/scorewire/patch", 3, "ok kick", "fm", out, "steps=9", "duration=", 1.5, "seed=4.0"
    )
    seen = client.until("done", "fail")
    job = seen[0][1][1]
    assert seen[0] == ("accepted", [3, job])
    assert seen[1] == ("progress", [3, job, 0, "working", 1.5, "loss", 1.0, "score", 0.0])
    assert ("best", [3, job, 0.5, "/p.json", "/p.wav", 2]) in seen
    done = seen[-1][1]
    assert done[:3] == [3, job, f"{out}/result.json"]
    facts = dict(zip(done[3::2], done[4::2], strict=True))
    assert (facts["steps"], facts["score_after"]) == (3, 0.75)
    assert json.loads(Path(done[2]).read_text()) == facts | {"pid": facts["pid"]}
    name, state = client.ask("/scorewire/job", 4, job)
    assert (name, state) == ("job/state", [4, job, "patch", "done", 1.0, "working", done[2]])


def test_options_reach_the_job(running, client, mix, out):
    values = ["duration=", 1.5, "steps=9", "seed=", "4", "recipe=fast", "model=mine", "note=", 36]
    values += [f"start={mix}", "matrix=dx7:5", "operators=", 6.0, "searches=3", "modes=", 64]
    values += ["denoise_steps=10", f"key={KEY}"]
    job = client.ask("/scorewire/patch", 5, "ok", "impact", out, *values)[1][1]
    client.until("done")
    with Store(running.config.ledger) as store:
        asked = store.get(job).job
    assert asked.model_dump(exclude={"id", "kind"}) == {
        "prompt": "ok", "renderer": "impact", "out": out, "duration": 1.5, "steps": 9,
        "seed": 4, "recipe": "fast", "model": "mine", "note": 36.0, "start": mix,
        "matrix": "dx7:5", "operators": 6, "slot": None, "searches": 3,
        "modes": 64, "denoise_steps": 10, "scorer": "default",
        "count": 4, "like": None, "loudness": None, "pitched": None,
        "replace": False, "new": False, "within": (),
    }  # fmt: skip


def test_separate_names_each_stem_before_done(client, mix, out):
    client.send("/scorewire/separate", 1, mix, out, "ok voice", "method=masks", "drums", "steps=2")
    seen = client.until("done", "fail")
    job = seen[0][1][1]
    assert [m for m in seen if m[0] == "stem"] == [
        ("stem", [1, job, 1, "ok voice", f"{out}/ok voice.wav"]),
        ("stem", [1, job, 2, "drums", f"{out}/drums.wav"]),
    ]
    assert seen[-1][1][2] == f"{out}/result.json"


def test_generate_names_each_clip_before_done(client, out):
    client.send("/scorewire/generate", 1, out, "ok kick", "rain", "count=1", "guidance=", 2.5)
    seen = client.until("done", "fail")
    job = seen[0][1][1]
    assert [m for m in seen if m[0] == "clip"] == [
        ("clip", [1, job, 1, "ok kick", f"{out}/ok kick-1.wav"]),
        ("clip", [1, job, 2, "rain", f"{out}/rain-1.wav", "warning", "too near"]),
    ]
    assert seen[-1][1][2] == f"{out}/result.json"
    assert client.ask("/scorewire/generate", 2, out, "rain", "duration=61")[1][2:4] == [
        "bad-arguments", "duration: input should be less than or equal to 60, got 61.0",
    ]  # fmt: skip


def test_stems_are_named_before_done_whoever_made_them(client, mix, out):
    given = (f"bass={mix}", f"drums={mix}")
    for req, (address, *values) in enumerate(
        (
            ("/scorewire/accompany", out, *given, "add=piano", "prompt=", "slow blues"),
            (
                "/scorewire/generate",
                f"{out}2",
                "ok",
                "stems=bass,drums,piano",
                "bars=",
                4.0,
                "tempo=96",
            ),
            ("/scorewire/separate", mix, f"{out}3", "stems=bass,drums,piano", "method=dirac"),
        ),
        start=1,
    ):
        client.send(address, req, *values)
        seen = client.until("done", "fail")
        job, place = seen[0][1][1], out if req == 1 else f"{out}{req}"
        assert [m for m in seen if m[0] == "stem"] == [
            ("stem", [req, job, number, name, f"{place}/{name}.wav"])
            for number, name in enumerate(("bass", "drums", "piano"), start=1)
        ], address
        assert seen[-1][1][2] == f"{place}/result.json"
    for values, words in (
        ((f"bass={mix}", "add=flute"), "add.0: input should be 'bass', 'drums'"),
        ((f"vocals={mix}",), "given: must name stems among bass, drums"),
        (("bass=/no.wav",), "given bass /no.wav does not exist"),
        ((), "given: must name at least 1 stem"),
    ):
        assert words in client.ask("/scorewire/accompany", 9, out, *values)[1][3]


def test_suggest_names_each_sound_before_done(client, mix):
    client.send("/scorewire/suggest", 1, mix, "top=2")
    seen = client.until("done", "fail")
    job = seen[0][1][1]
    assert [m for m in seen if m[0] == "suggestion"] == [
        ("suggestion", [1, job, 1, "rain", 0.75]),
        ("suggestion", [1, job, 2, "dog", 0.5]),
    ]
    assert seen[-1][1][2] == ""  # nothing is written


def test_render(client, mix, out):
    seen = client.ask("/scorewire/render", 1, mix, f"{out}/x.wav", "velocity=", 90.0)
    assert seen[0] == "accepted"
    assert client.until("done")[-1][1][2] == f"{out}/x.wav"


def test_export(client, mix, out):
    seen = client.ask("/scorewire/export", 1, mix, "all", out, "rate=", 48000.0)
    assert seen[0] == "accepted"
    assert client.until("done")[-1][1][2] == out
    text = client.ask("/scorewire/export", 2, mix, "dx8", out)[1][3]
    assert text.startswith("formats.0: must be all or one of ")


def test_presets_to_presets(client, mix, out):
    assert client.ask("/scorewire/vary", 1, mix, out, "count=4", "amount=", 0.5)[0] == "accepted"
    assert client.until("done")[-1][1][2] == f"{out}/result.json"
    assert client.ask("/scorewire/morph", 2, mix, mix, f"{out}2", "steps=3")[0] == "accepted"
    assert client.until("done")[-1][1][2] == f"{out}2/result.json"
    assert client.ask("/scorewire/edit", 4, mix, "darker", f"{out}4", "old=bell")[0] == "accepted"
    assert client.until("done")[-1][1][2] == f"{out}4/result.json"
    assert client.ask("/scorewire/render", 5, mix, f"{out}/x.wav", "plugin=/a/b.vst3")[1][2:4] == [
        "bad-arguments", "plugin must be an installed file's name, got '/a/b.vst3'",
    ]  # fmt: skip
    assert client.ask("/scorewire/vary", 3, mix, out, "amount=2")[1][2:4] == [
        "bad-arguments", "amount: input should be less than or equal to 1, got 2.0",
    ]  # fmt: skip


def test_cancel_within_a_step_and_again(client, out):
    job = client.ask("/scorewire/patch", 1, "slow", "fm", out)[1][1]
    client.until("progress")
    client.send("/scorewire/cancel", 2, job)
    seen = client.until("cancelled", "done")
    assert ("ok", [2]) in seen
    assert seen[-1] == ("cancelled", [1, job])
    assert client.ask("/scorewire/cancel", 3, job) == ("ok", [3])
    assert client.ask("/scorewire/job", 4, "last")[1][1:4] == [job, "patch", "cancelled"]


def test_a_crash_fails_the_job_and_the_next_runs(client, out):
    client.send("/scorewire/patch", 1, "crash", "fm", out)
    req, address, code, text, job = client.until("fail")[-1][1]
    assert (req, address, code) == (1, "/scorewire/patch", "crashed")
    assert "exit code 3" in text
    name, state = client.ask("/scorewire/job", 2, job)
    assert (name, state[3], state[7:]) == ("job/state", "failed", ["code", code, "reason", text])
    client.send("/scorewire/patch", 3, "ok", "fm", out)
    assert client.until("done", "fail")[-1][0] == "done"


def test_duplicate_datagrams_start_one_job(client, out):
    for _ in range(5):
        client.send("/scorewire/patch", 1, "ok twice", "fm", out)
    seen = []  # on a busy machine the job may end between two of the five: then `done` comes again
    while [m[0] for m in seen].count("accepted") < 5 or seen[-1][0] != "done":
        seen += client.until("done")
    accepted = [m for m in seen if m[0] == "accepted"]
    assert len(accepted) == 5
    assert len({m[1][1] for m in accepted}) == 1
    assert len([m for m in seen if m[0] == "best"]) == 1
    client.send("/scorewire/patch", 1, "ok twice", "fm", out)
    assert client.until("done") == [accepted[0], seen[-1]]
    job = client.ask("/scorewire/patch", 1, "ok otherwise", "fm", f"{out}2")[1][1]
    assert job != accepted[0][1][1]
    client.until("done")


def test_jobs_are_listed_newest_first_with_an_end(client, out):
    ids = []
    for req in range(3):
        ids.insert(0, client.ask("/scorewire/patch", req, f"ok {req}", "fm", f"{out}{req}")[1][1])
        client.until("done")
    client.send("/scorewire/jobs", 9, "limit=3")
    seen = client.until("jobs/end")
    assert [m[1][:4] for m in seen[:-1]] == [[9, job, "patch", "done"] for job in ids]
    assert seen[-1] == ("jobs/end", [9, 3])


def test_subscribers_hear_the_jobs_of_others_until_their_lease_ends(running, client, out):
    other = Client(running.port)
    with contextlib.closing(other.socket):
        assert other.ask("/scorewire/subscribe", 77, 60) == ("ok", [77])
        job = client.ask("/scorewire/patch", 1, "ok", "fm", out)[1][1]
        client.until("done")
        seen = other.until("done")
        assert {m[1][0] for m in seen} == {77}
        assert seen[-1][1][1] == job
        assert other.ask("/scorewire/subscribe", 78, 0) == ("ok", [78])
        client.send("/scorewire/patch", 2, "ok", "fm", f"{out}2")
        client.until("done")
        assert other.silent()


def test_a_lease_is_of_a_topic_is_renewed_and_lapses(running, client, out):
    other, third = Client(running.port), Client(running.port)
    with contextlib.closing(other.socket), contextlib.closing(third.socket):
        assert other.ask("/scorewire/subscribe", 1, 60, "topics=play") == ("ok", [1])
        assert third.ask("/scorewire/subscribe", 2, 60) == ("ok", [2])
        client.send("/scorewire/patch", 3, "ok", "fm", out)
        client.until("done")
        assert third.until("done")[-1][1][0] == 2
        assert other.silent()
        assert other.ask("/scorewire/subscribe", 4, 60, "topics=", "play,jobs") == ("ok", [4])
        assert third.ask("/scorewire/subscribe", 5, 0.05) == ("ok", [5])
        assert third.receive() == ("lapsed", [5])
        client.send("/scorewire/patch", 6, "ok", "fm", f"{out}6")
        client.until("done")
        assert {m[1][0] for m in other.until("done")} == {4}
        assert third.silent()
        assert other.ask("/scorewire/subscribe", 7, 0) == ("ok", [7])


def test_each_controller_gets_its_own_and_the_shared_news(running, out):
    """Four at once, each with a lease at one port and its requests from it or another."""
    clients = [Client(running.port) for _ in range(4)]
    for number, one in enumerate(clients):
        assert one.ask("/scorewire/subscribe", 100 + number, 60)[0] == "ok"
    for number, one in enumerate(clients):
        one.send("/scorewire/patch", number, f"ok {number}", "fm", f"{out}{number}")
    for number, one in enumerate(clients):
        done, accepted = [], []
        while len(done) < 5:
            name, values = one.receive()
            done += [values[:2]] if name == "done" else []
            accepted += [values] if name == "accepted" else []
        ((req, job, *_),) = accepted
        assert req == number
        assert [values for values in done if values[0] == number] == [[number, job]]
        assert len({job for req, job in done if req == 100 + number}) == 4
        assert one.ask("/scorewire/subscribe", 9, 0)[0] == "ok"
        one.socket.close()


def test_leases_are_counted(running):
    clients = [Client(running.port) for _ in range(33)]
    answers = [one.ask("/scorewire/subscribe", 1, 60) for one in clients]
    assert [name for name, _ in answers] == ["ok"] * 32 + ["fail"]
    assert answers[-1][1][2:4] == ["queue-full", "32 clients have subscribed already"]
    assert clients[0].ask("/scorewire/subscribe", 2, 60)[0] == "ok"  # a renewal needs no room
    for one in clients:
        one.ask("/scorewire/subscribe", 3, 0)
        one.socket.close()


def test_replies_go_to_the_port_named(running, client, out):
    other = Client(running.port)
    with contextlib.closing(other.socket):
        client.send("/scorewire/ping", 1, f"reply={other.port}")
        assert other.receive()[0] == "pong"
        client.send("/scorewire/ping", 2, "reply=", float(other.port))
        assert other.receive()[1][0] == 2
        client.send("/scorewire/patch", 3, "ok", "granular", out, f"reply={other.port}")
        assert other.receive()[1][:3] == [3, "/scorewire/patch", "bad-arguments"]
        assert client.silent()


def test_bundles_are_applied_at_once_whatever_their_time(client):
    bundle = OscBundleBuilder(time.time() + 3600)
    for req in (1, 2):
        builder = OscMessageBuilder("/scorewire/ping")
        builder.add_arg(req)
        bundle.add_content(builder.build())
    client.raw(bundle.build().dgram)
    assert [client.receive()[1][0] for _ in range(2)] == [1, 2]


# What is refused


@pytest.mark.parametrize(
    ("values", "code", "words"),
    [
        ((), "unknown-address", "there is no such address; there are /scorewire/ping,"),
        (("/scorewire/*", 1), "unknown-address", "address patterns are not understood"),
        (("/scorewire/ping",), "bad-arguments", "i:req is missing"),
        (("/scorewire/ping", -2), "bad-arguments", "req must be 0 .. 2147483647, got -2"),
        (("/scorewire/ping", 1.5), "bad-arguments", "req must be a whole number, got 1.5"),
        (("/scorewire/ping", ("f", float("nan"))), "bad-arguments", "whole number, got nan"),
        (("/scorewire/ping", None), "bad-arguments", "i:req is missing"),
        (("/scorewire/ping", 1, 2), "bad-arguments", "2 is too much; /scorewire/ping takes i:req"),
        (("/scorewire/ping", 1, "reply=0x"), "bad-arguments", "reply must be a whole number"),
        (("/scorewire/ping", 1, "reply="), "bad-arguments", "option 'reply' has no value"),
        (("/scorewire/ping", 1, "reply=", 70000), "bad-arguments", "0 .. 65535, got 70000"),
        (("/scorewire/patch", 1, "kick"), "bad-arguments", "s:renderer is missing; /scorewire/pat"),
        (("/scorewire/patch", 1, 2, "fm", "/o"), "bad-arguments", "prompt must be text, got 2"),
        (("/scorewire/patch", 1, "", "fm", "/o"), "bad-arguments", "at least 1 character"),
        (("/scorewire/patch", 1, " ", "fm", "/o"), "bad-arguments", "prompt must not be blank"),
        (("/scorewire/patch", 1, "k", "am", "/o"), "bad-arguments", "'fm' or 'impact', got 'am'"),
        (("/scorewire/patch", 1, "k", "fm", "o"), "bad-input", "out must be an absolute path"),
        (("/scorewire/patch", 1, "k", "fm", "/o", "duration=99"), "bad-arguments", "duration: "),
        (("/scorewire/patch", 1, "k", "fm", "/o", "colour=1"), "bad-arguments", "no option 'colou"),
        (("/scorewire/patch", 1, "k", "fm", "/dev/null/o"), "bad-input", "is not a folder"),
        (("/scorewire/separate", 1, "/none.wav", "/o"), "bad-arguments", "prompts: tuple should"),
        (("/scorewire/separate", 1, "/none.wav", "/o", "a"), "bad-input", "/none.wav does not exi"),
        (("/scorewire/separate", 1, "/none.wav", "/o", 5), "bad-arguments", "prompts must be text"),
        (("/scorewire/render", 1, "/none", "/o", "velocity=0"), "bad-arguments", "velocity: input"),
        (("/scorewire/cancel", 1, "j00000000"), "no-job", "there is no job 'j00000000'"),
        (("/scorewire/job", 1, "nothing"), "no-job", "there is no job 'nothing'"),
        (("/scorewire/jobs", 1, "limit=0"), "bad-arguments", "limit must be 1 .. 200, got 0"),
        (("/scorewire/subscribe", 1, 9, "topics=x"), "bad-arguments", "topics are jobs, play, got"),
        (("/scorewire/subscribe", 1, 9e9), "bad-arguments", "seconds must be 0 .. 3600, got 9e+09"),
    ],
)  # fmt: skip
def test_a_wrong_request_is_refused_in_a_sentence(client, values, code, words):
    values = values or ("/scorewire/nothing", 1)
    name, (req, address, got, text, job) = client.ask(*values)
    assert (name, address, got, job) == ("fail", values[0], code, "")
    assert req == (1 if values[1:] and values[1] == 1 else -1)
    assert words in text
    assert "\n" not in text


MALFORMED = {
    "empty": b"",
    "junk": b"\xff\xfe\x00junk",
    "text": b"GET / HTTP/1.1\r\n\r\n",
    "address never ends": b"/scorewire/ping",
    "address not utf-8": b"/scorewire/\xff\xff\xff\0,i\0\0\0\0\0\1",
    "address with a line break": b"/a\nb\0\0\0\0,i\0\0\0\0\0\1",
    "no comma": b"/scorewire/ping\0i\0\0\0\0\0\0\1",
    "tags never end": b"/scorewire/ping\0,iii",
    "argument cut short": b"/scorewire/ping\0,i\0\0\0\0",
    "float cut short": b"/scorewire/ping\0,f\0\0\0\0",
    "double cut short": b"/scorewire/ping\0,d\0\0\0\0\0\0",
    "string never ends": b"/scorewire/job\0\0,is\0\0\0\0\1abcd",
    "string not utf-8": b"/scorewire/job\0\0,is\0\0\0\0\1\xc3\x28\0\0",
    "type c": b"/scorewire/ping\0,ci\0\0\0\0A\0\0\0\7",
    "type r": b"/scorewire/ping\0,ir\0\0\0\0\7abc\0",
    "type I": b"/scorewire/ping\0,I\0\0",
    "blob of negative size": b"/scorewire/ping\0,ib\0\0\0\0\1\xff\xff\xff\xf0",
    "array not closed": b"/scorewire/ping\0,[i\0\0\0\0\1",
    "array not opened": b"/scorewire/ping\0,i]\0\0\0\0\1",
    "too many arguments": b"/scorewire/ping\0," + b"T" * 65 + b"\0\0",
    "bundle without time": b"#bundle\0\0\0",
    "bundle element too long": b"#bundle\0" + b"\0" * 8 + struct.pack(">i", 400) + b"/a\0\0",
    "bundle element negative": b"#bundle\0" + b"\0" * 8 + struct.pack(">i", -4) + b"/a\0\0",
    "oversize": b"/scorewire/ping\0,s\0\0" + b"x" * 20_000 + b"\0" * 4,
}


def nested(depth):
    data = message("/scorewire/ping", 1)
    for _ in range(depth):
        data = b"#bundle\0" + b"\0" * 7 + b"\1" + struct.pack(">i", len(data)) + data
    return data


def crowded(count):
    part = message("/scorewire/ping", 1)
    return b"#bundle\0" + b"\0" * 8 + (struct.pack(">i", len(part)) + part) * count


MALFORMED |= {"bundles 5 deep": nested(5), "bundles 300 deep": nested(300), "crowd": crowded(65)}


@pytest.mark.parametrize("data", MALFORMED.values(), ids=MALFORMED)
def test_malformed_datagrams_are_refused_and_the_server_lives(client, data):
    client.raw(data)
    name, (_, _, code, text, _) = client.receive()
    assert (name, code) == ("fail", "malformed")
    assert "\n" not in text
    assert client.ask("/scorewire/ping", 8)[0] == "pong"


def test_a_bad_part_of_a_bundle_is_refused_and_the_others_are_answered(client):
    one = message("/scorewire/ping", 1)
    parts = (one, MALFORMED["type r"], message("/scorewire/ping", 2))
    client.raw(b"#bundle\0" + bytes(8) + b"".join(struct.pack(">i", len(p)) + p for p in parts))
    answers = [client.receive() for _ in range(3)]
    assert [(name, values[0]) for name, values in answers] == [
        ("pong", 1),
        ("fail", 7),
        ("pong", 2),
    ]


def test_a_refusal_names_request_and_address_as_far_as_they_can_be_read(client):
    client.raw(MALFORMED["type r"])
    assert client.receive()[1][:2] == [7, "/scorewire/ping"]
    client.raw(nested(4))
    assert client.receive() == ("pong", [1, *client.ask("/scorewire/ping", 1)[1][1:]])


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.one_of(
        st.binary(max_size=200),
        st.binary(max_size=100).map(lambda b: b"/scorewire/patch\0\0\0\0,issss\0\0" + b),
        st.binary(max_size=100).map(lambda b: b"#bundle\0\0\0\0\0\0\0\0\1" + b),
        st.tuples(
            st.sampled_from(list(REQUESTS)),
            st.lists(
                st.one_of(
                    st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=30),
                    st.floats(width=32), st.integers(-(2**63), 2**63 - 1), st.booleans(),
                    st.none(), st.sampled_from(["duration=", "reply=", "limit=", "last"]),
                ),
                max_size=7,
            ),
        ).filter(lambda m: m[0] != "/scorewire/subscribe").map(lambda m: message(m[0], *m[1])),
    )
)  # fmt: skip
def test_random_bytes_do_not_end_the_server(client, data):
    client.raw(data)
    client.send("/scorewire/ping", 987654)
    while True:
        name, values = client.receive()
        if name == "pong" and values[0] == 987654:
            break


def test_our_own_replies_are_not_answered(client):
    for address in REPLIES:
        client.send(address, 1, "a", "b", "c", "d")
    assert client.silent()


def test_the_queue_has_an_end(client, out):
    for req in range(8):
        assert client.ask("/scorewire/patch", req, "slow", "fm", f"{out}{req}")
    seen = [client.receive() for _ in range(3)]
    client.send("/scorewire/patch", 99, "slow", "fm", f"{out}99")
    seen = client.until("fail")
    assert seen[-1][1][:3] == [99, "/scorewire/patch", "queue-full"]
    assert seen[-1][1][3] == "the queue is full: 8 jobs wait or run already"
    client.send("/scorewire/jobs", 100, "limit=8")
    items = [m[1] for m in client.until("jobs/end") if m[0] == "jobs/item"]
    jobs = [item[1] for item in items]
    assert [item[7:] for item in items][:7] == [["ahead", n] for n in range(7, 0, -1)]
    for job in jobs:
        client.send("/scorewire/cancel", 101, job)
    cancelled = set()
    while cancelled != set(jobs):
        cancelled.add(client.until("cancelled")[-1][1][1])


# The wire


ARGS = st.lists(
    st.one_of(
        st.integers(-(2**31), 2**31 - 1),
        st.floats(width=32, allow_nan=False, allow_infinity=False),
        st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=40),
    ),
    max_size=8,
)


@given(ARGS)
def test_decode_is_the_reverse_of_encode(args):
    (got,) = osc_wire.decode(osc_wire.encode("/a/b", args))
    assert got == osc_wire.Message("/a/b", tuple(args))


@given(
    ARGS, st.lists(st.tuples(st.text("ab", max_size=9), st.floats(0, 1, width=32)), max_size=400)
)
def test_python_osc_reads_what_we_write_and_it_fits(args, facts):
    data = osc_wire.encode("/a/b", args, facts)
    assert len(data) <= osc_wire.MAX_OUT
    parameters = OscMessage(data).params
    assert parameters[: len(args)] == args
    kept = [part for fact in facts for part in fact]
    assert parameters[len(args) :] == kept[: len(parameters) - len(args)]


def test_a_path_is_never_cut():
    """Two paths of 2000 bytes and what a worker adds to them; texts beside them as much as ever."""
    paths = ["/" + "音" * 666 + "/" + "x" * 230 + end for end in (".json", ".wav")]
    data = osc_wire.encode("/scorewire/best", [1, "j1", 0.5, *paths, 7], [("fact", 1.0)])
    assert OscMessage(data).params == [1, "j1", 0.5, *paths, 7, "fact", 1.0]
    assert len(data) <= osc_wire.MAX_IN
    data = osc_wire.encode("/scorewire/stem", [1, "j1", 1, "ü" * 2000, paths[0]])
    *_, prompt, path = OscMessage(data).params
    assert path == paths[0]
    assert re.fullmatch("ü{150,}…", prompt)
    assert len(osc_wire.encode("/scorewire/done", [1, "j1", "/" * 9000])) <= osc_wire.MAX_IN


def test_long_text_is_cut_and_long_figures_are_clamped():
    data = osc_wire.encode("/a", [1, "ü" * 2000, "short"], [("fact", 1.0)])
    number, text, short = OscMessage(data).params
    assert len(data) <= osc_wire.MAX_OUT
    assert (number, short) == (1, "short")
    assert re.fullmatch("ü{600,}…", text)
    values = OscMessage(osc_wire.encode("/a", [1e300, 2**40, 2**2000, True, "a\0b\udc80"])).params
    assert values == [3.4028234663852886e38, 2.0**40, 2.0**64, 1, "ab?"]


# Real peers


def test_python_osc_client(running):
    client = SimpleUDPClient("127.0.0.1", running.port)
    with contextlib.closing(client._sock):
        client.send_message("/scorewire/ping", [5])
        reply = next(iter(client.get_messages(timeout=5)))
        assert (reply.address, reply.params[0]) == ("/scorewire/pong", 5)


def test_liblo_peer(running, client, out):
    peer("liblo")

    def oscsend(*words):
        place = ["127.0.0.1", str(running.port)]
        subprocess.run(["oscsend", *place, *words, f"reply={client.port}"], check=True)

    oscsend("/scorewire/ping", "fs", "12")
    assert client.receive()[1][0] == 12
    oscsend("/scorewire/ping", "ms", "00903C64")  # refused, to a port that is gone already
    oscsend("/scorewire/patch", "hssssds", "13", "ok kick", "fm", out, "duration=", "1.25")
    assert client.until("done", "fail")[-1][1][2] == f"{out}/result.json"


def taken(port):
    """Whether another socket has this UDP port."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(("", port))
        except OSError:
            return True
    return False


def test_liblo_reads_every_reply(running, client, mix, out):
    peer("liblo")
    with Client(0).socket as free:
        port = free.getsockname()[1]
    dump = subprocess.Popen(["oscdump", "-L", str(port)], stdout=subprocess.PIPE, text=True)
    with stopped(dump), bounded(dump):
        until(lambda: taken(port), child=dump)
        client.send("/scorewire/ping", 1, f"reply={port}")
        client.send("/scorewire/separate", 2, mix, out, "ok voice", "drums", f"reply={port}")
        lines = []
        for line in dump.stdout:
            lines.append(line)
            if "/scorewire/done" in line or "/scorewire/fail" in line:
                break
    text = "".join(lines)
    assert "/scorewire/pong iss 1 " in text
    assert 'isfsfsfsf 2 "j' in text
    assert f'"drums" "{mix.removesuffix("mix.wav")}' in text
    assert "/scorewire/done iss" in lines[-1]


def test_pure_data_peer(running, tmp_path):
    """Pd sends every number as a float, from netsend's own port, and hears the reply there."""
    peer("puredata")
    path = tmp_path / "ping.pd"
    path.write_text(
        "#N canvas 0 0 400 400 12;\n"
        "#X obj 0 0 loadbang;\n"
        "#X obj 0 30 t b b;\n"
        f"#X msg 100 60 connect 127.0.0.1 {running.port};\n"
        "#X msg 0 60 42;\n"
        "#X obj 0 90 oscformat scorewire ping;\n"
        "#X obj 0 120 list prepend send;\n"
        "#X obj 0 150 list trim;\n"
        "#X obj 0 180 netsend -u -b;\n"
        "#X obj 0 210 oscparse;\n"
        "#X obj 0 240 print reply;\n"
        "#X connect 0 0 1 0;\n#X connect 1 0 3 0;\n#X connect 1 1 2 0;\n#X connect 2 0 7 0;\n"
        "#X connect 3 0 4 0;\n#X connect 4 0 5 0;\n#X connect 5 0 6 0;\n#X connect 6 0 7 0;\n"
        "#X connect 7 1 8 0;\n#X connect 8 0 9 0;\n"
    )
    command = ["pd", "-nogui", "-noaudio", "-nomidi", "-stderr", str(path)]
    pd = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    with stopped(pd), bounded(pd):
        reply = next((line for line in pd.stderr if line.startswith("reply:")), "")
    assert re.match(r"reply: list scorewire pong 42 \S+ (idle|busy)", reply)


# What may be done without the key, and with it


def refused(client, address, *values):
    """The code and the sentence of a refusal."""
    name, said = client.ask(address, *values)
    assert name == "fail", said
    return said[2], said[3]


def test_without_the_key_a_file_of_others_and_one_of_ours_stay(client, mix, tmp_path):
    theirs = tmp_path / "theirs.wav"
    theirs.write_bytes(b"somebody's sound")
    code, text = refused(client, "/scorewire/render", 1, mix, str(theirs))
    assert code == "bad-input"
    assert text.endswith("is there already, and only new files may be written without the key")
    assert theirs.read_bytes() == b"somebody's sound"
    code, text = refused(client, "/scorewire/render", 2, mix, str(theirs), "replace=1")
    assert (code, text[:22]) == ("needs-key", "replace needs the key:")
    code, text = refused(client, "/scorewire/render", 3, mix, str(theirs), f"key={KEY}")
    assert (code, "Scorewire did not make it" in text) == ("bad-input", True)
    values = (mix, str(theirs), f"key={KEY}", "replace=1")
    assert client.ask("/scorewire/render", 4, *values)[0] == "accepted"


@pytest.mark.parametrize("where", ["/nowhere-of-ours", "~", "/usr/../var"])
def test_without_the_key_nothing_is_written_elsewhere(client, mix, where):
    out = str(Path(where).expanduser() / "x")
    asked = (
        ("/scorewire/patch", 1, "ok", "fm", out),
        ("/scorewire/generate", 1, out, "ok"),
        ("/scorewire/accompany", 1, out, f"bass={mix}"),
        ("/scorewire/separate", 1, mix, out, "voice"),
        ("/scorewire/separate", 1, mix, out, "voice", "excerpt=5"),
        ("/scorewire/render", 1, mix, f"{out}/x.wav"),
        ("/scorewire/export", 1, mix, "all", out),
        ("/scorewire/export", 1, mix, "sfz", f"{out}.sfz"),
        ("/scorewire/vary", 1, mix, out),
        ("/scorewire/morph", 1, mix, mix, out),
        ("/scorewire/edit", 1, mix, "darker", out),
        ("/scorewire/record", 1, f"{out}/x.wav"),
    )
    for request in asked:
        code, text = refused(client, *request)
        assert (code, "allowed without the key (" in text) == ("bad-input", True), request
    assert not Path(out).exists()


def test_a_link_does_not_lead_out_of_the_folders(client, mix, tmp_path):
    (tmp_path / "link").symlink_to("/var")
    code, text = refused(client, "/scorewire/render", 1, mix, str(tmp_path / "link" / "x.wav"))
    assert (code, "allowed without the key (" in text) == ("bad-input", True)
    (tmp_path / "new.wav").symlink_to("/var/new.wav")
    code, text = refused(client, "/scorewire/render", 1, mix, str(tmp_path / "new.wav"))
    assert (code, "is there already" in text) == ("bad-input", True)


@pytest.mark.parametrize("model", ["stabilityai/stable-audio-open-1.0", "/a/folder", "mine"])
def test_without_the_key_models_are_the_installed_ones(client, mix, out, model):
    for request in (
        ("/scorewire/patch", 1, "ok", "fm", out, f"model={model}"),
        ("/scorewire/generate", 1, out, "ok", f"model={model}"),
        ("/scorewire/separate", 1, mix, out, "voice", f"model={model}"),
        ("/scorewire/edit", 1, mix, "darker", out, f"model={model}"),
    ):
        said = refused(client, *request)
        assert said == ("needs-key", "without the key the model must be 'default' or 'edm'")
    said = refused(client, "/scorewire/patch", 1, "ok", "fm", out, f"scorer={model}")
    assert said == ("needs-key", "without the key the scorer must be 'default'")
    said = refused(client, "/scorewire/accompany", 1, out, f"bass={mix}", f"stem_model={model}")
    assert said == ("needs-key", "without the key the stem_model must be 'default'")
    for req, shipped in enumerate(("default", "edm"), start=2):
        request = ("/scorewire/patch", req, "ok", "fm", f"{out}{req}", f"model={shipped}")
        assert client.ask(*request)[0] == "accepted"


def test_a_wrong_key_is_answered_whatever_was_asked(client, out):
    for request in (("/scorewire/ping", 1), ("/scorewire/patch", 1, "ok", "fm", out)):
        code, text = refused(client, *request, "key=a-guess")
        assert (code, "a-guess" in text) == ("bad-key", False)
    assert client.ask("/scorewire/ping", 2, f"key={KEY}")[0] == "pong"


def test_the_token_of_http_is_a_key_too_and_stays_out_of_the_ledger(running, client, out):
    running.config.token_file.write_text("the-token-of-http-as-it-is\n")
    try:
        job = client.ask(
            "/scorewire/patch", 1, "ok", "fm", out, "key=", "the-token-of-http-as-it-is"
        )
        client.until("done")
        assert client.ask("/scorewire/patch", 2, "ok", "fm", out, f"key={KEY}")[0] == "accepted"
        client.until("done")  # in the same folder: what it made it may replace
    finally:
        running.config.token_file.unlink()
    with Store(running.config.ledger) as store:
        assert "the-token" not in store.get(job[1][1]).job.model_dump_json()


# The whole process


def run_server(config):
    program = (
        "import asyncio, sys\n"
        "from bridge.service.config import load\n"
        "from bridge.app.serve import run_server\n"
        "ready = lambda port, http: print(port, flush=True)\n"
        "asyncio.run(run_server(load(sys.argv[1]), ready=ready))\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", program, config],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    return process, int(first_line(process))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_restarted_server_knows_what_was_interrupted(tmp_path, out, number):
    config = tmp_path / "config.toml"
    log = tmp_path / "pids"
    worker = json.dumps([*COMMAND, str(log)])
    config.write_text(
        f'osc_port = 0\ndata = "{tmp_path}/data"\nworker = {worker}\nosc_write = ["{tmp_path}"]\n'
    )
    process, port = run_server(config)
    client = Client(port)
    with process, contextlib.closing(client.socket):
        job = client.ask("/scorewire/patch", 1, "slow", "fm", out)[1][1]
        client.until("progress")
        process.send_signal(number)
        if number != signal.SIGKILL:
            req, address, code, _, failed = client.until("fail")[-1][1]
            assert (req, address, code, failed) == (1, "/scorewire/patch", "interrupted", job)
        _, errors = process.communicate(timeout=20)
        assert errors == ""
        assert process.returncode == (-number if number == signal.SIGKILL else 0)
    (pid,) = map(int, log.read_text().split())
    until(lambda: not Path(f"/proc/{pid}").exists())

    process, port = run_server(config)
    client.server = ("127.0.0.1", port)
    again = Client(port)
    with process, contextlib.closing(again.socket):
        state = again.ask("/scorewire/job", 1, "last")[1]
        assert state[1:4] == [job, "patch", "interrupted"]
        assert state[7:9] == ["code", "interrupted"]
        process.terminate()
        process.communicate(timeout=20)


def test_a_taken_port_is_stepped_over(tmp_path):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        config = Config(osc_port=port, data=tmp_path, worker=COMMAND)
        server = Running(config)
        server.stop()
        assert port < server.port <= port + 10
