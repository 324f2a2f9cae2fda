"""Choosing among what a search found: "keep 2", star, "more like 3", from every face."""

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bridge.cli import main
from bridge.cli.base import start_file
from bridge.protocol.jobs import Suggest
from bridge.protocol.patch_jobs import DesignPatch
from bridge.protocol.patch_requests import Keep
from bridge.service import choosing, discovery
from bridge.service.ledger import Store
from bridge.service.player_process import PlayerProcess
from presets import Preset, load, save
from presets.library import Library
from tests.children import until
from tests.http_server import ROOT, Http, Running
from tests.test_osc import Client

PLAYER = (sys.executable, "-S", "-E", str(ROOT / "tests" / "fake_player.py"))


def preset(name: str, *tags: str) -> Preset:
    return Preset(name=name, renderer="fm", renderer_version=1, values={"level": 0.5}, tags=tags)


def search(data: Path, job: str, prompt: str, count: int, *, shelved: bool = True) -> Path:
    """A search that is done, as the server leaves it; its folder."""
    out, library = data / "results" / job, Library(data / "library")
    out.mkdir(parents=True)
    patches = []
    for number in range(1, count + 1):
        file = out / f"{prompt}-{number}.json"
        save(preset(prompt), file)
        file.with_suffix(".wav").write_bytes(b"RIFF")
        made = {"preset": str(file), "wav": str(file.with_suffix(".wav"))}
        if shelved:
            entry = library.add(preset(prompt, "inbox"), preview=file.with_suffix(".wav"))
            made["library"] = str(entry.path)
        patches.append(made)
    with Store(data / "jobs.sqlite") as store:
        asked = DesignPatch(id=job, prompt=prompt, out=str(out))
        store.add(asked, client="cli", request=int(job[1:]))
        store.finish(job, "done", result=patches[0] | {"patches": patches})
    return out


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "data"
    monkeypatch.setenv("SCOREWIRE_DATA", str(folder))
    return folder


@pytest.fixture
def store(data: Path) -> Iterator[Store]:
    with Store(data / "jobs.sqlite") as opened:
        yield opened


def scorewire(capsys: Any, monkeypatch: Any, *arguments: object) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["scorewire", *map(str, arguments)])
    with pytest.raises(SystemExit) as end:
        main.main()
    said = capsys.readouterr()
    return int(end.value.code or 0), said.out, said.err


def test_a_number_is_a_patch_of_the_newest_search(data: Path, store: Store) -> None:
    with pytest.raises(ValueError, match="no search is done yet"):
        choosing.candidate(store, 1)
    search(data, "j1", "kick", 4)
    between = time.time()
    newest = search(data, "j2", "bell", 2)
    other = Suggest(id="j3", file="/a.wav")
    store.add(other, client="cli", request=3)
    store.finish("j3", "done", result={})
    store.add(DesignPatch(id="j4", prompt="dog"), client="cli", request=4)
    assert choosing.candidate(store, 2).preset == newest / "bell-2.json"
    assert choosing.candidate(store, 2, before=between).preset.name == "kick-2.json"
    assert choosing.candidate(store, 4, job="j1").preset.name == "kick-4.json"
    for number, job, why in [
        (3, "", "number must be 1 .. 2, as many patches as the search for 'bell' has, got 3"),
        (1, "j9", "there is no job 'j9'"),
        (1, "j3", "job j3 is no search but suggest"),
        (1, "j4", "search j4 has no patches: it is queued"),
    ]:
        with pytest.raises(ValueError, match=why):
            choosing.candidate(store, number, job=job)


def test_what_is_kept_is_in_the_library_and_new_no_more(data: Path, store: Store) -> None:
    library = Library(data / "library")
    search(data, "j1", "kick", 2)
    assert choosing.keep(store, library, Keep(number=2)).tags == ("kept",)
    assert choosing.keep(store, library, Keep(number=2, star=True)).tags == ("kept", "star")
    assert [entry.path.name for entry in library.find(tags=["inbox"])] == ["kick.json"]
    out = search(data, "j2", "bell", 2, shelved=False)  # into a folder
    kept = choosing.keep(store, library, Keep(number=2, star=True))
    assert (kept.path, kept.tags) == (data / "library" / "bell.json", ("kept", "star"))
    assert kept.preview is not None
    assert choosing.keep(store, library, Keep(number=2)).path == kept.path  # once
    (out / "bell-1.json").unlink()
    with pytest.raises(ValueError, match="the patch is not there any more"):
        choosing.keep(store, library, Keep(number=1))
    library.delete("kick-2")
    with pytest.raises(ValueError, match="no preset is called 'kick-2"):
        choosing.keep(store, library, Keep(number=2, job="j1"))


def test_a_result_without_files_is_refused(store: Store) -> None:
    store.add(DesignPatch(id="j1", prompt="kick"), client="cli", request=1)
    store.finish("j1", "done", result={"pid": 7})
    with pytest.raises(ValueError, match="search j1 says of no patch where it is"):
        choosing.candidate(store, 1)


