"""Delta denoising on the Gaussian prior, where its end is known: z0 + guidance (m_new - m_old)."""

from dataclasses import replace

import pytest
import torch

from sds.distillation.delta_denoising import EDIT, Pull, edit
from sds.distillation.recipes import Recipe
from sds.distillation.sds_targets import sds_gradient
from sds.priors.base import classifier_free_guidance
from sds.priors.gaussian import GaussianPrior
from sds.samplers.schedules import sigma_of

HOP, FRAMES, STD = 32, 32, 0.3
LOW, HIGH = torch.zeros(HOP), torch.zeros(HOP)
LOW[3], HIGH[9] = 0.4, 0.3
P = GaussianPrior({"": 0.0, "low": LOW, "high": HIGH}, {"": STD, "low": STD, "high": STD}, hop=HOP)
QUICK = Recipe(
    steps=150, lr=0.03, guidance=1.0, domain="encoder", anneal=True, t_range=(0.2, 0.8), refresh=5
)


def render(u: torch.Tensor) -> torch.Tensor:
    """u [B, 32]: the level, -1..1, of each frequency of the prior's codec."""
    return P.decode((2 * u - 1)[:, :, None].expand(-1, -1, FRAMES))


def start(seed: int = 0) -> torch.Tensor:
    """A patch that no prompt describes; levels within 0.4 of the middle."""
    return 0.3 + 0.4 * torch.rand(HOP, generator=torch.Generator().manual_seed(seed))


def run(recipe: Recipe, old: str, new: str, u0: torch.Tensor, *, score=None, seed: int = 0):
    g = torch.Generator().manual_seed(seed)
    return list(edit(render, P, old, new, u0, recipe=recipe, generator=g, score=score))


def pull(old: str, new: str, guidance: float = 1.0) -> Pull:
    return Pull(P, old, new, render(start()[None]), replace(QUICK, guidance=guidance))


def draws(count: int, t: float = 0.5) -> tuple[torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(1)
    return torch.randn(count, HOP, FRAMES, generator=g), torch.full((count,), t)


@pytest.mark.parametrize("guidance", [1.0, 4.0])
@pytest.mark.parametrize("t", [0.1, 0.5, 0.8])
def test_nothing_moves_between_equal_prompts(t, guidance):
    """Where SDS itself pulls to the mean, noise or not, the two pulls cancel exactly."""
    p = pull("low", "low", guidance)
    noise, at = draws(3, t)
    assert torch.equal(p.latent(p.z, noise, at), p.z.expand(3, -1, -1))
    plain = classifier_free_guidance(P, P.embed(["low"], 1.0), P.embed([""], 1.0), guidance)
    assert float(sds_gradient(plain, p.z.expand(3, -1, -1), noise, at).abs().mean()) > 0.05


@pytest.mark.parametrize("t", [0.2, 0.5, 0.8])
def test_the_pull_is_that_of_theory_whatever_the_noise(t):
    """z - z* = sigma^2 / (s^2 + sigma^2) ((z - z0) - w (m_new - m_old)): no noise is left."""
    p = pull("low", "high", 3.0)
    noise, at = draws(2, t)
    z = p.z + 0.1
    sigma2 = float(sigma_of(torch.tensor(t))) ** 2
    expected = sigma2 / (STD**2 + sigma2) * (0.1 - 3.0 * (HIGH - LOW))
    assert torch.allclose(
        z - p.latent(z, noise, at), expected[:, None].expand(2, -1, FRAMES), atol=2e-5
    )


@pytest.mark.parametrize(
    "recipe", [QUICK, replace(QUICK, domain="decoder", emphasis="waveform", peak=0.5)]
)
def test_an_edit_ends_where_theory_says(recipe):
    last = run(recipe, "low", "high", start())[-1]
    scale = 1.0 if not recipe.peak else float(render(start()[None]).abs().amax()) / recipe.peak
    expected = (2 * start() - 1) + scale * (HIGH - LOW)
    assert float((2 * last.best_u - 1 - expected).abs().max()) < 0.02


def test_equal_prompts_leave_the_patch_alone():
    last = run(QUICK, "high", "high", start())[-1]
    assert torch.equal(last.best_u, start())
    assert last.score == pytest.approx(0.0, abs=1e-9)


def test_spectrogram_targets_move_the_spectrum():
    recipe = replace(QUICK, domain="decoder", scales=(64,), peak=0.5, log_weight=0.1, guidance=2.0)
    first, last = start(), run(recipe, "low", "high", start())[-1].best_u
    before, after = (P.encode(render(u[None]))[0, :, 0].abs() for u in (first, last))
    there = float(after[9] - before[9])
    assert there > 0.1
    # Far from where the prompts differ Adam leaves noise: 2 to 3.4 % on four paths of processors.
    assert float((after - before)[22:].abs().max()) < 0.1 * there


def test_held_knobs_stay():
    held = torch.arange(HOP) == 9
    g = torch.Generator().manual_seed(0)
    work = edit(render, P, "low", "high", start(), recipe=QUICK, generator=g, held=held)
    moved = (list(work)[-1].best_u - start()).abs()
    assert float(moved[9]) == 0.0
    assert float(moved[3]) == pytest.approx(0.2, abs=0.01)  # half the 0.4 that "low" had there


def test_score_chooses_and_never_falls():
    def score(audio: torch.Tensor) -> torch.Tensor:
        return -audio.square().mean((1, 2))  # nothing is as good as silence

    steps = run(replace(QUICK, steps=40, look=5), "low", "high", start(), score=score)
    scores = [step.score for step in steps]
    assert scores == sorted(scores)
    assert [step.index for step in steps] == list(range(1, 41))
    assert {step.of for step in steps} == {40}
    first = float(score(render(start()[None])))
    assert scores[0] == first  # what was there before counts
    assert all(step.improved == (a < step.score) for a, step in zip([first, *scores], steps))  # noqa: B905


def test_the_same_seed_gives_the_same_edit_and_it_stops_when_closed():
    recipe = replace(EDIT, steps=10, scales=(64,))
    first, again = (run(recipe, "low", "high", start(), seed=7)[-1] for _ in range(2))
    assert torch.equal(first.best_u, again.best_u)
    g = torch.Generator().manual_seed(0)
    work = edit(render, P, "low", "high", start(), recipe=recipe, generator=g)
    next(work)
    work.close()
    assert next(work, None) is None


@pytest.mark.parametrize("u0", [torch.zeros(2, HOP), torch.full((HOP,), 1.5)])
def test_a_patch_out_of_range_is_refused(u0):
    with pytest.raises(ValueError, match=r"u0 must be \[P\] with values in 0\.\.1, got \["):
        run(QUICK, "low", "high", u0)
