"""Real programs of others, each drives a whole job of the real worker over its own OSC or HTTP.

Every peer renders the same factory preset; the WAV it is told of holds the same samples each time.
"""

import contextlib
import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest
import soundfile
from pythonosc.osc_message import OscMessage
from websockets.sync.client import connect

from bridge.osc.addresses import REPLIES, REQUESTS
from bridge.service.config import Config
from bridge.stems import manifest as stems
from tests import peers
from tests.children import MARK, bounded, first_line, left_behind, stopped, until
from tests.http_server import ROOT, Http, Running, blob
from tests.peers import lacking, peer
from tests.test_osc import message, taken

PRESET = ROOT / "presets" / "factory" / "bottle.json"
PATIENCE = 280  # seconds: the worker starts in 7 alone, and in a minute beside others
PACKAGES = ["osc@2.4.5", "oscquery@1.1.1"]


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    data = tmp_path_factory.mktemp("peers")
    everywhere = (tmp_path_factory.getbasetemp(),)
    worker = Config(data=data).worker
    server = Running(data, worker=worker, grace=10.0, osc_write=everywhere)
    yield server
    server.stop()


@pytest.fixture(scope="module")
def sound(running):
    """The preset's samples, rendered by a job that HTTP asked for."""
    client = Http(running.http, running.token)
    job = client.job(kind="render", preset=str(PRESET))
    done = client.events(job)[0][-1]
    assert done[1] == "done", done
    return soundfile.read(done[2]["result"]["wav"])[0]


@contextlib.contextmanager
def running_program(*command, **options):
    """A program whose output is read, and that is ended when it takes too long."""
    program = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **options)
    with stopped(program), bounded(program, PATIENCE):
        yield program


def until_done(lines):
    """Lines up to the one of the job's end."""
    seen = []
    for line in lines:
        seen.append(line)
        if "done" in line or "fail" in line:
            break
    return seen


def free_port():
    import socket

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


# Who skips for something else than a peer: the system, the checkout, files that are not shared.
OTHER_REASONS = {
    "test_blank_modules.py", "test_corpus.py", "test_denormals.py", "test_docs.py",
    "test_library_crash.py",
    "test_musicnn.py", "test_oscquery.py", "test_pieces.py", "test_pitch.py", "test_reading.py",
    "test_player_ardour.py", "test_player_jack.py", "test_plugins.py", "test_stable_audio.py",
    "test_take_apart.py", "test_worker.py",
}  # fmt: skip


def test_every_peer_is_in_the_table():
    """No test looks for a program or a package by itself."""
    asks = re.compile(r"pytest\.skip\(|skipif\(|importorskip\(|shutil\.which\(")
    names = {p.name for p in (ROOT / "tests").glob("test_*.py") if asks.search(p.read_text())}
    assert names - {"test_peers.py"} == OTHER_REASONS


@pytest.mark.parametrize(
    ("mode", "outcome"), [("", pytest.skip.Exception), ("required", pytest.fail.Exception)]
)
def test_a_missing_peer_skips_or_fails(monkeypatch, mode, outcome):
    monkeypatch.setenv(peers.MODE, mode)
    monkeypatch.setitem(peers.PEERS, "gone", peers.Peer(("gone-package",), ("gone-program",)))
    monkeypatch.setitem(peers.PEERS, "unsold", peers.Peer(modules=("no_such_module",)))
    with pytest.raises(outcome, match="gone-program is not here: make peers"):
        peer("git", "gone")
    with pytest.raises(outcome, match="the package no_such_module is not here: make install"):
        peer("unsold")


@pytest.mark.parametrize(
    ("here", "user", "says"),
    [
        (None, 0, "nothing is installed: there is no apt-get here. On Debian: apt-get install"),
        ("/usr/bin/apt-get", 1000, "nothing is installed: that takes root: sudo apt-get install"),
    ],
)
def test_make_peers_says_what_it_would_do(monkeypatch, capsys, here, user, says):
    gone = {"gone": peers.Peer(("gone-package",), files=("/nowhere/gone",))}
    monkeypatch.setattr(peers, "PEERS", gone)
    monkeypatch.setattr(peers.shutil, "which", lambda _: here)
    monkeypatch.setattr(peers.os, "geteuid", lambda: user)
    assert peers.main() == 0
    out = capsys.readouterr().out
    assert says in out
    assert "--no-install-recommends gone-package" in out
    monkeypatch.setattr(peers, "PEERS", {})
    assert peers.main() == 0
    assert capsys.readouterr().out == "== peers: all 0 are here\n"


