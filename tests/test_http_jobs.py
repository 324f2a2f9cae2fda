"""Jobs over HTTP with the tests' worker: asked for, followed, fetched, cancelled; and refused."""

import asyncio
import dataclasses
import functools
import http.client
import json
import os
import signal
import sys
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from bridge.execution.recording import RecordingEngine
from bridge.http import events, files
from bridge.http import jobs as web_jobs
from bridge.http.journal import MAX_PAGES, Journal
from bridge.http.responses import Problem
from bridge.protocol.events import Best, Done, Progress
from bridge.protocol.kinds import KINDS
from bridge.service import job_server
from bridge.service.ledger import Store
from tests.http_server import ROOT, Http, Running, blob, serving

PRESET = str(next((ROOT / "presets" / "factory").glob("*.json")))


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    server = Running(tmp_path_factory.mktemp("data"), heartbeat=0.05)
    yield server
    server.stop()


@pytest.fixture
def client(running):
    return Http(running.http, running.token)


@pytest.fixture
def out(tmp_path):
    return str(tmp_path / "ö out")


def patch(out=None, prompt="ok kick"):
    said = {"kind": "patch", "prompt": prompt, "renderer": "fm"}
    return said if out is None else said | {"out": out}


# From a request to its files


def test_from_request_to_files(running, client):
    asked = client.ask("POST", "/v1/jobs", patch())
    job = asked.json["id"]
    assert (asked.status, asked.headers["Location"]) == (202, f"/v1/jobs/{job}")
    assert asked.json["job"]["prompt"] == "ok kick"
    said, _ = client.events(job)
    assert [event for _, event, _ in said][-2:] == ["best", "done"]
    assert [data["id"] for _, _, data in said] == [job] * len(said)
    done = said[-1][2]
    assert done["result"]["score_after"] == 0.75
    (file,) = done["files"]
    assert file["name"] == "result.json"
    fetched = client.ask("GET", file["url"])
    assert len(fetched.body) == file["bytes"]
    assert fetched.json == done["result"]
    kept = running.config.results / job / "result.json"
    assert kept.read_bytes() == fetched.body
    shown = client.ask("GET", f"/v1/jobs/{job}").json
    assert (shown["state"], shown["fraction"], shown["files"]) == ("done", 1.0, done["files"])


def test_an_upload_is_a_file_with_a_name(running, client):
    data = b"RIFF" + os.urandom(5000)
    assert client.upload(data).status == 201
    name = "sha256:" + blob(data).rpartition("/")[2]
    job = client.job(kind="separate", file=f"{name}/My Täke.WAV", prompts=["ok voice"])
    client.events(job)
    with Store(running.config.ledger) as store:
        path = Path(store.get(job).job.file)
    assert (path.name, path.read_bytes()) == ("my-täke.wav", data)
    job = client.job(kind="separate", file=name, prompts=["ok voice"])
    assert client.events(job)[0][-1][1] == "done"


def test_given_stems_may_be_uploads(running, client):
    data = b"RIFF" + os.urandom(5000)
    assert client.upload(data).status == 201
    name = "sha256:" + blob(data).rpartition("/")[2]
    given = {"bass": f"{name}/My bass.wav", "drums": name}
    job = client.job(kind="accompany", given=given, add="piano")
    assert client.events(job)[0][-1][1] == "done"
    with Store(running.config.ledger) as store:
        asked = store.get(job).job
    assert [Path(path).read_bytes() for path in asked.given.values()] == [data, data]
    assert Path(asked.given["bass"]).name == "my-bass.wav"
    missing = {"kind": "accompany", "given": {"bass": "sha256:" + "0" * 64}}
    answer = client.ask("POST", "/v1/jobs", missing)
    assert (answer.status, answer.code) == (422, "no-blob")


def test_a_render_without_a_place_gets_one(running, client):
    preset = next((ROOT / "presets" / "factory").glob("*.json"))
    job = client.job(kind="render", preset=str(preset))
    client.events(job)
    with Store(running.config.ledger) as store:
        assert store.get(job).job.out == str(running.config.results / job / "sound.wav")


def test_a_recording_without_a_place_gets_one(running, client):
    job = client.job(kind="record", duration=1.0)
    client.events(job)
    with Store(running.config.ledger) as store:
        assert store.get(job).job.out == str(running.config.results / job / "sound.wav")


