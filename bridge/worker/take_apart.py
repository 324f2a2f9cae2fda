"""Take a mixture apart into classes of stems, window by window, by the model that makes them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from sds.multitrack.base import MultiTrackModel
from sds.separation.base import WindowProgress
from sds.separation.separate import Plan, Read, cut_evenly, window_seed
from sds.signal.overlap_add import reflect_pad


@dataclass(frozen=True, slots=True)
class TakingApart:
    """What all windows of a file share.

    - `model`: knows all classes; `stems` are those that get a file, the others are the residual's
    - `rate`: that of the file in Hz
    - `method`, `steps`: as of `sds.multitrack.take_apart`
    - `seed`: of all random numbers; those of a window come from it and the window's index
    """

    model: MultiTrackModel
    stems: Sequence[str]
    rate: int
    method: str
    steps: int | None
    seed: int

    def plan(self, samples: int) -> Plan:
        """Cut a file of `samples` into windows as long as the model's, or evenly shorter."""
        return cut_evenly(samples, self.rate, self.model.window_seconds)

    def part_window(self, plan: Plan, read: Read, index: int) -> Iterator[WindowProgress]:
        """Take window `index` apart; the last `WindowProgress` has its stems [K, C, end - begin],
        not yet faded.
        """
        from sds.multitrack.take_apart import take_apart_stepwise

        begin, end = plan.windows[index]
        mix = reflect_pad(read(begin, min(plan.samples, end + plan.tail)), end - begin + plan.tail)
        stage = "take apart"
        working = take_apart_stepwise(
            self.model,
            mix,
            self.rate,
            method=self.method,
            steps=self.steps,
            generator=torch.Generator().manual_seed(window_seed(self.seed, index)),
        )
        try:
            while True:
                yield WindowProgress(min(0.99, next(working)), stage, {})
        except StopIteration as made:
            whole = torch.stack([made.value[name] for name in self.stems])
        finally:
            working.close()
        yield WindowProgress(1.0, stage, {}, whole[..., : end - begin])
