"""The voice of a search: knobs within bounds, in tune, heard through effects, with a gradient."""

from __future__ import annotations

import math

import torch

from bridge.worker.asked_voice import has_pitch, voice
from presets import Effect, Note
from renderers import fm, to_values

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


def test_a_fit_hears_the_effects() -> None:
    """Through an echo the gradient of what is late pulls at what sounds 50 ms earlier, too."""
    renderer, samples, later = fm.renderer(operators=2), 4000, 1102
    u = torch.rand(1, len(renderer.params), generator=torch.Generator().manual_seed(0))
    late = torch.zeros(samples)
    late[2000:2100] = 1.0

    def slope(chain: tuple[Effect, ...], weights: torch.Tensor) -> torch.Tensor:
        v = u.clone().requires_grad_(True)
        heard = voice(renderer, chain=chain).render_function(Note(60), RATE, samples)(v)
        return torch.autograd.grad((heard * weights).sum(), v)[0]

    wet = slope((ECHO,), late)
    expected = slope((), 0.5 * (late + late.roll(-later)))
    torch.testing.assert_close(wet, expected, rtol=1e-3, atol=1e-4 * float(expected.abs().max()))
    assert not torch.allclose(wet, slope((), late), rtol=0.1)


def test_a_tone_has_a_pitch_and_noise_has_none() -> None:
    t = torch.arange(RATE) / RATE
    saw = ((220 * t) % 1.0 - 0.5)[None, None]
    noise = torch.randn(1, 1, RATE, generator=torch.Generator().manual_seed(0))
    assert has_pitch(saw * torch.exp(-3 * t), RATE)
    assert not has_pitch(noise * math.e, RATE)
