"""Solvers against exact solutions for Gaussians and mixtures: their order is the theory's."""

import math
from functools import cache, partial
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.integrate import quad

from sds.priors.base import classifier_free_guidance
from sds.priors.gaussian import GaussianPrior
from sds.samplers.dpm_solver import dpmpp_2m, exponential_weights
from sds.samplers.exponential import _lagrange, adams_bashforth, itself, seventh_root, tab3
from sds.samplers.gaussian_mixture import gaussian_mixture
from sds.samplers.ode import euler, heun
from sds.samplers.schedules import cosine, karras, sigma_of, t_of
from sds.samplers.solvers import SAMPLERS
from sds.samplers.stochastic import churn
from sds.samplers.unipc import unipc

MEAN, STD = 0.4, 0.5
MULTISTEP = [name for name, solver in SAMPLERS.items() if solver.evaluations == 1]


def denoiser():
    p = GaussianPrior({"": MEAN}, {"": STD}, hop=8)
    cond = p.embed([""], 1.0)

    def denoise(x, sigma):
        # GaussianPrior in double: its cond is float32 but 0.4 and 0.5 are given again here
        cond64 = {"mean": cond["mean"].double() * 0 + MEAN, "std": cond["std"].double() * 0 + STD}
        return p.denoise(x, sigma, cond64)

    return denoise


def exact(x, start: float, end: float):
    """dx/dsigma = sigma (x - m) / (s^2 + sigma^2), so x - m grows as sqrt(s^2 + sigma^2)."""
    return MEAN + (x - MEAN) * math.sqrt((STD**2 + end**2) / (STD**2 + start**2))


# Orders of convergence


def mixture():
    """Four overlapping Gaussians in eight dimensions: nothing in the ODE is linear."""
    g = torch.Generator().manual_seed(1)
    return gaussian_mixture(torch.randn(4, 8, generator=g, dtype=torch.float64), 0.5)


def start():
    g = torch.Generator().manual_seed(2)
    return torch.randn(2, 8, 6, generator=g, dtype=torch.float64) * 5


def even(n):
    """n steps from 5 to 0.2, even in sigma^(1/7)."""
    return torch.linspace(5 ** (1 / 7), 0.2 ** (1 / 7), n + 1, dtype=torch.float64) ** 7


def graded(n, order):
    """The same behind order - 1 short steps, so that the order of the first steps does not show.

    Step k of a multistep solver has order k: its error is of degree k + 1 in its length, and that
    of the whole, `order`, when the length is n^(-order / (k + 1)).
    """
    position = np.cumsum([0.0, *(n ** (-order / (k + 1)) for k in range(1, order))])
    low, high = 0.2 ** (1 / 7), 5 ** (1 / 7)
    roots = high + (low - high) * np.concatenate(
        [position[:-1], np.linspace(position[-1], 1.0, n + 1)]
    )
    return torch.from_numpy(roots**7)


@cache
def reference():
    return unipc(mixture(), start(), graded(1000, 3))


def slope(sample, levels):
    """Of log error over log evaluations, from 160 to 320 steps."""
    errors, counts = [], []
    for n in (160, 320):
        sigmas, calls = levels(n), []
        denoise = mixture()

        def counted(x, sigma, denoise=denoise, calls=calls):
            calls.append(1)
            return denoise(x, sigma)

        errors.append(float((sample(counted, start(), sigmas) - reference()).norm()))
        counts.append(len(calls))
    return -math.log(errors[1] / errors[0]) / math.log(counts[1] / counts[0])


@pytest.mark.parametrize("name", SAMPLERS)
def test_order_of_convergence(name):
    """With a graded start each solver has the order of its steps."""
    solver = SAMPLERS[name]
    steps = solver.order - 1 if name.startswith("unipc") else solver.order  # the predictor's
    measured = slope(solver.sample, partial(graded, order=steps if name in MULTISTEP else 1))
    assert measured == pytest.approx(solver.order, abs=0.2)


