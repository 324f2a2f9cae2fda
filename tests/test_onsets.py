"""Onsets of clicks that are where they were put, and beats of known tempos."""

import math

import pytest
import torch

from sds.metrics.onsets import (
    onset_correlation,
    onset_f_measure,
    onset_strength,
    onset_times,
    tempo,
    tempo_agreement,
)

RATE = 32000


def clicks(times, seconds=8.0):
    """Bursts of noise of 30 ms at times in seconds."""
    generator = torch.Generator().manual_seed(0)
    x = torch.zeros(1, round(seconds * RATE))
    burst = torch.randn(960, generator=generator) * torch.linspace(1, 0, 960) ** 2
    for time in times:
        start = round(time * RATE)
        x[0, start : start + 960] += 0.3 * burst[: x.shape[1] - start]
    return x


def every(bpm, seconds=8.0, first=0.2):
    step = 60 / bpm
    return [first + k * step for k in range(int((seconds - first - 0.1) / step))]


def test_onsets_are_where_the_clicks_are():
    asked = [0.2, 0.7, 1.5, 1.75, 3.0, 5.5]
    found = onset_times(onset_strength(clicks(asked), RATE))
    assert found.tolist() == pytest.approx(asked, abs=0.025)


def test_a_track_agrees_with_itself_and_not_with_itself_shifted():
    times = every(100)
    one = onset_strength(clicks(times), RATE)
    other = onset_strength(clicks([time + 0.3 for time in times]), RATE)
    assert onset_f_measure(onset_times(one), onset_times(one)) == 1.0
    assert onset_f_measure(onset_times(one), onset_times(other)) == 0.0
    assert onset_correlation(one, one) == pytest.approx(1.0)
    assert abs(onset_correlation(one, other)) < 0.3


def test_onsets_of_unrelated_times_are_not_correlated():
    generator = torch.Generator().manual_seed(1)
    one, other = (
        onset_strength(clicks(sorted((7.5 * torch.rand(20, generator=generator)).tolist())), RATE)
        for _ in range(2)
    )
    assert abs(onset_correlation(one, other)) < 0.25


def test_the_f_measure_counts_each_onset_once():
    one, other = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([1.04, 1.02, 2.06, 3.0])
    assert onset_f_measure(one, other) == pytest.approx(2 * 2 / 7)
    assert onset_f_measure(one, torch.zeros(0)) == 0.0
    assert math.isnan(onset_f_measure(torch.zeros(0), torch.zeros(0)))


def test_silence_has_no_onsets_and_no_tempo():
    strength = onset_strength(torch.zeros(1, RATE), RATE)
    assert len(onset_times(strength)) == 0
    assert math.isnan(tempo(strength))
    assert math.isnan(onset_correlation(strength, strength))
    assert math.isnan(tempo_agreement(strength, strength))


def test_level_does_not_matter():
    x = clicks(every(120))
    strength = onset_strength(x, RATE)
    assert torch.allclose(onset_strength(x * 0.01, RATE), strength, atol=0.05)


@pytest.mark.parametrize("bpm", [72.0, 97.0, 120.0, 143.0])
def test_the_tempo_of_clicks(bpm):
    assert tempo(onset_strength(clicks(every(bpm)), RATE)) == pytest.approx(bpm, rel=0.02)


def test_beats_of_one_tempo_agree_wherever_they_begin():
    one, later, faster = (
        onset_strength(clicks(every(bpm, first=first)), RATE)
        for bpm, first in ((100, 0.2), (100, 0.45), (127, 0.2))
    )
    assert tempo_agreement(one, later) > 0.9
    assert tempo_agreement(one, faster) < 0.5
