"""Clips cut from reserved songs: where they begin, and what the manifest says of them."""

import numpy as np
import pytest
import soundfile

from presets.reading import read_json
from sds.train.corpus import reserved
from sds.train.corpus.arrangements import STEMS, compose, reserved_name


@pytest.fixture(scope="module")
def song():
    return compose(reserved_name(3, 0), full=True)


def stems_of(song, sounding=STEMS, seconds=40):
    """Steady stems of different levels; those not sounding have nothing but a last second."""
    x = np.zeros((4, seconds * reserved.RATE), np.int16)
    for row, stem in enumerate(STEMS):
        begin = 0 if stem in sounding else -reserved.RATE
        x[row, begin:] = 1000 * (row + 1)
    return x


def test_reserved_songs_are_not_training_songs_and_most_have_all_stems():
    songs = reserved.reserved(8, 14)
    assert all(song.name.startswith("reserved/14/") for song in songs)
    assert all(set(song.parts) == set(STEMS) for k, song in enumerate(songs) if k % 4 != 3)


def test_a_clip_begins_with_a_bar(song):
    stems = stems_of(song)
    stems[0] = np.arange(stems.shape[1]) // 100  # says where a clip is from
    clip = reserved.cut(song, stems, 12.0)
    assert clip.shape == (4, 12 * reserved.RATE)
    bars = [round(beat * reserved.RATE) // 100 for beat in song.beats[:: song.beats_a_bar]]
    assert int(clip[0, 0]) in bars


def test_levels_are_of_stems_that_sound(song):
    clip = stems_of(song, sounding=("bass", "piano"))[:, : 12 * reserved.RATE]
    found = reserved.levels(clip)
    assert found.keys() == {"bass", "piano"}
    assert found["piano"] - found["bass"] == pytest.approx(20 * np.log10(4), abs=0.01)


def test_files_are_the_exact_sum_and_named_in_the_item(song, tmp_path):
    clip = stems_of(song)[:, : 2 * reserved.RATE]
    item = reserved.write_clip(tmp_path, "one", song, clip)
    read = {k: soundfile.read(tmp_path / f, dtype="int16")[0] for k, f in item["files"].items()}
    assert np.array_equal(read["mix"], sum(read[stem] for stem in STEMS))
    assert item["rms_dbfs"].keys() == set(STEMS)
    assert item["caption"] == song.captions[0]
    assert (item["seconds"], item["sample_rate"]) == (2.0, 44100)


def test_stems_beyond_full_scale_are_refused(song, tmp_path):
    with pytest.raises(ValueError, match="must not add up to more than full scale"):
        reserved.write_clip(tmp_path, "one", song, np.full((4, 100), 20000, np.int16))


def test_the_command_writes_sets_that_the_suite_reads(tmp_path, monkeypatch):
    monkeypatch.setattr(reserved, "reserved_font", lambda: tmp_path / "font.sf2")
    monkeypatch.setattr(
        reserved, "render_song", lambda song, font, rate, room: stems_of(song) / 32767
    )
    assert reserved.main(["--out", str(tmp_path), "--count", "2", "--long", "1"]) == 0
    about = read_json(tmp_path / "reserved" / "manifest.json")
    assert [item["id"] for item in about["items"]] == ["reserved_01", "reserved_02"]
    (long,) = read_json(tmp_path / "reserved_long" / "manifest.json")["items"]
    assert long["seconds"] == 30.0


def test_without_its_font_the_command_says_what_to_install(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(reserved, "FOLDERS", (tmp_path,))
    assert reserved.main(["--out", str(tmp_path)]) == 2
    assert "install the package timgm6mb-soundfont" in caplog.text
