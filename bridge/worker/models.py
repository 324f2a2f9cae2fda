"""What the stories share: prior, scorers, tagger, banks and copy index, loaded once and kept."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from importlib import metadata
from pathlib import Path

import torch
from torch import Tensor

from bridge.protocol.worker_loop import Events
from presets import Note
from renderers import RENDERERS, Renderer, fm, random_patches
from renderers.algorithms import convert_operators
from sds.detection.tagger import FOLDER as TAGGER
from sds.detection.tagger import Tagger, load_tagger
from sds.distillation.patch_bank import Bank, load_bank, synth
from sds.metrics.copy_detection import FILE as COPY_INDEX_FILE
from sds.metrics.copy_detection import FOLDER as COPY_INDEX
from sds.metrics.copy_detection import CopyIndex, load_copy_index
from sds.multitrack.base import MultiTrackModel
from sds.priors.base import Prior
from sds.priors.gaussian import GaussianPrior
from sds.priors.loading import load_prior
from sds.priors.memory import one_sentence
from sds.scoreboard import board
from sds.separation.networks import Networks
from sds.separation.query_network import Query, load_query
from sds.similarity import base
from sds.similarity.two_tower import FOLDER as EVALUATION_SCORER
from sds.similarity.two_tower import SEARCH_SCORER, TwoTowerScorer, load_scorer

VERSION = metadata.version("scorewire")


class Models:
    """The prior, scorers, tagger, banks and copy index, loaded once and kept from job to job."""

    def __init__(
        self,
        *,
        evaluation_scorer: Path = EVALUATION_SCORER,
        search_scorer: Path = SEARCH_SCORER,
        tagger: Path = TAGGER,
        copy_index: Path = COPY_INDEX,
    ) -> None:
        self._priors: dict[str, Prior] = {}
        self._multi_tracks: dict[str, MultiTrackModel] = {}
        self._folders = {
            "evaluation_scorer": evaluation_scorer,
            "search_scorer": search_scorer,
        }
        self._tagger_folder = tagger
        self._scorers: dict[str, TwoTowerScorer] = {}
        self._claps: dict[str, base.SearchScorer] = {}
        self._taggers: dict[Path, Tagger] = {}
        self._queries: dict[str, Query | None] = {}
        self._banks: dict[str, Bank | None] = {}
        self._copy_index_folder = copy_index
        self._copy_index: CopyIndex | None = None

    def prior(self, name: str, prompts: Sequence[str]) -> Prior:
        """The prior called `name`; "gaussian" is the exact one, made for these prompts."""
        if name == "gaussian":
            return gaussian(prompts)
        if name not in self._priors:
            self._priors.clear()  # one at a time in memory
            self._priors[name] = load_prior(name)
        return self._priors[name]

    def multi_track(self, name: str) -> MultiTrackModel:
        """The model of bass, drums, guitar and piano called `name`, or in the folder of that
        name. Raises `ModelUnavailable`.
        """
        from sds.multitrack.loading import load_multi_track

        if name not in self._multi_tracks:
            self._multi_tracks.clear()  # one at a time in memory
            self._multi_tracks[name] = load_multi_track(name)
        return self._multi_tracks[name]

    def evaluation_scorer(self, name: str = "default") -> base.TextAudioSimilarity | None:
        """The shipped evaluation scorer, None when it is not there: then nothing is scored. Or a
        CLAP.
        """
        return self._scorer("evaluation_scorer") if name == "default" else self._clap(name)

    def search_scorer(self) -> TwoTowerScorer | None:
        """The search scorer, which searches maximise; None when it is not there."""
        return self._scorer("search_scorer")

    def chosen_scorer(self, name: str = "default") -> base.SearchScorer | None:
        """What a search for patches maximises: the search scorer, or a CLAP. Raises
        `ModelUnavailable`.
        """
        return self.search_scorer() if name == "default" else self._clap(name)

    def tagger(self) -> Tagger | None:
        """The tagger, which finds the sounds in a mixture; None when it is not there."""
        folder = self._tagger_folder
        if folder not in self._taggers and (folder / "model.safetensors").is_file():
            self._taggers[folder] = load_tagger(folder)
        return self._taggers.get(folder)

    def query(self) -> Query | None:
        """The query network: a mask for any prompt; None when it is not there."""
        if "query" not in self._queries:
            self._queries["query"] = load_query()
        return self._queries["query"]

    def copy_index(self) -> CopyIndex | None:
        """The index of what the shipped models learned from; None when it is not there."""
        folder = self._copy_index_folder
        if self._copy_index is None and (folder / COPY_INDEX_FILE).is_file():
            self._copy_index = load_copy_index(folder)
        return self._copy_index

    def networks(self) -> Networks:
        """The networks that separation uses beside the prior."""
        return Networks(self.query(), self.search_scorer())

    def near(
        self,
        renderer: Renderer,
        wanted: str | Tensor,
        count: int,
        generator: torch.Generator,
        family: str = "free",
    ) -> Tensor:
        """Patches [count, P] of the bank nearest to a prompt, or to a vector [D] of the search
        scorer; random ones without a bank.

        FM patches with another matrix are moved into it, beside as many random ones. `family` is
        that of `renderers.tuning`: in tune a patch sounds otherwise, and others are nearest.
        """
        search_scorer, name = self.search_scorer(), renderer.name
        listed = RENDERERS[name]  # banks are of its knobs
        bank = None if family == "free" else self._bank(name, family)
        bank = bank or self._bank(name)
        same = renderer.params == listed.params
        if search_scorer is None or bank is None or not (same or holds(renderer, listed)):
            return random_patches(renderer, count, generator=generator).float()
        vector = search_scorer.read([wanted])[0] if isinstance(wanted, str) else wanted
        if same:
            return bank.nearest(vector, count)
        near = bank.nearest(vector, (count + 1) // 2).double()
        rows = [convert_operators(listed, near, renderer)]
        if count > len(near):
            rows.append(random_patches(renderer, count - len(near), generator=generator))
        return torch.cat(rows).float()

    def _bank(self, name: str, family: str = "") -> Bank | None:
        """The bank of a listed renderer, or that of its patches in tune."""
        file, scorer = f"{name}-{family}" if family else name, self.search_scorer()
        if scorer is not None and file not in self._banks:
            listed = RENDERERS[name]
            of = synth(name, listed.version, len(listed.params))
            self._banks[file] = load_bank(file, of, scorer.model_hash)
        return self._banks.get(file)

    def _clap(self, name: str) -> base.SearchScorer:
        from sds.similarity.laion_clap import load_clap  # needs transformers

        if name not in self._claps:
            self._claps.clear()  # one at a time in memory
            self._claps[name] = load_clap(name)
        return self._claps[name]

    def _scorer(self, which: str) -> TwoTowerScorer | None:
        folder = self._folders[which]
        if which not in self._scorers and (folder / "model.safetensors").is_file():
            self._scorers[which] = load_scorer(folder)
        return self._scorers.get(which)


def instrument(renderer: Renderer, prior: Prior, models: Models) -> board.Instrument:
    """A renderer as the scoreboard sees it, at middle C and the prior's rate."""

    def draw(count: int, generator: torch.Generator) -> Tensor:
        return random_patches(renderer, count, generator=generator)

    def render(u: Tensor, samples: int) -> Tensor:
        return renderer.render(u, Note(60), prior.sample_rate, samples).float()

    def near(prompt: str, count: int, generator: torch.Generator) -> Tensor:
        return models.near(renderer, prompt, count, generator)

    return board.Instrument(renderer.name, draw, render, near)


