"""Random patches of a renderer, with captions from what is measured in their sound.

This knows no renderer: `sds.train.corpus` brings the sounds.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import median_filter
from scipy.signal import fftconvolve

from sds.datasets.captions import compose_captions
from sds.datasets.clips import RATE, Audio, Clip, audible, split_of
from sds.train.corpus.dsp import size
from sds.train.corpus.midi import trim_tail

NOISY = 0.35


@dataclass(frozen=True, slots=True)
class Features:
    """What is heard: brightness and pitch in Hz, times in seconds, shares in [0, 1]."""

    centroid: float
    attack: float
    decay: float  # from the loudest moment until 30 dB below it
    noisiness: float  # power that is not in narrow peaks: 1 is noise of any colour, a tone near 0
    pitch: float
    harmonicity: float  # height of the autocorrelation's peak: 1 is periodic


def measure_features(audio: Audio) -> Features:
    """Features of a sound [T] of at least a twentieth of a second.

    Spectrum and pitch are of up to 0.25 s after the loudest moment, where a note is what it is.
    """
    if len(audio) < RATE // 20 or not audible(audio):
        raise ValueError(f"audio must be 0.05 s or more and audible, got {len(audio)} samples")
    frame = RATE // 200
    count = len(audio) // frame
    level = np.sqrt((audio[: count * frame].reshape(count, frame) ** 2).mean(axis=1)) + 1e-9
    loudest = int(level.argmax())
    below = np.flatnonzero(level[loudest:] < level[loudest] * 10 ** (-30 / 20))
    after = int(below[0]) if below.size else count - loudest
    begin = int(np.flatnonzero(level > 0.1 * level[loudest])[0])
    start = min(loudest * frame, len(audio) - RATE // 20)
    length = min(max(after * frame, RATE // 20), RATE // 4)
    piece = audio[start : start + length].astype(np.float64)
    piece = piece - piece.mean()
    power = np.abs(np.fft.rfft(piece * np.hanning(len(piece)))) ** 2 + 1e-12
    hertz = np.fft.rfftfreq(len(piece), 1 / RATE)
    loud_enough = (hertz > 40) & (hertz < 16000)
    # power of noise is exponentially distributed: its median is ln 2 of its mean
    floor = median_filter(power[loud_enough], 31) / np.log(2)
    pitch, harmonicity = _pitch(piece)
    return Features(
        centroid=float((hertz * power)[loud_enough].sum() / power[loud_enough].sum()),
        attack=(loudest - begin) * frame / RATE,
        decay=after * frame / RATE,
        noisiness=float(np.clip(floor.sum() / power[loud_enough].sum(), 0, 1)),
        pitch=pitch,
        harmonicity=harmonicity,
    )


def _pitch(piece: np.ndarray[tuple[int], np.dtype[np.float64]]) -> tuple[float, float]:
    """First autocorrelation peak within a tenth of the highest, between 40 Hz and 2 kHz."""
    count = len(piece)
    lags = fftconvolve(piece, piece[::-1])[count - 1 :]
    overlap = np.arange(count, 0, -1) / count
    curve = lags / max(float(lags[0]), 1e-12) / overlap
    low, high = RATE // 2000, min(RATE // 40, count // 2)
    part = curve[low:high]
    inner = (part[1:-1] >= part[:-2]) & (part[1:-1] > part[2:])
    peaks = np.flatnonzero(inner) + 1
    best = float(part[peaks].max()) if peaks.size else 0.0
    if best <= 0:
        return 0.0, 0.0
    first = int(peaks[part[peaks] >= 0.9 * best][0])
    return RATE / (low + first), float(np.clip(best, 0, 1))


def words_for(features: Features) -> list[str]:
    """Adjectives that hold."""
    words = [
        size(features.centroid, 700, 3000, "dark/mellow/bright"),
        size(features.decay, 0.25, 1.0, "short//long"),
        size(features.noisiness, 0.01, NOISY, "pure//noisy"),
        size(features.attack, 0.02, 0.08, "percussive//soft attack"),
    ]
    if features.harmonicity > 0.8 and features.pitch < 3 * features.centroid:
        words.append(size(features.pitch, 140, 600, "low/mid-range/high"))
    elif features.harmonicity < 0.7 and features.noisiness < NOISY and features.decay > 0.25:
        words.append("inharmonic")
    return [word for word in words if word]


def names_for(renderer: str, features: Features) -> tuple[str, tuple[str, ...]]:
    """Class and names of a sound of renderer "fm" or "impact"."""
    pitched, short = features.harmonicity > 0.8, features.decay < 0.25
    low, noisy = features.centroid < 400, features.noisiness > NOISY
    if renderer == "impact":
        if noisy:
            return "impact", ("noisy hit", "burst of noise", "impact with noise", "crash")
        if low:
            return "impact", ("low thud", "dull impact", "deep drum-like hit", "thump")
        if short:
            return "impact", ("wooden knock", "dry hit", "short knock", "struck wood")
        if pitched:
            return "impact", ("ringing tone of struck metal", "metallic ping", "bell-like hit")
        return "impact", ("metallic hit", "struck metal", "ringing impact", "clang")
    if renderer != "fm":
        raise ValueError(f"renderer must be fm or impact, got {renderer!r}")
    if short and low:
        return "electronic percussion", (
            "low percussive FM tone",
            "electronic kick drum",
            "FM kick drum",
        )
    if short:
        return "electronic percussion", ("FM percussion", "electronic percussion hit", "FM blip")
    if noisy:
        return "synth effect", ("noisy FM synthesizer", "harsh FM noise", "electronic noise")
    if pitched and features.pitch < 110:
        return "bass", ("FM bass", "low FM synthesizer note", "synth bass", "bass note")
    if not pitched:
        return "synth tone", (
            "metallic FM tone",
            "inharmonic FM bell",
            "clangorous synthesizer tone",
        )
    return "synth tone", ("FM tone", "FM synthesizer note", "synthesizer tone", "electronic note")


def patch_clips(renderer: str, sounds: Iterable[tuple[str, Audio]], *, seed: int) -> Iterator[Clip]:
    """A clip of every sound (its name, audio [T]) that is long and loud enough to be described."""
    for name, sound in sounds:
        audio = trim_tail(sound)
        if len(audio) < RATE // 20:
            continue
        features = measure_features(audio)
        label, nouns = names_for(renderer, features)
        origin = f"patches/{renderer}/{name}"
        rng = random.Random(f"{seed}/{origin}")
        captions = compose_captions(nouns, words_for(features), rng)
        yield Clip(audio, captions, label, split_of(label, origin, origin), origin)
