"""FM's physics: sidebands where Bessel says, graphs in closed form, no chaos."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import jv

from bench import faust
from presets import Note, ranges
from presets.dx7 import ALGORITHMS
from renderers import fm, from_values, to_values
from renderers.base import Renderer, curves, physical
from tests.peers import peer

RATE = 44100
STEADY = 1e6  # seconds of decay: an envelope that stays at 1


def row(*values: float) -> torch.Tensor:
    return torch.tensor([values], dtype=torch.float64)


@pytest.mark.parametrize("index", [0.5, 1.5, 4.0])
def test_sidebands_are_bessel_functions(index: float) -> None:
    # carrier in bin 1000, modulator in bin 40 of a 4410-sample period (10 Hz a bin)
    N = 4410
    matrix = torch.tensor([[[0.0, 0.0], [index / (2 * np.pi), 0.0]]], dtype=torch.float64)
    audio = fm.recursion(
        row(40 / N, 1000 / N),
        row(1e-6, 1e-6),
        row(STEADY, STEADY),
        matrix,
        row(0.0, 1.0),
        RATE,
        3 * N,
        False,
    )
    spectrum = np.abs(np.fft.rfft(audio[0, -N:].numpy())) * 2 / N
    orders = np.arange(-12, 13)
    assert np.abs(spectrum[1000 + 40 * orders] - np.abs(jv(orders, index))).max() < 1e-6
    others = np.delete(spectrum, 1000 + 40 * np.arange(-24, 31))
    assert others.max() < 1e-6


def test_faust_plays_the_same_graph() -> None:
    peer("dawdreamer")
    cycles, attack, decay, matrix, mix = (t[:1] for t in patch(3, 4))
    cycles = faust.on_grid(cycles)
    ours = fm.recursion(cycles, attack, decay, matrix, mix, RATE, RATE // 10, False)[0]
    columns = (cycles, attack, decay, matrix * fm.TURN, mix)
    source = faust.program(*(t[0].tolist() for t in columns), RATE)
    theirs = torch.from_numpy(faust.compiled(source, RATE, 0.1)()).double()
    assert (theirs - ours).norm() < 2e-6 * ours.norm()  # Faust computes in single precision


def patch(seed: int, V: int) -> tuple[torch.Tensor, ...]:
    rng = np.random.default_rng(seed)

    def draw(low: float, high: float) -> torch.Tensor:
        return torch.from_numpy(rng.uniform(low, high, (2, V)))

    matrix = torch.from_numpy(np.tril(rng.uniform(0.0, 0.3, (2, V, V))))
    return draw(0.001, 0.05), draw(0.001, 0.01), draw(0.01, 0.03), matrix, draw(0.1, 1.0)


def test_feed_forward_graph_is_its_closed_form() -> None:
    cycles, attack, decay, matrix, mix = patch(0, 4)
    matrix = torch.tril(matrix, -1)
    samples = 1500
    n = torch.arange(samples, dtype=torch.float64)
    t = n / RATE
    u = torch.zeros(2, 4, samples, dtype=torch.float64)
    for v in range(4):
        a, d = attack[:, v, None], decay[:, v, None]
        f = torch.minimum(t / (a + 1e-5), torch.exp((a - t) / d**2) * (d - t + a) / d).clamp_min(0)
        before = torch.nn.functional.pad(u[..., :-1], (1, 0))  # u[t-1]
        x = cycles[:, v, None] * n + (matrix[:, v, :, None] * before).sum(1)
        u[:, v] = torch.sin(2 * np.pi * x) * f
    fast = fm.recursion(cycles, attack, decay, matrix, mix, RATE, samples, False)
    assert (fast - (mix[..., None] * u).sum(1)).abs().max() < 1e-11


def test_fast_recursion_equals_the_slow_one_with_its_gradient() -> None:
    # three blocks long, feedback on, batch of 2
    results = []
    for render in (
        lambda *a: fm.recursion(*a, RATE, 600, False),
        lambda *a: fm.recursion_slowly(*a, RATE, 600),
    ):
        inputs = [t.clone().requires_grad_() for t in patch(1, 3)]
        audio = render(*inputs)
        weight = torch.linspace(-1.0, 1.0, 600, dtype=torch.float64)
        (audio * weight).sum().backward()
        results.append([audio.detach(), *(torch.as_tensor(t.grad) for t in inputs)])
    results[1][4] = torch.tril(results[1][4])
    results[0][4] = torch.tril(results[0][4])
    for fast, slow in zip(*results, strict=True):
        assert (fast - slow).abs().max() <= 1e-10 * slow.abs().max()


@pytest.mark.parametrize("differentiated", range(5))
def test_gradcheck_of_each_input_alone(differentiated: int) -> None:
    inputs = list(patch(2, 3))
    inputs[differentiated].requires_grad_()
    weight = torch.sin(torch.arange(3 * 280, dtype=torch.float64)).view(280, 3)
    assert torch.autograd.gradcheck(
        lambda *a: fm.recursion(*a, RATE, 280, True) @ weight, inputs, eps=1e-7, atol=1e-5
    )


@pytest.mark.parametrize("operators", [2, 4, 8])
def test_free_matrix_is_a_contraction(operators: int) -> None:
    generator = torch.Generator().manual_seed(operators)
    instrument = fm.renderer(operators=operators, matrix="free")
    lay = fm.layout(instrument.params)
    u = torch.rand(64, len(instrument.params), generator=generator, dtype=torch.float64)
    u[:16, lay.edges] = torch.where(u[:16, lay.edges] < 0.5, 0.0, u[:16, lay.edges])
    u[0, lay.edges], u[1, lay.edges] = 1.0, 0.0
    matrix = fm.graph(lay, physical(lay.table, u), Note(60), RATE).matrix.numpy()
    radius = np.abs(np.linalg.eigvals(matrix)).max(1)
    assert radius.max() < 0.9
    assert radius[0] > 0.8  # the limit is used, not hidden from
    assert np.all(matrix[1] == 0.0)


def test_acyclic_matrix_is_triangular_with_bounded_feedback() -> None:
    instrument = fm.renderer(operators=5)
    lay = fm.layout(instrument.params)
    u = torch.ones(1, len(instrument.params), dtype=torch.float64)
    matrix = fm.graph(lay, physical(lay.table, u), Note(24), RATE).matrix[0]
    assert torch.equal(torch.triu(matrix, 1), torch.zeros(5, 5, dtype=torch.float64))
    assert matrix.diagonal().tolist() == pytest.approx([0.9] * 5)
    assert matrix[4, 0].item() == pytest.approx(ranges.INDEX)


@pytest.mark.parametrize("matrix", ["acyclic", "free"])
def test_no_chaos_a_tiny_change_stays_tiny(matrix: str) -> None:
    instrument = fm.renderer(operators=4, matrix=matrix)
    lay = fm.layout(instrument.params)
    u = torch.ones(1, len(instrument.params), dtype=torch.float64)  # every index at its top
    u[:, lay.ratio] = torch.tensor([0.3, 0.4, 0.35, 0.5], dtype=torch.float64)
    moved = u.clone()
    moved[:, lay.attack] -= 1e-9
    first = instrument.render(u, Note(48), RATE, 4 * RATE)
    second = instrument.render(moved, Note(48), RATE, 4 * RATE)
    assert (first - second).abs().max() < 1e-5  # chaos would have made it order 1 by now


def test_output_never_exceeds_the_level() -> None:
    instrument = fm.renderer()
    generator = torch.Generator().manual_seed(3)
    u = torch.rand(32, len(instrument.params), generator=generator, dtype=torch.float64)
    level = physical(fm.layout(instrument.params).table, u)[:, -1]
    peak = instrument.render(u, Note(60, 100), RATE, 8000).abs().amax((1, 2))
    assert torch.all(peak <= level)


def test_a_patch_follows_the_keyboard() -> None:
    instrument = fm.renderer(operators=1)
    u = torch.zeros(1, len(instrument.params), dtype=torch.float64)
    lay = fm.layout(instrument.params)
    u[:, lay.ratio], u[:, lay.decay], u[:, lay.mix], u[:, -1] = 1 / 3, 1.0, 1.0, 1.0  # ratio 1
    for number in (45, 69, 93):
        audio = instrument.render(u, Note(number), RATE, RATE)[0, 0].numpy()
        spectrum = np.abs(np.fft.rfft(audio * np.hanning(RATE)))
        assert spectrum.argmax() == pytest.approx(Note(number).hz, abs=1.0)


def dx7_patch(algorithm: int) -> tuple[Renderer, torch.Tensor]:
    instrument = fm.renderer(matrix=f"dx7:{algorithm}")
    u = torch.rand(1, len(instrument.params), generator=torch.Generator().manual_seed(algorithm))
    return instrument, u.double()


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_an_algorithm_has_the_edges_of_the_dx7_and_no_others(algorithm: int) -> None:
    plan = ALGORITHMS[algorithm]
    instrument, u = dx7_patch(algorithm)
    lay = fm.layout(instrument.params)
    g = fm.graph(lay, physical(lay.table, u), Note(30), RATE)
    order = range(6) if algorithm == 32 else range(5, -1, -1)  # the places' operators, from 0
    A = torch.zeros(6, 6, dtype=torch.float64)
    A[np.ix_(order, order)] = g.matrix[0]
    loop = {(plan.feedback[1], plan.feedback[1])}
    assert {(w + 1, v + 1) for v, w in A.nonzero().tolist()} == set(plan.edges) | loop
    heard = {order[k] + 1 for k in g.mix[0].nonzero().flatten().tolist()}
    assert heard == set(plan.carriers)
    assert torch.equal(
        torch.triu(g.matrix, 1), torch.zeros_like(g.matrix)
    )  # the kernel's fast path
    names = frozenset(p.name for p in instrument.params)
    assert fm.for_names(names).params == instrument.params


def test_loops_over_several_operators_are_left_to_self_feedback() -> None:
    assert fm.renderer(matrix="dx7:4").params == fm.renderer(matrix="dx7:3").params
    assert fm.renderer(matrix="dx7:6").params == fm.renderer(matrix="dx7:5").params


def test_dx7_operators_sound_as_the_paper_numbers_them() -> None:
    """Algorithm 5 built by hand, operators 1 to 6 in that order, through the slow recursion."""
    instrument, u = dx7_patch(5)
    names = [p.name for p in instrument.params]
    values = dict(zip(names, physical(curves(instrument.params), u)[0].tolist(), strict=True))
    knobs = [row(*(values[f"op{v}_{kind}"] for v in range(1, 7))) for kind in ("attack", "decay")]
    cycles = row(*(values[f"op{v}_ratio"] * Note(36).hz / RATE for v in range(1, 7)))
    A = torch.zeros(1, 6, 6, dtype=torch.float64)
    for v, w in ((1, 2), (3, 4), (5, 6), (6, 6)):
        A[0, v - 1, w - 1] = values[f"op{v}_from_op{w}"] / fm.TURN
    mix = row(*(values.get(f"op{v}_mix", 0.0) for v in range(1, 7)))
    mix = mix * values["level"] * (1.0 + mix.sum() ** 8) ** -0.125
    slow = fm.recursion_slowly(cycles, *knobs, A, mix, RATE, 600)
    fast = instrument.render(u, Note(36), RATE, 600)[:, 0]
    assert (fast - slow).abs().max() < 1e-11


def test_a_shared_modulator_has_one_level() -> None:
    instrument = fm.renderer(matrix="dx7:22")  # operator 6 modulates 3, 4 and 5
    _, u = dx7_patch(22)
    sounds = instrument.render(u, Note(60), RATE, 2000)
    values = to_values(instrument, u[0])
    assert len({values[f"op{v}_from_op6"] for v in (3, 4, 5)}) == 1
    assert values["op6_from_op6"] != values["op5_from_op6"]
    again = instrument.render(from_values(instrument, values)[None], Note(60), RATE, 2000)
    assert (again - sounds).abs().max() < 1e-12


@pytest.mark.parametrize(("ratio", "expected"), [(0.85, 1.0), (0.95, 0.5), (1.0, 0.0), (1.3, 0.0)])
def test_an_operator_fades_out_below_nyquist(ratio: float, expected: float) -> None:
    lay = fm.layout(fm.renderer(operators=1).params)
    values = torch.tensor([[1.0, 0.001, 1.0, 0.5, 0.0, 1.0]], dtype=torch.float64)
    rate = round(2 * Note(69).hz / ratio)
    g = fm.graph(lay, values, Note(69), rate)
    assert g.mix[0, 0].item() / 0.5 == pytest.approx(expected, abs=0.02)


@pytest.mark.parametrize(
    ("operators", "matrix"), [(0, "acyclic"), (9, "free"), (4, "full"), (4, "dx7:5"), (6, "dx7:33")]
)
def test_impossible_instruments_are_refused(operators: int, matrix: str) -> None:
    with pytest.raises(
        ValueError, match=r"must be (in 1\.\.8|6 for dx7:5|acyclic, free or .*), got"
    ):
        fm.renderer(operators=operators, matrix=matrix)
