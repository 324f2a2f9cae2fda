"""A patch as samples over keys and velocities: the one map that every sampler format writes down.

Our level follows (velocity / 100)^2, and so does that of SFZ and SoundFont but for a constant. So a
sample is kept at the level at which (v / 127)^2 brings it to ours: exact at its own velocity, and
everywhere else too unless an effect of the preset depends on level. Only then are there layers.

A patch that holds while its key is down is sampled held, until it changes no more, and ends in a
loop. What lets go of its key fades by the sampler's envelope; a voice of the paper and an impact
hear no release, and are one-shots.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from presets.export import laws
from presets.export.audio import wav
from presets.export.base import Source
from presets.params import Note
from presets.preset import Preset

SPAN = 30  # keys sampled on either side of the preset's own
STEPS = (3, 4, 6, 12)  # semitones between samples, the first that fits
PEAK = 10 ** (-1 / 20)  # -1 dBFS, of the loudest sample
BUDGET = 32_000_000  # bytes of audio in one export
SHARED = "samples"  # folder of a bundle for the formats that play the same WAV files
BYTES = 3  # a sample, at most
CUT = 59.9  # seconds: no source is heard for longer than 60
LOOPED = 1.8  # seconds sampled behind the moment from which a held sound is looped
SLOWEST = 5.0  # seconds of an LFO's cycle that a loop has room for
TAIL = 1.0  # seconds that effects take to settle too

# effects whose sound depends on level; of a plugin that is not known
NONLINEAR = {"Bitcrush", "Clipping", "Compressor", "Distortion", "Limiter", "NoiseGate", "VST3"}
# velocity sampled, lowest and highest played; presets are designed at 100
ONE_LAYER = ((100, 1, 127),)
LAYERS = ((35, 1, 49), (70, 50, 84), (100, 85, 127))


@dataclass(frozen=True, slots=True)
class Zone:
    """The sample of `note` times `gain`, and the keys and velocities that play it, inclusive.

    `loop` is its first sample and the one behind its last, which the file then ends with.
    """

    note: Note
    keys: tuple[int, int]
    velocities: tuple[int, int]
    gain: float
    loop: tuple[int, int] | None = None

    @property
    def root(self) -> int:
        """The MIDI key at which the sample sounds as it was rendered."""
        return round(self.note.number)


@dataclass(frozen=True, slots=True)
class Map:
    """Zones that cover every key and velocity once, how long each is, what is lost in them.

    `level` times the samples is our loudness: they are kept as loud as they can be. `release` in
    seconds is what a key let go fades in; infinity: it does not hear that.
    """

    zones: tuple[Zone, ...]
    seconds: float
    level: float
    release: float
    lost: tuple[str, ...]


def sample_map(preset: Preset, source: Source) -> Map:
    """The samples of a preset, those of its own key first. Renders all of them once."""
    voice = _voice(preset)
    start = _settled(preset, voice) if voice is not None and laws.holds(voice) else None
    every = 0.0 if voice is None else _every(voice)
    length = source.seconds if start is None else start + max(LOOPED, 1.2 * every)
    layers = LAYERS if any(e.kind in NONLINEAR for e in preset.effects) else ONE_LAYER
    second = source.rate * source.channels * BYTES
    step, roots = STEPS[-1], _roots(preset.note, STEPS[-1])
    for step in STEPS:
        roots = _roots(preset.note, step)
        if len(roots) * len(layers) * length * second <= BUDGET:
            break
    seconds = min(length, BUDGET / (len(roots) * len(layers) * second))
    law = {velocity: (127 / velocity) ** 2 for velocity, _, _ in layers}
    notes = [Note(root, velocity) for root in roots for velocity in law]
    loudest = max(source.peak(note, seconds) * law[note.velocity] for note in notes)
    loops: dict[Note, tuple[int, int]] = {}
    if start is not None:
        start = min(start, max(0.0, seconds - max(LOOPED, 1.2 * every)))
        loops = {note: source.loop(note, seconds, start=start, every=every) for note in notes}
    zones = [
        Zone(
            note := Note(root, velocity),
            _keys(roots, root),
            (low, high),
            law[velocity] * PEAK / loudest,
            loops.get(note),
        )
        for root in roots
        for velocity, low, high in layers
    ]
    zones.sort(key=lambda zone: (abs(zone.root - preset.note), -zone.note.velocity))
    lost = _lost(preset, source, step, roots, layers)
    lost += _cut(source, seconds) if start is None else _loop_losses(voice, length, seconds)
    release = math.inf if voice is None else laws.release_of(voice)
    if release < math.inf and preset.effects:
        lost.append("the effects' own tail: it ends with a key that is let go")
    return Map(tuple(zones), seconds, loudest / PEAK, release, tuple(lost))


def _voice(preset: Preset) -> laws.Voice | None:
    """The laws of an FM preset that plays its notes itself."""
    instrument = any(e.plugin is not None and e.plugin.instrument for e in preset.effects)
    return None if preset.renderer != "fm" or instrument else laws.voice(preset.values)


def _settled(preset: Preset, voice: laws.Voice) -> float:
    return laws.settled(voice) + (TAIL if preset.effects else 0.0)


def _every(voice: laws.Voice) -> float:
    """Seconds of the LFO's cycle, if it moves anything and a loop has room for it; else 0."""
    cycle = laws.lfo_cycle(voice)
    return cycle if cycle <= SLOWEST else 0.0


