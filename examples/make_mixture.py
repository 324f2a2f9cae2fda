"""Build the demo's mixture from the training corpus: a saxophone phrase over sea waves, both CC0.

    python examples/make_mixture.py CORPUS      (CORPUS holds weresax/ and alarmclock/)

Writes examples/data/{mixture,saxophone,sea_waves}.flac, mono, 44.1 kHz, 16 bit. The mixture is the
sum of the two sources in integers, so the known sources are exact. What was used is listed in
examples/data/SOURCES.md and must stay out of training.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import soundfile as sf

RATE = 44100
SECONDS = 9.0
HERE = Path(__file__).parent / "data"

# (note, start in seconds, length in seconds): D minor, up and back down.
PHRASE = (
    ("d3", 0.35, 0.80),
    ("f3", 1.15, 0.80),
    ("g3", 1.95, 0.80),
    ("a3", 2.75, 1.60),
    ("c4", 4.55, 0.80),
    ("a3", 5.35, 0.80),
    ("g3", 6.15, 0.80),
    ("d3", 6.95, 1.70),
)


def note(corpus: Path, name: str, seconds: float) -> np.ndarray:
    """One saxophone note from its attack on, with a short fade at both ends, peak 1."""
    audio, _ = sf.read(corpus / f"weresax/alto_sax_{name}_f_dnm.ogg", dtype="float64")
    onset = int(np.argmax(np.abs(audio) > 0.1 * np.abs(audio).max()))
    audio = audio[max(0, onset - RATE // 50) :][: int(seconds * RATE)]
    fade = np.minimum(
        1.0, np.minimum(np.arange(len(audio)) / 200, np.arange(len(audio))[::-1] / 4000)
    )
    return audio * fade / np.abs(audio).max()


def main(corpus: Path) -> None:
    """Write the three files."""
    frames = int(SECONDS * RATE)
    sax = np.zeros(frames)
    for name, start, seconds in PHRASE:
        sound = note(corpus, name, seconds)
        at = int(start * RATE)
        sax[at : at + len(sound)] += sound
    waves, _ = sf.read(corpus / "alarmclock/waves_p03.ogg", dtype="float64")
    waves = waves[2 * RATE : 2 * RATE + frames]
    # Equal loudness: each source is the other's noise at about 0 dB.
    sources = [source / np.sqrt(np.mean(source**2)) for source in (sax, waves)]
    peak = np.abs(sources[0] + sources[1]).max()
    quantised = [np.round(source * 0.9 / peak * 32767).astype(np.int16) for source in sources]
    HERE.mkdir(exist_ok=True)
    for name, data in zip(
        ("saxophone", "sea_waves", "mixture"), (*quantised, sum(quantised)), strict=True
    ):
        sf.write(HERE / f"{name}.flac", data, RATE, subtype="PCM_16")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
