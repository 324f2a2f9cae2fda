"""Sounds made from formulas, with captions from the numbers they were made with."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from functools import partial
from typing import TypeAlias

import numpy as np

from sds.datasets.captions import compose_captions
from sds.datasets.clips import RATE, Clip, audible, split_of, spread
from sds.train.corpus import beats, machines, nature, struck
from sds.train.corpus.dsp import Rng, Take, room, samples

Maker: TypeAlias = Callable[[Rng, float], Take]

MAKERS: dict[str, tuple[str, Maker, float, float]] = {
    # name: class, maker, shortest and longest in seconds
    "wind": ("wind", nature.wind, 4, 6),
    "sea waves": ("sea waves", nature.sea_waves, 5, 6),
    "rain": ("rain", nature.rain, 3, 6),
    "thunder": ("thunder", nature.thunder, 4, 6),
    "fire": ("fire", nature.fire, 3, 6),
    "stream": ("water", nature.stream, 3, 5),
    "drips": ("water", nature.drips, 3, 5),
    "insects": ("insect", nature.insects, 3, 5),
    "birds": ("bird", nature.birds, 3, 5),
    "glass": ("glass", struck.glass, 1, 2),
    "metal": ("metal", struck.metal, 2, 4),
    "wood": ("wood", struck.wood, 0.8, 1.2),
    "ceramic": ("ceramic", struck.ceramic, 0.8, 1.5),
    "plastic": ("plastic", struck.plastic, 0.7, 1),
    "stone": ("stone", struck.stone, 0.6, 1),
    "pot": ("metal", struck.pot, 2, 4),
    "coins": ("coins and keys", struck.coins, 2, 3),
    "bell": ("bell", struck.bell, 3, 6),
    "chimes": ("chimes", struck.chimes, 4, 6),
    "gong": ("gong", struck.gong, 5, 6),
    "breaking glass": ("glass", struck.breaking_glass, 1.5, 2.5),
    "kick": ("kick", beats.kick, 0.8, 2),
    "acoustic kick": ("kick", beats.acoustic_kick, 0.6, 1),
    "snare": ("snare", beats.snare, 0.6, 1),
    "hi-hat": ("hi-hat", beats.hi_hat, 0.6, 1.5),
    "crash": ("cymbal", beats.crash, 3, 4),
    "clap": ("hand clap", beats.clap, 0.6, 1),
    "tom": ("tom", beats.tom, 0.8, 1.2),
    "hand drum": ("hand drum", beats.hand_drum, 1.2, 4),
    "shaker": ("shaker", beats.shaker, 2, 4),
    "bass": ("bass", beats.bass_synth, 1.5, 4),
    "synth tone": ("synth tone", beats.synth_tone, 1.5, 4),
    "pluck": ("plucked string", beats.pluck, 2, 3),
    "traffic": ("traffic", machines.traffic, 4, 6),
    "engine": ("engine", machines.engine, 3, 5),
    "motor": ("motor", machines.motor, 3, 5),
    "hum": ("electric hum", machines.hum, 2, 4),
    "clock": ("clock", machines.clock, 3, 6),
    "siren": ("siren", machines.siren, 4, 6),
    "alarm": ("alarm", machines.alarm, 2, 4),
    "horn": ("vehicle horn", machines.horn, 1.5, 3),
    "footsteps": ("footsteps", machines.footsteps, 3, 5),
    "whoosh": ("whoosh", machines.whoosh, 1.5, 3),
    "helicopter": ("helicopter", machines.helicopter, 3, 5),
    "train": ("train", machines.train, 4, 6),
    "static": ("noise", machines.static, 2, 4),
    "knocking": ("door", machines.knocking, 1.5, 2.5),
}
"""Every kind of sound this makes."""

DRY = ("wind", "sea waves", "rain", "thunder", "fire", "stream", "insects", "traffic", "static")
WET = 0.22  # share of the other sounds that stand in a room


def clip(item: tuple[str, int], *, seed: int) -> Clip:
    """The `index`-th sound of a kind; the same for the same seed."""
    name, index = item
    label, make, shortest, longest = MAKERS[name]
    origin = f"procedural/{name}/{seed}/{index}"
    words = random.Random(origin)
    rng = np.random.default_rng([seed, index, *name.encode()])
    seconds = words.uniform(shortest, longest)
    made = make(rng, seconds)
    audio, adjectives = made.audio.astype(np.float64), list(made.words)
    if name not in DRY and words.random() < WET:
        t60, wet = words.uniform(0.6, 3.0), words.uniform(0.3, 0.9)
        longer = np.pad(audio, (0, samples(min(0.6 * t60, 1.5))))
        audio = room(longer, rng, t60, wet)
        adjectives += ["reverb", "in a large hall" if t60 > 1.6 else "in a room"]
    fade = samples(0.02)
    audio[-fade:] *= np.linspace(1, 0, fade)
    captions = compose_captions(made.nouns, adjectives, words, count=10)
    finished = audio.astype(np.float32)
    return Clip(finished, captions, label, split_of(label, origin, origin), origin)


def procedural(seed: int, *, hours: float, workers: int = 1) -> Iterator[Clip]:
    """`hours` of sounds, as many of each kind."""
    mean = sum(shortest + longest for _, _, shortest, longest in MAKERS.values()) / 2 / len(MAKERS)
    each = round(hours * 3600 / mean / len(MAKERS))
    items = [(name, index) for index in range(each) for name in MAKERS]
    made = spread(partial(clip, seed=seed), items, workers=workers)
    return (make for make in made if audible(make.audio) and len(make.audio) > RATE // 20)
