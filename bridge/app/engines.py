"""The engine that the settings name."""

from __future__ import annotations

from importlib.util import find_spec

from bridge.execution.base import Engine
from bridge.execution.local import LocalEngine
from bridge.execution.ray import RayEngine, driver_command
from bridge.service.config import Config


def engine_of(config: Config) -> Engine:
    """What runs the jobs of a server with these settings.

    Raises `ValueError` where its package is missing.
    """
    here = LocalEngine(config.worker, grace=config.grace, stall=config.stall)
    if config.engine == "local":
        return here
    if find_spec("ray") is None:
        raise ValueError(
            "the engine ray needs the package ray: install Scorewire with its extra `cluster`"
        )
    command = driver_command(
        config.cluster, config.cluster_workers, config.grace, config.stall, config.worker
    )
    return RayEngine(command, here=here)
