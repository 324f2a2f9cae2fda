"""Any sampler one evaluation at a time: the caller sees how far it is, and can stop it."""

from __future__ import annotations

import threading
from collections.abc import Generator
from dataclasses import dataclass
from queue import SimpleQueue

import torch
from torch import Tensor

from sds.samplers.denoiser import Denoiser
from sds.samplers.ode import Sampler


@dataclass(frozen=True, slots=True)
class _Question:
    """What a solver asks the denoiser: D(x [B, D, L]; sigma [B])."""

    x: Tensor
    sigma: Tensor


class _Stopped(Exception):
    """Thrown into a solver whose answer nobody waits for any more."""


def stepwise(
    sampler: Sampler, denoise: Denoiser, x: Tensor, sigmas: Tensor
) -> Generator[tuple[int, Tensor], None, Tensor]:
    """Solve the ODE from x [B, D, L] down `sigmas` [N + 1] by `sampler`, an evaluation at a time.

    Yields (step, D [B, D, L]): how many of the N levels it has come to, and the latest estimate.
    Returns x at the last level, [B, D, L], the very numbers of `sampler(denoise, x, sigmas)`. No
    gradient passes.

    A solver is a plain function, which cannot pause: it runs in a thread of its own, which does its
    arithmetic only, and waits for each answer. D is computed in the caller's thread, so nothing
    runs while the caller holds what was yielded. Closing the generator ends the thread.
    """
    said: SimpleQueue[_Question | Tensor | Exception] = SimpleQueue()
    answers: SimpleQueue[Tensor | None] = SimpleQueue()

    def ask(x: Tensor, sigma: Tensor) -> Tensor:
        said.put(_Question(x, sigma))
        answer = answers.get()
        if answer is None:
            raise _Stopped
        return answer

    def solve() -> None:
        try:
            with torch.no_grad():  # a switch of each thread
                said.put(sampler(ask, x, sigmas))
        except Exception as error:  # noqa: BLE001, raised again below, in the caller's thread
            said.put(error)

    solver = threading.Thread(target=solve, name="sampler", daemon=True)
    solver.start()
    step = 0
    try:
        while isinstance(heard := said.get(), _Question):
            with torch.no_grad():
                d = denoise(heard.x, heard.sigma)
            reached = int((sigmas[:-1] >= float(heard.sigma.max())).sum())
            step = max(step, reached)
            yield step, d
            answers.put(d)
    finally:
        answers.put(None)
        solver.join()
    if isinstance(heard, Exception):
        raise heard
    return heard


def step_numbers(
    sampler: Sampler, denoise: Denoiser, x: Tensor, sigmas: Tensor
) -> Generator[int, None, Tensor]:
    """`stepwise` for who asks only how far it is: yields the numbers, returns x [B, D, L]."""
    solving = stepwise(sampler, denoise, x, sigmas)
    try:
        while True:
            step, _ = next(solving)
            yield step
    except StopIteration as end:
        latent: Tensor = end.value
        return latent
    finally:
        solving.close()
