"""What the judges of the patch suite say of sounds of which it is known."""

import pytest
import torch

from sds.datasets.reference_statistics import CLASSES
from sds.scoreboard import judges
from sds.scoreboard.baselines import Prompt
from sds.scoreboard.judges import Judges, named_classes
from sds.scoreboard.prompts import EVERYDAY, SHOTS, UNSEEN

RATE = 44100
SOUND = torch.randn(1, 1, RATE, generator=torch.Generator().manual_seed(0))
KICK = Prompt("x", "kick", "kick", 1.0, right=1, classes=("kick",))


class Heard:
    """A musicnn whose embedding of everything is the second axis."""

    def embed(self, audio, rate):
        return torch.tensor([[0.0, 1.0, 0.0]])


def test_classes_are_those_of_the_statistics():
    named = [name for x in (*UNSEEN, *EVERYDAY) for name in x.classes]
    assert set(named) | {name for names in SHOTS.values() for name in names} <= set(CLASSES)
    assert len({prompt.text for prompt in EVERYDAY}) == 40
    assert sum(prompt.last for prompt in EVERYDAY) == 10


def test_the_rank_by_musicnn_counts_who_is_nearer():
    recordings = torch.tensor([[0.0, 0.9, 0.1], [0.0, 0.5, 0.5], [1.0, 0.0, 0.0]])
    found = Judges(False, Heard(), recordings).figures(SOUND, RATE, KICK, 0.5)
    assert (found["rank_musicnn"], found["top3_musicnn"]) == (2.0, 1.0)
    assert "rating" not in found


@pytest.mark.parametrize(
    ("match", "named", "expected"),
    [(0.75, True, (1, 1, 0)), (0.75, False, (1, 0, 1)), (0.4, True, (1, 1, 0)),
     (0.4, False, (1, 0, 0)), (0.05, True, (0, 0, 0))],
)  # fmt: skip
def test_verdicts_are_confirmed_or_not(monkeypatch, match, named, expected):
    names = ["snare", "kick" if named else "rain", "dog"]
    monkeypatch.setattr(judges, "named_classes", lambda sound, rate: names)
    found = Judges(True, None, torch.zeros(0)).figures(SOUND, RATE, KICK, match)
    said = (found["within_reach"], found["confirmed"], found["unconfirmed"])
    assert said == expected
    assert "rank_musicnn" not in found


def test_white_noise_is_like_rain_or_waves_not_like_a_bell():
    found = named_classes(SOUND.repeat(1, 1, 2), RATE)
    assert len(set(found)) == 3
    assert "bell" not in found
    assert set(found) & {"rain", "sea waves", "water", "cymbal"}
