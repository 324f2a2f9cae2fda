"""Words that name something measurable move it by as much as they say, and leave the rest."""

import math

import pytest
import torch

from presets import Note
from renderers import fm, from_values
from renderers.variations import pitch_knobs
from sds.distillation.descriptor_edit import FIT, Trait, reshape, tilt_and_stretch, trait
from sds.signal.spectrogram import magnitude, magnitudes

RATE = 16000
HZ = torch.tensor([500.0, 1000.0, 2000.0, 4000.0])


def render(u: torch.Tensor) -> torch.Tensor:
    """u [B, 5]: four partials from -60 to 0 dB, and their decay from 0.03 to 0.3 s."""
    t = torch.arange(RATE // 2) / RATE
    gain = 1000.0 ** (u[:, :4] - 1.0)
    decay = 0.03 * 10.0 ** u[:, 4:5]
    partials = torch.sin(2 * math.pi * HZ[:, None] * t)
    return ((gain[:, :, None] * partials).sum(1) * torch.exp(-t / decay))[:, None]


START = torch.tensor([0.9, 0.85, 0.8, 0.75, 0.5])


def run(words: str, held: torch.Tensor | None = None):
    return list(reshape(render, trait(words), START, rate=RATE, held=held))


def slope(u: torch.Tensor) -> float:
    """dB per octave of the four partials."""
    return float(60.0 * ((u[3] - u[0]) + (u[2] - u[1]) / 3.0) * 0.3)


@pytest.mark.parametrize(("words", "db"), [("darker", -6.0), ("slightly brighter", 3.0)])
def test_brightness_is_a_tilt_in_db_per_octave(words, db):
    last = run(words)[-1].best_u
    assert slope(last) - slope(START) == pytest.approx(db, abs=0.15 * abs(db))
    assert float(last[4]) == pytest.approx(0.5, abs=0.05)  # the decay stays


@pytest.mark.parametrize(("words", "factor"), [("longer", 2.0), ("shorter", 0.5)])
def test_length_is_a_factor_of_the_decay(words, factor):
    last = run(words)[-1].best_u
    assert 10.0 ** float(last[4] - 0.5) == pytest.approx(factor, rel=0.1)
    assert slope(last) == pytest.approx(slope(START), abs=0.5)


def test_words_add_up():
    assert trait("same, but a bit darker and longer") == Trait(-3.0, 0.5)
    assert trait("Much brighter") == Trait(12.0, 0.0)
    assert trait("brighter, darker") == Trait(0.0, 0.0)
    assert trait("more like a cello") is None
    assert trait("the same") is None


def test_nothing_to_change_changes_nothing():
    spectra = magnitudes(render(START[None]))
    same = tilt_and_stretch(spectra, Trait(), RATE)
    assert all(torch.allclose(a, b, rtol=1e-5) for a, b in zip(spectra, same, strict=True))


def test_a_tilt_keeps_the_energy_and_a_stretch_the_attack():
    s = magnitude(render(START[None]), 1024)
    tilted, long = tilt_and_stretch([s, s], Trait(-6.0, 1.0), RATE)
    assert float(tilted.square().sum() / s.square().sum()) == pytest.approx(1.0, rel=1e-4)
    rows = long.square().sum((0, 1, 2)), s.square().sum((0, 1, 2))
    peaks = [int(row.argmax()) for row in rows]
    assert peaks[0] == peaks[1]


def test_held_knobs_stay_and_the_score_never_falls():
    held = torch.tensor([True, True, True, True, False])
    steps = run("longer", held)
    assert torch.equal(steps[-1].best_u[:4], START[:4])
    assert float(steps[-1].best_u[4]) > 0.6
    scores = [step.score for step in steps]
    assert scores == sorted(scores)
    assert len(steps) == steps[0].of == FIT.steps


@pytest.mark.parametrize(
    ("word", "sign"), [("darker", -1), ("brighter", 1), ("longer", 1), ("shorter", -1)]
)
def test_an_fm_patch_goes_the_way_of_the_word_and_keeps_its_pitch(word, sign):
    instrument, rate = fm.renderer(operators=2), 22050
    values = {"op1_ratio": 2.0, "op2_ratio": 1.0, "op2_from_op1": 1.5, "op2_mix": 1.0, "level": 0.5}
    values |= {
        f"op{v}_{kind}": x for v in (1, 2) for kind, x in (("attack", 0.002), ("decay", 0.4))
    }
    values |= {"op1_mix": 0.2, "op1_from_op1": 0.2, "op2_from_op2": 0.2}
    u0 = from_values(instrument, values).float()

    def sound(u: torch.Tensor) -> torch.Tensor:
        return instrument.render(u, Note(60), rate, 16000).float()

    held = pitch_knobs(instrument)
    for step in reshape(sound, trait(word), u0, rate=rate, held=held):
        last = step.best_u
    assert torch.equal(last[held], u0[held])
    measure = brightness if word in ("darker", "brighter") else length
    before, after = (measure(sound(u[None]), rate) for u in (u0, last))
    assert sign * math.log2(after / before) > 0.1  # octaves: it has few partials to tilt


def brightness(audio: torch.Tensor, rate: int) -> float:
    power = magnitude(audio, 1024).square().sum((0, 1, 3))
    hz = torch.linspace(0.0, rate / 2, len(power)).clamp_min(20.0)
    return float(torch.exp((power * hz.log()).sum() / power.sum()))


def length(audio: torch.Tensor, rate: int) -> float:
    energy = audio.flatten().square().cumsum(0)
    return int((energy < 0.9 * energy[-1]).sum()) / rate


def test_a_patch_out_of_range_is_refused():
    with pytest.raises(ValueError, match=r"u0 must be \[P\] with values in 0\.\.1, got \[2, 5\]"):
        next(reshape(render, Trait(), START.expand(2, -1), rate=RATE))
