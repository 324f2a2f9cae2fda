"""The `.vital` file itself: JSON, of which only what differs from Vital's defaults is written.

A `Patch` collects oscillators, curves (LFOs that run once), LFOs, a sample and links between them.
`wavetable_patch` is the whole preset of a sound whose periods are known: one oscillator that scans
them in time.
"""

from __future__ import annotations

import base64
import json
import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

VERSION = "1.0.7"  # released versions refuse what says it is newer than they are
OSCILLATORS = 3
SIZE = 2048  # samples of a wave
FRAMES, LAST_FRAME = 128, 254.0  # of a baked wavetable: every second of Vital's
LAG = 0.0095  # seconds by which Vital's frames come behind what moves them
POINTS = 60  # of a curve, of at most 100
CURVES = 8  # LFOs in all
ONCE, AGAIN, SECONDS = 2.0, 0.0, 0.0  # how an LFO is triggered, and its unit of time
LOUDEST = 7399.4404  # of the volume knob: the square of dB above -80
DIRECT = 4.0  # an oscillator's way past filters and effects
RELEASE = 0.3  # seconds
# of the release, whose square our release is at -20 dB: (e^(c (1 - t)) - 1) / (e^c - 1), t / T
RELEASE_POWER = -2.8
SILENT = {"name": "", "length": 1, "sample_rate": 44100, "samples": "AAA="}


@dataclass
class Patch:
    """A preset in the making: settings by name, and the lists beside them."""

    settings: dict[str, Any] = field(default_factory=dict)
    waves: list[dict[str, Any]] = field(default_factory=list)
    curves: list[dict[str, Any]] = field(default_factory=list)
    links: list[dict[str, str]] = field(default_factory=list)
    samples: dict[str, Any] = field(default_factory=dict)
    gain: float = 1.0
    sine_name: str = ""

    def room(self) -> bool:
        """Whether there is room for one more curve."""
        return len(self.curves) < CURVES

    def curve(self, points: Sequence[tuple[float, float]]) -> str:
        """Add an LFO that runs once through (seconds, value 0..1) and holds; its name."""
        seconds = points[-1][0]
        shape = [(t / seconds, value) for t, value in points]
        return self._add(shape, -math.log2(seconds), ONCE)

    def lfo(self, wave: Sequence[float], hz: float) -> str:
        """Add an LFO that begins its wave of values 0..1 with each note; its name."""
        shape = [(i / (len(wave) - 1), value) for i, value in enumerate(wave)]
        return self._add(shape, math.log2(hz), AGAIN)

    def sine(self, hz: float) -> str:
        """The LFO that is a sine, added when it is asked for first; "" when there is no room."""
        if not self.sine_name and self.room():
            wave = [0.5 + 0.5 * math.sin(2.0 * math.pi * i / 64) for i in range(65)]
            self.sine_name = self.lfo(wave, hz)
        return self.sine_name

    def _add(self, shape: Sequence[tuple[float, float]], frequency: float, kind: float) -> str:
        flat = [x for t, value in shape for x in (t, 1.0 - value)]
        name = f"lfo_{len(self.curves) + 1}"
        self.curves.append(
            {
                "name": name,
                "num_points": len(shape),
                "points": flat,
                "powers": [0.0] * len(shape),
                "smooth": False,
            }
        )
        self.settings |= {
            f"{name}_frequency": frequency,
            f"{name}_sync": SECONDS,
            f"{name}_sync_type": kind,
            f"{name}_smooth_mode": 0.0,
            f"{name}_smooth_time": -10.0,
        }
        return name

    def link(self, source: str, destination: str, amount: float, *, bipolar: bool = False) -> str:
        """Let `source` move `destination`; what the link's own amount is called."""
        self.links.append({"source": source, "destination": destination})
        name = f"modulation_{len(self.links)}"
        self.settings[f"{name}_amount"] = amount
        if bipolar:
            self.settings[f"{name}_bipolar"] = 1.0
        return f"{name}_amount"

    def sample(self, values: Sequence[float], rate: int) -> None:
        """Play a sample of values -1..1 round and round, silent as yet, whatever the key."""
        numbers = struct.pack(f"<{len(values)}h", *(round(32767.0 * x) for x in values))
        self.samples = {
            "name": "Scorewire",
            "length": len(values),
            "sample_rate": rate,
            "samples": base64.b64encode(numbers).decode(),
        }
        self.settings |= {
            "sample_on": 1.0,
            "sample_level": 0.0,
            "sample_loop": 1.0,
            "sample_keytrack": 0.0,
            "sample_random_phase": 0.0,
            "sample_destination": DIRECT,
        }

    def louder(self, gain: float) -> list[str]:
        """Play everything times `gain`, as far as the volume knob goes; what is lost."""
        self.gain *= gain
        short = math.sqrt(LOUDEST) - self._volume()
        return [] if short >= 0.0 else [f"level: {-short:.1f} dB softer than ours"]

    def _volume(self) -> float:
        # velocity counts by its square: 4.15 dB make it ours, (velocity / 100)^2
        return 80.0 + 20.0 * math.log10((127 / 100) ** 2 * self.gain)

    def oscillator(self, wave: dict[str, Any], semitones: float) -> str:
        """Add an oscillator, silent as yet; its name."""
        self.waves.append(wave)
        name = f"osc_{len(self.waves)}"
        self.settings |= {
            f"{name}_on": 1.0,
            f"{name}_level": 0.0,
            f"{name}_destination": DIRECT,
            f"{name}_phase": 0.5,
            f"{name}_random_phase": 0.0,
            f"{name}_smooth_interpolation": 1.0,  # else frames are steps
            f"{name}_transpose": float(round(semitones)),
            f"{name}_tune": semitones - round(semitones),
        }
        return name

    def text(self, name: str) -> str:
        """The file."""
        unused = range(len(self.waves) + 1, OSCILLATORS + 1)
        waves = self.waves + [wavetable([bytes(4 * SIZE)], (0.0,)) for _ in unused]
        settings = {
            "volume": min(LOUDEST, self._volume() ** 2),
            "velocity_track": 1.0,
            "env_1_decay": 0.0,
            "env_1_sustain": 1.0,
            "env_1_release": RELEASE**0.25,
            **{f"osc_{k}_on": 0.0 for k in unused},
            **self.settings,
            "lfos": self.curves,
            "modulations": self.links,
            "wavetables": waves,
            "sample": self.samples or SILENT,
        }
        file = {
            "author": "",
            "comments": "Made by Scorewire",
            "preset_name": name,
            "preset_style": "",
            "synth_version": VERSION,
            "settings": settings,
        }
        return json.dumps(file, ensure_ascii=False) + "\n"


