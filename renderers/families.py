"""Families of sounds that the full FM voice makes: what their knobs may be, row by row.

A range (low, high) is drawn from evenly, in octaves where the knob has a log scale. What a family
does not name rests: no pitch envelope, no LFO, no noise, the filter open.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

Range = tuple[float, float]

# Once a patch, where a family says nothing.
REST: Mapping[str, float] = MappingProxyType(
    {
        "pitch_start": 0.0,
        "pitch_time": 0.05,
        "lfo_hz": 5.0,
        "lfo_to_pitch": 0.0,
        "lfo_to_level": 0.0,
        "lfo_to_index": 0.0,
        "lfo_to_filter": 0.0,
        "noise_level": 0.0,
        "noise_hz": 2000.0,
        "noise_width": 2.0,
        "noise_attack": 0.002,
        "noise_decay": 0.3,
        "noise_sustain": 0.0,
        "noise_release": 0.1,
        "filter_hz": 20000.0,
        "filter_resonance": 0.0,
        "filter_mode": 0.0,
        "filter_key": 0.0,
        "filter_env": 0.0,
        "filter_attack": 0.002,
        "filter_decay": 0.3,
    }
)


@dataclass(frozen=True, slots=True)
class Family:
    """What the operators of a family are like, and which of the once-a-patch knobs it uses."""

    heard: tuple[float, ...] = (1.0,)  # ratios of those that are heard
    hidden: tuple[float, ...] = (1.0, 1.0, 2.0, 3.0)  # ratios of those that only modulate
    stray: float = 0.0  # octaves by which a ratio may miss: 0 where the sound has a pitch
    detune: float = 2.0  # cents
    attack: Range = (0.001, 0.005)
    decay: Range = (0.3, 2.0)
    sustain: Range = (0.0, 0.0)
    release: Range = (0.05, 0.3)
    fading: Range = (0.2, 1.0)  # a modulator's decay and sustain, as a share of the family's
    index: Range = (0.2, 2.0)  # radians
    feedback: Range = (0.0, 0.2)
    join: float = 0.2  # how often one more operator is heard
    tone: Range = (1.0, 1.0)  # how loud the operators are beside the noise
    moves: Mapping[str, Range] = field(default_factory=dict)


WHOLE = (1.0, 1.0, 2.0, 2.0, 3.0, 4.0, 5.0, 7.0)
HOLD: Range = (0.7, 1.0)
SOFT: Range = (0.1, 0.8)  # seconds of release
NO_TONE: Range = (0.0, 0.0)
VIBRATO: dict[str, Range] = {"lfo_hz": (4.5, 7.0), "lfo_to_pitch": (0.05, 0.4)}


def _noise(
    level: Range,
    hz: Range,
    width: Range,
    attack: Range = (0.001, 0.003),
    decay: Range = (0.1, 0.4),
    sustain: Range = (0.0, 0.0),
    release: Range = (0.05, 0.2),
) -> dict[str, Range]:
    return {
        "noise_level": level,
        "noise_hz": hz,
        "noise_width": width,
        "noise_attack": attack,
        "noise_decay": decay,
        "noise_sustain": sustain,
        "noise_release": release,
    }


FAMILIES: Mapping[str, Family] = {
    # drums and percussion: nothing in tune, all over soon
    "kick": Family(
        (0.25,), (0.25, 0.5, 1.0), 0.25, decay=(0.35, 0.9), index=(0.1, 1.2), join=0.1,
        moves={"pitch_start": (12.0, 44.0), "pitch_time": (0.008, 0.06)}
        | _noise((0.0, 0.3), (800.0, 6000.0), (1.0, 5.0), decay=(0.06, 0.12)),
    ),
    "tom": Family(
        (0.3, 0.4, 0.6), (0.5, 1.0, 1.5), 0.3, decay=(0.4, 1.1), index=(0.1, 1.0), join=0.2,
        moves={"pitch_start": (3.0, 14.0), "pitch_time": (0.02, 0.15)}
        | _noise((0.0, 0.2), (300.0, 3000.0), (1.0, 4.0), decay=(0.08, 0.3)),
    ),
    "snare": Family(
        (0.6, 0.75, 1.2), (1.0, 1.5, 2.3), 0.2, decay=(0.2, 0.45), index=(0.2, 2.0),
        join=0.3, tone=(0.2, 0.6), moves={"pitch_start": (3.0, 20.0), "pitch_time": (0.006, 0.03)}
        | _noise((0.4, 1.0), (1500.0, 7000.0), (1.5, 6.0), decay=(0.25, 0.65)),
    ),
    "rimshot, wood block": Family(
        (1.5, 2.5, 4.0), (1.4, 2.7, 3.3, 5.1), 0.4, decay=(0.1, 0.28), index=(0.5, 3.0), join=0.3,
        moves=_noise((0.0, 0.25), (2000.0, 9000.0), (1.0, 4.0), decay=(0.06, 0.12)),
    ),
    "cowbell, agogo": Family(
        (2.0, 3.0), (2.1, 3.1, 4.6), 0.3, decay=(0.35, 0.9), index=(0.6, 2.5), join=0.6,
        moves={"filter_hz": (800.0, 3000.0), "filter_mode": (0.4, 0.5)},
    ),
    "clap": Family(
        decay=(0.03, 0.1), tone=NO_TONE,
        moves={"lfo_hz": (25.0, 40.0), "lfo_to_level": (0.6, 1.0)}
        | _noise((0.9, 1.0), (900.0, 2500.0), (0.8, 2.5), decay=(0.3, 0.7)),
    ),
    "closed hat": Family(
        (6.0, 9.0, 13.0), (5.3, 7.1, 11.7, 15.0), 0.5, decay=(0.1, 0.22), index=(1.0, 4.0),
        feedback=(0.3, 0.9), join=0.5, tone=(0.0, 0.4),
        moves={"filter_mode": (1.0, 1.0), "filter_hz": (3000.0, 8000.0)}
        | _noise((0.8, 1.0), (6000.0, 14000.0), (1.0, 4.0), decay=(0.12, 0.28)),
    ),
    "open hat, cymbal": Family(
        (6.0, 9.0, 13.0), (5.3, 7.1, 11.7, 15.0), 0.5, decay=(0.5, 2.5), index=(1.0, 4.0),
        fading=(0.7, 1.0), feedback=(0.3, 0.9), join=0.5, tone=(0.1, 0.7),
        moves={"filter_mode": (0.9, 1.0), "filter_hz": (1500.0, 6000.0)}
        | _noise((0.3, 0.9), (5000.0, 14000.0), (1.5, 5.0), decay=(0.5, 2.0)),
    ),
    "shaker, maraca": Family(
        tone=NO_TONE,
        moves=_noise((0.6, 1.0), (4000.0, 12000.0), (0.8, 3.0), (0.01, 0.05), (0.15, 0.4)),
    ),
    # basses
    "808 sub bass": Family(
        (0.25,), (0.25, 0.5, 0.5), decay=(1.0, 5.0), sustain=(0.0, 0.9), index=(0.05, 0.6),
        feedback=(0.0, 0.3), join=0.0,
        moves={"pitch_start": (2.0, 24.0), "pitch_time": (0.01, 0.08)},
    ),
    "plucked bass": Family(
        (0.25, 0.5), (0.25, 0.5, 1.0, 1.5), attack=(0.001, 0.004), decay=(0.7, 2.0),
        index=(0.5, 3.0),
        moves={"filter_hz": (300.0, 1500.0), "filter_env": (0.5, 3.0), "filter_decay": (0.25, 0.8)},
    ),
    "synth bass": Family(
        (0.25, 0.5), (0.25, 0.5, 0.5, 1.0), attack=(0.002, 0.01), sustain=(0.4, 0.9), detune=6.0,
        index=(0.8, 3.0), feedback=(0.3, 0.8), join=0.4, fading=(0.6, 1.0),
        moves={"filter_hz": (120.0, 700.0), "filter_resonance": (0.1, 0.8),
               "filter_env": (1.5, 4.5), "filter_decay": (0.25, 0.8)},
    ),
    "wobble bass": Family(
        (0.25, 0.5), (0.25, 0.5, 0.5, 0.75), attack=(0.002, 0.02), detune=8.0, index=(1.0, 3.5),
        feedback=(0.4, 0.9), join=0.4, fading=(0.8, 1.0), sustain=HOLD, release=SOFT,
        moves={"lfo_hz": (1.0, 8.0), "lfo_to_filter": (1.0, 3.0), "lfo_to_index": (0.0, 0.6),
               "filter_hz": (200.0, 700.0), "filter_resonance": (0.2, 0.8)},
    ),
    "reese bass": Family(
        (0.25, 0.25, 0.5), (0.25, 0.5, 1.0), attack=(0.005, 0.05), detune=18.0, index=(0.5, 2.0),
        feedback=(0.5, 0.9), join=0.7, fading=(0.8, 1.0), sustain=HOLD, release=SOFT,
        moves={"filter_hz": (300.0, 2000.0), "filter_resonance": (0.0, 0.5)},
    ),
    # keys
    "electric piano": Family(
        (1.0,), (1.0, 1.0, 14.0, 7.0), decay=(1.5, 6.0), release=(0.1, 0.3), index=(0.2, 1.6),
        fading=(0.15, 0.6), join=0.3,
        moves={"lfo_hz": (3.0, 6.0), "lfo_to_level": (0.0, 0.4)},
    ),
    "piano, harpsichord": Family(
        (1.0, 1.0, 2.0), (1.0, 1.0, 2.0, 3.0, 5.0), decay=(1.0, 5.0), release=(0.05, 0.2),
        index=(0.3, 2.5), fading=(0.1, 0.6), join=0.4, detune=3.0,
        moves=_noise((0.0, 0.1), (1000.0, 5000.0), (1.0, 3.0), decay=(0.05, 0.12)),
    ),
    "organ": Family(
        (0.5, 1.0, 1.0, 2.0, 3.0, 4.0), (1.0, 2.0), attack=(0.003, 0.02), sustain=(0.95, 1.0),
        release=(0.02, 0.1), index=(0.02, 0.4), join=0.9, detune=1.0, fading=(1.0, 1.0),
        moves={"lfo_hz": (5.0, 7.5), "lfo_to_pitch": (0.0, 0.15), "lfo_to_level": (0.0, 0.25)},
    ),
    "clavinet": Family(
        (1.0,), (1.0, 2.0, 3.0, 5.0), decay=(0.6, 1.8), release=(0.02, 0.06), index=(0.8, 3.0),
        feedback=(0.2, 0.7), fading=(0.4, 1.0),
        moves={"filter_hz": (600.0, 2000.0), "filter_mode": (0.2, 0.6), "filter_env": (0.5, 2.5)},
    ),
    # bells and mallets: a strong strike note, partials that are free
    "bell": Family(
        (1.0,), (1.41, 2.76, 3.5, 5.4, 2.0), stray=0.0, decay=(2.0, 8.0), release=(0.5, 3.0),
        index=(0.3, 2.5), fading=(0.3, 1.0), join=0.2,
    ),
    "glass, celesta": Family(
        (1.0, 2.0), (3.0, 4.0, 5.2, 7.0, 9.0), decay=(0.5, 3.0), release=(0.2, 1.0),
        index=(0.1, 1.0), fading=(0.1, 0.6), join=0.3,
    ),
    "marimba, kalimba": Family(
        (1.0,), (4.0, 3.9, 10.0, 3.0, 1.0), decay=(0.4, 1.2), release=(0.1, 0.4),
        index=(0.2, 1.6), fading=(0.2, 0.6), join=0.15,
        moves=_noise((0.0, 0.1), (500.0, 3000.0), (1.0, 3.0), decay=(0.05, 0.12)),
    ),
    # plucks and strings
    "pluck": Family(
        (1.0, 1.0, 2.0), (1.0, 2.0, 3.0), decay=(0.4, 1.4), index=(0.5, 3.0), fading=(0.3, 0.8),
        moves={"filter_hz": (400.0, 3000.0), "filter_env": (0.5, 3.5), "filter_decay": (0.2, 0.7)},
    ),
    "guitar, harp, koto": Family(
        (1.0,), (1.0, 1.0, 2.0, 3.0, 4.0), decay=(0.8, 3.5), index=(0.4, 2.5), fading=(0.2, 0.6),
        feedback=(0.0, 0.5), moves=_noise((0.0, 0.15), (1500.0, 6000.0), (1.0, 3.0),
                                          decay=(0.05, 0.12)),
    ),
    "strings": Family(
        (1.0, 1.0, 2.0), (1.0, 1.0, 2.0), attack=(0.08, 0.5), detune=8.0, index=(0.4, 1.6),
        feedback=(0.3, 0.8), join=0.7, fading=(0.8, 1.0), sustain=HOLD, release=(0.2, 1.0),
        moves={"filter_hz": (1500.0, 6000.0)} | VIBRATO,
    ),
    "pad": Family(
        (0.5, 1.0, 1.0, 2.0), (1.0, 1.0, 2.0, 3.0), attack=(0.3, 1.5), detune=9.0,
        index=(0.1, 1.2), join=0.7, fading=(0.6, 1.0), sustain=HOLD, release=(0.8, 4.0),
        moves={"filter_hz": (500.0, 4000.0), "lfo_hz": (0.1, 0.8), "lfo_to_filter": (0.0, 0.8),
               "filter_env": (0.0, 1.5), "filter_attack": (0.5, 2.0), "filter_decay": (2.0, 8.0)},
    ),
    "glass pad, choir": Family(
        (1.0, 2.0, 1.0), (2.0, 3.0, 4.0), attack=(0.2, 1.2), detune=7.0, index=(0.05, 0.6),
        join=0.8, fading=(0.6, 1.0), sustain=HOLD, release=(0.8, 4.0),
        moves={"lfo_hz": (3.0, 6.0), "lfo_to_pitch": (0.02, 0.2)}
        | _noise((0.0, 0.15), (1500.0, 6000.0), (0.5, 2.0), (0.2, 1.0), (1.0, 4.0), HOLD),
    ),
    # winds and leads
    "brass": Family(
        (1.0,), (1.0, 1.0, 1.0, 2.0), attack=(0.02, 0.1), detune=4.0, index=(1.0, 3.5),
        feedback=(0.0, 0.5), fading=(0.8, 1.0), join=0.3, sustain=HOLD, release=SOFT,
        moves={"filter_hz": (300.0, 1200.0), "filter_env": (1.0, 3.5),
               "filter_attack": (0.03, 0.15), "filter_decay": (1.0, 6.0)},
    ),
    "reed, clarinet": Family(
        (1.0,), (2.0, 2.0, 1.0, 3.0), attack=(0.02, 0.08), index=(0.6, 2.0), fading=(0.8, 1.0),
        join=0.1, sustain=HOLD, release=SOFT,
        moves=VIBRATO | _noise((0.0, 0.1), (1500.0, 5000.0), (1.0, 2.0), (0.02, 0.1), (0.3, 1.0),
                               (0.2, 0.6)),
    ),
    "flute, whistle": Family(
        (1.0, 2.0, 4.0), (1.0, 2.0), attack=(0.03, 0.15), index=(0.05, 0.5), fading=(0.7, 1.0),
        join=0.1, sustain=HOLD, release=SOFT,
        moves=VIBRATO | _noise((0.02, 0.25), (800.0, 5000.0), (0.5, 2.0), (0.02, 0.08), (0.2, 1.0),
                               (0.2, 0.7)),
    ),
    "lead": Family(
        (1.0, 1.0, 2.0, 0.5), (1.0, 1.0, 2.0, 3.0), attack=(0.002, 0.03), detune=7.0,
        index=(0.6, 2.5), feedback=(0.4, 0.9), join=0.4, fading=(0.8, 1.0),
        sustain=HOLD, release=SOFT,
        moves={"filter_hz": (800.0, 6000.0), "filter_resonance": (0.0, 0.7),
               "filter_env": (0.0, 2.0)} | VIBRATO,
    ),
    # effects
    "laser zap": Family(
        (0.5, 1.0, 2.0), WHOLE, 0.5, decay=(0.3, 0.9), sustain=(0.0, 0.0), index=(0.2, 2.5),
        feedback=(0.0, 0.7),
        moves={"pitch_start": (18.0, 48.0), "pitch_time": (0.03, 0.2)},
    ),
    "riser": Family(
        (1.0, 2.0, 4.0), WHOLE, 0.3, attack=(0.1, 1.0), index=(0.2, 2.0), join=0.4,
        sustain=HOLD, release=SOFT,
        moves={"pitch_start": (-48.0, -20.0), "pitch_time": (0.5, 1.8),
               "filter_hz": (800.0, 6000.0)}
        | _noise((0.0, 0.4), (1000.0, 6000.0), (1.0, 4.0), (0.5, 2.0), (2.0, 6.0), HOLD),
    ),
    "falling tone": Family(
        (1.0, 2.0), WHOLE, 0.3, decay=(0.8, 3.0), index=(0.2, 2.0), join=0.3,
        moves={"pitch_start": (12.0, 48.0), "pitch_time": (0.3, 1.5)},
    ),
    "siren": Family(
        (1.0, 2.0, 3.0), (1.0, 2.0, 3.0), 0.2, attack=(0.01, 0.1), index=(0.2, 2.0),
        sustain=HOLD, release=SOFT,
        fading=(0.8, 1.0),
        moves={"lfo_hz": (0.3, 5.0), "lfo_to_pitch": (2.0, 9.0)},
    ),
    "alarm, beeps": Family(
        (2.0, 3.0, 4.0, 6.0), (1.0, 2.0, 3.0), 0.3, attack=(0.001, 0.01), index=(0.1, 1.5),
        fading=(0.8, 1.0), sustain=HOLD, release=SOFT,
        moves={"lfo_hz": (1.5, 9.0), "lfo_to_level": (0.95, 1.0)},
    ),
    "engine, motor": Family(
        (0.25, 0.3, 0.5), (0.25, 0.5, 0.75, 1.0), 0.3, attack=(0.05, 0.5), index=(0.8, 3.5),
        feedback=(0.4, 0.9), fading=(0.8, 1.0), sustain=HOLD, release=SOFT,
        moves={"lfo_hz": (6.0, 30.0), "lfo_to_level": (0.2, 0.8), "lfo_to_index": (0.0, 0.8),
               "filter_hz": (300.0, 2500.0)}
        | _noise((0.0, 0.4), (100.0, 1000.0), (1.0, 4.0), (0.05, 0.5), (2.0, 8.0), HOLD),
    ),
    "hum, buzz": Family(
        (0.25, 0.5, 1.0), (0.25, 0.5, 1.0, 2.0), 0.1, attack=(0.02, 0.3), index=(0.5, 3.0),
        feedback=(0.2, 0.9), fading=(0.9, 1.0), sustain=HOLD, release=SOFT,
        moves={"lfo_hz": (0.2, 8.0), "lfo_to_index": (0.0, 0.5), "lfo_to_pitch": (0.0, 0.2)},
    ),
    "wind": Family(
        tone=NO_TONE,
        moves={"lfo_hz": (0.15, 0.7), "lfo_to_level": (0.1, 0.5), "lfo_to_filter": (0.4, 1.5),
               "filter_hz": (250.0, 1500.0), "filter_mode": (0.3, 0.5),
               "filter_resonance": (0.3, 0.9)}
        | _noise((0.8, 1.0), (300.0, 1200.0), (2.0, 5.0), (0.2, 1.0), (2.0, 8.0), HOLD, (0.5, 3.0)),
    ),
    "sea, surf": Family(
        tone=NO_TONE,
        moves={"lfo_hz": (0.12, 0.5), "lfo_to_level": (0.6, 0.95), "lfo_to_filter": (0.2, 1.2),
               "filter_hz": (800.0, 4000.0)}
        | _noise((0.9, 1.0), (300.0, 1500.0), (4.0, 10.0), (0.2, 1.0), (2.0, 8.0), HOLD,
                 (0.5, 3.0)),
    ),
    "rain, hiss, static": Family(
        tone=NO_TONE,
        moves={"filter_mode": (0.7, 1.0), "filter_hz": (400.0, 3000.0)}
        | _noise((0.6, 1.0), (2000.0, 10000.0), (2.0, 8.0), (0.05, 0.5), (2.0, 8.0), HOLD,
                 (0.3, 2.0)),
    ),
    "breath, whoosh": Family(
        tone=NO_TONE,
        moves={"filter_mode": (0.3, 0.5), "filter_hz": (400.0, 2000.0), "filter_env": (-0.5, 2.0),
               "filter_attack": (0.1, 0.6), "filter_decay": (0.3, 1.5)}
        | _noise((1.0, 1.0), (600.0, 4000.0), (2.0, 5.0), (0.08, 0.5), (0.6, 1.5)),
    ),
    "steam, spray, burst": Family(
        tone=NO_TONE,
        moves={"filter_hz": (3000.0, 20000.0), "filter_env": (-2.0, 0.0)}
        | _noise((1.0, 1.0), (500.0, 8000.0), (1.0, 8.0), (0.001, 0.05), (0.3, 3.0)),
    ),
    "clockwork, pulses": Family(
        (1.0, 3.0, 6.0), (1.4, 2.7, 5.1), 0.5, sustain=HOLD, index=(0.5, 3.0), tone=(0.2, 1.0),
        fading=(0.9, 1.0), moves={"lfo_hz": (4.0, 20.0), "lfo_to_level": (0.9, 1.0),
                                  "lfo_to_index": (0.0, 1.0)}
        | _noise((0.0, 0.6), (1000.0, 8000.0), (1.0, 4.0), (0.001, 0.01), (1.0, 5.0), HOLD),
    ),
}  # fmt: skip
