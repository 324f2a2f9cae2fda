"""Non-negative factors: against scikit-learn, and where the parts are known."""

import numpy as np
import torch

from sds.separation.nmf import affinity, masks_from_shares, nmf


def gen(seed=0):
    return torch.Generator().manual_seed(seed)


def divergence(v, w, h):
    x = w @ h
    return float((v * (v / x).log() - v + x).sum())


def test_as_near_as_scikit_learn():
    v = torch.rand(40, 6, generator=gen(1)) @ torch.rand(6, 50, generator=gen(2)) + 0.05
    w, h = nmf(v, 4, steps=300, generator=gen())
    from sklearn.decomposition import NMF  # takes seconds, where tests are collected

    peer = NMF(4, solver="mu", beta_loss="kullback-leibler", init="random", max_iter=300, tol=0,
               random_state=0)  # fmt: skip
    a = torch.from_numpy(peer.fit_transform(v.numpy()))
    b = torch.from_numpy(np.asarray(peer.components_))
    assert divergence(v, w, h) < 1.05 * divergence(v, a, b)
    torch.testing.assert_close(w.sum(0), torch.ones(4))
    assert bool((w >= 0).all() and (h >= 0).all())


def test_the_divergence_never_rises():
    v = torch.rand(30, 40, generator=gen(3)) + 0.01
    last = float("inf")
    for steps in range(0, 40, 4):
        now = divergence(v, *nmf(v, 5, steps=steps, generator=gen()))
        assert now < last + 1e-3
        last = now


def test_components_go_to_the_source_they_come_from():
    """Two sources of two spectra each: the masks are those of the true magnitudes."""
    g = gen(5)
    spectra = torch.rand(4, 60, generator=g) ** 6
    when = torch.rand(4, 80, generator=g) ** 4
    parts = spectra[:, :, None] * when[:, None]
    sources = torch.stack([parts[:2].sum(0), parts[2:].sum(0)])
    w, h = nmf(sources.sum(0), 4, steps=500, generator=gen())
    likes = affinity(w, h, 3.0 * sources * torch.tensor([1.0, 0.01])[:, None, None])
    masks = masks_from_shares(w, h, (30 * likes.log()).softmax(0))
    torch.testing.assert_close(masks.sum(0), torch.ones(60, 80))
    error = (masks * sources.sum(0) - sources).square().sum() / sources.square().sum()
    assert float(error) < 0.02
