"""Composed songs: in range, in key, in time, told truly, and the same whenever they are made."""

import random
import re
from collections import Counter

import pytest

from sds.train.corpus.arrangements import (
    STEMS,
    choose_stems,
    compose,
    reserved_name,
    reserved_songs,
    training_name,
    transpose,
)
from sds.train.corpus.band.harmony import (
    KEYS,
    PROGRESSIONS,
    QUALITIES,
    Chord,
    guitar_voicing,
    piano_voicing,
    power_chord,
    read_chord,
    read_progression,
)
from sds.train.corpus.band.patterns import BASS_PATTERNS, GUITAR_PATTERNS, PIANO_PATTERNS
from sds.train.corpus.band.styles import STYLES
from sds.train.corpus.gm import DRUMS

RANGES = {"bass": (24, 60), "drums": (35, 81), "guitar": (40, 86), "piano": (24, 100)}


@pytest.fixture(scope="module")
def songs():
    return [compose(training_name(7, number)) for number in range(150)]


def chord_tones(song, second):
    name = [chord for when, chord in song.chords if when <= second + 0.05][-1]
    root, quality = re.fullmatch(r"([A-G]b?)(.*)", name).groups()
    steps = QUALITIES[{"dim": "o"}.get(quality, quality)]
    return {(KEYS.index(root) + step) % 12 for step in steps}


def near_beat(song, second, every):
    """Whether a second is within 50 ms of a multiple of `every` beats."""
    beats = second * song.tempo / 60 / every
    return abs(beats - round(beats)) * every * 60 / song.tempo < 0.05


def test_notes_are_within_the_instrument_and_the_song(songs):
    for song in songs:
        for stem, notes in song.parts.items():
            low, high = RANGES[stem]
            for start, seconds, channel, key, velocity in notes:
                assert low <= key <= high, (song.name, stem)
                assert 1 <= velocity <= 127
                assert 0 <= start < start + seconds <= song.seconds
                assert (channel == 9) == (stem == "drums")
            if stem == "drums":
                assert {key for _, _, _, key, _ in notes} <= set(DRUMS)


def test_bass_plays_chord_tones_on_downbeats(songs):
    right = [
        key % 12 in chord_tones(song, start)
        for song in songs
        for start, _, _, key, _ in song.parts.get("bass", ())
        if near_beat(song, start, song.beats_a_bar) and start < song.chords[-1][0] + 1
    ]
    assert len(right) > 1500
    assert sum(right) / len(right) >= 0.98


def test_chords_of_guitar_and_piano_are_those_of_the_song(songs):
    for stem in ("guitar", "piano"):
        right = [
            key % 12 in chord_tones(song, start)
            for song in songs
            for start, _, _, key, _ in song.parts.get(stem, ())
            if near_beat(song, start, 1)
        ]
        assert len(right) > 5000
        assert sum(right) / len(right) >= 0.95, stem


def test_bass_follows_the_bass_drum_where_it_says_so(songs):
    """Where a bass is written on the bass drum's pattern, most of its notes come with it."""
    shares = []
    for number in range(60):
        song = compose(f"kick/{number}", full=True)
        if "kick" in STYLES[song.style].bass:
            kicks = [start for start, _, _, key, _ in song.parts["drums"] if key == 36]
            together = [
                any(abs(start - kick) < 0.04 for kick in kicks) for start, *_ in song.parts["bass"]
            ]
            shares.append(sum(together) / len(together))
    assert len(shares) > 15
    assert max(shares) > 0.8


def test_tempo_length_keys_and_styles(songs):
    for song in songs:
        assert 70 <= song.tempo <= 160
        assert 30 <= song.seconds <= 70
        assert len(song.beats) == pytest.approx((song.seconds - 1.6) * song.tempo / 60, abs=0.6)
    assert {song.key.split()[0] for song in songs} == set(KEYS)
    assert {"major", "minor", "dorian", "mixolydian", "blues"} <= {
        song.key.split()[1] for song in songs
    }
    assert len({song.style for song in songs}) == len(STYLES)


def test_all_fifteen_sets_of_stems_occur_and_one_stem_in_eight_is_absent():
    rng = random.Random(3)
    count = 6000
    drawn = Counter(choose_stems(rng) for _ in range(count))
    assert len(drawn) == 15
    assert frozenset() not in drawn
    for stem in STEMS:
        absent = sum(times for stems, times in drawn.items() if stem not in stems) / count
        assert 0.10 < absent < 0.15  # 0.94 x 0.10 + 0.06 x 7/15 = 0.122


