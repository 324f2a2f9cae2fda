"""Files and rates: what comes back, what is refused, and in which words."""

import os

import numpy as np
import pytest
import soundfile
import torch

from presets import Preset, save
from renderers import effects
from sds.signal import audio_files


def tone(hz: float, rate: int, samples: int) -> torch.Tensor:
    return torch.sin(2 * torch.pi * hz * torch.arange(samples, dtype=torch.float64) / rate).float()


@pytest.mark.parametrize("rate", [8000, 22050, 44100, 48000, 192000])
@pytest.mark.parametrize("channels", [1, 2])
def test_float_wav_comes_back_as_it_went(tmp_path, rate, channels):
    sound = torch.randn(channels, 333, generator=torch.Generator().manual_seed(0))
    audio_files.write(tmp_path / "a.wav", sound, rate)
    back, at = audio_files.read(tmp_path / "a.wav")
    assert at == rate
    assert torch.equal(back, sound)
    assert soundfile.info(tmp_path / "a.wav").subtype == "FLOAT"


@pytest.mark.parametrize("mask", [0o022, 0o077])
def test_every_writer_gives_the_mode_that_the_umask_leaves(tmp_path, mask):
    sound = Preset(name="x", renderer="fm", renderer_version=1, values={})
    before = os.umask(mask)
    try:
        audio_files.write(tmp_path / "a.wav", torch.zeros(1, 9), 44100)
        audio_files.write(tmp_path / "a.flac", torch.zeros(1, 9), 44100, subtype="PCM_24")
        effects.write(np.zeros((1, 9), np.float32), tmp_path / "b.wav", rate=44100)
        save(sound, tmp_path / "a.json")
    finally:
        os.umask(before)
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    assert modes == dict.fromkeys(("a.wav", "a.flac", "b.wav", "a.json"), 0o666 & ~mask)


def test_flac_keeps_24_bits(tmp_path):
    sound = 0.5 * tone(440, 44100, 1000)[None]
    audio_files.write(tmp_path / "a.flac", sound, 44100, subtype="PCM_24")
    assert float((audio_files.read(tmp_path / "a.flac")[0] - sound).abs().max()) <= 2**-23


def test_same_sound_same_bytes_and_nothing_beside_it(tmp_path):
    sound = torch.randn(2, 500, generator=torch.Generator().manual_seed(0))
    for name in ("a.wav", "b.wav", "a.wav"):
        audio_files.write(tmp_path / name, sound, 44100)
    assert (tmp_path / "a.wav").read_bytes() == (tmp_path / "b.wav").read_bytes()
    assert sorted(os.listdir(tmp_path)) == ["a.wav", "b.wav"]


def refused(tmp_path, name: str, data: np.ndarray, rate: int = 44100) -> str:
    soundfile.write(tmp_path / name, data, rate, subtype="FLOAT")
    with pytest.raises(ValueError, match=name) as error:
        audio_files.read(tmp_path / name)
    return str(error.value)


def test_bad_files_get_one_sentence(tmp_path):
    assert "8 channels; 1 or 2 are allowed" in refused(tmp_path, "8.wav", np.zeros((10, 8)))
    assert "no samples; at least 1" in refused(tmp_path, "0.wav", np.zeros((0, 1)))
    bad = np.full(10, np.nan)
    assert "10 samples that are not finite numbers" in refused(tmp_path, "nan.wav", bad)
    bad = np.array([0.0, np.inf])
    assert "1 samples that are not finite numbers" in refused(tmp_path, "inf.wav", bad)
    loud = np.array([0.0, -1e30])
    assert "samples up to 1e+30; at most 2.15e+09" in refused(tmp_path, "loud.wav", loud)
    assert "4000 Hz; 8000 to 192000" in refused(tmp_path, "slow.wav", np.zeros(10), 4000)
    assert "384000 Hz; 8000 to 192000" in refused(tmp_path, "fast.wav", np.zeros(10), 384000)
    long = np.zeros(8000 * 901, np.float32)
    assert "901 seconds; at most 900 are allowed" in refused(tmp_path, "long.wav", long, 8000)
    (tmp_path / "text.wav").write_text("This is not a sound.\n")
    with pytest.raises(ValueError, match=r"text\.wav is not an audio file that can be read"):
        audio_files.read(tmp_path / "text.wav")
    with pytest.raises(ValueError, match=r"gone\.wav does not exist"):
        audio_files.read(tmp_path / "gone.wav")
    with pytest.raises(ValueError, match="is a folder"):
        audio_files.read(tmp_path)


def test_truncated_file_is_refused_or_read_short(tmp_path):
    audio_files.write(tmp_path / "a.wav", torch.ones(1, 1000), 44100)
    whole = (tmp_path / "a.wav").read_bytes()
    (tmp_path / "cut.wav").write_bytes(whole[:-2000])
    assert torch.equal(audio_files.read(tmp_path / "cut.wav")[0], torch.ones(1, 500))


def test_unwritable_places_get_one_sentence(tmp_path):
    with pytest.raises(ValueError, match=r"cannot write .*a\.wav: No such file or directory"):
        audio_files.write(tmp_path / "gone" / "a.wav", torch.zeros(1, 5), 44100)
    with pytest.raises(ValueError, match="cannot hold FLOAT samples"):
        audio_files.write(tmp_path / "a.flac", torch.zeros(1, 5), 44100)
    with pytest.raises(ValueError, match="not finite"):
        audio_files.write(tmp_path / "a.wav", torch.full((1, 5), torch.nan), 44100)
    (tmp_path / "taken.wav").mkdir()
    with pytest.raises(ValueError, match=r"cannot write .*taken\.wav: Is a directory"):
        audio_files.write(tmp_path / "taken.wav", torch.zeros(1, 5), 44100)
    assert os.listdir(tmp_path) == ["taken.wav"]


