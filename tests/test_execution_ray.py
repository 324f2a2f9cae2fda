"""Jobs on a real Ray cluster of three machines, all of them this one."""

import asyncio
import hashlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from bridge.app import doctor
from bridge.execution.local import LocalEngine
from bridge.execution.ray import RayEngine, driver_command
from bridge.files.atomic_output import UNFINISHED
from bridge.protocol.events import Cancelled, Done, Failed, Progress
from bridge.protocol.jobs import Separate
from bridge.protocol.patch_jobs import DesignPatch
from bridge.service.config import Config
from tests import children, fake_worker, ray_cluster, small_worker

SMALL = (sys.executable, small_worker.__file__)
FAKE = (sys.executable, fake_worker.__file__)
RATE = 48000


class Machines:
    """A cluster in a process of its own."""

    def __init__(self, count):
        self.process = subprocess.Popen(
            [sys.executable, ray_cluster.__file__, str(count)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.address = json.loads(children.first_line(self.process))["address"]

    def tell(self, line):
        """Have a command done."""
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        assert children.first_line(self.process)

    def engine(self, worker=SMALL, **options):
        command = driver_command(self.address, 0, 10, 0, worker)
        return RayEngine(command, here=LocalEngine(worker), **options)


@pytest.fixture(scope="module")
def machines():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_MODE", "token")  # as docs/cluster.md tells a studio to
        patch.setenv("RAY_AUTH_TOKEN", "5" * 32)
        made = Machines(3)
        yield made
        made.process.communicate(timeout=60)
    assert not list(Path(tempfile.gettempdir()).glob("scorewire-worker-*/job-*"))


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    """Twenty seconds of noise: nineteen windows."""
    path = tmp_path_factory.mktemp("in") / "long.wav"
    noise = np.random.default_rng(0).standard_normal((20 * RATE, 2))
    sf.write(path, 0.1 * noise, RATE, subtype="FLOAT")
    return path


@pytest.fixture(scope="module")
def alone(recording, tmp_path_factory):
    """What one machine makes of it, and of a search."""
    out = tmp_path_factory.mktemp("local")

    async def story():
        async with LocalEngine(SMALL) as engine:
            for job in (separate(recording, out / "stems"), search(out / "patches")):
                assert isinstance([event async for event in engine.submit(job)][-1], Done)

    asyncio.run(story())
    return contents(out / "stems"), contents(out / "patches")


def separate(file, out, **changes):
    fields = {"id": "j1", "prompts": ("one", "two"), "model": "gaussian", "method": "paper"}
    return Separate(**fields | {"file": str(file), "out": str(out), "steps": 1} | changes)


def contents(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def search(out):
    """Four searches, each some steps of the small worker."""
    return DesignPatch(
        id="j1", prompt="a bell", renderer="fm", model="gaussian", recipe="fast", out=str(out),
        duration=0.25, seed=5, pitched=False, searches=4,
    )  # fmt: skip


async def workers(engine, count):
    """Wait until so many workers are ready."""
    async with asyncio.timeout(240):
        while engine.cluster is None or engine.cluster.workers < count:
            await asyncio.sleep(0.05)


def windows(out):
    return list(out.glob(f"{UNFINISHED}*/scratch/window-*.f32"))


async def whole(engine, machines, recording, alone, out):
    """A separation in three parts."""
    events = [event async for event in engine.submit(separate(recording, out))]
    assert isinstance(events[-1], Done), events[-1]
    assert "on 3 machines" in " ".join(event.stage for event in events[:-1])
    fractions = [event.fraction for event in events[:-1]]
    assert fractions == sorted(fractions)
    assert events[-1].result["null_db"] < -120
    assert contents(out) == alone[0]


async def cancelled(engine, machines, recording, alone, out):
    """It stops at its next step, before its grace is over, and leaves nothing."""
    loop, asked = asyncio.get_running_loop(), None
    async for event in engine.submit(separate(recording, out, steps=1000)):
        last = event
        if asked is None and windows_begun(event):
            asked = loop.time()
            assert await engine.cancel("j1")
    assert last == Cancelled(id="j1")
    assert loop.time() - asked < 10
    assert not await engine.cancel("j1")
    assert not out.exists() or list(out.iterdir()) == []


async def without_a_machine(engine, machines, recording, alone, out):
    """One dies in the middle: what it had finished is not done again."""
    killed = 0
    async for event in engine.submit(separate(recording, out)):
        last = event
        if not killed and len(windows(out)) >= 4:
            killed = len(windows(out))
            await asyncio.to_thread(machines.tell, "kill 1")
    assert isinstance(last, Done), last
    assert 4 <= killed < 19
    assert contents(out) == alone[0]


async def without_a_machine_in_a_search(engine, machines, recording, alone, out):
    """Of two one dies: a running search goes on from its last state on the other."""
    killed = False
    async for event in engine.submit(search(out)):
        last = event
        if not killed and list(out.glob(f"{UNFINISHED}*/scratch/search-*")):
            killed = True
            await asyncio.to_thread(machines.tell, "kill 2")
    assert isinstance(last, Done), last
    assert killed
    assert contents(out) == alone[1]


async def without_a_head(engine, machines, recording, alone, out):
    """The head is started anew in the middle, and with it the whole cluster."""
    began = False
    async for event in engine.submit(separate(recording, out)):
        last = event
        if not began and len(windows(out)) >= 3:
            began = True
            await asyncio.to_thread(machines.tell, "head")
    assert isinstance(last, Done), last
    assert contents(out) == alone[0]
    for _ in range(2):
        machines.tell("add")
    await workers(engine, 3)  # which sweep what the killed ones left


STORIES = (whole, cancelled, without_a_machine, without_a_machine_in_a_search, without_a_head)


def test_machines_that_come_and_go_make_the_bytes_of_one(machines, recording, alone, tmp_path):
    """One story after the other: a worker takes longer to start than they take. Machines that were
    ended are missing from the next ones."""

    async def every():
        async with machines.engine() as engine:
            await workers(engine, 3)
            for story in STORIES:
                await story(engine, machines, recording, alone, tmp_path / story.__name__)

    asyncio.run(every())


def windows_begun(event):
    return isinstance(event, Progress) and event.fraction > 0.03


def patch(out, name, prompt):
    return DesignPatch(id=name, prompt=prompt, renderer="fm", out=str(out / name), steps=2)


def test_two_hundred_jobs_of_four_clients_are_each_answered_once(machines, tmp_path):
    order = []

    async def client(engine, name):
        jobs = [patch(tmp_path, f"{name}{k}", "ok") for k in range(50)]
        answers = [engine.submit(job, client=name) for job in jobs]  # all at once

        async def last(events):
            seen = [event async for event in events]
            ends = [event for event in seen if isinstance(event, Done | Failed | Cancelled)]
            assert ends == seen[-1:]
            order.append(name)
            return ends[0]

        return await asyncio.gather(*map(last, answers))

    async def story():
        async with machines.engine(FAKE) as engine:
            await workers(engine, 3)
            everyone = await asyncio.gather(*(client(engine, name) for name in "abcd"))
            for name, ends in zip("abcd", everyone, strict=True):
                assert [end.id for end in ends] == [f"{name}{k}" for k in range(50)]
                assert {end.kind for end in ends} == {"done"}, ends
            async with asyncio.timeout(30):
                while engine.cluster.waiting:
                    await asyncio.sleep(0.05)
            # Clients have their turns: in the middle none is far behind another.
            middle = [order[:100].count(name) for name in "abcd"]
            assert max(middle) - min(middle) <= 6, middle

            # A worker that dies of its job fails it; the next one is done.
            events = [event async for event in engine.submit(patch(tmp_path, "x", "crash"))]
            assert (events[-1].kind, events[-1].code) == ("failed", "crashed")
            events = [event async for event in engine.submit(patch(tmp_path, "y", "ok"))]
            assert isinstance(events[-1], Done)

    asyncio.run(story())


def test_doctor_counts_the_machines(machines, monkeypatch):
    there = Config(engine="ray", cluster=machines.address, worker=FAKE)
    line = asyncio.run(doctor._cluster(there))
    assert (line["ok"], line["text"]) == (True, "3 machines in the Ray cluster")
    monkeypatch.setattr(doctor, "CLUSTER_PATIENCE", 1.0)
    line = asyncio.run(doctor._cluster(Config(engine="ray", cluster="127.0.0.1:1", worker=FAKE)))
    assert (line["ok"], line["text"]) == (False, "no Ray cluster at 127.0.0.1:1 answered in 1 s")
    assert "ray start --head" in line["fix"]


def test_who_has_another_token_gets_no_machine(machines, tmp_path, monkeypatch):
    monkeypatch.setenv("RAY_AUTH_TOKEN", "6" * 32)

    async def story():
        async with machines.engine(FAKE, patience=2.0) as engine:
            return [event async for event in engine.submit(patch(tmp_path, "a", "ok"))][-1]

    end = asyncio.run(story())
    assert (end.kind, end.code) == ("failed", "no-cluster")


def test_without_a_cluster_jobs_wait_and_then_fail_with_a_sentence(tmp_path):
    command = driver_command("127.0.0.1:1", 0, 10, 0, FAKE)

    async def story():
        async with RayEngine(command, here=LocalEngine(FAKE), patience=2.0) as engine:
            return [event async for event in engine.submit(patch(tmp_path, "a", "ok"))]

    first, *_, last = asyncio.run(story())
    assert (first.kind, first.stage) == ("progress", "waiting for the cluster")
    assert (last.kind, last.code) == ("failed", "no-cluster")
    assert "no Ray cluster has answered for 2 s" in last.reason
    assert "\n" not in last.reason


def test_entered_twice_it_has_one_driver(tmp_path):
    log = tmp_path / "starts"
    command = (sys.executable, fake_worker.__file__, str(log))  # writes down that it was started

    async def story():
        async with RayEngine(command, here=LocalEngine(FAKE)) as engine, engine:
            async with asyncio.timeout(30):
                while not log.exists():
                    await asyncio.sleep(0.05)
            await asyncio.sleep(0.3)

    asyncio.run(story())
    assert len(log.read_text().splitlines()) == 1
