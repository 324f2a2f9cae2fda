"""Ratios in dB, against numbers worked out by hand."""

import math

import pytest
import torch

from sds.metrics import null_db, sdr, si_sdr, si_sdr_improvement

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