def wavs(plan: Map, source: Source, folder: str, stem: str) -> dict[str, bytes]:
    """The zones as 24-bit WAV files by path, in the order of the zones: see `file_name`."""
    return {
        folder + file_name(plan, zone, stem): wav(
            source.pcm(zone.note, plan.seconds, bits=24, gain=zone.gain, loop=zone.loop),
            rate=source.rate,
            channels=source.channels,
            bits=24,
            root=zone.root,
            loop=zone.loop,
        )
        for zone in plan.zones
    }


def file_name(plan: Map, zone: Zone, stem: str) -> str:
    """`bell_057.wav`, or `bell_057_v100.wav` where there are layers."""
    layered = any(zone.velocities != other.velocities for other in plan.zones)
    layer = f"_v{zone.note.velocity:03d}" if layered else ""
    return f"{stem}_{zone.root:03d}{layer}.wav"


def folder_name(stem: str) -> str:
    """Where SFZ, Decent Sampler and plain WAV keep the samples: the same files for all three."""
    return f"{stem}_samples/"


def one_line(text: str) -> str:
    """Text without line breaks and control characters, which XML for one cannot hold."""
    return "".join(c for c in " ".join(text.split()) if c.isprintable())


def _roots(note: float, step: int) -> list[int]:
    middle = round(note)
    first, last = max(0, middle - SPAN), min(127, middle + SPAN)
    return [key for key in range(first, last + 1) if (key - middle) % step == 0]


def _keys(roots: list[int], root: int) -> tuple[int, int]:
    """Half way to the neighbours; to the ends of the keyboard from the outermost."""
    i = roots.index(root)
    low = 0 if i == 0 else (roots[i - 1] + root) // 2 + 1
    high = 127 if i == len(roots) - 1 else (root + roots[i + 1]) // 2
    return low, high


def _lost(
    preset: Preset,
    source: Source,
    step: int,
    roots: list[int],
    layers: tuple[tuple[int, int, int], ...],
) -> list[str]:
    change = 100 * (2 ** ((step // 2) / 12) - 1)
    lost = [
        "the patch itself: its knobs are baked into samples",
        f"keys between samples: every {step} semitones from {roots[0]} to {roots[-1]} is sampled,"
        f" others are repitched, which changes their times by up to {change:.0f} %"
        " (more beyond the ends)",
    ]
    if preset.note != round(preset.note):
        lost.append(
            f"the patch's own note {preset.note:g}: keys are whole, {round(preset.note)} is sampled"
        )
    if len(layers) > 1:
        sampled = ", ".join(str(velocity) for velocity, _, _ in layers)
        lost.append(
            "effects that depend on level: sampled at velocities "
            f"{sampled}, between them only the level changes"
        )
    return lost


def _cut(source: Source, seconds: float) -> list[str]:
    if seconds < source.seconds:
        return [f"the end: cut at {seconds:.1f} s of {source.seconds:.1f} s to bound the size"]
    if seconds > CUT:
        return ["the end: cut at 60 s, where the sound still goes on"]
    return []


def _loop_losses(voice: laws.Voice | None, length: float, seconds: float) -> list[str]:
    lost = ["a held key: it goes round in a loop from where the sound has settled"]
    if seconds < length:
        lost.append(f"what changes after {seconds:.1f} s: looped before, to bound the size")
    if voice is None:
        return lost
    if (cycle := laws.lfo_cycle(voice)) > SLOWEST:
        lost.append(f"the LFO: its cycle of {cycle:.1f} s is longer than the loop")
    heard = [r for r, mix in zip(voice.release, voice.mix, strict=True) if mix > 0.0]
    if heard and max(heard) > 1.1 * min(heard):
        mean = laws.release_of(voice)
        lost.append(f"the operators' own releases: {mean:.2g} s for all of them")
    return lost