def test_a_recording_is_stopped_and_kept(tmp_path, monkeypatch):
    program = (
        "import sys, json; job = json.loads(sys.stdin.readline()); "
        "said = json.loads(sys.stdin.readline())['kind']; result = {'ended': said}; "
        "print(json.dumps({'kind': 'done', 'id': job['id'], 'result': result}))"
    )
    recorder = functools.partial(RecordingEngine, [sys.executable, "-c", program])
    monkeypatch.setattr(job_server, "RecordingEngine", recorder)
    running = Running(tmp_path / "data")
    try:
        client = Http(running.http, running.token)
        job = client.job(kind="record")
        assert client.ask("POST", f"/v1/jobs/{job}/stop").status == 202
        said, _ = client.events(job)
        assert said[-1][2]["result"] == {"ended": "stop"}
        assert client.ask("POST", f"/v1/jobs/{job}/stop").status == 200
        other = client.job(**patch(str(tmp_path / "out")))
        client.events(other)
        assert client.ask("POST", f"/v1/jobs/{other}/stop").code == "no-recording"
    finally:
        running.stop()


def test_suggest_is_a_job_without_a_kind(running, client):
    data = b"RIFF" + os.urandom(50)
    client.upload(data)
    name = "sha256:" + blob(data).rpartition("/")[2]
    answer = client.ask("POST", "/v1/suggest", {"file": name, "top": 3})
    assert (answer.status, answer.json["kind"], answer.json["job"]["top"]) == (202, "suggest", 3)
    assert client.events(answer.json["id"])[0][-1][1] == "done"
    assert client.ask("POST", "/v1/suggest", {"file": name, "top": 0}).code == "bad-arguments"


def test_ranges_of_a_file(client, out):
    job = client.job(**patch(out))
    client.events(job)
    address = f"/v1/jobs/{job}/files/result.json"
    whole = client.ask("GET", address).body
    part = client.ask("GET", address, Range="bytes=5-14")
    assert (part.status, part.body) == (206, whole[5:15])
    assert part.headers["Content-Range"] == f"bytes 5-14/{len(whole)}"
    assert client.ask("GET", address, Range="bytes=999999-").status == 416
    head = client.ask("HEAD", address)
    assert (head.status, head.body, head.headers["Content-Length"]) == (200, b"", str(len(whole)))


@pytest.mark.parametrize(
    "name", ["../x", "..%2f..%2ftoken", "nothing", "/etc/passwd", "%2fetc%2fpasswd", "", "a%00b"]
)
def test_only_files_of_the_result_are_fetched(client, out, name):
    job = client.job(**patch(out))
    client.events(job)
    assert client.ask("GET", f"/v1/jobs/{job}/files/{name}").status == 404


def test_links_out_of_the_folder_are_no_files_of_the_job(running, client, tmp_path, out):
    job = client.job(**patch(out))
    client.events(job)
    secret = tmp_path / "secret"
    secret.write_text("s")
    result = Path(out) / "result.json"
    result.unlink()
    result.symlink_to(secret)
    assert client.ask("GET", f"/v1/jobs/{job}/files/result.json").status == 404


def test_prompts_that_look_like_paths_name_no_files(running, client, tmp_path, out):
    job = client.job(**patch(out))
    client.events(job)
    secret, wav = Path(out) / "secret", Path(out) / "a.wav"
    secret.write_text("x")
    wav.write_bytes(b"RIFF")
    with Store(running.config.ledger) as store:
        entry = store.get(job)
    result = {"prompt": str(secret), "stems": [{"prompt": str(secret), "wav": str(wav)}]}
    named = files.files_of_job(dataclasses.replace(entry, result=result), Journal())
    assert set(named) == {"a.wav", "result.json"}


def test_a_running_search_offers_its_newest_preview(tmp_path):
    folder = tmp_path / ".partial-1-x"
    folder.mkdir()
    for name in ("best-2.json", "best-2.wav", "kick__initial.wav"):
        (folder / name).write_text("x")
    journal = Journal()
    best = {"id": "j1", "step": 2, "score": 0.5, "initial": f"{folder}/kick__initial.wav"}
    journal.note(Best(preset=f"{folder}/best-2.json", wav=f"{folder}/best-2.wav", **best))
    with Store(tmp_path / "jobs.sqlite") as store:
        job = KINDS["patch"].model.model_validate(patch(str(tmp_path)) | {"id": "j1"})
        store.add(job, client="c", request=1)
        assert files.files_of_job(store.get("j1"), journal) == {
            "best.json": folder / "best-2.json", "best.wav": folder / "best-2.wav",
            "initial.wav": folder / "kick__initial.wav",
        }  # fmt: skip
        journal.note(Done(id="j1", result={}))
        assert files.files_of_job(store.get("j1"), journal) == {}


