"""The corpus: what is said is not empty, what is made has the properties it is said to have."""

import csv
import json
import random
from collections import Counter, defaultdict
from functools import partial
from pathlib import Path

import mido
import numpy as np
import pytest
import soundfile

from sds.datasets.captions import (
    PHRASES,
    SYNONYMS,
    compose_captions,
    recording_captions,
    reword,
)
from sds.datasets.clips import (
    RATE,
    Clip,
    half_of,
    is_whole,
    normalise_peak,
    read_part,
    read_table,
    side_of,
    split_of,
    spread,
    unit_hash,
    write_part,
)
from sds.datasets.recordings import read_recordings, recording_group, recordings
from sds.train.corpus import beats, dsp, machines, nature, struck
from sds.train.corpus.__main__ import EXCLUDED, PARTS, main, parser, read_exclude
from sds.train.corpus.gm import DRUMS, PROGRAMS
from sds.train.corpus.midi import (
    Score,
    find_fonts,
    midi_clips,
    play_scores,
    trim_tail,
    write_scores,
)
from sds.train.corpus.patches import measure_features, names_for, patch_clips, words_for
from sds.train.corpus.phrases import GROOVES, drum_hits, one_shots, phrases
from sds.train.corpus.procedural import MAKERS, clip
from sds.train.corpus.songs import songs
from tests.peers import peer

DATA = Path(__file__).parents[2] / "shared" / "data"


def tone(hertz, seconds, t60=60.0):
    t = np.arange(round(seconds * RATE)) / RATE
    return (np.sin(2 * np.pi * hertz * t) * 10 ** (-3 * t / t60)).astype(np.float32)


def peak_hertz(audio):
    spectrum = np.abs(np.fft.rfft(audio * np.hanning(len(audio)), 2 * RATE))
    return float(np.fft.rfftfreq(2 * RATE, 1 / RATE)[spectrum.argmax()])


def t60_of(audio):
    """Schroeder's backward integral, a line through -5 .. -25 dB."""
    energy = np.cumsum(audio[::-1].astype(float) ** 2)[::-1]
    level = 10 * np.log10(energy / energy[0] + 1e-12)
    first, last = np.flatnonzero(level < -5)[0], np.flatnonzero(level < -25)[0]
    return 60 / 20 * (last - first) / RATE


def slope_of(audio):
    """dB an octave between 200 Hz and 6.4 kHz, from mean power of octaves."""
    power = np.abs(np.fft.rfft(audio)) ** 2
    hertz = np.fft.rfftfreq(len(audio), 1 / RATE)
    edges = 200 * 2.0 ** np.arange(6)
    means = [power[(hertz >= low) & (hertz < 2 * low)].mean() for low in edges[:-1]]
    return float(np.polyfit(np.arange(5), 10 * np.log10(means), 1)[0])