def wavetable(frames: Sequence[bytes], positions: Sequence[float]) -> dict[str, Any]:
    """Waves of 2048 little-endian floats at `positions` 0..256, faded from one to the next."""
    keys = [
        {"position": position, "wave_data": base64.b64encode(frame).decode()}
        for position, frame in zip(positions, frames, strict=True)
    ]
    part = {"type": "Wave Source", "interpolation": 1, "interpolation_style": 1, "keyframes": keys}
    return {
        "name": "Scorewire",
        "author": "",
        "version": VERSION,
        "full_normalize": False,
        "remove_all_dc": False,
        "groups": [{"components": [part]}],
    }


def wavetable_patch(frames: Sequence[bytes], times: Sequence[float], cycles: int, name: str) -> str:
    """A preset that plays `frames`, of `cycles` cycles of the note, each at its time."""
    return baked(frames, times, cycles).text(name)


def baked(frames: Sequence[bytes], times: Sequence[float], cycles: int) -> Patch:
    """A patch of one oscillator that plays `frames`, of `cycles` cycles of the note, in time."""
    patch = Patch()
    step = LAST_FRAME / (len(frames) - 1)
    table = wavetable(frames, [float(round(i * step)) for i in range(len(frames))])
    osc = patch.oscillator(table, -12.0 * math.log2(cycles))
    patch.settings |= {f"{osc}_level": 1.0, "env_1_attack": 0.0}
    # the curve leads by the lag, but for the onset, where there is nothing to lead
    points = [(t - min(LAG, t / 4), i / (len(times) - 1)) for i, t in enumerate(times)]
    every = 1 + len(points) // POINTS
    curve = patch.curve([p for i, p in enumerate(points[:-1]) if i % every == 0] + points[-1:])
    patch.link(curve, f"{osc}_wave_frame", LAST_FRAME / 256.0)
    return patch


def times(seconds: float, frames: int) -> list[float]:
    """When each of `frames` is heard: at seconds * (i / (frames - 1))^2, dense in the attack."""
    return [seconds * (i / (frames - 1)) ** 2 for i in range(frames)]
