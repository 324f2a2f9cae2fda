"""A morph begins and ends exactly, and what two layouts share sounds the same in the union."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from presets import Effect, Note, Preset
from renderers import fm, for_preset, from_values, impact, random_patches, to_values
from renderers.base import Renderer
from renderers.fidelity import lsd
from renderers.morph import morph, together

RATE = 44100


def preset(instrument: Renderer, seed: int = 0, **changed: object) -> Preset:
    u = random_patches(instrument, 1, generator=torch.Generator().manual_seed(seed))[0]
    fields = {
        "name": f"{instrument.name} {seed}",
        "renderer": instrument.name,
        "renderer_version": instrument.version,
        "values": to_values(instrument, u),
    }
    return Preset.model_validate(fields | changed)


def heard(p: Preset) -> np.ndarray:
    instrument = for_preset(p)
    u = from_values(instrument, p.values)[None]
    return instrument.render(u, Note(p.note), RATE, RATE)[0, 0].numpy()


PAIRS = {
    "same": (fm.renderer(), fm.renderer()),
    "more operators": (fm.renderer(operators=3), fm.renderer(operators=7)),
    "two algorithms": (fm.renderer(matrix="dx7:5"), fm.renderer(matrix="dx7:32")),
    "dx7 and acyclic": (fm.renderer(matrix="dx7:19"), fm.renderer(operators=4)),
    "free": (
        fm.renderer(operators=2, matrix="free"),
        fm.renderer(operators=4, matrix="free"),
    ),
    "impact": (impact.renderer(modes=30, bands=6), impact.renderer(modes=30, bands=6)),
    "full": (fm.renderer(voice="full"), fm.renderer(voice="full")),
    "paper and full": (fm.renderer(operators=3), fm.renderer(operators=5, voice="full")),
    "struck": (
        impact.renderer(modes=30, bands=6, voice="full"),
        impact.renderer(modes=30, bands=6, voice="full"),
    ),
    "delta and struck": (
        impact.renderer(modes=30, bands=6),
        impact.renderer(modes=30, bands=6, voice="full"),
    ),
    "audio-sds": (
        impact.renderer(modes=30, bands=2, voice="audio-sds"),
        impact.renderer(modes=30, bands=2, voice="audio-sds"),
    ),
    "more modes": (impact.renderer(modes=40, bands=6), impact.renderer(modes=25, bands=6)),
}


LIMITS = {
    "impact": 1e-6,
    "struck": 1e-6,
    "audio-sds": 1e-6,
    "delta and struck": 1e-5,
    "more modes": 1e-2,  # a mode without a partner has the least gain there is, 80 dB down
    "paper and full": 1.0,  # the low-pass of the full voice turns phases: see test_lift
}


@pytest.mark.parametrize("pair", PAIRS)
def test_ends_are_exact(pair: str) -> None:
    a, b = (preset(r, seed) for seed, r in enumerate(PAIRS[pair]))
    assert morph(a, b, 0.0) == a
    assert morph(a, b, 1.0) == b


@pytest.mark.parametrize("pair", PAIRS)
def test_both_patches_sound_in_the_union_as_on_their_own(pair: str) -> None:
    a, b = (preset(r, seed) for seed, r in enumerate(PAIRS[pair]))
    renderer, u, v = together(a, b)
    for patch, p in ((u, a), (v, b)):
        alone = heard(p)
        inside = renderer.render(patch[None], Note(60), RATE, RATE)[0, 0].numpy()
        limit = LIMITS.get(pair, 1e-9)
        assert np.abs(inside - alone).max() <= limit * np.abs(alone).max()


@pytest.mark.parametrize("pair", PAIRS)
def test_the_way_is_even_and_stays_between(pair: str) -> None:
    a, b = (preset(r, seed) for seed, r in enumerate(PAIRS[pair]))
    path = [heard(morph(a, b, x)) for x in (0.0, 1e-4, 0.5, 1.0 - 1e-4, 1.0)]
    whole = lsd(path[0], path[4], RATE)
    assert lsd(path[0], path[1], RATE) < 0.1 * whole
    assert lsd(path[3], path[4], RATE) < 0.1 * whole
    assert 0.0 < lsd(path[0], path[2], RATE) < 1.5 * whole


def test_the_middle_is_the_geometric_mean_of_times_and_ratios() -> None:
    a, b = preset(fm.renderer(), 0, seconds=1.0), preset(fm.renderer(), 1, seconds=4.0)
    middle = morph(a, b, 0.5)
    assert middle.seconds == pytest.approx(2.0)
    for name in ("op1_ratio", "op3_decay", "op4_attack", "level"):
        want = math.sqrt(a.values[name] * b.values[name])
        assert middle.values[name] == pytest.approx(want, rel=1e-9)
    mean = (a.values["op2_from_op1"] + b.values["op2_from_op1"]) / 2
    assert middle.values["op2_from_op1"] == pytest.approx(mean, abs=1e-9)


def test_modes_meet_the_nearest_in_frequency() -> None:
    instrument = impact.renderer(modes=3, bands=1)
    a = preset(instrument)
    hz = (200.0, 1000.0, 5000.0)
    a = a.model_copy(
        update={"values": a.values | {f"mode{i:03d}_hz": f for i, f in enumerate(hz, start=1)}}
    )
    turned = a.values | {
        f"mode{i:03d}_{kind}": a.values[f"mode{(i % 3) + 1:03d}_{kind}"]
        for i in (1, 2, 3)
        for kind in ("hz", "gain", "decay")
    }
    b = a.model_copy(update={"values": turned})
    half = morph(a, b, 0.5).values
    assert half == pytest.approx(a.values, rel=1e-9)  # the same object in another order


def test_effects_go_along_when_they_are_the_same() -> None:
    def wet(amount: float) -> tuple[Effect, ...]:
        return (Effect(kind="Reverb", values={"wet_level": amount, "room_size": 0.5}),)

    a, b = preset(fm.renderer(), effects=wet(0.1)), preset(fm.renderer(), 1, effects=wet(0.5))
    values = [morph(a, b, x).effects[0].values for x in (0.25, 0.75)]
    assert [v["wet_level"] for v in values] == pytest.approx([0.2, 0.4])
    dry = preset(fm.renderer(), 1)
    assert morph(a, dry, 0.4).effects == a.effects
    assert morph(a, dry, 0.6).effects == ()


def test_what_cannot_be_morphed_is_refused() -> None:
    a, b = preset(fm.renderer()), preset(impact.renderer(modes=3, bands=1))
    other = preset(impact.renderer(modes=3, bands=1, voice="audio-sds"))
    with pytest.raises(ValueError, match="voice of the recipe paper morphs only into its like"):
        morph(b, other, 0.5)
    with pytest.raises(ValueError, match="presets of one renderer morph, got fm and impact"):
        morph(a, b, 0.5)
    with pytest.raises(ValueError, match=r"position must be in 0\.\.1, got 1\.2"):
        morph(a, a, 1.2)
