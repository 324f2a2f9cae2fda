import numpy as np
import pytest

from presets import Note
from renderers import loops
from renderers.source import RenderedSource
from tests.full_voices import full

RATE = 44100


def harmonics(hz: float, seconds: float) -> np.ndarray:
    t = np.arange(round(seconds * RATE)) / RATE
    return sum(np.sin(2 * np.pi * k * hz * t + k) / k for k in range(1, 9))[None].astype("f4")


def turned(audio: np.ndarray, loop: tuple[int, int], times: int) -> np.ndarray:
    """What a sampler plays: up to the loop's end, and the loop again and again."""
    start, end = loop
    x = loops.seamless(audio, loop, RATE)
    return np.concatenate([x[0, :end], *[x[0, start:end]] * times]).astype(float)


def seam_is_smooth(audio: np.ndarray, loop: tuple[int, int]) -> None:
    start, end = loop
    x = turned(audio, loop, 2)
    own = np.abs(np.diff(audio[0, start:end].astype(float))).max()
    for seam in (end, 2 * end - start):
        assert abs(x[seam] - x[seam - 1]) <= own
        size = round(0.05 * RATE)
        before, after = x[seam - size : seam].std(), x[seam : seam + size].std()
        assert abs(20 * np.log10(after / before)) < 0.5


@pytest.mark.parametrize("hz", [55.0, 220.0, 261.63, 1046.5])
def test_a_harmonic_sound_loops_by_whole_periods(hz: float) -> None:
    audio = harmonics(hz, 2.0)
    start, end = loops.find(audio, 4000, RATE)
    assert start >= 4000
    periods = (end - start) * hz / RATE
    assert periods == pytest.approx(round(periods), abs=0.02)
    seam_is_smooth(audio, (start, end))
    endless = harmonics(hz, (end + 2 * (end - start)) / RATE)[0]
    assert np.abs(turned(audio, (start, end), 2) - endless[: 3 * end - 2 * start]).max() < 0.1


PATCHES = {
    "bell": full({"ratio": 1.41, "sustain": 0.5}, {"mix": 1.0, "sustain": 0.6}, op2_from_op1=1.0),
    "noise": full({}, noise_level=0.8, noise_sustain=0.7),
    "beating": full({"mix": 0.5, "sustain": 1.0}, {"mix": 0.5, "sustain": 1.0, "detune": 12.0}),
    "vibrato": full({"mix": 1.0, "sustain": 1.0}, lfo_hz=5.0, lfo_to_pitch=0.5),
}


@pytest.mark.parametrize("name", PATCHES)
@pytest.mark.parametrize("key", [40, 57, 76])
def test_what_is_not_periodic_has_no_jump_either(name: str, key: int) -> None:
    every = 0.2 if name == "vibrato" else 0.0
    source = RenderedSource(PATCHES[name])
    audio = np.frombuffer(source.floats(Note(key), 2.4), "<f4")[None]
    loop = source.loop(Note(key), 2.4, start=0.5, every=every)
    assert loop[0] >= 0.5 * RATE
    seam_is_smooth(audio, loop)


def test_a_loop_takes_whole_times_what_it_is_told() -> None:
    start, end = loops.find(harmonics(220.0, 3.0), 1000, RATE, every=0.25)
    times = (end - start) / RATE / 0.25
    assert times == pytest.approx(round(times), abs=loops.NEAR / 0.25)


def test_the_files_end_is_the_loops_beginning() -> None:
    audio = harmonics(220.0, 2.0)
    start, end = loops.find(audio, 4000, RATE)
    x = loops.seamless(audio, (start, end), RATE)
    assert x.shape == (1, end + loops.GUARD)
    np.testing.assert_array_equal(x[0, end:], x[0, start : start + loops.GUARD])


def test_no_room_is_refused() -> None:
    with pytest.raises(ValueError, match="a loop needs more than"):
        loops.find(harmonics(220.0, 0.2), 7000, RATE)
