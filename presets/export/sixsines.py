"""Six Sines, a free synth whose six operators modulate each other as ours do: a `.sxsnp` patch.

Any graph without loops fits, with self-feedback, and every edge has its own envelope, which holds
and is let go as ours is: of the operators almost nothing is lost. Facts of the format: six-sines,
`src/synth/patch.h` (patch version 12). An index of 4 pi radians is a depth of 1, feedback of pi / 2
radians a level of 1, a time of t seconds (ln(1000 t + 2) - ln 2) / 9.4336.
"""

from __future__ import annotations

import math
from itertools import permutations
from xml.sax.saxutils import quoteattr

from presets.export import laws
from presets.export.base import Exported, Exporter, Source, without_effects
from presets.export.samples import one_line
from presets.params import Note
from presets.preset import Preset

OPERATORS = 6
STEEPEST = 8.0  # of a bent decay, at a shape of -1
RELEASE = 0.3  # seconds, of notes that ring to their end
RELEASE_BEND = 6.2  # of a bent release, as deep as ours at -20 dB
MAIN = 500
MAIN_ENVELOPE, VELOCITY = 502, 522


def export(preset: Preset, source: Source, stem: str) -> Exported:
    """One .sxsnp file: XML, parameters by number, the rest at their defaults."""
    whole = laws.voice(preset.values)
    kept, dropped = _order(whole)
    voice = laws.part(whole, kept)
    heard = [laws.fade(r * Note(preset.note).hz, source.rate) for r in voice.ratio]
    values = {MAIN: 1.0, VELOCITY: 1.0, **_main_envelope(MAIN_ENVELOPE, voice)}
    for v, ratio in enumerate(voice.ratio):
        envelope = _envelope(voice, v)
        values |= {1500 + 250 * v: math.log2(ratio), 1501 + 250 * v: 1.0}
        values |= _node(20000 + 100 * v, voice.mix[v] * heard[v], envelope)
        values |= _node(10000 + 100 * v, voice.matrix[v][v] * heard[v] / (math.pi / 2), envelope)
        for t in range(v + 1, len(kept)):
            index = voice.matrix[t][v] * heard[v] / (4 * math.pi)
            values |= _node(30000 + 200 * (t * (t - 1) // 2 + v), index, envelope)
    lines = "".join(f'<p id="{i}" v="{value:.6f}" />' for i, value in sorted(values.items()))
    head = (
        f'<patch id="org.baconpaul.six-sines" version="12" name={quoteattr(one_line(preset.name))}>'
    )
    text = f"{head}<params>{lines}</params></patch>\n"
    faded = laws.fade_losses(whole.ratio, Note(preset.note), source.rate)
    return Exported({f"{stem}.sxsnp": text.encode()}, (*dropped, *faded, *_always(preset, whole)))


# Numbers of an envelope, from its first: 0 delay, 1 attack, 2 hold, 3 decay, 4 sustain, 5 release,
# 6 on, 7 to 9 shapes of attack, decay and release, 12 run to the end whatever the key does.
def _envelope(voice: laws.Voice, v: int) -> dict[int, float]:
    seconds, steep = laws.bent(voice.decay[v], limit=STEEPEST)
    attack = voice.attack[v] + laws.ATTACK_FLOOR
    rising = {1: _time(attack), 3: _time(seconds), 4: voice.sustain[v], 8: _shape(steep)}
    if voice.movement is None:
        return rising | {5: _time(RELEASE), 12: 1.0}
    return rising | {5: _time(voice.release[v]), 9: _shape(RELEASE_BEND), 12: 0.0}


def _shape(steep: float) -> float:
    return -math.copysign(math.sqrt(abs(steep) / STEEPEST), steep)


def _main_envelope(base: int, voice: laws.Voice) -> dict[int, float]:
    """The main envelope, open while the key is down and nodes let go: ours are in the nodes."""
    release = RELEASE if voice.movement is None else max(voice.release)
    fading = {} if voice.movement is None else {base + 9: 1.0}  # late, as a bend the other way
    return {base + 1: 0.0, base + 3: 0.0, base + 4: 1.0, base + 5: _time(release)} | fading


def _node(base: int, level: float, envelope: dict[int, float]) -> dict[int, float]:
    """A level with its switch and its envelope; the first operator's mix is on unless told."""
    if level == 0.0:
        return {base + 1: 0.0}
    return {base: level, base + 1: 1.0, **{base + 2 + i: x for i, x in envelope.items()}}


def _time(seconds: float) -> float:
    """The position 0..1 of a time of at most 25 seconds."""
    position = (math.log(1000.0 * seconds + 2.0) - math.log(2.0)) / 9.4335641861
    return min(1.0, position)


def _order(voice: laws.Voice) -> tuple[tuple[int, ...], list[str]]:
    """At most six operators, modulators first, that lose as little index as possible, and what."""
    weight = laws.importance(voice)
    ranked = sorted(range(len(weight)), key=lambda v: -weight[v])
    lost = [
        f"operator {v + 1}: Six Sines has {OPERATORS}, this one matters least"
        for v in sorted(ranked[OPERATORS:])
    ]

    def backwards(order: tuple[int, ...]) -> list[tuple[int, int]]:
        pairs = ((v, w) for i, v in enumerate(order) for w in order[i + 1 :])
        return [(v, w) for v, w in pairs if voice.matrix[v][w] > 0.0]

    def cost(order: tuple[int, ...]) -> float:
        return sum(weight[v] * voice.matrix[v][w] for v, w in backwards(order))

    kept = min(permutations(sorted(ranked[:OPERATORS])), key=cost)
    lost += [
        f"op{v + 1}_from_op{w + 1} = {voice.matrix[v][w]:.2f} rad: it closes a loop,"
        " and Six Sines has none"
        for v, w in backwards(kept)
    ]
    return kept, lost


def _always(preset: Preset, voice: laws.Voice) -> list[str]:
    moving = voice.movement
    lost = []
    if moving is None:
        lost.append(f"a key let go fades in {RELEASE} s; our own notes ring to their end")
    else:
        for what, is_there in (
            ("noise", moving.noise_level > 0.0),
            ("filter", laws.filters(moving)),
            ("pitch envelope", moving.pitch_start != 0.0),
            ("LFO", laws.lfo_cycle(voice) > 0.0),
        ):
            lost += [f"{what}: it is not in the file"] if is_there else []
    return [
        "velocity: loudness follows it in proportion, ours with its square",
        "feedback is the mean of two samples at the synth's own rate, ours the last sample",
        *lost,
        *without_effects(preset),
    ]


EXPORTER = Exporter("Six Sines patch", ".sxsnp", frozenset({"fm"}), export)
