"""Weather, water, fire and small animals, made from noise and sines."""

from __future__ import annotations

import numpy as np

from sds.train.corpus.dsp import (
    Curve,
    Rng,
    Take,
    band,
    decay,
    log_uniform,
    mix_at,
    modes,
    noise,
    samples,
    seconds_of,
    size,
    sweep,
    take,
    wander,
)


def wind(rng: Rng, seconds: float) -> Take:
    """Noise through bands whose centres and levels wander together."""
    count, gust = samples(seconds), float(rng.uniform(0, 1))
    centre = log_uniform(rng, 180, 1200)
    level = 0.25 + wander(rng, count, 0.4 + gust) ** 1.5
    out = noise(rng, count, slope=-6.0) * 0.3 * level
    for ratio in (0.6, 1.0, 1.6):
        middle = centre * ratio
        layer = band(noise(rng, count), middle / 1.15, middle * 1.15)
        out += layer * level * (0.3 + wander(rng, count, 0.8)) ** 2
    words = [size(gust, 0.35, 0.65, "steady//gusty"), size(centre, 350, 700, "low//high")]
    if centre > 600:
        return take(out, "wind howling; howling wind; whistling wind; cold winter wind", *words)
    nouns = "wind blowing; wind; strong wind; breeze; wind in the trees; stormy wind"
    return take(out, nouns, *words, "outdoors")


def sea_waves(rng: Rng, seconds: float) -> Take:
    """Broad noise swelling and darkening as each wave breaks and runs back."""
    count, period = samples(seconds), float(rng.uniform(2.5, 6.0))
    t, size_ = seconds_of(count), float(rng.uniform(0, 1))
    phase = (t / period + rng.uniform()) % 1.0
    swell = np.where(phase < 0.3, (phase / 0.3) ** 2, np.exp(-(phase - 0.3) * 4.5))
    rumble = band(noise(rng, count), 40, 400) * (0.5 + size_)
    foam = band(noise(rng, count, slope=-2.0), 800, 9000)
    body = band(noise(rng, count, slope=-3.0), 200, 3000)
    out = rumble * (0.2 + swell) + 2 * body * (0.1 + swell) + foam * (0.03 + swell**2)
    words = [size(size_, 0.4, 0.7, "gentle//rough"), size(period, 3.5, 4.8, "quick//slow")]
    nouns = "sea waves; ocean waves; waves on the beach; waves breaking on the shore; surf"
    return take(out, nouns, *words, period=period)


def rain(rng: Rng, seconds: float) -> Take:
    """A hiss and thousands of tiny bubbles and taps."""
    count, drops = samples(seconds), log_uniform(rng, 40, 2500)
    hiss = band(noise(rng, count, slope=-1.0), 700, 12000) * 0.02 * np.sqrt(drops)
    taps = np.zeros(count)
    number = rng.poisson(drops * seconds)
    taps[rng.integers(0, count, number)] += rng.exponential(1.0, number) ** 1.5
    kinds = ["on leaves", "on a roof", "on a window", "on a tent"]
    where = str(rng.choice(kinds)) if rng.random() < 0.5 else ""
    low = {"on a roof": 900.0, "on a tent": 300.0}.get(where, 1500.0)
    out = 12 * band(taps, low, 9000) + hiss * 0.2
    bubbles = [
        (rng.uniform(0, seconds), modes(samples(0.05), rng.uniform(900, 4500), 0.03, 0.25))
        for _ in range(min(int(drops * seconds / 12), 400))
    ]
    out += mix_at(count, bubbles)
    out = np.tanh(out / (6 * out.std()))  # single heavy drops do not hide the rest
    density = size(drops, 200, 1000, "light//heavy")
    nouns = f"rain falling {where}; rain; rainfall; raindrops {where}; rain shower"
    return take(out, nouns, density, size(drops, 200, 1000, "drizzle//pouring"), rate=drops)


def thunder(rng: Rng, seconds: float) -> Take:
    """Cracks of noise, then a long rolling rumble."""
    count, near = samples(seconds), float(rng.uniform(0, 1))
    out = np.zeros(count)
    for _ in range(int(rng.integers(3, 9))):
        start = rng.uniform(0, 0.45 * seconds)
        length = samples(seconds - start)
        roll = band(noise(rng, length, slope=-5.0), 25, 90 + 250 * near)
        out += mix_at(count, [(start, roll * decay(length, rng.uniform(1.5, 4), attack=0.08))])
    if near > 0.5:
        length = samples(1.2)
        crack = (
            noise(rng, length, slope=-2.0) * decay(length, 0.9) * (0.4 + wander(rng, length, 25))
        )
        out += mix_at(count, [(0.02, 1.5 * crack)])
    out *= 0.4 + wander(rng, count, 3.0)
    nouns = "thunder; thunder rumbling; rolling thunder; thunderstorm; thunder clap"
    return take(out, nouns, size(near, 0.4, 0.6, "distant//close"), "low", "deep rumble")


