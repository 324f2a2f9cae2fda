"""Fields that say how sounds are sampled and what of a recording is kept, by name.

Models of jobs are made in every process; `sds.samplers` has the samplers and schedules.
"""

from __future__ import annotations

import math
import re
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

SAMPLERS = (
    "euler",
    "heun",
    "rhoab2",
    "rhoab3",
    "rhoab4",
    "tab2",
    "tab3",
    "tab4",
    "logab2",
    "logab3",
    "logab4",
    "exponential_rk2s",
    "exponential_rk3s",
    "dpmpp_2m",
    "dpmpp_3m",
    "unipc2",
    "unipc3",
    "churn",
    "dpmpp_3m_sde",
    "ping_pong",
    "repaint",
)
SCHEDULES = ("karras", "polyexponential", "rf_logsnr", "sa3_logsnr")
MAX_SPANS = 16
SPAN = re.compile(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*-\s*(\d+(?:\.\d*)?|\.\d+)\s*")


def _sampler(name: str) -> str:
    if name not in SAMPLERS:
        raise ValueError(f"must be one of {', '.join(SAMPLERS)}")
    return name


def _schedule(name: str) -> str:
    if name not in SCHEDULES:
        raise ValueError(f"must be one of {', '.join(SCHEDULES)}")
    return name


def parse(text: str) -> tuple[tuple[float, float], ...]:
    """Spans of seconds as people type them: "BEGIN-END", or several with commas.

    >>> parse("0-0.4, 1.5-2")
    ((0.0, 0.4), (1.5, 2.0))
    """
    spans = []
    for part in text.split(","):
        found = SPAN.fullmatch(part)
        if found is None:
            raise ValueError(
                f"must be BEGIN-END in seconds, such as 0-0.4, got {part.strip()!r:.80}"
            )
        spans.append((float(found[1]), float(found[2])))
    return tuple(spans)


def _spans(given: Any) -> Any:
    """Spans of a text, or as they are. A text without anything is none."""
    if isinstance(given, str):
        return parse(given) if given.strip() else ()
    return given


def _rising(spans: tuple[tuple[float, float], ...]) -> tuple[tuple[float, float], ...]:
    for begin, end in spans:
        if not 0 <= begin < end or not math.isfinite(end):
            raise ValueError(f"must end after it begins, at 0 or later, got {begin:g}-{end:g}")
    return spans


SamplerName = Annotated[str, AfterValidator(_sampler)]
ScheduleName = Annotated[str, AfterValidator(_schedule)]
Spans = Annotated[
    tuple[tuple[float, float], ...],
    Field(max_length=MAX_SPANS),
    BeforeValidator(_spans),
    AfterValidator(_rising),
]
"""Spans (begin, end) in seconds, or a text of them."""
