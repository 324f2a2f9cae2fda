"""What the stories share: prior, judge, ear, listener and banks, loaded once and kept."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

import torch
from torch import Tensor

from renderers import RENDERERS, Renderer, fm, random_patches
from renderers.algorithms import moved
from sds.bank import Bank, load_bank, synth
from sds.judge import EAR, Judge, load_judge
from sds.judge import FOLDER as JUDGE
from sds.presence import FOLDER as LISTENER
from sds.prior import GaussianPrior, Prior
from sds.scoreboard import board
from sds.stable_audio import load_prior

VERSION = metadata.version("scorewire")


class Models:
    """The prior, judge, ear, listener and banks, loaded once and kept from job to job."""

    def __init__(self, *, judge: Path = JUDGE, ear: Path = EAR, listener: Path = LISTENER) -> None:
        self._priors: dict[str, Prior] = {}
        self._folders = {"judge": judge, "ear": ear, "listener": listener}
        self._judges: dict[str, Judge] = {}
        self._banks: dict[str, Bank | None] = {}

    def prior(self, name: str, prompts: Sequence[str]) -> Prior:
        """The prior called `name`; "gaussian" is the exact one, made for these prompts."""
        if name == "gaussian":
            return gaussian(prompts)
        if name not in self._priors:
            self._priors.clear()  # one at a time in memory
            self._priors[name] = load_prior(name)
        return self._priors[name]

    def judge(self, name: str = "default") -> board.Match | None:
        """The shipped judge, None when it is not there: then nothing is scored. Or a CLAP."""
        if name != "default":
            from sds.clap import load_clap  # needs transformers

            return load_clap(name)
        return self._listener("judge")

    def ear(self) -> Judge | None:
        """Who listens while something is searched; None when it is not there."""
        return self._listener("ear")

    def listener(self) -> Judge | None:
        """Who says which sounds are in a mixture; None when it is not there."""
        return self._listener("listener")

    def near(
        self, renderer: Renderer, prompt: str, count: int, generator: torch.Generator
    ) -> Tensor:
        """Patches [count, P] of the bank nearest to the prompt; random ones without a bank.

        FM patches with another matrix are moved into it, beside as many random ones.
        """
        ear, name = self.ear(), renderer.name
        listed = RENDERERS[name]  # banks are of its knobs
        if ear is not None and name not in self._banks:
            told = synth(name, listed.version, len(listed.params))
            self._banks[name] = load_bank(name, told, ear.model_hash)
        bank, same = self._banks.get(name), renderer.params == listed.params
        if ear is None or bank is None or not (same or holds(renderer, listed)):
            return random_patches(renderer, count, generator=generator).float()
        if same:
            return bank.nearest(ear.read([prompt])[0], count)
        near = bank.nearest(ear.read([prompt])[0], (count + 1) // 2).double()
        rows = [moved(listed, near, renderer)]
        if count > len(near):
            rows.append(random_patches(renderer, count - len(near), generator=generator))
        return torch.cat(rows).float()

    def _listener(self, which: str) -> Judge | None:
        folder = self._folders[which]
        if which not in self._judges and (folder / "model.safetensors").is_file():
            self._judges[which] = load_judge(folder)
        return self._judges.get(which)


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


def model_hash(model: Prior | board.Match) -> str:
    """The digest of a model's weights; empty for one without weights."""
    return str(getattr(model, "model_hash", ""))
