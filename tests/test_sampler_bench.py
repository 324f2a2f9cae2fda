"""The bench of samplers: the published table's order, what is kept, the page and the plot."""

import pytest
import torch

from bench import sampler_errors, sampler_fad
from bench.sampler_errors import (
    COMPARED,
    PROMPTS,
    exact_figures,
    latent_figures,
    relative,
    solve_mixture,
)
from bench.sampler_fad import fad_figures
from bench.sampler_figures import Figure, curves, keep, missing, place, read
from bench.sampler_page import PUBLISHED, enough, page, places, plot
from sds.priors.gaussian import GaussianPrior
from sds.samplers.solvers import SAMPLERS
from sds.scoreboard.board import Setting


@pytest.fixture(scope="module")
def truth():
    return solve_mixture("tab4", 400)  # its error is below 1e-5


def test_of_the_published_solvers_tab3_has_the_least_error_but_tab4(truth):
    """The order that the table shows at 8 to 20 evaluations."""
    for evaluations in (8, 10, 20):
        errors = {name: relative(solve_mixture(name, evaluations), truth) for name in PUBLISHED[8]}
        rest = [errors[name] for name in errors if name not in ("tab3", "tab4")]
        assert errors["tab3"] < min(rest) / 1.5
        assert errors["dpmpp_2m"] < errors["heun"]


def test_errors_are_of_the_published_size(truth):
    """Within a factor of 3 of the table from 20 evaluations on, though its mixture is not known."""
    for evaluations in (20, 50):
        for name, theirs in PUBLISHED[evaluations].items():
            ours = relative(solve_mixture(name, evaluations), truth)
            assert theirs / 3 < ours < 3 * theirs, (name, evaluations)


def figure(solver="tab3", evaluations=10, panel="exact", model="mixture", **values):
    return Figure(panel, model, "a", solver, evaluations, 2, values or {"error": 0.1})


def test_figures_are_kept_and_measured_once(tmp_path, monkeypatch):
    monkeypatch.setattr(sampler_errors, "EXACT", (5, 8))
    monkeypatch.setattr(sampler_errors, "TRUTH", {"exact": 40})
    file, kept = tmp_path / "figures.jsonl", {}
    keep(file, kept, exact_figures(kept))
    assert len(kept) == 2 * len(SAMPLERS)
    assert read(file) == kept
    assert list(exact_figures(read(file))) == []
    assert curves(kept, "exact", "mixture")["tab3"][5] == kept["exact", "mixture", "tab3", 5].values


def test_other_weights_and_another_count_are_measured_again():
    kept = {place(figure()): figure()}
    assert not missing(kept, figure(error=0.0))
    assert missing(kept, figure(evaluations=20))
    assert missing(kept, Figure("exact", "mixture", "b", "tab3", 10, 2, {}))
    assert missing(kept, Figure("exact", "mixture", "a", "tab3", 10, 3, {}))


def test_errors_of_a_prior_fall_with_evaluations(monkeypatch):
    monkeypatch.setattr(sampler_errors, "SHIPPED", (5, 20))
    prompts = {name: 0.1 * i for i, name in enumerate(("", *PROMPTS))}
    prior = GaussianPrior(prompts, dict.fromkeys(prompts, 0.5), hop=16, sample_rate=800)
    kept = {place(one): one for one in latent_figures(prior, {}, "gaussian")}
    assert len(kept) == 2 * len(COMPARED)
    for solver, curve in curves(kept, "error", "gaussian").items():
        assert curve[20]["error"] < curve[5]["error"], solver
    assert curves(kept, "error", "gaussian")["tab3"][20]["error"] < 0.02


def test_enough_is_where_fad_stays_within_five_percent():
    curve = {5: {"fad": 1.0}, 10: {"fad": 1.2}, 20: {"fad": 1.04}, 50: {"fad": 1.0}}
    assert enough(curve, "fad") == 20
    assert enough({5: {"fad": 1.0}}, "fad") == 5


def test_page_and_plot_come_from_the_figures_alone(tmp_path):
    kept = {}
    for n, row in PUBLISHED.items():
        for solver, error in row.items():
            kept[place(figure(solver, n))] = figure(solver, n, error=error)
            one = figure(solver, n, "error", "default", error=error)
            kept[place(one)] = one
        one = figure("tab3", n, "fad", "default", fad_statistics=100.0 + n, fad_judge=1.0)
        kept[place(one)] = one
    text = page(kept, ["Model `edm` is left out: it is not here."])
    assert "| 10 | 0.12 (0.121) | 1 (1.01) |" in text
    assert "least error `tab4` 0.019, `tab3` 0.029, `rhoab3` 0.08; `tab3` 0.029" in text
    assert "by evaluation scorer with `tab3`: from 8 evaluations on within 5 %" in text
    assert text.endswith("Model `edm` is left out: it is not here.\n")
    for where, solver, steps in places():
        assert f"| {where} | {solver} | {steps} |" in text
    plot(kept, tmp_path / "a.svg")
    plot(kept, tmp_path / "b.svg")
    drawn = (tmp_path / "a.svg").read_text(encoding="utf-8")
    assert drawn == (tmp_path / "b.svg").read_text(encoding="utf-8")
    assert "<text" in drawn
    assert "latents of model default" in drawn


def test_one_evaluation_is_one_step():
    for solver in SAMPLERS.values():
        assert solver.steps(1) == 1
    assert torch.isfinite(solve_mixture("exponential_rk3s", 3)).all()


def test_fad_of_clips_is_measured_without_recordings_too(tmp_path, monkeypatch):
    """Clips of the same noise, quieter or not, are equally far: statistics know no level."""
    monkeypatch.setattr(sampler_fad, "SHIPPED", (2,))
    monkeypatch.setattr(sampler_fad, "CLASSES", ("rain", "kick"))
    far = []
    for std in (0.1, 0.2):
        prompts = dict.fromkeys(("", "rain", "kick"), std)
        prior = GaussianPrior(dict.fromkeys(prompts, 0.0), prompts, max_seconds=1.0)
        setting = Setting(tmp_path, prior, None, None, (), tmp_path)
        (one,) = fad_figures(setting, {}, "gaussian", 2)
        assert set(one.values) == {"fad_statistics"}
        far.append(one.values["fad_statistics"])
    assert far[0] > 100  # white noise on the scoreboard: 300 and more
    assert far[1] == pytest.approx(far[0], rel=0.05)
