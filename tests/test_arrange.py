"""Stems made and added: what is given stays known, long ones go on, all are as long as asked."""

import itertools

import pytest
import torch

from sds.multitrack import arrange
from sds.multitrack.base import STEMS
from sds.priors.multi_track import PAIR, WINDOW, MultiTrackNetwork, MultiTrackPrior
from sds.priors.stem_masks import StemMaskNetwork, StemMasks


class White(MultiTrackPrior):
    """Independent tracks of deviation 1, exactly denoised; keeps the noise levels it was told."""

    def __init__(self):
        super().__init__(MultiTrackNetwork(), StemMasks(StemMaskNetwork()), name="white")
        self.heard = []

    def denoise(self, x, sigma, told):
        self.heard.append((x.clone(), sigma.clone()))
        self.beats = told.beats
        return x / (1 + sigma.square())[:, :, None, None]


def run(model, **asked):
    g = torch.Generator().manual_seed(0)
    making = arrange.arrange_stepwise(
        model, **{"prompt": "", "rate": 32000, "steps": 3, "generator": g} | asked
    )
    shares = []
    while True:
        try:
            shares.append(next(making))
        except StopIteration as end:
            return end.value, shares


def test_windows_cover_all_and_overlap():
    assert arrange.windows_of(100) == [(0, 100)]
    for frames in (376, 384, 500, 1000):
        windows = arrange.windows_of(frames)
        assert windows[0][0] == 0
        assert windows[-1][1] == frames
        for (_, end), (begin, after) in itertools.pairwise(windows):
            assert end - begin >= arrange.OVERLAP
            assert after - begin == WINDOW


@pytest.mark.parametrize("given", [c for n in (1, 2, 3) for c in itertools.combinations(STEMS, n)])
def test_every_arrangement_is_added_to(given):
    model = White()
    track = 0.1 * torch.randn(1, 9000, generator=torch.Generator().manual_seed(1))
    add = [name for name in STEMS if name not in given]
    made, shares = run(model, given=dict.fromkeys(given, track), add=add, samples=9000)
    assert list(made) == add
    assert all(sound.shape == (1, 9000) for sound in made.values())
    assert shares == sorted(shares)
    assert shares[-1] < 1
    known = [name in given for name in STEMS]
    first = model.heard[0][0][:, known]
    for x, sigma in model.heard:
        assert ((sigma == 0) == torch.tensor([known])).all()
        assert torch.equal(x[:, known], first)  # clean throughout


def test_absent_stems_are_known_to_be_silent():
    model = White()
    made, _ = run(model, given={}, add=["drums"], samples=9000)
    assert list(made) == ["drums"]
    x, sigma = model.heard[0]
    assert (sigma[0] > 0).tolist() == [False, True, False, False]
    assert (model.levels(x)[:, [0, 2, 3]] == -2).all()


def test_what_goes_on_begins_with_what_was_made():
    model = White()
    samples = 500 * PAIR * 512
    plan, _ = arrange._planned(model, {}, STEMS, samples, 32000)
    g = torch.Generator().manual_seed(0)
    states = list(arrange._sampled(model, plan, 30, g))
    one, two = states[29], states[-1]
    assert torch.equal(one[..., :WINDOW], two[..., :WINDOW])  # nothing is made twice
    made = two[..., WINDOW : samples // (PAIR * 512)]
    assert float(made.std()) == pytest.approx(1, abs=0.2)


def test_beats_are_told_where_they_are_known():
    model = White()
    run(model, given={}, add=STEMS, samples=64000, prompt="rock", beats=lambda t: 4 + 2 * t)
    assert model.beats.shape == (2, 4, 64)  # with the prompt, and without it
    at = torch.arange(64) * 0.032
    assert torch.allclose(model.beats[0, 0], (4 * torch.pi * at).cos(), atol=1e-4)
    assert torch.allclose(model.beats[1, 3], (torch.pi * at).sin(), atol=1e-4)
    run(model, given={}, add=STEMS, samples=64000)
    assert not model.beats.any()


def test_given_drums_are_believed_before_a_grid_that_they_are_not_on():
    model, generator = White(), torch.Generator().manual_seed(0)
    drums = torch.zeros(1, 8 * 32000)
    for at in range(0, 8 * 32000, 16000):  # 120 beats a minute
        drums[0, at : at + 800] = torch.randn(800, generator=generator)
    asked = {"given": {"drums": drums}, "add": ["bass"], "samples": 8 * 32000}
    run(model, **asked, beats=lambda t: 2 * t)
    assert float(model.beats[0, 2].std()) > 0.5  # bars are known
    cosine = model.beats[0, 0].clone()
    run(model, **asked, beats=lambda t: 1.7 * t)
    assert not model.beats[0, 2:].any()  # of the drums only beats are
    turned = torch.stack([model.beats[0, 0], cosine])[:, 30:200]
    assert float(torch.corrcoef(turned)[0, 1]) > 0.95
    run(model, **asked | {"given": {"piano": drums}}, beats=lambda t: 1.7 * t)
    assert float(model.beats[0, 2].std()) > 0.5


def test_any_rate_and_length():
    for rate, samples in ((8000, 4001), (44100, 12345), (192000, 30000)):
        track = 0.1 * torch.randn(2, samples, generator=torch.Generator().manual_seed(1))
        made, _ = run(White(), given={"bass": track}, add=["piano"], samples=samples, rate=rate)
        assert made["piano"].shape == (1, samples)
        assert torch.isfinite(made["piano"]).all()
    with pytest.raises(ValueError, match="samples must be at least 1"):
        run(White(), given={}, add=STEMS, samples=0)


def test_silence_given_is_no_fault():
    made, _ = run(White(), given={"bass": torch.zeros(1, 9000)}, add=["piano"], samples=9000)
    assert torch.isfinite(made["piano"]).all()
