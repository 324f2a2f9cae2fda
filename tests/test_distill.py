"""Score distillation on the Gaussian prior, where theory says where it must go."""

from dataclasses import replace
from itertools import islice, pairwise

import pytest
import torch

from sds.distillation.descent import BestSoFar, fit
from sds.distillation.distill import FEW, distill, recipe_for
from sds.distillation.patch_search import Kept
from sds.distillation.recipes import AUDIO_SDS, RECIPES, PatchRecipe, Recipe
from sds.distillation.sds_targets import as_loud_as, latent_target, sds_gradient, target
from sds.priors.base import classifier_free_guidance
from sds.priors.gaussian import GaussianPrior
from sds.samplers.exponential import tab3
from sds.samplers.inversion import estimate_x0
from sds.samplers.schedules import cosine, karras, sigma_of
from sds.separation.audio_sds import LATENTS
from sds.signal.spectrogram import magnitudes, relative_distance

HOP, FRAMES, STD = 32, 32, 0.3
MEAN = torch.zeros(HOP)
MEAN[3], MEAN[9] = 1.0, 0.5
P = GaussianPrior(
    {"": 0.0, "chord": MEAN, "half": MEAN / 2}, {"": STD, "chord": STD, "half": STD}, hop=HOP
)
QUICK = Recipe(
    steps=120,
    lr=0.05,
    guidance=1.0,
    domain="encoder",
    anneal=True,
    t_range=(0.2, 0.8),
    scales=(64,),
)


def render(u: torch.Tensor) -> torch.Tensor:
    """u [B, 32]: the level, 0..2, of each frequency of the prior's codec."""
    return P.decode((2 * u)[:, :, None].expand(-1, -1, FRAMES))


def starts(count: int = 1, seed: int = 0) -> torch.Tensor:
    return torch.rand(count, HOP, generator=torch.Generator().manual_seed(seed))


def run(
    recipe: Recipe | PatchRecipe, u0: torch.Tensor, *, prompt="chord", score=None, seed=0, **counts
):
    g = torch.Generator().manual_seed(seed)
    recipe = PatchRecipe(recipe, **counts) if isinstance(recipe, Recipe) else recipe
    return list(distill(render, P, prompt, u0, recipe=recipe, generator=g, score=score))


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def plain(prompt: str = "chord"):
    return classifier_free_guidance(P, P.embed([prompt], 1.0), P.embed([""], 1.0), 1.0)


@pytest.mark.parametrize("t", [0.1, 0.5, 0.875])
def test_mean_sds_gradient_has_the_sign_and_scale_of_theory(t):
    """E[z - D(z + sigma n)] = sigma^2 (z - m) / (s^2 + sigma^2), eq. in ARCHITECTURE."""
    g = torch.Generator().manual_seed(0)
    z = torch.rand(1, HOP, 1, generator=g).expand(-1, -1, 20_000)
    noise = torch.randn(z.shape, generator=g)
    mean = sds_gradient(plain(), z, noise, torch.tensor([t])).mean(-1)[0]
    sigma2 = float(sigma_of(torch.tensor(t))) ** 2
    expected = sigma2 * (z[0, :, 0] - MEAN) / (STD**2 + sigma2)
    # D's noise has deviation s^2 sigma / (s^2 + sigma^2) <= s / 2
    assert torch.allclose(mean, expected, atol=5 * STD / 2 / 20_000**0.5)


def test_multi_step_estimate_shrinks_as_the_exact_product():
    """Each DDIM step multiplies x - m by s^2/(s^2 + sigma^2) + sigma'/sigma sigma^2/(...)."""
    t, steps = torch.tensor([0.7]), 4
    z = starts()[:, :, None]
    noise = torch.ones_like(z)
    levels = cosine(steps, t)[:, 0].tolist()
    factor = 1.0
    for now, after in pairwise(levels):
        factor *= (STD**2 + after * now) / (STD**2 + now**2)
    z_hat = z - sds_gradient(plain(), z, noise, t, steps=steps)
    expected = MEAN[:, None] + factor * (z + levels[0] * noise - MEAN[:, None])
    assert torch.allclose(z_hat, expected, atol=1e-5)


