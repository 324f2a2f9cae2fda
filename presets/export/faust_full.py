"""The Faust text of a full FM voice: envelopes that hold, pitch, LFO, noise, filter.

As `renderers.full_voice` has it: what moves is taken every 64 samples and goes in straight lines
between, and a phase is the exact integral of its frequency.
"""

from __future__ import annotations

import math

from presets.export import laws
from presets.export.faust_parts import centres, listed, noise, number, power, sides
from presets.params import Note

BANDS = 32  # of the noise
FAINT = 0.01  # of the loudest band: left out

TEXT = """
// u_v[t] = sin(phase_v + index sum_w A_vw u_w[t-1]) envelope_v
// out = filter(level (sum_v mix_v u_v + noise))
V = {operators};
ratio(i) = ba.take(i + 1, ({ratio}));
attack(i) = ba.take(i + 1, ({attack}));
decay(i) = ba.take(i + 1, ({decay}));
sustain(i) = ba.take(i + 1, ({sustain}));
release(i) = ba.take(i + 1, ({release}));
mix(i) = ba.take(i + 1, ({mix}));
{rows}

off = max(0, up - 1) / ma.SR;
falling(r, d) = exp(0 - r / (d*d)) * (1 - r / d) : max(0);
struck(t, a, d) = min(t / (a + 0.00001), falling(max(t - a, 0), d));
let_go(r) = exp(0 - 5 * x) * (1 - x) with {{ x = min(1, off / r); }};
envelope(a, d, s, r) = min(t / (a + 0.00001), s + (1 - s) * falling(max(t - a, 0), d)) * let_go(r);

// every 64 samples, and straight lines between
place = floor(n / 64);
moving(f) = f(place) + (f(place + 1) - f(place)) * (n - 64 * place) / 64;
seconds(j) = j * 64 / ma.SR;
lfo(j) = sin(2 * ma.PI * {lfo_hz} * seconds(j));
pitch(j) = {pitch};
index(j) = {index};
level(j) = {level};
slope(j) = tan(ma.PI * cutoff(j) / ma.SR);
cutoff(j) = {filter_hz} * (freq / {middle})^{filter_key} * 2^octaves(j) : max(20) : min(0.45*ma.SR);
octaves(j) = {octaves};

factor = moving(pitch);
advance = 0.5 * (factor + factor');
phase(i) = (+(ratio(i) * freq / ma.SR * advance) : *(1 - trigger) : ma.frac) ~ _;
operator(i) = par(j, V, *(ba.take(j + 1, A(i)))) :> *(moving(index)) : +(2 * ma.PI * phase(i)) : sin
            : *(envelope(attack(i), decay(i), sustain(i), release(i)) * heard(ratio(i) * freq));
voice = (si.bus(V) <: par(i, V, operator(i))) ~ si.bus(V);
{noise}
filter(x) = x, moving(slope) : (tick ~ (_, _)) : !, !, _;
tick(p, q, x, g) = 2*v1 - s1, 2*v2 - s2, {low}*v2 + {band}*k*v1 + {high}*(x - k*v1 - v2) with {{
  k = {damping};
  s1 = p * (1 - trigger);
  s2 = q * (1 - trigger);
  a1 = 1 / (1 + g*(g + k));
  v1 = a1 * s1 + g * a1 * (x - s2);
  v2 = s2 + g * a1 * s1 + g * g * a1 * (x - s2);
}};
process = (voice : par(i, V, *(mix(i))) :> _) + breath : *(moving(level)) : filter : *(key);
"""


def body(voice: laws.Voice, moving: laws.Movement) -> str:
    """What follows the head of a program: all that `voice` and what moves in it sound like."""
    rows = (f"A({v}) = ({listed(row)});" for v, row in enumerate(voice.matrix))
    side = 2.0 * moving.filter_mode - 1.0
    return TEXT.format(
        operators=len(voice.ratio),
        ratio=listed(voice.ratio),
        attack=listed(voice.attack),
        decay=listed(voice.decay),
        sustain=listed(voice.sustain),
        release=listed(voice.release),
        mix=listed(voice.mix),
        rows="\n".join(rows),
        lfo_hz=number(moving.lfo_hz),
        pitch=_pitch(moving),
        index=_dip(moving.lfo_to_index),
        level=_dip(moving.lfo_to_level),
        filter_hz=number(moving.filter_hz),
        middle=number(Note(60).hz),
        filter_key=number(moving.filter_key),
        octaves=_octaves(moving),
        noise=_noise(moving),
        low=number(max(0.0, -side)),
        band=number(1.0 - abs(side)),
        high=number(max(0.0, side)),
        damping=number(laws.resonance(moving.filter_resonance)),
    )


# What does not move is written as 1 or 0, which a compiler leaves out.
def _pitch(moving: laws.Movement) -> str:
    semitones = [
        f"{number(moving.pitch_start)} * exp(0 - seconds(j) / {number(moving.pitch_time)})"
        if moving.pitch_start
        else "",
        f"{number(moving.lfo_to_pitch)} * lfo(j)" if moving.lfo_to_pitch else "",
    ]
    moved = " + ".join(part for part in semitones if part)
    return f"2^(({moved}) / 12)" if moved else "1"


def _dip(depth: float) -> str:
    return f"1 - {number(depth)} * (1 - lfo(j)) / 2" if depth else "1"


def _octaves(moving: laws.Movement) -> str:
    times = listed((moving.filter_attack, moving.filter_decay))
    octaves = [
        f"{number(moving.filter_env)} * struck(seconds(j), {times})" if moving.filter_env else "",
        f"{number(moving.lfo_to_filter)} * lfo(j)" if moving.lfo_to_filter else "",
    ]
    return " + ".join(part for part in octaves if part) or "0"


def _noise(moving: laws.Movement) -> str:
    """`breath`: bands of noise, weighted by a bell over octaves, at unit power times its level."""
    if moving.noise_level == 0.0:
        return "breath = 0;"
    far = [2.0 * math.log2(hz / moving.noise_hz) / moving.noise_width for hz in centres(BANDS)]
    nearest = min(x * x for x in far)
    bells = [math.exp(-0.5 * (x * x - nearest)) for x in far]
    weights = [w * (-1) ** m if w > FAINT else 0.0 for m, w in enumerate(bells)]
    gain = laws.NOISE_LEVEL * moving.noise_level / math.sqrt(power(weights)) / 44100.0
    rows = zip(sides(BANDS), centres(BANDS), weights, strict=True)
    parts = (f"(noise : {side}({number(hz)}) : *({number(w)}))" for side, hz, w in rows if w)
    times = listed(
        (moving.noise_attack, moving.noise_decay, moving.noise_sustain, moving.noise_release)
    )
    bands = "\n  + ".join(parts)
    return f"{noise(BANDS)}breath = {number(gain)} * ma.SR * envelope({times}) * (\n  {bands});\n"
