"""The impact renderer's physics: modes ring as long and as high as they say, rooms decay."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from presets import Note
from renderers import from_values, impact
from renderers.base import Renderer
from renderers.noise import PERIOD, SEED, noise_bands
from renderers.reverberation import T60, reverberation
from renderers.room import noise_around

RATE = 22050


def one_mode(**changed: float) -> tuple[Renderer, torch.Tensor]:
    """One mode at 1 kHz ringing 0.5 s, dry, its only band almost silent."""
    instrument = impact.renderer(modes=1, bands=1)
    values = {
        "mode001_hz": 1000.0,
        "mode001_gain": 1.0,
        "mode001_decay": 0.5,
        "band01_gain": 1e-4,
        "band01_decay": 0.02,
        "tune": 1.0,
        "ring": 1.0,
        "dry": 1.0,
        "level": 1.0,
    }
    return instrument, from_values(instrument, values | changed)[None]


def slope_to_60_db(audio: np.ndarray) -> float:
    """Seconds to -60 dB, from the line through the energy decay curve (Schroeder), -5 to -35 dB."""
    energy = 10 * np.log10(np.cumsum(audio[::-1] ** 2)[::-1] / np.sum(audio**2))
    part = (energy < -5) & (energy > -35)
    return -60.0 / np.polyfit(np.flatnonzero(part) / RATE, energy[part], 1)[0]


@pytest.mark.parametrize(("decay", "ring"), [(0.1, 1.0), (0.5, 1.0), (0.25, 4.0), (2.0, 0.5)])
def test_a_mode_decays_in_the_time_it_says(decay: float, ring: float) -> None:
    instrument, u = one_mode(mode001_decay=decay, ring=ring)
    audio = instrument.render(u, Note(60), RATE, 3 * RATE)[0, 0].numpy()
    assert slope_to_60_db(audio) == pytest.approx(decay * ring, rel=0.01)


@pytest.mark.parametrize(
    ("number", "tune", "expected"), [(60, 1, 1000), (72, 1, 2000), (60, 2, 2000)]
)
def test_a_mode_sounds_at_its_frequency(number: int, tune: float, expected: float) -> None:
    instrument, u = one_mode(tune=tune)
    audio = instrument.render(u, Note(number), RATE, RATE)[0, 0].numpy()
    assert np.abs(np.fft.rfft(audio)).argmax() == pytest.approx(expected, abs=1)


def test_a_dry_mode_is_its_formula() -> None:
    instrument, u = one_mode()
    audio = instrument.render(u, Note(60), RATE, 2000)[0, 0].numpy()
    t = np.arange(2000) / RATE
    exact = np.exp(-np.log(1000) / 0.5 * t) * np.sin(2 * np.pi * 1000 * t)
    assert np.abs(audio - exact).max() < 1e-3  # the room at -80 dB


def test_a_dry_mode_of_the_voice_audio_sds_is_the_papers_cosine() -> None:
    _, values = one_mode()
    instrument = impact.renderer(modes=1, bands=1, voice="audio-sds")
    of_names = dict(
        zip((p.name for p in impact.renderer(modes=1, bands=1).params), values[0], strict=True)
    )
    u = torch.tensor([[float(of_names.get(p.name, 0.5)) for p in instrument.params]]).double()
    audio = instrument.render(u, Note(60), RATE, 2000)[0].numpy()
    t = np.arange(2000) / RATE
    exact = np.exp(-np.log(1000) / 0.5 * t) * np.cos(2 * np.pi * 1000 * t)
    assert audio.shape == (2, 2000)  # the object in the middle, the room, at -80 dB, on two sides
    assert np.abs(audio - exact).max() < 1e-3


def test_what_is_heard_of_the_voice_audio_sds_is_the_bank_convolved_with_each_side() -> None:
    instrument = impact.renderer(modes=5, bands=3, voice="audio-sds")
    generator = torch.Generator().manual_seed(0)
    u = 0.2 + 0.6 * torch.rand(1, len(instrument.params), generator=generator, dtype=torch.float64)
    lay = impact.layout(instrument.params)
    o = impact.struck(lay, impact.physical(lay.table, u), Note(60), RATE)
    bank = impact.modal_bank_slowly(o.hz / RATE, o.decay / RATE, o.gain, 900, cosine=True)[0]
    t = np.arange(900)
    fading = np.exp(-o.band_decay[0].numpy()[:, None] / RATE * t) * o.band_gain[0].numpy()[:, None]
    fast = instrument.render(u, Note(60), RATE, 900)[0].numpy()
    for side, noise in enumerate(noise_around(o.band_hz[0].numpy(), RATE, torch.float64)):
        room = (fading * noise[:, :900]).sum(0)
        slow = o.level.item() * (o.dry.item() * bank.numpy() + np.convolve(bank, room)[:900])
        assert np.abs(fast[side] - slow).max() < 1e-12 * np.abs(slow).max() + 1e-15


def bank(seed: int, modes: int) -> list[torch.Tensor]:
    rng = np.random.default_rng(seed)
    return [
        torch.from_numpy(rng.uniform(low, high, (2, modes)))
        for low, high in ((0.001, 0.5), (1e-4, 1e-2), (0.0, 1.0))
    ]


@pytest.mark.parametrize("cosine", [False, True])
@pytest.mark.parametrize(("dtype", "bound"), [(torch.float64, 1e-11), (torch.float32, 1e-5)])
def test_matrix_product_equals_direct_evaluation(
    dtype: torch.dtype, bound: float, cosine: bool
) -> None:
    results = []
    weight = torch.sin(torch.arange(5000, dtype=torch.float64))
    for render in (
        lambda *a: impact.modal_bank(*a, 5000, dtype, cosine=cosine),
        lambda *a: impact.modal_bank_slowly(*a, 5000, cosine=cosine),
    ):
        inputs = [t.clone().requires_grad_() for t in bank(0, 50)]
        audio = render(*inputs)
        (audio.double() * weight).sum().backward()
        results.append([audio.detach(), *(torch.as_tensor(t.grad) for t in inputs)])
    for fast, slow in zip(*results, strict=True):
        assert (fast - slow).norm() <= bound * slow.norm()


@pytest.mark.parametrize("samples", [1, 2, 5, 16, 17])
def test_any_length_factorises(samples: int) -> None:
    inputs = bank(1, 3)
    fast = impact.modal_bank(*inputs, samples, torch.float64)
    assert (fast - impact.modal_bank_slowly(*inputs, samples)).abs().max() < 1e-13


def test_bands_sum_to_the_noise() -> None:
    bands = noise_bands(8, RATE).astype(np.float64)
    white = np.random.RandomState(SEED).standard_normal(PERIOD)
    white *= np.sqrt(10.0 / RATE)
    assert np.abs(bands.sum(0) - (white - white.mean())).max() < 1e-6


def test_a_band_holds_its_own_frequencies() -> None:
    bands = noise_bands(8, 44100)
    hz = np.fft.rfftfreq(PERIOD, 1 / 44100)
    centre = 40.0 * 400.0 ** (3 / 7)  # band 4 of 8
    power = np.abs(np.fft.rfft(bands[3])) ** 2
    step = 400.0 ** (1 / 7)
    inside = (hz > centre / step) & (hz < centre * step)
    assert power[~inside].sum() < 1e-9 * power.sum()
    assert hz[inside][power[inside].argmax()] == pytest.approx(centre, rel=0.5)


def test_a_room_decays_in_the_time_it_says() -> None:
    noise = noise_bands(1, RATE)
    decay = torch.tensor([[T60 / (0.8 * RATE)]], dtype=torch.float64)
    one = torch.ones(1, 1, dtype=torch.float64)
    tail = reverberation(one, decay, noise, RATE, torch.float64)[0].numpy()
    assert slope_to_60_db(tail) == pytest.approx(0.8, rel=0.03)
    # power 10 / rate a sample, amplitude exp(-d t): energy 10 / 2d with d = T60 / 0.8 s
    assert np.sum(tail**2) == pytest.approx(10 * 0.8 / (2 * T60), rel=0.1)


def test_output_is_bank_convolved_with_room() -> None:
    instrument = impact.renderer(modes=5, bands=3)
    generator = torch.Generator().manual_seed(0)
    u = 0.2 + 0.6 * torch.rand(1, len(instrument.params), generator=generator, dtype=torch.float64)
    lay = impact.layout(instrument.params)
    o = impact.struck(lay, impact.physical(lay.table, u), Note(60), RATE)
    bank = impact.modal_bank_slowly(o.hz / RATE, o.decay / RATE, o.gain, 900)[0].numpy()
    t = np.arange(900)
    fading = np.exp(-o.band_decay[0].numpy()[:, None] / RATE * t) * o.band_gain[0].numpy()[:, None]
    room = (fading * noise_bands(3, RATE)[:, :900]).sum(0)
    slow = o.level.item() * (o.dry.item() * bank + np.convolve(bank, room)[:900])
    fast = instrument.render(u, Note(60), RATE, 900)[0, 0].numpy()
    assert np.abs(fast - slow).max() < 1e-12 * np.abs(slow).max() + 1e-15


def test_a_longer_render_begins_the_same() -> None:
    instrument, u = one_mode(band01_gain=1.0, band01_decay=2.0)
    short = instrument.render(u, Note(60), RATE, 1000)
    long = instrument.render(u, Note(60), RATE, 5000)
    assert (long[..., :1000] - short).abs().max() < 1e-13


@pytest.mark.parametrize(("modes", "bands"), [(0, 32), (2049, 32), (256, 0), (256, 65)])
def test_impossible_instruments_are_refused(modes: int, bands: int) -> None:
    with pytest.raises(ValueError, match=r"must be in 1\.\.(2048|64), got"):
        impact.renderer(modes=modes, bands=bands)