# Asked twice, and many


def test_the_same_key_starts_one_job(client, out):
    first = client.ask("POST", "/v1/jobs", patch(out, "ok key"), Idempotency_Key="key-1")
    again = client.ask("POST", "/v1/jobs", patch(out, "ok key"), Idempotency_Key="key-1")
    assert (first.status, again.status) == (202, 200)
    assert first.json["id"] == again.json["id"]
    client.events(first.json["id"])
    again = client.ask("POST", "/v1/jobs", patch(out, "ok key"), Idempotency_Key="key-1")
    assert (again.status, again.json["state"]) == (200, "done")
    other = client.ask("POST", "/v1/jobs", patch(out, "ok other"), Idempotency_Key="key-1")
    assert (other.status, other.code) == (422, "key-used")
    without = client.ask("POST", "/v1/jobs", patch(), Idempotency_Key="key-2")
    again = client.ask("POST", "/v1/jobs", patch(), Idempotency_Key="key-2")
    assert (without.json["id"], again.status) == (again.json["id"], 200)


def test_jobs_are_listed_newest_first(client, out):
    ids = [client.job(**patch(f"{out}{n}")) for n in range(3)]
    for job in ids:
        client.events(job)
    listed = client.ask("GET", "/v1/jobs?limit=3&state=done").json["jobs"]
    assert [job["id"] for job in listed] == ids[::-1]
    for query in ("limit=0", "limit=201", "limit=x", "state=gone"):
        assert client.ask("GET", f"/v1/jobs?{query}").code == "bad-arguments"


def test_cancel(client, out):
    job = client.job(**patch(out, "slow"))
    answer = client.ask("DELETE", f"/v1/jobs/{job}")
    assert answer.status == 202
    said, _ = client.events(job)
    assert said[-1][1] == "cancelled"
    assert client.ask("DELETE", f"/v1/jobs/{job}").json["state"] == "cancelled"
    ended = client.job(**patch(out))
    client.events(ended)
    assert client.ask("DELETE", f"/v1/jobs/{ended}").code == "ended"
    assert client.ask("DELETE", "/v1/jobs/j0").code == "no-job"


def test_a_failed_job_says_why(client, out):
    job = client.job(**patch(out, "crash"))
    said, _ = client.events(job)
    assert said[-1][1:] == ("failed", {
        "kind": "failed", "id": job, "code": "crashed", "reason": said[-1][2]["reason"],
    })  # fmt: skip
    assert client.ask("GET", f"/v1/jobs/{job}").json["code"] == "crashed"


def test_the_queue_has_an_end(client, out):
    ids = [client.job(**patch(f"{out}{n}", "slow")) for n in range(8)]
    answer = client.ask("POST", "/v1/jobs", patch(out))
    assert (answer.status, answer.code) == (503, "queue-full")
    assert answer.headers["Retry-After"] == "10"
    for job in ids:
        client.ask("DELETE", f"/v1/jobs/{job}")
    for job in ids:
        assert client.events(job)[0][-1][1] == "cancelled"


# Events


def test_a_stream_is_taken_up_where_it_broke_off(client, out):
    job = client.job(**patch(out))
    whole, _ = client.events(job)
    again, _ = client.events(job)
    assert again[-2:] == whole[-2:]
    number, kind, _ = again[-2]
    assert kind == "best"
    later, _ = client.events(job, Last_Event_ID=number)
    assert [event for _, event, _ in later] == ["done"]
    assert client.ask("GET", f"/v1/jobs/{job}/events", Last_Event_ID="end").status == 204
    for unknown in ("x", "-1", "9" * 30, "²"):
        headers = {"Last_Event_ID": unknown.encode()}
        assert client.events(job, **headers)[0][-1][1] == "done"


def test_silence_is_broken_by_a_heartbeat(client, out):
    job = client.job(**patch(out, "stubborn"))
    stream = http.client.HTTPConnection("127.0.0.1", client.port)
    stream.request(
        "GET", f"/v1/jobs/{job}/events", headers={"Authorization": f"Bearer {client.token}"}
    )
    answer = stream.getresponse()
    seen = [answer.readline() for _ in range(20)]
    assert seen.count(b": nothing new\n") >= 3
    client.ask("DELETE", f"/v1/jobs/{job}")
    assert b"event: cancelled" in answer.read()
    stream.close()


