"""Names of samplers and schedules in jobs, and spans that are kept."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from bridge.protocol import sampling_fields
from bridge.protocol.jobs import sentence
from bridge.protocol.multitrack_jobs import GenerateClips
from sds.samplers.schedules import SCHEDULES
from sds.samplers.solvers import SAMPLERS, STOCHASTIC

EDIT = {"id": "a", "prompts": ["a tail"], "out": "/o", "source": "/hit.wav", "keep": "0-0.4"}


def test_the_names_are_those_of_the_tables() -> None:
    assert sampling_fields.SAMPLERS == (*SAMPLERS, *STOCHASTIC)
    assert sampling_fields.SCHEDULES == tuple(SCHEDULES)


@pytest.mark.parametrize("keep", ["0-0.4, 1.5-2.", [[0, 0.4], [1.5, 2]]])
def test_spans_are_a_text_or_pairs(keep: object) -> None:
    job = GenerateClips.model_validate(EDIT | {"keep": keep})
    assert job.keep == ((0.0, 0.4), (1.5, 2.0))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"keep": ""}, "keep: must name at least 1 span of source that stays"),
        ({"keep": "0.4"}, "keep: must be BEGIN-END in seconds, such as 0-0.4, got '0.4'"),
        ({"keep": "0.4-0.2"}, "keep: must end after it begins, at 0 or later, got 0.4-0.2"),
        ({"keep": "-1-2"}, "keep: must be BEGIN-END in seconds"),
        ({"keep": [[0, 0.1]] * 17}, "keep: "),
        ({"source": None}, "keep: must be left out without source"),
        ({"duration": 2}, "duration: must be left out with source, which says how long it is"),
        ({"stems": "bass"}, "source: must be left out with stems"),
        ({"sampler": "ddim"}, "sampler: must be one of euler, "),
        ({"schedule": "even"}, "schedule: must be one of karras, polyexponential"),
    ],
)
def test_what_does_not_fit_is_said(changes: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError) as error:
        GenerateClips.model_validate(EDIT | changes)
    assert sentence(error.value).startswith(said)
