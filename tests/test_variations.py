"""Variations are near, valid and repeatable; they play the same notes and go as far as asked."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import torch

from presets import Note, Preset
from renderers import fm, for_preset, from_values, impact, random_patches, to_values
from renderers.base import Renderer
from renderers.fidelity import lsd
from renderers.lift import to_voice
from renderers.variations import OFTEN, STEPS, around, pitch_knobs, vary

RATE = 44100
INSTRUMENTS = {
    "fm": fm.renderer(),
    "fm_free": fm.renderer(operators=3, matrix="free"),
    "fm_dx7": fm.renderer(matrix="dx7:19"),
    "fm_full": fm.renderer(voice="full"),
    "impact": impact.renderer(modes=48, bands=8),
    "impact_full": impact.renderer(modes=48, bands=8, voice="full"),
    "impact_audio_sds": impact.renderer(modes=48, bands=4, voice="audio-sds"),
}


def patches(instrument: Renderer, count: int, seed: int = 0) -> torch.Tensor:
    return random_patches(instrument, count, generator=torch.Generator().manual_seed(seed))


def preset(instrument: Renderer, seed: int = 0) -> Preset:
    return Preset(
        name="bell",
        renderer=instrument.name,
        renderer_version=instrument.version,
        values=to_values(instrument, patches(instrument, 1, seed)[0]),
        prompt="a bell",
        tags=("bells",),
    )


def heard(p: Preset) -> np.ndarray:
    instrument = for_preset(p)
    u = from_values(instrument, p.values)[None]
    return instrument.render(u, Note(p.note), RATE, RATE // 2)[0, 0].numpy()


@pytest.mark.parametrize("name", INSTRUMENTS)
def test_variations_are_valid_distinct_and_repeatable(name: str) -> None:
    start = preset(INSTRUMENTS[name])
    ten = vary(start, 10, seed=4)
    assert ten == vary(start, 10, seed=4)
    assert ten[:3] != vary(start, 3, seed=5)
    assert [p.name for p in ten] == [f"bell {i}" for i in range(1, 11)]
    assert {(p.prompt, p.tags, p.renderer) for p in ten} == {("a bell", ("bells",), start.renderer)}
    sounds = [heard(start), *(heard(p) for p in ten)]  # for_preset refuses what is out of range
    assert all(0.01 < np.abs(sound).max() < 4.0 for sound in sounds)
    near = [lsd(a, b, RATE) for i, a in enumerate(sounds) for b in sounds[:i]]
    assert min(near) > 0.3


@pytest.mark.parametrize("name", INSTRUMENTS)
def test_distance_grows_with_the_amount(name: str) -> None:
    instrument = INSTRUMENTS[name]
    u = patches(instrument, 1)[0]
    moves = [
        (around(instrument, u, 40, amount=a, generator=torch.Generator().manual_seed(1)) - u).abs()
        for a in (0.05, 0.1, 0.3, 1.0)
    ]
    for less, more in pairwise(moves):
        assert (less.norm(dim=1) < more.norm(dim=1)).all()
    start = preset(instrument)
    sound = heard(start)
    far = [
        np.mean([lsd(sound, heard(p), RATE) for p in vary(start, 8, amount=a)])
        for a in (0.03, 0.2, 1.0)
    ]
    assert far == sorted(far)


def test_ratios_step_by_octaves_and_fifths_and_the_loudest_stays() -> None:
    instrument = fm.renderer()
    u = patches(instrument, 1, seed=8)[0]
    where = {p.name: i for i, p in enumerate(instrument.params)}
    ratios = [where[f"op{v}_ratio"] for v in range(1, 5)]
    mix = u[[where[f"op{v}_mix"] for v in range(1, 5)]]
    generator = torch.Generator().manual_seed(0)
    moved = around(instrument, u, 4000, amount=1.0, generator=generator)[:, ratios]
    octaves = (moved - u[ratios]) * math.log2(16.0 / 0.25)
    nearest = min_gap(octaves, (0.0, *STEPS))
    assert nearest.max() < 5 * 0.01  # deviations of the detune
    loudest = int(mix.argmax())
    stepped = (octaves.abs() > 0.1).double().mean(0)
    assert stepped[loudest] == 0.0
    others = [v for v in range(4) if v != loudest]
    assert all(0.3 * OFTEN < stepped[v] <= 1.1 * OFTEN for v in others)


def min_gap(x: torch.Tensor, places: tuple[float, ...]) -> torch.Tensor:
    return (x[..., None] - torch.tensor(places, dtype=x.dtype)).abs().amin(-1)


def test_a_kind_of_knob_moves_together() -> None:
    instrument = fm.renderer()
    u = torch.full((len(instrument.params),), 0.5, dtype=torch.float64)
    generator = torch.Generator().manual_seed(2)
    moved = around(instrument, u, 4000, amount=0.1, generator=generator) - u
    where = {p.name: i for i, p in enumerate(instrument.params)}
    decays = moved[:, [where[f"op{v}_decay"] for v in range(1, 5)]]
    correlation = torch.corrcoef(decays.T)
    assert correlation[0, 1:].tolist() == pytest.approx([0.5] * 3, abs=0.06)
    # one octave at amount 1, of the log2(10 / 0.02) that the knob spans
    assert float(decays.std()) == pytest.approx(0.1 / math.log2(500.0), rel=0.05)
    assert torch.all(moved[:, where["level"]] == 0.0)


def test_knobs_of_pitch_are_ratios_and_frequencies() -> None:
    fm_knobs = pitch_knobs(INSTRUMENTS["fm"])
    names = [p.name for p, yes in zip(INSTRUMENTS["fm"].params, fm_knobs, strict=True) if yes]
    assert names == [f"op{v}_ratio" for v in range(1, 5)]
    assert int(pitch_knobs(INSTRUMENTS["impact"]).sum()) == 48 + 1  # every mode, and tune
    assert int(pitch_knobs(INSTRUMENTS["impact_full"]).sum()) == 48 + 1
    assert int(pitch_knobs(INSTRUMENTS["impact_audio_sds"]).sum()) == 48 + 1  # no band
    assert int(pitch_knobs(INSTRUMENTS["fm_full"]).sum()) == 4 + 4  # and detune


def test_what_is_off_stays_off_and_pitch_is_not_swept() -> None:
    paper = INSTRUMENTS["fm"]
    full = INSTRUMENTS["fm_full"]
    u = to_voice(paper, patches(paper, 1), "full")[0]
    where = {p.name: i for i, p in enumerate(full.params)}
    moved = around(full, u, 50, amount=1.0, generator=torch.Generator().manual_seed(1)) - u
    still = ("lfo_to_pitch", "lfo_to_level", "noise_level", "pitch_start", "level", "filter_mode")
    assert all(torch.all(moved[:, where[name]] == 0.0) for name in still)
    assert all(float(moved[:, where[n]].std()) > 0.01 for n in ("op1_sustain", "op2_release"))
    on = u.clone()
    on[where["noise_level"]] = 0.5
    again = around(full, on, 50, amount=1.0, generator=torch.Generator().manual_seed(1)) - on
    assert float(again[:, where["noise_level"]].std()) == pytest.approx(0.15, rel=0.3)


@pytest.mark.parametrize(
    ("count", "amount", "sentence"),
    [
        (0, 0.3, r"count must be in 1\.\.1000, got 0"),
        (1001, 0.3, "got 1001"),
        (3, 0.0, "amount must be above 0 and at most 1, got 0"),
        (3, 1.5, r"got 1\.5"),
        (3, math.nan, "got nan"),
    ],
)
def test_impossible_wishes_are_refused(count: int, amount: float, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        vary(preset(fm.renderer()), count, amount=amount)