@pytest.mark.parametrize("samples", [1, 7, 12_345])
@pytest.mark.parametrize(
    ("rate", "to"), [(44100, 48000), (8000, 44100), (96000, 44100), (11025, 8000)]
)
def test_there_and_back_has_the_same_count(rate, to, samples):
    there = audio_files.resample(torch.randn(2, samples), rate, to)
    assert there.shape == (2, -(-samples * to // rate))
    assert audio_files.resample(there, to, rate, frames=samples).shape == (2, samples)


@pytest.mark.parametrize(("rate", "to"), [(44100, 48000), (48000, 44100), (44100, 22050)])
def test_tones_in_the_band_survive_resampling(rate, to):
    hz = 0.4 * min(rate, to)  # 80 % of the lower band
    out = audio_files.resample(tone(hz, rate, rate // 4), rate, to)
    middle = slice(len(out) // 4, 3 * len(out) // 4)
    error = (out - tone(hz, to, len(out)))[middle]
    assert 10 * torch.log10(error.square().mean() / 0.5) < -85


def test_tones_above_the_band_die():
    out = audio_files.resample(tone(14_000, 44100, 20_000), 44100, 22050)
    assert 10 * torch.log10(out[2000:-2000].square().mean() / 0.5) < -85


def test_channels_are_repeated_or_averaged():
    stereo = torch.tensor([[[1.0, 2.0], [3.0, 6.0]]])
    assert audio_files.with_channels(stereo, 1).tolist() == [[[2.0, 4.0]]]
    assert audio_files.with_channels(stereo[:, :1], 2).tolist() == [[[1.0, 2.0], [1.0, 2.0]]]


def test_one_channel_is_the_mean_or_the_side_where_the_mean_is_far_below():
    """With R = g L the mean has (1 + g)^2 / (2 + 2 g^2) of the power: a tenth at g = -1/2."""
    left = torch.randn(1000, generator=torch.Generator().manual_seed(0))
    for gain, sign in ((1, 1), (0.3, 1), (0, 1), (-0.49, 1), (-0.51, -1), (-0.9, -1), (-1, -1)):
        found = audio_files.mono(torch.stack([left, gain * left]))
        torch.testing.assert_close(found, (1 + sign * gain) / 2 * left)
    both = torch.stack([torch.stack([left, -left]), torch.stack([left, left])])
    assert torch.equal(audio_files.mono(both), torch.stack([left, left]))  # each for itself
    assert torch.equal(audio_files.with_channels(both, 1), torch.stack([left, left])[:, None])
    assert torch.equal(audio_files.mono(left[None]), left)
    assert torch.equal(audio_files.mono(torch.zeros(2, 5)), torch.zeros(5))


@pytest.mark.parametrize("kind", ["wav", "flac"])
def test_pieces_are_the_file_and_any_stretch_is_itself(tmp_path, kind):
    sound = torch.rand(2, 5000, generator=torch.Generator().manual_seed(0)) - 0.5
    path = tmp_path / f"a.{kind}"
    audio_files.write(path, sound, 8000, subtype="PCM_16")
    whole, _ = audio_files.read(path)
    with audio_files.Recording(path) as file:
        assert (file.rate, file.channels, file.frames) == (8000, 2, 5000)
        assert torch.equal(torch.cat(list(file.pieces(777)), 1), whole)
        for begin, end in ((4000, 4100), (0, 10), (4990, 6000)):
            assert torch.equal(file.read(begin, end), whole[:, begin:end])


def test_all_pieces_are_looked_at_before_a_file_is_trusted(tmp_path):
    sound = torch.zeros(1, 1000)
    sound[0, [10, 990]] = torch.inf
    soundfile.write(tmp_path / "a.wav", sound.T.numpy(), 8000, subtype="FLOAT")
    with audio_files.Recording(tmp_path / "a.wav") as file:
        with pytest.raises(ValueError, match="has 2 samples that are not finite"):
            list(file.pieces(100))


def test_a_recording_may_be_long_but_not_endless(tmp_path):
    soundfile.write(tmp_path / "a.flac", np.zeros(16 * 60 * 8000, np.int16), 8000)
    with pytest.raises(ValueError, match="lasts 960 seconds; at most 900 are allowed"):
        audio_files.read(tmp_path / "a.flac")
    with audio_files.Recording(tmp_path / "a.flac") as file:
        assert file.frames == 16 * 60 * 8000
    with pytest.raises(ValueError, match="lasts 960 seconds; at most 60 are allowed"):
        audio_files.Recording(tmp_path / "a.flac", seconds=60)


def test_a_gain_brings_sounds_to_a_peak_but_not_silence():
    sounds = torch.tensor([[[0.5, -0.25]], [[1e-6, 0.0]], [[0.0, 0.0]]])
    gain = audio_files.peak_gain(sounds, 0.5)
    assert gain.shape == (3, 1, 1)
    assert gain.flatten().tolist() == pytest.approx([1.0, 5e5, 0.5 * 2**24])
    assert (gain * sounds).abs().amax((1, 2)).tolist() == pytest.approx([0.5, 0.5, 0.0])
