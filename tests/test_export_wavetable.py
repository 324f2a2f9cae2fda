import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from presets import Effect, Note, Preset
from presets.export import laws
from presets.export.wavetable import EXPORTER, Table, read, write
from renderers import fm, to_values
from renderers.engines import vital
from renderers.source import RenderedSource
from renderers.starts import fm_patches
from tests.peers import peer

RATE = 44100


@pytest.fixture
def engine() -> None:
    peer("vita")


def harmonic(ratios: tuple[float, ...] = (1.0, 2.0, 1.0, 3.0), **changes: float) -> Preset:
    """Four operators, two of them heard, that darken as they fall."""
    values = {"level": 0.8, "op2_from_op1": 1.5, "op3_from_op2": 0.7, "op4_from_op3": 2.0}
    for v, ratio in enumerate(ratios, 1):
        values |= {f"op{v}_ratio": ratio, f"op{v}_attack": 0.02, f"op{v}_decay": 0.6 + 0.4 * v}
        values |= {f"op{v}_mix": 0.5 if v in (2, 4) else 0.0}
        for w in range(1, v + 1):
            values.setdefault(f"op{v}_from_op{w}", 0.0)
    values |= changes
    return Preset(name="p", renderer="fm", renderer_version=1, values=values, note=57.0)


def exported(preset: Preset) -> tuple[bytes, tuple[str, ...]]:
    result = EXPORTER.export(preset, RenderedSource(preset, RATE), "p")
    return result.files["p_wavetable.wav"], result.lost


def spectrum(x: np.ndarray, at: float) -> np.ndarray:
    """Levels in dB of the partials of 220 Hz around `at` seconds."""
    n = np.arange(8820) + round(at * RATE) - 4410
    window = np.hanning(n.size)
    turns = np.exp(-2j * np.pi * 220.0 / RATE * np.outer(np.arange(1, 41), n))
    levels = np.abs(turns @ (x[n] * window)) * 2 / window.sum()
    return 20 * np.log10(np.maximum(levels, 1e-9))


def test_partials_are_ours_within_half_a_db_after_the_attack(engine: None, tmp_path: Path) -> None:
    preset = harmonic()
    file = tmp_path / "p.wav"
    file.write_bytes(exported(preset)[0])
    theirs = vital.WAVETABLES.render(file, Note(57), 1.5, RATE)[0].astype(float)
    ours = np.frombuffer(RenderedSource(preset, RATE).floats(Note(57), 1.5), "<f4").astype(float)
    for at in (0.15, 0.3, 0.6, 1.0, 1.3):
        a, b = spectrum(ours, at), spectrum(theirs, at)
        loud = a > a.max() - 40
        assert loud.sum() >= 5
        assert np.abs(a - b)[loud].max() < 0.5


def test_a_period_of_two_cycles_plays_at_its_pitch(engine: None, tmp_path: Path) -> None:
    preset = harmonic((0.5, 1.0, 1.5, 2.0))
    data, lost = exported(preset)
    assert read(data).cycles == 2
    assert any("2 cycles: tune the oscillator 12.00 down" in line for line in lost)
    file = tmp_path / "p.wav"
    file.write_bytes(data)
    theirs = vital.WAVETABLES.render(file, Note(57), 1.0, RATE)[0].astype(float)
    ours = np.frombuffer(RenderedSource(preset, RATE).floats(Note(57), 1.0), "<f4").astype(float)
    a, b = spectrum(ours, 0.5), spectrum(theirs, 0.5)
    assert np.abs(a - b)[a > a.max() - 40].max() < 0.5


def test_the_file_is_a_wav_that_others_read(tmp_path: Path) -> None:
    file = tmp_path / "p.wav"
    data, _ = exported(harmonic())
    file.write_bytes(data)
    info = soundfile.info(file)
    assert (info.channels, info.subtype, info.frames % 2048) == (1, "FLOAT", 0)
    assert info.frames // 2048 <= 256  # the most that Serum holds
    assert struct.unpack_from("<4sI", data)[1] == len(data) - 8
    at = data.index(b"clm ")
    assert data[at + 8 :].startswith(b"<!>2048 10000000 wavetable (")
    samples, _ = soundfile.read(file)
    assert np.abs(samples.reshape(-1, 2048).mean(1)).max() < 1e-6  # no frame has an offset
    assert np.abs(samples[:2048]).max() < 0.1 * np.abs(samples).max()  # it begins in silence


def test_read_is_the_inverse_of_write() -> None:
    frames = tuple(np.random.default_rng(i).random(2048, np.float32).tobytes() for i in range(3))
    table = Table(frames, 3, 1.25)
    assert read(write(table)) == table


@pytest.mark.parametrize("data", [b"", b"RIFF\4\0\0\0WAVE", write(Table((b"\0" * 100,), 1, 1.0))])
def test_other_files_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="not a wavetable of ours"):
        read(data)


def test_a_patch_without_a_period_is_refused() -> None:
    with pytest.raises(ValueError, match="a period needs ratios"):
        exported(harmonic((1.0, 2.414, 1.0, 3.0)))


def test_effects_are_said_to_be_lost() -> None:
    preset = harmonic().model_copy(update={"effects": (Effect(kind="Reverb"),)})
    assert any("Reverb" in line for line in exported(preset)[1])


def test_what_is_tuned_is_said() -> None:
    """1.0005 is 0.87 cents above 1, and a wave has no beating."""
    assert not any(line.startswith("tuning") for line in exported(harmonic())[1])
    lost = exported(harmonic((1.0, 2.0, 1.0005, 3.0)))[1]
    assert any("up to 0.9 cents" in line for line in lost)


def test_periods_are_those_of_the_source() -> None:
    """`laws.cycles` and the source of sound find the same number, or none."""
    renderer = fm.renderer()
    found = set()
    for u in fm_patches(renderer, 40, torch.Generator().manual_seed(3)):
        preset = Preset(name="p", renderer="fm", renderer_version=1, values=to_values(renderer, u))
        voice = laws.voice(preset.values)
        heard = np.array(voice.ratio)[np.array(laws.importance(voice)) > 0.0]
        whole = (
            d for d in range(1, 5) if (np.abs(np.round(heard * d) / heard / d - 1) < 2e-3).all()
        )
        theirs = next(whole, None)
        assert laws.cycles(voice) == theirs
        found.add(theirs)
    assert {None, 1} <= found
