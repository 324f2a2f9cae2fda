"""What the words of a prompt ask for besides the sound: effects, length, movement, pitch.

Tables of words; nothing is learned. A search keeps knobs within `Wishes.bounds`, puts
`Wishes.effects` into the chain, and plays in tune what `Wishes.pitched` says. What is not said
stays open.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from presets.preset import Effect

Family: TypeAlias = Literal["harmonic", "bell", "free"]
"""How partials lie: on multiples of the key, freely above a strike note, anywhere."""

Bounds: TypeAlias = Mapping[str, tuple[float, float]]
"""Knobs, each a regular expression for whole names, and the physical values they may have."""

FEW_HITS = 10.0  # more may be noise as well
SECONDS = 2.0  # a sound of which the prompt says nothing


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a prompt asks for.

    - `effects`: the chain, in order
    - `bounds`: knobs of the full voices that are to stay within limits
    - `seconds`: how long the sound is to be
    - `sustained`: whether it is to hold while the key is down
    - `note`: MIDI note that it is to be designed at; None where the words do not say
    - `pitched`: whether it has a pitch; None where the words do not say
    - `family`: how the partials of a pitched sound lie
    """

    effects: tuple[Effect, ...] = ()
    bounds: Bounds = field(default_factory=dict)
    seconds: float = SECONDS
    sustained: bool = False
    note: float | None = None
    pitched: bool | None = None
    family: Family = "harmonic"


@dataclass(frozen=True, slots=True)
class Tuned:
    """A setting that a search tries at `values`, or at so many `times` what the words gave."""

    setting: str
    values: tuple[float, ...] = ()
    times: tuple[float, ...] = ()


def _effect(kind: str, **values: float) -> Effect:
    return Effect(kind=kind, values=values)


def _reverb(room: float, wet: float, damping: float = 0.4) -> Effect:
    dry = 1.0 - wet
    return _effect("Reverb", room_size=room, damping=damping, wet_level=wet, dry_level=dry, width=1)


# Words and what they put into the chain; of a kind that several words ask for, the first counts.
# The order is that of the chain: what changes the tone, what moves, what rings.
EFFECTS: Mapping[str, tuple[Effect, ...]] = {
    r"distort(ed|ion)|fuzz|crunchy": (_effect("Distortion", drive_db=24.0),),
    r"overdrive(n)?|saturated|driven": (_effect("Distortion", drive_db=14.0),),
    r"lo-?fi": (
        _effect("Bitcrush", bit_depth=9.0),
        _effect("LowpassFilter", cutoff_frequency_hz=5000.0),
    ),
    r"8-?bit|chiptune|bit-?crush(ed)?": (_effect("Bitcrush", bit_depth=6.0),),
    r"(tele)?phone (voice|line|call)|telephone|(am|old|shortwave) radio|radio": (
        _effect("HighpassFilter", cutoff_frequency_hz=400.0),
        _effect("LowpassFilter", cutoff_frequency_hz=3400.0),
        _effect("Distortion", drive_db=6.0),
    ),
    r"underwater|muffled": (_effect("LowpassFilter", cutoff_frequency_hz=500.0),),
    r"chorus(ed)?": (
        _effect("Chorus", rate_hz=0.8, depth=0.3, centre_delay_ms=8.0, feedback=0.0, mix=0.5),
    ),
    r"phaser|phased|phasing": (
        _effect(
            "Phaser", rate_hz=0.5, depth=0.6, centre_frequency_hz=1000.0, feedback=0.2, mix=0.5
        ),
    ),
    r"echo(es|ing)?|delay(ed)?|dub": (
        _effect("Delay", delay_seconds=0.3, feedback=0.35, mix=0.35),
    ),
    r"long reverb|(huge|big|large) (room|space)|cathedral|cave|church": (_reverb(0.9, 0.4),),
    r"(concert |big |large )?hall": (_reverb(0.75, 0.35),),
    r"reverb(erant|ed)?|reverberation": (_reverb(0.6, 0.33),),
    r"(small )?room": (_reverb(0.3, 0.25, damping=0.6),),
}
# These words name instruments or genres, and are no wish for the effect that is in them.
NOT_EFFECTS = r"church (bell|organ)s?|radio static|(tele)?phone ring(ing|s)?"

# Lengths that are those of an effect, and not of the sound.
OF_EFFECTS = r"\b(very |long|short|slow|fast) (reverb|echo|delay|hall|room|chorus)\b"

# Settings that a search tunes one after another, with what it tries: values, or times what the
# words gave, near enough that a hall stays a hall and a telephone a telephone.
TUNED: Mapping[str, tuple[Tuned, ...]] = {
    "Reverb": (
        Tuned("wet_level", values=(0.2, 0.3, 0.4, 0.5)),
        Tuned("room_size", times=(1.1, 1.2)),  # no shorter a tail than was asked for
        Tuned("damping", times=(0.25, 0.5)),
    ),
    "Delay": (
        Tuned("mix", values=(0.2, 0.3, 0.4, 0.5)),
        Tuned("delay_seconds", times=(0.5, 0.75, 1.25, 1.5)),
    ),
    "Chorus": (Tuned("mix", values=(0.3, 0.5, 0.7)),),
    "Distortion": (Tuned("drive_db", values=(6.0, 12.0, 18.0, 24.0, 30.0)),),
    "LowpassFilter": (Tuned("cutoff_frequency_hz", times=(0.6, 0.8, 1.25, 1.6)),),
    "HighpassFilter": (Tuned("cutoff_frequency_hz", times=(0.75, 1.5)),),
}

