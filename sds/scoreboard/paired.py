"""Two methods compared item by item, and the name of the control of every claim about a prior."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import mean, stdev

from sds.scoreboard.board import Row

SHUFFLED = ", shuffled prior"
"""The end of a method's name where its prior has unlearned everything (`sds.priors.shuffled`)."""


def paired_difference(rows: Sequence[Row], figure: str, this: str, that: str) -> str:
    """The mean difference of a figure over the items that have both methods, in words.

    With its standard error; it holds, or the reverse does, where it is more than two of them from
    zero.
    """
    found = {(row.item, row.method): row.figures[figure] for row in rows if figure in row.figures}
    differences = [
        value - found[item, that]
        for (item, method), value in found.items()
        if method == this and (item, that) in found
    ]
    if len(differences) < 2:
        return f"not known, {len(differences)} of the 2 pairs that it takes"
    middle, error = mean(differences), stdev(differences) / len(differences) ** 0.5
    verdict = "not decided"
    if abs(middle) > 2 * error:
        verdict = "holds" if middle > 0 else "the reverse holds"
    return f"{middle:+.3f} ± {error:.3f} over {len(differences)} pairs, {verdict}"
