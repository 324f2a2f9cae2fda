"""The `.vital` file itself: JSON, of which only what differs from Vital's defaults is written.

A `Patch` collects oscillators, curves (LFOs that run once) and links between them.
`wavetable_patch` is the whole preset of a sound whose periods are known: one oscillator that scans
them in time.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

VERSION = "1.0.7"  # released versions refuse what says it is newer than they are
OSCILLATORS = 3
SIZE = 2048  # samples of a wave
FRAMES, LAST_FRAME = 128, 254.0  # of a baked wavetable: every second of Vital's
LAG = 0.0095  # seconds by which Vital's frames come behind what moves them
POINTS = 60  # of a curve, of at most 100
ONCE, SECONDS = 2.0, 0.0  # how an LFO is triggered, and its unit of time
DIRECT = 4.0  # an oscillator's way past filters and effects
RELEASE = 0.3  # seconds


@dataclass
class Patch:
    """A preset in the making: settings by name, and the lists beside them."""

    settings: dict[str, Any] = field(default_factory=dict)
    waves: list[dict[str, Any]] = field(default_factory=list)
    curves: list[dict[str, Any]] = field(default_factory=list)
    links: list[dict[str, str]] = field(default_factory=list)

    def curve(self, points: Sequence[tuple[float, float]]) -> str:
        """Add an LFO that runs once through (seconds, value 0..1); its name as a source."""
        seconds = points[-1][0]
        flat = [x for t, value in points for x in (t / seconds, 1.0 - value)]
        name = f"lfo_{len(self.curves) + 1}"
        self.curves.append(
            {
                "name": name,
                "num_points": len(points),
                "points": flat,
                "powers": [0.0] * len(points),
                "smooth": False,
            }
        )
        self.settings |= {
            f"{name}_frequency": -math.log2(seconds),
            f"{name}_sync": SECONDS,
            f"{name}_sync_type": ONCE,
            f"{name}_smooth_mode": 0.0,
            f"{name}_smooth_time": -10.0,
        }
        return name

    def link(self, source: str, destination: str, amount: float) -> None:
        """Let `source` move `destination`."""
        self.links.append({"source": source, "destination": destination})
        self.settings[f"modulation_{len(self.links)}_amount"] = amount

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
        # velocity counts by its square: 4.15 dB make it ours, (velocity / 100)^2
        loud = 80.0 + 20.0 * math.log10((127 / 100) ** 2)
        settings = {
            "volume": loud * loud,
            "velocity_track": 1.0,
            "env_1_decay": 0.0,
            "env_1_sustain": 1.0,
            "env_1_release": RELEASE**0.25,
            **{f"osc_{k}_on": 0.0 for k in unused},
            **self.settings,
            "lfos": self.curves,
            "modulations": self.links,
            "wavetables": waves,
            "sample": {"name": "", "length": 1, "sample_rate": 44100, "samples": "AAA="},
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
    return patch.text(name)


def times(seconds: float, frames: int) -> list[float]:
    """When each of `frames` is heard: at seconds * (i / (frames - 1))^2, dense in the attack."""
    return [seconds * (i / (frames - 1)) ** 2 for i in range(frames)]
