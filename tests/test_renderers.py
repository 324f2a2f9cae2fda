"""One contract, every renderer. `python tests/test_renderers.py --regolden` rewrites the golden
audio: only when a renderer's version went up, in the same commit.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import renderers
from presets import Note, Param, Preset
from renderers import fm, impact
from renderers.base import Renderer, curves, physical, positions

GOLDEN = Path(__file__).parent / "golden"
RATE = 44100
MIDDLE_C = Note(60)

INSTRUMENTS = {
    "fm": fm.renderer(),
    "fm_free": fm.renderer(operators=3, matrix="free"),
    "fm_one": fm.renderer(operators=1),
    "fm_dx7": fm.renderer(matrix="dx7:22"),
    "fm_full": fm.renderer(operators=3, voice="full"),
    "impact": impact.renderer(modes=6, bands=3),
    "impact_full": impact.renderer(modes=6, bands=3, voice="full"),
    "impact_audio_sds": impact.renderer(modes=8, bands=2, voice="audio-sds"),
}


@pytest.fixture(params=INSTRUMENTS.values(), ids=list(INSTRUMENTS))
def instrument(request: pytest.FixtureRequest) -> Renderer:
    renderer: Renderer = request.param
    return renderer


def fixed_patches(instrument: Renderer, count: int) -> torch.Tensor:
    """Patches spread over the middle of the cube by the golden ratio: no generator to trust."""
    i = torch.arange(count * len(instrument.params), dtype=torch.float64)
    return (0.1 + 0.8 * torch.remainder(i * 0.6180339887498949, 1.0)).view(count, -1)


def golden_audio(instrument: Renderer) -> np.ndarray:
    audio = instrument.render(fixed_patches(instrument, 3), MIDDLE_C, RATE, RATE // 20)
    return audio[:, 0].numpy().astype(np.float32)


def golden_path(name: str, instrument: Renderer) -> Path:
    return GOLDEN / f"{name}_v{instrument.version}.npy"


@pytest.mark.parametrize("name", INSTRUMENTS)
def test_golden_audio_of_this_version(name: str) -> None:
    want = np.load(golden_path(name, INSTRUMENTS[name]), allow_pickle=False)
    error = golden_audio(INSTRUMENTS[name]) - want
    assert np.sum(want**2) > 1e-4
    assert 10 * np.log10(np.sum(error**2) / np.sum(want**2) + 1e-30) < -100.0


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_shape_and_dtype(instrument: Renderer, dtype: torch.dtype) -> None:
    audio = instrument.render(fixed_patches(instrument, 2).to(dtype), MIDDLE_C, RATE, 777)
    channels = 2 if "band01_hz" in {p.name for p in instrument.params} else 1
    assert (audio.shape, audio.dtype) == ((2, channels, 777), dtype)


def test_single_precision_is_close_to_double(instrument: Renderer) -> None:
    u = fixed_patches(instrument, 2)
    exact = instrument.render(u.float().double(), MIDDLE_C, RATE, 4000)
    audio = instrument.render(u.float(), MIDDLE_C, RATE, 4000).double()
    assert (audio - exact).norm() < 1e-5 * exact.norm()


def test_two_renders_are_bit_equal(instrument: Renderer) -> None:
    u = fixed_patches(instrument, 3)
    first = instrument.render(u, MIDDLE_C, RATE, 3000)
    assert torch.equal(first, instrument.render(u.clone(), MIDDLE_C, RATE, 3000))


def test_gradient_does_not_change_the_audio(instrument: Renderer) -> None:
    u = fixed_patches(instrument, 1)
    audio = instrument.render(u.clone().requires_grad_(), MIDDLE_C, RATE, 3000)
    assert torch.equal(audio, instrument.render(u, MIDDLE_C, RATE, 3000))


def test_batch_equals_loop(instrument: Renderer) -> None:
    u = fixed_patches(instrument, 3)
    batch = instrument.render(u, MIDDLE_C, RATE, 3000)
    loop = torch.cat([instrument.render(row[None], MIDDLE_C, RATE, 3000) for row in u])
    assert (batch - loop).abs().max() <= 1e-13


def test_gradcheck(instrument: Renderer) -> None:
    samples = 400
    weight = torch.sin(torch.arange(samples * 2, dtype=torch.float64) ** 1.5).view(samples, 2)
    u = fixed_patches(instrument, 1).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda x: instrument.render(x, Note(40), RATE, samples)[:, 0] @ weight,
        u,
        eps=1e-7,
        atol=1e-5,
        rtol=1e-4,
    )


@pytest.mark.parametrize("edge", [0.0, 1.0])
def test_gradient_is_finite_at_the_edges(instrument: Renderer, edge: float) -> None:
    u = torch.full((1, len(instrument.params)), edge, dtype=torch.float64, requires_grad=True)
    instrument.render(u, Note(40), RATE, 2000).sum().backward()
    assert torch.all(torch.isfinite(torch.as_tensor(u.grad)))


def test_every_knob_has_a_gradient(instrument: Renderer) -> None:
    u = fixed_patches(instrument, 1).requires_grad_()
    instrument.render(u, Note(30, held=1.0), RATE, 2 * RATE).square().sum().backward()
    silent = [p.name for p, g in zip(instrument.params, u.grad[0], strict=True) if g == 0.0]
    assert silent == []


def test_nothing_sounds_above_nyquist(instrument: Renderer) -> None:
    u = fixed_patches(instrument, 1)
    for i, p in enumerate(instrument.params):
        if p.name.endswith(("_ratio", "_hz")) or p.name == "tune":
            u[:, i] = 1.0
        if p.name == "noise_level":  # noise is everywhere
            u[:, i] = 0.0
    audio = instrument.render(u, Note(127), RATE, 2000)
    assert torch.equal(audio, torch.zeros_like(audio))


def test_silence_after_the_sound_ended(instrument: Renderer) -> None:
    u = fixed_patches(instrument, 1)
    for i, p in enumerate(instrument.params):
        ending = p.name.endswith(("_attack", "_decay", "_sustain", "_seconds"))
        if ending or p.name in ("ring", "hits"):
            u[:, i] = 0.0
    audio = instrument.render(u, MIDDLE_C, RATE, 8000)
    assert audio[..., 6000:].abs().max() <= 1e-12 * audio.abs().max()


def test_velocity_is_a_gain(instrument: Renderer) -> None:
    u = fixed_patches(instrument, 1)
    loud = instrument.render(u, Note(60, 100), RATE, 1000)
    soft = instrument.render(u, Note(60, 50), RATE, 1000)
    assert (soft - 0.25 * loud).abs().max() < 1e-14


def test_random_patches_are_audible_and_tame(instrument: Renderer) -> None:
    u = renderers.random_patches(instrument, 24, generator=torch.Generator().manual_seed(5))
    again = renderers.random_patches(instrument, 24, generator=torch.Generator().manual_seed(5))
    assert torch.equal(u, again)
    assert torch.all((u >= 0) & (u <= 1))
    audio = instrument.render(u, MIDDLE_C, RATE, RATE // 2)
    peak = audio.abs().amax((1, 2))
    assert peak.min() > 0.02  # where one mode of six is heard, `level` is at its bound
    assert peak.max() < 1.0
    assert torch.unique(audio.square().sum((1, 2))).numel() == 24


@pytest.mark.parametrize(
    ("u", "rate", "samples", "sentence"),
    [
        (torch.zeros(1, 3), RATE, 10, r"u must be floating \[B, \d+\], got torch.float32 \[1, 3\]"),
        (torch.zeros(5), RATE, 10, r"u must be floating \[B, \d+\]"),
        (None, 999, 10, "rate must be at least 1000 Hz, got 999"),
        (None, RATE, 0, "samples must be at least 1, got 0"),
    ],
)
def test_wrong_arguments_are_named(
    instrument: Renderer, u: torch.Tensor | None, rate: int, samples: int, sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence):
        instrument.render(fixed_patches(instrument, 1) if u is None else u, MIDDLE_C, rate, samples)


TABLE = (
    Param("cutoff", 20.0, 20000.0, "Hz", "log"),
    Param("mix", 0.0, 1.0),
    Param("pan", -1.0, 1.0),
    Param("quiet", 1e-4, 1.0, "x", "log"),
)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(-0.5, 1.5), min_size=4, max_size=4))
def test_curves_are_those_of_param(u: list[float]) -> None:
    table = curves(TABLE)
    values = physical(table, torch.tensor([u], dtype=torch.float64))
    for p, position, value in zip(TABLE, u, values[0].tolist(), strict=True):
        assert math.isclose(value, p.value(position), rel_tol=1e-12, abs_tol=1e-15)
    back = positions(table, values)[0].tolist()
    assert back == pytest.approx([min(1.0, max(0.0, x)) for x in u], abs=1e-12)


def test_values_round_trip(instrument: Renderer) -> None:
    u = fixed_patches(instrument, 1)[0]
    values = renderers.to_values(instrument, u)
    assert list(values) == [p.name for p in instrument.params]
    again = renderers.from_values(instrument, values)
    moved = ((again - u).abs() > 1e-12).nonzero().flatten().tolist()
    # a DX7 operator has one output level: operator 6 of algorithm 22 modulates three others
    assert {list(values)[i] for i in moved} <= {f"op{v}_from_op6" for v in (3, 4, 5)}
    assert renderers.to_values(instrument, again) == pytest.approx(values, rel=1e-12)


def preset(instrument: Renderer, **changed: object) -> Preset:
    values = renderers.to_values(instrument, fixed_patches(instrument, 1)[0])
    fields = {
        "name": "test",
        "renderer": instrument.name,
        "renderer_version": instrument.version,
        "values": values,
    }
    return Preset.model_validate(fields | changed)


def test_a_preset_finds_its_renderer(instrument: Renderer) -> None:
    found = renderers.for_preset(preset(instrument))
    assert found.params == instrument.params
    u = fixed_patches(instrument, 1)
    assert torch.equal(
        found.render(u, MIDDLE_C, RATE, 500), instrument.render(u, MIDDLE_C, RATE, 500)
    )


def test_a_preset_that_does_not_fit_is_refused_with_a_reason() -> None:
    one = INSTRUMENTS["fm_one"]
    values = preset(one).values
    missing = {name: v for name, v in values.items() if name != "level"}
    cases = [
        ({"renderer": "organ"}, "unknown renderer 'organ'; allowed are fm, impact"),
        ({"renderer_version": 9}, "fm version 9; this build plays version 1"),
        ({"values": missing}, r"needs a value 'level' in 0\.01\.\.1"),
        ({"values": values | {"op1_colour": 1.0}}, "has no value 'op1_colour'; it has level, op1_"),
        ({"values": values | {"op1_ratio": 99.0}}, r"op1_ratio must be in 0\.25\.\.16"),
        ({"values": {}}, "got 0 operators"),
        ({"renderer": "impact", "values": {}}, "got 0 modes and 0 bands"),
    ]
    for changed, sentence in cases:
        with pytest.raises(ValueError, match=sentence):
            renderers.for_preset(preset(one, **changed))


def test_the_table_is_whole() -> None:
    assert {name: r.name for name, r in renderers.RENDERERS.items()} == {
        "fm": "fm",
        "impact": "impact",
    }
    assert len(renderers.RENDERERS["fm"].params) == 4 * 7 + 10 + 21 + 1
    assert len(renderers.RENDERERS["impact"].params) == 3 * 256 + 2 * 32 + 8 + 4
    for renderer in renderers.RENDERERS.values():
        names = [p.name for p in renderer.params]
        assert len(set(names)) == len(names)


if __name__ == "__main__" and sys.argv[1:] == ["--regolden"]:
    for key, value in INSTRUMENTS.items():
        np.save(golden_path(key, value), golden_audio(value), allow_pickle=False)
