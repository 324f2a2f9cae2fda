"""OSCQuery: the namespace over HTTP, its websocket with a real client, and the announcement."""

import asyncio
import contextlib
import json
import socket
import sys
import time

import pytest
from pythonosc.osc_message import OscMessage
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from bridge.http import access, broadcast, mdns, oscquery, oscquery_listen
from bridge.osc.addresses import REPLIES, REQUESTS
from bridge.player.macros import MACROS
from bridge.service.config import Config
from bridge.service.player_process import PlayerProcess
from presets.library import Library
from tests.http_server import ROOT, Http, Running
from tests.test_osc import Client, message

PLAYER = (sys.executable, "-S", "-E", str(ROOT / "tests" / "fake_player.py"))
PRESET = str(next((ROOT / "presets" / "factory").glob("*.json")))


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    data = tmp_path_factory.mktemp("data")
    server = Running(data, player=PlayerProcess(PLAYER, Library(data / "library")))
    yield server
    server.stop()


@pytest.fixture
def client(running):
    return Http(running.http, running.token)


@pytest.fixture
def osc(running):
    client = Client(running.port)
    yield client
    client.socket.close()


def ask(client, path):
    return client.ask("GET", path, token=None)


def nodes(node):
    yield node
    for part in node.get("CONTENTS", {}).values():
        yield from nodes(part)


@contextlib.contextmanager
def websocket(running, token=None):
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    with connect(f"ws://127.0.0.1:{running.http}/", additional_headers=headers) as line:
        yield line


def command(line, name, path):
    line.send(json.dumps({"COMMAND": name, "DATA": path}))


def settled(line):
    """What was sent until now has been dealt with: the answer to nonsense comes after it."""
    command(line, "NOTHING", "")
    while not isinstance(frame := line.recv(timeout=60), str) or "NOTHING" not in frame:
        pass


def heard(line):
    """The next OSC message of a websocket."""
    while isinstance(frame := line.recv(timeout=60), str):
        pass
    said = OscMessage(frame)
    return said.address, said.params


# The namespace


def test_the_tree_has_every_address_and_its_types(client):
    tree = ask(client, "/").json
    found = {node["FULL_PATH"]: node for node in nodes(tree) if "TYPE" in node}
    for address, request in REQUESTS.items():
        if address.startswith("/scorewire/slot/"):
            continue
        types = "".join(word[0] for word in request.args.replace("...", "").split())
        assert (found[address]["TYPE"], found[address]["ACCESS"]) == (types, 2)
    for address, args in REPLIES.items():
        types = "".join(word[0] for word in args.split())
        assert (found[address]["TYPE"], found[address]["ACCESS"]) == (types, 1)
    for node in found.values():
        for name in ("VALUE", "RANGE"):
            assert len(node.get(name, node["TYPE"])) == len(node["TYPE"]), node
        assert node["FULL_PATH"].isascii()


def test_every_node_is_under_its_path(client):
    for _ in range(100):  # until the player, which has just been started, has said how it is
        play, tree = ask(client, "/scorewire/play").json, ask(client, "/").json
        if play == tree["CONTENTS"]["scorewire"]["CONTENTS"]["play"]:
            break
    for node in nodes(tree):
        for name, part in node.get("CONTENTS", {}).items():
            assert part["FULL_PATH"] == f"{node['FULL_PATH'].rstrip('/')}/{name}"
    assert play == tree["CONTENTS"]["scorewire"]["CONTENTS"]["play"]
    assert ask(client, "/scorewire/play/").status == 200


def test_calls_that_start_work_are_critical(client):
    kinds = ("patch", "generate", "accompany", "separate", "render", "export", "vary", "morph")
    for name in kinds:
        assert ask(client, f"/scorewire/{name}?CRITICAL").json == {"CRITICAL": True}
    assert ask(client, "/scorewire/ping?CRITICAL").status == 204


def test_jobs_are_no_nodes(client, tmp_path):
    job = client.job(kind="patch", prompt="ok", renderer="fm", out=str(tmp_path / "o"))
    client.events(job)
    assert job not in json.dumps([node["FULL_PATH"] for node in nodes(ask(client, "/").json)])


