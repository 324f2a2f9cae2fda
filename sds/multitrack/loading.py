"""The model of four stems by its name."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from sds.multitrack.base import MultiTrackModel
from sds.priors.checkpoints import ModelUnavailable
from sds.priors.multi_source import load_multi_source
from sds.priors.multi_track import FOLDER
from sds.priors.multi_track import load_multi_track as load_shipped
from sds.similarity.two_tower import SEARCH_SCORER, TwoTowerScorer, load_scorer


def load_multi_track(name: str = "default") -> MultiTrackModel:
    """The model called `name`: "default" is the one that ships; the path of a file or a folder is
    multi-source diffusion's (`sds.priors.multi_source`). Raises `ModelUnavailable`.
    """
    if name != "default":
        return load_multi_source(Path(name))
    if not (FOLDER / "model.safetensors").is_file():
        raise ModelUnavailable("the model of four stems is not there: its weights are missing.")
    return load_shipped()


@lru_cache(maxsize=1)
def towers() -> TwoTowerScorer:
    """The towers whose vectors of texts and sounds the shipped model was trained with."""
    return load_scorer(SEARCH_SCORER)
