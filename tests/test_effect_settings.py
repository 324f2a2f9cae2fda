"""Settings of effects chosen by a score, and never so that the effect is gone."""

from __future__ import annotations

import time

import pytest
import torch
from torch import Tensor

from bridge.worker.effect_settings import settings, tune
from presets import ranges
from presets.prompt_words import TUNED, wishes
from renderers.effect_gradients import through

RATE = 22050


def click() -> Tensor:
    x = torch.zeros(1, 1, RATE)
    x[..., :20] = 0.5
    return x


@pytest.mark.parametrize("wanted", [1.0, -1.0])
def test_room_and_wet_go_where_the_score_wants_them(wanted: float) -> None:
    """A score that likes what sounds after 0.3 s, or that does not."""
    chain = wishes("snare with reverb").effects

    def score(sound: Tensor) -> Tensor:
        late = sound[..., RATE // 3 :].square().sum((1, 2)) / sound.square().sum((1, 2))
        return wanted * late

    (found,) = tune(chain, click(), RATE, score)
    before, after = (score(through(c, click(), RATE)) for c in (chain, (found,)))
    assert after > before
    values = found.values
    assert values["wet_level"] == (0.5 if wanted > 0 else 0.2)
    assert values["dry_level"] == pytest.approx(1.0 - values["wet_level"])
    assert values["room_size"] == pytest.approx(0.6 * (1.2 if wanted > 0 else 1.0))


def test_a_filter_stays_near_its_word() -> None:
    (muffled,) = wishes("muffled piano").effects
    (knob,) = TUNED["LowpassFilter"]
    tried = [one.values["cutoff_frequency_hz"] for one in settings(muffled, knob)]
    assert tried == pytest.approx([300.0, 400.0, 625.0, 800.0])


def test_what_nothing_beats_stays() -> None:
    chain = wishes("telephone ring tone over the telephone in a hall").effects
    assert len(chain) == 4
    assert tune(chain, click(), RATE, lambda sound: torch.zeros(len(sound))) == chain


@pytest.mark.parametrize("prompt", ["long reverb", "lo-fi telephone", "chorus, delay, hall, fuzz"])
def test_all_that_is_tried_may_be_and_it_is_soon_done(prompt: str) -> None:
    chain = wishes(prompt).effects
    for effect in chain:
        for knob in TUNED.get(effect.kind, ()):
            ranges.check_effects(settings(effect, knob))
    begun = time.process_time()
    tune(chain, click(), RATE, lambda sound: sound.square().mean((1, 2)))
    assert time.process_time() - begun < 1.0
