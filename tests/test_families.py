"""Families of the full voice: within its knobs' ranges, audible, level, in tune where pitched."""

from __future__ import annotations

import pytest
import torch

from presets import Note, ranges
from renderers import fm
from renderers.families import FAMILIES, REST
from renderers.starts import family_patches

VOICE = fm.renderer(voice="full")
KNOBS = {p.name: p for p in VOICE.params}
RATE = 44100


def test_rest_names_every_knob_of_the_movement() -> None:
    assert set(REST) == {p.name for p in ranges.MOVEMENT}


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_stays_within_its_knobs(name: str) -> None:
    family = FAMILIES[name]
    of_operators = {
        kind: getattr(family, kind) for kind in ("attack", "decay", "sustain", "release")
    }
    named = {f"op1_{kind}": limits for kind, limits in of_operators.items()} | dict(family.moves)
    for knob, (low, high) in named.items():
        assert KNOBS[knob].low <= low <= high <= KNOBS[knob].high, knob
    for ratio in family.heard + family.hidden:
        assert 0.25 <= ratio <= 16.0


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_is_heard_at_its_level(name: str) -> None:
    generator = torch.Generator().manual_seed(1)
    u = family_patches(VOICE, FAMILIES[name], 2, generator)
    audio = VOICE.render(u, Note(60), RATE, 3 * RATE // 2)
    assert torch.all(audio.abs().amax((1, 2)) < 0.51)
    assert torch.all(audio.abs().amax((1, 2)) > 0.1)
    assert torch.all(audio.square().mean((1, 2)).sqrt() > 1e-3)  # -60 dB over 1.5 s: no tick


def test_pitched_families_have_whole_ratios() -> None:
    generator = torch.Generator().manual_seed(2)
    lay = fm.layout(VOICE.params)
    for name in ("organ", "strings", "plucked bass", "lead", "brass", "electric piano"):
        u = family_patches(VOICE, FAMILIES[name], 8, generator)
        ratio = torch.tensor(
            [[KNOBS["op1_ratio"].value(x) for x in row] for row in u[:, lay.ratio]]
        )
        assert torch.all((4.0 * ratio - (4.0 * ratio).round()).abs() < 1e-9), name


def test_the_papers_voice_has_no_families() -> None:
    with pytest.raises(ValueError, match="families are for the full voice"):
        family_patches(fm.renderer(), FAMILIES["kick"], 1, torch.Generator())
