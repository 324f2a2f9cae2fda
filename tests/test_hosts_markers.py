"""Tempo maps as MIDI, read back by mido's own clock; lists and labels for Audacity."""

import re
from pathlib import Path

import mido
import pytest

from bridge.hosts import HOSTS, HostCannot
from bridge.hosts.markers import TICKS, active_spans
from bridge.stems import manifest as stems
from tests.test_hosts_dawproject import MAPS, RATE, stem_set

START = 4 * RATE


def active(folder: Path, **known) -> Path:
    """A stem set in which the first prompt is heard in seconds 0 to 2 and from 3 on."""
    path = stem_set(folder, start=START, frames=round(3.5 * RATE), **known)
    manifest = stems.load(path)
    first, *others = manifest.stems
    first = first.model_copy(update={"activity": (0.9, 0.5, 0.49, 1.0)})
    rest = tuple(stem.model_copy(update={"activity": ()}) for stem in others)
    stems.save(manifest.model_copy(update={"stems": (first, *rest)}), path)
    return path


def test_activity_becomes_stretches() -> None:
    assert list(active_spans((0.9, 0.5, 0.49, 1.0), 3.5)) == [(0, 2), (3, 3.5)]
    assert list(active_spans((), 3.5)) == []
    assert list(active_spans((0.0, 1.0), 2.0)) == [(1, 2.0)]


@pytest.mark.parametrize("tempo", MAPS.values(), ids=MAPS)
def test_markers_are_heard_when_the_stems_are(tmp_path: Path, tempo: tuple) -> None:
    (file,) = HOSTS["midi"].place_audio(active(tmp_path, tempo=tempo), tmp_path).files
    midi = mido.MidiFile(file, charset="utf-8")
    now, markers = 0.0, []
    for message in midi:  # its own clock: seconds since the message before
        now += message.time
        if message.type == "marker":
            markers.append((now, message.text))
    # A MIDI tempo is a whole number of microseconds a beat, a place a whole number of ticks.
    slowest = 60 / min(bpm for _, bpm in tempo or ((0, 120),))
    near = pytest.approx
    assert [text for _, text in markers] == [
        "Take 7 stems", "kick & <snare> begins", "kick & <snare> ends",
        "kick & <snare> begins", "kick & <snare> ends", "Take 7 stems end",
    ]  # fmt: skip
    assert [at for at, _ in markers] == near([4, 4, 6, 7, 7.5, 7.5], abs=slowest / TICKS)


def test_the_tempo_map_is_the_sessions(tmp_path: Path) -> None:
    (file,) = HOSTS["midi"].place_audio(active(tmp_path, tempo=MAPS["map"]), tmp_path).files
    beats, read = 0.0, []
    for message in mido.MidiFile(file).tracks[0]:
        beats += message.time / TICKS
        if message.type == "set_tempo":
            read.append((beats, mido.tempo2bpm(message.tempo)))
    assert [beat for beat, _ in read] == [beat for beat, _ in MAPS["map"]]
    half = 0.5 / 333_333  # of a microsecond, in a beat at 180 bpm
    assert [bpm for _, bpm in read] == pytest.approx([bpm for _, bpm in MAPS["map"]], rel=half)


def test_a_tempo_that_no_midi_file_holds_is_refused(tmp_path: Path) -> None:
    path = stem_set(tmp_path, tempo=((0, 3.5),))
    with pytest.raises(HostCannot, match=r"of 3\.6 to 6e7 bpm, got 3\.5"):
        HOSTS["midi"].place_audio(path, tmp_path)
    assert not list(tmp_path.glob("*.mid"))


def test_a_pause_that_no_midi_file_holds_is_refused(tmp_path: Path) -> None:
    """A delta time has at most 28 bits: 38.8 hours at 120 bpm and 960 ticks a beat."""
    latest = (2**28 - 1) / 960 / 2
    (file,) = (
        HOSTS["midi"].place_audio(stem_set(tmp_path, start=int(latest * RATE)), tmp_path).files
    )
    assert mido.MidiFile(file).length == pytest.approx(latest + 0.68, abs=0.01)
    path = stem_set(tmp_path / "late", start=int((latest + 1) * RATE))
    with pytest.raises(HostCannot, match="no pause of more than 279620 beats, got 279622"):
        HOSTS["midi"].place_audio(path, tmp_path / "late")
    assert not list((tmp_path / "late").glob("*.mid"))


def test_audacity_gets_files_at_their_offset_and_labels_where_they_are_heard(tmp_path) -> None:
    path = active(tmp_path / "stems")
    files = HOSTS["audacity"].place_audio(path, tmp_path).files
    assert [file.name for file in files] == ["take-7.lof", "take-7.labels.txt"]
    listed = re.findall(r'^file "(.+)" offset (.+)$', files[0].read_text(), re.MULTILINE)
    assert [name for name, _ in listed] == ["stems/a.wav", "stems/b.wav", "stems/r.wav"]
    assert {float(offset) for _, offset in listed} == {START / RATE}
    assert all((tmp_path / name).is_file() for name, _ in listed)
    labels = [line.split("\t") for line in files[1].read_text(encoding="utf-8").splitlines()]
    assert labels == [
        ["4.000000", "7.500000", "Take 7 stems"],
        ["4.000000", "6.000000", "kick & <snare>"],
        ["7.000000", "7.500000", "kick & <snare>"],
    ]


def test_a_name_that_a_list_cannot_hold_is_refused(tmp_path: Path) -> None:
    path = stem_set(tmp_path / 'a "b"')
    with pytest.raises(HostCannot, match="cannot hold the name"):
        HOSTS["audacity"].place_audio(path, tmp_path)
