"""Four stems of a mixture: they add up to it by every method, at any rate, in any channels."""

from pathlib import Path

import pytest
import torch

from sds.metrics.separation import sdr, si_sdr_improvement
from sds.multitrack import take_apart
from sds.multitrack.base import STEMS
from sds.multitrack.loading import load_multi_track
from sds.priors.multi_track import MultiTrackNetwork, MultiTrackPrior
from sds.priors.stem_masks import StemMaskNetwork, StemMasks
from sds.signal import audio_files
from sds.signal.band_levels import N, hats, to_powers


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return MultiTrackPrior(MultiTrackNetwork(), StemMasks(StemMaskNetwork()), name="test")


def run(model, mix, rate, **asked):
    g = torch.Generator().manual_seed(0)
    making = take_apart.take_apart_stepwise(model, mix, rate, generator=g, **asked)
    shares = []
    while True:
        try:
            shares.append(next(making))
        except StopIteration as end:
            return end.value, shares


@pytest.mark.parametrize("method", take_apart.METHODS)
def test_stems_add_up_by_every_method(model, method):
    mix = 0.1 * torch.randn(2, 30000, generator=torch.Generator().manual_seed(1))
    stems, shares = run(model, mix, 44100, method=method, steps=2)
    assert tuple(stems) == STEMS
    torch.testing.assert_close(sum(stems.values()), mix, rtol=0, atol=1e-5)
    assert shares == sorted(shares)
    assert all(0 <= share <= 1 + 1e-6 for share in shares)


@pytest.mark.parametrize(("rate", "samples"), [(8000, 3000), (48000, 40001), (192000, 90000)])
def test_stems_add_up_at_any_rate(model, rate, samples):
    mix = 0.1 * torch.randn(1, samples, generator=torch.Generator().manual_seed(1))
    stems, _ = run(model, mix, rate, method="fast")
    torch.testing.assert_close(sum(stems.values()), mix, rtol=0, atol=1e-5)


def test_silence_and_other_methods(model):
    stems, _ = run(model, torch.zeros(1, 20000), 44100, method="default", steps=2)
    assert all(float(stem.abs().max()) == 0 for stem in stems.values())
    with pytest.raises(ValueError, match=r"method must be one of fast, .*got 'best'"):
        run(model, torch.zeros(1, 20000), 44100, method="best")


def test_shares_of_one_band_take_that_band():
    t = torch.arange(44100) / 44100
    low, high = torch.sin(2 * torch.pi * 200 * t), torch.sin(2 * torch.pi * 5000 * t)
    shares = torch.zeros(2, 128, 80)
    shares[0, :64], shares[1, 64:] = 1, 1
    parts = take_apart.masked((low + high)[None], 44100, shares)[:, 0]
    for part, true in zip(parts, (low, high), strict=True):
        error = (part - true)[2000:-2000].square().mean() / true.square().mean()
        assert float(10 * error.log10()) < -40


def test_panned_stems_are_taken_from_where_they_are():
    """One is louder below 8 kHz on the left, the other above on the right, each 10 dB softer
    elsewhere. A Wiener mask leaves 1/11 of a half's power as error twice, of 1.1: 7.8 dB.
    A filter that knows the places only from bins that are 10 dB sure wins 5 dB more.
    """
    generator = torch.Generator().manual_seed(0)
    spectra = torch.fft.rfft(torch.randn(2, 64000, generator=generator))
    soft = 10 ** (-10 / 20)
    low = torch.arange(32001) < 16000
    left, right = torch.fft.irfft(
        spectra * torch.stack([torch.where(low, 1.0, soft), torch.where(low, soft, 1.0)])
    )
    none = torch.zeros_like(left)
    sources = torch.stack([torch.stack([left, none]), torch.stack([none, right])])
    shares = torch.full((2, 128, 126), 1 / 11)
    edge = int((hats(torch.tensor([N / 4]))[:, 0]).argmax())
    shares[0, :edge], shares[1, edge:] = 10 / 11, 10 / 11
    panned = take_apart.masked(sources.sum(0), 32000, shares)
    mono = take_apart.masked(sources.sum((0, 1))[None], 32000, shares)
    torch.testing.assert_close(panned.sum(0), sources.sum(0), rtol=0, atol=1e-4)
    for k in range(2):
        assert float(sdr(mono[k, 0], sources[k].sum(0))) == pytest.approx(7.8, abs=0.4)
        assert float(sdr(panned[k].flatten(), sources[k].flatten())) > 12


@pytest.mark.parametrize("method", ["projection", "dirac"])
def test_a_held_estimate_adds_up_in_power(model, method):
    d = torch.randn(1, 4, 128, 8, generator=torch.Generator().manual_seed(0))
    mixture = to_powers(model.levels(d)).sum(1) * 1.5
    held = take_apart._held_to(model, d, mixture, method, 1.0)
    torch.testing.assert_close(to_powers(model.levels(held)).sum(1), mixture, rtol=1e-3, atol=1e-9)


STEM_CLIPS = Path(__file__).parents[2] / "shared" / "data" / "stems"


@pytest.mark.skipif(not STEM_CLIPS.is_dir(), reason="the clips of ../shared are not there")
def test_the_shipped_masks_tell_four_instruments_apart():
    model, gains = load_multi_track(), []
    for clip in ("dev_stem_1", "dev_stem_2"):
        true = [audio_files.read(STEM_CLIPS / f"{clip}_{stem}.flac") for stem in STEMS]
        rate, sources = true[0][1], torch.stack([audio for audio, _ in true])
        mix = sources.sum(0)
        stems, _ = run(model, mix, rate, method="fast")
        parts = torch.stack(list(stems.values()))
        gains.append(si_sdr_improvement(parts, sources, mix.expand_as(sources)).mean())
    assert (
        float(torch.stack(gains).mean()) > 6.5
    )  # dB; NMF told the sources 6.2, prompts 3.4 to 4.3
