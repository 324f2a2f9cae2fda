"""The place of a prior in a method that asks none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

from torch import Tensor

from sds.priors.base import Cond
from sds.separation.query_network import RATE


@dataclass(slots=True)  # not frozen: the attributes of a `Prior` can be set
class Unasked:
    """What masks need to know where no prior is asked (`sds.separation.separate.asks_prior`): the
    rate and the channels at which the shipped networks hear, which are the default prior's.

    It has no name, and raises `TypeError` when it is asked after all.
    """

    name: str = ""
    sample_rate: int = RATE
    channels: int = 1
    max_seconds: float = 0.0  # of sound that it takes at once: none, windows are the method's
    sigmas: tuple[float, float] = (0.0, 0.0)

    def embed(self, prompts: Sequence[str], seconds: float) -> Cond:
        """Refuse."""
        _refuse()

    def encode(self, audio: Tensor) -> Tensor:
        """Refuse."""
        _refuse()

    def decode(self, latent: Tensor, *, like: Tensor | None = None) -> Tensor:
        """Refuse."""
        _refuse()

    def denoise(self, x: Tensor, sigma: Tensor, cond: Cond) -> Tensor:
        """Refuse."""
        _refuse()


def _refuse() -> NoReturn:
    raise TypeError("this method asks no prior, and none was loaded")