def test_target_is_a_mean_of_spectrograms_without_gradient():
    recipe = replace(QUICK, domain="decoder", samples=400)
    x = render(starts()).requires_grad_(True)
    t = torch.full((400,), 0.5)
    g = torch.Generator().manual_seed(0)
    wanted = target(P, plain(), x, t=t, recipe=recipe, generator=g)
    assert not wanted[0].requires_grad
    z = P.encode(x.detach()).expand(400, -1, -1)
    noise = torch.randn(z.shape, generator=torch.Generator().manual_seed(0))
    decoded = P.decode(z - sds_gradient(plain(), z, noise, t))
    of_mean = magnitudes(decoded.mean(0, keepdim=True), (64,))[0]
    assert torch.allclose(wanted[0][0], magnitudes(decoded, (64,))[0].mean(0), atol=1e-5)
    assert float(wanted[0].mean()) > 1.05 * float(of_mean.mean())  # |.| is convex


def test_the_mean_of_the_draws_is_decoded_once_where_a_recipe_says_so():
    """For the orthogonal codec of `P` the target is then the spectrum of the mean of all D."""
    recipe = Recipe(steps=1, lr=0.1, guidance=1.0, samples=4, decode_mean=True, scales=(256,))
    x, t = 0.1 * torch.randn(2, 1, 2048, generator=seeded(3)), torch.full((8,), 0.4)
    (wanted,) = target(P, plain(), x, t=t, recipe=recipe, generator=seeded(4))
    z = P.encode(x).repeat_interleave(4, 0)
    noised = torch.randn(z.shape, generator=seeded(4))
    mean = estimate_x0(plain(), z, noised, t, steps=1).reshape(2, 4, *z.shape[1:]).mean(1)
    (true,) = magnitudes(P.decode(mean), (256,))
    torch.testing.assert_close(wanted, true, rtol=1e-5, atol=1e-6)
    (means,) = target(
        P, plain(), x, t=t, recipe=replace(recipe, decode_mean=False), generator=seeded(4)
    )
    assert wanted.square().sum() < means.square().sum()  # what differs between draws is gone


def test_rolled_target_is_rolled_back():
    """A prior that knows nothing leaves x + sigma n, wherever the roll put it."""
    p = GaussianPrior({"": 0.0}, {"": 1e4}, hop=HOP)
    recipe = replace(QUICK, domain="decoder", roll=True, emphasis="waveform", samples=400)
    denoise = classifier_free_guidance(p, p.embed([""], 1.0), p.embed([""], 1.0), 1.0)
    x, t = render(starts()), torch.full((400,), 0.1)
    g = torch.Generator().manual_seed(0)
    wanted = target(p, denoise, x, t=t, recipe=recipe, generator=g)[0]
    noise = float(sigma_of(t[0])) / 400**0.5
    assert float((wanted - x).std()) == pytest.approx(noise, rel=0.1)


@pytest.mark.parametrize("recipe", [QUICK, replace(QUICK, domain="decoder", emphasis="waveform")])
def test_distillation_ends_at_the_mean(recipe):
    last = run(replace(recipe, steps=300), starts())[-1]
    assert float((2 * last.best_u - MEAN).abs().max()) < 0.12
    assert float((2 * last.best_u - MEAN).abs().mean()) < 0.04


def test_guidance_ends_at_the_extrapolated_mean():
    """Equal deviations: D_u + w (D_c - D_u) is the denoiser of a Gaussian at w m."""
    last = run(replace(QUICK, guidance=2.0, steps=300), starts(), prompt="half")[-1]
    assert float((2 * last.best_u - MEAN).abs().mean()) < 0.04


def test_spectrogram_emphasis_finds_the_spectrum():
    recipe = replace(
        QUICK, domain="decoder", scales=(64, 128), log_weight=0.0, samples=4, steps=150
    )
    before, after = (2 * u - MEAN for u in (starts()[0], run(recipe, starts())[-1].best_u))
    assert float(after.square().mean()) < 0.15 * float(before.square().mean())


def test_score_picks_the_start_and_never_falls():
    u0 = starts(12)
    u0[7] = MEAN / 2  # the answer, as one of the candidates

    def score(audio: torch.Tensor) -> torch.Tensor:
        return -(audio - render(MEAN[None] / 2)).square().mean((1, 2))

    recipe = replace(QUICK, steps=20, look=5)
    steps = run(recipe, u0, score=score, candidates=12, starts=3, finalists=1)
    assert [step.index for step in steps] == list(range(1, len(steps) + 1))
    assert len(steps) == steps[-1].of == 2 + 20
    scores = [step.score for step in steps]
    assert scores == sorted(scores)
    assert steps[-1].start == 7
    assert steps[-1].score == pytest.approx(0.0, abs=1e-9)
    assert [len(step.loss) for step in steps[2:]] == [3] * 10 + [1] * 10
    assert sum(step.improved for step in steps) == len(set(scores))


