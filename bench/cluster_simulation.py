"""A cluster of up to some hundred machines, reckoned from measured costs of jobs and of the bridge.

    python -m bench.cluster > costs.json
    python -m bench.cluster_simulation costs.json

prints a Markdown table for docs/cluster.md. What is simulated: clients that always have a job
waiting; one bridge, whose driver is a thread that packs and unpacks files and passes on events;
machines that do one job at a time; a network card through which all files go. What is not: the
scheduling of Ray's own, which takes less than the driver, and machines that die.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import simpy

from bench.cluster import DEEP_SECONDS, SECONDS

MACHINES = (1, 3, 10, 30, 100, 300)
CARD = 110e6  # bytes a second through a network card of 1 Gbit/s
EVENTS_A_SECOND = 10  # at most, of a running job: the worker says no more
HOURS = 2.0


@dataclass(frozen=True, slots=True)
class Work:
    """A kind of job: its seconds on a machine, and of the driver's processor; bytes in and out."""

    name: str
    seconds: float
    driver: float
    bytes: float


def work_of(costs: dict[str, float]) -> list[Work]:
    """Three kinds of jobs of a musician's day, from the measured costs."""
    event = costs["driver_small"] / 5  # a small job has five events
    files = max(costs["driver_long"] - costs["long_ray"] * EVENTS_A_SECOND * event, 0.0)
    byte = files / costs["sent"]

    def job(name: str, seconds: float, size: float) -> Work:
        driver = event * EVENTS_A_SECOND * seconds + byte * size
        return Work(name, seconds, driver, size)

    return [
        job("search for a patch, 15 s", 15.0, 3e6),
        job("4 min into 4 stems by masks", costs["long_ray"], costs["sent"]),
        job("4 min by diffusion", costs["deep_ray"] * SECONDS / DEEP_SECONDS, costs["sent"]),
    ]


@dataclass(slots=True)
class _Seen:
    """What happened: jobs that ended, seconds that machines and the driver worked."""

    jobs: int = 0
    machines: float = 0.0
    driver: float = 0.0


def simulate(work: Work, machines: int, *, hours: float = HOURS) -> _Seen:
    """Run a queue that is never empty for so many hours."""
    env, seen = simpy.Environment(), _Seen()
    driver, card = simpy.Resource(env), simpy.Resource(env)

    def machine() -> Iterator[simpy.Event]:
        while True:
            for share in (0.3, 0.7):  # the recording goes there; stems come back
                if share == 0.7:
                    yield env.timeout(work.seconds)
                    seen.machines += work.seconds
                with card.request() as turn:
                    yield turn
                    yield env.timeout(share * work.bytes / CARD)
                with driver.request() as turn:
                    yield turn
                    yield env.timeout(share * work.driver)
                    seen.driver += share * work.driver
            seen.jobs += 1

    for _ in range(machines):
        env.process(machine())
    env.run(until=3600 * hours)
    return seen


def table(costs: dict[str, float]) -> Iterator[str]:
    """Lines of Markdown: what so many machines do, and where the bridge is the limit."""
    yield "| job | machines | jobs an hour | machines at work | driver at work |"
    yield "|---|---|---|---|---|"
    for work in work_of(costs):
        for machines in MACHINES:
            seen, seconds = simulate(work, machines), 3600 * HOURS
            busy, driven = seen.machines / seconds / machines, seen.driver / seconds
            done = f"{seen.jobs / HOURS:,.0f}"
            yield f"| {work.name} | {machines} | {done} | {busy:.0%} | {driven:.0%} |"


def limits(costs: dict[str, float]) -> Iterator[str]:
    """The number of machines that one bridge keeps busy, by what would be busy first."""
    yield "| job | by the driver | by a card of 1 Gbit/s |"
    yield "|---|---|---|"
    for work in work_of(costs):
        by_driver = work.seconds / work.driver
        by_card = work.seconds * CARD / work.bytes
        yield f"| {work.name} | {by_driver:,.0f} | {by_card:,.0f} |"


def main() -> None:
    """Print both tables for the costs in a file."""
    costs = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    print("\n".join([*table(costs), "", *limits(costs)]))


if __name__ == "__main__":
    main()
