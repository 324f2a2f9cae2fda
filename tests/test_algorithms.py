"""Placing a patch into the DX7's algorithms loses nothing where it fits; the search scorer ranks
them.
"""

from __future__ import annotations

import pytest
import torch

from presets import Note
from presets.dx7 import ALGORITHMS
from renderers import fm
from renderers.algorithms import DIFFERENT, algorithms, best, convert_operators, place_in_algorithm
from renderers.base import Renderer, physical, positions

RATE = 44100
FOUR = fm.renderer()


def chain(**depths: float) -> torch.Tensor:
    """A patch u [1, P] of four operators with the last heard and these entries of A."""
    values = {p.name: p.low for p in FOUR.params}
    values |= {f"op{v}_{kind}": x for v in range(1, 5) for kind, x in (("decay", 0.5),)}
    values |= {f"op{v}_ratio": float(v) for v in range(1, 5)}
    values |= {"op4_mix": 0.8, "level": 0.5} | depths
    row = torch.tensor([list(values.values())], dtype=torch.float64)
    return positions(fm.layout(FOUR.params).table, row)


def sound(renderer: Renderer, u: torch.Tensor) -> torch.Tensor:
    return renderer.render(u, Note(48), RATE, 4000)[:, 0]


FITTING = {  # what a DX7 algorithm can say, and one that says it
    "chain": (18, {"op4_from_op3": 1.5, "op3_from_op2": 1.0, "op2_from_op1": 0.7}),
    "chain with feedback": (1, {"op4_from_op3": 2.0, "op3_from_op2": 1.0, "op1_mix": 0.3}),
    "three on one": (18, {"op4_from_op3": 1.5, "op4_from_op2": 1.0, "op4_from_op1": 0.6}),
    "two stacks": (5, {"op4_from_op3": 2.0, "op2_from_op1": 1.0, "op2_mix": 0.5}),
    "a copied modulator": (5, {"op4_from_op1": 2.0, "op3_from_op1": 1.0, "op3_mix": 0.5}),
    "sines": (32, {"op1_mix": 0.2, "op2_mix": 0.1, "op3_mix": 0.3}),
}


@pytest.mark.parametrize("name", FITTING)
def test_what_fits_an_algorithm_sounds_the_same_there(name: str) -> None:
    number, depths = FITTING[name]
    u = chain(**depths)
    there = place_in_algorithm(FOUR, u, number)
    before, after = sound(FOUR, u), sound(fm.renderer(matrix=f"dx7:{number}"), there)
    assert (after - before).abs().max() < 1e-9 * before.abs().max()


@pytest.mark.parametrize("number", ALGORITHMS)
def test_any_patch_can_be_placed_and_is_heard(number: int) -> None:
    generator = torch.Generator().manual_seed(number)
    for renderer in (FOUR, fm.renderer(operators=6, matrix="free"), fm.renderer(operators=1)):
        u = torch.rand(3, len(renderer.params), generator=generator, dtype=torch.float64)
        u[:, fm.layout(renderer.params).attack], u[:, -1] = 0.0, 1.0
        there = place_in_algorithm(renderer, u, number)
        assert torch.all((there >= 0.0) & (there <= 1.0))
        assert sound(fm.renderer(matrix=f"dx7:{number}"), there).abs().amax(1).min() > 1e-3


@pytest.mark.parametrize(("operators", "matrix"), [(4, "acyclic"), (7, "acyclic"), (6, "dx7:18")])
def test_a_patch_moved_to_more_operators_sounds_the_same(operators: int, matrix: str) -> None:
    u = chain(op4_from_op3=1.5, op3_from_op2=1.0, op2_from_op1=0.7)
    target = fm.renderer(operators=operators, matrix=matrix)
    before, after = sound(FOUR, u), sound(target, convert_operators(FOUR, u, target))
    assert (after - before).abs().max() < 1e-9 * before.abs().max()


def test_a_free_matrix_takes_a_patch_nearly_as_it_is() -> None:
    u = chain(op4_from_op3=1.5, op3_from_op2=1.0, op2_from_op1=0.7)
    target = fm.renderer(matrix="free")
    before, after = sound(FOUR, u), sound(target, convert_operators(FOUR, u, target))
    assert (after - before).norm() < 1e-3 * before.norm()


def test_what_has_no_place_is_refused() -> None:
    free = fm.renderer(operators=3, matrix="free")
    loops = torch.full((1, len(free.params)), 0.5, dtype=torch.float64)
    with pytest.raises(ValueError, match=r"4 operators, acyclic, has no place for 3 .*, free"):
        convert_operators(free, loops, FOUR)
    with pytest.raises(ValueError, match="with 2 operators, free, has no place for 3 operators"):
        convert_operators(free, loops, fm.renderer(operators=2, matrix="free"))


def test_an_operator_without_a_slot_is_lost() -> None:
    u = chain(op4_from_op3=1.5, op4_from_op2=1.0)
    target = fm.renderer(matrix="dx7:5")  # one modulator a carrier
    values = physical(fm.layout(target.params).table, place_in_algorithm(FOUR, u, 5))[0]
    named = dict(zip((p.name for p in target.params), values.tolist(), strict=True))
    assert named["op1_from_op2"] == pytest.approx(1.5)
    assert named["op2_ratio"] == pytest.approx(3.0)
    assert [named[f"op{v}_mix"] for v in (1, 3, 5)] == pytest.approx([0.8, 0.0, 0.0])


def test_the_ear_ranks_algorithms() -> None:
    """An search scorer that likes one sound: the algorithms that can play it come first."""
    u = chain(op4_from_op3=2.0, op2_from_op1=1.0, op2_mix=0.5)
    wanted = sound(FOUR, u).float()

    def search_scorer(audio: torch.Tensor) -> torch.Tensor:
        return -(audio[:, 0].float() - wanted).abs().mean(1)

    found = list(
        algorithms(
            search_scorer,
            note=Note(48),
            rate=RATE,
            samples=4000,
            generator=torch.Generator().manual_seed(0),
            each=2,
            near=(FOUR, u),
        )
    )
    assert [f.number for f in found] == list(DIFFERENT)
    assert all(f.u.shape == (3, len(f.renderer.params)) for f in found)
    assert all(f.scores.tolist() == sorted(f.scores.tolist(), reverse=True) for f in found)
    exact = {f.number for f in found if float(f.scores[0]) > -1e-4}
    # two carriers with a modulator each, whatever hangs above and beside them
    assert {1, 2, 3, 5, 7, 8, 9, 14, 15, 28} <= exact
    assert not exact & {16, 17, 18, 32}  # one carrier; no modulator
    first = best(found, 3)
    assert [f.number in exact for f in first] == [True, False, False]  # one sound, one attempt
    scores = [float(f.scores[0]) for f in first]
    assert scores == sorted(set(scores), reverse=True)
