"""The three tasks on waveforms of any length, with a Gaussian instead of the network."""

import pytest
import torch

from sds.multitrack.waveforms import (
    METHODS,
    arrange_waveforms_stepwise,
    separate_waveforms_stepwise,
)
from sds.priors.multi_source import SOURCES, MultiSource

STD = torch.tensor([0.2, 0.1, 0.05, 0.05])
RATE = 800
WINDOW = 400


def denoise(x, sigma):
    variance = STD.square()[None, :, None]
    return variance / (variance + sigma.square()[..., None]) * x


MODEL = MultiSource("gaussian", "0" * 16, denoise, 16, RATE, WINDOW)


def run(steps):
    fractions = []
    while True:
        try:
            fractions.append(next(steps))
        except StopIteration as end:
            return fractions, end.value


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("channels", "samples", "rate"), [(1, 1100, RATE), (2, 777, 1200)])
def test_sources_sum_to_the_mixture(method, channels, samples, rate):
    g = torch.Generator().manual_seed(1)
    mix = torch.randn(channels, samples, generator=g) * 0.25
    fractions, stems = run(
        separate_waveforms_stepwise(MODEL, mix, rate, method=METHODS[method], generator=g)
    )
    assert tuple(stems) == SOURCES
    assert all(stem.shape == mix.shape for stem in stems.values())
    torch.testing.assert_close(sum(stems.values()), mix, atol=1e-6, rtol=0)
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0


def test_windows_are_cross_faded_not_joined():
    """A constant mixture: the mean share of the loudest source is the same in every window."""
    g = torch.Generator().manual_seed(1)
    mix = torch.full((1, 1000), 0.3)
    method = METHODS["accurate"]
    _, stems = run(separate_waveforms_stepwise(MODEL, mix, RATE, method=method, generator=g))
    bass = stems["bass"][0]
    blocks = bass.reshape(10, 100).mean(1)
    assert blocks.std() < 0.05 * blocks.mean()
    assert float(bass.mean()) > 0.6 * 0.3


@pytest.mark.parametrize(("samples", "rate"), [(900, RATE), (1000, 1000), (50, RATE)])
def test_accompaniment_of_any_length(samples, rate):
    g = torch.Generator().manual_seed(1)
    given = {"drums": torch.randn(1, samples, generator=g) * 0.1}
    fractions, stems = run(
        arrange_waveforms_stepwise(
            MODEL, given=given, add=("piano", "bass"), samples=samples, rate=rate, steps=40,
            generator=g,
        )
    )  # fmt: skip
    assert list(stems) == ["piano", "bass"]
    assert all(stem.shape == (1, samples) for stem in stems.values())
    assert fractions[-1] == 1.0
    if samples > 100:
        assert float(stems["bass"].std()) == pytest.approx(0.2, rel=0.25)
        assert float(stems["piano"].std()) == pytest.approx(0.05, rel=0.25)


def test_the_next_window_holds_what_is_there():
    """What a window knows of the one before is not generated again: it is given to the model."""
    seen = []

    def spy(x, sigma):
        if float(sigma[0, 0]) < 1e-3:
            seen.append(x.clone())
        return denoise(x, sigma)

    model = MultiSource("spy", "0" * 16, spy, 16, RATE, WINDOW)
    _, stems = run(
        arrange_waveforms_stepwise(
            model, given={}, add=SOURCES, samples=700, rate=RATE, steps=30,
            generator=torch.Generator().manual_seed(2),
        )
    )  # fmt: skip
    second = seen[-1][0, :, :100]  # the last window begins 300 in, and 100 are there
    whole = torch.cat([stems[name] for name in SOURCES])
    torch.testing.assert_close(second, whole[:, 300:400], atol=2e-3, rtol=0)


def test_tracks_that_nobody_asked_for_are_silent():
    seen = []

    def spy(x, sigma):
        seen.append(x[:, 2] / sigma[:, [2]])
        return denoise(x, sigma)

    model = MultiSource("spy", "0" * 16, spy, 16, RATE, WINDOW)
    run(
        arrange_waveforms_stepwise(
            model, given={"drums": torch.zeros(1, 400)}, add=("piano",), samples=400, rate=RATE,
            steps=10, generator=torch.Generator().manual_seed(2),
        )
    )  # fmt: skip
    for noise in seen:
        assert float(noise.std()) == pytest.approx(1.0, abs=0.15)  # nothing but noise of the level


@pytest.mark.parametrize(
    ("given", "add", "sentence"),
    [
        ({"flute": torch.zeros(1, 9)}, ("bass",), "a stem must be one of bass, .* got 'flute'"),
        ({}, (), "nothing is to be added"),
        ({"bass": torch.zeros(1, 9)}, ("bass",), "bass is given already"),
        ({}, ("bass", "bass"), "bass is given already, or to be added twice"),
    ],
)
def test_stems_that_make_no_sense(given, add, sentence):
    with pytest.raises(ValueError, match=sentence):
        run(
            arrange_waveforms_stepwise(
                MODEL, given=given, add=add, samples=9, rate=RATE, generator=torch.Generator()
            )
        )
