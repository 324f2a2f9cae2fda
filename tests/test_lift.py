"""Patches of the paper's voices sound the same in the full ones, and come back as they were."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from presets import Note, Preset
from renderers import fm, for_preset, from_values, impact, random_patches, to_values
from renderers.base import Renderer
from renderers.fidelity import lsd
from renderers.lift import RESTING, full, in_voice, resting, to_voice, voice_of

RATE = 44100
PAPER = {
    "fm": fm.renderer(),
    "fm_free": fm.renderer(operators=3, matrix="free"),
    "fm_dx7": fm.renderer(matrix="dx7:5"),
    "impact": impact.renderer(modes=20, bands=6),
}


def patches(instrument: Renderer, count: int = 6) -> torch.Tensor:
    return random_patches(instrument, count, generator=torch.Generator().manual_seed(1))


@pytest.fixture(params=PAPER.values(), ids=list(PAPER))
def instrument(request: pytest.FixtureRequest) -> Renderer:
    renderer: Renderer = request.param
    return renderer


def test_a_lifted_patch_sounds_the_same(instrument: Renderer) -> None:
    u = patches(instrument)
    target = in_voice(instrument, "full")
    before = instrument.render(u, Note(60), RATE, RATE // 2)[:, 0]
    after = target.render(to_voice(instrument, u, "full"), Note(60), RATE, RATE // 2)[:, 0]
    if instrument.name == "impact":
        assert (after - before).norm() < 1e-5 * before.norm()
        return
    for x, y in zip(before.numpy(), after.numpy(), strict=True):
        assert lsd(x, y, RATE) < 1.0  # the low-pass, open as far as it goes
        power = [np.abs(np.fft.rfft(z)[: RATE // 4]) ** 2 for z in (x, y)]  # up to 22 kHz
        low = [p[:7500].sum() for p in power]  # up to 15 kHz
        assert 10 * np.log10(low[1] / low[0]) == pytest.approx(0.0, abs=0.05)


def test_values_and_patches_are_lifted_alike(instrument: Renderer) -> None:
    u = patches(instrument)
    values = to_values(instrument, u[0])
    lifted = full(values)
    target = in_voice(instrument, "full")
    assert list(lifted) == [p.name for p in target.params]
    assert full(lifted) == lifted
    here = from_values(target, lifted)
    assert (here - to_voice(instrument, u[:1], "full")[0]).abs().max() < 1e-12
    preset = Preset(name="x", renderer=instrument.name, renderer_version=1, values=lifted)
    assert for_preset(preset).params == target.params


def test_there_and_back(instrument: Renderer) -> None:
    u = patches(instrument)
    target = in_voice(instrument, "full")
    assert (voice_of(instrument), voice_of(target)) == ("paper", "full")
    assert in_voice(target, "paper").params == instrument.params
    assert in_voice(target, "full") is target
    back = to_voice(target, to_voice(instrument, u, "full"), "paper")
    assert (back - u).abs().max() < 1e-12
    assert torch.equal(to_voice(target, to_voice(instrument, u, "full"), "full")[:, :3], u[:, :3])


def test_every_knob_of_a_full_voice_has_a_rest() -> None:
    used = set()
    for paper in PAPER.values():
        had = {p.name for p in paper.params}
        for p in in_voice(paper, "full").params:
            if p.name not in had:
                assert p.low <= resting(p.name) <= p.high
                used.add(p.name.split("_", 1)[1] if p.name.startswith("op") else p.name)
    assert used == set(RESTING)


def test_no_other_voice_sounds_as_audio_sds_does() -> None:
    instrument = impact.renderer(modes=3, bands=2, voice="audio-sds")
    values = to_values(instrument, patches(instrument, 1)[0])
    assert full(values) == values
    assert voice_of(instrument) == "audio-sds"
