"""Things that run, tick, pass by and warn."""

from __future__ import annotations

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
    resonator,
    samples,
    seconds_of,
    size,
    sweep,
    take,
    wander,
)


def traffic(rng: Rng, seconds: float) -> Take:
    """Cars passing by: tyre noise and engine hum, loudest and falling in pitch as they pass."""
    count, t = samples(seconds), seconds_of(samples(seconds))
    cars, distance = int(rng.integers(1, 4)), float(rng.uniform(4, 25))
    out = band(noise(rng, count, slope=-4.0), 40, 600) * 0.03
    for _ in range(cars):
        speed, passing = float(rng.uniform(9, 28)), float(rng.uniform(0.25, 0.75)) * seconds
        along = speed * (t - passing)
        far = np.sqrt(along**2 + distance**2)
        doppler = 1 / (1 + speed * along / far / 343)
        tyres = band(noise(rng, count, slope=-1.0), 300, 4500) * (distance / far) ** 1.5
        low = band(noise(rng, count, slope=-3.0), 60, 500) * (distance / far)
        hum = np.tanh(3 * np.sin(sweep(rng.uniform(55, 120) * doppler, count))) * distance / far
        out += tyres * rng.uniform(0.5, 1) + 0.7 * low + 0.12 * hum
    nouns = "car passing by; a car drives past; vehicle passing; car driving by on the road"
    if cars > 1:
        nouns = "cars passing by; traffic; street traffic; road traffic; city traffic; highway"
    return take(out, nouns, size(distance, 9, 17, "close//distant"), "outdoors")


def engine(rng: Rng, seconds: float) -> Take:
    """Firing pulses at the engine's rate through a muffler, steady or revving."""
    count, rate = samples(seconds), log_uniform(rng, 18, 110)
    revving = bool(rng.random() < 0.4)
    curve = 1 + (1.2 * wander(rng, count, 0.7) if revving else 0.03 * wander(rng, count, 3))
    phase = sweep(rate * curve, count)
    pulses = np.maximum(np.sin(phase), 0) ** 6 * (1 + 0.25 * np.sin(phase / 2))
    exhaust = pulses * (1 + 0.5 * noise(rng, count, slope=-2.0))
    out = sum(resonator(exhaust, f, 60) for f in rng.uniform(80, 900, 4)) + 0.08 * exhaust
    kind = "motorcycle" if rate > 70 else "truck" if rate < 30 else "car"
    nouns = f"engine; engine running; motor running; {kind} engine; {kind} engine idling"
    if revving:
        nouns = f"engine revving; {kind} engine revving; motor speeding up; engine"
    words = [size(rate, 35, 70, "low//high"), "revving" if revving else "steady"]
    return take(np.asarray(out), nouns, *words, hz=rate)


def motor(rng: Rng, seconds: float) -> Take:
    """An electric motor: whine with harmonics, brush noise, sometimes starting or stopping."""
    count, hertz = samples(seconds), log_uniform(rng, 90, 900)
    starts = bool(rng.random() < 0.3)
    curve = 1 - np.exp(-seconds_of(count) / 0.5) if starts else np.ones(count)
    phase = sweep(hertz * (curve + 0.01 * wander(rng, count, 5)), count)
    tone = sum(np.sin(k * phase + rng.uniform(0, 6)) * rng.uniform(0.2, 1) / k for k in range(1, 9))
    rush = band(noise(rng, count, slope=-1.0), 500, 7000) * rng.uniform(0.05, 0.5) * curve
    what = str(rng.choice(["fan", "vacuum cleaner", "electric drill", "hair dryer", "small motor"]))
    nouns = f"electric motor; motor whirring; {what}; machine humming; {what} running"
    words = [size(hertz, 200, 500, "low//high"), "starting" if starts else "steady", "whirring"]
    return take(np.asarray(tone) + rush, nouns, *words, hz=hertz)


def hum(rng: Rng, seconds: float) -> Take:
    """Mains hum: harmonics of 50 or 60 Hz."""
    count, mains = samples(seconds), float(rng.choice([50.0, 60.0]))
    t, rough = seconds_of(count), float(rng.uniform(0.2, 0.9))
    out = sum(
        rough**k * np.sin(2 * np.pi * mains * k * t + rng.uniform(0, 6)) for k in range(1, 24)
    )
    nouns = "electric hum; mains hum; electrical buzz; transformer hum; buzzing power line"
    return take(np.asarray(out), nouns, size(rough, 0.4, 0.7, "smooth//buzzing"), "low", hz=mains)


