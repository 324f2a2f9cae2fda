"""Statistics of sounds: the same at any level, the same on any processor, no figure of rounding."""

import math
import os
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file

from sds.datasets.reference_statistics import CLASSES, reference
from sds.metrics.spectral_statistics import (
    FLOOR,
    LEAST,
    N_FFT,
    RATE,
    floored,
    least_deviations,
    measure,
    statistics,
)
from sds.priors.gaussian import GaussianPrior
from sds.scoreboard import prior_clips
from sds.scoreboard.board import Setting
from sds.train.reference import write as build
from tests.test_scoreboard_prior import HOP, SLOW, Ear, captioned, spectra

TIME = torch.arange(2 * RATE) / RATE
AGREE = 1e-3  # deviations of real recordings: what two ways to add up may differ by


def sounds():
    """Sounds that leave bands empty, repeat, or stand still, [6, 1, T]."""
    tone = torch.sin(2 * torch.pi * 1000 * TIME)
    noise = torch.randn(2 * RATE, generator=torch.Generator().manual_seed(0))
    low = torch.fft.rfft(noise) * (torch.fft.rfftfreq(len(noise), 1 / RATE) < 2000)
    each = (
        tone,
        sum(torch.sin(2 * torch.pi * 220 * k * TIME) / k for k in range(1, 9)),
        tone * torch.exp(-TIME / 0.05),
        tone * (1 + 0.5 * torch.sin(2 * torch.pi * 6 * TIME)),
        torch.fft.irfft(low),
        noise * (TIME < 0.1),
    )
    return torch.stack([0.9 * x / x.abs().max() for x in each])[:, None]


def apart(x, y):
    """The largest difference of two sets of statistics, in deviations of real recordings."""
    return float(((x - y) / reference().deviation).abs().max())


def test_the_floor_is_what_a_file_of_16_bits_holds():
    """Rounding to steps of 2^-15 has a variance of 2^-30 / 12 (Bennett 1948)."""
    window = torch.hann_window(N_FFT)
    sine = (window.sum() / 2).square()  # the power in its bin, at full scale
    noise = 2.0**-30 / 12 * window.square().sum()
    assert float(10 * (sine / noise).log10()) == pytest.approx(10 * math.log10(2**31 * N_FFT))
    assert 10 * math.log10(2**31 * N_FFT) - 40 > FLOOR  # in frames 40 dB softer, too
    power = torch.tensor([[1.0, 0.0, 1e-9], [0.0, 0.0, 0.0]])
    assert floored(power)[0].tolist() == pytest.approx([1.0, 1e-8, 1.1e-8])
    assert bool((floored(power)[1] > 0).all())


def test_a_sound_has_the_same_statistics_40_db_down():
    expected = statistics(sounds(), RATE)
    assert apart(statistics(0.01 * sounds(), RATE), expected) < AGREE


def test_a_sound_has_the_same_statistics_in_16_bits():
    kept = (sounds() * 32768).round() / 32768
    assert apart(statistics(kept, RATE), statistics(sounds(), RATE)) < 0.05


def test_two_ways_of_the_processor_agree(tmp_path):
    """Without vector instructions sums are in another order; only rounding differs."""
    save_file({"sounds": sounds(), "slow": sounds()[..., :SLOW].contiguous()}, tmp_path / "in")
    script = (
        "import sys; from safetensors.torch import load_file, save_file; "
        "from sds.metrics.spectral_statistics import RATE, statistics; x = load_file(sys.argv[1]); "
        f"save_file({{'sounds': statistics(x['sounds'], RATE), "
        f"'slow': statistics(x['slow'], {SLOW})}}, sys.argv[2])"
    )
    subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "in"), str(tmp_path / "out")],
        env=os.environ | {"ATEN_CPU_CAPABILITY": "default", "MKL_ENABLE_INSTRUCTIONS": "SSE4_2"},
        timeout=300,
        check=True,
    )
    found = load_file(tmp_path / "out")
    assert apart(found["sounds"], statistics(sounds(), RATE)) < AGREE
    assert apart(found["slow"], statistics(sounds()[..., :SLOW].contiguous(), SLOW)) < AGREE


def test_an_empty_band_is_flat_and_has_no_time_of_its_own():
    """A tone leaves the top bands to the floor: flat, and there whenever the tone is."""
    found = measure(torch.sin(2 * torch.pi * 500 * TIME)[None, None], RATE)
    assert found["flatness"][0, 2:].tolist() == pytest.approx([0.0] * 4, abs=0.1)
    middle = found["band times"][0, -3:].exp() - 0.003
    assert middle.tolist() == pytest.approx([1.0] * 3, abs=0.1)  # of two seconds


def test_of_periods_that_fit_as_well_the_first_is_the_pitch():
    found = measure(torch.sin(2 * torch.pi * 441 * TIME)[None, None], RATE)  # 100 samples
    assert float(found["pitch"]) == pytest.approx(math.log2(441), abs=0.02)
    assert float(found["pitch deviation"]) < 0.02


def test_an_envelope_that_stands_still_has_no_modulation():
    """Half a second of a tone of whole periods a block: what moves is rounding."""
    still = torch.sin(2 * torch.pi * (RATE / 64) * TIME)
    assert float(measure(still[None, None], RATE)["modulation"].amax()) < math.log(0.01)


def test_every_figure_has_a_least_deviation_and_real_recordings_are_above():
    assert set(LEAST) == set(measure(torch.zeros(1, 1, 1), RATE))
    assert bool((reference().deviation > 2 * least_deviations()).all())


def shares(x):
    """What each column of x [N, K] has of the squared distances between its rows, [K]."""
    return x.double().var(0) / x.double().var(0).sum()


def test_no_column_is_most_of_the_diversity():
    """119 columns: 1 % each if all counted alike; none has more than 10 % within a class."""
    real = reference()
    for label in CLASSES:
        assert float(shares(real.x[real.rows([label])]).max()) < 0.1


def test_no_column_is_most_of_the_diversity_of_one_tone(tmp_path):
    """Recordings that differ by a little noise, at 8000 Hz: above 4 kHz there is nothing to hear.

    While powers were floored at 1e-12 one column had 98 % of it.
    """
    captioned(tmp_path)
    build(tmp_path, tmp_path / "reference")
    real, deviations = reference(tmp_path / "reference"), spectra()
    own = GaussianPrior(
        dict.fromkeys(deviations, 0.0), deviations, sample_rate=SLOW, hop=HOP, max_seconds=2.0
    )
    setting = Setting(
        data=tmp_path,
        prior=own,
        evaluation_scorer=Ear(),
        search_scorer=Ear(),
        instruments=(),
        scratch=tmp_path / "made",
    )
    ways = prior_clips.ways(setting)
    for label in ("kick", "dog"):
        for method in (prior_clips.REAL, prior_clips.CODED):
            x = real.standard(statistics(ways[method].clips(label), SLOW))
            assert float(shares(x).max()) < 0.25
