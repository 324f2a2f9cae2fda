"""`python -m bridge.worker`: jobs from stdin, events to stdout."""

from __future__ import annotations

import os

import torch

from bridge.protocol import worker_loop
from bridge.worker import Models, work
from sds.priors.checkpoints import ModelUnavailable
from sds.priors.memory import NotEnoughMemory


def main() -> None:
    """Jobs from stdin to events on stdout, until stdin ends."""
    torch.set_flush_denormal(True)  # before anything runs in parallel: threads inherit it
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS") or len(os.sched_getaffinity(0))))
    models = Models()
    worker_loop.serve(
        lambda job: work(job, models),
        codes={ModelUnavailable: "no-model", NotEnoughMemory: "no-memory"},
    )


if __name__ == "__main__":
    main()