def clock(rng: Rng, seconds: float) -> Take:
    """Tick and tock: two small mechanical clicks in turn, at the clock's rate."""
    count = samples(seconds)
    kind, rate = [("wall clock", 1.0), ("alarm clock", 4.0), ("watch", 5.0), ("old clock", 2.0)][
        int(rng.integers(4))
    ]
    pair: list[Curve] = []
    for _ in range(2):
        hertz = log_uniform(rng, 1200, 4200) * np.array([1, 1.7, 2.3, 3.1])
        length = samples(0.12)
        click = modes(length, hertz, rng.uniform(0.008, 0.05, 4), rng.uniform(0.3, 1, 4))
        wooden = modes(length, rng.uniform(200, 600), 0.06, rng.uniform(0.05, 0.5))
        pair.append(click + wooden)
    first = float(rng.uniform(0.02, 0.9 / rate))
    events = [
        (first + i / rate, pair[i % 2] * rng.uniform(0.85, 1.0)) for i in range(int(seconds * rate))
    ]
    nouns = (
        f"clock ticking; ticking clock; tick tock; {kind} ticking; clock; mechanical clock ticking"
    )
    return take(mix_at(count, events), nouns, size(rate, 1.5, 3, "slow//fast"), "steady", rate=rate)


def siren(rng: Rng, seconds: float) -> Take:
    """A tone that wails, yelps or steps between two pitches."""
    count, t = samples(seconds), seconds_of(samples(seconds))
    kind = str(rng.choice(["wail", "yelp", "hi-lo"]))
    rate = {"wail": 0.25, "yelp": 3.0, "hi-lo": 1.0}[kind] * float(rng.uniform(0.8, 1.3))
    low, high = rng.uniform(420, 650), rng.uniform(900, 1500)
    swing = 0.5 - 0.5 * np.cos(2 * np.pi * rate * t)
    if kind == "hi-lo":
        swing, high = (swing > 0.5).astype(float), low * 1.33
    phase = sweep(low * (high / low) ** swing, count)
    tone = np.tanh(2.5 * np.sin(phase)) + 0.2 * np.sin(2 * phase)
    horn = resonator(tone, 1100, 700) + 0.2 * tone
    nouns = {
        "wail": "siren wailing; police siren; siren; emergency siren; air raid siren",
        "yelp": "police siren; siren yelping; siren; fast emergency siren",
        "hi-lo": "ambulance siren; two-tone siren; fire truck siren; siren; European siren",
    }[kind]
    return take(horn, nouns, "loud", "fast" if kind == "yelp" else "alternating", rate=rate)


def alarm(rng: Rng, seconds: float) -> Take:
    """Electronic beeps in groups."""
    count, t = samples(seconds), seconds_of(samples(seconds))
    hertz, rate = log_uniform(rng, 900, 3200), float(rng.uniform(1.5, 8))
    tone = (
        np.sign(np.sin(2 * np.pi * hertz * t))
        if rng.random() < 0.4
        else np.sin(sweep(hertz, count))
    )
    gate = ((t * rate) % 1.0 < 0.5).astype(float)
    gate = np.convolve(gate, np.ones(200) / 200, mode="same")
    nouns = "alarm; beeping alarm; alarm clock beeping; electronic beeps; digital alarm; beep"
    words = [size(rate, 3, 6, "slow//fast"), size(hertz, 1400, 2400, "low//high"), "electronic"]
    return take(np.asarray(tone) * gate, nouns, *words, hz=hertz, rate=rate)


def horn(rng: Rng, seconds: float) -> Take:
    """A car's two-note horn, once or twice."""
    t = seconds_of(samples(seconds))
    low = log_uniform(rng, 200, 420)
    tone = sum(
        np.sin(2 * np.pi * k * f * t + 0.3 * k) / k**0.6
        for f in (low, 1.26 * low)
        for k in range(1, 14)
    )
    times = rng.uniform(0.25, 1.0, 2)
    gate = (t < times[0]) | ((t > times.sum()) & (t < 1.6 * times.sum()) & (rng.random() < 0.5))
    soft = np.convolve(gate.astype(float), np.hanning(900) / np.hanning(900).sum(), mode="same")
    nouns = "car horn; horn honking; vehicle horn; honk; beeping car horn"
    return take(np.asarray(tone) * soft, nouns, "loud", size(low, 250, 350, "low//high"), hz=low)


def footsteps(rng: Rng, seconds: float) -> Take:
    """Heel and toe on one of five grounds, at a walk or a run."""
    ground = str(rng.choice(["wood", "gravel", "concrete", "snow", "leaves"]))
    count, rate = samples(seconds), float(rng.uniform(1.4, 3.2))
    events: list[tuple[float, Curve]] = []
    when = float(rng.uniform(0.02, 0.3))
    while when < seconds - 0.2:
        for delay, level in ((0.0, 1.0), (0.09, 0.6)):
            length = samples(0.22)
            if ground in ("wood", "concrete"):
                low = 110.0 if ground == "wood" else 250.0
                heel = modes(
                    length, low * rng.uniform(0.9, 1.1) * np.array([1, 2.3, 4.1]), 0.07, 1.0
                )
                knock = band(noise(rng, length), 800, 5000) * decay(length, 0.03) * 0.3
                step = hit(heel, 0.002) * 40 + knock
            else:
                grains = noise(rng, length) * (rng.random(length) < 0.06)
                low, high = {"gravel": (900, 7000), "snow": (500, 3000), "leaves": (2000, 11000)}[
                    ground
                ]
                step = band(grains, low, high) * decay(length, 0.3, attack=0.03) * 3
            events.append((when + delay, step * level * rng.uniform(0.7, 1)))
        when += float(rng.uniform(0.93, 1.07)) / rate
    gait = "running" if rate > 2.5 else "walking"
    nouns = (
        f"footsteps on {ground}; footsteps; {gait} on {ground}; someone {gait}; steps on {ground}"
    )
    return take(mix_at(count, events), nouns, size(rate, 1.8, 2.5, "slow//fast"), gait, rate=rate)