def test_without_a_score_the_prior_itself_judges():
    steps = run(replace(QUICK, steps=60), starts())
    first, last = steps[0], steps[-1]
    assert last.score > first.score
    gaps = [float((2 * s.best_u - MEAN).square().mean()) for s in (first, last)]
    assert gaps[1] < 0.1 * gaps[0]


def test_generate_then_fit_comes_before_distillation():
    recipe = PatchRecipe(
        replace(QUICK, domain="decoder", log_weight=0.1, steps=4, look=2),
        generated=2,
        generate_steps=6,
        fit_steps=8,
        starts=2,
        finalists=2,
    )
    steps = run(recipe, starts(8))
    stages = [step.stage for step in steps]
    assert stages == ["search"] + ["generate"] * 6 + ["fit"] * 8 + ["distill"] * 4
    assert float(steps[14].loss.sum()) < float(steps[7].loss.sum())


def test_generated_latents_are_samples_of_the_prompt():
    noise = torch.randn(8, HOP, FRAMES, generator=torch.Generator().manual_seed(0))
    sigmas = karras(60, *P.sigmas)
    z = tab3(plain(), noise * sigmas[0], sigmas)
    assert torch.allclose(z.mean((0, 2)), MEAN, atol=0.08)
    assert float((z - MEAN[:, None]).std()) == pytest.approx(STD, rel=0.1)


def test_fit_reaches_a_sound_that_can_be_reached():
    recipe = replace(QUICK, steps=150, scales=(64, 128), log_weight=0.1)
    wanted = magnitudes(render(MEAN[None] / 2), recipe.scales)
    before = relative_distance(magnitudes(render(starts()), recipe.scales), wanted, log_weight=0.1)
    *_, (_, loss) = fit(render, wanted, starts(), recipe=recipe)
    assert float(loss) < 0.05 * float(before)


@pytest.mark.parametrize("name", RECIPES)
def test_named_recipes_run_and_repeat(name):
    recipe = replace(
        RECIPES[name],
        distillation=replace(RECIPES[name].distillation, steps=4, scales=(64,)),
        generate_steps=3,
        fit_steps=min(3, RECIPES[name].fit_steps),
    )
    first, second = (run(recipe, starts(recipe.candidates)) for _ in range(2))
    assert torch.equal(first[-1].best_u, second[-1].best_u)
    assert len(first) == first[-1].of
    assert 0.0 <= float(first[-1].best_u.min()) <= float(first[-1].best_u.max()) <= 1.0


def test_paper_recipe_has_the_paper_s_values():
    p = RECIPES["paper"].distillation
    assert (p.steps, p.samples, p.guidance, p.t_range) == (1000, 10, 60.0, (0.025, 0.875))
    assert (p.scales, p.denoise_steps, p.log_weight, p.lr) == ((1024, 2048, 4096), 2, 0.0, 0.005)
    assert replace(p, lr=0.05) == AUDIO_SDS == LATENTS.recipe  # that of latents
    assert RECIPES["paper"].keep == "last"


@pytest.mark.parametrize("keep", ["best", "last"])
def test_the_best_is_kept_or_the_last_whatever_it_is_worth(keep):
    """Adam's first step is lr in every knob, whatever the slope."""
    u0, recipe = starts() * 0.8 + 0.1, replace(QUICK, steps=1, anneal=False)
    first = render(u0)

    def nearness(audio):
        return -(audio - first).square().mean((1, 2))

    *_, end = run(PatchRecipe(recipe, keep=keep), u0, score=nearness)
    moved = (end.best_u - u0[0]).abs()
    assert torch.allclose(moved, torch.full_like(moved, recipe.lr if keep == "last" else 0.0))
    assert end.score == pytest.approx(float(nearness(render(end.best_u[None]))[0]))
    assert (end.improved, len(end.candidates)) == (False, 1)


def test_closing_stops_within_a_step():
    calls = []

    def counted(u: torch.Tensor) -> torch.Tensor:
        calls.append(len(u))
        return render(u)

    g = torch.Generator().manual_seed(0)
    work = distill(counted, P, "chord", starts(), recipe=PatchRecipe(QUICK), generator=g)
    assert [step.index for step in islice(work, 3)] == [1, 2, 3]
    so_far = len(calls)
    work.close()
    assert len(calls) == so_far < 10


def test_stereo_prior_hears_a_mono_renderer_and_the_other_way():
    stereo = GaussianPrior({"": 0.0, "x": 0.5}, {"": 1.0, "x": 0.3}, channels=2, hop=HOP)
    recipe = PatchRecipe(replace(QUICK, steps=3))
    g = torch.Generator().manual_seed(0)
    assert len(list(distill(render, stereo, "x", starts(), recipe=recipe, generator=g))) == 4

    def wide(u: torch.Tensor) -> torch.Tensor:
        return render(u).expand(-1, 2, -1).double()

    assert len(list(distill(wide, P, "chord", starts(), recipe=recipe, generator=g))) == 4


