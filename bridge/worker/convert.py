"""Convert a released checkpoint of multi-source diffusion to safetensors."""

from __future__ import annotations

from pathlib import Path

from safetensors.torch import save_file

from bridge.files import atomic_output
from bridge.protocol import worker_loop
from bridge.protocol.jobs import Convert
from sds.priors.multi_source import read_released
from sds.priors.waveform_unet import settings_of


def convert_checkpoint(job: Convert) -> worker_loop.Events:
    """Read the network's tensors, once, and write them; nothing that the checkpoint names runs."""
    clock = worker_loop.Clock(job.id)
    yield clock.progress(0.0, "read")
    target = Path(job.out)
    tensors = read_released(Path(job.file))
    yield clock.progress(0.5, "write")
    with atomic_output.folder(target.parent, job.terms) as out:
        save_file(tensors, out.partial / target.name)
    yield clock.done(
        {
            "file": job.out,
            "tensors": len(tensors),
            "parameters": sum(value.numel() for value in tensors.values()),
            "tracks": settings_of(tensors).tracks,
        }
    )
