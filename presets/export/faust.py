"""Faust source of a patch: the same arithmetic sample for sample, for any Faust target.

`freq`, `gain` and `gate` make it an instrument of eight voices wherever Faust has polyphony. FM is
our recursion: `~` is exactly the one-sample delay of u[t-1]. An impact is our modes as rotating
phasors in a room of new noise: modes are linear, so the room's impulse response excites them and
no convolution is needed.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable

from presets.export import laws
from presets.export.base import Exported, Exporter, Source, without_effects
from presets.params import Note
from presets.preset import Preset

# `trigger` is 1 on a note's first sample, `n` counts samples from there, `key` is the note's gain,
# by our law, which fades when the key is let go. `heard` fades a partial out below Nyquist.
HEAD = """// {name}
// Made by Scorewire. Play it with freq (Hz), gain (velocity / 127) and gate.
declare name "{name}";
declare options "[midi:on][nvoices:8]";
import("stdfaust.lib");

freq = hslider("freq[unit:Hz]", {hz}, 8, 20000, 0.001);
gain = hslider("gain", {gain}, 0, 1, 0.001);
gate = button("gate");
release = hslider("release[unit:s]", {release}, 0.01, 30, 0.01);

trigger = gate > gate';
n = (+(1) : *(1 - trigger)) ~ _;
t = n / ma.SR;
playing = max(gate > 0) ~ _;
up = (+(1) : *(gate <= 0)) ~ _;
key = playing * (1.27 * gain)^2 * exp(0 - log(1000) * up / (release * ma.SR));
heard(f) = x*x*(3 - 2*x) with {{ x = (0.5*ma.SR - f) / (0.05*ma.SR) : max(0) : min(1); }};
"""

FM = """
// u_v[t] = sin(phase_v + sum_w A_vw u_w[t-1]) envelope_v, out = sum_v mix_v u_v
V = {operators};
ratio(i) = ba.take(i + 1, ({ratio}));
attack(i) = ba.take(i + 1, ({attack}));
decay(i) = ba.take(i + 1, ({decay}));
mix(i) = ba.take(i + 1, ({mix}));
{rows}
phase(i) = (+(ratio(i) * freq / ma.SR) : *(1 - trigger) : ma.frac) ~ _;
falling(r, d) = exp(0 - r / (d*d)) * (1 - r / d);
envelope(a, d) = min(t / (a + 0.00001), falling(max(t - a, 0), d)) : max(0);
operator(i) = par(j, V, *(ba.take(j + 1, A(i)))) :> +(2 * ma.PI * phase(i)) : sin
            : *(envelope(attack(i), decay(i)) * heard(ratio(i) * freq));
voice = (si.bus(V) <: par(i, V, operator(i))) ~ si.bus(V);
process = voice : par(i, V, *(mix(i))) :> *(key);
"""

# A mode is z[n] = r exp(i w) z[n-1] + excitation, heard as Im z, written as differences from 1:
# r cos w = 1 - c, where c is small and never computed by subtracting from 1. So a low mode that
# rings long keeps its pitch and its decay in single precision too.
# A band is two equal band-passes whose joint gain is 1/2 half-way to its neighbours, where both
# are a quarter of a turn off and meet in opposite phase: every second band is turned over. The
# outer bands reach to the ends, as ours do, with slopes that meet their neighbours' likewise.
IMPACT = """
// modes struck by an impulse and by a room of decaying noise bands
lcg = (*(1103515245) : *(1 - trigger) : +(12345)) ~ _;
noise = playing * lcg / 2147483647.0 * sqrt(30.0 / ma.SR);
k = freq / {middle};
mode(hz, g, t60) = _ : (rotate ~ (_, _)) : !, *(g * heard(hz * k)) with {{
  w = 2 * ma.PI * hz * k / ma.SR;
  z = log(1000) / (t60 * ma.SR);
  c = 2 * exp(0 - z/2) * ma.sinh(z/2) + 2 * exp(0 - z) * sin(w/2)^2;
  s = exp(0 - z) * sin(w);
  rotate(x, y, e) = x - (c*x + s*y) + e, y - (c*y - s*x);
}};
tail(g, t60) = *(g * exp(0 - log(1000) * t / t60));
whole(f, g, t60) = noise : tail(g, t60);
low_end(f, g, t60) = noise : cut : cut : tail(g, t60) with {{ cut = fi.lowpass(1, f * {edge}); }};
high_end(f, g, t60) = noise : cut : cut : tail(g, t60) with {{ cut = fi.highpass(1, f / {edge}); }};
band(f, g, t60) = noise : pass : pass : tail(g, t60) with {{
  w = 2 * ma.PI * f / ma.SR;
  a = sin(w) * {narrow};
  pass = fi.tf2(a/(1 + a), 0, 0 - a/(1 + a), 0 - 2*cos(w)/(1 + a), (1 - a)/(1 + a));
}};
room = {bands};
excitation = {dry} * trigger + room;
process = excitation <:
{modes}
  :> *({level} * key);
