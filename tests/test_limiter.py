"""The output's limiter: exact below its ceiling, never above it, smooth between."""

import numpy as np
import pytest

from renderers.limiter import CEILING, LOOK_AHEAD, RELEASE, limit, limiter

RATES = (22050, 44100, 48000, 96000)


def limited(x, rate, gain=1.0, block=128):
    state = limiter(rate)
    x, out = x.astype(np.float32), np.empty(x.size, np.float32)
    for n in range(0, x.size, block):
        limit(state, x[n : n + block], gain, out[n : n + block])
    return out, state.signal.size


@pytest.mark.parametrize("rate", RATES)
def test_it_is_exact_below_its_ceiling_and_late_by_less_than_two_ms(rate):
    x = CEILING * np.random.default_rng(0).uniform(-3.99, 3.99, rate // 5)
    out, late = limited(x, rate, gain=0.25)
    assert 0.0 < late / rate <= 0.002
    assert late / rate == pytest.approx(LOOK_AHEAD, rel=0.1)
    assert (out[:late] == 0.0).all()
    assert (out[late:] == 0.25 * x.astype(np.float32)[: x.size - late]).all()


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("kind", ["noise", "sine", "impulses", "square"])
def test_nothing_exceeds_the_ceiling(rate, kind):
    random, n = np.random.default_rng(1), np.arange(rate // 2)
    x = {
        "noise": random.standard_normal(n.size) * 10.0 ** random.uniform(-2, 2, n.size),
        "sine": 8.0 * np.sin(2 * np.pi * 50.0 * n / rate) * np.linspace(0.0, 1.0, n.size),
        "impulses": 60.0 * (random.random(n.size) < 0.01),
        "square": 3.0 * np.sign(np.sin(2 * np.pi * 333.0 * n / rate)),
    }[kind]
    out, _ = limited(x, rate)
    assert np.abs(out).max() <= np.float32(CEILING) * (1 + 1e-6)
    assert np.abs(out).max() > 0.9 * CEILING


def test_the_gain_moves_without_a_click():
    """A tone that is suddenly 12 dB too loud and comes back: as smooth as its own step."""
    rate, n = 48000, np.arange(48000)
    tone = np.sin(2 * np.pi * 100.0 * n / rate)
    loud = np.where((n > 9600) & (n < 19200), 4.0, 0.5) * tone  # both at zero crossings
    out, late = limited(loud, rate)
    there = slice(late, None)
    gain = out[there] / np.where(np.abs(loud) < 1e-3, np.nan, loud)[: -late or None]
    assert np.nanmin(gain) == pytest.approx(CEILING / 4.0, rel=1e-4)
    smooth = np.diff(gain[9000:40000], 2)
    A = late // 2 + 1
    assert np.nanmax(np.abs(smooth)) <= 1.0 / A**2 + 1e-5
    back = gain[19200 + round(RELEASE * rate) + late]
    assert 1.0 - back == pytest.approx((1.0 - CEILING / 4.0) / np.e, rel=0.1)


def test_it_is_exact_again_after_a_pause():
    rate = 48000
    x = np.concatenate([np.full(1000, 9.0), np.full(3 * rate, 0.3)])
    out, late = limited(x, rate)
    assert (out[-rate:] == np.float32(0.3)).all()
    assert (np.diff(out[1000 + 2 * late :]) >= -1e-7).all()


def test_the_size_of_blocks_does_not_matter():
    x = 2.0 * np.random.default_rng(2).standard_normal(5000)
    sounds = [limited(x, 44100, block=block)[0] for block in (1, 64, 333, 5000)]
    for sound in sounds[1:]:
        assert (sound == sounds[0]).all()
