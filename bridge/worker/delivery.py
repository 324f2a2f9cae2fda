"""How a patch that was found is handed over: as long as it sounds, and as loud as others."""

from __future__ import annotations

import math
import re

import numpy as np
import torch
from numpy.typing import NDArray

from presets import Effect, Preset, ranges
from presets.preset import VST3
from renderers import effects
from sds.signal.loudness import loudness as loudness_of

PEAK_DB = -1.0  # dBFS
QUIET_DB = 60.0  # below the loudest, a sound has ended
BLOCK = 0.005  # seconds in which a level is measured
HELD = 0.7  # of its length, for which the key of a sound that holds is down
TAIL = 3.0  # seconds that effects may ring at most
SHORTEST = 0.05  # seconds
LOWEST = 20.0  # Hz: what is below is felt by cones and limiters, not heard
DRIFT_DB = -40.0  # of a sound's energy, the most that may be below
GUARD = Effect(kind="HighpassFilter", values={"cutoff_frequency_hz": 25.0})  # of first order
MOST_GUARDS = 3
RINGING = {"Reverb", "Delay"}
BENT = {"Bitcrush", "Clipping", "Compressor", "Distortion", "Limiter", "NoiseGate", VST3}
"""Effects whose sound depends on the level."""


def timed(preset: Preset, *, rate: int) -> Preset:
    """The preset with the length and held key that its sound asks for, within its `seconds`.

    A sound that decays ends where it has fallen by 60 dB. One that holds is held for 0.7 of its
    length, and its releases fit into the rest. Behind effects that ring it lasts as much longer as
    they do, at most 3 s.
    """
    dry = effects.render(preset.model_copy(update={"effects": (), "held": None}), rate=rate)
    seconds, values = end_of(dry, rate), preset.values
    held = seconds
    if seconds >= preset.seconds - BLOCK:
        seconds = held = preset.seconds
        releases = [name for name in values if re.fullmatch(r"op\d_release|noise_release", name)]
        if releases:
            held = HELD * seconds
            values = values | {name: min(values[name], seconds - held) for name in releases}
    update = {"seconds": max(seconds, SHORTEST), "held": max(held, SHORTEST), "values": values}
    preset = preset.model_copy(update=update)
    if not any(effect.kind in RINGING for effect in preset.effects):
        return preset
    longer = min(60.0, preset.seconds + TAIL)
    wet = effects.render(preset, seconds=longer, rate=rate)
    return preset.model_copy(update={"seconds": max(preset.seconds, end_of(wet, rate))})


# sin(w t + I sin(v t)) with v and w in a whole ratio has a partial at w - n v = 0, which envelopes
# move, and detuned operators turn into a beat of a few Hz; and exp(-d t) sin(w t) begins with a
# kink, of which 160 Hz d / w^2 of the energy is below 20 Hz. No bound of a knob is without them.
def steady(preset: Preset, *, rate: int) -> Preset:
    """The preset with less than -40 dB of its energy below 20 Hz, by as many high-passes of 25 Hz
    as that takes, 3 at most, at the end of its chain.
    """
    chain = preset.effects
    end = len(chain) - (1 if chain and chain[-1].kind == "Gain" else 0)
    for count in range(MOST_GUARDS + 1):
        if drift_db(effects.render(preset, rate=rate), rate) < DRIFT_DB:
            break
        if len(chain) + count + 1 > ranges.MAX_EFFECTS or count == MOST_GUARDS:
            break
        guarded = (*chain[:end], *[GUARD] * (count + 1), *chain[end:])
        preset = preset.model_copy(update={"effects": guarded})
    return preset


def drift_db(sound: NDArray[np.float32], rate: int) -> float:
    """The share, in dB, of the energy of audio [C, T] that is below 20 Hz; -inf for silence."""
    size = 1 << (sound.shape[-1] + rate).bit_length()  # steps of less than 1 Hz
    power = np.square(np.abs(np.fft.rfft(sound.astype(np.float64), size))).sum(0)
    below = power[: math.ceil(LOWEST * size / rate)].sum()
    return 10 * math.log10(below / power.sum()) if below > 0.0 else -math.inf


def levelled(preset: Preset, *, rate: int, loudness: float | None = None) -> Preset:
    """The preset at a peak of -1 dBFS, or at `loudness` LUFS where its peak stays below that.

    By its `level`; where that does not reach, or effects depend on it, by a Gain at the end of the
    chain. A silent preset stays as it is.
    """
    sound = effects.render(preset, rate=rate)
    peak = float(np.abs(sound).max())
    if peak <= 1e-9:
        return preset
    gain = 10 ** (PEAK_DB / 20) / peak
    if loudness is not None:
        gain = min(gain, 10 ** ((loudness - loudness_of(torch.from_numpy(sound), rate)) / 20))
    if not any(effect.kind in BENT for effect in preset.effects):
        knob = next(param for param in ranges.check_values(preset) if param.name == "level")
        level = preset.values["level"]
        reached = min(knob.high, max(knob.low, level * gain))
        preset = preset.model_copy(update={"values": preset.values | {"level": reached}})
        gain *= level / reached
    return _with_gain(preset, 20 * math.log10(gain))


def softened(preset: Preset, *, rate: int) -> Preset:
    """The preset as it is, or at a peak of -1 dBFS where it is above."""
    peak = float(np.abs(effects.render(preset, rate=rate)).max())
    return levelled(preset, rate=rate) if peak > 10 ** (PEAK_DB / 20) else preset


def end_of(sound: NDArray[np.float32], rate: int) -> float:
    """Seconds after which audio [C, T] stays 60 dB below its loudest; 0 for silence."""
    block = max(1, round(BLOCK * rate))
    count = -(-sound.shape[-1] // block)
    padded = np.pad(np.abs(sound).max(axis=0), (0, count * block - sound.shape[-1]))
    peaks = padded.reshape(count, block).max(axis=1)
    heard = np.flatnonzero(peaks > peaks.max() * 10 ** (-QUIET_DB / 20))
    return min(float(heard[-1] + 1) * block, sound.shape[-1]) / rate if len(heard) else 0.0


def _with_gain(preset: Preset, db: float) -> Preset:
    """The preset with so much gain at the end of its chain, in a Gain that is there already."""
    chain = preset.effects
    if chain and chain[-1].kind == "Gain":
        db += chain[-1].values.get("gain_db", 0.0)
        chain = chain[:-1]
    elif abs(db) < 1e-6:
        return preset
    if len(chain) == ranges.MAX_EFFECTS:
        return preset
    gain = Effect(kind="Gain", values={"gain_db": min(60.0, max(-60.0, db))})
    return preset.model_copy(update={"effects": (*chain, gain)})