def test_progress_is_a_state_and_pages_are_few():
    journal = Journal()
    for number in range(500):
        journal.note(Progress(id="j", fraction=number / 500, stage="s"))
    journal.note(Done(id="j", result={}))
    assert [n for n, _ in journal.page("j").events] == [500, 501]
    for number in range(100):
        journal.note(Done(id=f"j{number}", result={}))
    assert len(journal._pages) == MAX_PAGES


def test_the_head_of_a_stream_does_not_wait_for_its_end(client, out):
    job = client.job(**patch(out, "slow"))
    answer = client.ask("HEAD", f"/v1/jobs/{job}/events")
    assert answer.headers["Content-Type"].startswith("text/event-stream")
    assert client.ask("DELETE", f"/v1/jobs/{job}").status == 202  # so it had not ended


def test_streams_of_old_jobs_take_no_pages_from_new_ones(running, client, out):
    job = client.job(**patch(out))
    client.events(job)

    class Web:
        journal = Journal()

        class server:
            pass

    async def read():
        with Store(running.config.ledger) as Web.server.store:
            return [text async for text in events._event_stream(Web, job, 0)]

    assert b"event: done" in asyncio.run(read())[-1]
    assert not Web.journal._pages


def test_events_of_a_job_that_another_server_ran(tmp_path, out):
    """The ledger is what is left: killed while a job ran, the next server says how it ended."""
    with serving(tmp_path) as (process, client):
        job = client.job(**patch(out, "slow"))
        process.kill()
    with serving(tmp_path) as (process, client):
        said, _ = client.events(job, Last_Event_ID="17")
        assert [(number, event, data["code"]) for number, event, data in said] == [
            ("end", "failed", "interrupted")
        ]
        assert client.ask("GET", f"/v1/jobs/{job}").json["state"] == "interrupted"
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0


def test_a_server_that_stops_says_so_to_those_who_listen(tmp_path, out):
    with serving(tmp_path) as (process, client):
        job = client.job(**patch(out, "slow"))
        stream = http.client.HTTPConnection("127.0.0.1", client.port)
        stream.request(
            "GET", f"/v1/jobs/{job}/events", headers={"Authorization": f"Bearer {client.token}"}
        )
        answer = stream.getresponse()
        with connect(f"ws://127.0.0.1:{client.port}/") as line:
            process.send_signal(signal.SIGTERM)
            last = answer.read().decode().strip().split("\n\n")[-1].splitlines()
            assert last[0] == "id: end"  # the worker may yet say that it was cancelled
            assert last[1] in ("event: failed", "event: cancelled")
            with pytest.raises(ConnectionClosed) as closed:
                line.recv(timeout=60)
            assert closed.value.rcvd.code == 1012  # a restart: come back
        stream.close()
        assert process.wait(60) == 0


# What is refused


@pytest.mark.parametrize(
    ("fields", "code", "words"),
    [
        ({}, "bad-arguments", "kind must be one of"),
        ({"kind": "patch"}, "bad-arguments", "prompt: string should have at least 1"),
        ({"kind": "patch", "prompt": " ", "renderer": "fm"}, "bad-arguments", "not be blank"),
        ({"kind": "patch", "prompt": "k", "renderer": "fm", "id": "j1"}, "bad-arguments", "id is"),
        ({"kind": "patch", "prompt": "k", "renderer": "fm", "x": 1}, "bad-arguments", "not known"),
        (
            {"kind": "patch", "prompt": "k", "renderer": "fm", "out": "/" + 300 * "a"},
            "bad-input", "cannot be used: File name too long",
        ),
        (
            {"kind": "render", "preset": PRESET, "plugin": "\ud800.vst3"},
            "bad-input", "plugin ?.vst3 is not installed",
        ),
        (
            {"kind": "render", "preset": PRESET, "plugin": 300 * "a" + ".vst3"},
            "bad-input", "cannot be used: File name too long",
        ),
        (
            {"kind": "separate", "file": PRESET, "prompts": ["a"], "tempo": 9000 * "0:1,"},
            "bad-arguments", "0:1,...",
        ),
        ({"kind": "patch", "prompt": "k", "renderer": "fm", "out": "o"}, "bad-input", "absolute"),
        ({"kind": "render", "preset": "/none.json"}, "bad-input", "does not exist"),
        ({"kind": "render", "preset": "/none", "plugin": "/a/b.vst3"}, "bad-arguments", "plugin"),
        ({"kind": "render", "preset": "sha256:../../x"}, "bad-input", "64 digits"),
        ({"kind": "render", "preset": "sha256:" + "0" * 64}, "no-blob", "PUT it first"),
        ({"kind": ["patch"]}, "bad-arguments", "kind must be one of"),
        ({"kind": "separate", "file": {"a": 1}, "prompts": "ok"}, "bad-arguments", "file"),
    ],
)  # fmt: skip
def test_nonsense_is_refused_in_a_sentence(client, fields, code, words):
    answer = client.ask("POST", "/v1/jobs", fields)
    assert (answer.status, answer.code) == (422, code)
    assert words in answer.json["error"]["reason"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400), (b"{", 400), (b"[]", 400), (b"\xff", 400), (b'"kind"', 400), (b"[" * 9000, 400),
        (b"{" + b" " * 300_000 + b"}", 413),
    ],
)  # fmt: skip
def test_a_body_that_is_no_json_object(client, body, status):
    answer = client.ask("POST", "/v1/jobs", body, Content_Type="application/json")
    assert answer.status == status
    assert answer.code in ("not-json", "too-big")


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_what_a_page_can_send_unasked_is_no_job(client, out, kind):
    body = json.dumps(patch(out)).encode()
    assert client.ask("POST", "/v1/jobs", body, Content_Type=kind).status == 415


