"""Drums of skin and of circuits, and plain synthesizer tones."""

from __future__ import annotations

import numpy as np
from scipy.signal import lfilter

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
    seconds_of,
    size,
    sweep,
    take,
)

MEMBRANE = np.array([1.0, 1.594, 2.136, 2.296, 2.653, 2.918, 3.156, 3.501, 3.6, 4.06])
"""Modes of an ideal round skin, zeros of Bessel functions over the first (Fletcher and Rossing)."""


def kick(rng: Rng, seconds: float) -> Take:
    """A sine falling in pitch, a click, a thump: 808 when long, 909 when short and hard."""
    long = bool(rng.random() < 0.5)
    count, low = samples(seconds), log_uniform(rng, 38, 70)
    t60 = rng.uniform(0.6, 2.2) if long else rng.uniform(0.18, 0.5)
    fall = rng.uniform(0.006, 0.02) if long else rng.uniform(0.015, 0.05)
    ratio = rng.uniform(1.5, 3.0) if long else rng.uniform(3.0, 7.0)
    t = seconds_of(count)
    tone = np.sin(sweep(low * (1 + ratio * np.exp(-t / fall)), count)) * decay(count, t60)
    drive = float(rng.uniform(0.5, 4.0))
    tone = np.tanh(drive * tone) / np.tanh(drive)
    click = band(noise(rng, count), 1000, 8000) * decay(count, 0.02) * rng.uniform(0, 0.25)
    nouns = "kick drum; bass drum; kick; electronic kick drum; electronic bass drum"
    nouns += (
        "; 808 kick; deep 808 bass drum" if long else "; 909 kick; techno kick; dance kick drum"
    )
    words = [
        size(t60, 0.35, 0.9, "short/punchy/long"),
        size(low, 45, 58, "deep/low/"),
        "electronic",
    ]
    words += [size(drive, 1.0, 2.8, "clean//distorted")]
    return take(tone + click, nouns, *words, hz=low, t60=float(t60))


def acoustic_kick(rng: Rng, seconds: float) -> Take:
    """A large skin with a soft beater, heavily damped."""
    count, low = samples(seconds), log_uniform(rng, 50, 85)
    t60 = float(rng.uniform(0.15, 0.5)) / MEMBRANE**0.8
    skin = hit(modes(count, low * MEMBRANE, t60, 1 / MEMBRANE**1.5), 0.003)
    beater = band(noise(rng, count), 800, 5000) * decay(count, 0.03)
    audio = skin / np.abs(skin).max() + rng.uniform(0.02, 0.15) * beater
    nouns = "kick drum; bass drum; acoustic bass drum; drum kit kick; bass drum hit"
    return take(audio, nouns, "low", "short", "acoustic", hz=low, t60=float(t60[0]))


def snare(rng: Rng, seconds: float) -> Take:
    """Two skin tones and a burst of wires."""
    count, low = samples(seconds), log_uniform(rng, 140, 280)
    t60 = log_uniform(rng, 0.12, 0.5)
    tone = modes(count, low * np.array([1, 1.59, 1.83]), t60 * 0.6, [1, 0.7, 0.3])
    wires = band(noise(rng, count), log_uniform(rng, 900, 2500), 11000) * decay(count, t60)
    share = float(rng.uniform(0.3, 1.2))
    nouns = "snare drum; snare; snare hit; drum machine snare; electronic snare drum"
    words = [size(low, 170, 230, "low/fat/high"), size(t60, 0.18, 0.35, "tight//long")]
    words += [size(share, 0.5, 0.9, "woody//noisy")]
    return take(tone + share * wires, nouns, *words, hz=low, t60=t60)


def hi_hat(rng: Rng, seconds: float) -> Take:
    """Six square waves through a high band (the 808's way), or noise; closed or open."""
    is_open = bool(rng.random() < 0.4)
    count = samples(seconds)
    t60 = rng.uniform(0.5, 1.4) if is_open else rng.uniform(0.04, 0.14)
    t, base = seconds_of(count), rng.uniform(0.9, 1.4)
    squares = sum(np.sign(np.sin(2 * np.pi * f * base * t)) for f in (205, 284, 301, 370, 523, 800))
    source = squares / 6 + rng.uniform(0, 1.0) * noise(rng, count)
    audio = band(np.asarray(source), log_uniform(rng, 5000, 8500), 16000, order=3)
    nouns = "hi-hat; hihat; high hat; hi-hat cymbal; drum machine hi-hat"
    nouns += "; open hi-hat" if is_open else "; closed hi-hat; hi-hat tick"
    words = ["long" if is_open else "short", "open" if is_open else "closed", "bright", "sizzling"]
    return take(audio * decay(count, t60), nouns, *words[: 3 + is_open], t60=float(t60))


