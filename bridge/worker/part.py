"""Do a share of a job for an engine that has several machines."""

from __future__ import annotations

from bridge.protocol import worker_loop
from bridge.protocol.jobs import Evaluate, Part, Separate
from bridge.worker.evaluate import evaluate_part
from bridge.worker.models import Models
from bridge.worker.patch import design_part
from bridge.worker.separate import separate_part


def do_part(part: Part, models: Models) -> worker_loop.Events:
    """Leave the finished steps of a share in the folder of the whole job.

    Raises `ValueError` as the job itself does.
    """
    if isinstance(part.job, Separate):
        return separate_part(part, models)
    if isinstance(part.job, Evaluate):
        return evaluate_part(part, models)
    return design_part(part, models)
