"""The shipped networks that separation asks, loaded once."""

from __future__ import annotations

from functools import lru_cache

from sds.separation.query_network import Query, load_query
from sds.similarity.two_tower import SEARCH_SCORER, TwoTowerScorer, load_scorer


@lru_cache(maxsize=1)
def query() -> Query | None:
    """The shipped query network, loaded once; None where there is none."""
    return load_query()


@lru_cache(maxsize=1)
def search_scorer() -> TwoTowerScorer | None:
    """The shipped search scorer, loaded once; None where there is none."""
    return load_scorer(SEARCH_SCORER) if (SEARCH_SCORER / "model.safetensors").is_file() else None