@pytest.mark.parametrize("name", ["tab3", "tab4", "logab3", "logab4", "dpmpp_3m"])
def test_order_with_even_steps_is_that_of_the_first(name):
    """An Euler step leaves an error of order 2; rhoab and unipc3 show theirs in far more steps."""
    sample, starting = SAMPLERS[name].sample, SAMPLERS[name].starting
    errors = [float((sample(mixture(), start(), even(n)) - reference()).norm()) for n in (160, 320)]
    assert math.log2(errors[0] / errors[1]) == pytest.approx(starting, abs=0.2)


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("end", [0.0, 0.1])
def test_evaluations_are_those_of_the_table(name, end):
    """A step to zero costs one evaluation whatever the solver."""
    calls = []

    def denoise(x, sigma):
        calls.append(1)
        return mixture()(x, sigma)

    sigmas = karras(6, 0.2, 5.0).double()
    sigmas[-1] = end
    SAMPLERS[name].sample(denoise, start(), sigmas)
    evaluations = SAMPLERS[name].evaluations
    assert len(calls) == 5 * evaluations + (1 if end == 0.0 else evaluations)
    for count in range(1, 30):
        steps = SAMPLERS[name].steps(count)
        assert (steps - 1) * evaluations + 1 <= count < steps * evaluations + 1


# Closed forms


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_point_and_pure_noise_are_solved_exactly(name):
    """D = m, where x runs straight to m, and D = x, where it stands still, in any steps."""
    sigmas = torch.tensor([5.0, 2.0, 0.7, 0.1], dtype=torch.float64)
    out = SAMPLERS[name].sample(lambda x, sigma: torch.full_like(x, MEAN), start(), sigmas)
    assert torch.allclose(out, MEAN + (start() - MEAN) * 0.1 / 5, rtol=1e-12)
    assert torch.allclose(SAMPLERS[name].sample(lambda x, sigma: x, start(), sigmas), start())


def kept(sigma):
    """D - m = kept (x - m) of a Gaussian."""
    return STD**2 / (STD**2 + sigma**2)


def heun_factor(a, b):
    here = (1 - kept(a)) / a
    ahead = 1 + (b - a) * here
    return 1 + (b - a) / 2 * (here + (1 - kept(b)) / b * ahead)


def rk2s_factor(a, b):
    middle = math.sqrt(a * b)
    u = middle / a + (1 - middle / a) * kept(a)
    return b / a + (1 - b / a) * kept(middle) * u


def rk3s_factor(a, b):
    h = math.log(a / b)
    s1, s2 = a * math.exp(-h / 3), a * math.exp(-2 * h / 3)
    d0 = kept(a)
    d1 = kept(s1) * (s1 / a + (1 - s1 / a) * d0)
    phi = (math.expm1(-2 * h / 3) / (2 * h / 3) + 1) * 2  # r_2 / r_1 = 2
    d2 = kept(s2) * (s2 / a + (1 - s2 / a) * d0 + phi * (d1 - d0))
    return b / a + (1 - b / a) * d0 + (math.expm1(-h) / h + 1) * 3 / 2 * (d2 - d0)


ONE_STEP = {"heun": heun_factor, "exponential_rk2s": rk2s_factor, "exponential_rk3s": rk3s_factor}


@pytest.mark.parametrize("name", SAMPLERS)
def test_one_step_on_a_gaussian_is_the_papers_formula(name):
    """x - m is multiplied; the first step of every multistep solver is Euler's, DDIM."""
    a, b = 3.0, 1.2
    factor = ONE_STEP.get(name, lambda a, b: b / a + (1 - b / a) * kept(a))(a, b)
    out = SAMPLERS[name].sample(denoiser(), start(), torch.tensor([a, b], dtype=torch.float64))
    assert torch.allclose(out, MEAN + factor * (start() - MEAN), rtol=1e-12)


def unipc_factor(levels):
    """UniPC-2 by hand, Zhao et al. 2023: x - m over two steps of different size."""
    a, b, c = levels
    h0, h1 = math.log(a / b), math.log(b / c)
    d0 = kept(a)
    d1 = kept(b) * (b / a + (1 - b / a) * d0)
    x = b / a + (1 - b / a) * (d0 + (d1 - d0) / 2)  # UniC-1, a_1 = 1/2
    return c / b * x + (1 - c / b) * (d1 + h1 / h0 * (d1 - d0) / 2)  # UniP-2, a_1 = 1/2


