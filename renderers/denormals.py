"""Denormal numbers (below 1.2e-38 in single precision) count as zero: they cost 100 cycles each.

The kernels end their decays before they come there (`kernels.SILENT`); this is for what others
compute: filters of plugins, moments of an optimiser, matrix products. The mode belongs to a thread
and is inherited by the threads it starts afterwards, those of libraries too: OpenMP's, JACK's.
"""

from __future__ import annotations

import ctypes
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager

FTZ_DAZ = 0x8040  # of MXCSR: results, and operands, that are denormal become zero
MXCSR, SIZE = 28, 32  # bytes: its place in fenv_t on x86-64, and the size of that


def flush_denormals() -> bool:
    """Count denormal numbers as zero in this thread and those it starts; whether that can be done.

    It is `torch.set_flush_denormal(True)` without torch. Call it before anything runs in parallel.
    Elsewhere than on Linux on x86-64 nothing is done.
    """
    return _change(set_bits=FTZ_DAZ) is not None


@contextmanager
def exact_denormals() -> Iterator[None]:
    """A block in which this thread computes denormal numbers: compilers of others rely on them."""
    before = _change(clear_bits=FTZ_DAZ)
    try:
        yield
    finally:
        _change(set_bits=(before or 0) & FTZ_DAZ)


def _change(*, set_bits: int = 0, clear_bits: int = 0) -> int | None:
    """Change bits of this thread's MXCSR; what it was, None where it is not known how."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return None
    library = ctypes.CDLL("libm.so.6")
    state = (ctypes.c_uint8 * SIZE)()
    library.fegetenv(state)
    register = ctypes.c_uint32.from_buffer(state, MXCSR)
    before = int(register.value)
    register.value = before & ~clear_bits | set_bits
    return before if library.fesetenv(state) == 0 else None
