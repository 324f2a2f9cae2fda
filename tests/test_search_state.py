"""A search that was stopped goes on as if it had not been: the same steps, bit for bit."""

from dataclasses import replace

import torch
from safetensors.torch import load, save

from sds.distillation.distill import distill
from sds.distillation.recipes import PatchRecipe
from sds.distillation.search_state import SearchState
from tests.test_distill import QUICK, P, render, starts

RECIPE = PatchRecipe(
    replace(QUICK, steps=9, refresh=4, look=3, domain="decoder"),
    candidates=20,
    starts=3,
    finalists=1,
    generated=4,
    generate_steps=3,
    generations=4,
    crowd=8,
    fit_steps=5,
    preference=0.5,
    take_back=True,
    patience=2,
)


def search(recipe, state=None):
    generator = torch.Generator().manual_seed(3)
    return distill(
        render, P, "chord", starts(20), recipe=recipe, generator=generator, count=3, state=state
    )


def written(state):
    """A state as it is read again."""
    data = save({name: x.clone().contiguous() for name, x in state.tensors.items()})
    return SearchState(state.stage, state.index, load(data))


def goes_on_everywhere(recipe):
    """Stop after every third step and go on; the states that it went on from."""
    whole, states = [], []
    for step in search(recipe):
        whole.append(step)
        states.append(written(step.state))
    for state in states[::3]:
        rest = list(search(recipe, state))
        assert [step.index for step in rest] == [step.index for step in whole[state.index :]]
        for again, before in zip(rest, whole[state.index :], strict=True):
            assert (again.stage, again.t, again.score) == (before.stage, before.t, before.score)
            assert torch.equal(again.candidates, before.candidates)
            assert torch.equal(again.scores, before.scores)
            assert torch.equal(again.loss, before.loss)
    return whole, states


def test_from_every_step_a_search_goes_on_with_the_same_steps():
    whole, states = goes_on_everywhere(RECIPE)
    stages = list(dict.fromkeys(state.stage for state in states))
    assert stages == ["search", "prefer", "generate", "evolve", "fit", "distill"]
    again = {step.stage: 0 for step in whole}
    for step, state in zip(whole, states, strict=True):
        again[step.stage] = max(again[step.stage], step.index - state.index)
    assert again == {"search": 0, "prefer": 0, "generate": 3, "evolve": 0, "fit": 3, "distill": 4}


def test_without_preference_and_with_a_target_a_step_too():
    paper = replace(RECIPE.distillation, refresh=1)
    quick = replace(RECIPE, distillation=paper, preference=0.0, take_back=False, patience=0)
    whole, states = goes_on_everywhere(replace(quick, generations=0))
    assert max(s.index - state.index for s, state in zip(whole, states, strict=True)) == 3


def test_a_state_tells_the_best_that_was_found():
    *_, last = search(RECIPE)
    u, scores = written(last.state).best(3)
    assert len(u) == len(scores) == len(last.candidates)
    assert float(scores[0]) <= last.score
