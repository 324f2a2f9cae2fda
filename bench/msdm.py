"""MSDM at its real size with random weights: seconds and memory of one step a task.

`python -m bench.msdm` needs about 3 GB. The samplers are linear in the number of evaluations, so a
separation of 11.9 s at 150 steps with one corrector takes 300 times the figure of one.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from collections.abc import Callable, Generator

import torch
from torch import Tensor

from sds.multitrack.generate import generate_stepwise
from sds.multitrack.impute import replace_stepwise
from sds.priors.multi_source import WINDOW, joint_denoiser
from sds.priors.waveform_unet import UNetSettings, WaveformUNet
from sds.samplers.schedules import karras
from sds.separation.source_posterior import Dirac, source_posterior_stepwise


def main() -> None:
    """Print a line a figure."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--samples", type=int, default=WINDOW, help="of the window, n * 8192")
    args = parser.parse_args()
    start = _now()
    network = WaveformUNet(UNetSettings()).eval().requires_grad_(False)
    count = sum(parameter.numel() for parameter in network.parameters())
    _say(f"build, {count / 1e6:.1f} million parameters", start)
    denoise, shape = joint_denoiser(network), (1, 4, args.samples)
    generator = torch.Generator().manual_seed(1)
    tracks = torch.randn(shape, generator=generator) * 0.1
    known = torch.tensor([True, True, False, False])[None, :, None]
    tasks: dict[str, Callable[[], Generator[tuple[int, Tensor], None, Tensor]]] = {
        "generate": lambda: generate_stepwise(
            denoise, shape, karras(2, 1e-4, 20.0)[1:], churn=20.0, generator=generator
        ),
        "impute": lambda: replace_stepwise(
            denoise, tracks, known, karras(2, 1e-4, 20.0)[1:], churn=10.0, generator=generator
        ),
        "separate": lambda: source_posterior_stepwise(
            denoise, tracks.sum(1), 4, karras(2, 1e-4, 1.0)[1:], likelihood=Dirac(0), churn=20.0,
            generator=generator,
        ),
    }  # fmt: skip
    for name, task in tasks.items():
        start = _now()
        evaluations = sum(1 for _ in task())
        _say(f"{name}, {evaluations} evaluation of {args.samples / 22050:.1f} s", start)


def _now() -> tuple[float, float]:
    """Seconds on the clock, and on the processor."""
    return time.perf_counter(), time.process_time()


def _say(what: str, start: tuple[float, float]) -> None:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    clock, processor = (now - then for now, then in zip(_now(), start, strict=True))
    sys.stdout.write(
        f"{what}: {clock:.1f} s, of the processor {processor:.1f} s, "
        f"peak memory so far {peak:.2f} GB\n"
    )
    sys.stdout.flush()


if __name__ == "__main__":
    torch.set_flush_denormal(True)
    main()
