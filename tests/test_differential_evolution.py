"""Differential evolution on functions whose optimum is known."""

import torch

from sds.distillation.differential_evolution import evolve


def crowd(members, knobs):
    return torch.rand(members, knobs, generator=torch.Generator().manual_seed(1))


def last(steps):
    *_, end = steps
    return end


def test_it_finds_the_optimum_of_a_rotated_valley():
    """A quadric whose axes are not the knobs, one 100 times steeper."""
    turn, _ = torch.linalg.qr(torch.randn(6, 6, generator=torch.Generator().manual_seed(0)))
    steep = torch.logspace(0, 2, 6)

    def fitness(u):
        return -(((u - 0.4) @ turn).square() * steep).sum(1)

    start = crowd(24, 6)
    u, scores = last(
        evolve(fitness, start, generations=150, generator=torch.Generator().manual_seed(2))
    )
    assert float(scores.max()) > -1e-2 > float(fitness(start).max())
    torch.testing.assert_close(u[scores.argmax()], torch.full((6,), 0.4), rtol=0, atol=0.1)


def test_no_member_ever_falls_and_all_stay_in_range():
    def fitness(u):
        return u.sum(1)  # the optimum is a corner

    before, g = None, torch.Generator().manual_seed(0)
    for u, scores in evolve(fitness, crowd(8, 5), generations=60, generator=g):
        assert bool(((u >= 0) & (u <= 1)).all())
        torch.testing.assert_close(scores, fitness(u))
        assert before is None or bool((scores >= before).all())
        before = scores
    assert float(before.max()) > 4.9


def test_the_same_seed_goes_the_same_way():
    def run():
        return last(
            evolve(
                lambda u: -(u - 0.3).square().sum(1),
                crowd(6, 3),
                generations=5,
                generator=torch.Generator().manual_seed(4),
            )
        )

    assert torch.equal(run()[0], run()[0])
