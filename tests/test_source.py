"""A preset's sound as bytes: lengths, integers, periods, rooms."""

import numpy as np
import pytest
import torch

from presets import Effect, Note, Preset
from presets.export import Source
from renderers import RENDERERS, effects, fm, from_values, impact, random_patches, to_values
from renderers.base import Renderer, physical
from renderers.source import RenderedSource
from tests.full_voices import full

RATE = 44100


def patch(instrument: Renderer = RENDERERS["fm"], **values: float) -> Preset:
    u = random_patches(instrument, 1, generator=torch.Generator().manual_seed(3))[0]
    known = to_values(instrument, u)
    return Preset(
        name="test",
        renderer=instrument.name,
        renderer_version=instrument.version,
        values=known | values,
        note=57,
        seconds=1,
    )


def sine(*ratios: float, decay: float = 1.0, index: float = 0.0) -> Preset:
    """Operators of these ratios, the last one heard and modulated by the others."""
    V = len(ratios)
    values = {"level": 0.5}
    for v, ratio in enumerate(ratios, 1):
        values |= {f"op{v}_ratio": ratio, f"op{v}_attack": 0.001, f"op{v}_decay": decay}
        values |= {f"op{v}_mix": float(v == V)}
        values |= {f"op{v}_from_op{w}": index if v == V and w < V else 0.0 for w in range(1, v + 1)}
    return patch(fm.renderer(operators=V)).model_copy(update={"values": values})


def room(**values: float) -> Preset:
    return patch(impact.renderer(modes=4, bands=3), **values)


def test_it_is_a_source() -> None:
    source: Source = RenderedSource(room(), rate=48000)
    assert (source.rate, source.channels) == (48000, 1)


def test_floats_are_what_the_renderer_plays() -> None:
    preset = patch()
    heard = np.frombuffer(RenderedSource(preset).floats(Note(50, 90), 0.5), "<f4")
    np.testing.assert_array_equal(
        heard, effects.render(preset, note=50, velocity=90, seconds=0.5)[0]
    )


def test_an_fm_patch_sounds_as_long_as_its_envelope() -> None:
    """It falls to 0 at attack + decay, and is 80 dB down shortly before."""
    source = RenderedSource(sine(1.0, decay=2.0))
    assert 1.5 < source.seconds <= 2.001


def test_an_impact_patch_sounds_until_it_is_80_db_down() -> None:
    one = {f"mode00{n}_hz": 440.0 for n in range(1, 5)}
    one |= {f"mode00{n}_decay": 3.0 for n in range(1, 5)}  # to -60 dB
    one |= {f"band0{m}_gain": 0.0001 for m in range(1, 4)}
    source = RenderedSource(room(**one, ring=1.0, tune=1.0, dry=1.0))
    assert source.seconds == pytest.approx(4.0, abs=0.05)


def test_an_echo_after_silence_is_heard() -> None:
    echo = Effect(kind="Delay", values={"delay_seconds": 5.0, "feedback": 0.0, "mix": 0.5})
    dry, wet = sine(1.0), sine(1.0).model_copy(update={"effects": (echo,)})
    assert RenderedSource(wet).seconds == pytest.approx(RenderedSource(dry).seconds + 5, abs=0.01)


def test_silence_is_refused() -> None:
    with pytest.raises(ValueError, match="'test' is silent at note 57"):
        RenderedSource(sine(1.0).model_copy(update={"values": sine(1.0).values | {"op1_mix": 0.0}}))


