"""The published protocol of four stems, on signals whose figures follow by hand."""

import math

import pytest
import torch

from sds.metrics.multi_source import (
    is_silent,
    multi_source_figures,
    si_sdr_with_epsilon,
)
from sds.metrics.separation import si_sdr

RATE = 1000


def stems(seconds=8, loud=(1.0, 1.0, 1.0, 1.0)):
    """Sinusoids of whole periods in every window: orthogonal, each of power loud^2 / 2."""
    t = torch.arange(seconds * RATE, dtype=torch.float64) / RATE
    waves = torch.stack([torch.sin(2 * math.pi * f * t) for f in (50, 90, 130, 170)])
    return torch.tensor(loud, dtype=torch.float64)[:, None] * waves


def test_improvement_of_orthogonal_stems():
    """The mixture has each at -10 log10(3) dB; errors of 1/100 of the power are 20 dB."""
    references = stems()
    estimates = references + 0.1 * references.roll(1, 0)
    figures = multi_source_figures(estimates, references, RATE)
    expected = torch.full((4,), 20 + 10 * math.log10(3), dtype=torch.float64)
    torch.testing.assert_close(figures.with_silent, expected, atol=1e-3, rtol=0)
    torch.testing.assert_close(figures.active, expected, atol=1e-3, rtol=0)
    assert figures.windows == 3  # 0 to 4, 2 to 6, 4 to 8 s
    assert figures.silent.tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize(("seconds", "windows"), [(4, 1), (5, 2), (6, 2), (7, 3), (3, 1), (1, 1)])
def test_windows_of_4_s_begin_every_2_s(seconds, windows):
    """ceil((T - 2 s) / 2 s) of them, and one where the recording is shorter."""
    references = stems(seconds)
    assert multi_source_figures(references, references, RATE).windows == windows


def test_a_silent_stem_counts_by_how_quiet_its_estimate_is():
    """10 log10((|mix|^2 + eps) / (|est|^2 + eps)), where the stem's own window is silent."""
    references = stems(4, (1.0, 1.0, 1.0, 0.0))
    estimates = references.clone()
    estimates[3] = 1e-3 * references[0]
    figures = multi_source_figures(estimates, references, RATE)
    assert figures.silent.tolist() == [0, 0, 0, 1]
    assert float(figures.with_silent[3]) == pytest.approx(60 + 10 * math.log10(3), abs=0.01)
    assert math.isnan(figures.active[3])
    assert not figures.active[:3].isnan().any()


def test_windows_of_one_active_stem_are_left_out():
    references = stems(8)
    references[1:, : 4 * RATE] = 0  # 0 to 4 s: one stem
    figures = multi_source_figures(references, references, RATE)
    assert figures.windows == 2
    with pytest.raises(ValueError, match="no window of 4 s has two stems"):
        multi_source_figures(references[:, : 4 * RATE], references[:, : 4 * RATE], RATE)


def test_what_counts_as_silent_depends_on_the_window():
    """Norm over samples below 1.5e-5: an amplitude of 1.5e-5 sqrt(T), 0.0045 for 4 s."""
    for samples in (4 * 22050, 22050):
        edge = 1.5e-5 * math.sqrt(samples)
        assert is_silent(torch.full((samples,), edge * 0.99, dtype=torch.float64))
        assert not is_silent(torch.full((samples,), edge * 1.01, dtype=torch.float64))


def test_without_silence_it_is_si_sdr():
    g = torch.Generator().manual_seed(1)
    s = torch.randn(3, 5000, generator=g)
    e = s + 0.3 * torch.randn(3, 5000, generator=g)
    torch.testing.assert_close(si_sdr_with_epsilon(e, s), si_sdr(e, s), atol=1e-6, rtol=0)
    torch.testing.assert_close(si_sdr_with_epsilon(5 * e, s), si_sdr(e, s), atol=1e-6, rtol=0)


def test_shapes_are_equal():
    with pytest.raises(ValueError, match=r"\[N, T\] and equal"):
        multi_source_figures(torch.zeros(4, 9), torch.zeros(4, 8), RATE)