def test_a_song_is_the_same_whenever_it_is_made():
    assert compose("train/0/5") == compose("train/0/5")
    assert compose("train/0/5") != compose("train/0/6")


def test_reserved_songs_are_none_of_training():
    names = {training_name(seed, number) for seed in range(3) for number in range(3000)}
    reserved = {reserved_name(seed, number) for seed in range(3) for number in range(3000)}
    assert not names & reserved
    songs = reserved_songs(4, 0, full=True)
    assert [song.name for song in songs] == [reserved_name(0, number) for number in range(4)]
    assert all(tuple(song.parts) == STEMS for song in songs)


def test_captions_name_style_and_instruments(songs):
    for song in songs:
        assert len(song.captions) == 6
        assert song.style in song.captions[0]
        assert set(song.stem_captions) == set(song.parts) == set(song.programs)
        for texts in (song.captions, *song.stem_captions.values()):
            assert all(text.strip() == text and text and "{}" not in text for text in texts)


def test_transposing_leaves_drums_alone(songs):
    song = next(song for song in songs if {"bass", "drums"} <= set(song.parts))
    moved = transpose(song, -2)
    assert moved.parts["drums"] == song.parts["drums"]
    assert [n[3] + 2 for n in moved.parts["bass"]] == [n[3] for n in song.parts["bass"]]


def test_degrees_are_read_as_chords():
    assert read_chord("b7", 0, colour="triads") == Chord(10, "")
    assert read_chord("2m", 2, colour="sevenths") == Chord(4, "m7")
    assert read_chord("5", 0, colour="sevenths").name == "G7"
    assert read_chord("1", 9, colour="dominants").tones == (9, 1, 4, 7)
    assert [len(bar) for bar in read_progression("1 1/5 4", 0, colour="triads")] == [1, 2, 1]
    with pytest.raises(ValueError, match="got 'IV'"):
        read_chord("IV", 0, colour="triads")


def test_every_progression_has_4_to_16_bars():
    lengths = {len(text.split()) for texts in PROGRESSIONS.values() for text in texts}
    assert lengths <= {4, 8, 12, 16}


@pytest.mark.parametrize("position", [0, 2, 5, 7])
def test_a_guitar_voicing_can_be_fingered(position):
    strings = (40, 45, 50, 55, 59, 64)
    for root in range(12):
        for quality in ("", "m", "7", "maj7", "m7", "m7b5"):
            chord = Chord(root, quality)
            keys = guitar_voicing(chord, position)
            assert keys[0] % 12 == root
            assert 3 <= len(keys) <= 6
            assert keys == sorted(keys)
            assert {key % 12 for key in keys} <= set(chord.tones)
            frets = [k - s for k, s in zip(keys, strings[-len(keys) :], strict=True)]
            assert max(frets) - position <= 4


def test_power_chords_are_root_fifth_octave():
    assert power_chord(Chord(4, "m")) == [40, 47, 52]
    assert power_chord(Chord(9, "")) == [45, 52, 57]


def test_piano_leads_voices_by_the_nearest_inversion():
    c = piano_voicing(Chord(0, ""), [])
    f = piano_voicing(Chord(5, ""), c)
    assert sorted(key % 12 for key in f) == [0, 5, 9]
    assert max(abs(a - b) for a, b in zip(c, f, strict=True)) <= 2  # the common tone stays


def test_every_pattern_is_a_bar_and_every_style_names_patterns_there_are():
    patterns = [*BASS_PATTERNS.values(), *GUITAR_PATTERNS.values()]
    patterns += [pair for pairs in PIANO_PATTERNS.values() for pair in pairs]
    assert {len(pattern) for group in patterns for pattern in group} <= {12, 16}
    for style in STYLES.values():
        assert set(style.bass) <= set(BASS_PATTERNS) | {"walking", "kick"}
        assert set(style.guitar) <= set(GUITAR_PATTERNS) | {"riff", "lead", "melody"}
        assert set(style.piano) <= set(PIANO_PATTERNS) | {"melody"}
        assert {len(line) for groove in style.grooves for line in groove} <= {12, 16}