_ATTACKS = r"op\d_attack|noise_attack"
_DECAYS = r"op\d_decay|noise_decay"
_RELEASES = r"op\d_release|noise_release"

_BELL = (
    r"bells?|chimes?|glockenspiels?|marimbas?|vibraphones?|xylophones?|celestas?|music box(es)?|"
    r"kalimbas?|gongs?|steel (drums?|pans?)|handpans?|singing bowls?|mallets?|crotales?|carillons?"
)

# Words and the knobs that they name; where two disagree, the first counts.
STRUCTURE: Mapping[str, Bounds] = {
    r"staccato|clipped|tick": {
        _DECAYS: (0.02, 0.4),
        _RELEASES: (0.005, 0.08),
        r"op\d_sustain|noise_sustain": (0.0, 0.0),
        r"mode\d+_decay": (0.01, 0.3),
        r"band\d+_decay": (0.02, 0.2),
    },
    r"short|quick|tight|damped": {
        _DECAYS: (0.02, 0.8),
        _RELEASES: (0.005, 0.15),
        r"op\d_sustain|noise_sustain": (0.0, 0.1),
        r"mode\d+_decay": (0.01, 0.6),
        r"band\d+_decay": (0.02, 0.4),
    },
    r"slow attack|fad(e|es|ing) in|swell(s|ing)?": {
        _ATTACKS: (0.25, 2.0),
        r"strike_seconds": (0.005, 0.02),
    },
    r"soft attack|soft(ly)?|gentle": {_ATTACKS: (0.03, 2.0), r"strike_seconds": (0.002, 0.02)},
    r"fast attack|percussive|punchy|snappy|pluck(ed|s)?": {
        _ATTACKS: (0.001, 0.01),
        r"strike_seconds": (1e-5, 0.002),
    },
    r"pads?|drones?|sustained|held|organs?|bowed|strings": {
        r"op\d_sustain": (0.5, 1.0),
        _RELEASES: (0.15, 1.5),
    },
    _BELL: {r"op\d_sustain|noise_sustain": (0.0, 0.0)},  # what is struck dies away
    r"long|ringing|resonant": {_DECAYS: (1.0, 10.0), r"mode\d+_decay": (0.2, 10.0)},
    r"fast wobbl(e|es|ing|y)": {r"lfo_hz": (6.0, 16.0), r"lfo_to_filter": (1.5, 4.0)},
    r"slow wobbl(e|es|ing|y)": {r"lfo_hz": (0.3, 2.0), r"lfo_to_filter": (1.5, 4.0)},
    r"wobbl(e|es|ing|y)|dubstep": {r"lfo_hz": (2.0, 8.0), r"lfo_to_filter": (1.5, 4.0)},
    r"fast vibrato": {r"lfo_hz": (6.0, 9.0), r"lfo_to_pitch": (0.2, 1.0)},
    r"vibrato": {r"lfo_hz": (4.0, 7.0), r"lfo_to_pitch": (0.15, 0.8)},
    r"tremolo": {r"lfo_hz": (3.0, 9.0), r"lfo_to_level": (0.4, 1.0)},
    r"siren": {r"lfo_hz": (0.2, 4.0), r"lfo_to_pitch": (4.0, 12.0)},
    r"laser|zap|zaps|downward": {
        r"pitch_start": (12.0, 48.0),
        r"pitch_time": (0.03, 0.5),
    },
    r"riser|rising|upward|sweep(s|ing)? up": {
        r"pitch_start": (-48.0, -7.0),
        r"pitch_time": (0.2, 2.0),
    },
    r"footsteps?|steps|walking": {
        r"hits": (3.0, 10.0),
        r"hit_hz": (1.2, 3.0),
        r"burst_level": (0.3, 1.0),
    },
    r"knock(s|ing)": {r"hits": (2.0, 5.0), r"hit_hz": (3.0, 8.0)},
    r"rain|crackl(e|es|ing)|applause|hail|gravel|frying": {
        r"hits": (24.0, 48.0),
        r"hit_hz": (10.0, 60.0),
        r"hit_jitter": (0.5, 1.0),
        r"hit_spread": (0.3, 1.0),
    },
    r"rolls?|rattl(e|es|ing)|breaking|shatter(s|ing)?": {
        r"hits": (8.0, 48.0),
        r"hit_hz": (8.0, 40.0),
        r"hit_jitter": (0.1, 1.0),
    },
}

