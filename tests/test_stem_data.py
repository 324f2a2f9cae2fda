"""Rendered songs: levels, sums and tables; what a training reads of them."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from sds.datasets.clips import FULL_SCALE
from sds.train.corpus import stems
from sds.train.corpus.arrangements import STEMS, compose, training_name
from sds.train.corpus.band.pieces import Source
from sds.train.corpus.band.synth import ROOMS, Synth
from sds.train.corpus.midi import find_fonts
from sds.train.corpus.stems import (
    BALANCE,
    RATE,
    active_rms,
    make_song,
    plan,
    read_songs,
    render_song,
)
from sds.train.stem_data import Songs, resample, tilt, vary
from tests.peers import peer

LENGTH = 4 * RATE
NUMBER = 43  # a song of few notes


@pytest.fixture(scope="module")
def font():
    peer("fluidsynth library", "sound font")
    return find_fonts([])[0]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three songs of tones, one of them held back; the guitar of each is absent."""
    path = tmp_path_factory.mktemp("stems")
    t = np.arange(LENGTH) / RATE
    rows = []
    for number in range(3):
        audio = np.stack([0.1 * np.sin(2 * np.pi * hz * t) for hz in (55, 3000, 0, 440)])
        audio *= 1 + number
        np.round(audio * FULL_SCALE).astype("<i2").tofile(path / f"{number:05d}.i16")
        rows.append({
            "file": f"{number:05d}.i16", "number": number, "frames": LENGTH,
            "split": "held" if number == 2 else "train", "half": "choose",
            "captions": [f"song {number}", "a song"],
            "stem_captions": {s: [f"{s} {number}"] for s in STEMS if s != "guitar"},
        })  # fmt: skip
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (path / "songs.jsonl").write_text(lines + '{"file": "0000')  # a line cut short
    return path


