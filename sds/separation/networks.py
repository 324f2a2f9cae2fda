"""The networks that separation may use beside the prior."""

from __future__ import annotations

from dataclasses import dataclass

from sds.separation.query_network import Query, load_query
from sds.similarity.two_tower import SEARCH_SCORER, TwoTowerScorer, load_scorer


@dataclass(frozen=True, slots=True)
class Networks:
    """Networks beside the prior; None for one that is not used, or not there."""

    query: Query | None = None
    search_scorer: TwoTowerScorer | None = None


NO_NETWORKS = Networks()


def load_networks() -> Networks:
    """The shipped ones, read from disk; None in place of each that is not there."""
    there = (SEARCH_SCORER / "model.safetensors").is_file()
    return Networks(load_query(), load_scorer(SEARCH_SCORER) if there else None)