def test_ranges_are_those_that_are_checked(client):
    trigger = oscquery.find(oscquery.namespace(plays=True, loaded=frozenset({3})),
                            "/scorewire/slot/3/on")  # fmt: skip
    assert trigger["RANGE"] == [{"MIN": 0, "MAX": 2**31 - 1}, {"MIN": 0, "MAX": 127}]
    assert ask(client, "/scorewire/patch?RANGE").json["RANGE"][2] == {
        "VALS": ["auto", "fm", "impact"]
    }
    assert ask(client, "/scorewire/patch?RANGE").json["RANGE"][1] is None


def test_host_info_says_where_to_go(running, client):
    info = ask(client, "/?HOST_INFO").json
    assert ask(client, "/nothing/here?HOST_INFO").json == info
    assert (info["OSC_IP"], info["OSC_PORT"], info["OSC_TRANSPORT"]) == (
        "127.0.0.1", running.port, "UDP",
    )  # fmt: skip
    assert (info["WS_IP"], info["WS_PORT"]) == ("127.0.0.1", running.http)
    assert {"ACCESS", "VALUE", "RANGE", "CRITICAL", "LISTEN"} <= {
        name for name, there in info["EXTENSIONS"].items() if there
    }


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/scorewire/ping?TYPE", 200), ("/scorewire?CONTENTS", 200),
        ("/scorewire?TYPE", 204), ("/scorewire/ping?CLIPMODE", 204), ("/scorewire/ping?VALUE", 204),
        ("/scorewire/ping?COLOUR", 400), ("/scorewire/ping?TYPE&ACCESS", 400), ("/?x=1", 400),
        ("/scorewire/nothing", 404), ("/nothing?TYPE", 404), ("/scorewire/slot/129/load", 404),
        ("/scorewire/slot/N/load", 404), ("/scorewire/ping/TYPE", 404), ("/%00", 404),
    ],
)  # fmt: skip
def test_codes(client, path, status):
    answer = ask(client, path)
    assert answer.status == status
    if status == 204:
        assert answer.body == b""
    if status >= 400:
        assert answer.code in ("bad-attribute", "no-address")


def test_the_namespace_is_read_only(client):
    for method in ("POST", "PUT", "DELETE"):
        assert client.ask(method, "/scorewire/ping").status == 405


def test_without_a_player_there_are_no_slots():
    tree = oscquery.namespace(plays=False, loaded=frozenset())
    assert oscquery.find(tree, "/scorewire/slot") is None
    assert oscquery.find(tree, "/scorewire/patch") is not None


# Slots and knobs


def test_a_loaded_slot_has_its_knobs(running, client, osc):
    assert ask(client, "/scorewire/slot/7/load").status == 200
    assert ask(client, "/scorewire/slot/7/trigger").status == 404
    with websocket(running) as line:
        settled(line)
        assert osc.ask("/scorewire/slot/7/load", 1, PRESET) == ("ok", [1])
        assert json.loads(line.recv(timeout=60)) == {
            "COMMAND": "PATH_CHANGED", "DATA": "/scorewire/slot/7",
        }  # fmt: skip
        knobs = ask(client, "/scorewire/slot/7/param").json["CONTENTS"]
        assert {name: knob["VALUE"] for name, knob in knobs.items()} == {
            name: [None, macro.neutral] for name, macro in MACROS.items()
        }
        assert {knob["ACCESS"] for knob in knobs.values()} == {3}
        assert osc.ask("/scorewire/slot/7/unload", 2) == ("ok", [2])
        assert json.loads(line.recv(timeout=60))["COMMAND"] == "PATH_CHANGED"
        assert ask(client, "/scorewire/slot/7/param").status == 404


def test_a_knob_is_heard_where_it_is_written(running, client, osc):
    osc.ask("/scorewire/slot/1/load", 1, PRESET)
    path = "/scorewire/slot/1/param/brightness"
    with websocket(running) as line, websocket(running) as other:
        command(line, "LISTEN", path)
        settled(line)
        assert osc.ask(path, 2, 0.75) == ("ok", [2])
        assert heard(line) == (path, [-1, 0.75])
        assert ask(client, f"{path}?VALUE").json == {"VALUE": [None, 0.75]}
        assert osc.ask("/scorewire/play/panic", 3, "slot=99") == ("ok", [3])  # a MIDI controller
        assert heard(line) == (path, [-1, 0.25])
        command(line, "IGNORE", path)
        settled(line)
        osc.ask(path, 4, 0.5)
        settled(line)
        settled(other)  # who did not listen hears nothing