def test_a_search_ends_with_several_that_differ_best_first():
    u0 = torch.zeros(6, HOP)
    u0[0, 3], u0[1, 3], u0[2, 20] = 0.5, 0.49, 0.4

    def score(audio: torch.Tensor) -> torch.Tensor:
        return P.encode(audio)[:, 3].mean(1) + 0.5 * P.encode(audio)[:, 20].mean(1)

    g = torch.Generator().manual_seed(0)
    recipe = PatchRecipe(replace(QUICK, steps=0))
    last = list(distill(render, P, "chord", u0, recipe=recipe, generator=g, score=score, count=3))[
        -1
    ]
    assert torch.equal(last.candidates[0], last.best_u)
    assert [int(u.argmax()) for u in last.candidates[:2]] == [3, 20]
    assert last.scores.tolist() == pytest.approx([1.0, 0.4, 0.0], abs=1e-5)  # the last is silent
    assert last.score == pytest.approx(1.0, abs=1e-5)


def test_a_recording_is_come_near_to_in_place_of_clips():
    wanted = torch.zeros(1, HOP)
    wanted[0, 5] = 0.5
    recipe = PatchRecipe(
        replace(QUICK, domain="decoder", log_weight=0.1, steps=0, look=5),
        generated=4,
        generations=8,
        crowd=12,
        preference=1.0,
        starts=2,
    )
    g = torch.Generator().manual_seed(0)
    like = render(wanted)[0]
    steps = list(distill(render, P, "", starts(12), recipe=recipe, generator=g, like=like))
    assert {step.stage for step in steps} == {"search", "evolve", "fit"}
    assert len(steps) == steps[-1].of == 2 + 8 + 40
    assert steps[-1].score > steps[0].score + 0.3  # minus a distance, in nepers
    assert int(steps[-1].best_u.argmax()) in (5, 6)  # neighbours, in so short a sound
    with pytest.raises(ValueError, match=r"like must be \[C, T\]"):
        list(distill(render, P, "", starts(), recipe=recipe, generator=g, like=like[0]))


def test_a_preference_weighs_in_what_is_chosen():
    """The scorer is indifferent; the prior knows which of the two is a chord."""
    u0 = torch.stack([torch.zeros(HOP), MEAN / 2])
    u0[0, 20] = 0.5

    def score(audio: torch.Tensor) -> torch.Tensor:
        return torch.zeros(len(audio))

    steps = run(replace(QUICK, steps=0), u0, score=score, preference=1.0)
    assert [step.stage for step in steps] == ["search", "prefer"]
    assert steps[-1].start == 1
    assert steps[-1].score > 0.1


def test_clips_that_score_too_low_are_not_followed():
    recipe = PatchRecipe(
        replace(QUICK, domain="decoder", steps=0), generated=2, generate_steps=3, fit_steps=4
    )

    def score(audio: torch.Tensor) -> torch.Tensor:
        return torch.full((len(audio),), 0.2)

    for least, stages in ((0.1, {"search", "generate", "fit"}), (0.3, {"search", "generate"})):
        steps = run(replace(recipe, accept=least), starts(4), score=score)
        assert {step.stage for step in steps} == stages


def test_evolution_ends_when_nothing_better_is_found():
    recipe = PatchRecipe(replace(QUICK, steps=0), generations=50, crowd=8, patience=3)

    def score(audio: torch.Tensor) -> torch.Tensor:
        return torch.zeros(len(audio))

    steps = run(recipe, starts(8), score=score)
    # the first generation is better than nothing; three more are not better than that
    assert [step.stage for step in steps] == ["search"] + ["evolve"] * 4
    assert steps[-1].of == 51


def test_what_either_measure_likes_less_is_taken_back():
    def kept(*, strict: bool) -> Kept:
        return Kept(torch.zeros(3, 2), torch.ones(3), torch.ones(3), strict=strict)

    new, ratings, gaps = (
        torch.ones(3, 2),
        torch.tensor([2.0, 2.0, 0.5]),
        torch.tensor([0.5, 1.5, 0.5]),
    )
    strict, lax = kept(strict=True), kept(strict=False)
    assert strict.see(new, ratings, gaps).tolist() == [True, False, False]
    assert lax.see(new, ratings, gaps).tolist() == [True, True, False]
    assert strict.u[:, 0].tolist() == [1.0, 0.0, 0.0]
    assert strict.gaps.tolist() == [0.5, 1.0, 1.0]
    assert strict.rows(torch.tensor([1])).ratings.tolist() == [1.0]