# Words and how long a sound is then, in seconds; the first that is there counts.
LENGTHS: Mapping[str, float] = {
    r"very short|tick|clipped": 0.5,
    r"very long": 6.0,
    r"short|staccato|quick|tight": 1.0,
    r"long|slow attack|swell(s|ing)?|drones?|pads?": 3.0,
    r"church bells?|tubular bells?|gongs?": 4.0,
}

LOW = 36.0  # MIDI note of a bass
_LOW = r"bass|basses|sub|808|basslines?|tubas?|contrabass(es)?"

_SUSTAINED = (
    r"pads?|drones?|sustained|held|organs?|bowed|strings|string (ensemble|section|quartet)|"
    r"violins?|violas?|cellos?|flutes?|choirs?|"
    r"accordions?|harmonicas?|saxophones?|sax|clarinets?|oboes?|trumpets?|trombones?|horns?|brass|"
    r"bagpipes?|leads?"
)
_PITCHED = (
    rf"{_SUSTAINED}|{_BELL}|bass|basses|sub|pianos?|rhodes|wurlitzer|keys|clavinets?|clavi|"
    r"harpsichords?|guitars?|harps?|banjos?|sitars?|kotos?|lutes?|mandolins?|ukuleles?|plucks?|"
    r"synth(s|esizer)?|arps?|stabs?|chords?|notes?|melod(y|ic)|whistles?|recorders?|bassoons?|"
    r"tubas?|basslines?|theremin|808"
)
_UNPITCHED = (
    r"bass drums?|kicks?|snares?|hi-?hats?|hats?|cymbals?|crash(es)?|claps?|clapping|rim ?shots?|"
    r"shakers?|maracas|tambourines?|drums?|percussion|noise|hiss|wind|rain|thunder|waves|ocean|"
    r"surf|footsteps?|steps|gravel|vinyl|crackl(e|es|ing)|applause|static|breath|fire|explosions?|"
    r"gunshots?|doors?|knock(s|ing)?|dogs?|bark(s|ing)?|breaking|shatter(s|ing)?|whoosh(es)?|"
    r"swoosh|engines?|typing|keyboard typing|scrap(e|es|ing)|zap|zaps|lasers?|sirens?|riser"
)


def wishes(prompt: str) -> Wishes:
    """Read a prompt.

    >>> [effect.kind for effect in wishes("kick drum, bass, reverb").effects]
    ['Reverb']
    >>> wishes("slow attack pad").bounds["op\\\\d_attack|noise_attack"]
    (0.25, 2.0)
    """
    text = " ".join(re.findall(r"[\w-]+", prompt.lower()))
    chain = _effects(text)
    text = re.sub(OF_EFFECTS, " ", text)
    pitched = _pitched(text)
    bounds: dict[str, tuple[float, float]] = {}
    for words, knobs in STRUCTURE.items():
        if _says(text, words):
            bounds |= {name: limit for name, limit in knobs.items() if name not in bounds}
    seconds = next((s for words, s in LENGTHS.items() if _says(text, words)), SECONDS)
    return Wishes(
        effects=chain,
        bounds=bounds,
        seconds=seconds,
        sustained=_says(text, _SUSTAINED),
        note=LOW if pitched and _says(text, _LOW) else None,
        pitched=pitched,
        family="bell" if _says(text, _BELL) else "harmonic",
    )


def limits(bounds: Bounds, name: str) -> tuple[float, float] | None:
    """The values that a knob may have, None where it is free."""
    return next((limit for words, limit in bounds.items() if re.fullmatch(words, name)), None)


def followed_by(bounds: Bounds, knobs: Collection[str]) -> bool:
    """Whether a synth with these knobs can do what the words ask for: sweep, wobble, hold, or be
    struck a few times.

    >>> followed_by(wishes("laser zap").bounds, ["hits", "level"])
    False
    """
    return all(
        any(re.fullmatch(words, knob) for knob in knobs)
        for words, (low, high) in bounds.items()
        if words in ("pitch_start", "lfo_hz")
        or (words == r"op\d_sustain" and low > 0.0)
        or (words == "hits" and high <= FEW_HITS)
    )


def _effects(text: str) -> tuple[Effect, ...]:
    text = re.sub(rf"\b({NOT_EFFECTS})\b", " ", text)
    chosen: dict[str, Effect] = {}
    for words, effects in EFFECTS.items():
        if _says(text, words):
            chosen = {effect.kind: effect for effect in effects} | chosen
    order = {effect.kind: None for effects in EFFECTS.values() for effect in effects}
    return tuple(chosen[kind] for kind in order if kind in chosen)


def _pitched(text: str) -> bool | None:
    """Instruments have a pitch, drums and noises none, nor has what is both: in tune, a search for
    "kick drum, bass, reverb" lost 0.28 of 0.68 in score.
    """
    text = re.sub(r"\bsteel drums?\b", "steel pan", text)
    rest = re.sub(rf"\b({_UNPITCHED})\b", " ", text)
    if rest != text:
        return False
    return True if _says(rest, _PITCHED) else None


def _says(text: str, words: str) -> bool:
    return re.search(rf"\b({words})\b", text) is not None
