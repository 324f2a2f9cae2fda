"""Effects: what a preset may carry, what is refused, and the sound file it becomes."""

from pathlib import Path

import numpy as np
import pedalboard
import pytest
import soundfile as sf
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from presets import Effect, Preset, ranges
from presets.preset import Plugin
from renderers import RENDERERS, effects, random_patches, to_values

RATE = 44100


def preset(*chain: Effect, renderer: str = "fm", seconds: float = 0.25) -> Preset:
    instrument = RENDERERS[renderer]
    u = random_patches(instrument, 1, generator=torch.Generator().manual_seed(3))[0]
    return Preset(
        name="test",
        renderer=renderer,
        renderer_version=instrument.version,
        values=to_values(instrument, u),
        seconds=seconds,
        effects=chain,
    )


def gain(db: float) -> Effect:
    return Effect(kind="Gain", values={"gain_db": db})


@pytest.mark.parametrize("kind", ranges.EFFECTS)
@pytest.mark.parametrize("end", [0.0, 1.0])
def test_both_ends_of_every_range_are_playable(kind: str, end: float) -> None:
    values = {param.name: param.value(end) for param in ranges.EFFECTS[kind]}
    noise = 0.1 * np.random.default_rng(0).standard_normal((1, 4096)).astype(np.float32)
    heard = effects.chain([Effect(kind=kind, values=values)])(noise, RATE)
    assert heard.shape == noise.shape
    assert np.isfinite(heard).all()


@pytest.mark.parametrize("kind", ranges.EFFECTS)
def test_settings_are_pedalboards_own(kind: str) -> None:
    plugin = getattr(pedalboard, kind)()
    for param in ranges.EFFECTS[kind]:
        assert param.low <= float(getattr(plugin, param.name)) <= param.high


def test_gain_is_in_decibels() -> None:
    dry, wet = effects.render(preset()), effects.render(preset(gain(-20.0)))
    np.testing.assert_allclose(wet, 0.1 * dry, rtol=1e-5, atol=1e-9)


def test_effects_are_applied_in_order() -> None:
    clip = Effect(kind="Clipping", values={"threshold_db": -20.0})
    first = effects.render(preset(gain(40.0), clip))
    last = effects.render(preset(clip, gain(40.0)))
    assert np.abs(first).max() == pytest.approx(0.1, rel=1e-3)
    assert np.abs(last).max() == pytest.approx(10.0, rel=1e-3)


def test_same_preset_same_bytes(tmp_path: Path) -> None:
    reverb = Effect(kind="Reverb", values={"room_size": 0.8})
    for name in ("a", "b"):
        effects.render_file(preset(reverb, renderer="impact"), tmp_path / f"{name}.wav")
    assert (tmp_path / "a.wav").read_bytes() == (tmp_path / "b.wav").read_bytes()


@pytest.mark.parametrize("rate", [22050, 48000])
def test_the_file_is_float_and_holds_what_was_rendered(tmp_path: Path, rate: int) -> None:
    loud = preset(gain(40.0))
    effects.render_file(loud, tmp_path / "a.wav", rate=rate, seconds=0.5, note=48, velocity=90)
    heard, got = sf.read(tmp_path / "a.wav", dtype="float32", always_2d=True)
    assert got == rate
    assert sf.info(tmp_path / "a.wav").subtype == "FLOAT"
    expected = effects.render(loud, rate=rate, seconds=0.5, note=48, velocity=90)
    assert expected.shape == (1, rate // 2)
    assert np.abs(expected).max() > 1  # beyond full scale, and kept
    np.testing.assert_array_equal(heard.T, expected)


def test_an_octave_up_doubles_the_frequency() -> None:
    sine = {param.name: 0.0 for param in ranges.fm()}
    sine |= {f"op{v}_ratio": 1.0 for v in range(1, 5)}
    sine |= {f"op{v}_attack": 0.001 for v in range(1, 5)}
    sine |= {f"op{v}_decay": 10.0 for v in range(1, 5)}
    sine |= {"op4_mix": 1.0, "level": 0.5}
    patch = preset(seconds=1.0).model_copy(update={"values": sine})
    for note, hz in ((69, 440), (81, 880)):
        spectrum = np.abs(np.fft.rfft(effects.render(patch, note=note)[0]))
        assert int(spectrum.argmax()) == hz


@pytest.mark.parametrize(
    ("effect", "message"),
    [
        (Effect(kind="VST3Plugin"), "unknown effect 'VST3Plugin'; allowed are Bitcrush, "),
        (Effect(kind="Gain", values={"db": 1.0}), "Gain has no setting 'db'; allowed are gain_db"),
        (gain(61.0), r"Gain gain_db must be in range -60\.\.60 dB, got 61"),
        (
            Effect(kind="Delay", values={"feedback": 1.0}),
            r"Delay feedback must be in range 0\.\.0\.99, got 1",
        ),
    ],
)
def test_refused_in_one_sentence(effect: Effect, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        effects.chain([effect])


def test_too_many_effects_are_refused() -> None:
    with pytest.raises(ValueError, match="at most 16 effects, got 17"):
        effects.chain([gain(0.0)] * 17)
    guest = Effect(kind="VST3", plugin=Plugin(file="Any.vst3"))
    with pytest.raises(ValueError, match="at most 16 effects, got 17"):
        effects.render(preset(*[gain(0.0)] * 8, guest, *[gain(0.0)] * 8))


def test_a_plugin_is_never_loaded_in_this_process() -> None:
    guest = Effect(kind="VST3", plugin=Plugin(file="Any.vst3"))
    with pytest.raises(ValueError, match=r"plugin Any\.vst3 runs in a child process, not in this"):
        effects.chain([guest])


@settings(deadline=None)
@given(st.sampled_from(sorted(ranges.EFFECTS)), st.floats(-1e6, 1e6), st.integers(0, 4))
def test_any_value_is_played_or_refused(kind: str, value: float, which: int) -> None:
    params = ranges.EFFECTS[kind]
    param = params[which % len(params)]
    effect = Effect(kind=kind, values={param.name: value})
    if param.low <= value <= param.high:
        assert len(effects.chain([effect])) == 1
    else:
        with pytest.raises(ValueError, match=f"{kind} {param.name} must be in range"):
            effects.chain([effect])


def test_nothing_is_left_when_writing_fails(tmp_path: Path) -> None:
    (tmp_path / "a.wav").mkdir()
    with pytest.raises(OSError, match="directory"):
        effects.render_file(preset(), tmp_path / "a.wav")
    assert [path.name for path in tmp_path.iterdir()] == ["a.wav"]


@pytest.mark.parametrize("rate", [7999, 192001])
def test_odd_rates_are_refused(rate: int) -> None:
    with pytest.raises(ValueError, match=rf"range 8000\.\.192000 Hz, got {rate}"):
        effects.render(preset(), rate=rate)
