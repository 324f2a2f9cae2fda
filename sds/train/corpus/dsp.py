"""What the procedural sounds are made of: noises, bands, envelopes, modes, rooms. All are [T]."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.fft import irfft, next_fast_len, rfft
from scipy.signal import fftconvolve, lfilter

from sds.datasets.clips import RATE, Audio

Curve = NDArray[np.float64]
Rng = np.random.Generator


@dataclass(frozen=True, slots=True)
class Take:
    """A made sound: what it may be called, what is true of it, and the numbers it was made with.

    `facts` are in Hz, seconds, dB per octave or events per second, as named; tests measure them.
    """

    audio: Audio
    nouns: tuple[str, ...]
    words: tuple[str, ...] = ()
    facts: dict[str, float] = field(default_factory=dict)


def take(audio: ArrayLike, nouns: str, *words: str, **facts: float) -> Take:
    """A Take from names parted by "; "; empty words fall away."""
    return Take(
        np.asarray(audio, np.float32), tuple(nouns.split("; ")), tuple(filter(None, words)), facts
    )


def size(value: float, low: float, high: float, words: str) -> str:
    """The first, middle or last of three words parted by "/": below `low`, between, above `high`.

    >>> size(5.0, 1.0, 2.0, "slow//fast")
    'fast'
    """
    return words.split("/")[0 if value < low else 2 if value > high else 1]


def log_uniform(rng: Rng, low: float, high: float) -> float:
    """A number whose logarithm is uniform."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def samples(seconds: float) -> int:
    """How many samples that is."""
    return round(seconds * RATE)


def seconds_of(count: int) -> Curve:
    """Time of each sample."""
    return np.arange(count) / RATE


def noise(rng: Rng, count: int, *, slope: float = 0.0) -> Curve:
    """Gaussian noise, power falling or rising `slope` dB an octave above 20 Hz, unit variance."""
    length = next_fast_len(count, real=True)
    white = rng.standard_normal(length)
    if slope == 0.0:
        return np.asarray(white[:count])
    hertz = np.maximum(np.fft.rfftfreq(length, 1 / RATE), 20.0)
    shaped = irfft(rfft(white) * (hertz / 1000.0) ** (slope / 6.0206), length)[:count]
    return np.asarray(shaped / max(float(shaped.std()), 1e-12))


def band(x: Curve, low: float, high: float, *, order: int = 2) -> Curve:
    """Zero-phase band of a signal, Butterworth magnitudes."""
    length = next_fast_len(len(x) + 256, real=True)  # the pad keeps the end off the beginning
    hertz = np.maximum(np.fft.rfftfreq(length, 1 / RATE), 1e-3)
    gain = 1 / np.sqrt((1 + (low / hertz) ** (2 * order)) * (1 + (hertz / high) ** (2 * order)))
    return np.asarray(irfft(rfft(x, length) * gain, length)[: len(x)])


def wander(rng: Rng, count: int, hertz: float) -> Curve:
    """A slow smooth random curve in [0, 1] with about `hertz` turns a second."""
    knots = max(int(count / RATE * hertz) + 4, 4)
    values = np.interp(np.linspace(1, knots - 2, count), np.arange(knots), rng.uniform(0, 1, knots))
    width = min(max(int(RATE / hertz / 4), 1), count)
    kernel = np.hanning(width + 2)[1:-1]
    padded = np.pad(values, (width // 2, width - 1 - width // 2), mode="edge")
    return np.asarray(fftconvolve(padded, kernel / kernel.sum(), mode="valid"))


def decay(count: int, t60: float, *, attack: float = 0.001) -> Curve:
    """Exponential fall of 60 dB in `t60` seconds after a short linear rise."""
    t = seconds_of(count)
    return np.asarray(10 ** (-3 * t / t60) * np.minimum(1.0, t / max(attack, 1e-5)))


def sweep(hertz: ArrayLike, count: int) -> Curve:
    """Phase in radians of a tone with this frequency at each sample."""
    return np.asarray(2 * np.pi * np.cumsum(np.broadcast_to(hertz, count)) / RATE)


def modes(
    count: int, hertz: ArrayLike, t60: ArrayLike, gains: ArrayLike, *, phases: ArrayLike = 0.0
) -> Curve:
    """Sum of damped sines; modes above 0.45 of the sample rate are left out."""
    f, d, a, p = np.broadcast_arrays(*(np.atleast_1d(v) for v in (hertz, t60, gains, phases)))
    out = np.zeros(count)
    for i in np.flatnonzero((f > 20) & (f < 0.45 * RATE)):
        length = min(count, samples(1.2 * float(d[i])) + 1)
        # exp(z n) by one complex geometric series: |z| is the damping, its angle the frequency
        z = (-6.9078 / d[i] + 2j * np.pi * f[i]) / RATE
        out[:length] += a[i] * np.exp(z * np.arange(length) + 1j * p[i]).imag
    return out


def mallet(count: int, seconds: float) -> Curve:
    """The push of a hammer: half a sine; the softer the hammer, the longer."""
    length = max(samples(seconds), 2)
    out = np.zeros(count)
    out[: min(length, count)] = np.sin(np.pi * np.arange(length) / length)[:count]
    return out / length


def hit(body: Curve, contact: float) -> Curve:
    """A modal body struck by a mallet that touches it for `contact` seconds."""
    return np.asarray(fftconvolve(body, mallet(samples(contact) + 2, contact))[: len(body)])


def mix_at(count: int, events: list[tuple[float, Curve]]) -> Curve:
    """Sounds added up, each from its second on; what passes the end is cut."""
    out = np.zeros(count)
    for when, sound in events:
        start = samples(when)
        room = min(len(sound), count - start)
        if room > 0 <= start:
            out[start : start + room] += sound[:room]
    return out


def resonator(x: Curve, hertz: float, bandwidth: float) -> Curve:
    """Two-pole resonance."""
    r = np.exp(-np.pi * bandwidth / RATE)
    a = [1.0, -2 * r * np.cos(2 * np.pi * hertz / RATE), r * r]
    return np.asarray(lfilter([1 - r], a, x))


def room(x: Curve, rng: Rng, t60: float, wet: float) -> Curve:
    """A room: the dry sound and its convolution with decaying noise that darkens as it dies."""
    count = samples(t60)
    tail = noise(rng, count, slope=-2.0) * decay(count, t60, attack=0.01)
    low = band(tail, 100, 1800) * 1.5
    blend = np.linspace(0, 1, count)
    tail = tail * (1 - blend) + low * blend
    echo = fftconvolve(x, tail)[: len(x)]
    scale = np.abs(x).max() / max(np.abs(echo).max(), 1e-12)
    return np.asarray(x * (1 - 0.5 * wet) + wet * scale * echo)