def test_what_is_left_behind_is_named():
    """Found by what it inherits, in a session of its own too; the wait looks whether it lives."""
    command = [sys.executable, "-c", "import time; print(1, flush=True); time.sleep(600)"]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    with stopped(child):
        assert first_line(child) == "1\n"
        left = left_behind(os.environ[MARK], seconds=0.0)
        assert "test_what_is_left_behind_is_named" in left[child.pid]
        child.kill()
        with pytest.raises(AssertionError, match=r"the child ended \(-9\) before it happened"):
            until(lambda: False, child=child)
        with pytest.raises(AssertionError, match=r"the child ended \(-9\) and said nothing"):
            first_line(child)
    until(lambda: child.pid not in left_behind(os.environ[MARK], seconds=0.0))


def test_liblo(running, sound, tmp_path):
    """oscsend asks; its replies go to oscdump, another program, by the option `reply`."""
    peer("liblo")
    port, out = free_port(), tmp_path / "liblo.wav"
    with running_program("oscdump", "-L", str(port)) as dump:
        until(lambda: taken(port), child=dump)
        words = ["/scorewire/render", "isss", "5", str(PRESET), str(out), f"reply={port}"]
        subprocess.run(["oscsend", "127.0.0.1", str(running.port), *words], check=True)
        seen = until_done(dump.stdout)
    assert "/scorewire/accepted is 5 " in seen[0]
    assert any("/scorewire/progress" in line for line in seen)
    assert f'"{out}"' in seen[-1]
    np.testing.assert_array_equal(soundfile.read(out)[0], sound)


PATCH = """\
#N canvas 0 0 400 400 12;
#X obj 0 0 loadbang;
#X obj 0 30 t b b;
#X msg 100 60 connect 127.0.0.1 {port};
#X msg 0 60 6 {preset} {out} velocity= 100;
#X obj 0 90 oscformat scorewire render;
#X obj 0 120 list prepend send;
#X obj 0 150 list trim;
#X obj 0 180 netsend -u -b;
#X obj 0 210 oscparse;
#X obj 0 240 print reply;
#X connect 0 0 1 0;
#X connect 1 0 3 0;
#X connect 1 1 2 0;
#X connect 2 0 7 0;
#X connect 3 0 4 0;
#X connect 4 0 5 0;
#X connect 5 0 6 0;
#X connect 6 0 7 0;
#X connect 7 1 8 0;
#X connect 8 0 9 0;
"""


def test_pure_data(running, sound, tmp_path):
    """A patch of plain objects: every number is a float, replies come to netsend's own port."""
    peer("puredata")
    path, out = tmp_path / "render.pd", tmp_path / "pd.wav"
    path.write_text(PATCH.format(port=running.port, preset=PRESET, out=out))
    command = ["pd", "-nogui", "-noaudio", "-nomidi", "-stderr", str(path)]
    with running_program(*command, stderr=subprocess.STDOUT) as pd:
        seen = until_done(line for line in pd.stdout if line.startswith("reply:"))
    assert seen[0].startswith("reply: list scorewire accepted 6 j")
    assert seen[-1].split()[:5] == ["reply:", "list", "scorewire", "done", "6"]
    np.testing.assert_array_equal(soundfile.read(out)[0], sound)


SCRIPT = """\
const osc = require("osc");
const [port, preset, out] = process.argv.slice(2);
const udp = new osc.UDPPort({
    localAddress: "127.0.0.1", localPort: 0, remoteAddress: "127.0.0.1", remotePort: Number(port),
});
udp.on("ready", () => udp.send({
    address: "/scorewire/render",
    args: [{type: "i", value: 7}, {type: "s", value: preset}, {type: "s", value: out}],
}));
udp.on("message", (message) => {
    console.log(JSON.stringify(message));
    if (/done|fail/.test(message.address)) process.exit();
});
udp.open();
"""


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    """A folder with Node's `osc` and `oscquery` in it, from npm."""
    peer("node")
    folder = tmp_path_factory.mktemp("node")
    quiet = ["--silent", "--no-audit", "--no-fund", "--omit=optional", "--ignore-scripts"]
    command = ["npm", "install", "--prefer-offline", "--fetch-retries=0", *quiet, *PACKAGES]
    try:
        done = subprocess.run(command, cwd=folder, timeout=120, capture_output=True, check=False)
    except subprocess.TimeoutExpired:
        lacking(f"npm did not answer in two minutes: npm install {' '.join(PACKAGES)}")
    if done.returncode:
        lacking(f"npm cannot install {', '.join(PACKAGES)} here: is there a network?")
    return folder


def test_node_osc(running, sound, node, tmp_path):
    script, out = node / "render.js", tmp_path / "node.wav"
    script.write_text(SCRIPT)
    command = ["node", str(script), str(running.port), str(PRESET), str(out)]
    with running_program(*command, cwd=node) as program:
        seen = [json.loads(line) for line in until_done(program.stdout)]
    assert seen[0]["address"] == "/scorewire/accepted"
    assert (seen[-1]["address"], seen[-1]["args"][0]) == ("/scorewire/done", 7)
    assert seen[-1]["args"][2] == str(out)
    np.testing.assert_array_equal(soundfile.read(out)[0], sound)


