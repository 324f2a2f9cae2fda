"""Work that fits the memory of its device: a batch in parts, smaller ones when memory runs out."""

from __future__ import annotations

import contextlib
import gc
import logging
import re
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

log = logging.getLogger(__name__)

ADVICE = "ask for a shorter sound, take a smaller model, or free memory of the device"


class NotEnoughMemory(ValueError):
    """Work that does not fit the memory of its device; the message says what to do."""


def ran_out(error: BaseException) -> bool:
    """Whether an error says that the memory of a device is full; torch has a class for it on CUDA
    only.
    """
    if isinstance(error, torch.OutOfMemoryError):
        return True
    text = str(error)
    full = "out of memory" in text or "not enough memory" in text
    return isinstance(error, RuntimeError) and full


def wanted(error: BaseException) -> str:
    """How much an error of full memory says was asked for last, ", 20.00 MiB more were asked for";
    or "".
    """
    found = re.search(r"[Tt]ried to allocate ([\d.]+ \w+)", str(error))
    return f", {found[1]} more were asked for" if found else ""


class Rows:
    """How many rows of a batch a network takes at once; it learns that from full memory.

    `most` is None for all of them. Each time memory runs out it becomes half of what was tried, and
    stays so. One row that does not fit raises `NotEnoughMemory`, as a sentence about `what`.
    """

    def __init__(self, what: str, most: int | None = None) -> None:
        self.what, self.most = what, most

    def each(self, apply: Callable[[int, int], Tensor], count: int) -> Tensor:
        """Apply a network to rows 0..count, in parts if need be; `apply(start, stop)` gives
        [stop - start, ...], the answer is [count, ...].
        """
        parts: list[Tensor] = []
        done = 0
        while done < count:
            stop = min(count, done + (self.most or count))
            part = self._try(apply, done, stop)
            if part is not None:
                parts.append(part)
                done = stop
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _try(self, apply: Callable[[int, int], Tensor], start: int, stop: int) -> Tensor | None:
        """The rows' answer; None when memory ran out, and fewer are to be tried."""
        try:
            return apply(start, stop)
        except RuntimeError as error:
            if not ran_out(error):
                raise
            if stop - start == 1:
                raise NotEnoughMemory(
                    f"there is not enough memory for {self.what} even one sound at a time"
                    f"{wanted(error)}: {ADVICE}"
                ) from error
            self.most = (stop - start) // 2
        # The error is gone from here on, and with it what its frames held.
        log.warning("%s: memory is full, going on with %d rows at once", self.what, self.most)
        free()
        return None


def free() -> None:
    """Give back to the device what nothing uses any more."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


@contextlib.contextmanager
def one_sentence() -> Iterator[None]:
    """Turn a full memory that nothing inside made room for into `NotEnoughMemory`."""
    try:
        yield
    except RuntimeError as error:
        if not ran_out(error):
            raise
        raise NotEnoughMemory(f"there is not enough memory{wanted(error)}: {ADVICE}") from error
