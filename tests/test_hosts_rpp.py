"""REAPER projects, read back by the `rpp` package: tracks, places, and the sum of what is heard."""

from pathlib import Path

import numpy as np
import pytest
import rpp
import soundfile as sf
from hypothesis import given
from hypothesis import strategies as st

from bridge.hosts import HOSTS
from bridge.hosts.rpp import _rpp_string
from tests.test_hosts_dawproject import FRAMES, MAPS, RATE, seconds, stem_set

START = 123_457


def value(element: rpp.Element, name: str) -> list[str]:
    (row,) = [c for c in element.children if isinstance(c, list) and c[0] == name]
    return row[1:]


@pytest.mark.parametrize("tempo", MAPS.values(), ids=MAPS)
def test_what_is_heard_nulls_against_the_source(tmp_path: Path, tempo: tuple) -> None:
    path = stem_set(tmp_path / "stems", start=START, tempo=tempo)
    (file,) = HOSTS["rpp"].place_audio(path, tmp_path).files
    project = rpp.loads(file.read_text(encoding="utf-8"))
    folder, *tracks = project.findall("TRACK")
    assert value(folder, "NAME") == ["Take 7 stems"]
    assert [value(t, "ISBUS")[1] for t in (folder, *tracks)] == ["1", "0", "0", "-1", "0"]
    assert [value(t, "MUTESOLO")[0] for t in tracks] == ["0", "0", "0", "1"]
    names = [value(track, "NAME")[0] for track in tracks]
    assert names == ["kick & <snare>", 'Håkan\'s "7ths" 🎷', "residual", "source"]
    sounds = []
    for track in tracks:
        item = track.find("ITEM")
        assert round(float(value(item, "POSITION")[0]) * RATE) == START
        assert float(value(item, "LENGTH")[0]) * RATE == pytest.approx(FRAMES, abs=1e-6)
        assert (value(item, "SOFFS"), value(item, "PLAYRATE")[0]) == (["0"], "1")
        name = value(item.find("SOURCE"), "FILE")[0]
        sound, rate = sf.read(file.parent / name, dtype="float64")
        assert rate == RATE
        sounds.append(sound * float(value(track, "VOLPAN")[0]))
    a, b, residual, source = sounds
    heard = a + b * 10 ** (6 / 20) + residual  # b was turned down by 6 dB
    assert 10 * np.log10(np.sum((source - heard) ** 2) / np.sum(source**2)) < -130


def test_the_tempo_map_holds_from_point_to_point(tmp_path: Path) -> None:
    path = stem_set(tmp_path, tempo=MAPS["map"])
    (file,) = HOSTS["rpp"].place_audio(path, tmp_path).files
    project = rpp.loads(file.read_text(encoding="utf-8"))
    points = [row[1:] for row in project.find("TEMPOENVEX").children if row[0] == "PT"]
    expected = [(seconds(list(MAPS["map"]), beat), bpm) for beat, bpm in MAPS["map"]]
    assert [float(p[0]) for p in points] == pytest.approx([at for at, _ in expected])
    assert [float(p[1]) for p in points] == [bpm for _, bpm in expected]
    assert {p[2] for p in points} == {"1"}  # square
    assert float(value(project, "TEMPO")[0]) == 120


def test_colours_are_counted_from_red(tmp_path: Path) -> None:
    (file,) = HOSTS["rpp"].place_audio(stem_set(tmp_path), tmp_path).files
    project = rpp.loads(file.read_text(encoding="utf-8"))
    first = project.findall("TRACK")[1]
    assert int(value(first, "PEAKCOL")[0]) == 0x1_00_9F_E6  # #e69f00, and the bit that it is set


def test_a_file_with_all_kinds_of_quotes_is_refused_not_renamed(tmp_path: Path) -> None:
    path = stem_set(tmp_path / """7" 'x' `y`""")
    with pytest.raises(ValueError, match="all three kinds of quotes"):
        HOSTS["rpp"].place_audio(path, tmp_path)
    assert not list(tmp_path.glob("*.rpp"))


@given(st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp")), min_size=1, max_size=40))
def test_names_come_back_as_they_were(text: str) -> None:
    name = text.strip() or "x"
    read = rpp.loads(f"<REAPER_PROJECT 0.1\n  NAME {_rpp_string(name)}\n>").children[0][1]
    kept = all(quote in name for quote in "\"'")
    assert read == (name.replace("`", "'") if kept else name)
