"""The tables of `bench.gpu` as Markdown, and the page they stand in, docs/gpu.md."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

BEGIN, END = "<!-- make gpu: begin -->", "<!-- make gpu: end -->"
ISSUE = {  # minutes: H200, A100, RTX 3060, and the target
    "patch paper": ("10 / 13 / 70", "4 / 7 / 45"),
    "separate paper": ("20 / 30 / does not fit", "8 / 17 / fits in 12 GB"),
}
"""Estimates of what 1,000 steps for 10 s took before (from counts), and what was aimed at."""


def tables(figures: Mapping[str, Any]) -> str:
    """All figures of `bench.gpu.measure` as Markdown."""
    lines = [
        f"{figures['device']}, PyTorch {torch.__version__}, random weights.",
        "",
        "| model | recipe | sound | s a step | processor s a step | peak memory, GB "
        "| all its steps, minutes | `doctor` says: minutes | GB | estimate before, "
        "H200 / A100 / 3060 | target |",
        "|---" * 11 + "|",
    ]
    for row in figures["rows"]:
        before, target = ISSUE.get(row["recipe"], ("", "")) if _base(row) else ("", "")
        peak = f"{row['peak'] / 1e9:.1f}" if row["peak"] else "not counted"
        lines.append(
            f"| {row['model']} | {row['recipe']} | {row['clip']:g} s | {row['step']:.3g} "
            f"| {row['host']:.3g} | {peak} | {row['minutes']:.3g} | {row['said_minutes']:.3g} "
            f"| {row['said_bytes'] / 1e9:.1f} | {before} | {target} |"
        )
    times = ", ".join(f"t = {t:g}" for t in figures["times"])
    lines += [
        "",
        f"|D - D in single precision on the CPU| / |D|, at {times}:",
        "",
        "| model | guidance | error |",
        "|---|---|---|",
    ]
    for model, by_guidance in figures["errors"].items():
        for guidance, errors in by_guidance.items():
            shown = ", ".join(f"{error:.2g}" for error in errors)
            lines.append(f"| {model} | {guidance.removeprefix('guidance ')} | {shown} |")
    lines += ["", "| model | what | equal seeds give equal bytes, others do not |", "|---|---|---|"]
    for model, answers in figures["equal"].items():
        lines += [f"| {model} | {what} | {'yes' if ok else 'no'} |" for what, ok in answers.items()]
    loads = ", ".join(f"{model} {seconds:.1f} s" for model, seconds in figures["loads"].items())
    return "\n".join([*lines, "", f"Loading: {loads}.", ""])


def _base(row: Mapping[str, Any]) -> bool:
    """Whether the estimates were of this model."""
    return str(row["model"]) == "stable-audio-open-1.0"


def page_with(page: str, text: str) -> str:
    """The page with `text` between its marks. Raises `ValueError` for one without them."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"the page has no {BEGIN} followed by {END}")
    return f"{before}{BEGIN}\n{text.rstrip()}\n{END}{after}"