@pytest.mark.parametrize("kind", ["csd", "nfsd", "ism"])
def test_relatives_of_sds_point_to_the_prompt(kind):
    """Equal deviations s: D_w - D_0 = w sigma^2 m / (s^2 + sigma^2), whatever x is."""
    guided = classifier_free_guidance(P, P.embed(["chord"], 1.0), P.embed([""], 1.0), 3.0)
    free = classifier_free_guidance(P, P.embed(["chord"], 1.0), P.embed([""], 1.0), 0.0)
    h, t = starts()[:, :, None].expand(-1, -1, 64), torch.tensor([0.6])
    noise = torch.randn(h.shape, generator=torch.Generator().manual_seed(0))
    change = latent_target(kind, guided, free, h, noise, t) - h
    sigma2 = float(sigma_of(t)) ** 2
    expected = 3 * sigma2 / (STD**2 + sigma2) * MEAN[:, None]
    if kind == "ism":  # no noise: what is left of h is its own way to the mean
        along = torch.nn.functional.cosine_similarity(
            change.flatten(), expected.expand_as(h).flatten(), 0
        )
        assert float(along) > 0.8
    else:
        assert torch.allclose(change[0], expected.expand(-1, 64), atol=1e-5)


def test_nfsd_takes_the_noise_away_at_small_times():
    guided = classifier_free_guidance(P, P.embed(["chord"], 1.0), P.embed([""], 1.0), 3.0)
    free = classifier_free_guidance(P, P.embed(["chord"], 1.0), P.embed([""], 1.0), 0.0)
    h, t = starts()[:, :, None], torch.tensor([0.1])
    noise = torch.ones_like(h)
    spread = sigma_of(t) * noise
    wanted = guided(h + spread, sigma_of(t)) - spread
    assert torch.allclose(latent_target("nfsd", guided, free, h, noise, t), wanted, atol=1e-6)


def test_distillation_towards_the_target_of_ism_comes_to_the_prompt():
    last = run(replace(QUICK, target="ism", steps=60), starts())[-1]
    before, after = ((2 * u - MEAN).square().mean() for u in (starts()[0], last.best_u))
    assert float(after) < 0.2 * float(before)


def test_starts_outside_the_unit_interval_are_refused():
    with pytest.raises(ValueError, match=r"u0 must be \[M, P\] with values in 0..1"):
        run(QUICK, starts() + 1)


def test_as_loud_as_matches_energy_row_by_row():
    g = torch.Generator().manual_seed(0)
    heard, wanted = ([torch.rand(3, 1, 9, 7, generator=g)] for _ in range(2))
    matched = as_loud_as(heard, [5.0 * wanted[0]])[0]
    energies = [x.square().flatten(1).sum(1) for x in (matched, heard[0])]
    assert torch.allclose(*energies, rtol=1e-5)
    shape = torch.nn.functional.cosine_similarity(matched.flatten(1), wanted[0].flatten(1))
    assert torch.allclose(shape, torch.ones(3), atol=1e-5)


def test_with_a_peak_the_level_of_a_sound_does_not_change_its_target():
    recipe = replace(QUICK, domain="decoder", peak=0.5)
    x = render(starts(2))

    def wanted(audio):
        g = torch.Generator().manual_seed(0)
        return target(P, plain(), audio, t=torch.full((2,), 0.5), recipe=recipe, generator=g)[0]

    assert torch.allclose(wanted(0.01 * x), 0.01 * wanted(x), rtol=1e-3, atol=1e-6)


def test_kept_takes_back_what_did_not_come_nearer():
    kept = BestSoFar(torch.zeros(2, 3))
    kept.see(torch.zeros(2, 3), torch.tensor([1.0, 1.0]))
    kept.see(torch.ones(2, 3), torch.tensor([0.5, 2.0]))
    assert kept.u.tolist() == [[1, 1, 1], [0, 0, 0]]
    assert kept.loss.tolist() == [0.5, 1.0]
    second = kept.rows(torch.tensor([1]))
    assert (second.u.tolist(), second.loss.tolist()) == ([[0, 0, 0]], [1.0])


def test_many_knobs_are_fitted_in_the_time_that_few_evolve():
    recipe = RECIPES["default"]
    assert recipe_for(recipe, FEW) == recipe
    many = recipe_for(recipe, FEW + 1)
    assert (many.generations, many.fit_steps) == (0, recipe.fit_steps + 2.5 * recipe.generations)
    assert recipe_for(RECIPES["paper"], 836) == RECIPES["paper"]