def holds(renderer: Renderer, listed: Renderer) -> bool:
    """Whether patches of the listed renderer can be moved into another one of its name."""
    if renderer.name != "fm":
        return False
    return fm.layout(renderer.params).operators >= fm.layout(listed.params).operators


def gaussian(prompts: Sequence[str]) -> GaussianPrior:
    """A prior that needs no weights: each prompt a band of noise, placed by the prompt's digest."""
    frequency = (torch.arange(256) + 0.5) / 256  # of Nyquist
    stds: dict[str, Tensor | float] = {"": 0.02}
    for prompt in prompts:
        place = hashlib.sha256(prompt.encode()).digest()[0] / 255
        octaves = torch.log2(frequency / (0.005 * 40**place))  # 110 Hz .. 4.4 kHz at 44.1 kHz
        stds[prompt] = 0.001 + 0.1 * torch.exp(-0.5 * octaves**2)
    return GaussianPrior(dict.fromkeys(stds, 0.0), stds)


def within_memory(events: Events) -> Events:
    """Events of a job whose full memory, wherever it happens, is a `NotEnoughMemory`.

    What ends it from outside is thrown into the job as it is: `yield from` would only close it, and
    a job that is to keep what is done would be one that was cancelled.
    """
    with one_sentence():
        for event in events:
            try:
                yield event
            except GeneratorExit as leaving:
                with suppress(StopIteration):
                    events.throw(leaving)
                raise


def model_hash(model: Prior | MultiTrackModel | base.TextAudioSimilarity | None) -> str:
    """The digest of a model's weights; empty for one without weights, and for none."""
    return str(getattr(model, "model_hash", ""))
