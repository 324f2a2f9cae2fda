"""The columns of a real-time note: what may be a patch, how far brightness goes."""

import math

import numpy as np
import pytest
import torch

from presets import ranges
from renderers import fm, random_patches, to_values, voice_patch


def random_values(matrix="acyclic"):
    instrument = fm.renderer(matrix=matrix)
    u = random_patches(instrument, 8, generator=torch.Generator().manual_seed(2))[2]
    return to_values(instrument, u)


def test_brightness_scales_modulation_and_never_leads_to_chaos():
    values = random_values()
    assert voice_patch.depth(values, 1.7) == 1.7
    loops = random_values("free")
    loops = {name: 4.0 if "_from_" in name else x for name, x in loops.items()}
    assert voice_patch.depth(loops, 1.0) == pytest.approx(1.0)
    depth = voice_patch.depth(loops, 2.0)
    patch = voice_patch.patch(loops)
    turns = patch.matrix * depth * 2.0 * math.pi
    assert max(abs(np.linalg.eigvals(turns))) < ranges.FEEDBACK + 1e-9
    assert voice_patch.depth(loops, 0.0) == 0.0


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"level": 1.0}, "got 0 operators"),
        ({"op1_ratio": 1.0, "op1_decay": 1.0}, "needs a value 'level'"),
        ({"op1_ratio": 1.0, "op1_decay": 0.0, "level": 1.0}, "decays above 0"),
    ],
)
def test_what_is_no_patch_is_refused(values, words):
    with pytest.raises(ValueError, match=words):
        voice_patch.patch(values)