def test_two_steps_of_unipc_on_a_gaussian():
    levels = [3.0, 1.2, 0.7]
    out = unipc(denoiser(), start(), torch.tensor(levels, dtype=torch.float64), order=2)
    assert torch.allclose(out, MEAN + unipc_factor(levels) * (start() - MEAN), rtol=1e-12)


@pytest.mark.parametrize("name", SAMPLERS)
def test_twenty_evaluations_on_a_gaussian_are_near_the_exact_solution(name):
    sigmas = even(SAMPLERS[name].steps(40))
    out = SAMPLERS[name].sample(denoiser(), start(), sigmas)
    truth = exact(start(), 5.0, 0.2)
    error = float((out - truth).norm() / (truth - MEAN).norm())
    assert error < (0.06 if name == "euler" else 0.012)


def test_tab3_starts_as_euler_but_is_far_more_exact():
    """Its order is 2 because of the first two steps; its error is what it is chosen for."""
    x = torch.randn(2, 8, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 5
    ramp = torch.linspace(5 ** (1 / 7), 0.05 ** (1 / 7), 41, dtype=torch.float64) ** 7
    errors = [
        float((s(denoiser(), x, ramp) - exact(x, 5.0, 0.05)).abs().max()) for s in (tab3, dpmpp_2m)
    ]
    assert errors[0] < errors[1] / 15


# Coefficients


@pytest.mark.parametrize("variable", [itself, seventh_root, np.log])
@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_adams_bashforth_coefficients_are_integrals_of_lagrange_bases(variable, order):
    known, after = np.array([2.0, 3.0, 5.0, 7.0])[:order], 1.2
    at = variable(known)

    def basis(sigma, j):
        others = (k for k in range(order) if k != j)
        return math.prod((variable(sigma) - at[k]) / (at[j] - at[k]) for k in others)

    integrals = [quad(basis, 2.0, after, args=(j,), epsabs=1e-12)[0] for j in range(order)]
    assert _lagrange(known, after, variable) == pytest.approx(integrals, rel=1e-9)
    both = _lagrange(np.stack([known, 2 * known], 1), np.array([after, 2 * after]), variable)
    assert [c[0] for c in both] == pytest.approx(integrals, rel=1e-9)
    assert [c[1] for c in both] == pytest.approx([2 * c for c in integrals], rel=1e-9)


def test_adams_bashforth_of_even_steps_in_sigma_is_the_classical():
    """1, 3/2 -1/2, 23/12 -16/12 5/12, 55/24 -59/24 37/24 -9/24."""
    known = np.array([4.0, 5.0, 6.0, 7.0])
    for order, classical in enumerate(
        ([1], [3 / 2, -1 / 2], [23 / 12, -16 / 12, 5 / 12], [55 / 24, -59 / 24, 37 / 24, -9 / 24]),
        start=1,
    ):
        assert [-c for c in _lagrange(known[:order], 3.0, itself)] == pytest.approx(classical)


def test_first_order_is_euler_in_every_variable():
    for variable in (itself, seventh_root, np.log):
        sample = partial(adams_bashforth, order=1, variable=variable)
        for sigmas in (even(6), karras(6, 0.2, 5.0).double()):
            one = sample(mixture(), start(), sigmas)
            assert torch.allclose(one, euler(mixture(), start(), sigmas), rtol=1e-12)


def test_adams_bashforth_refuses_order_zero():
    with pytest.raises(ValueError, match="order must be at least 1, got 0"):
        adams_bashforth(mixture(), start(), even(3), order=0)


def one(value):
    return torch.tensor([value], dtype=torch.float64)


@pytest.mark.parametrize("h", [1e-3, 0.3, 4.0, 12.0])
@pytest.mark.parametrize("ahead", [[], [1.0]])
def test_exponential_weights_are_integrals_of_lagrange_bases(h, ahead):
    """For predictors, and for correctors, which know D at the end of the step."""
    u_known = [0.0, -0.5 * h, -1.7 * h, *(h * a for a in ahead)]
    known = [one(2.0 * math.exp(-u)) for u in u_known]
    found = torch.cat(exponential_weights(one(2.0), one(2.0 * math.exp(-h)), known)).tolist()

    def integrand(u, j):
        others = (k for k in range(len(u_known)) if k != j)
        basis = math.prod((u - u_known[k]) / (u_known[j] - u_known[k]) for k in others)
        return math.exp(u - h) * basis

    integrals = [quad(integrand, 0, h, args=(j,), epsabs=1e-13)[0] for j in range(len(u_known))]
    assert found == pytest.approx(integrals, rel=1e-8)
    assert sum(found) == pytest.approx(-math.expm1(-h))


def test_exponential_weights_solve_the_linear_system_of_unipc():
    """Zhao et al. 2023, theorem 3.1: R_p(h) a_p B(h) = phi_p(h), with B(h) = e^h - 1, on D."""
    h, r = 0.7, np.array([-0.8, -1.9, 1.0])  # two levels before, and the end of the step
    grown = math.expm1(-h)  # B(-h): D takes -h where eps takes h
    phi, right = grown / -h - 1, []
    for k in range(1, 4):
        right.append(phi * math.factorial(k) / grown)
        phi = phi / -h - 1 / math.factorial(k + 1)
    a = np.linalg.solve(np.stack([r**k for k in range(3)]), right)
    levels = [one(2.0 * math.exp(-h * each)) for each in (0.0, *r)]
    found = torch.cat(exponential_weights(one(2.0), one(2.0 * math.exp(-h)), levels)).numpy()
    assert found[1:] == pytest.approx(-grown * a / r, rel=1e-9)
    assert found[0] == pytest.approx(-grown + np.sum(grown * a / r), rel=1e-9)


# The last level, schedules, churn


@pytest.mark.parametrize("name", SAMPLERS)
def test_zero_at_the_end_gives_samples_of_the_gaussian(name):
    g = torch.Generator().manual_seed(0)
    x = torch.randn(64, 8, 64, generator=g, dtype=torch.float64) * 50
    out = SAMPLERS[name].sample(denoiser(), x, karras(40, 1e-3, 50.0))
    assert float(out.mean()) == pytest.approx(MEAN, abs=0.02)
    assert float(out.std()) == pytest.approx(STD, rel={"euler": 0.08, "heun": 0.03}.get(name, 0.02))


@pytest.mark.parametrize("name", [name for name in SAMPLERS if not name.startswith(("rho", "tab"))])
def test_a_step_to_zero_returns_d(name):
    """All but the variables in which zero is near: they extrapolate eps to it."""
    sigmas = karras(5, 0.2, 5.0).double()
    x = SAMPLERS[name].sample(mixture(), start(), sigmas[:-1])
    last = mixture()(x, sigmas[-2].expand(len(x)))
    out = SAMPLERS[name].sample(mixture(), start(), sigmas)
    if name.startswith("unipc"):  # its level before the last is corrected when D is known there
        assert float((out - last).norm() / last.norm()) < 0.02
    else:
        assert torch.allclose(out, last, rtol=1e-9)


@pytest.mark.parametrize("name", SAMPLERS)
def test_each_item_may_have_its_own_schedule(name):
    sample = SAMPLERS[name].sample
    x = torch.randn(2, 8, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    t = torch.tensor([0.3, 0.8], dtype=torch.float64)
    for levels in (cosine(4, t), cosine(4, t)[:-1]):
        together = sample(denoiser(), x, levels)
        for i in range(2):
            alone = sample(denoiser(), x[i : i + 1], levels[:, i])
            assert torch.allclose(together[i : i + 1], alone)


def test_churn_of_nothing_is_heun():
    for sigmas in (even(6), karras(6, 0.2, 5.0).double()):
        still = churn(torch.Generator().manual_seed(0), amount=0.0)(mixture(), start(), sigmas)
        assert torch.equal(still, heun(mixture(), start(), sigmas))


def test_churn_on_a_gaussian_has_the_variance_of_its_steps():
    """Noise adds (sigma_hat^2 - sigma^2) S_noise^2, a Heun step multiplies x - m."""
    levels, gamma, noise = [8.0, 4.0, 2.0, 1.0, 0.5], 0.25, 1.1
    variance = STD**2 + levels[0] ** 2
    for level, after in pairwise(levels):
        raised = level * (1 + gamma) if 0.9 <= level <= 4.0 else level
        variance += (raised**2 - level**2) * noise**2
        variance *= heun_factor(raised, after) ** 2
    g = torch.Generator().manual_seed(0)
    x = torch.randn(64, 8, 512, generator=g, dtype=torch.float64) * math.sqrt(64 + STD**2) + MEAN
    sample = churn(g, amount=1.0, low=0.9, high=4.0, noise=noise)
    out = sample(denoiser(), x, torch.tensor(levels, dtype=torch.float64))
    assert float(out.mean()) == pytest.approx(MEAN, abs=4 * math.sqrt(variance / x.numel()))
    # 262,144 numbers: their variance is known to 0.28 %
    assert float(out.var()) == pytest.approx(variance, rel=0.01)


def test_churn_takes_its_noise_from_the_generator_alone():
    sigmas = karras(6, 0.2, 5.0).double()
    runs = [churn(torch.Generator().manual_seed(seed))(mixture(), start(), sigmas)
            for seed in (1, 1, 2)]  # fmt: skip
    assert torch.equal(runs[0], runs[1])
    assert not torch.allclose(runs[0], runs[2])


def test_euler_on_cosine_levels_is_ddim():
    """The paper's z-form, step by step: z' = alpha' x0 + sigma' eps."""
    n, t = 5, 0.875
    g = torch.Generator().manual_seed(0)
    h, eps = torch.randn(2, 1, 8, 3, generator=g, dtype=torch.float64)
    levels = [t * (1 - j / n) * math.pi / 2 for j in range(n + 1)]
    z, x0 = math.cos(levels[0]) * h + math.sin(levels[0]) * eps, h
    for now, after in pairwise(levels):
        alpha, sigma = math.cos(now), math.sin(now)
        x0 = denoiser()(z / alpha, torch.tensor([sigma / alpha], dtype=torch.float64))
        z = math.cos(after) * x0 + math.sin(after) * (z - alpha * x0) / sigma
    sigmas = cosine(n, torch.tensor([t], dtype=torch.float64))
    assert torch.allclose(euler(denoiser(), h + sigmas[0, 0] * eps, sigmas), x0)


def test_karras_runs_from_high_to_low_then_zero():
    sigmas = karras(10, 0.01, 80.0)
    assert len(sigmas) == 11
    assert sigmas[0] == pytest.approx(80.0)
    assert sigmas[-2] == pytest.approx(0.01)
    assert sigmas[-1] == 0
    assert sigmas[3] == pytest.approx((80 ** (1 / 7) + (0.01 ** (1 / 7) - 80 ** (1 / 7)) / 3) ** 7)


def test_time_and_noise_level_are_inverse():
    t = torch.linspace(0, 0.99, 50)
    assert torch.allclose(t_of(sigma_of(t)), t, atol=1e-6)
    assert sigma_of(torch.tensor(0.5)) == pytest.approx(1.0)


def test_heun_beats_euler_under_guidance():
    p = GaussianPrior({"": 0.0, "on": 1.0}, {"": 0.5, "on": 0.5}, hop=8)
    denoise = classifier_free_guidance(p, p.embed(["on"], 1.0), p.embed([""], 1.0), 3.0)
    x = torch.randn(4, 8, 8, generator=torch.Generator().manual_seed(0)) * 20
    # equal deviations: guidance is again a Gaussian, with mean 3
    truth = 3.0 + (x - 3.0) * math.sqrt(0.25 / (0.25 + 400))
    gaps = [
        float((s(denoise, x, karras(20, 1e-3, 20.0)) - truth).abs().max()) for s in (euler, heun)
    ]
    assert gaps[1] < gaps[0] / 4