def fire(rng: Rng, seconds: float) -> Take:
    """Crackles of many sizes over a soft roar."""
    count, rate = samples(seconds), log_uniform(rng, 5, 60)
    roar = band(noise(rng, count, slope=-4.0), 40, 500) * 0.05 * (0.5 + wander(rng, count, 3.0))
    snaps: list[tuple[float, Curve]] = []
    for _ in range(rng.poisson(rate * seconds)):
        length = samples(rng.uniform(0.002, 0.02))
        snap = noise(rng, length) * decay(length, length / 44100)
        low = log_uniform(rng, 500, 3500)
        snaps.append((rng.uniform(0, seconds), band(snap, low, 3 * low) * rng.pareto(2.2)))
    nouns = "fire crackling; campfire; crackling fire; fire burning; fireplace; wood burning"
    words = [size(rate, 12, 35, "gentle//lively"), "warm", "crackling"]
    out = roar + mix_at(count, snaps)
    return take(np.tanh(out / (8 * out.std())), nouns, *words, rate=rate)


def stream(rng: Rng, seconds: float) -> Take:
    """Rising bubbles (Minnaert tones) over a rush of noise."""
    count, flow = samples(seconds), float(rng.uniform(0, 1))
    bubbles: list[tuple[float, Curve]] = []
    for _ in range(int((60 + 160 * flow) * seconds)):
        length = samples(rng.uniform(0.02, 0.08))
        rise = log_uniform(rng, 350, 2800) * (1 + np.linspace(0, rng.uniform(0.1, 0.6), length))
        drop = np.sin(sweep(rise, length)) * decay(length, length / 44100, attack=0.003)
        bubbles.append((rng.uniform(0, seconds), drop * rng.exponential(0.5)))
    rush = band(noise(rng, count, slope=-2.0), 300, 5000) * (0.1 + 0.6 * flow)
    nouns = "water flowing; stream; brook babbling; water running; running water; river"
    return take(
        mix_at(count, bubbles) + rush, nouns, size(flow, 0.35, 0.65, "small//rushing"), "bubbling"
    )


def drips(rng: Rng, seconds: float) -> Take:
    """Single drops into water, each a short rising tone."""
    count, rate = samples(seconds), float(rng.uniform(0.8, 4.0))
    events: list[tuple[float, Curve]] = []
    when = float(rng.uniform(0.02, 0.3))
    while when < seconds - 0.1:
        length = samples(0.12)
        rise = log_uniform(rng, 600, 1800) * (1 + 0.5 * np.linspace(0, 1, length) ** 2)
        events.append((when, np.sin(sweep(rise, length)) * decay(length, 0.1, attack=0.004)))
        when += float(rng.uniform(0.7, 1.3)) / rate
    nouns = "water dripping; dripping tap; water drops; drops falling into water; leaking faucet"
    return take(mix_at(count, events), nouns, size(rate, 1.5, 3, "slow//fast"), rate=rate)


def insects(rng: Rng, seconds: float) -> Take:
    """Crickets: a carrier chirping in bursts."""
    count, carrier = samples(seconds), float(rng.uniform(3200, 5600))
    chirps, t = float(rng.uniform(1.5, 4.0)), seconds_of(count)
    trill = 0.5 - 0.5 * np.cos(2 * np.pi * rng.uniform(25, 45) * t)
    gate = ((t * chirps + rng.uniform()) % 1.0 < rng.uniform(0.35, 0.7)).astype(float)
    gate = np.convolve(gate, np.hanning(441) / np.hanning(441).sum(), mode="same")
    out = np.sin(2 * np.pi * carrier * t) * trill * gate
    out += 0.02 * band(noise(rng, count), carrier / 1.2, carrier * 1.2)
    nouns = "crickets chirping; insects at night; cricket; chirping insects"
    return take(out, nouns, "high", "night", hz=carrier, rate=chirps)


def birds(rng: Rng, seconds: float) -> Take:
    """Whistled syllables that glide, in short repeated songs."""
    count, base = samples(seconds), log_uniform(rng, 1800, 4800)
    events: list[tuple[float, Curve]] = []
    when = float(rng.uniform(0, 0.3))
    while when < seconds - 0.3:
        length = samples(rng.uniform(0.05, 0.16))
        bend = rng.uniform(0.7, 1.5)
        wobble = 1 + 0.04 * np.sin(np.linspace(0, rng.uniform(5, 40), length))
        hertz = base * rng.uniform(0.85, 1.2) * np.linspace(1, bend, length) * wobble
        for _ in range(int(rng.integers(1, 6))):
            events.append((when, np.sin(sweep(hertz, length)) * np.hanning(length)))
            when += length / 44100 + rng.uniform(0.02, 0.08)
        when += float(rng.uniform(0.1, 0.6))
    nouns = "bird singing; birdsong; bird chirping; songbird; bird tweeting; birds in the morning"
    return take(mix_at(count, events), nouns, size(base, 2400, 3600, "low//high"), "whistling")
