"""A prior that has unlearned everything: its diffusion network's weights in random places.

The control of every claim that a prior helps: the same code, time and random numbers, the same
codec and text features, weights of the same distribution, and no knowledge. What a method reaches
with it is owed to something else.
"""

from __future__ import annotations

import copy

import torch

from sds.priors.base import Prior


def shuffled(prior: Prior, *, seed: int = 0) -> Prior:
    """A copy of a prior whose diffusion network has each tensor of its weights permuted.

    Its name ends in ", shuffled". Raises `ValueError` for a prior without a network.
    """
    other = copy.deepcopy(prior)
    parts = [getattr(part, "network", None) for part in (other, getattr(other, "guide", None))]
    networks = [network for network in parts if isinstance(network, torch.nn.Module)]
    if not networks:
        raise ValueError(f"the prior {prior.name} must have a network to shuffle, and has none")
    generator = torch.Generator().manual_seed(seed)
    for network in networks:
        shuffle_weights(network, generator)
    other.name = f"{prior.name}, shuffled"
    return other


@torch.no_grad()
def shuffle_weights(network: torch.nn.Module, generator: torch.Generator) -> None:
    """Permute each tensor of a network's weights in place."""
    for weights in network.parameters():
        order = torch.randperm(weights.numel(), generator=generator).to(weights.device)
        weights.copy_(weights.flatten()[order].reshape(weights.shape))
