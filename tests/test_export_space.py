"""The impulse response in a real convolver."""

import io
import wave
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
import torch

from presets import Effect, Note, Preset
from presets.export.audio import integers
from presets.export.space import EXPORTER
from renderers import effects, from_values, impact, random_patches, to_values
from renderers.base import physical
from renderers.engines import convolution
from renderers.fidelity import rms_error
from renderers.room import stereo_room
from renderers.source import RenderedSource

RATE = 44100


@pytest.fixture(scope="module")
def preset() -> Preset:
    instrument = impact.renderer(modes=16, bands=8)
    u = random_patches(instrument, 1, generator=torch.Generator().manual_seed(0))[0]
    room = {f"band0{m}_gain": 0.3 for m in range(1, 9)}
    room |= {f"band0{m}_decay": 0.8 for m in range(1, 9)}
    return Preset(
        name="plate", renderer="impact", renderer_version=1, note=57, seconds=1.0,
        values=to_values(instrument, u) | room | {"dry": 0.4},
    )  # fmt: skip


@pytest.fixture(scope="module")
def files(preset: Preset, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("ir")
    exported = EXPORTER.export(preset, RenderedSource(preset, RATE), "plate")
    for name, data in exported.files.items():
        (folder / name).write_bytes(data)
    return [folder / name for name in exported.files]


def conv(x: np.ndarray, h: np.ndarray) -> np.ndarray:
    size = x.size + h.size
    y: np.ndarray = np.fft.irfft(np.fft.rfft(x, size) * np.fft.rfft(h, size), size)[: x.size]
    return y


def test_both_files_start_at_once_and_end_in_silence(files: list[Path]) -> None:
    assert [file.name for file in files] == ["plate_ir.wav", "plate_ir_wet.wav"]
    for file in files:
        with wave.open(io.BytesIO(file.read_bytes())) as opened:
            assert (opened.getsampwidth(), opened.getnchannels()) == (3, 1)
        h, rate = sf.read(file)
        assert rate == RATE
        assert np.abs(h).max() == pytest.approx(10 ** (-1 / 20), abs=1e-6)
        assert np.abs(h[-round(0.05 * RATE) :]).max() < 1e-3  # below -60 dB where it is faded
        assert h[-1] == 0.0
    whole, wet = (sf.read(file)[0] for file in files)
    assert abs(whole[0]) > 0
    assert wet[0] == 0.0
    gain = np.linalg.norm(wet[1:]) / np.linalg.norm(whole[1:])
    np.testing.assert_allclose(wet[1:], gain * whole[1:], atol=1e-5)  # 24 bits, made louder


def test_the_convolver_equals_our_convolution_up_to_its_gain(files: list[Path]) -> None:
    """JUCE's gain is 0.125 / sqrt(sum h^2), the sum in single precision: about 1e-4 off."""
    x = 0.3 * np.random.default_rng(0).standard_normal(RATE)
    for file in files:
        h = sf.read(file)[0]
        want, got = conv(x, h), convolution.convolve(x.astype(np.float32)[None], file, RATE)[0]
        gain = (want @ got) / (want @ want)
        assert np.abs(got - gain * want).max() < 1e-6
        assert gain == pytest.approx(0.125 / np.sqrt(h @ h), rel=2e-4)


def test_the_object_in_the_exported_room_is_the_patch(preset: Preset, files: list[Path]) -> None:
    instrument = impact.renderer(modes=16, bands=8)
    lay = impact.layout(instrument.params)
    values = physical(lay.table, from_values(instrument, preset.values)[None])
    o = impact.struck(lay, values, Note(preset.note), RATE)
    bank = impact.modal_bank(o.hz / RATE, o.decay / RATE, o.gain, RATE, torch.float64)
    wet = convolution.convolve(bank.numpy().astype(np.float32), files[0], RATE)[0]
    ours = effects.render(preset, seconds=1.0, rate=RATE)[0].astype(float)
    assert rms_error(ours, wet.astype(float), RATE) < 1e-4


def test_the_engine_answers_with_the_response_itself(files: list[Path]) -> None:
    h = sf.read(files[0])[0]
    got = convolution.ENGINE.render(files[0], Note(57, 100), 0.5, RATE)[0]
    want = h[: got.size]
    gain = (want @ got) / (want @ want)
    assert np.abs(got - gain * want).max() < 1e-6


def test_effects_and_other_renderers_are_spoken_of(preset: Preset) -> None:
    wet = preset.model_copy(update={"effects": (Effect(kind="Chorus"),)})
    lost = EXPORTER.export(wet, RenderedSource(wet, RATE), "x").lost
    assert "effect Chorus: it is not in the file" in lost
    assert EXPORTER.renderers == {"impact"}


def test_of_a_stereo_room_it_is_the_left_side() -> None:
    instrument = impact.renderer(modes=2, bands=2, voice="audio-sds")
    u = random_patches(instrument, 1, generator=torch.Generator().manual_seed(0))[0]
    preset = Preset(
        name="hall", renderer="impact", renderer_version=1, values=to_values(instrument, u)
    )
    source = RenderedSource(preset, RATE)
    exported = EXPORTER.export(preset, source, "hall")
    assert "the right side's noise: this is the left's" in exported.lost
    lay = impact.layout(instrument.params)
    o = impact.struck(lay, physical(lay.table, u[None]), Note(60), RATE)
    both = stereo_room(o.band_gain, o.band_decay / RATE, o.band_hz, RATE, 500, torch.float64)
    want = both[0, 0].numpy()
    got = np.frombuffer(source.impulse(RATE), "<f4")[:500].astype(np.float64)
    gain = (got[1:] @ want[1:]) / (want[1:] @ want[1:])
    assert np.abs(got - gain * want)[1:].max() < 1e-6
    assert source.channels == 2


def test_floats_become_24_bits() -> None:
    x = np.array([0.0, 0.5, -1.0, 1.0, 2**-23], "<f4")
    data = integers(x.tobytes())
    want = [0, 2**22, -(2**23), 2**23 - 1, 1]
    assert [int.from_bytes(data[i : i + 3], "little", signed=True) for i in range(0, 15, 3)] == want