# The websocket


def test_listening_to_a_reply_is_hearing_the_news(running, client, tmp_path):
    with websocket(running) as line:
        for path in ("/scorewire/best", "/scorewire/done"):
            command(line, "LISTEN", path)
        settled(line)
        out = str(tmp_path / "o")
        job = client.job(kind="patch", prompt="ok", renderer="fm", out=out)
        assert heard(line) == ("/scorewire/best", [-1, job, 0.5, "/p.json", "/p.wav", 2])
        address, values = heard(line)
        assert (address, values[:3]) == ("/scorewire/done", [-1, job, f"{out}/result.json"])
    assert ask(client, "/scorewire/done?VALUE").json == {"VALUE": values[:3]}


def test_work_is_asked_for_over_the_websocket_with_the_token(running, tmp_path):
    with websocket(running, running.token) as line:
        line.send(message("/scorewire/patch", 3, "ok", "fm", str(tmp_path / "o")))
        address, (req, job) = heard(line)
        assert (address, req) == ("/scorewire/accepted", 3)
        while (said := heard(line))[0] != "/scorewire/done":
            assert said[1][:2] == [3, job]
        line.send(message("/scorewire/ping", 4, "reply=9"))  # there is no port to answer to
        assert heard(line)[1][0] == 4
        line.send(b"junk")
        assert heard(line)[1][:3] == [-1, "", "malformed"]


def test_without_the_token_nothing_is_started(running, tmp_path):
    with websocket(running) as line:
        line.send(message("/scorewire/patch", 3, "ok", "fm", str(tmp_path / "o")))
        said = json.loads(line.recv(timeout=60))
        assert said["COMMAND"] == "ERROR"
        assert "Authorization: Bearer TOKEN" in said["DATA"]
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "a command is"), ("[]", "a command is"), ('{"COMMAND": "LISTEN"}', "a command is"),
        ("[" * 5000, "a command is"), ('{"COMMAND": [], "DATA": []}', "the commands are LISTEN"),
        ('{"COMMAND": "LISTEN", "DATA": "/scorewire/nothing"}', "there is no path"),
        ('{"COMMAND": "LISTEN", "DATA": ["/"]}', "there is no path"),
    ],
)  # fmt: skip
def test_a_wrong_command_is_answered_and_the_line_lives(running, text, words):
    with websocket(running) as line:
        line.send(text)
        said = json.loads(line.recv(timeout=60))
        assert said["COMMAND"] == "ERROR"
        assert words in said["DATA"]
        settled(line)


def test_listening_ends_with_the_connection(running, client):
    with contextlib.ExitStack() as stack:
        for _ in range(broadcast.MAX_LISTENERS):
            settled(stack.enter_context(websocket(running, running.token)))
        late = stack.enter_context(websocket(running, running.token))
        with pytest.raises(ConnectionClosed, match="32 clients are"):
            late.recv(timeout=60)
    deadline = time.monotonic() + 60
    while True:  # the server hears of an end a moment later
        with contextlib.suppress(ConnectionClosed), websocket(running) as line:
            settled(line)
            break
        assert time.monotonic() < deadline


def test_websockets_without_the_token_leave_room_and_the_oldest_of_them_goes(running):
    with contextlib.ExitStack() as stack:
        owner = stack.enter_context(websocket(running, running.token))
        strangers = [
            stack.enter_context(websocket(running)) for _ in range(broadcast.MAX_LISTENERS)
        ]
        for line in strangers:
            settled(line)
        late = stack.enter_context(websocket(running))
        settled(late)
        with pytest.raises(ConnectionClosed, match="32 others came without the token"):
            strangers[0].recv(timeout=60)
        for line in (strangers[1], owner, late):
            settled(line)
        settled(stack.enter_context(websocket(running, running.token)))