QUERY = """\
const { OSCQueryDiscovery } = require("oscquery");
const reader = new OSCQueryDiscovery();
reader.queryNewService("127.0.0.1", Number(process.argv[2])).then((service) => {
    console.log(JSON.stringify({ host: service.hostInfo, nodes: service.flat() }));
});
"""


def test_node_oscquery(running, node):
    """Another's reader of OSCQuery finds every address, with types, ranges and access."""
    script = node / "query.js"
    script.write_text(QUERY)
    command = ["node", str(script), str(running.http)]
    run = subprocess.run(command, cwd=node, capture_output=True, timeout=PATIENCE, check=True)
    read = json.loads(run.stdout)
    assert (read["host"]["oscPort"], read["host"]["wsPort"]) == (running.port, running.http)
    nodes = {each["full_path"]: each for each in read["nodes"]}
    tables = {path for path in (*REQUESTS, *REPLIES) if "/slot/" not in path}
    assert set(nodes) == tables
    render = nodes["/scorewire/render"]
    assert render["critical"] is True
    assert [argument["type"] for argument in render["arguments"]] == ["i", "s", "s"]
    assert render["arguments"][0]["range"] == {"min": 0, "max": 2**31 - 1}


def test_websockets(running, sound, tmp_path):
    """OSC that loses nothing: the whole job over one websocket."""
    out = tmp_path / "socket.wav"
    headers = {"Authorization": f"Bearer {running.token}"}
    with connect(f"ws://127.0.0.1:{running.http}/", additional_headers=headers) as line:
        line.send(message("/scorewire/render", 8, str(PRESET), str(out)))
        seen = [OscMessage(line.recv(timeout=PATIENCE))]
        while not seen[-1].address.endswith(("/done", "/fail")):
            seen.append(OscMessage(line.recv(timeout=PATIENCE)))
    assert seen[0].address == "/scorewire/accepted"
    assert seen[-1].params[:3] == [8, seen[0].params[1], str(out)]
    np.testing.assert_array_equal(soundfile.read(out)[0], sound)


def test_curl(running, sound, tmp_path):
    """A preset sent up, rendered, followed and fetched by curl alone: no path of the server."""
    peer("curl")
    address = f"http://127.0.0.1:{running.http}"

    def curl(*words):
        said = ["curl", "--silent", "--fail-with-body", "--max-time", str(PATIENCE)]
        said += ["--header", f"Authorization: Bearer {running.token}", *words]
        return subprocess.run(said, capture_output=True, check=True).stdout

    place = blob(PRESET.read_bytes())
    curl("--upload-file", str(PRESET), address + place)
    asked = {"kind": "render", "preset": f"sha256:{place.rpartition('/')[2]}/bottle.json"}
    words = ["--header", "Content-Type: application/json", "--data", json.dumps(asked)]
    job = json.loads(curl(*words, f"{address}/v1/jobs"))["id"]
    assert b"event: done" in curl(f"{address}/v1/jobs/{job}/events")
    out = tmp_path / "fetched.wav"
    curl("--output", str(out), f"{address}/v1/jobs/{job}/files/sound.wav")
    np.testing.assert_array_equal(soundfile.read(out)[0], sound)


def test_the_commands_of_the_page_bring_stems_that_null(running, tmp_path):
    """docs/http.md from a file to its stems, typed into bash; then all files, added up."""
    peer("curl")
    data, rate = soundfile.read(ROOT / "examples" / "data" / "mixture.flac")
    soundfile.write(tmp_path / "song.wav", data[: 2 * rate], rate)
    page = (ROOT / "docs" / "http.md").read_text(encoding="utf-8")
    block = page.split("## From a file to its stems")[1].split("## ")[0]
    typed = "\n".join(line[4:] for line in block.splitlines() if line.startswith("    "))
    typed = typed.replace("$(scorewire token)", running.token).replace("9557", str(running.http))
    heard = subprocess.run(
        ["bash", "-c", typed], cwd=tmp_path, capture_output=True, text=True, check=True
    ).stdout
    done = next(line for line in heard.splitlines() if line.startswith('data: {"kind":"done"'))
    job = json.loads(done.removeprefix("data: "))["id"]
    manifest = stems.load(tmp_path / stems.MANIFEST)
    client = Http(running.http, running.token)
    for file in client.ask("GET", f"/v1/jobs/{job}").json["files"]:
        (tmp_path / file["name"]).write_bytes(client.ask("GET", file["url"]).body)
    assert all(stem.wav.startswith("song__") for stem in manifest.stems)
    parts = [soundfile.read(tmp_path / stem.wav)[0] for stem in manifest.stems]
    parts.append(soundfile.read(tmp_path / manifest.residual)[0])
    mix = soundfile.read(tmp_path / "song.wav")[0]
    error = np.sqrt(np.mean((mix - sum(parts)) ** 2))
    assert 20 * np.log10(error / np.sqrt(np.mean(mix**2))) < -100