def whoosh(rng: Rng, seconds: float) -> Take:
    """A band of noise that sweeps up and down once as it swells."""
    count, length = samples(seconds), float(rng.uniform(0.3, 0.8)) * seconds
    t = np.clip(seconds_of(count) / length, 0, 1)
    swell = np.sin(np.pi * t) ** 2
    low, high = log_uniform(rng, 200, 500), log_uniform(rng, 1200, 5000)
    source, out = noise(rng, count), np.zeros(count)
    centres = np.geomspace(low, high, 8)
    place = np.sin(np.pi * t) * 7
    for index, centre in enumerate(centres):
        out += band(source, centre / 1.3, centre * 1.3) * np.exp(-((place - index) ** 2))
    nouns = "whoosh; swoosh; whoosh of air; fast whoosh transition; something flying past"
    return take(out * swell, nouns, size(length, 1.0, 2.2, "fast//slow"), "airy", seconds=length)


def helicopter(rng: Rng, seconds: float) -> Take:
    """Blade slaps of low noise at the rotor's rate."""
    count, rate = samples(seconds), float(rng.uniform(9, 17))
    phase = (seconds_of(count) * rate) % 1.0
    slap = np.exp(-phase * 6)
    far = float(rng.uniform(0, 1))
    out = band(noise(rng, count, slope=-3.0), 30, 500) * (0.15 + slap)
    out += (1 - far) * 0.4 * band(noise(rng, count), 500, 4000) * (0.3 + slap)
    nouns = "helicopter; helicopter flying; helicopter rotor; chopper; helicopter hovering"
    return take(out, nouns, size(far, 0.35, 0.65, "close//distant"), "chopping", rate=rate)


def train(rng: Rng, seconds: float) -> Take:
    """Rumble and the double clack of wheels over rail joints."""
    count, rate = samples(seconds), float(rng.uniform(0.9, 2.6))
    out = band(noise(rng, count, slope=-4.0), 35, 500) * 0.4 * (0.7 + 0.3 * wander(rng, count, 2))
    length = samples(0.25)
    clack = modes(length, [320, 760, 1450, 2300], [0.12, 0.1, 0.07, 0.05], [1, 0.8, 0.6, 0.4])
    clack += band(noise(rng, length), 300, 3000) * decay(length, 0.08)
    events = [
        (i / rate + gap, clack * rng.uniform(0.5, 1))
        for i in range(int(seconds * rate))
        for gap in (0.0, 0.14)
    ]
    nouns = "train passing; train on the tracks; railway train; train wheels clacking; train ride"
    return take(out + mix_at(count, events), nouns, size(rate, 1.3, 2, "slow//fast"), rate=rate)


def static(rng: Rng, seconds: float) -> Take:
    """Plain noise of a colour."""
    slope = float(rng.choice([0.0, -3.0, -6.0, 3.0]))
    colour = {0.0: "white", -3.0: "pink", -6.0: "brown", 3.0: "blue"}[slope]
    nouns = f"{colour} noise; noise; {colour} noise hiss; steady {colour} noise"
    if slope >= 0:
        nouns += "; static; hiss; radio static"
    word = {0.0: "bright", -3.0: "soft", -6.0: "dark", 3.0: "thin"}[slope]
    return take(noise(rng, samples(seconds), slope=slope), nouns, word, "steady", slope=slope)


def knocking(rng: Rng, seconds: float) -> Take:
    """Knuckles on a door, in groups."""
    count, number = samples(seconds), int(rng.integers(2, 6))
    low, gap = log_uniform(rng, 90, 220), float(rng.uniform(0.14, 0.32))
    length = samples(0.35)
    panel = modes(
        length, low * np.array([1, 1.6, 2.4, 3.3, 5.1]), [0.14, 0.12, 0.09, 0.07, 0.05], 1.0
    )
    knock = hit(panel, 0.0015)
    events = [(i * gap, knock * rng.uniform(0.75, 1)) for i in range(number)]
    nouns = "knocking on a door; door knock; knock knock; knocking; someone knocking on wood"
    return take(mix_at(count, events), nouns, size(gap, 0.18, 0.26, "fast//slow"), rate=1 / gap)