@pytest.mark.parametrize("key", ["", "a b", "ü", "x" * 201])
def test_a_key_is_short_and_visible(client, out, key):
    answer = client.ask("POST", "/v1/jobs", patch(out), Idempotency_Key=key.encode())
    assert answer.code == "bad-arguments"


HASH = "sha256:" + "0" * 64


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"kind": "separate", "file": "/etc/passwd", "prompts": ["a"]}, "file must be an upload"),
        ({"kind": "separate", "file": HASH, "prompts": ["a"], "out": "/o"}, "not say 'out'"),
        ({"kind": "render", "preset": HASH, "plugin": "x"}, "not say 'plugin'"),
        ({"kind": "patch", "prompt": "a", "start": "/x"}, "start must be an upload"),
        ({"kind": "patch", "prompt": "a", "model": "/x"}, "not say 'model'"),
        ({"kind": "eval", "data": "/x"}, "not ask for 'eval'"),
        ({"kind": "accompany", "given": {"bass": HASH, "drums": "/d"}}, "given must be an upload"),
        ({"kind": "accompany", "given": ["bass=/b"]}, "given must be an upload"),
        ({"kind": "accompany", "given": {"bass": HASH}, "stem_model": "/x"}, "not say 'stem_mod"),
    ],
)
def test_another_machine_names_no_path_of_this_one(fields, words):
    with pytest.raises(Problem, match=words):
        web_jobs._check_far(KINDS[fields["kind"]], fields)


FAR = {"X_Forwarded_For": "192.0.2.7"}


def test_from_another_machine_uploads_alone_lead_to_files(client):
    data = b"RIFF" + os.urandom(50)
    assert client.upload(data, **FAR).status == 201
    name = "sha256:" + blob(data).rpartition("/")[2]
    fields = {"kind": "separate", "file": name, "prompts": ["ok"]}
    job = client.ask("POST", "/v1/jobs", fields, **FAR).json["id"]
    done = client.events(job, **FAR)[0][-1][2]
    assert client.ask("GET", done["files"][0]["url"], **FAR).status == 200
    for more in ({"file": __file__}, {"out": "/o"}, {"model": "/m"}, {"kind": "probe"}):
        answer = client.ask("POST", "/v1/jobs", fields | more, **FAR)
        assert (answer.status, answer.code) == (403, "far")


def test_another_machine_may_ask_for_what_it_uploaded():
    for fields in (
        {"kind": "separate", "file": HASH + "/a.wav", "prompts": ["a"], "seed": 1},
        {"kind": "patch", "prompt": "a", "renderer": "fm", "start": None},
        {"kind": "accompany", "given": {"bass": HASH, "drums": HASH}, "add": "piano"},
    ):
        web_jobs._check_far(KINDS[fields["kind"]], fields)


def test_allowed_folders_leave_uploads_and_results_open(tmp_path):
    server = Running(tmp_path / "data", read=(tmp_path / "in",), write=(tmp_path / "in",))
    client = Http(server.http, server.token)
    data = b"RIFF1234"
    client.upload(data)
    name = "sha256:" + blob(data).rpartition("/")[2]
    job = client.job(kind="separate", file=name, prompts=["ok"])
    assert client.events(job)[0][-1][1] == "done"
    outside = client.ask("POST", "/v1/jobs", patch(str(tmp_path / "elsewhere")))
    assert outside.code == "bad-input"
    server.stop()
