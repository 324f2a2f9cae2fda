"""Faust source of a patch: the same arithmetic sample for sample, for any Faust target.

`freq`, `gain` and `gate` make it an instrument of eight voices wherever Faust has polyphony. FM is
our recursion: `~` is exactly the one-sample delay of u[t-1]. A full voice (`faust_full`) hears the
gate's end. An impact is our modes as rotating phasors in a room of new noise: modes are linear, so
the room's impulse response excites them and no convolution is needed.
"""

from __future__ import annotations

import math
import re

from presets.export import faust_full, laws
from presets.export.base import Exported, Exporter, Source, without_effects
from presets.export.faust_parts import centres, listed, noise, number, sides
from presets.params import Note
from presets.preset import Preset
from presets.ranges import has_centres

# `trigger` is 1 on the first sample of a note, `n` counts samples from there, `up` those since its
# key was let go, `key` is its gain by our law. `heard` fades a partial out below Nyquist.
HEAD = """// {name}
// Made by Scorewire. Play it with freq (Hz), gain (velocity / 127) and gate.
declare name "{name}";
declare options "[midi:on][nvoices:8]";
import("stdfaust.lib");

freq = hslider("freq[unit:Hz]", {hz}, 8, 20000, 0.001);
gain = hslider("gain", {gain}, 0, 1, 0.001);
gate = button("gate");

trigger = gate > gate';
n = (+(1) : *(1 - trigger)) ~ _;
t = n / ma.SR;
playing = max(gate > 0) ~ _;
up = (+(1) : *(gate <= 0)) ~ _;
key = playing * (1.27 * gain)^2{fading};
heard(f) = x*x*(3 - 2*x) with {{ x = (0.5*ma.SR - f) / (0.05*ma.SR) : max(0) : min(1); }};
"""

# What hears no release fades by a slider: in seconds, to -60 dB.
FADING = " * exp(0 - log(1000) * up / (release * ma.SR))"
SLIDER = """
release = hslider("release[unit:s]", {release}, 0.01, 30, 0.01);
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
IMPACT = """
// modes struck by an impulse and by a room of decaying noise bands
{noise}
k = freq / {middle};
mode(hz, g, t60) = _ : (rotate ~ (_, _)) : !, *(g * heard(hz * k)) with {{
  w = 2 * ma.PI * hz * k / ma.SR;
  z = log(1000) / (t60 * ma.SR);
  c = 2 * exp(0 - z/2) * ma.sinh(z/2) + 2 * exp(0 - z) * sin(w/2)^2;
  s = exp(0 - z) * sin(w);
  rotate(x, y, e) = x - (c*x + s*y) + e, y - (c*y - s*x);
}};
tail(g, t60) = *(g * exp(0 - log(1000) * t / t60));
room = {bands};
excitation = {dry} * trigger + room;
process = excitation <:
{modes}
  :> *({level} * key);
"""

RELEASE = {"fm": 0.3, "impact": 3.0}  # seconds to -60 dB after the key is let go


def export(preset: Preset, source: Source, stem: str) -> Exported:
    """One .dsp file. `source` is not heard: Faust computes what our renderer computes.

    Raises `ValueError` for the impact voice "audio-sds".
    """
    if has_centres(preset.values):
        raise ValueError(
            "Faust source has bands of noise at fixed centres, and this patch moves them: export it"
            " as samples"
        )
    lost = []
    voice = laws.voice(preset.values) if preset.renderer == "fm" else None
    moving = None if voice is None else voice.movement
    if moving is None:
        lost.append("a key let go fades by the `release` slider; our own notes ring to their end")
    if voice is None or (moving is not None and moving.noise_level > 0.0):
        lost.append(
            "noise: it is another one of the same bands, loudness and decay:"
            " our own is a table of random numbers that no formula gives"
        )
    if voice is None:
        body = _impact(preset.values)
    else:
        body = _fm(voice) if moving is None else faust_full.body(voice, moving)
    head = HEAD.format(
        name=re.sub(r'[\x00-\x1f"\\\x7f]', " ", preset.name),
        hz=number(Note(preset.note).hz),
        gain=number(100 / 127),
        fading="" if moving else FADING,
    )
    if moving is None:
        head += SLIDER.format(release=RELEASE[preset.renderer])
    if "hits" in preset.values:
        lost.append("how it is struck: by an impulse here, not by a mallet, a burst or many hits")
    lost += without_effects(preset)
    return Exported({f"{stem}.dsp": (head + body).encode()}, tuple(lost))


def _fm(voice: laws.Voice) -> str:
    rows = (f"A({v}) = ({listed(row)});" for v, row in enumerate(voice.matrix))
    return FM.format(
        operators=len(voice.ratio),
        ratio=listed(voice.ratio),
        attack=listed(voice.attack),
        decay=listed(voice.decay),
        mix=listed(voice.mix),
        rows="\n".join(rows),
    )


def _impact(values: dict[str, float]) -> str:
    modes = sorted(name[:-3] for name in values if re.fullmatch(r"mode\d+_hz", name))
    bands = sorted(name[:-5] for name in values if re.fullmatch(r"band\d+_gain", name))
    struck = (
        (
            values[f"{m}_hz"] * values["tune"],
            values[f"{m}_gain"] / math.sqrt(len(modes)),
            values[f"{m}_decay"] * values["ring"],
        )
        for m in modes
    )
    room = (
        f"(noise : {side}({number(hz)}) : tail({number(values[f'{b}_gain'] * (-1) ** i)},"
        f" {number(values[f'{b}_decay'])}))"
        for i, (side, hz, b) in enumerate(
            zip(sides(len(bands)), centres(len(bands)), bands, strict=True)
        )
    )
    return IMPACT.format(
        middle=number(Note(60).hz),
        noise=noise(len(bands)),
        bands="\n  + ".join(room),
        modes=",\n".join(f"  mode({listed(m)})" for m in struck),
        dry=number(values["dry"]),
        level=number(values["level"]),
    )


EXPORTER = Exporter("Faust source", ".dsp", frozenset({"fm", "impact"}), export)
