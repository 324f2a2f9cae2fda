"""The loop of a training: steps until its time is over, checked on held-back data, resumed from its
folder. What ships is the moving average of the weights where the held-back loss was least.
"""

from __future__ import annotations

import argparse
import copy
import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, TypeAlias, TypeVar

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from sds.train.common import Checkpoint, average_into, cosine

log = logging.getLogger(__name__)
BEST = "best.safetensors"

Loss: TypeAlias = Callable[[int], tuple[Tensor, Sequence[Tensor]]]
"""The step -> what is lowered [], and numbers [] of it to be shown."""

Network = TypeVar("Network", bound=nn.Module)


def add_options(
    parser: argparse.ArgumentParser,
    *,
    rate: float,
    ema: float,
    check: int,
    steps: int = 100_000,
    warm: int = 100,
    device: bool = False,
) -> None:
    """The options that every training has: --minutes, --steps, --rate, --warm, --ema, --check; and
    --device where a training may run on a GPU.
    """
    if device:
        parser.add_argument(
            "--device", default="cpu", help="cpu, cuda or mps; random numbers are of the CPU's"
        )
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--steps", type=int, default=steps)
    parser.add_argument("--rate", type=float, default=rate)
    parser.add_argument("--warm", type=int, default=warm, help="steps until the rate is whole")
    parser.add_argument("--ema", type=float, default=ema)
    parser.add_argument(
        "--check", type=int, default=check, help="steps between two held-back losses"
    )


class Run(Generic[Network]):
    """A training in the folder `args.out`, begun or gone on with."""

    def __init__(
        self, net: Network, args: argparse.Namespace, *, weight_decay: float = 0.01
    ) -> None:
        """`args` has `out` and what `add_options` adds."""
        self.net, self.args = net, args
        self.mean = copy.deepcopy(net).requires_grad_(False)
        self.optimizer = torch.optim.AdamW(
            net.parameters(), lr=args.rate, betas=(0.9, 0.99), weight_decay=weight_decay
        )
        self.checkpoint = Checkpoint(args.out)
        resumed = self.checkpoint.exists
        self.step = self.checkpoint.load(net, self.optimizer, self.mean) if resumed else 0
        self.best = least(args.out / BEST) if self.step else float("inf")

    def until_done(
        self, loss: Loss, check: Callable[[Network], tuple[float, str]], *, clip: float = 1.0
    ) -> None:
        """Take steps until `args.minutes` or `args.steps` have passed; gradients are clipped to a
        norm of `clip`. `check` says the averaged network's loss on held-back data, and what else
        there is to say of it. A checkpoint every three minutes.
        """
        args, begin, first = self.args, time.monotonic(), self.step
        seen: list[Tensor] = []
        while self.step < args.steps and (spent := time.monotonic() - begin) < 60 * args.minutes:
            along = max(self.step / args.steps, spent / (60 * args.minutes))
            self._set_rate(along, self.step - first)
            shown = self._take(loss, clip)
            seen = [a + b for a, b in zip(seen, shown, strict=True)] if seen else shown
            if self.step % args.check == 0:
                held, more = check(self.mean)
                means = " ".join(f"{float(x) / args.check:.4f}" for x in seen)
                speed = (self.step - first) / (time.monotonic() - begin)
                log.info("step %d loss %s; held back %.4f %s, %.2f steps/s",
                         self.step, means, held, more, speed)  # fmt: skip
                seen = []
                self._keep(held)
            if self.checkpoint.due():
                self._save()
        self._save()

    def _set_rate(self, along: float, since: int) -> None:
        """The rate of a step: a cosine that ends with the steps or with the time."""
        rate = cosine(round(along * 10_000), total=10_000, warm=0, peak=self.args.rate)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * min(1.0, (since + 1) / self.args.warm)

    def _take(self, loss: Loss, clip: float) -> list[Tensor]:
        lowered, shown = loss(self.step)
        self.optimizer.zero_grad()
        torch.autograd.backward([lowered])
        nn.utils.clip_grad_norm_(self.net.parameters(), clip)
        self.optimizer.step()
        self.step += 1
        average_into(self.mean, self.net, min(self.args.ema, (self.step + 1) / (self.step + 10)))
        return [x.detach() for x in shown]

    def _keep(self, held: float) -> None:
        if held < self.best:
            self.best = held
            keep_best(self.args.out / BEST, self.mean, held)

    def _save(self) -> None:
        self.checkpoint.save(self.step, self.net, self.optimizer, self.mean)


def keep_best(path: Path, mean: nn.Module, held_loss: float) -> None:
    """Write the weights to ship: the average in half precision, with its loss on held-back data."""
    tensors = {k: v.half().cpu().contiguous() for k, v in mean.state_dict().items()}
    partial = path.with_suffix(".partial")
    save_file(tensors, partial, metadata={"held_back": str(held_loss)})
    partial.replace(path)


def least(path: Path) -> float:
    """Read the loss that `keep_best` wrote; infinity when there is none."""
    if not path.is_file():
        return float("inf")
    with safe_open(path, framework="pt") as file:
        return float((file.metadata() or {}).get("held_back", "inf"))