"""

RELEASE = {"fm": 0.3, "impact": 3.0}  # seconds to -60 dB after the key is let go
LOWEST_BAND, HIGHEST_BAND = 40.0, 16000.0  # Hz, centres: those of our impact renderer


def export(preset: Preset, source: Source, stem: str) -> Exported:
    """One .dsp file. `source` is not heard: Faust computes what our renderer computes."""
    head = HEAD.format(
        name=re.sub(r'[\x00-\x1f"\\\x7f]', " ", preset.name),
        hz=_number(Note(preset.note).hz),
        gain=_number(100 / 127),
        release=RELEASE[preset.renderer],
    )
    lost = ["a key let go fades by the `release` slider; our own notes ring to their end"]
    if preset.renderer == "fm":
        body = _fm(preset.values)
    else:
        body = _impact(preset.values)
        lost.append(
            "the room's noise is another one of the same bands, loudness and decay:"
            " our own is a table of random numbers that no formula gives"
        )
    lost += without_effects(preset)
    return Exported({f"{stem}.dsp": (head + body).encode()}, tuple(lost))


def _fm(values: dict[str, float]) -> str:
    voice = laws.voice(values)
    rows = (f"A({v}) = ({_list(row)});" for v, row in enumerate(voice.matrix))
    return FM.format(
        operators=len(voice.ratio),
        ratio=_list(voice.ratio),
        attack=_list(voice.attack),
        decay=_list(voice.decay),
        mix=_list(voice.mix),
        rows="\n".join(rows),
    )


def _impact(values: dict[str, float]) -> str:
    modes = sorted(name[:-3] for name in values if re.fullmatch(r"mode\d+_hz", name))
    bands = sorted(name[:-5] for name in values if re.fullmatch(r"band\d+_gain", name))
    spacing = math.log(HIGHEST_BAND / LOWEST_BAND) / max(1, len(bands) - 1)
    struck = (
        (
            values[f"{m}_hz"] * values["tune"],
            values[f"{m}_gain"] / math.sqrt(len(modes)),
            values[f"{m}_decay"] * values["ring"],
        )
        for m in modes
    )
    sides = ["low_end", *["band"] * (len(bands) - 2), "high_end"] if len(bands) > 1 else ["whole"]
    room = (
        (
            LOWEST_BAND * math.exp(spacing * i),
            values[f"{b}_gain"] * (-1) ** i,
            values[f"{b}_decay"],
        )
        for i, b in enumerate(bands)
    )
    return IMPACT.format(
        middle=_number(Note(60).hz),
        narrow=_number(math.sinh(spacing / 2)),  # 1 / (2 Q): a gain of 1/2 at spacing / 2
        edge=_number(math.exp(spacing / 2)),
        bands=" + ".join(f"{side}({_list(b)})" for side, b in zip(sides, room, strict=True)),
        modes=",\n".join(f"  mode({_list(m)})" for m in struck),
        dry=_number(values["dry"]),
        level=_number(values["level"]),
    )


def _number(x: float) -> str:
    return repr(float(x))


def _list(numbers: Iterable[float]) -> str:
    return ", ".join(map(_number, numbers))


EXPORTER = Exporter("Faust source", ".dsp", frozenset({"fm", "impact"}), export)
