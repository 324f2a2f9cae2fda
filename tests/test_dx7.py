"""The numbers of a DX7 voice against what Dexed plays."""

import numpy as np
import pytest

from presets.dx7 import ALGORITHMS

dexed = pytest.importorskip("dexed", reason="dexed-py is not installed: pip install dexed-py")


@pytest.mark.parametrize("number", ALGORITHMS)
def test_algorithms_are_those_of_dexed(number: int) -> None:
    ours = ALGORITHMS[number]
    matrix = np.zeros((6, 6), int)
    for modulator, target in ours.edges:
        matrix[target - 1, modulator - 1] = 1
    assert (matrix == dexed.get_mod_matrix(number - 1)).all()
    assert [c - 1 for c in ours.carriers] == list(dexed.get_carriers(number - 1))
    assert tuple(op - 1 for op in ours.feedback) == tuple(dexed.get_feedback_edge(number - 1))
