"""Ratios in dB, against numbers worked out by hand."""

import math

import pytest
import torch

from sds.metrics.separation import (
    bss_sdr,
    level_db,
    museval_sdr,
    null_db,
    sdr,
    si_sdr,
    si_sdr_improvement,
)

N = 1000
S = torch.sin(2 * torch.pi * 10 * torch.arange(N) / N)
C = torch.cos(2 * torch.pi * 10 * torch.arange(N) / N)  # as loud as S, orthogonal to it


def test_sdr_of_a_tenth_of_noise_is_20_db():
    assert float(sdr(S + 0.1 * C, S)) == pytest.approx(20.0, abs=1e-3)
    assert float(sdr(torch.zeros(N), S)) == pytest.approx(0.0, abs=1e-6)
    assert float(sdr(2 * S, S)) == pytest.approx(0.0, abs=1e-6)


def test_si_sdr_does_not_care_how_loud():
    for gain in (0.01, 1.0, -3.0):
        assert float(si_sdr(gain * (S + 0.1 * C), S)) == pytest.approx(20.0, abs=1e-3)


def test_si_sdr_is_minus_10_log_of_tan_squared():
    angle = 0.3
    e = math.cos(angle) * S + math.sin(angle) * C
    expected = -20 * math.log10(math.tan(angle))
    assert float(si_sdr(e, S)) == pytest.approx(expected, abs=1e-3)


def test_si_sdr_keeps_means():
    """A constant is an error like any other (torchmetrics' zero_mean=False)."""
    assert float(si_sdr(S + 0.1, S)) == pytest.approx(10 * math.log10(0.5 / 0.01), abs=1e-3)


def test_improvement_is_the_difference_from_the_mixture():
    mixture = S + C
    assert float(si_sdr_improvement(S + 0.1 * C, S, mixture)) == pytest.approx(20.0, abs=1e-3)


def test_edges():
    assert float(sdr(S, S)) == 200.0
    assert float(si_sdr(S, S)) > 140.0
    assert float(si_sdr(torch.zeros(N), S)) == -200.0
    assert math.isnan(float(sdr(S, torch.zeros(N))))
    assert math.isnan(float(si_sdr(S, torch.zeros(N))))
    assert sdr(torch.stack([S, S + C]), torch.stack([S, S])).shape == (2,)


def test_null_depth():
    parts = torch.stack([S, C])[:, None]
    assert null_db(parts.sum(0), parts) < -120.0
    assert null_db(parts.sum(0), parts[:1]) == pytest.approx(10 * math.log10(0.5), abs=1e-3)
    assert null_db(torch.zeros(1, 5), torch.zeros(2, 1, 5)) == -200.0


def noise(k, samples):
    """Noise by a formula, so that the references below are the same everywhere."""
    n = torch.arange(1, samples + 1, dtype=torch.float64)
    return (n * 12.9898 * k).sin().mul(43758.5453).frac()


def two_estimates():
    """References and estimates [2, 5.4 s at 2 kHz], the second through a short filter."""
    n = 10800
    t = torch.arange(n, dtype=torch.float64) / 2000
    short = torch.nn.functional.conv1d
    smooth = short(noise(2, n)[None], torch.tensor([[[0.2, 0.5, 1.0]]]).double(), padding=2)[0, :n]
    s = torch.stack([
        torch.sin(2 * torch.pi * 100 * t) * torch.exp(-t) + 0.1 * noise(1, n),
        smooth * (1 + torch.sin(2 * torch.pi * 0.7 * t)),
    ])  # fmt: skip
    e = torch.stack([
        s[0] + 0.2 * s[1] + 0.05 * noise(3, n),
        s[1] + 0.3 * s[0].roll(5) + 0.02 * noise(4, n),
    ])  # fmt: skip
    e[1] = short(e[1][None], torch.tensor([[[-0.1, 0.3, 0.9]]]).double(), padding=2)[0, :n]
    return e, s


def test_museval_sdr_is_what_museval_reports():
    """museval 0.4.1: nanmedian of metrics.bss_eval(s, e, window=2000, hop=2000)[0]."""
    e, s = two_estimates()
    assert museval_sdr(e[:, None], s[:, None], 2000).tolist() == pytest.approx(
        [-3.10378373, 13.78164527], abs=1e-6
    )
    s[1, 2000:4000] = 0  # that second counts for neither source
    assert museval_sdr(e[:, None], s[:, None], 2000).tolist() == pytest.approx(
        [-6.69826576, 13.92846079], abs=1e-6
    )
    assert bool(museval_sdr(e[:, None], 0 * s[:, None], 2000).isnan().all())


def test_bss_sdr_is_that_of_museval_and_fast_bss_eval():
    """museval 0.4.1, bsseval_sources_version=True, one window; fast_bss_eval agrees."""
    e, s = two_estimates()
    assert bss_sdr(e, s).tolist() == pytest.approx([1.81869434, 22.91806423], abs=1e-6)


def test_bss_sdr_forgives_a_filter_and_counts_noise():
    s, rest = torch.randn(2, 8000, generator=torch.Generator().manual_seed(0)).double()
    s[-100:] = 0
    filtered = s.roll(100) - 0.5 * s.roll(3)
    assert float(bss_sdr(filtered, s)) > 100
    ratio = float(10 * (filtered.square().sum() / (0.1 * rest).square().sum()).log10())
    assert float(bss_sdr(filtered + 0.1 * rest, s)) == pytest.approx(ratio, abs=0.5)
    assert float(bss_sdr(0 * s, s)) == -200.0
    assert math.isnan(float(bss_sdr(s, 0 * s)))


def test_level_is_energy_over_energy():
    assert level_db(0.1 * S, S) == pytest.approx(-20.0, abs=1e-4)
    assert level_db(S, 0 * S) == pytest.approx(10 * math.log10(N / 2), abs=1e-4)