@pytest.mark.parametrize("bits", [16, 24])
def test_integers_are_the_floats_to_half_a_step(bits: int) -> None:
    source = RenderedSource(patch())
    note, seconds = Note(57), 0.5
    gain = 1.0 / source.peak(note, seconds)
    data = np.frombuffer(source.pcm(note, seconds, bits=bits, gain=gain), np.uint8)
    wide = np.zeros((data.size * 8 // bits, 4), np.uint8)
    wide[:, 4 - bits // 8 :] = data.reshape(-1, bits // 8)
    got = wide.view("<i4")[:, 0] / 2.0**31
    want = np.frombuffer(source.floats(note, seconds), "<f4").astype(np.float64) * gain
    body = want.size - round(0.01 * RATE)
    assert np.abs(got - want)[:body].max() <= 1.0 / 2 ** (bits - 1)
    assert np.abs(got).max() == pytest.approx(1.0, abs=2 ** (1 - bits))
    assert got[-1] == 0.0
    with pytest.raises(ValueError, match=r"within 1 of full scale, got a peak of 1\.01"):
        source.pcm(note, seconds, bits=bits, gain=1.01 * gain)


@pytest.mark.parametrize(("ratios", "cycles"), [((1.0, 2.0), 1), ((0.5, 1.0), 2), ((0.75, 1.0), 4)])
def test_a_held_cycle_is_the_bessel_series(ratios: tuple[float, float], cycles: int) -> None:
    """Harmonics of sin(a + I sin b) are J_n(I): ones that meet add up with their signs."""
    from scipy.special import jv

    index, size = 1.5, 2048
    source = RenderedSource(sine(*ratios, decay=10.0, index=index))
    note = Note(69 + 12 * np.log2(RATE / 256 / 440))
    [data] = source.cycles(note, [0.05], size)
    levels = np.abs(np.fft.rfft(np.frombuffer(data, "<f4"))) * 2 / size
    index *= np.exp(-0.049 / 100) * (10 - 0.049) / 10  # the modulator has an envelope too
    # u is one sample late: sin(a + I sin(b - p)) = sum J_n(I) sin(a + n (b - p))
    late = 2 * np.pi * ratios[0] / 256
    want = np.zeros(40, complex)
    for n in range(-12, 13):
        k = round((ratios[1] + n * ratios[0]) * cycles)
        if abs(k) < want.size:
            want[abs(k)] += np.sign(k) * jv(n, index) * np.exp(-1j * np.sign(k) * n * late)
    level = levels.max() / np.abs(want).max()
    np.testing.assert_allclose(levels[: want.size], np.abs(want) * level, atol=0.001 * level)
    assert levels[128 * cycles :].max() < 1e-6  # beyond what the render could hold


def test_cycles_are_in_phase_and_follow_the_envelope() -> None:
    source = RenderedSource(sine(1.0, decay=4.0))
    times = [0.1, 0.1033, 0.5, 2.0]
    frames = [np.frombuffer(c, "<f4") for c in source.cycles(Note(57), times, 2048)]
    spectra = [np.fft.rfft(frame) for frame in frames]
    assert np.ptp([np.angle(s[1]) for s in spectra]) < 0.01
    level = [abs(s[1]) * 2 / 2048 for s in spectra]
    falling = [0.5 * 2**-0.125 * np.exp((0.001 - t) / 16) * (4.001 - t) / 4 for t in times]
    np.testing.assert_allclose(level, falling, rtol=0.002)
    assert all(frame.size == 2048 for frame in frames)


def test_three_cents_off_is_in_tune_and_unheard_operators_do_not_count() -> None:
    odd = sine(1.0, 1.414, 1.0015, index=1.0)
    with pytest.raises(ValueError, match=r"whole when multiplied by 1, 2, 3 or 4.* 1, 1\.414, 1"):
        RenderedSource(odd).cycles(Note(57), [0.0], 2048)
    unheard = odd.model_copy(update={"values": odd.values | {"op3_from_op2": 0.0}})
    assert len(RenderedSource(unheard).cycles(Note(57), [0.0, 0.1], 256)) == 2
    with pytest.raises(ValueError, match="impact patches have no period"):
        RenderedSource(room()).cycles(Note(57), [0.0], 2048)


def test_a_patch_in_its_room_is_the_patch_alone_convolved_with_the_impulse() -> None:
    preset = room(dry=0.7)
    source = RenderedSource(preset)
    h = np.frombuffer(source.impulse(RATE), "<f4").astype(np.float64)
    assert np.abs(h).max() == pytest.approx(10 ** (-1 / 20), rel=1e-6)
    assert h[-1] == 0.0
    assert np.abs(h[-round(0.05 * RATE) :]).max() <= 1e-4
    instrument = impact.renderer(modes=4, bands=3)
    lay = impact.layout(instrument.params)
    values = physical(lay.table, from_values(instrument, preset.values)[None])
    o = impact.struck(lay, values, Note(preset.note), RATE)
    x = impact.modal_bank_slowly(o.hz / RATE, o.decay / RATE, o.gain, RATE)[0].numpy()
    want = effects.render(preset, seconds=1.0)[0].astype(np.float64)
    size = 1 << 20
    got = np.fft.irfft(np.fft.rfft(x, size) * np.fft.rfft(h, size), size)[: x.size]
    gain = (got @ want) / (got @ got)
    assert np.linalg.norm(want - gain * got) < 1e-3 * np.linalg.norm(want)


def test_a_patch_that_holds_lets_go_when_its_preset_says() -> None:
    organ = full({"mix": 1.0, "sustain": 0.5, "release": 0.4})
    held = organ.model_copy(update={"held": 0.7})
    assert RenderedSource(held).seconds == pytest.approx(1.1, abs=0.06)
    assert RenderedSource(organ).seconds == pytest.approx(organ.seconds + 0.4, abs=0.06)
    source = RenderedSource(held)
    still = np.frombuffer(source.floats(Note(57), 1.5), "<f4")
    let_go = np.frombuffer(source.floats(Note(57, held=0.7), 1.5), "<f4")
    assert np.abs(still[-1000:]).max() > 0.1
    assert np.abs(let_go[-1000:]).max() == 0.0


def test_noise_has_unit_power_and_repeats_without_a_seam() -> None:
    breath = full({}, noise_level=0.3, noise_sustain=1.0, noise_hz=500.0, noise_width=0.5)
    data = np.frombuffer(RenderedSource(breath).noise(1.0), "<f4").astype(float)
    assert data.size == RATE
    assert data.std() == pytest.approx(1.0, rel=0.1)
    assert abs(data[0] - data[-1]) <= np.abs(np.diff(data)).max()
    with pytest.raises(ValueError, match="has no noise"):
        RenderedSource(full({"mix": 1.0})).noise(1.0)


def test_periods_of_a_full_voice_stand_still() -> None:
    """Pitch envelope, LFO, detune and noise would blur them."""
    moved = full({"mix": 1.0, "sustain": 1.0, "detune": 9.0}, pitch_start=12.0, lfo_to_pitch=1.0,
                 noise_level=0.5)  # fmt: skip
    frames = RenderedSource(moved).cycles(Note(57), [0.2, 0.5, 1.0], 256)
    for frame in frames[1:]:
        assert np.frombuffer(frame, "<f4") == pytest.approx(
            np.frombuffer(frames[0], "<f4"), abs=1e-3
        )


def test_no_space_is_refused() -> None:
    with pytest.raises(ValueError, match="fm patches have no space"):
        RenderedSource(patch()).impulse(RATE)
