"""Struck things: modes of plates, bars, shells and membranes with the damping of their material."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sds.train.corpus.dsp import (
    Curve,
    Rng,
    Take,
    band,
    decay,
    hit,
    log_uniform,
    mix_at,
    modes,
    noise,
    samples,
    size,
    take,
)


@dataclass(frozen=True, slots=True)
class Material:
    """Lowest modes lie in [low, high] Hz; 1/t60 = 1/ring + loss (f / 1 kHz)^power."""

    low: float
    high: float
    ring: tuple[float, float]
    loss: float
    power: float
    count: int


# Damping grows with frequency: mildly in metal and glass, steeply in wood
# (van den Doel and Pai 1998).
MATERIALS: dict[str, Material] = {
    "glass": Material(900, 3200, (0.3, 1.4), 0.35, 0.8, 14),
    "metal": Material(200, 1800, (0.9, 4.0), 0.12, 0.7, 34),
    "wood": Material(180, 1100, (0.06, 0.22), 6.0, 1.1, 10),
    "ceramic": Material(500, 1800, (0.12, 0.5), 1.6, 0.9, 14),
    "plastic": Material(150, 700, (0.04, 0.12), 9.0, 1.0, 8),
    "stone": Material(700, 2600, (0.03, 0.09), 8.0, 0.8, 12),
}


def body(rng: Rng, material: Material, *, stretch: float = 1.0) -> tuple[Curve, Curve, Curve]:
    """Frequencies, t60 and gains of a random thing of this material, lowest mode first.

    Modes of a free plate are about as dense at any frequency, those of a bar spread as n^2: a power
    of the mode's number between 1 and 1.6, each moved a little.
    """
    lowest = log_uniform(rng, material.low, material.high)
    number = np.arange(1, material.count + 1)
    ratios = number ** rng.uniform(0.9, 1.5) * stretch ** (number - 1)
    ratios = ratios * np.where(number > 1, rng.uniform(0.9, 1.12, material.count), 1.0)
    hertz = lowest * ratios
    ring = rng.uniform(*material.ring)
    t60 = 1 / (1 / ring + material.loss * (hertz / 1000) ** material.power)
    gains = rng.uniform(0.3, 1.0, material.count) / number ** rng.uniform(0.2, 0.9)
    gains[0] = 1.0
    return hertz, t60, gains


def struck(rng: Rng, seconds: float, name: str) -> tuple[Curve, float, float]:
    """One blow on a thing of material `name`: audio, lowest Hz and its t60."""
    count = samples(seconds)
    hertz, t60, gains = body(rng, MATERIALS[name])
    contact = log_uniform(rng, 0.0001, 0.0012)
    sound = hit(modes(count, hertz, t60, gains), contact)
    tick = band(noise(rng, count), 1500, 9000) * decay(count, 0.015)
    return sound / np.abs(sound).max() + 0.08 * tick, float(hertz[0]), float(t60[0])


def _blow(rng: Rng, seconds: float, name: str, nouns: str) -> Take:
    audio, hertz, t60 = struck(rng, seconds, name)
    middle = MATERIALS[name]
    words = [
        size(hertz, middle.low * 1.4, middle.high / 1.4, "low//high"),
        size(t60, 0.15, 0.8, "short//ringing"),
        size(t60, 0.1, 1.2, "dry//long decay"),
        name if name not in nouns else "",
    ]
    return take(audio, nouns, *words, hz=hertz, t60=t60)


def glass(rng: Rng, seconds: float) -> Take:
    """A glass struck."""
    nouns = (
        "glass struck; hitting a glass; wine glass clink; glass clinking; tapping a glass bottle"
    )
    return _blow(rng, seconds, "glass", nouns)


def metal(rng: Rng, seconds: float) -> Take:
    """Metal struck."""
    nouns = "metal struck; metal hit; metallic clang; hitting a metal plate; metal object being hit"
    return _blow(rng, seconds, "metal", nouns)


def wood(rng: Rng, seconds: float) -> Take:
    """Wood struck."""
    nouns = "wood struck; wooden knock; hitting a wooden box; knocking on wood; wood hit"
    return _blow(rng, seconds, "wood", nouns)


def ceramic(rng: Rng, seconds: float) -> Take:
    """A plate or cup struck."""
    nouns = "ceramic plate struck; coffee cup hit; porcelain clink; tapping a ceramic bowl; pottery"
    return _blow(rng, seconds, "ceramic", nouns)


def plastic(rng: Rng, seconds: float) -> Take:
    """Plastic struck."""
    return _blow(
        rng,
        seconds,
        "plastic",
        "plastic struck; hitting a plastic box; plastic bucket hit; plastic",
    )


def stone(rng: Rng, seconds: float) -> Take:
    """Stone on stone."""
    nouns = "stones struck together; stone hit; rock hitting rock; tapping on stone"
    return _blow(rng, seconds, "stone", nouns)


def pot(rng: Rng, seconds: float) -> Take:
    """A pot or pan hit with a wooden spoon: metal shell, soft blow, some wood, damped or not."""
    count, damped = samples(seconds), bool(rng.random() < 0.4)
    hertz, t60, gains = body(rng, Material(220, 900, (0.5, 2.2), 0.5, 0.8, 24))
    t60 = t60 * (0.25 if damped else 1.0)
    metal_part = hit(modes(count, hertz, t60, gains), log_uniform(rng, 0.0004, 0.0018))
    wood_f, wood_t, wood_g = body(rng, MATERIALS["wood"])
    wood_part = hit(modes(count, wood_f, wood_t, wood_g), 0.0005)
    blow = metal_part / np.abs(metal_part).max() + 0.35 * wood_part / np.abs(wood_part).max()
    times = [0.0]
    if rng.random() < 0.4:
        times += list(np.cumsum(rng.uniform(0.25, 0.7, int(rng.integers(1, 5)))))
    audio = mix_at(count, [(when, blow * rng.uniform(0.7, 1.0)) for when in times])
    thing = str(rng.choice(["pot", "pan", "frying pan", "saucepan", "cooking pot"]))
    nouns = f"hitting {thing} with wooden spoon; wooden spoon on a {thing}; {thing} struck"
    nouns += f"; banging on a {thing}; kitchen {thing} hit; metal {thing} hit with a spoon"
    words = ["damped" if damped else "ringing", size(float(hertz[0]), 350, 650, "low//high")]
    words += ["metallic", "repeated" if len(times) > 1 else "single hit"]
    return take(audio, nouns, *words, hz=float(hertz[0]), t60=float(t60[0]))


def coins(rng: Rng, seconds: float) -> Take:
    """Small bright metal discs falling and rattling, ever faster and softer."""
    count, number = samples(seconds), int(rng.integers(1, 8))
    events: list[tuple[float, Curve]] = []
    for _ in range(number):
        hertz = log_uniform(rng, 2500, 6500) * np.array([1.0, 1.73, 2.33, 2.9])
        when, gap, level = float(rng.uniform(0, 0.8)), float(rng.uniform(0.1, 0.25)), 1.0
        while gap > 0.012:
            blow = modes(samples(0.5), hertz, 0.35 / (1 + hertz / 6000), rng.uniform(0.3, 1, 4))
            events.append((when, blow * level))
            when, gap, level = when + gap, gap * rng.uniform(0.6, 0.85), level * 0.75
    what = "coin dropped on a table; coin spinning; dropping a coin" if number == 1 else ""
    nouns = what or "coins dropping; coins jingling; metal coins; handful of coins; loose change"
    return take(mix_at(count, events), nouns, "bright", "metallic", "high")


def bell(rng: Rng, seconds: float) -> Take:
    """Partials of a tuned bell (hum, prime, tierce, quint, nominal ...) in pairs that beat."""
    count, prime = samples(seconds), log_uniform(rng, 130, 2000)
    ratios = np.array([0.5, 1.0, 1.19, 1.5, 2.0, 2.5, 2.66, 3.0, 4.1, 5.4])
    hertz = np.concatenate([prime * ratios, prime * ratios * (1 + rng.uniform(0.0005, 0.004, 10))])
    t60 = min(6.0, 900 / prime + 1.5) * np.tile(
        [1.5, 1, 0.8, 0.6, 0.7, 0.4, 0.4, 0.3, 0.2, 0.15], 2
    )
    gains = np.tile([0.5, 0.8, 0.7, 0.4, 1, 0.4, 0.4, 0.3, 0.25, 0.2], 2)
    blow = hit(modes(count, hertz, t60, gains), 0.0004)
    nouns = "bell; bell ringing; bell struck; ringing bell"
    if prime < 350:
        nouns = "church bell; large bell; bell tower; bell ringing"
    elif prime > 1000:
        nouns = "small bell; hand bell; desk bell; bell ringing"
    return take(blow, nouns, size(prime, 350, 1000, "low/middle/high"), "metal", hz=prime)


def chimes(rng: Rng, seconds: float) -> Take:
    """Hanging tubes struck at random in the wind."""
    count = samples(seconds)
    base = log_uniform(rng, 700, 2000)
    tubes = base * np.array([1, 9 / 8, 5 / 4, 3 / 2, 5 / 3, 2])
    events: list[tuple[float, Curve]] = []
    for _ in range(int(rng.integers(6, 22))):
        hertz = rng.choice(tubes) * np.array([1.0, 2.76, 5.4])
        blow = modes(samples(2.5), hertz, [2.2, 1.1, 0.5], [1, 0.5, 0.25])
        events.append((float(rng.uniform(0, seconds * 0.8)), blow * rng.uniform(0.2, 1)))
    nouns = "wind chimes; chimes; metal wind chimes; chimes tinkling in the wind"
    return take(mix_at(count, events), nouns, size(base, 950, 1500, "low//high"), "bright")


def gong(rng: Rng, seconds: float) -> Take:
    """A gong: dense modes, the high ones blooming after the blow."""
    count, lowest = samples(seconds), log_uniform(rng, 60, 220)
    number = 60
    hertz = lowest * np.concatenate([[1.0], np.sort(rng.uniform(1.3, 28, number - 1))])
    t60 = 6.0 / (1 + (hertz / 900) ** 0.7)
    early = modes(count, hertz[:15], t60[:15], 1 / np.arange(1, 16) ** 0.5)
    late = modes(count, hertz[15:], t60[15:], rng.uniform(0.1, 0.4, number - 15))
    bloom = 1 - np.exp(-np.arange(count) / 44100 / rng.uniform(0.05, 0.4))
    nouns = "gong; gong strike; large gong hit; tam-tam; Chinese gong"
    words = [size(lowest, 90, 160, "low//high"), "long decay", "metal"]
    return take(hit(early, 0.004) + late * bloom * 0.5, nouns, *words, hz=lowest)


def breaking_glass(rng: Rng, seconds: float) -> Take:
    """A crash of noise and a shower of ringing splinters."""
    count = samples(seconds)
    crash = band(noise(rng, count), 2000, 14000) * decay(count, 0.18)
    events: list[tuple[float, Curve]] = [(0.0, crash)]
    for _ in range(int(rng.integers(30, 90))):
        hertz = log_uniform(rng, 1800, 9000) * np.array([1, 1.6, 2.2])
        blow = modes(samples(0.3), hertz, 0.2 / (1 + hertz / 5000), rng.uniform(0.1, 0.6, 3))
        events.append((0.01 + float(rng.exponential(0.25)), blow))
    nouns = "glass breaking; glass shattering; window smashed; breaking glass; bottle smashing"
    return take(mix_at(count, events), nouns, "bright", "sharp", "sudden")
