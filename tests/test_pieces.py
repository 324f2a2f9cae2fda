"""MIDI songs in four stems: sorted by program, and none of those that evaluation is made of."""

import random
from pathlib import Path

import mido
import pytest

from sds.train.corpus.band.pieces import (
    Source,
    alikeness,
    class_of,
    find_sources,
    group_songs,
    is_reserved,
    melodic_runs,
    read_beats,
    sort_notes,
)
from sds.train.corpus.stems import midi_song

DATA = Path(__file__).parents[2] / "shared" / "data"


def melody(seed, *, shift=0, slower=1.0, count=120):
    """A random melody of the channels 0 and 1, as notes."""
    rng = random.Random(seed)
    notes = []
    for channel in (0, 1):
        key = 60
        for index in range(count):
            key = min(max(key + rng.choice([-5, -3, -2, -1, 1, 2, 4, 7]), 40), 80)
            notes.append((index * 0.25 * slower, 0.2, channel, key + shift, 90))
    return notes


def write_song(path, programs, *, bars=20, tempo=120):
    """A MIDI file whose channels play quarter notes, drums on channel 9."""
    file = mido.MidiFile(ticks_per_beat=480)
    track = mido.MidiTrack()
    file.tracks.append(track)
    track.append(mido.MetaMessage("set_tempo", tempo=mido.bpm2tempo(tempo)))
    for channel, program in programs.items():
        track.append(mido.Message("program_change", channel=channel, program=program))
    for beat in range(4 * bars):
        for channel in programs:
            key = 36 if channel == 9 else 45 + beat % 7
            track.append(mido.Message("note_on", channel=channel, note=key, velocity=90))
        for number, channel in enumerate(programs):
            key = 36 if channel == 9 else 45 + beat % 7
            off = mido.Message("note_off", channel=channel, note=key, time=0 if number else 480)
            track.append(off)
    file.save(path)


def test_programs_have_the_classes_of_general_midi():
    assert [class_of(p) for p in (0, 7, 8, 23, 24, 31, 32, 39, 40)] == [
        "piano", "piano", None, None, "guitar", "guitar", "bass", "bass", None,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("d_map18", ""),
        ("fd_d_map12_a38883", ""),
        ("song", '"Realistic Approach" by Kevin'),
        ("fd_wastelandscavengers_55f768", ""),
        ("x", "Wasteland Scavengers (remix)"),
        ("x", "SEWERS"),
    ],
)
def test_reserved_names_and_titles_are_known(name, title):
    assert is_reserved(name, title)
    assert not is_reserved("d_map11", "Realism")


def test_a_song_is_known_by_its_notes_when_moved_and_slowed():
    song, again = melody_runs(1), melodic_runs(melody(1, shift=5, slower=1.3))
    assert alikeness(song, again) == 1.0
    assert alikeness(song, melody_runs(2)) < 0.02


def melody_runs(seed):
    return melodic_runs(melody(seed))


def test_whatever_is_alike_a_reserved_song_is_left_out_with_it():
    # a part of the reserved one, moved and under a new name, with other parts
    other = melody(1, shift=2)[:120] + [(s, d, c + 4, k, v) for s, d, c, k, v in melody(3)]
    runs = [melody_runs(1), melody_runs(2), melodic_runs(other), melody_runs(2)]
    groups = group_songs(["d_map18", "a", "innocent", "b"], ["", "", "", ""], runs)
    assert groups == ["", "a", "", "a"]


def test_reserved_songs_are_not_among_the_sources():
    folders = [DATA / "train" / "midi", DATA / "midi"]
    if not all(folder.is_dir() for folder in folders):
        pytest.skip("the shared MIDI songs are not here")
    names = [file.stem for folder in folders for file in folder.glob("*.mid")]
    assert sorted(name for name in names if is_reserved(name, "")) == [
        "fd_d_map12_a38883", "fd_wastelandscavengers_55f768",
    ]  # fmt: skip


def test_sources_leave_out_reserved_files_and_are_kept(tmp_path):
    write_song(tmp_path / "good.mid", {0: 33, 1: 0, 9: 0})
    write_song(tmp_path / "d_map18.mid", {0: 24, 1: 1})
    cache = tmp_path / "out" / "sources.json"
    assert [s.file.stem for s in find_sources([tmp_path], cache)] == ["good"]
    assert cache.exists()
    assert [s.file.stem for s in find_sources([tmp_path], cache)] == ["good"]


def test_beats_are_where_the_tempo_has_them(tmp_path):
    write_song(tmp_path / "song.mid", {0: 33}, bars=2, tempo=90)
    beats = read_beats(tmp_path / "song.mid")
    assert beats[:3] == pytest.approx([0, 60 / 90, 120 / 90], abs=1e-4)


def test_notes_are_sorted_by_the_program_of_their_time():
    notes = [(float(second), 0.5, 3, 50, 90) for second in range(20)]
    notes += [(second + 0.1, 0.5, 9, 38, 90) for second in range(20)]
    changes = [(0.0, 3, 33), (10.0, 3, 56)]  # a bass, then a trumpet
    parts, programs = sort_notes(sorted(notes), changes, 2.0, 18.0)
    assert set(parts) == {"bass", "drums"}
    assert [note[0] for note in parts["bass"]] == [float(second) for second in range(8)]
    assert {note[2] for note in parts["drums"]} == {9}
    assert [program for _, program in programs["bass"]] == [33]


def test_a_piece_has_two_stems_and_its_tempo(tmp_path):
    write_song(tmp_path / "song.mid", {0: 33, 1: 27, 9: 0, 4: 56}, bars=40, tempo=100)
    for number in range(6):
        song = midi_song(Source(tmp_path / "song.mid", "song"), f"test/{number}")
        assert set(song.parts) == {"bass", "guitar", "drums"}
        assert 25 <= song.seconds <= 72
        assert 89 <= song.tempo <= 111
        assert all(0 <= note[0] < song.seconds for part in song.parts.values() for note in part)
    write_song(tmp_path / "alone.mid", {0: 33}, bars=40)
    with pytest.raises(ValueError, match="no piece of two stems"):
        midi_song(Source(tmp_path / "alone.mid", "alone"), "test/0")
