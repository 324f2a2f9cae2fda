"""Snapped patches are in tune on every key, stay where they are, and keep their other gradients."""

from __future__ import annotations

import math

import pytest
import torch

from presets import Note
from renderers import fm, impact, random_patches, to_values
from renderers.base import Renderer
from renderers.tuning import FAMILIES, INDEX, LEAST, MOST, OTHERS, SOONER, in_tune, snap
from sds.metrics.pitch import cents, yin
from sds.metrics.tuning import in_tune_share

RATE = 22050
KEYS = (48, 60, 67, 79)
LIMITED = ("_detune", "_decay", "_mix", "pitch_time", *MOST, *LEAST)
INSTRUMENTS = {
    "fm": fm.renderer(),
    "fm_free": fm.renderer(operators=3, matrix="free"),
    "fm_dx7": fm.renderer(matrix="dx7:22"),
    "fm_full": fm.renderer(voice="full"),
    "impact": impact.renderer(modes=64, bands=8),
    "impact_full": impact.renderer(modes=64, bands=8, voice="full"),
}


@pytest.fixture(params=INSTRUMENTS.values(), ids=list(INSTRUMENTS))
def instrument(request: pytest.FixtureRequest) -> Renderer:
    renderer: Renderer = request.param
    return renderer


def patches(instrument: Renderer, count: int) -> torch.Tensor:
    """Random patches, without those of the full FM voice that are noise alone."""
    u = random_patches(instrument, count, generator=torch.Generator().manual_seed(3))
    mixes = [i for i, p in enumerate(instrument.params) if p.name.endswith("_mix")]
    return u[u[:, mixes].amax(1) > 0.0] if mixes else u


def anywhere(instrument: Renderer, count: int) -> torch.Tensor:
    shape = (count, len(instrument.params))
    return torch.rand(*shape, generator=torch.Generator().manual_seed(4), dtype=torch.float64)


def test_a_harmonic_patch_is_in_tune_on_four_keys(instrument: Renderer) -> None:
    u = patches(instrument, 12)
    for key in KEYS:
        note = Note(key)
        free = instrument.render(u, note, RATE, RATE // 2)[:, 0]
        tuned = in_tune(instrument, "harmonic").render(u, note, RATE, RATE // 2)[:, 0]
        before, after = (
            [in_tune_share(audio, RATE, note.hz) for audio in rows] for rows in (free, tuned)
        )
        assert min(after) >= 0.9
        assert sum(before) < sum(after)


def test_a_snapped_patch_snaps_to_itself(instrument: Renderer) -> None:
    for family in FAMILIES:
        once = snap(instrument, family, anywhere(instrument, 20))
        assert torch.all((once >= 0.0) & (once <= 1.0))
        assert (snap(instrument, family, once) - once).abs().max() < 1e-9
    u = anywhere(instrument, 3)
    assert snap(instrument, "free", u) is u
    assert snap(instrument, "bell", u.float()).dtype == torch.float32


def test_ratios_are_whole_and_beats_are_slow() -> None:
    full = INSTRUMENTS["fm_full"]
    for row in snap(full, "harmonic", anywhere(full, 20)):
        values = to_values(full, row)
        for v in range(1, 5):
            ratio = values[f"op{v}_ratio"]
            assert ratio == pytest.approx(round(ratio), rel=1e-9)
            assert 1 <= round(ratio) <= 16
            assert abs(values[f"op{v}_detune"]) <= 4.0 / ratio + 1e-9
        glide = abs(values["pitch_start"]) * math.exp(-0.06 / values["pitch_time"])
        assert glide <= 0.25 + 1e-6
        assert all(values[n] <= MOST[n] * (1 + 1e-9) for n in values if n in MOST)
        assert values["noise_width"] >= 1.0 - 1e-9


@pytest.mark.parametrize("name", ["fm", "fm_free", "fm_dx7", "fm_full"])
def test_an_fm_bell_has_one_strong_strike_note(name: str) -> None:
    instrument = INSTRUMENTS[name]
    for row in snap(instrument, "bell", anywhere(instrument, 20)):
        values = to_values(instrument, row)
        mixes = {key[:3]: v for key, v in values.items() if key.endswith("_mix")}
        strike = max(mixes, key=mixes.__getitem__)
        assert values[f"{strike}_ratio"] == pytest.approx(1.0)
        others = [v for v in mixes if v != strike]
        assert sum(mixes[v] for v in others) <= OTHERS * mixes[strike] + 1e-9
        assert all(values[f"{v}_ratio"] >= 1.0 - 1e-9 for v in others)
        sooner = SOONER * values[f"{strike}_decay"] + 1e-9
        assert all(values[f"{v}_decay"] <= sooner for v in others)
        depth = [
            v
            for key, v in values.items()
            if key.startswith(f"{strike}_from_op") and not key.endswith(strike)
        ]
        assert sum(depth) <= INDEX + 1e-9


@pytest.mark.parametrize("family", ["harmonic", "bell"])
def test_the_loudest_mode_is_at_the_note(family: str) -> None:
    for name in ("impact", "impact_full"):
        instrument = INSTRUMENTS[name]
        for row in snap(instrument, family, anywhere(instrument, 20)):
            values = to_values(instrument, row)
            strength = [
                values[f"mode{n:03d}_gain"] * values[f"mode{n:03d}_decay"] for n in range(1, 65)
            ]
            loudest = 1 + strength.index(max(strength))
            hz = [values[f"mode{n:03d}_hz"] * values["tune"] for n in range(1, 65)]
            assert hz[loudest - 1] == pytest.approx(Note(60).hz, rel=1e-9)
            if family == "harmonic":
                number = [f / Note(60).hz for f in hz if f < 16000.0 * values["tune"] * 0.999]
                assert number == pytest.approx([round(n) for n in number], abs=1e-6)
            else:
                assert sorted(strength)[-2] <= OTHERS * SOONER * max(strength) * (1 + 1e-9)
                assert min(hz) >= Note(60).hz * (1 - 1e-9)


@pytest.mark.parametrize("name", ["fm_full", "impact_full"])
def test_a_bell_is_heard_at_its_strike_note(name: str) -> None:
    instrument = INSTRUMENTS[name]
    u = patches(instrument, 8)
    tuned = in_tune(instrument, "bell")
    for key in KEYS:
        sounds = tuned.render(u, Note(key), RATE, RATE // 2)[:, 0]
        off = [abs(cents(yin(sound, RATE), Note(key).hz)) for sound in sounds]
        assert sum(value <= 25.0 for value in off) >= 0.9 * len(u), key


def test_only_what_is_not_snapped_has_its_gradient(instrument: Renderer) -> None:
    u = anywhere(instrument, 1).requires_grad_()
    weight = torch.arange(1.0, u.shape[1] + 1.0, dtype=torch.float64)
    (snap(instrument, "harmonic", u) * weight).sum().backward()
    assert u.grad is not None
    slopes = dict(zip([p.name for p in instrument.params], (u.grad / weight)[0], strict=True))
    for name, slope in slopes.items():
        if name.endswith("_ratio") or name == "tune" or (name.startswith("mode") and "_hz" in name):
            assert slope == 0.0, name
        elif not name.startswith("band") and not name.endswith(LIMITED):
            assert slope == pytest.approx(1.0), name


def test_an_unknown_family_is_refused() -> None:
    with pytest.raises(ValueError, match="family must be one of harmonic, bell, free, got 'drum'"):
        in_tune(INSTRUMENTS["fm"], "drum")
