"""A worker of a cluster, without one: the files that it reads and sends, and how it stops."""

import asyncio
import json
import sys

import pytest

from bridge.cluster.parcels import Parcel, Piece, pack
from bridge.cluster.worker_host import WorkerHost, moved
from bridge.protocol.jobs import Part, Separate
from bridge.protocol.multitrack_jobs import Accompany
from bridge.protocol.patch_jobs import DesignPatch
from tests import fake_worker

FAKE = (sys.executable, fake_worker.__file__)


@pytest.fixture
def host(monkeypatch):
    for name in ("OMP_NUM_THREADS", "SCOREWIRE_DATA"):  # it sets them for its process
        monkeypatch.setenv(name, "1")
    return WorkerHost(2.0, 0.0, 1, FAKE)


def patch(out, prompt="ok", **changes):
    return DesignPatch(id="j", prompt=prompt, renderer="fm", out=str(out), steps=2, **changes)


async def said(host, job, parcels=()):
    return [message async for message in host.run(job.model_dump_json(), parcels)]


async def piece(data):
    return data


def test_a_job_that_is_cancelled_while_its_files_come_is_not_done(host, tmp_path):
    start = tmp_path / "start.json"
    start.write_text("{}")

    async def story():
        await host.ready()
        cancelled = asyncio.Event()

        async def slow():
            await host.cancel("j")
            cancelled.set()
            return b"{}"

        sent = pack(start, bytes)
        parcel = Parcel(sent.path, sent.sha256, [slow()], keep=False)
        messages = await said(host, patch(tmp_path / "o", "slow", start=str(start)), [parcel])
        assert cancelled.is_set()
        assert [json.loads(m)["kind"] for m in messages] == ["cancelled"]
        messages = await said(host, patch(tmp_path / "o"))  # the next one is
        assert json.loads(messages[-1])["kind"] == "done"
        await host.close()

    asyncio.run(story())


def test_what_was_finished_comes_before_a_worker_s_death_is_told(host, tmp_path):
    async def story():
        await host.ready()
        messages = await said(host, patch(tmp_path / "o", "leaving"))
        await host.close()
        return messages

    messages = asyncio.run(story())
    pieces = [message for message in messages if isinstance(message, Piece)]
    assert [(p.path, p.data) for p in pieces] == [
        (f"{tmp_path}/o/.unfinished-k/scratch/window", b"whole")
    ]
    assert json.loads(messages[-1])["code"] == "crashed"
    assert str(host._folder) not in str(messages)


def test_every_path_of_a_job_lies_below_its_folder(tmp_path):
    separate = Separate(id="a", file="/s/a.wav", prompts=("x",), out="/s/o", host="reaper")
    there = moved(separate.model_copy(update={"within": ("/s",)}), tmp_path)
    assert (there.file, there.out) == (f"{tmp_path}/s/a.wav", f"{tmp_path}/s/o")
    assert (there.within, there.host) == ((str(tmp_path),), None)
    part = moved(Part(id="p", job=separate, index=0, of=2), tmp_path)
    assert part.job.file == f"{tmp_path}/s/a.wav"
    given = {"bass": "/s/b.wav"}
    accompany = moved(Accompany(id="a", given=given, add=("drums",), out="/s/o"), tmp_path)
    assert accompany.given == {"bass": f"{tmp_path}/s/b.wav"}
    assert moved(patch("/s/o", like=None), tmp_path).like is None
