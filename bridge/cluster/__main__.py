"""`python -m bridge.cluster`: jobs from stdin to a Ray cluster, events to stdout."""

from __future__ import annotations

import argparse
import logging
import os
import secrets
import shlex
import sys

from bridge.processes import parent_watch

LOOPBACK = ("127.", "localhost:", "[::1]")


def main() -> None:
    """Connect to a cluster; jobs from stdin to events on stdout until stdin ends."""
    parser = argparse.ArgumentParser(prog="python -m bridge.cluster")
    parser.add_argument("--address", default="", help="host:port, auto: the one here; else a new")
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--grace", type=float, default=10.0)
    parser.add_argument("--stall", type=float, default=0.0)
    parser.add_argument("--worker", default="", help="command; else each machine's own Python")
    given = parser.parse_args()
    parent_watch.watch()
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what Ray prints is no event
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(name)s: %(message)s")
    _set_up_ray(given.address)
    from bridge.cluster.dispatch import Settings  # here: Ray reads its settings as it is imported
    from bridge.cluster.driver import drive

    threads = int(os.environ.get("OMP_NUM_THREADS") or 0)
    worker = tuple(shlex.split(given.worker))
    settings = Settings(given.workers, given.grace, given.stall, threads, worker)
    drive(given.address, settings, sys.stdin.buffer, out)


def _set_up_ray(address: str) -> None:
    """Ray's settings: nothing is told to anybody, and what is here alone is open to nobody else."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if not address:
        os.environ["RAY_AUTH_MODE"] = "token"
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
        os.environ.setdefault("RAY_worker_niceness", "0")  # not 15: as on the engine `local`
    if not address or address.startswith(LOOPBACK):
        # Also elsewhere than where it is named after: Ray then takes 127.0.0.1 for its address.
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"


if __name__ == "__main__":
    main()
