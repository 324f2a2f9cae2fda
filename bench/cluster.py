"""Jobs on a Ray cluster beside the same jobs on the engine `local`: what the way costs, what more
machines bring, and what the bridge itself spends, from which `bench.cluster_simulation` reckons.

    python -m bench.cluster

prints the measured costs as JSON. Two machines of one core each are simulated on this one.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import soundfile

from bench.separate import MIXTURE
from bridge.execution.base import Engine
from bridge.execution.local import COMMAND, LocalEngine
from bridge.execution.ray import RayEngine, driver_command
from bridge.protocol.events import Done
from bridge.protocol.jobs import Job, Separate
from bridge.protocol.patch_jobs import DesignPatch
from presets.python_child import python_child

TESTS = Path(__file__).parents[1] / "tests"
FAKE = python_child(TESTS / "fake_worker.py")
SMALL_JOBS = 60
SECONDS = 240  # of stereo sound that is separated by masks, in one pass
DEEP_SECONDS = 72  # by diffusion
TICK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Costs:
    """Seconds: of a small job on either engine; of a long separation by masks on one machine, and
    on a cluster with one worker and two; of one by diffusion on a cluster; of the driver's own
    processor time for a small job (5 events) and for the one by masks, `sent` bytes in and out.
    """

    small_local: float
    small_ray: float
    long_local: float
    long_ray: float
    long_two: float
    deep_ray: float
    deep_two: float
    driver_small: float
    driver_long: float
    sent: int


def measure() -> Costs:
    """Measure all of it; some minutes."""
    with tempfile.TemporaryDirectory() as folder, _cluster(2) as address:
        return asyncio.run(_measure(address, Path(folder)))


def rows() -> list[dict[str, object]]:
    """The rows of the page."""
    costs = measure()
    way = costs.small_ray - costs.small_local
    masks = f"{SECONDS} s of stereo into 4 stems by masks"
    deep = f"{DEEP_SECONDS} s by diffusion"
    compared = (
        (f"{masks}, a cluster with one worker", costs.long_ray, costs.long_local, "near 1"),
        (f"{masks}, two workers on two cores", costs.long_two, costs.long_ray, "all else is once"),
        (f"{deep}, two workers on two cores", costs.deep_two, costs.deep_ray, "near 2"),
    )
    small = {
        "name": "a job of no work at all, engine ray",
        "value": f"{costs.small_ray * 1e3:.1f} ms",
        "reference": f"{costs.small_local * 1e3:.1f} ms, engine local",
        "ratio": costs.small_local / costs.small_ray,
        "error": f"the way costs {way * 1e3:.1f} ms",
        "target": "< 100 ms",
    }
    return [small] + [
        {
            "name": name,
            "value": f"{seconds:.1f} s",
            "reference": f"{reference:.1f} s",
            "ratio": reference / seconds,
            "error": None,
            "target": target,
        }
        for name, seconds, reference, target in compared
    ]


@contextmanager
def _cluster(machines: int) -> Iterator[str]:
    """The address of a cluster of machines with a core each; the head is one of them."""
    process = subprocess.Popen(
        python_child(TESTS / "ray_cluster.py", str(machines)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        yield json.loads((process.stdout or sys.stdin).readline())["address"]
    finally:
        process.communicate(timeout=60)


async def _measure(address: str, folder: Path) -> Costs:
    os.environ["OMP_NUM_THREADS"] = "1"  # a worker is a core
    file, short = _looped(folder, SECONDS), _looped(folder, DEEP_SECONDS)
    classes = ("bass", "drums", "guitar", "piano")

    def long_job(name: str) -> Separate:
        return Separate(id=name, file=str(file), stems=classes, out=str(folder / name))

    def deep_job(name: str) -> Separate:
        method = {"stems": classes, "method": "accurate"}
        return Separate(id=name, file=str(short), out=str(folder / name), **method)

    async with LocalEngine(FAKE) as engine:
        small_local = await _small(engine, folder)
    async with _ray(address, FAKE, 1) as ray:
        small_ray, driver_small = await _costs(ray, _small(ray, folder))
    async with LocalEngine() as engine:
        await _seconds(engine, long_job("warm"))
        long_local = await _seconds(engine, long_job("local"))
    async with _ray(address, COMMAND, 1) as ray:
        await _seconds(ray, long_job("warm"))
        long_ray, driver_long = await _costs(ray, _seconds(ray, long_job("one")))
        deep_ray = await _seconds(ray, deep_job("deep-one"))
    async with _ray(address, COMMAND, 2) as ray:
        while ray.cluster is None or ray.cluster.workers < 2:
            await asyncio.sleep(0.1)
        await _seconds(ray, long_job("warm"))
        long_two = await _seconds(ray, long_job("two"))
        deep_two = await _seconds(ray, deep_job("deep-two"))
    written = sum(path.stat().st_size for path in (folder / "one").rglob("*") if path.is_file())
    return Costs(
        small_local=small_local,
        small_ray=small_ray,
        long_local=long_local,
        long_ray=long_ray,
        long_two=long_two,
        deep_ray=deep_ray,
        deep_two=deep_two,
        driver_small=driver_small / SMALL_JOBS,
        driver_long=driver_long,
        sent=file.stat().st_size + written,
    )


def _looped(folder: Path, seconds: int) -> Path:
    """So many seconds of the demo's recording in stereo, again and again."""
    sound, rate = soundfile.read(MIXTURE, always_2d=True)
    file = folder / f"{seconds}.wav"
    sound = np.resize(sound[:, [0, -1]], (seconds * rate, 2))
    soundfile.write(file, sound, rate, subtype="PCM_16")
    return file


def _ray(address: str, worker: tuple[str, ...], workers: int) -> RayEngine:
    command = driver_command(address, workers, 10.0, 0.0, worker)
    return RayEngine(command, here=LocalEngine(worker))


async def _costs(engine: RayEngine, work: asyncio.Future[float]) -> tuple[float, float]:
    """Seconds of a work, and of the driver's processor meanwhile."""
    while engine.cluster is None or not engine.cluster.workers:
        await asyncio.sleep(0.1)
    pid = engine.driver_pid
    before = _cpu(pid)
    seconds = await work
    return seconds, _cpu(pid) - before


async def _small(engine: Engine, folder: Path) -> float:
    """Seconds of one small job in a row of them, after a first one."""
    jobs = [
        DesignPatch(id=f"s{n}", prompt="ok", renderer="fm", out=str(folder / f"s{n}"), steps=2)
        for n in range(SMALL_JOBS + 1)
    ]
    await _seconds(engine, jobs[0])
    return sum([await _seconds(engine, job) for job in jobs[1:]]) / SMALL_JOBS


async def _seconds(engine: Engine, job: Job) -> float:
    began = time.perf_counter()
    last = None
    async for event in engine.submit(job):
        last = event
    if not isinstance(last, Done):
        raise RuntimeError(f"{job.id}: {last}")
    return time.perf_counter() - began


def _cpu(pid: int | None) -> float:
    """Seconds of processor that a process has had."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


if __name__ == "__main__":
    print(json.dumps(asdict(measure()), indent=1))
