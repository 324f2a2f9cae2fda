"""The model of a DX7 voice beside Dexed itself. Distances are `renderers.fidelity.lsd` in dB."""

import numpy as np
import pytest

from presets import Note
from presets.dx7 import ALGORITHMS, Operator, Voice
from renderers import dx7_voice
from renderers.engines import dexed
from renderers.fidelity import Listener, lsd

RATE = 44100
NOTE = Note(60)


def in_dexed(voice: Voice) -> np.ndarray:
    if said := dexed.ENGINE.missing():
        pytest.skip(said)
    return dexed.render_voice(voice, NOTE, 0.5, RATE)[0].astype(float)


def modelled(voice: Voice) -> np.ndarray:
    return dx7_voice.render(voice, NOTE.hz, RATE // 2, RATE)


@pytest.mark.parametrize(
    ("rates", "levels"),
    [
        ((83, 60, 70, 70), (99, 80, 0, 0)),  # a fall that bends
        ((70, 80, 60, 60), (90, 99, 0, 0)),  # a rise that bends
        ((60, 60, 60, 60), (50, 99, 0, 0)),  # slow
        ((99, 85, 50, 50), (99, 98, 0, 0)),  # a level that is held for a while
    ],
)
def test_one_operator_is_that_of_dexed_within_one_percent(
    rates: tuple[int, ...], levels: tuple[int, ...]
) -> None:
    voice = Voice((Operator(rates, levels, output=99), *(Operator(),) * 5))
    theirs, ours = in_dexed(voice), modelled(voice)
    gain = (theirs @ ours) / (ours @ ours)
    assert gain == pytest.approx(1.0, abs=0.01)
    assert np.linalg.norm(theirs - gain * ours) < 0.01 * np.linalg.norm(theirs)


@pytest.mark.parametrize("number", ALGORITHMS)
def test_every_algorithm_sounds_as_in_dexed(number: int) -> None:
    """Feedback included: the loops of 4 and 6 are Dexed's own way, and only near.

    16 and 17, a deep chain into a crowded operator, are 0.8 away, the others at most 0.6.
    """
    slow = (83, 50, 40, 40), (99, 90, 0, 0)
    operators = (Operator(*slow, output=86, coarse=n, detune=n) for n in range(1, 7))
    voice = Voice(tuple(operators), algorithm=number, feedback=5)
    far = lsd(in_dexed(voice), modelled(voice), RATE)
    assert far < {4: 2.0, 6: 2.0, 16: 1.0, 17: 1.0}.get(number, 0.6)


def test_a_voice_without_operators_is_silent() -> None:
    assert not modelled(Voice((Operator(),) * 6, feedback=7)).any()


def test_a_listener_hears_the_distance() -> None:
    """What starts together is as far for it as for `lsd`, which looks for a lag."""
    t = np.arange(RATE // 2) / RATE
    ours = np.sin(2 * np.pi * NOTE.hz * t) * np.exp(-8 * t)
    duller = ours * np.exp(-4 * t)
    assert Listener(ours)(duller) == pytest.approx(lsd(ours, duller, RATE), abs=0.01)
    assert Listener(ours)(0.1 * ours) < 1e-3