def crash(rng: Rng, seconds: float) -> Take:
    """A cymbal: bright dense noise that loses its top as it fades."""
    count, t60 = samples(seconds), float(rng.uniform(1.2, 4.0))
    low = band(noise(rng, count), 500, 6000) * decay(count, t60)
    high = band(noise(rng, count), 4000, 16000) * decay(count, 0.6 * t60)
    ring = modes(count, np.exp(rng.uniform(6, 9.2, 30)), rng.uniform(0.5, t60, 30), 0.05)
    nouns = "cymbal; cymbal crash; crash cymbal; cymbal hit; ride cymbal"
    return take(0.5 * low + high + ring, nouns, size(t60, 1.8, 3, "short//long"), "bright", t60=t60)


def clap(rng: Rng, seconds: float) -> Take:
    """Three quick bursts and a tail."""
    count, middle = samples(seconds), log_uniform(rng, 900, 1800)
    out = np.zeros(count)
    for index in range(4):
        length = samples(seconds - 0.011 * index)
        t60 = 0.03 if index < 3 else rng.uniform(0.12, 0.4)
        burst = band(noise(rng, length), middle / 1.6, middle * 2.2) * decay(length, t60)
        out += mix_at(count, [(0.011 * index, burst)])
    nouns = "hand clap; clap; handclap; drum machine clap; clapping hands once"
    return take(out, nouns, "short", "electronic", "sharp")


def tom(rng: Rng, seconds: float) -> Take:
    """A skin with a sweep in pitch."""
    count, low = samples(seconds), log_uniform(rng, 70, 260)
    t60, t = float(rng.uniform(0.3, 1.0)), seconds_of(count)
    tone = np.sin(sweep(low * (1 + 0.35 * np.exp(-t / 0.05)), count)) * decay(count, t60)
    skin = modes(count, low * MEMBRANE[1:6], 0.4 * t60, 0.25)
    nouns = "tom drum; tom; tom-tom; drum hit; floor tom" if low < 120 else "tom drum; tom; tom-tom"
    return take(tone + skin, nouns, size(low, 110, 180, "low/mid/high"), hz=low, t60=t60)


HANDS: dict[str, tuple[float, float, float, str]] = {
    # lowest Hz, highest, t60, names
    "bongo": (280, 520, 0.18, "bongo; bongo drum; bongo hit; hand drum"),
    "conga": (160, 300, 0.4, "conga; conga drum; conga hit; hand drum"),
    "djembe": (70, 180, 0.45, "djembe; African djembe drum; djembe bass hit; hand drum"),
    "tabla": (220, 420, 0.9, "tabla; Indian tabla drum; tabla stroke; hand drum"),
    "cajon": (65, 110, 0.22, "cajon; box drum played by hand; hand percussion"),
}


def hand_drum(rng: Rng, seconds: float) -> Take:
    """One stroke or a pattern on bongo, conga, djembe, tabla or cajon; slaps are brighter."""
    kind = str(rng.choice(list(HANDS)))
    low, high, ring, nouns = HANDS[kind]
    base = log_uniform(rng, low, high)
    # a tabla's loaded skin is nearly harmonic (Raman 1934)
    ratios = np.array([1, 2, 3, 4, 5.0]) if kind == "tabla" else MEMBRANE[:8]

    def stroke(slap: bool) -> Curve:
        count, pitch = samples(min(seconds, 2 * ring)), base * (1.02 if slap else 1.0)
        t60 = ring * (0.45 if slap else 1.0) / ratios**0.7
        gains = 1 / ratios ** (0.4 if slap else 1.4)
        skin = hit(modes(count, pitch * ratios, t60, gains), 0.0006 if slap else 0.002)
        palm = band(noise(rng, count), 1200, 6000) * decay(count, 0.03)
        return np.asarray(skin / np.abs(skin).max() + (0.3 if slap else 0.06) * palm)

    count, pattern = samples(seconds), bool(rng.random() < 0.45)
    if not pattern:
        slap = bool(rng.random() < 0.35)
        words = ["slap" if slap else "open tone", "single hit", size(base, 130, 300, "low//high")]
        return take(mix_at(count, [(0.0, stroke(slap))]), nouns, *words, hz=base, t60=ring)
    step, strokes = float(rng.uniform(0.11, 0.24)), (stroke(False), stroke(True))
    marks = rng.choice(3, size=8, p=[0.4, 0.3, 0.3])
    events = [
        (i * step, strokes[marks[i % 8] - 1] * rng.uniform(0.6, 1.0))
        for i in range(int(seconds / step))
        if marks[i % 8] or i % 8 == 0
    ]
    words = ["rhythm", size(step, 0.14, 0.2, "fast//slow"), "pattern", "groove"]
    more = f"; {kind} rhythm; playing a {kind}; {kind} loop"
    return take(mix_at(count, events), nouns + more, *words)


