"""What the model of four stems has to be better than: one that has unlearned everything, and one
that knows each instrument but not what goes with what.
"""

from __future__ import annotations

import copy
from dataclasses import replace

import torch
from torch import Tensor

from sds.multitrack.base import STEMS, MultiTrackModel
from sds.priors.multi_track import MultiTrackPrior, Told
from sds.priors.shuffled import shuffle_weights
from sds.scoreboard.board import Setting
from sds.scoreboard.multisource_clips import Songs, multi_track
from sds.signal.band_levels import SILENCE

LEARNED, UNLEARNED, WEAK = "learned", "shuffled weights", "weak"


class WeakPrior(MultiTrackPrior):
    """Each track denoised as if the others were silent: four priors of single sources, as the weak
    model of multi-source diffusion (Mariani et al. 2023, arXiv 2302.02257, section 5.1).
    """

    @torch.no_grad()
    def denoise(self, x: Tensor, sigma: Tensor, told: Told) -> Tensor:
        """D(x; sigma) [B, 4, 128, L], as of the model whose weights it has; 4 B are denoised."""
        count, own = len(STEMS), torch.eye(len(STEMS), dtype=torch.bool)
        silent = self.network.white(torch.full_like(x, SILENCE))
        alone = torch.where(own[:, None, :, None, None], x, silent)  # [4, B, 4, 128, L]
        levels = torch.where(own[:, None], sigma, 0.0)
        same = Told(told.vector.repeat(count, 1))
        d = super().denoise(alone.flatten(0, 1), levels.flatten(0, 1), same)
        return d.reshape(alone.shape).diagonal(dim1=0, dim2=2).movedim(-1, 1)


def variant(model: MultiTrackModel, kind: str) -> MultiTrackModel:
    """A model as it is, with its weights shuffled (its masks are kept), or weak. Raises
    `ValueError` for a model that has no such variant.
    """
    if kind == LEARNED:
        return model
    if not isinstance(model, MultiTrackPrior):
        raise ValueError(f"the model {model.name} has no variant {kind!r}")
    if kind == WEAK:
        return WeakPrior(model.network, model.masks, name=f"{model.name}, weak")
    network = copy.deepcopy(model.network)
    shuffle_weights(network, torch.Generator().manual_seed(0))
    return MultiTrackPrior(network, model.masks, name=f"{model.name}, shuffled")


def has_variants(setting: Setting) -> bool:
    """Whether the setting's model has all of them."""
    return isinstance(setting.multi_track, MultiTrackPrior)


def unlearned_songs(songs: Songs) -> Songs:
    """The same clips for the model with shuffled weights."""
    other = replace(
        songs.setting,
        multi_track=variant(multi_track(songs.setting), UNLEARNED),
        scratch=songs.setting.scratch / UNLEARNED,
    )
    return Songs(other, songs.full, songs.long)
