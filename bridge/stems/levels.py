"""The null depth of two energies in dB."""

from __future__ import annotations

import math

NULL_FLOOR_DB = -200.0


def null_db(error: float, power: float) -> float:
    """10 log10(error / power), -200 when there is no error; against full scale when no power.

    Raises `ValueError` for sums of samples that are no numbers: nothing is said of them.

    >>> null_db(1e-12, 1.0)
    -120.0
    """
    if not math.isfinite(error + power):
        raise ValueError("samples must be finite numbers, and some of these files' are not")
    if error <= 0:
        return NULL_FLOOR_DB
    return max(NULL_FLOOR_DB, 10 * math.log10(error / (power if power > 0 else 1.0)))