def shaker(rng: Rng, seconds: float) -> Take:
    """Beads in sixteenths, every other one stronger."""
    count, step = samples(seconds), float(rng.uniform(0.1, 0.22))
    centre = log_uniform(rng, 3500, 7500)
    events: list[tuple[float, Curve]] = []
    for index in range(int(seconds / step)):
        length = samples(step * 0.9)
        shape = np.hanning(length) ** 2 * (1.0 if index % 2 == 0 else 0.5)
        events.append((index * step, band(noise(rng, length), centre / 1.4, centre * 1.6) * shape))
    nouns = "shaker; maracas; shaker rhythm; egg shaker; percussion shaker"
    return take(mix_at(count, events), nouns, size(step, 0.13, 0.18, "fast//slow"), rate=1 / step)


def bass_synth(rng: Rng, seconds: float) -> Take:
    """A low saw, square or sine with a closing filter."""
    count, hertz = samples(seconds), 440.0 * 2 ** ((float(rng.integers(24, 44)) - 69) / 12)
    kind = str(rng.choice(["saw", "square", "sub", "FM"]))
    tone = oscillator(kind, hertz, count)
    held = float(rng.uniform(0.3, 0.9)) * seconds
    gate = np.clip((held - seconds_of(count)) / 0.05, 0, 1)
    cutoff = log_uniform(rng, 250, 2500)
    closing = np.exp(-seconds_of(count) / rng.uniform(0.1, 0.8))
    tone = band(tone, 20, cutoff) * (1 - closing) + band(tone, 20, 4 * cutoff) * closing
    nouns = "bass; synth bass; bass note; synthesizer bass; electronic bass; low bass synth note"
    nouns += (
        "; sub bass" if kind == "sub" else f"; {kind} wave bass" if kind != "FM" else "; FM bass"
    )
    words = [size(cutoff, 500, 1200, "dark//bright"), size(held, 0.8, 2, "short//long"), "low"]
    words += [size(hertz, 50, 80, "deep//")]
    return take(tone * gate * decay(count, 6.0), nouns, *words, hz=hertz)


def synth_tone(rng: Rng, seconds: float) -> Take:
    """A steady or decaying tone of a plain wave."""
    count, hertz = samples(seconds), 440.0 * 2 ** ((float(rng.integers(45, 90)) - 69) / 12)
    kind = str(rng.choice(["saw", "square", "sine", "FM"]))
    plucked = bool(rng.random() < 0.5)
    t60 = float(rng.uniform(0.3, 1.5)) if plucked else 30.0
    tone = oscillator(kind, hertz, count) * decay(count, t60, attack=0.005 if plucked else 0.05)
    nouns = f"{kind} wave tone; synth tone; synthesizer note; electronic tone; {kind} synthesizer"
    nouns += "; synth pluck" if plucked else "; sustained synthesizer tone"
    words = ["plucked" if plucked else "sustained", size(hertz, 220, 700, "low/mid/high")]
    words += [{"sine": "pure", "saw": "buzzing", "square": "hollow", "FM": "metallic"}[kind]]
    return take(tone * np.linspace(1, 0.7, count), nouns, *words, hz=hertz, t60=t60)


def oscillator(kind: str, hertz: float, count: int) -> Curve:
    """A band-limited saw or square, a sine ("sine", "sub") or a two-operator FM tone."""
    t = seconds_of(count)
    if kind in ("sine", "sub"):
        return np.asarray(np.sin(2 * np.pi * hertz * t))
    if kind == "FM":
        index = 3 * np.exp(-t / 0.4)
        return np.asarray(np.sin(2 * np.pi * hertz * t + index * np.sin(4 * np.pi * hertz * t)))
    step = 1 if kind == "saw" else 2
    last = min(int(16000 / hertz), 60)
    return np.asarray(sum(np.sin(2 * np.pi * k * hertz * t) / k for k in range(1, last + 1, step)))


def pluck(rng: Rng, seconds: float) -> Take:
    """A plucked string (Karplus and Strong 1983, eq. 2): noise in a damped delay line."""
    count, hertz = samples(seconds), 440.0 * 2 ** ((float(rng.integers(40, 76)) - 69) / 12)
    period = round(44100 / hertz - 0.5)
    burst = np.zeros(count)
    burst[:period] = band(noise(rng, max(period, 64)), 20, log_uniform(rng, 2000, 9000))[:period]
    loss = float(rng.uniform(0.99, 0.999))
    # y[n] = x[n] + loss (y[n-P] + y[n-P-1]) / 2
    feedback = np.zeros(period + 2)
    feedback[0], feedback[period], feedback[period + 1] = 1.0, -loss / 2, -loss / 2
    tone = np.asarray(lfilter([1.0], feedback, burst))
    nouns = "plucked string; string plucked; guitar string; harp-like pluck; plucked string note"
    words = [size(hertz, 150, 350, "low//high"), size(loss, 0.993, 0.997, "damped//ringing")]
    return take(tone, nouns, *words, hz=44100 / (period + 0.5))
