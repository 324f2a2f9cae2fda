"""The voice of a search: knobs within bounds, in tune, heard through effects, with a gradient."""

from __future__ import annotations

import math

import torch

from bridge.worker.asked_voice import has_pitch, heard_through, voice
from presets import Effect, Note
from renderers import effects, fm, to_values

RATE = 22050
ECHO = Effect(kind="Delay", values={"delay_seconds": 0.05, "feedback": 0.0, "mix": 0.5})


def test_knobs_stay_where_words_want_them() -> None:
    renderer = fm.renderer(operators=2)
    bounded = voice(renderer, bounds={r"op\d_attack": (0.25, 2.0)})
    u = torch.rand(3, len(renderer.params), generator=torch.Generator().manual_seed(0))
    u[0] = 0.0
    values = [to_values(renderer, row) for row in bounded.settle(u)]
    assert all(v[f"op{n}_attack"] >= 0.2499 for v in values for n in (1, 2))
    free = to_values(renderer, u[1])
    assert values[1]["op1_decay"] == free["op1_decay"]
    heard = bounded.render_function(Note(60), RATE, 2000)(u)
    torch.testing.assert_close(
        heard, renderer.render(bounded.settle(u), Note(60), RATE, 2000).float()
    )


def test_effects_are_heard_and_the_gradient_is_that_of_the_dry_sound() -> None:
    sound = torch.randn(2, 1, 4000, generator=torch.Generator().manual_seed(0), requires_grad=True)
    wet = heard_through((ECHO,), sound, RATE)
    for one, dry in zip(wet.detach(), sound.detach(), strict=True):
        expected = torch.from_numpy(effects.chain((ECHO,))(dry.numpy(), RATE))
        torch.testing.assert_close(one, expected, atol=1e-6, rtol=0)
    (gradient,) = torch.autograd.grad(wet.sum(), sound)
    torch.testing.assert_close(gradient, torch.ones_like(sound))


def test_a_tone_has_a_pitch_and_noise_has_none() -> None:
    t = torch.arange(RATE) / RATE
    saw = ((220 * t) % 1.0 - 0.5)[None, None]
    noise = torch.randn(1, 1, RATE, generator=torch.Generator().manual_seed(0))
    assert has_pitch(saw * torch.exp(-3 * t), RATE)
    assert not has_pitch(noise * math.e, RATE)
