"""What every value of a preset may be: the knobs of each renderer, the settings of each effect.

The one range check: `check` is asked before a preset is rendered, exported or put into a slot of
the player, and needs no array library. The renderers make their tables from here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache, lru_cache

from presets.dx7 import ALGORITHMS, TOP_INDEX
from presets.params import Param
from presets.preset import VST3, Effect, Preset

VERSIONS = {"fm": 1, "impact": 1}  # up whenever the same knobs would sound different

OPERATORS = range(1, 9)
INDEX = 4.0  # radians
FEEDBACK = 0.9
MATRICES = ("acyclic", "free", *(f"dx7:{n}" for n in ALGORITHMS))
VOICES = ("paper", "full")
IMPACT_VOICES = (*VOICES, "audio-sds")  # the last as Audio-SDS has it: see `renderers.impact`

# What a full FM voice has beside its operators: once a patch.
MOVEMENT = (
    Param("pitch_start", -48.0, 48.0, "semitone"),
    Param("pitch_time", 0.005, 2.0, "s", "log"),
    Param("lfo_hz", 0.05, 40.0, "Hz", "log"),
    Param("lfo_to_pitch", 0.0, 12.0, "semitone"),
    Param("lfo_to_level", 0.0, 1.0),
    Param("lfo_to_index", 0.0, 1.0),
    Param("lfo_to_filter", 0.0, 4.0, "octave"),
    Param("noise_level", 0.0, 1.0),
    Param("noise_hz", 40.0, 16000.0, "Hz", "log"),
    Param("noise_width", 0.2, 10.0, "octave", "log"),
    Param("noise_attack", 0.001, 2.0, "s", "log"),
    Param("noise_decay", 0.02, 10.0, "s", "log"),
    Param("noise_sustain", 0.0, 1.0),
    Param("noise_release", 0.005, 5.0, "s", "log"),
    Param("filter_hz", 20.0, 20000.0, "Hz", "log"),
    Param("filter_resonance", 0.0, 1.0),
    Param("filter_mode", 0.0, 1.0),
    Param("filter_key", 0.0, 1.0),
    Param("filter_env", -6.0, 6.0, "octave"),
    Param("filter_attack", 0.001, 2.0, "s", "log"),
    Param("filter_decay", 0.02, 10.0, "s", "log"),
)
# What a full impact voice has between its bands and `tune`: how the object is struck.
STRIKE = (
    Param("strike_seconds", 1e-5, 0.02, "s", "log"),
    Param("burst_level", 0.0, 1.0),
    Param("burst_seconds", 0.002, 1.0, "s", "log"),
    Param("burst_hz", 100.0, 16000.0, "Hz", "log"),
    Param("hits", 1.0, 48.0),
    Param("hit_hz", 0.5, 60.0, "Hz", "log"),
    Param("hit_jitter", 0.0, 1.0),
    Param("hit_spread", 0.0, 1.0),
)

MODES = range(1, 2049)
BANDS = range(1, 65)

MAX_EFFECTS = 16
TABLES = 64  # of knobs that are remembered: who turns a knob asks for the same one again
SLACK = 1e-6  # of a knob's range: values that were float32 once

_MIX = Param("mix", 0.0, 1.0)
_FEEDBACK = Param("feedback", -0.99, 0.99)
_CUTOFF = Param("cutoff_frequency_hz", 20.0, 20000.0, "Hz", "log")
_RELEASE = Param("release_ms", 1.0, 5000.0, "ms", "log")
_ATTACK = Param("attack_ms", 0.1, 1000.0, "ms", "log")
_RATIO = Param("ratio", 1.0, 100.0, "", "log")
_SHELF = (_CUTOFF, Param("gain_db", -24.0, 24.0, "dB"), Param("q", 0.1, 10.0, "", "log"))

EFFECTS: dict[str, tuple[Param, ...]] = {
    "Bitcrush": (Param("bit_depth", 1.0, 32.0, "bit"),),
    "Chorus": (
        Param("rate_hz", 0.01, 50.0, "Hz", "log"),
        Param("depth", 0.0, 1.0),
        Param("centre_delay_ms", 1.0, 100.0, "ms", "log"),
        _FEEDBACK,
        _MIX,
    ),
    "Clipping": (Param("threshold_db", -60.0, 0.0, "dB"),),
    "Compressor": (Param("threshold_db", -80.0, 0.0, "dB"), _RATIO, _ATTACK, _RELEASE),
    "Delay": (Param("delay_seconds", 0.0, 10.0, "s"), Param("feedback", 0.0, 0.99), _MIX),
    "Distortion": (Param("drive_db", 0.0, 60.0, "dB"),),
    "Gain": (Param("gain_db", -60.0, 60.0, "dB"),),
    "HighShelfFilter": _SHELF,
    "HighpassFilter": (_CUTOFF,),
    "Limiter": (Param("threshold_db", -60.0, 0.0, "dB"), _RELEASE),
    "LowShelfFilter": _SHELF,
    "LowpassFilter": (_CUTOFF,),
    "NoiseGate": (Param("threshold_db", -100.0, 0.0, "dB"), _RATIO, _ATTACK, _RELEASE),
    "PeakFilter": _SHELF,
    "Phaser": (
        Param("rate_hz", 0.01, 50.0, "Hz", "log"),
        Param("depth", 0.0, 1.0),
        Param("centre_frequency_hz", 20.0, 20000.0, "Hz", "log"),
        _FEEDBACK,
        _MIX,
    ),
    "PitchShift": (Param("semitones", -24.0, 24.0, "semitone"),),
    "Reverb": (
        Param("room_size", 0.0, 1.0),
        Param("damping", 0.0, 1.0),
        Param("wet_level", 0.0, 1.0),
        Param("dry_level", 0.0, 1.0),
        Param("width", 0.0, 1.0),
    ),
}


def check(preset: Preset) -> None:
    """Check every value of a preset: its renderer's knobs and its effects' settings.

    Raises `ValueError` naming the value, what is allowed and what was given. Plugins check their
    own settings when they are loaded.
    """
    check_values(preset)
    check_effects(preset.effects)


def check_values(preset: Preset) -> tuple[Param, ...]:
    """The knobs of the renderer that a preset was made for, in order, its values within them.

    Raises `ValueError` when there is none of its name or version, or its values do not fit.
    """
    if preset.renderer not in _TABLES:
        raise ValueError(
            f"preset {preset.name!r}: unknown renderer {preset.renderer!r};"
            f" allowed are {', '.join(_TABLES)}"
        )
    version = VERSIONS[preset.renderer]
    if preset.renderer_version != version:
        raise ValueError(
            f"preset {preset.name!r} is for {preset.renderer} version {preset.renderer_version};"
            f" this build plays version {version}"
        )
    params = _TABLES[preset.renderer](frozenset(preset.values))
    within(preset.renderer, params, preset.values)
    return params


def within(renderer: str, params: Iterable[Param], values: Mapping[str, float]) -> None:
    """Raise `ValueError` when a value is missing, unknown, not finite or outside its range."""
    knobs = {param.name: param for param in params}
    for name in values:
        if name not in knobs:
            raise ValueError(f"{renderer} has no value {name!r}; it has {_some(knobs)}")
    for name, p in knobs.items():
        if name not in values:
            raise ValueError(f"{renderer} needs a value {name!r} in {p.low:g}..{p.high:g}")
        slack = SLACK * (p.high - p.low)
        if not p.low - slack <= values[name] <= p.high + slack:
            allowed = f"{p.low:g}..{p.high:g} {p.unit}".rstrip()
            raise ValueError(f"{name} must be in {allowed}, got {values[name]:g}")


def check_effects(effects: Iterable[Effect]) -> None:
    """Check a chain: its length, and the kinds and settings of effects of our own.

    Raises `ValueError` naming the effect, the setting, what is allowed and what was given.
    """
    effects = tuple(effects)
    if len(effects) > MAX_EFFECTS:
        raise ValueError(f"a preset carries at most {MAX_EFFECTS} effects, got {len(effects)}")
    for effect in effects:
        if effect.kind != VST3:
            _check_settings(effect)


def _check_settings(effect: Effect) -> None:
    if effect.kind not in EFFECTS:
        raise ValueError(f"unknown effect {effect.kind!r}; allowed are {', '.join(EFFECTS)}")
    allowed = {param.name: param for param in EFFECTS[effect.kind]}
    for name, value in effect.values.items():
        if name not in allowed:
            raise ValueError(
                f"{effect.kind} has no setting {name!r}; allowed are {', '.join(allowed)}"
            )
        low, high, unit = allowed[name].low, allowed[name].high, allowed[name].unit
        if not low <= value <= high:
            raise ValueError(
                f"{effect.kind} {name} must be in range {low:g}..{high:g} {unit}".rstrip()
                + f", got {value:g}"
            )


def fm(
    *, operators: int | None = None, matrix: str = "acyclic", voice: str = "paper"
) -> tuple[Param, ...]:
    """The knobs of `renderers.fm.renderer` with this many operators, this matrix and this voice.

    Raises `ValueError`.
    """
    _check_voice(voice, VOICES)
    if matrix not in MATRICES:
        raise ValueError(f"matrix must be acyclic, free or dx7:1 .. dx7:32, got {matrix!r}")
    dx7 = matrix.startswith("dx7:")
    count = (6 if dx7 else 4) if operators is None else operators
    if count not in OPERATORS or (dx7 and count != 6):
        allowed = f"6 for {matrix}" if dx7 else "in 1..8"
        raise ValueError(f"operators must be {allowed}, got {operators}")
    everyone = range(1, count + 1)
    if dx7:
        edges, carriers = _algorithm(int(matrix[4:]))
    else:
        free = matrix == "free"
        edges = frozenset((v, w) for v in everyone for w in everyone if free or w <= v)
        carriers = frozenset(everyone)
    params: list[Param] = []
    for v in everyone:
        params += [
            Param(f"op{v}_ratio", 0.25, 16.0, "x note", "log"),
            Param(f"op{v}_attack", 0.001, 2.0, "s", "log"),
            Param(f"op{v}_decay", 0.02, 10.0, "s", "log"),
        ]
        if voice == "full":
            params += [
                Param(f"op{v}_detune", -20.0, 20.0, "cent"),
                Param(f"op{v}_sustain", 0.0, 1.0),
                Param(f"op{v}_release", 0.005, 5.0, "s", "log"),
            ]
        if v in carriers:
            params.append(Param(f"op{v}_mix", 0.0, 1.0))
        for w in everyone:
            if (v, w) in edges:
                most = FEEDBACK if w == v and matrix != "free" else TOP_INDEX if dx7 else INDEX
                params.append(Param(f"op{v}_from_op{w}", 0.0, most, "rad"))
    if voice == "full":
        params += MOVEMENT
    params.append(Param("level", 0.01, 1.0, "x", "log"))
    return tuple(params)


def _check_voice(voice: str, allowed: tuple[str, ...]) -> None:
    if voice not in allowed:
        raise ValueError(f"voice must be {' or '.join(allowed)}, got {voice!r}")


@lru_cache(maxsize=TABLES)
def fm_of(names: frozenset[str]) -> tuple[Param, ...]:
    """The knobs of the FM renderer that a preset with these value names asks for.

    As many operators as any name says, the full voice where any name is of that: what is missing
    then has a name.
    """
    operators = _highest(r"op(\d+)_", names)
    if operators not in OPERATORS:
        raise ValueError(f"an fm preset has op1_ratio up to op8_ratio, got {operators} operators")
    found = (re.fullmatch(r"op(\d)_from_op(\d)", name) for name in names)
    edges = frozenset((int(m[1]), int(m[2])) for m in found if m)
    heard = (re.fullmatch(r"op(\d)_mix", name) for name in names)
    carriers = frozenset(int(m[1]) for m in heard if m)
    voice = _voice_of(names, MOVEMENT)
    if operators == 6:
        for n in ALGORITHMS:
            if (edges, carriers) == _algorithm(n):
                return fm(matrix=f"dx7:{n}", voice=voice)
    return fm(operators=operators, matrix="free" if (1, 2) in edges else "acyclic", voice=voice)


@cache
def _algorithm(number: int) -> tuple[frozenset[tuple[int, int]], frozenset[int]]:
    """Edges (modulated, modulator) and carriers of a DX7 algorithm, its loop as self-feedback."""
    plan = ALGORITHMS[number]
    back_to = plan.feedback[1]
    edges = frozenset((v, w) for w, v in plan.edges) | {(back_to, back_to)}
    return edges, frozenset(plan.carriers)


def impact(*, modes: int = 256, bands: int = 32, voice: str = "paper") -> tuple[Param, ...]:
    """The knobs of `renderers.impact.renderer` with this many modes and bands and this voice.

    Raises `ValueError`.
    """
    _check_voice(voice, IMPACT_VOICES)
    if modes not in MODES:
        raise ValueError(f"modes must be in 1..2048, got {modes}")
    if bands not in BANDS:
        raise ValueError(f"bands must be in 1..64, got {bands}")
    params: list[Param] = []
    for n in range(1, modes + 1):
        params += [
            Param(f"mode{n:03d}_hz", 30.0, 16000.0, "Hz", "log"),
            Param(f"mode{n:03d}_gain", 1e-4, 1.0, "x", "log"),
            Param(f"mode{n:03d}_decay", 0.01, 10.0, "s", "log"),
        ]
    for m in range(1, bands + 1):
        params += [
            Param(f"band{m:02d}_gain", 1e-4, 1.0, "x", "log"),
            Param(f"band{m:02d}_decay", 0.02, 6.0, "s", "log"),
        ]
        if voice == "audio-sds":
            params.append(Param(f"band{m:02d}_hz", 20.0, 20000.0, "Hz", "log"))
    if voice == "full":
        params += STRIKE
    params += [
        Param("tune", 0.25, 4.0, "x", "log"),
        Param("ring", 0.25, 4.0, "x", "log"),
        Param("dry", 0.0, 1.0),
        Param("level", 0.003, 3.0, "x", "log"),
    ]
    return tuple(params)


@lru_cache(maxsize=TABLES)
def impact_of(names: frozenset[str]) -> tuple[Param, ...]:
    """The knobs of the impact renderer that a preset with these value names asks for."""
    modes, bands = impact_counts(names)
    if modes not in MODES or bands not in BANDS:
        raise ValueError(
            "an impact preset has mode001_hz up to mode2048_hz and band01_gain up to band64_gain,"
            f" got {modes} modes and {bands} bands"
        )
    voice = "audio-sds" if has_centres(names) else _voice_of(names, STRIKE)
    return impact(modes=modes, bands=bands, voice=voice)


def has_centres(names: Iterable[str]) -> bool:
    """Whether values of these names are of the impact voice "audio-sds": bands have centres."""
    return any(re.fullmatch(r"band\d+_hz", name) for name in names)


def impact_counts(names: Iterable[str]) -> tuple[int, int]:
    """How many modes and bands an impact patch with these value names has."""
    names = tuple(names)
    return _highest(r"mode(\d+)_", names), _highest(r"band(\d+)_", names)


def _highest(pattern: str, names: Iterable[str]) -> int:
    """The highest number that the pattern finds at the start of a name; 0 where there is none."""
    return max((int(m[1]) for name in names if (m := re.match(pattern, name))), default=0)


def _voice_of(names: frozenset[str], full: Iterable[Param]) -> str:
    return "full" if any(param.name in names for param in full) else "paper"


_TABLES = {"fm": fm_of, "impact": impact_of}


def _some(names: Iterable[str]) -> str:
    listed = sorted(names)
    return ", ".join(listed[:8]) + (", ..." if len(listed) > 8 else "")
