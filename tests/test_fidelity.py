import numpy as np
import pytest

from renderers.fidelity import lsd, rms_error

RATE = 44100


def tone(hz: float = 440.0, seconds: float = 0.5) -> np.ndarray:
    t = np.arange(round(seconds * RATE)) / RATE
    return np.sin(2 * np.pi * hz * t) * np.exp(-3 * t)


@pytest.mark.parametrize("lag", [0, 1, 64, -64])
def test_lag_and_gain_do_not_count(lag: int) -> None:
    ours = np.random.default_rng(0).standard_normal(RATE // 2)
    theirs = 0.25 * (np.pad(ours, (lag, 0)) if lag >= 0 else ours[-lag:])
    assert rms_error(ours, theirs, RATE) < 1e-9
    assert lsd(ours, theirs, RATE) < 1e-6 if lag >= 0 else True


@pytest.mark.parametrize("shift", [0.25, 0.5, -0.37])
def test_a_fraction_of_a_sample_does_not_count(shift: float) -> None:
    spectrum = np.fft.rfft(np.random.default_rng(0).standard_normal(RATE // 2))
    hz = np.fft.rfftfreq(RATE // 2, 1 / RATE)
    spectrum[hz > 10000] = 0
    ours = np.fft.irfft(spectrum)
    theirs = np.fft.irfft(spectrum * np.exp(-2j * np.pi * hz * shift / RATE))
    assert rms_error(ours, theirs, RATE) < 0.01  # it was moved round, not out


def test_an_error_of_one_percent_is_one_percent() -> None:
    ours = np.random.default_rng(0).standard_normal(RATE)
    noise = np.random.default_rng(1).standard_normal(RATE)
    noise -= ours * (ours @ noise) / (ours @ ours)
    theirs = ours + 0.01 * noise * np.sqrt((ours @ ours) / (noise @ noise))
    # left = a - g b with b = a + 0.01 n: |left| / |a| = 0.01 / sqrt(1 + 0.01^2)
    assert rms_error(ours, theirs, RATE) == pytest.approx(0.01 / np.sqrt(1 + 1e-4), rel=1e-6)


def test_a_tilt_of_six_db_is_three_db_apart() -> None:
    """Half of the bins 6 dB up and half as they are, energies made equal: see the arithmetic."""
    g = np.random.default_rng(0)
    low, high = (np.fft.rfft(g.standard_normal(RATE)) for _ in range(2))
    edge = low.size // 2
    low[edge:], high[:edge] = 0, 0
    a = np.fft.irfft(low + high)
    b = np.fft.irfft(low + 2 * high)
    gain = np.sqrt(2 / 5)  # of b, for equal energy
    wanted = (abs(20 * np.log10(gain)) + abs(20 * np.log10(2 * gain))) / 2
    assert lsd(a, b, RATE) == pytest.approx(wanted, abs=0.1)


def test_another_pitch_is_far_and_silence_is_refused() -> None:
    assert lsd(tone(440), tone(523), RATE) > 10
    with pytest.raises(ValueError, match="silent"):
        lsd(np.zeros(RATE), tone(), RATE)
