"""General MIDI rendered with FluidSynth: single notes, drum hits, phrases, pieces of songs.

Many sounds go into one MIDI file, spaced apart, which one `fluidsynth` process renders and which
is then cut: starting the program and loading a sound font costs more than a note.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TypeAlias

import mido
import numpy as np
import soundfile

from sds.datasets.clips import RATE, Audio, Clip, audible, split_of, spread, unit_hash

TICKS_A_SECOND = 960  # mido's default: 480 ticks a beat, 120 beats a minute
LEAD = 0.25  # seconds before a sound, in which its programs are chosen
GAP = 1.5  # seconds after it, in which reverberation dies
DRUM_CHANNEL = 9
FOLDERS = tuple(
    Path(root) / kind
    for root in ("/usr/share/sounds", "/usr/local/share/sounds", "/usr/share/soundfonts")
    for kind in ("sf2", "sf3", "")
)
FONTS = ("FluidR3_GM.sf2", "MuseScore_General.sf3")

Played: TypeAlias = tuple[float, float, int, int, int]
"""A note: start in seconds, seconds, channel, key, velocity."""


@dataclass(frozen=True, slots=True)
class Score:
    """One sound to be: what is played, on which (channel, program), and what to say of it."""

    notes: tuple[Played, ...]
    programs: tuple[tuple[int, int], ...]
    seconds: float
    captions: tuple[str, ...]
    label: str
    group: str
    name: str
    reverb: bool = False


def find_fonts(given: Sequence[Path]) -> list[Path]:
    """The sound fonts given, or those of FONTS that the usual folders hold."""
    missing = [str(path) for path in given if not path.is_file()]
    if missing:
        raise ValueError(f"--font must name sound font files, got {', '.join(missing)}")
    fonts = list(given)
    if not given:
        paths = [
            [folder / name for folder in FOLDERS if (folder / name).is_file()] for name in FONTS
        ]
        fonts = [some[0] for some in paths if some]
    if not fonts:
        raise ValueError(
            "no sound font: install the packages fluid-soundfont-gm and "
            f"musescore-general-soundfont ({' and '.join(FONTS)}, both MIT licence), "
            "or name a General MIDI font with --font"
        )
    return fonts


def find_synth() -> str:
    """The fluidsynth program."""
    path = shutil.which("fluidsynth")
    if path is None:
        raise ValueError("fluidsynth is not on the PATH: install the package fluidsynth")
    return path


def write_scores(scores: Sequence[Score]) -> tuple[mido.MidiFile, list[float]]:
    """One MIDI file with all scores in a row, and the second at which each begins."""
    events: list[tuple[float, int, mido.Message]] = []
    starts: list[float] = []
    time = 0.0
    for score in scores:
        begin = time + LEAD
        starts.append(begin)
        for channel, program in score.programs:
            quiet = [mido.Message("control_change", channel=channel, control=c) for c in (120, 121)]
            level = mido.Message(
                "control_change", channel=channel, control=91, value=100 if score.reverb else 0
            )
            choose = mido.Message("program_change", channel=channel, program=program)
            events += [(time, 0, message) for message in (*quiet, level, choose)]
        for start, seconds, channel, key, velocity in score.notes:
            on = mido.Message("note_on", channel=channel, note=key, velocity=velocity)
            off = mido.Message("note_off", channel=channel, note=key)
            events += [(begin + start, 2, on), (begin + start + seconds, 1, off)]
        time = begin + score.seconds + GAP
    file = mido.MidiFile(ticks_per_beat=480)
    track = mido.MidiTrack()
    file.tracks.append(track)
    tick = 0
    for when, _, message in sorted(events, key=lambda event: event[:2]):
        here = round(when * TICKS_A_SECOND)
        track.append(message.copy(time=here - tick))
        tick = here
    track.append(mido.MetaMessage("end_of_track", time=round(time * TICKS_A_SECOND) - tick))
    return file, starts


def play_scores(scores: Sequence[Score], font: Path) -> list[Audio]:
    """Each score as mono audio, trimmed where it has died away; silent ones are empty."""
    file, starts = write_scores(scores)
    with tempfile.TemporaryDirectory() as folder:
        midi, wav = Path(folder) / "all.mid", Path(folder) / "all.wav"
        file.save(midi)
        command = [find_synth(), "-ni", "-q", "-F", str(wav), "-T", "wav", "-O", "float"]
        command += ["-r", str(RATE), "-g", "0.4", "-C", "0", "-R", "1"]
        command += ["-o", "synth.dynamic-sample-loading=1", "-o", "synth.reverb.room-size=0.8"]
        done = subprocess.run(
            [*command, str(font), str(midi)], capture_output=True, text=True, check=False
        )
        if done.returncode or not wav.exists():
            raise ValueError(
                f"fluidsynth must render {font.name}, got: {done.stderr[-300:].strip()}"
            )
        with soundfile.SoundFile(wav) as sound:
            clips = []
            for score, start in zip(scores, starts, strict=True):
                sound.seek(min(round(start * RATE), sound.frames))
                frames = round((score.seconds + (GAP - 0.1 if score.reverb else 0.0)) * RATE)
                stereo = sound.read(frames, dtype="float32", always_2d=True)
                clips.append(trim_tail(stereo.mean(axis=1)))
    return clips


def trim_tail(audio: Audio, *, floor: float = 1e-3, fade: float = 0.02) -> Audio:
    """Without what comes after the last sample above `floor` of the peak; the end is faded."""
    if not audible(audio):
        return np.zeros(0, np.float32)
    loud = np.flatnonzero(np.abs(audio) > floor * np.abs(audio).max())
    length = round(fade * RATE)
    kept = audio[: min(len(audio), int(loud[-1]) + length)].copy()
    length = min(length, len(kept))
    kept[len(kept) - length :] *= np.linspace(1.0, 0.0, length, dtype=np.float32)
    return kept


def render_batch(batch: tuple[Path, tuple[Score, ...]]) -> list[Clip]:
    """The audible clips of one font's batch."""
    font, scores = batch
    clips = []
    for score, audio in zip(scores, play_scores(scores, font), strict=True):
        if audible(audio):
            split = split_of(score.label, score.group, score.group)
            origin = f"midi/{font.stem}/{score.name}"
            clips.append(Clip(audio, score.captions, score.label, split, origin))
    return clips


def batches(scores: Iterable[Score], size: int) -> Iterator[tuple[Score, ...]]:
    """Tuples of up to `size`, in order."""
    source = iter(scores)
    while batch := tuple(islice(source, size)):
        yield batch


def midi_clips(
    scores: Iterable[tuple[str, Score]], fonts: Sequence[Path], *, workers: int = 1
) -> Iterator[Clip]:
    """Every score; those said to be for "all" fonts with each of them, the others with one."""
    find_synth()
    piles: dict[Path, list[Score]] = {font: [] for font in fonts}
    for which, score in scores:
        chosen = fonts if which == "all" else [fonts[int(unit_hash(score.name) * len(fonts))]]
        for font in chosen:
            piles[font].append(score)
    work = [(font, batch) for font in fonts for batch in batches(piles[font], 64)]
    for clips in spread(render_batch, work, workers=workers):
        yield from clips