def test_the_synth_plays_the_key_that_was_written(font):
    audio = Synth(font, RATE).play([(0.1, 0.9, 0, 69, 100)], [(0, 73)], 1.0, ROOMS[0])
    assert audio.shape == (RATE,)
    assert np.abs(audio[: RATE // 12]).max() < 1e-4  # nothing before it
    spectrum = np.abs(np.fft.rfft(audio[RATE // 4 : 3 * RATE // 4] * np.hanning(RATE // 2)))
    assert np.argmax(spectrum) * 2 == pytest.approx(440, abs=6)


@pytest.mark.parametrize("room", [ROOMS[0], ROOMS[4]], ids=lambda room: room.name)
def test_a_synth_forgets_what_it_played(font, room):
    """FluidSynth's own reset lets voices ring on: stems were in each other's first seconds."""
    synth = Synth(font, RATE)
    synth.play([(0.0, 1.0, 9, 49, 120)], [(9, 0)], 0.5, room)
    silence = synth.play([], [(0, 0)], 1.0, room)
    assert np.abs(silence).max() < 1e-4  # -80 dBFS, of a cymbal's 0.1


def test_a_font_that_does_not_load_is_named(font, tmp_path):
    (tmp_path / "not.sf2").write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"not\.sf2"):
        Synth(tmp_path / "not.sf2", RATE)


def test_stems_are_levelled_and_add_up_below_full_scale(font, tmp_path):
    (task,) = plan(NUMBER, 1, seed=0, fonts=[font], sources=[], folder=tmp_path)
    row = make_song(task)
    samples = np.fromfile(tmp_path / row["file"], "<i2").reshape(4, -1)
    assert samples.shape[1] == row["frames"]
    total = samples.astype(np.int32).sum(axis=0)
    assert 10 ** (-7.2 / 20) < np.abs(total).max() / FULL_SCALE <= 10 ** (-1 / 20) + 1e-3
    song = compose(training_name(0, NUMBER))
    levels = {}
    for number, stem in enumerate(STEMS):
        assert samples[number].any() == (stem in song.parts)
        if stem in song.parts:
            loud = active_rms(samples[number].astype(np.float32) / FULL_SCALE, RATE)
            levels[stem] = 20 * np.log10(loud) - BALANCE[stem]
    assert len(levels) >= 2
    assert max(levels.values()) - min(levels.values()) < 13  # 6 dB up and down
    assert row["present"] == [stem for stem in STEMS if stem in song.parts]
    assert row["chords"][0][1] == song.chords[0][1]


def test_a_song_sounds_the_same_again(font):
    """To 40 dB below: filters of FluidSynth's voices begin where their last note left them."""
    song = replace(compose(training_name(0, 1)), seconds=12.0)
    once, again = (render_song(song, font, RATE) for _ in range(2))
    assert np.square(once - again).sum() < 1e-4 * np.square(once).sum()


def test_numbers_are_mixed_and_fonts_take_turns(tmp_path):
    sources = [Source(tmp_path / f"{n}.mid", str(n)) for n in range(9)]
    fonts = [tmp_path / "a.sf2", tmp_path / "b.sf3"]
    tasks = plan(0, 60, seed=0, fonts=fonts, sources=sources, folder=tmp_path)
    midi = [task for task in tasks if task.source]
    assert len(midi) == 18
    assert {task.source.group for task in midi[:9]} == {str(n) for n in range(9)}
    for part in (tasks, midi):
        share = sum(task.font == fonts[0] for task in part) / len(part)
        assert 0.4 <= share <= 0.6
    assert tasks[30:] == plan(30, 30, seed=0, fonts=fonts, sources=sources, folder=tmp_path)


def test_rendering_goes_on_after_the_last_whole_song(tmp_path, monkeypatch):
    class Here:
        """A pool that works in this process."""

        def __init__(self, *_arguments):
            self.map = map

        def __enter__(self):
            return self

        def __exit__(self, *_error):
            return None

    made = []

    def fake(task):
        made.append(task.number)
        return {"number": task.number, "frames": RATE * 3600, "split": "train"}

    monkeypatch.setattr(stems, "ProcessPoolExecutor", Here)
    monkeypatch.setattr(stems, "make_song", fake)
    monkeypatch.setattr(stems, "WAVE", 2)
    (tmp_path / "songs.jsonl").write_text('{"number": 0, "frames": 115200000}\n{"number": 1, "fr')
    options = {"seed": 0, "fonts": [tmp_path / "a.sf2"], "sources": [], "workers": 1}
    stems.render_songs(tmp_path, 4.0, **options)
    assert made == [1, 2, 3, 4]
    assert [row["number"] for row in read_songs(tmp_path)] == [0, 1, 2, 3, 4]
    stems.render_songs(tmp_path, 5.0, **options)
    assert len(made) == 4  # enough already


def test_a_missing_font_is_one_sentence(tmp_path, caplog):
    arguments = ["--out", str(tmp_path), "--font", str(tmp_path / "none.sf2")]
    assert stems.main(arguments) == 2
    assert "--font must name sound font files" in caplog.text


def test_songs_of_a_split_are_read(folder):
    songs = Songs(folder)
    assert [row["number"] for row in songs.rows] == [0, 1]
    assert songs.hours == pytest.approx(8 / 3600)
    assert [row["number"] for row in Songs(folder, "held", half="choose").rows] == [2]
    with pytest.raises(ValueError, match="half 'report'"):
        Songs(folder, "held", half="report")
    audio = songs.audio(1, -10, LENGTH + 20)
    assert audio.shape == (4, LENGTH + 20)
    assert not audio[:, :10].any()
    assert not audio[:, -10:].any()
    assert np.abs(audio[3]).max() == pytest.approx(0.2, abs=1e-3)
    assert songs.captions(1) == ("song 1", {s: f"{s} 1" for s in STEMS if s != "guitar"})


def test_plain_windows_are_pieces_of_the_songs(folder):
    songs, rng = Songs(folder), np.random.default_rng(0)
    for _ in range(5):
        audio, (whole, alone) = songs.window(rng, 1000, plain=True)
        assert audio.shape == (4, 1000)
        assert audio.dtype == np.float32
        assert whole in ("song 0", "song 1", "a song")
        assert set(alone) == {"bass", "drums", "piano"}
        assert not audio[2].any()
        stored = songs.audio(0 if np.abs(audio).max() < 0.11 else 1)
        match = np.flatnonzero(np.abs(stored[0] - audio[0, 0]) < 1e-6)
        assert any(np.allclose(stored[:, i : i + 1000], audio, atol=1e-6) for i in match)


def test_varied_windows_keep_absent_stems_silent_and_do_not_clip(folder):
    songs, rng = Songs(folder), np.random.default_rng(1)
    levels = []
    for _ in range(60):
        audio, (_, alone) = songs.window(rng, 3200)
        assert not audio[2].any()
        assert "guitar" not in alone
        assert np.abs(audio.sum(axis=0)).max() <= 0.9901
        levels.append(np.sqrt(2 * np.square(audio[3]).mean()))
    spread = 20 * np.log10(np.array(levels) / np.sqrt(0.1 * 0.2))
    assert spread.min() < -5
    assert spread.max() > 5
    assert np.abs(spread).max() < 6 + 3 + 2.1  # gain, song, tilt


def test_mixed_windows_take_stems_of_different_songs(folder):
    songs, rng = Songs(folder), np.random.default_rng(2)
    kinds = set()
    for _ in range(20):
        _, (whole, alone) = songs.window(rng, 3200, mixed=True)
        kinds.add(len({text[-1] for text in alone.values()}))
        assert whole == ", ".join(alone.values())
    assert kinds == {1, 2}


def test_resampling_moves_a_tone_and_keeps_its_level():
    t = np.arange(32000) / RATE
    faster = resample(np.sin(2 * np.pi * 1000 * t)[None].astype(np.float32), 30000)[0]
    inside = faster[1000:-1000]
    spectrum = np.abs(np.fft.rfft(inside * np.hanning(len(inside))))
    assert np.argmax(spectrum) * RATE / len(inside) == pytest.approx(1000 * 32 / 30, abs=1.2)
    assert np.sqrt(2 * np.square(inside).mean()) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize(("hz", "expected"), [(20, -2), (1000, 0), (15900, 2)])
def test_a_tilt_of_4_db_is_2_down_below_and_2_up_above(hz, expected):
    tone = np.sin(2 * np.pi * hz * np.arange(32000) / RATE).astype(np.float32)
    gain = np.sqrt(np.square(tilt(tone, 4.0)[8000:]).mean() / np.square(tone[8000:]).mean())
    assert 20 * np.log10(gain) == pytest.approx(expected, abs=0.1)


def test_varying_changes_levels_by_6_db_at_most():
    rng = np.random.default_rng(4)
    noise = 0.01 * rng.standard_normal((4, 8000)).astype(np.float32)
    noise[1] = 0
    for _ in range(20):
        out = vary(noise, rng)
        assert not out[1].any()
        ratio = np.sqrt(np.square(out[[0, 2, 3]]).mean(axis=1)) / 0.01
        assert np.all(np.abs(20 * np.log10(ratio)) < 6 + 2.3)
    assert torch.from_numpy(out).dtype == torch.float32