def test_a_search_around_a_patch_goes_by_its_number(data: Path, store: Store) -> None:
    out = search(data, "j1", "kick", 3)
    asked = DesignPatch(id="j2", prompt="warmer", start="3")
    assert choosing.around_candidate(asked, store).start == str(out / "kick-3.json")
    named = DesignPatch(id="j2", prompt="warmer", start="/a/3.json")
    assert choosing.around_candidate(named, store) is named
    (out / "kick-3.json").unlink()  # the library still has it
    assert choosing.file_of(store, "3") == data / "library" / "kick-3.json"


def test_the_terminal_keeps_and_goes_on_from_a_number(
    data: Path, capsys: Any, monkeypatch: Any, tmp_path: Path
) -> None:
    assert scorewire(capsys, monkeypatch, "keep", 1) == (
        1, "", 'scorewire: no search is done yet: `scorewire patch "..."` makes one\n'
    )  # fmt: skip
    out = search(data, "j1", "kick", 2)
    code, said, _ = scorewire(capsys, monkeypatch, "keep", 2, "--star", "--json")
    assert (code, json.loads(said)) == (0, {
        "number": 2, "name": "kick", "preset": str(data / "library" / "kick-2.json"),
        "tags": ["kept", "star"],
    })  # fmt: skip
    code, _, err = scorewire(capsys, monkeypatch, "keep", 0)
    assert (code, err[:16]) == (2, "scorewire: NUMBE")
    assert start_file(Path("2")) == str(out / "kick-2.json")
    assert start_file(Path("kick-2")) == str(data / "library" / "kick-2.json")
    assert start_file(Path("./a.json")) == str(Path("a.json").absolute())


def test_osc_and_http_keep_and_go_on_from_a_number(data: Path) -> None:
    running = Running(data)
    try:
        http, osc = Http(running.http, running.token), Client(running.port)
        answer = http.ask("POST", "/v1/keep", {"number": 1})
        assert (answer.status, answer.code) == (422, "bad-input")
        out = search(data, "j1", "kick", 3)
        assert osc.ask("/scorewire/keep", 1, 2, "star=1") == (
            "kept", [1, 2, "kick", str(data / "library" / "kick-2.json")]
        )  # fmt: skip
        assert load(data / "library" / "kick-2.json").tags == ("kept", "star")
        assert osc.ask("/scorewire/keep", 2, 9)[1][2] == "bad-input"
        assert http.ask("POST", "/v1/keep", {"number": 1}).json["tags"] == ["kept"]
        assert http.ask("POST", "/v1/keep", {"number": "x"}).code == "bad-arguments"

        body = {"kind": "patch", "prompt": "warmer", "start": "3", "out": str(data / "a")}
        asked = http.ask("POST", "/v1/jobs", body, Idempotency_Key="k")
        assert (asked.status, asked.json["job"]["start"]) == (202, str(out / "kick-3.json"))
        search(data, "j5", "bell", 1)  # a newer one: the request that is repeated is the same
        again = http.ask("POST", "/v1/jobs", body, Idempotency_Key="k")
        assert (again.status, again.json["id"]) == (200, asked.json["id"])
        assert "number must be 1 .. 1" in http.ask("POST", "/v1/jobs", body).json["error"]["reason"]
        other = http.ask("POST", "/v1/jobs", body | {"start": "1"}, Idempotency_Key="k")
        assert other.code == "key-used"
        osc.socket.close()
    finally:
        running.stop()


@pytest.mark.parametrize("plays", [True, False], ids=["it plays", "it does not yet"])
def test_play_puts_presets_into_the_slots_of_the_server_that_runs(
    data: Path, tmp_path: Path, capsys: Any, monkeypatch: Any, plays: bool
) -> None:
    save(preset("Organ"), tmp_path / "organ.json")
    library = Library(data / "library")
    player = PlayerProcess(PLAYER, library) if plays else None
    running = Running(data, player=player, play_with=PLAYER)
    try:
        with discovery.publish(data, host="127.0.0.1", http=running.http, osc=running.port):
            asked = ("play", tmp_path / "organ.json", "--json")
            code, said, err = scorewire(capsys, monkeypatch, *asked)
            assert (code, err) == (0, "")
            told = json.loads(said)
            assert (told["slots"], told["started"]) == ({"1": "organ.json"}, not plays)
            osc = Client(running.port)
            until(lambda: osc.ask("/scorewire/slot/1/trigger", 1)[0] == "ok")
            osc.socket.close()
            code, said, err = scorewire(capsys, monkeypatch, "play")
            plainly = f"The server that runs (OSC port {running.port}) plays them."
            assert said.splitlines() == ["slot 1: organ", plainly]
            code, _, err = scorewire(capsys, monkeypatch, "play", "--device", "x")
            assert (code, err[:26]) == (1, "scorewire: a server runs, ")
            http = Http(running.http, running.token)
            assert http.ask("POST", "/v1/play", {"presets": ["gong"]}).code == "bad-input"
            assert http.ask("POST", "/v1/play", {"preset": "gong"}).code == "bad-arguments"
    finally:
        running.stop()