def onsets(audio, *, hold):
    """Seconds at which the 5 ms level passes a fifth of the peak after `hold` seconds of rest."""
    frame = RATE // 200
    level = np.abs(audio[: len(audio) // frame * frame]).reshape(-1, frame).max(axis=1)
    loud = np.flatnonzero(level > 0.2 * level.max()) * frame / RATE
    return loud[np.diff(loud, prepend=-10.0) > hold]


def a_clip(name="a", seconds=0.3, captions=("a tone",)):
    return Clip(tone(440, seconds), captions, "bell", "prior", name)


# The files


def test_a_part_is_read_as_it_was_written(tmp_path):
    clips = [a_clip("a"), a_clip("b", 0.1, ("one", "two"))]
    assert write_part(tmp_path, "p", clips) == 2
    back = list(read_part(tmp_path, "p"))
    for old, new in zip(clips, back, strict=True):
        assert (new.captions, new.label, new.split, new.origin) == (
            old.captions, old.label, old.split, old.origin,
        )  # fmt: skip
        assert np.abs(new.audio - normalise_peak(old.audio, old.origin)).max() <= 0.5 / 32767 + 1e-7
    rows = read_table(tmp_path, "p")
    assert rows[0] == {
        "start": 0, "frames": 13230, "captions": ["a tone"], "class": "bell", "split": "prior",
        "origin": "a",
    }  # fmt: skip
    assert rows[1]["start"] == 13230
    assert (tmp_path / "p.i16").stat().st_size == 2 * (13230 + 4410)


def test_an_interrupted_part_is_not_whole_and_leaves_the_last_table_out(tmp_path):
    def breaking():
        yield a_clip()
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        write_part(tmp_path, "p", breaking())
    assert not is_whole(tmp_path, "p")
    write_part(tmp_path, "p", [a_clip()])
    assert is_whole(tmp_path, "p")
    assert not list(tmp_path.glob("*.tmp"))


def test_peaks_lie_between_12_and_1_db_below_full_scale_and_differ():
    peaks = [np.abs(normalise_peak(tone(300, 0.1), f"clip {i}")).max() for i in range(200)]
    decibels = 20 * np.log10(peaks)
    assert decibels.min() > -12.01
    assert decibels.max() < -0.99
    assert decibels.std() == pytest.approx(11 / 12**0.5, rel=0.15)  # uniform


@pytest.mark.parametrize("audio", [np.zeros(100), np.full(100, np.nan), np.zeros(0)])
def test_silence_and_nonsense_are_refused(audio):
    with pytest.raises(ValueError, match="peak of x must be at least"):
        normalise_peak(audio.astype(np.float32), "x")


def test_a_clip_without_a_caption_is_refused():
    with pytest.raises(ValueError, match="captions of a must not be empty"):
        a_clip(captions=(" ",))


def test_two_processes_give_what_one_gives():
    names = [("clock", 0), ("wood", 1), ("kick", 2)]
    one = [made.audio for made in spread(partial(clip, seed=0), names, workers=1)]
    two = [made.audio for made in spread(partial(clip, seed=0), names, workers=2)]
    assert all((a == b).all() for a, b in zip(one, two, strict=True))
    with pytest.raises(ValueError, match="workers must be at least 1, got 0"):
        list(spread(partial(clip, seed=0), names, workers=0))


# The splits


def test_hashes_never_change():
    assert unit_hash("") == pytest.approx(0.8666040914613156, abs=1e-12)
    assert [side_of(f"take {i}") for i in range(6)] == ["prior", "evaluation_scorer"] * 3


def test_shares_of_the_splits():
    splits = [split_of("c", f"caption {i}", f"group {i}") for i in range(20000)]
    assert splits.count("held") / 20000 == pytest.approx(0.08, abs=0.006)
    assert splits.count("prior") / 20000 == pytest.approx(0.92 * 0.6, abs=0.012)


COLUMNS = ("path", "caption", "class", "adjectives", "more_captions")


def a_folder(folder, rows):
    folder.mkdir(exist_ok=True)
    with open(folder / "captions.csv", "w", newline="") as lines:
        table = csv.writer(lines)
        table.writerow(COLUMNS[: len(rows[0])])
        table.writerows(rows)
    return folder


def test_one_take_is_on_one_side_and_one_caption_is_held_whole(tmp_path):
    rows = [
        (f"s/rain{i}_p0{p}.ogg", f"rain number {i % 40}", "rain", "")
        for i in range(120)
        for p in (1, 2)
    ]
    made = read_recordings(a_folder(tmp_path / "d", rows))
    by_take, by_caption = defaultdict(set), defaultdict(set)
    for row in made:
        by_take[recording_group(row.path)].add(row.split)
        by_caption[row.caption].add(row.split == "held")
    assert all(len(sides) == 1 for sides in by_take.values())
    assert all(len(held) == 1 for held in by_caption.values())
    assert {row.split for row in made} == {"prior", "evaluation_scorer", "held"}
    assert made == read_recordings(tmp_path / "d")


def test_small_classes_are_on_both_sides_and_no_class_is_held_whole(tmp_path):
    rows = [(f"s/horn{i}.ogg", "car horn", "vehicle horn", "") for i in range(2)]
    for label in PHRASES:
        rows += [(f"s/{label}{i}.ogg", f"only {label}", label, "") for i in range(30)]
    made = read_recordings(a_folder(tmp_path / "d", rows))
    assert {row.split for row in made if row.caption == "car horn"} == {
        "prior",
        "evaluation_scorer",
    }
    assert "held" not in {row.split for row in made}


def test_an_excluded_file_takes_its_take_with_it(tmp_path):
    rows = [("w/a_f_cnd.ogg", "sax", "saxophone", ""), ("w/a_f_dnm.ogg", "sax", "saxophone", "")]
    rows += [("w/waves_p01.ogg", "waves", "sea waves", ""), ("w/x.ogg", "x", "bell", "")]
    folder = a_folder(tmp_path / "d", rows)
    made = read_recordings(folder, exclude=["w/a_f_cnd.ogg", "w/waves_p01.ogg"])
    assert [row.path for row in made] == ["w/x.ogg"]
    with pytest.raises(ValueError, match=r"exclude must name files of captions\.csv"):
        read_recordings(folder, exclude=["w/nothing.ogg"])


def test_recordings_are_decoded_whole(tmp_path):
    folder = a_folder(tmp_path / "d", [("a.wav", "small bell", "bell", "metal")])
    soundfile.write(folder / "a.wav", tone(500, 0.25), RATE)
    (made,) = recordings(folder)
    assert len(made.audio) == 11025
    assert made.captions[0] == "small bell"
    assert peak_hertz(made.audio) == pytest.approx(500, abs=1)
    soundfile.write(folder / "a.wav", tone(500, 0.25), 48000)
    with pytest.raises(ValueError, match="must be mono at 44100 Hz, got 1 channels at 48000"):
        list(recordings(folder))


def test_other_phrasings_are_captions_and_a_folder_may_have_none(tmp_path):
    rows = [
        ("a.ogg", "tuba note", "brass", "low", "a tuba | low brass "),
        ("b.ogg", "x", "bell", "", ""),
    ]
    first, second = read_recordings(a_folder(tmp_path / "d", rows))
    assert first.phrasings == ("a tuba", "low brass")
    assert second.phrasings == ()
    (old,) = read_recordings(a_folder(tmp_path / "old", [("a.ogg", "x", "bell", "")]))
    assert old.phrasings == ()
    captions = recording_captions(first.caption, first.label, ["low"], first.phrasings)
    assert captions[:3] == ("tuba note", "a tuba", "low brass")
    assert {"tuba note, low", "low brass", "brass instrument"} <= set(captions)


def test_a_part_is_made_of_several_folders_and_each_keeps_its_splits(tmp_path, caplog):
    folders = []
    for name, rows in (("one", ["a", "b"]), ("two", ["c", "d"])):
        table = [(f"{row}.wav", f"bell {row}", "bell", "") for row in rows]
        folders.append(a_folder(tmp_path / name, table))
        for row in rows:
            soundfile.write(folders[-1] / f"{row}.wav", tone(500, 0.1), RATE)
    gone = tmp_path / "gone.txt"
    gone.write_text("d.wav\n")  # of one folder only
    options = ["recordings", "--exclude", str(gone)]
    options += [word for folder in folders for word in ("--data", str(folder))]
    assert main([*options, "--out", str(tmp_path / "out")]) == 0
    rows = read_table(tmp_path / "out", "recordings")
    assert [row["origin"] for row in rows] == [f"recordings/{x}.wav" for x in "abc"]
    alone = {row.path: row.split for folder in folders for row in read_recordings(folder)}
    assert all(alone[row["origin"].partition("/")[2]] == row["split"] for row in rows)
    gone.write_text("nowhere.wav\n")
    assert main([*options, "--out", str(tmp_path / "none")]) == 2
    assert "exclude must name files of captions.csv, got ['nowhere.wav']" in caplog.text


def test_songs_are_an_option_of_their_own(tmp_path):
    options = parser().parse_args(["--midi", "a", "--midi", "b", "--data", "c"])
    assert options.midi == [Path("a"), Path("b")]
    assert options.data == [Path("c")]
    assert parser().parse_args([]).midi == []


def test_a_held_back_clip_is_in_the_half_of_its_caption():
    assert half_of("bell", "tiny bell") == half_of("bell", "tiny bell")
    halves = [half_of("bell", f"bell {i}") for i in range(10000)]
    assert halves.count("report") / 10000 == pytest.approx(0.5, abs=0.015)


@pytest.mark.skipif(not (DATA / "train2").is_dir(), reason="the training recordings are not here")
def test_the_shared_recordings_have_known_classes_and_two_sides():
    sides, splits = defaultdict(set), Counter()
    for name, classes in (("train", 98), ("train2", 103)):
        folder = DATA / name
        exclude = [path for path in read_exclude(EXCLUDED) if (folder / path).is_file()]
        for row in read_recordings(folder, exclude=exclude):
            sides[row.label].add(row.split)
            splits[row.split] += 1
            captions = recording_captions(row.caption, row.label, row.adjectives, row.phrasings)
            assert captions[0] == row.caption
            assert set(row.phrasings) <= set(captions)
        assert len(sides) == classes
        assert all({"prior", "evaluation_scorer"} <= each for each in sides.values())
    assert splits == {"prior": 4297, "evaluation_scorer": 2976, "held": 478}


# The captions


def test_a_recording_is_described_by_its_caption_its_adjectives_and_its_class():
    captions = recording_captions("alto saxophone, single note C", "saxophone", ["loud", "single"])
    assert captions[0] == "alto saxophone, single note C"
    assert "alto saxophone, single note C, loud" in captions
    assert "alto sax, single note C" in captions
    assert "sax" in captions
    assert len(set(captions)) == len(captions)
    with pytest.raises(ValueError, match="class must be one of"):
        recording_captions("x", "no such class", [])


def test_rewording_takes_whole_words_only():
    assert reword("japan") == ()
    assert "hit on a frying pan" in reword("hit on a pan")
    assert reword("hit on a frying pan") == ("hit on a pan", "hit on a skillet")


def test_every_known_phrase_is_reworded_the_longest_alone():
    assert reword("hang drum note, struck")[0] == "handpan note, struck"
    assert "hang drum note, hit" in reword("hang drum note, struck")
    reworded = reword("electric upright bass note")
    assert "electric double bass note" in reworded
    assert not any("contrabass" in caption for caption in reworded)
    for index, (phrase, others) in enumerate(SYNONYMS):
        assert others
        assert phrase not in others
        longer = [other for other, _ in SYNONYMS[index + 1 :] if f" {phrase} " in f" {other} "]
        assert not longer, f"{longer} must come before {phrase!r}"


def test_what_people_write_for_the_second_folder_is_known():
    wanted = {
        "plucked double bass note": "upright bass", "bass guitar note": "electric bass",
        "hollow body guitar note": "semi-acoustic guitar", "baritone saxophone note": "bari sax",
        "bagpipe note, rough": "bagpipes", "hang drum note": "handpan", "tuba note": "low brass",
        "person saying a word": "talking", "dog growling": "growling dog",
        "footstep on carpet": "step", "machine gun burst": "automatic rifle",
    }  # fmt: skip
    for caption, words in wanted.items():
        assert any(words in other for other in reword(caption)), caption


def test_every_class_has_a_prompt_that_starts_with_what_people_type():
    assert len(PHRASES) >= 103
    for label, prompts in PHRASES.items():
        assert len(set(prompts)) == len(prompts) >= 2 or label == "synth tone"
        assert all(prompt == prompt.strip() and prompt for prompt in prompts)
    assert {program.label for program in PROGRAMS} <= set(PHRASES)
    assert {label for label, _ in DRUMS.values()} <= set(PHRASES)
    assert {label for label, *_ in MAKERS.values()} <= set(PHRASES)


def test_composed_captions_are_distinct_and_made_of_what_was_given():
    captions = compose_captions(
        ["kick drum", "kick"], ["deep", "in a room"], random.Random(1), count=8
    )
    assert captions[0] == "kick drum"
    assert len(captions) == len(set(captions)) >= 5
    assert not any(caption.startswith("in a room") for caption in captions)
    for caption in captions:
        rest = caption.replace("in a room", "").replace("sound of", "").replace(",", " ").split()
        assert set(rest) <= {"kick", "drum", "deep", "sound"}


# MIDI


def test_every_program_is_named_and_has_a_range():
    assert len(PROGRAMS) == 128
    assert PROGRAMS[65].names[0] == "alto saxophone"
    assert all(0 <= program.low < program.high <= 127 for program in PROGRAMS)
    assert set(DRUMS) == set(range(35, 82))
    assert all(len(row) == 16 for groove in GROOVES.values() for row in groove[:3])


def test_scores_are_captioned_repeatable_and_inside_their_length():
    for make in (lambda: one_shots(3, each=2), lambda: drum_hits(3), lambda: phrases(3, 60)):
        scores = [score for _, score in make()]
        assert scores == [score for _, score in make()]
        assert len({score.name for score in scores}) == len(scores)
        for score in scores:
            assert score.captions
            assert all(score.captions)
            assert score.notes
            assert all(0 <= n[0] < score.seconds for n in score.notes)
            assert all(0 <= n[3] <= 127 and 1 <= n[4] <= 127 for n in score.notes)
            assert {n[2] for n in score.notes} <= {channel for channel, _ in score.programs}


def test_scores_in_one_file_start_where_it_says():
    score = Score(((0.5, 0.25, 0, 60, 90),), ((0, 65),), 1.0, ("x",), "saxophone", "g", "n")
    file, starts = write_scores([score, score])
    now, heard = 0.0, []
    for message in file:
        now += message.time
        if message.type == "note_on":
            heard.append(now)
    assert heard == pytest.approx([start + 0.5 for start in starts], abs=1e-3)
    assert file.length == pytest.approx(starts[1] + 1.0 + 1.5, abs=2e-3)


def test_a_song_gives_whole_pieces_and_instruments_alone(tmp_path):
    track = mido.MidiTrack()
    track += [mido.Message("program_change", channel=1, program=33)]
    for _ in range(40):
        for channel, key in ((1, 33), (9, 36)):
            track += [mido.Message("note_on", channel=channel, note=key, velocity=90)]
            track += [mido.Message("note_off", channel=channel, note=key, time=240)]
    file = mido.MidiFile(ticks_per_beat=480)
    file.tracks.append(track)
    file.save(tmp_path / "a.mid")
    scores = [score for _, score in songs(tmp_path, 0, pieces=1)]
    assert [score.label for score in scores] == ["music", *sorted(s.label for s in scores[1:])]
    assert {score.label for score in scores} == {"music", "bass", "drum loop"}
    assert len({score.group for score in scores}) == 1
    assert "bass" in scores[0].captions[0]
    assert "drums" in scores[0].captions[0]
    whole, *alone = scores
    assert len(whole.notes) == sum(len(score.notes) for score in alone)


def test_a_missing_font_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"--font must name sound font files, got .*no\.sf2"):
        find_fonts([tmp_path / "no.sf2"])


def test_what_has_died_away_is_cut():
    kept = trim_tail(tone(400, 2.0, t60=0.5))  # -60 dB of the peak is reached at 0.5 s
    assert len(kept) / RATE == pytest.approx(0.5 + 0.02, abs=0.01)
    assert kept[-1] == 0.0
    assert len(trim_tail(np.zeros(100, np.float32))) == 0


def test_fluidsynth_plays_the_key_that_was_written():
    peer("fluidsynth", "sound font")
    font = find_fonts([])[0]
    scores = [
        Score(((0.0, 0.8, 0, key, 100),), ((0, 73),), 1.2, ("flute",), "flute", "g", f"n{key}")
        for key in (69, 81)
    ]
    low, high = play_scores(scores, font)
    assert peak_hertz(low[RATE // 5 :]) == pytest.approx(440, rel=0.01)
    assert peak_hertz(high[RATE // 5 :]) == pytest.approx(880, rel=0.01)
    (made,) = midi_clips([("one", scores[0])], [font])
    assert made.origin.startswith("midi/")
    assert (made.audio == low).all()


# Procedural sounds


@pytest.mark.parametrize("name", MAKERS)
def test_every_kind_is_finite_audible_captioned_and_repeatable(name):
    made = clip((name, 0), seed=7)
    again = clip((name, 0), seed=7)
    other = clip((name, 1), seed=7)
    assert np.isfinite(made.audio).all()
    assert made.audio.dtype == np.float32
    assert np.sqrt((made.audio**2).mean()) > 0.002 * np.abs(made.audio).max()
    assert (made.audio == again.audio).all()
    assert made.captions == again.captions
    assert len(other.audio) != len(made.audio) or (other.audio != made.audio).any()
    assert len(made.captions) >= 4
    _, _, shortest, longest = MAKERS[name]
    assert shortest <= len(made.audio) / RATE <= longest + 1.5


@pytest.mark.parametrize("slope", [0.0, -3.0, -6.0, 3.0])
def test_noise_has_the_slope_asked_for(slope):
    x = dsp.noise(np.random.default_rng(1), 4 * RATE, slope=slope)
    assert slope_of(x) == pytest.approx(slope, abs=0.35)
    assert x.std() == pytest.approx(1, abs=0.02)


def test_a_band_is_3_db_down_at_its_edges():
    t = np.arange(RATE) / RATE
    for hertz, gain in ((1000, 0.5**0.5), (4000, 0.5**0.5), (2000, 1.0)):
        out = dsp.band(np.sin(2 * np.pi * hertz * t), 1000, 4000, order=4)
        assert out[RATE // 4 : -RATE // 4].std() * 2**0.5 == pytest.approx(gain, abs=0.02)


def test_modes_ring_at_their_pitch_for_their_time():
    x = dsp.modes(2 * RATE, 523.0, 0.8, 1.0)
    assert peak_hertz(x) == pytest.approx(523, abs=1)
    assert t60_of(x) == pytest.approx(0.8, rel=0.02)
    assert not dsp.modes(100, 30000.0, 1.0, 1.0).any()  # above Nyquist


def test_a_room_decays_in_its_time():
    click = np.zeros(2 * RATE)
    click[0] = 1.0
    wet = dsp.room(click, np.random.default_rng(0), 1.2, 0.8)
    assert t60_of(wet[RATE // 20 :]) == pytest.approx(1.2, rel=0.15)


def test_wood_rings_shorter_than_ceramic_than_metal():
    rng = np.random.default_rng(0)
    rings = {
        name: np.median([t60_of(struck.struck(rng, 2.0, name)[0]) for _ in range(7)])
        for name in ("wood", "ceramic", "metal")
    }
    assert rings["wood"] < 0.25 < rings["metal"]
    assert rings["wood"] < rings["ceramic"] < rings["metal"]


def test_a_struck_body_rings_no_longer_than_its_lowest_mode():
    rng = np.random.default_rng(5)
    for name in ("glass", "metal", "wood"):
        audio, _, t60 = struck.struck(rng, 2.0, name)
        assert t60_of(audio) <= 1.1 * t60


@pytest.mark.parametrize(
    ("maker", "seconds"), [(beats.bass_synth, 2.0), (beats.synth_tone, 2.0), (beats.pluck, 2.0)]
)
def test_tones_have_their_pitch(maker, seconds):
    for seed in range(3):
        made = maker(np.random.default_rng(seed), seconds)
        found = measure_features(made.audio / np.abs(made.audio).max()).pitch
        ratio = found / made.facts["hz"]
        assert ratio == pytest.approx(max(round(ratio), 1), rel=0.02)  # FM may sound at a multiple
        assert ratio < 2.1


def test_a_kick_falls_to_its_low_pitch():
    made = beats.kick(np.random.default_rng(3), 1.5)
    late = made.audio[round(0.15 * RATE) : round(0.6 * RATE)]
    assert peak_hertz(late) == pytest.approx(made.facts["hz"], rel=0.06)


def test_closed_hats_are_short_and_bright():
    for seed in range(6):
        made = beats.hi_hat(np.random.default_rng(seed), 1.5)
        assert t60_of(made.audio) == pytest.approx(made.facts["t60"], rel=0.15)
        assert measure_features(made.audio).centroid > 5000


def test_a_clock_ticks_at_its_rate():
    for seed in range(4):
        made = machines.clock(np.random.default_rng(seed), 5.0)
        ticks = onsets(made.audio, hold=0.1)
        assert np.diff(ticks).mean() == pytest.approx(1 / made.facts["rate"], rel=0.05)


def test_an_alarm_beeps_at_its_rate_and_pitch():
    made = machines.alarm(np.random.default_rng(2), 4.0)
    beeps = onsets(made.audio, hold=0.3 / made.facts["rate"])
    assert np.diff(beeps).mean() == pytest.approx(1 / made.facts["rate"], rel=0.05)
    assert peak_hertz(made.audio) == pytest.approx(made.facts["hz"], rel=0.01)


def test_hum_is_on_the_mains_and_static_has_its_colour():
    for seed in range(3):
        made = machines.hum(np.random.default_rng(seed), 2.0)
        assert peak_hertz(made.audio) % made.facts["hz"] == pytest.approx(0, abs=0.6)
        noise = machines.static(np.random.default_rng(seed), 3.0)
        assert slope_of(noise.audio) == pytest.approx(noise.facts["slope"], abs=0.5)


def test_crickets_sing_at_their_carrier_and_thunder_is_lower_than_rain():
    cricket = nature.insects(np.random.default_rng(0), 3.0)
    assert peak_hertz(cricket.audio) == pytest.approx(cricket.facts["hz"], rel=0.02)
    rain = nature.rain(np.random.default_rng(0), 3.0)
    thunder = nature.thunder(np.random.default_rng(0), 4.0)
    for made, low in ((rain, 0.0), (thunder, 1.0)):  # power is below 500 Hz or it is not
        power = np.abs(np.fft.rfft(made.audio)) ** 2
        share = power[: round(500 * len(made.audio) / RATE)].sum() / power.sum()
        assert share == pytest.approx(low, abs=0.25)


# Patches


def test_features_of_sounds_that_are_known():
    quiet = np.random.default_rng(0).standard_normal(RATE).astype(np.float32) * 0.1
    assert measure_features(quiet).noisiness > 0.8
    steady = measure_features(tone(440, 1.0))
    assert steady.noisiness < 0.01
    assert steady.pitch == pytest.approx(440, rel=0.01)
    assert steady.centroid == pytest.approx(440, rel=0.01)
    assert steady.harmonicity > 0.98
    assert measure_features(tone(440, 2.0, t60=1.0)).decay == pytest.approx(0.5, abs=0.02)
    with pytest.raises(ValueError, match=r"must be 0\.05 s or more"):
        measure_features(np.zeros(10, np.float32))


def test_patches_are_called_what_they_sound_like():
    kick = measure_features(tone(55, 1.0, t60=0.15))
    assert "kick" in " ".join(names_for("fm", kick)[1])
    assert "dark" in words_for(kick)
    bass = measure_features(tone(70, 2.0))
    assert names_for("fm", bass)[0] == "bass"
    assert "low" in words_for(bass)
    with pytest.raises(ValueError, match="renderer must be fm or impact"):
        names_for("organ", bass)
    clips = list(patch_clips("fm", [("a", tone(70, 1.0)), ("b", np.zeros(RATE))], seed=0))
    assert [made.origin for made in clips] == ["patches/fm/a"]


# The script


def test_parts_are_made_once_and_counted(tmp_path, caplog):
    out = tmp_path / "corpus"
    assert main(["procedural", "--out", str(out), "--hours", "0.035"]) == 0
    before = (out / "procedural.jsonl").stat().st_mtime_ns
    with caplog.at_level("INFO"):
        assert main(["procedural", "--out", str(out)]) == 0
    assert "procedural: whole already" in caplog.text
    assert (out / "procedural.jsonl").stat().st_mtime_ns == before
    rows = read_table(out, "procedural")
    assert len(rows) == len(MAKERS)
    classes = json.loads((out / "classes.json").read_text())
    assert sum(sum(v for v in row.values() if isinstance(v, int)) for row in classes) == len(rows)
    assert {row["class"] for row in classes} == {label for label, *_ in MAKERS.values()}


def test_random_patches_of_both_renderers_get_captions(tmp_path):
    assert main(["patches", "--out", str(tmp_path), "--patch-hours", "0.004"]) == 0
    rows = read_table(tmp_path, "patches")
    assert {row["origin"].split("/")[1] for row in rows} == {"fm", "impact"}
    assert all(row["captions"] and 0 < row["frames"] <= 3 * RATE for row in rows)


def test_what_is_missing_is_said_in_a_sentence(tmp_path, caplog):
    assert main(["recordings", "--out", str(tmp_path)]) == 2
    assert "--data must name the folder with captions.csv" in caplog.text
    assert not list(tmp_path.glob("*"))
    with pytest.raises(SystemExit):
        main(["nonsense", "--out", str(tmp_path)])
    assert list(PARTS) == ["recordings", "midi", "procedural", "patches"]
