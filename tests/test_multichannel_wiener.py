"""Two sources between two loudspeakers: what one mask mixes, their places tell apart."""

import math
from dataclasses import replace

import pytest
import torch

from sds.metrics.separation import null_db, sdr
from sds.priors.gaussian import GaussianPrior
from sds.separation.mask_settings import FAST
from sds.separation.multichannel_wiener import covariances, multichannel_wiener, wiener_stems
from sds.separation.networks import Networks
from sds.separation.time_frequency_masks import apply, masked_stems
from sds.signal.spectrogram import istft, stft

RATE, N = 11025, 2048


def noise(seed, samples=2 * RATE):
    return 0.1 * torch.randn(samples, generator=torch.Generator().manual_seed(seed))


def panned(sound, degrees):
    """Constant power: 0 is left, 90 right."""
    angle = math.radians(degrees)
    return torch.stack([math.cos(angle) * sound, math.sin(angle) * sound])


def sources(first, second):
    """Two noises over all frequencies that take turns half of the time, [2, 2, T]."""
    turns = torch.sin(2 * torch.pi * 2 * torch.arange(2 * RATE) / RATE)
    return torch.stack(
        [panned(noise(1) * (turns > -0.5), first), panned(noise(2) * (turns < 0.5), second)]
    )


def vague(true):
    """Masks [2, F, N] of true sources that are right by two thirds."""
    power = stft(true, N).abs().square().mean(1) + 1e-9
    return 0.6 * power / power.sum(0) + 0.2


@pytest.mark.parametrize(("first", "second"), [(0, 90), (10, 60), (30, 45)])
def test_panned_sources_part_where_one_mask_mixes_them(first, second):
    true = sources(first, second)
    mix = true.sum(0)
    one, both = (apply(vague(true), mix, RATE, RATE, spatial=on) for on in (False, True))
    for before, after, truth in zip(one, both, true, strict=True):
        assert float(sdr(before.flatten(), truth.flatten())) < 9
        gain = sdr(after.flatten(), truth.flatten()) - sdr(before.flatten(), truth.flatten())
        assert float(gain) > (5 if second - first > 30 else 1)


@pytest.mark.parametrize("count", [1, 2])
def test_parts_and_rest_add_up_to_the_mixture(count):
    mix = noise(3, 2 * RATE).reshape(2, -1)
    masks = 0.9 * torch.rand(3, 1025, 22, generator=torch.Generator().manual_seed(0)).softmax(0)
    spectrum = stft(mix[None], N)[0]
    shares = torch.cat([masks[:count], 1 - masks[:count].sum(0, keepdim=True)])
    parts = multichannel_wiener(shares, covariances(shares**4, spectrum), spectrum)
    assert null_db(mix, istft(parts, N, mix.shape[1])) < -100
    torch.testing.assert_close(
        wiener_stems(masks[:count], spectrum), parts[:-1], atol=1e-4, rtol=1e-3
    )


def test_where_the_channels_are_the_same_the_filter_is_the_mask():
    true = sources(45, 45)
    mix = true.sum(0)[:1].expand(2, -1)
    one, both = (apply(vague(true), mix, RATE, RATE, spatial=on) for on in (False, True))
    assert null_db(one, both[None]) < -60
    mono = [apply(vague(true), mix[:1], RATE, RATE, spatial=on) for on in (False, True)]
    assert torch.equal(*mono)


def test_covariances_are_those_of_panning():
    true = sources(0, 60)
    r = covariances(torch.ones(1, 1025, 44), stft(true[1:], N)[0])[0]
    c, s = math.cos(math.radians(60)), math.sin(math.radians(60))
    exact = 2 * torch.tensor([[c * c, c * s], [c * s, s * s]]) + 0.03 * torch.eye(2)
    torch.testing.assert_close(r, exact, atol=1e-4, rtol=0)


def test_silence_and_a_lone_channel_stay_finite():
    for mix in (torch.zeros(2, 4000), torch.stack([noise(1, 4000), torch.zeros(4000)])):
        parts = apply(torch.full((2, 1025, 8), 0.5), mix, RATE, RATE, spatial=True)
        assert bool(parts.isfinite().all())
        assert null_db(mix, parts) < -100 or not mix.any()


def test_methods_place_their_stems():
    """The whole way of `fast`, with a network that is right by two thirds."""
    true = sources(15, 75)

    class Vague:
        def windows(self, samples, rate):
            return [(0, samples)]

        def shares_by_window(self, mid, rate, prompts):
            shares = vague(true)
            yield torch.cat([shares, torch.zeros_like(shares[:1])])

    names = {"": 0.3, "one": 0.3, "two": 0.3}
    p = GaussianPrior(dict.fromkeys(names, 0.0), names, sample_rate=RATE, hop=128, max_seconds=2.0)
    found = []
    for method in (FAST, replace(FAST, spatial=False)):
        g = torch.Generator().manual_seed(0)
        *_, last = masked_stems(
            p, ["one", "two"], true.sum(0), RATE,
            method=method, generator=g, networks=Networks(Vague()),
        )  # fmt: skip
        found.append(sdr(last.stems.flatten(1), true.flatten(1)).mean())
    assert float(found[0] - found[1]) > 2
