"""Songs carried as levels on bands: what comes back, and mixtures as phases would make them."""

import json

import numpy as np
import pytest
import torch

from sds.priors.multi_track import PAIR, MultiTrackNetwork
from sds.priors.stem_masks import StemMaskNetwork
from sds.signal.band_levels import BANDS, HOP, RATE, band_powers, stft
from sds.train import multi_track, stem_masks
from sds.train.stem_bands import (
    SINE,
    STEP_DB,
    BandSongs,
    interference,
    read_bands,
    with_phases,
    write_bands,
)
from sds.train.stem_data import Songs
from sds.train.stem_mixtures import mixtures


def noise(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two songs of 6 s: bass and piano are noise, drums in its second half, guitar is absent."""
    where = tmp_path_factory.mktemp("songs")
    rows = []
    for number in range(2):
        audio = 0.05 * noise(4, 6 * RATE, seed=number)
        audio[2] = 0
        audio[1, : 3 * RATE] = 0
        samples = (audio * 32767).round().short().numpy()
        samples.tofile(where / f"{number:05}.i16")
        rows.append({
            "file": f"{number:05}.i16", "number": number, "frames": 6 * RATE, "split": "train",
            "half": "choose", "captions": [f"song {number}"], "stem_captions": {"bass": ["bass"]},
            "beats": [0.5 * n for n in range(12)], "beats_a_bar": 4, "chords": ["C"],
        })  # fmt: skip
    (where / "songs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return where


@pytest.fixture(scope="module")
def carried(folder):
    path = folder / "bands.xz"

    def hear(piece):
        return torch.full((128,), float(len(piece) / RATE))

    assert write_bands(path, Songs(folder), [1, 0], hear, 1e9) == 2
    return path


def test_levels_come_back_within_half_a_step(folder, carried):
    songs = Songs(folder)
    for (row, tensors), index in zip(read_bands(carried), (1, 0), strict=True):
        assert row["captions"] == [f"song {index}"]
        assert tensors["vectors"][:, 0].tolist() == [4.0, 2.0]
        power = band_powers(stft(torch.from_numpy(songs.audio(index))))
        back = tensors["levels"].float() * STEP_DB - 80
        loud = power > 1e-7
        error = (back - 10 * power.clamp_min(1e-12).log10())[loud].abs()
        assert error.max() <= STEP_DB / 2 + 1e-4
        assert not tensors["levels"][2].any()


def test_a_file_ends_when_it_is_full(folder, tmp_path):
    assert write_bands(tmp_path / "x.xz", Songs(folder), [0, 1], lambda _: noise(128), 1.0) == 1
    assert len(BandSongs([tmp_path / "x.xz"]).rows) == 1


def test_windows_are_the_songs_own(carried):
    songs = BandSongs([carried, carried])
    assert songs.hours == pytest.approx(4 * 6 / 3600, rel=0.01)
    known, places = songs.windows(6, 64, np.random.default_rng(0), first=1, plain=True)
    assert known.levels.shape == (6, BANDS, 64)
    assert known.stems.shape == known.cross.shape == (6, 4, BANDS, 32)
    assert not known.stems[:, 2].any()
    for row, (song, start) in enumerate(places):
        silent = start + 64 < 3 * RATE / HOP - 4
        assert bool((known.stems[row, 1] == 0).all()) == silent
        assert songs.grid((song, start)).position(np.array([0.0]))[0] == pytest.approx(
            start * HOP / RATE / 0.5
        )
        assert songs.vector((song, start), 64)[0] == (4 if (start + 32) * HOP < 4 * RATE else 2)
    # As loud as the networks know: the mean square of the waveform would be 0.1 ** 2.
    assert known.stems.sum((1, 2)).mean(-1) == pytest.approx(SINE * 0.01, rel=0.1)
    varied, _ = songs.windows(6, 64, np.random.default_rng(0), first=1, mixed=1.0)
    ratio = varied.stems[:, 0].mean((1, 2)) / varied.stems[:, 3].mean((1, 2))
    assert (10 * ratio.log10()).std() > 2  # levels vary


def test_mixtures_are_as_loud_as_waveforms():
    """Band powers of a waveform add up to `SINE` times its mean square."""
    audio = 0.1 * noise(1, 4 * RATE)
    total = band_powers(stft(audio)).sum(1)[:, 4:-4].mean()
    assert float(total) == pytest.approx(SINE * 0.01, rel=0.02)


def test_phases_make_mixtures_as_real_ones_are():
    """Two noises of equal power: how far the mixture's power is from the sum, in each band."""
    stems = 0.1 * noise(1, 4, 20 * RATE)
    stems[:, 2:] = 0
    real = mixtures(stems)
    power = band_powers(stft(stems))
    drawn = with_phases(power, 0, torch.Generator().manual_seed(0))
    torch.testing.assert_close(drawn.stems, real.stems, rtol=1e-4, atol=1e-9)
    torch.testing.assert_close(drawn.cross.sum(1), drawn.power, rtol=1e-3, atol=1e-7)
    torch.testing.assert_close(real.cross.sum(1), real.power, rtol=1e-3, atol=1e-7)
    assert (drawn.power >= 0).all()
    for bands in (slice(0, 45), slice(45, 90), slice(90, 128)):
        off = [((m.power - m.stems.sum(1)) / m.stems.sum(1))[:, bands].std() for m in (drawn, real)]
        assert float(off[0] / off[1]) == pytest.approx(1.0, abs=0.3), bands
    assert interference()[0] < 1 == interference()[10] > interference()[-1]


def test_both_trainers_take_steps_on_bands(carried):
    songs, rng = BandSongs([carried]), np.random.default_rng(0)
    net = StemMaskNetwork()
    known = stem_masks.drawn(songs, 2, rng, 1)
    whole, error = stem_masks.loss(net(known.levels), known)
    whole.backward()
    assert error.isfinite()
    assert all(weight.grad.isfinite().all() for weight in net.parameters())

    class Texts:
        def read(self, caption):
            assert caption.startswith("song")
            return noise(128)

    many = multi_track.windows(songs, Texts(), 4, 32, rng)
    assert many.known.stems.shape == (4, 4, BANDS, 32)
    assert many.known.levels.shape[-1] == PAIR * 32
    assert many.beats.shape == (4, 4, 32)
    track, g = MultiTrackNetwork(), torch.Generator().manual_seed(0)
    multi_track.measure(songs, track, 8)
    assert (track.deviation >= 0.2).all()
    none = torch.zeros(4, dtype=torch.bool)
    error, _ = multi_track.loss(track, None, many, multi_track.noise_levels(4, none, g), none, g)
    assert error.isfinite()


def test_nothing_is_left_on_another_device(carried):
    """On the meta device, which refuses to be mixed with the CPU as a GPU does."""
    songs, rng = BandSongs([carried]), np.random.default_rng(0)
    known = stem_masks.drawn(songs, 2, rng).to("meta")
    whole, _ = stem_masks.loss(StemMaskNetwork().to("meta")(known.levels), known)
    assert whole.device.type == "meta"
    many = multi_track.Windows(known, noise(2, 128).to("meta"), torch.zeros(2, 4, 96).to("meta"))
    g, none = torch.Generator().manual_seed(0), torch.zeros(2, dtype=torch.bool)
    sigma = multi_track.noise_levels(2, none, g)
    net = MultiTrackNetwork().to("meta")
    error, _ = multi_track.loss(net, None, many, sigma, none, g)
    assert error.device.type == "meta"
