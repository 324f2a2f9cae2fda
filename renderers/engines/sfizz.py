"""sfizz, the SFZ sampler, by pysfizz: .sfz files, and lone WAVs by what their `smpl` chunk says."""

from __future__ import annotations

import importlib.util
import shutil
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from presets import Note
from renderers.engines.base import Engine

BLOCK = 64
MASTER = 10 ** (7.35 / 20)  # the library starts 7.35 dB down, where its plug-in stands at 0 dB

ONE_SHOT = "<control> hint_ram_based=1\n<region> sample=one.wav pitch_keycenter=sample"


def _missing() -> str:
    found = importlib.util.find_spec("pysfizz") is not None
    return "" if found else "pysfizz is not installed: pip install pysfizz"


def _render(file: Path, note: Note, seconds: float, rate: int) -> NDArray[np.float32]:
    import pysfizz

    if note.number != round(note.number):
        raise ValueError(f"sfizz plays whole note numbers, got {note.number}")
    # sfizz repeats the last sample of a voice's first block; one of one sample is silent, or nearly
    synth = pysfizz.Synth(sample_rate=rate, block_size=1)
    if not synth.load_sfz_file(file):
        raise ValueError(f"sfizz refused {file.name}: a sample is missing, or there is no region")
    key = round(note.number)
    if key not in synth.playable_keys:
        raise ValueError(f"{file.name} has no region for key {key}")
    samples, player = round(seconds * rate), synth._synth
    held = samples if note.held >= seconds else round(note.held * rate)
    player.note_on(0, key, note.velocity)
    blocks = [player.render_block()]
    synth.set_block_size(BLOCK)
    for block in range(samples // BLOCK + 1):
        if 0 <= held - 1 - block * BLOCK < BLOCK and held < samples:
            player.note_off((held - 1) % BLOCK, key, 0)
        blocks.append(player.render_block())
    audio: NDArray[np.float32] = np.concatenate(blocks, axis=1, dtype=np.float32)[:, :samples]
    return audio * np.float32(MASTER)


def _render_wav(file: Path, note: Note, seconds: float, rate: int) -> NDArray[np.float32]:
    with tempfile.TemporaryDirectory() as folder:
        shutil.copyfile(file, Path(folder, "one.wav"))
        map_file = Path(folder, "one.sfz")
        map_file.write_text(ONE_SHOT, encoding="utf-8")
        return _render(map_file, note, seconds, rate)


ENGINE = Engine("sfizz (pysfizz)", _missing, _render)
WAV = Engine("sfizz (pysfizz)", _missing, _render_wav)
