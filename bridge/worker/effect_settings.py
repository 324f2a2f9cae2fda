"""Try settings of a patch's effects: how wet, driven, long or dark."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from presets import Effect, ranges
from presets.prompt_words import TUNED, Tuned
from renderers.effect_gradients import through


def tune(
    chain: tuple[Effect, ...], sound: Tensor, rate: int, score: Callable[[Tensor], Tensor]
) -> tuple[Effect, ...]:
    """The chain with the settings at which audio [1, 1, T] behind it has the highest score [1].

    One setting after another (`presets.prompt_words.TUNED`), each as well as it can be while the
    others stay; what nothing beats stays as it is.
    """
    for k, effect in enumerate(chain):
        for knob in TUNED.get(effect.kind, ()):
            tried = [chain]
            tried += [(*chain[:k], other, *chain[k + 1 :]) for other in settings(chain[k], knob)]
            heard = torch.cat([through(one, sound, rate) for one in tried])
            chain = tried[int(score(heard).argmax())]
    return chain


def settings(effect: Effect, knob: Tuned) -> list[Effect]:
    """The effect at each value that is tried, within what it may be.

    What a reverb adds of the room it takes of the rest.
    """
    param = next(p for p in ranges.EFFECTS[effect.kind] if p.name == knob.setting)
    values = [*knob.values, *(effect.values[knob.setting] * times for times in knob.times)]
    tried = []
    for value in values:
        change = {knob.setting: min(param.high, max(param.low, value))}
        if knob.setting == "wet_level":
            change["dry_level"] = 1.0 - value
        tried.append(effect.model_copy(update={"values": effect.values | change}))
    return tried