def test_a_page_from_elsewhere_opens_no_websocket(running):
    with pytest.raises(InvalidStatus) as error:
        connect(f"ws://127.0.0.1:{running.http}/", origin="http://evil.example")
    assert error.value.response.status_code == 403


def test_who_does_not_keep_up_is_sent_away_and_never_left_with_a_hole():
    async def story():
        listener = broadcast.Listener()
        for number in range(broadcast.MAX_WAITING + 10):
            listener.put(str(number))
        return [listener.frames.get_nowait() for _ in range(listener.frames.qsize())]

    frames = asyncio.run(story())
    assert frames == [*(str(n) for n in range(broadcast.MAX_WAITING)), None]


def test_another_machine_hears_with_the_token_only_and_names_no_files():
    class Socket:
        def __init__(self, far, trusted):
            self.scope = {access.FAR: far, access.TRUSTED: trusted}

    assert oscquery_listen._may_hear(Socket(False, False))
    assert oscquery_listen._may_hear(Socket(True, True))
    assert not oscquery_listen._may_hear(Socket(True, False))
    for address in oscquery_listen.HARMLESS:
        named = {word[2:] for word in REQUESTS[address].args.split()}
        assert not named & {"file", "preset", "other", "out", "session", "sources"}, address
    assert not oscquery_listen._harmless(message("/scorewire/slot/5/load", 1, "a"))
    assert not oscquery_listen._harmless(message("/scorewire/render", 1, "/a", "/b"))
    assert oscquery_listen._harmless(message("/scorewire/slot/5/trigger", 1))
    wrong, work = message("/scorewire/ping"), message("/scorewire/render", 1, "/a", "/b")
    bundle = b"#bundle\0" + bytes(8)
    bundle += b"".join(len(part).to_bytes(4, "big") + part for part in (wrong, work))
    assert not oscquery_listen._harmless(
        bundle
    )  # what is refused does not excuse what comes after it


# The announcement


def test_it_is_found_on_one_interface_when_asked_to(tmp_path):
    """A real multicast round on loopback: announced, browsed for, found, gone."""
    from zeroconf import IPVersion
    from zeroconf.asyncio import AsyncServiceBrowser, AsyncServiceInfo, AsyncZeroconf

    config = Config(data=tmp_path)
    found, gone = {}, asyncio.Queue()

    async def story():
        seen = asyncio.Queue()

        def changed(zeroconf, service_type, name, state_change):
            (seen if state_change.name == "Added" else gone).put_nowait((service_type, name))

        network = AsyncZeroconf(interfaces=["127.0.0.1"])
        kinds = [mdns.OSCQUERY, mdns.OSC]
        browser = AsyncServiceBrowser(network.zeroconf, kinds, handlers=[changed])
        async with mdns.mdns_service(config, osc=41001, http=41002):
            while len(found) < 2:
                kind, name = await asyncio.wait_for(seen.get(), 60)
                if not name.endswith(f" 41002.{kind}"):
                    continue
                info = AsyncServiceInfo(kind, name)
                assert await info.async_request(network.zeroconf, 10_000)
                found[kind] = (info.parsed_addresses(IPVersion.V4Only), info.port)
        await asyncio.wait_for(gone.get(), 60)
        await browser.async_cancel()
        await network.async_close()

    try:
        asyncio.run(story())
    except OSError as error:
        pytest.skip(f"multicast on loopback does not work here: {error}")
    assert found == {
        mdns.OSCQUERY: (["127.0.0.1"], 41002), mdns.OSC: (["127.0.0.1"], 41001),
    }  # fmt: skip


def test_only_what_is_there_is_announced(tmp_path):
    config = Config(data=tmp_path, http_host="192.0.2.5")
    (service,) = mdns.services(config, osc=1, http=2)
    assert service.type == mdns.OSCQUERY
    assert socket.inet_ntoa(service.addresses[0]) == "192.0.2.5"
    everywhere = Config(data=tmp_path, http_host="0.0.0.0")

    async def story():
        async with mdns.mdns_service(everywhere, osc=1, http=2):
            pass

    with pytest.raises(ValueError, match="set http_host to one address"):
        asyncio.run(story())
