"""Whether presets can be played: in tune, level, at once, and with an end.

Every preset is played as it is written, and where it has a pitch on four keys: that it was designed
at, an octave and a fourth below, a fifth above. "In tune" is the share of the energy of the 12
strongest partials within 25 cents of the key's harmonics (`sds.metrics.tuning`), the mean of the
keys and the worst; of bells, whose partials are free, nothing but the strike note counts. The
strike note is the fundamental by two trackers that share nothing (`sds.metrics.pitch`), YIN and,
where it is installed, swift-f0: the share of keys that it is within 25 cents of. A sound starts
where it is within 60 dB of its peak, and the end is the level of its last 5 ms below the peak.
"Ready" are those that peak at -1 dBFS within 0.1 dB, start within 5 ms and end 60 dB down.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from statistics import mean

from torch import Tensor

from sds.metrics.pitch import cents, swift_f0, yin
from sds.metrics.tuning import CENTS, in_tune_share
from sds.scoreboard.board import Column, Figures, Playable, Row, Setting, Task
from sds.signal.audio_files import mono

KEYS = (-12.0, -5.0, 0.0, 7.0)  # semitones from the note that it was designed at
SECONDS = 0.005
QUIET = 60.0  # dB below the peak
PEAK, EXACT = -1.0, 0.1  # dBFS, dB
IN_TUNE = 0.9

COLUMNS = (
    Column("in_tune", "in tune", 2, "higher"),
    Column("in_tune_worst", "in tune, worst key", 2, "higher"),
    Column("strike_yin", "strike note, YIN", 2, "higher"),
    Column("strike_swift_f0", "strike note, swift-f0", 2, "higher"),
    Column("peak", "peak, dBFS", 1),
    Column("start", "start, ms", 1, "lower"),
    Column("end", "end, dB", 0, "lower"),
    Column("ready", "ready", 2, "higher"),
)


def suite(setting: Setting) -> list[Task]:
    """Every preset that the setting has; its method is where it comes from."""
    return [
        Task(sound.name, sound.group, partial(_run, sound, setting.prior.sample_rate), tags(sound))
        for sound in setting.playables[: setting.items]
    ]


def tags(sound: Playable) -> tuple[str, ...]:
    """The tables that a preset counts in: its kind of pitch."""
    return (sound.pitch or "unpitched",)


def _run(sound: Playable, rate: int) -> Iterator[Figures]:
    figures = delivery(mono(sound.play(sound.note)), rate)
    yield figures
    if sound.pitch:
        yield figures | tuning(lambda note: mono(sound.play(note)), rate, sound.note, sound.pitch)


def delivery(audio: Tensor, rate: int) -> dict[str, float]:
    """Peak, start and end of audio [T] at `rate` Hz, and whether all are as they should; nothing of
    silence.
    """
    peak = float(audio.abs().max())
    if peak == 0.0:
        return {"ready": 0.0}
    loud = (audio.abs() >= peak * 10 ** (-QUIET / 20)).nonzero()
    last = float(audio[-max(1, round(SECONDS * rate)) :].square().mean().sqrt()) / peak
    found = {
        "peak": 20 * math.log10(peak),
        "start": 1000 * int(loud[0]) / rate,
        "end": 20 * math.log10(max(last, 1e-6)),
    }
    ready = abs(found["peak"] - PEAK) <= EXACT and found["start"] <= 1000 * SECONDS
    return found | {"ready": float(ready and found["end"] <= -QUIET)}


def tuning(play: Callable[[float], Tensor], rate: int, note: float, pitch: str) -> dict[str, float]:
    """How well the sounds [T] that `play` makes of MIDI notes are in tune, on the four keys."""
    shares, found = list[float](), dict[str, list[float]]()
    for key in (note + step for step in KEYS):
        hz, sound = 440.0 * 2 ** ((key - 69) / 12), play(key)
        share = in_tune_share(sound, rate, hz)
        shares.append(0.0 if math.isnan(share) else share)
        for name, tracked in (("yin", yin(sound, rate)), ("swift_f0", swift_f0(sound, rate))):
            if tracked is not None:
                near = not math.isnan(tracked) and abs(cents(tracked, hz)) <= CENTS
                found.setdefault(f"strike_{name}", []).append(float(near))
    figures = {name: mean(values) for name, values in found.items()}
    if pitch == "harmonic":
        figures |= {"in_tune": mean(shares), "in_tune_worst": min(shares)}
    return figures


def findings(rows: Sequence[Row]) -> list[str]:
    """How many presets are in tune on all keys, and how many are ready, of each group."""
    said = []
    for group in dict.fromkeys(row.method for row in rows):
        own = [row.figures for row in rows if row.method == group]
        pitched = [x for x in own if "strike_yin" in x]
        tuned = sum(in_tune(figures) for figures in pitched)
        ready = sum(int(figures["ready"]) for figures in own)
        said.append(
            f"{group}: {tuned} of {len(pitched)} pitched presets in tune on all keys, "
            f"{ready} of {len(own)} ready"
        )
    return said


def in_tune(figures: Figures) -> bool:
    """Whether a pitched preset is in tune: 0.9 of the energy on every key, or for a bell the strike
    note on every key by every tracker.
    """
    if "in_tune_worst" in figures:
        return figures["in_tune_worst"] >= IN_TUNE
    return all(value == 1.0 for name, value in figures.items() if name.startswith("strike_"))
