"""DAWproject files: the schema is met, every sample lies where it lay, and the sum is the source.

`tests/data/dawproject` holds the schemas of the format (bitwig/dawproject, MIT).
"""

import functools
import io
import zipfile
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import soundfile as sf
import xmlschema

from bridge.files import wav
from bridge.hosts import HOSTS
from bridge.stems import manifest as stems

RATE, FRAMES = 44100, 30_011
SCHEMAS = Path(__file__).parent / "data" / "dawproject"
MAPS = {"none": (), "constant": ((0, 97.3),), "map": ((0, 120), (3.5, 61.7), (4.25, 180), (90, 60))}
KINDS = ("dawproject", "dawproject-external")


def stem_set(
    folder: Path, *, start: int = 0, tempo: tuple = (), channels: int = 2, frames: int = FRAMES
) -> Path:
    """Noise parted at random: two stems and a residual that add up to it."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(1)
    parts = [0.1 * random.standard_normal((frames, channels)).astype("<f4") for _ in range(3)]
    names = ("kick & <snare>", 'Håkan\'s "7ths" 🎷', "residual")
    sounds = {"mix": sum(parts), "a": parts[0], "b": parts[1], "r": parts[2]}
    for name, sound in sounds.items():
        wav.write(
            folder / f"{name}.wav", [np.ascontiguousarray(sound, "<f4").tobytes()],
            rate=RATE, channels=channels, frames=frames, bext=wav.Bext(start),
        )  # fmt: skip
    listed = [
        stems.Stem(prompt=name, wav=f"{letter}.wav", rms_db=-20, activity=(0.9,), gain_db=gain)
        for name, letter, gain in zip(names, "ab", (0, -6), strict=False)
    ]
    manifest = stems.Manifest(
        job="0" * 16, source="Take 7.wav", source_sha256="", source_wav="mix.wav", rate=RATE,
        frames=frames, channels=channels, start_samples=start, tempo=tempo, stems=tuple(listed),
        residual="r.wav", residual_rms_db=-20, null_db=-150, method="masks", steps=0, seed=0,
        model="gaussian", model_hash="", code="0",
    )  # fmt: skip
    stems.save(manifest, folder / stems.MANIFEST)
    return folder / stems.MANIFEST


@functools.cache
def schema(name):
    """Read once, and only where a test asks: it takes seconds."""
    return xmlschema.XMLSchema(SCHEMAS / name)


def opened(file: Path) -> tuple[ElementTree.Element, zipfile.ZipFile]:
    archive = zipfile.ZipFile(file)
    assert archive.testzip() is None
    assert {entry.compress_type for entry in archive.infolist()} == {zipfile.ZIP_STORED}
    text = archive.read("project.xml")
    schema("Project.xsd").validate(io.BytesIO(text))  # checks IDREFs too
    schema("MetaData.xsd").validate(io.BytesIO(archive.read("metadata.xml")))
    return ElementTree.fromstring(text), archive


def seconds(points: list[tuple[float, float]], beat: float) -> float:
    """When a beat is heard: a tempo map walked beat by beat, the slow obvious way."""
    total = 0.0
    for (at, bpm), (until, _) in zip(points, [*points[1:], (float("inf"), 0)], strict=True):
        total += max(0.0, min(beat, until) - at) * 60 / bpm
    return total


def played(file: Path) -> dict[str, tuple[int, np.ndarray, bool]]:
    """As a DAW would: name -> (first sample, sound at its gain, heard), from the file alone."""
    project, archive = opened(file)
    tempo = project.find("Transport/Tempo")
    points = [
        (float(p.get("time")), float(p.get("value")))
        for p in project.findall("Arrangement/TempoAutomation/RealPoint")
    ] or [(0.0, float(tempo.get("value")))]
    tracks = {track.get("id"): track for track in project.iter("Track")}
    found = {}
    for lane in project.findall("Arrangement/Lanes/Lanes"):
        track = tracks[lane.get("track")]
        (outer,) = lane.findall("Clips/Clip")
        (inner,) = outer.findall("Clips/Clip")
        warps = inner.find("Warps")
        beat = float(outer.get("time")) + float(inner.get("time"))
        first = seconds(points, beat)
        for warp in warps.findall("Warp"):  # beats and seconds agree everywhere: own speed
            heard = seconds(points, beat + float(warp.get("time"))) - first
            assert heard == pytest.approx(float(warp.get("contentTime")), abs=1e-9)
        assert float(warps.findall("Warp")[-1].get("time")) == float(outer.get("duration"))
        audio = warps.find("Audio")
        path = audio.find("File").get("path")
        external = audio.find("File").get("external") == "true"
        data = (file.parent / path).read_bytes() if external else archive.read(path)
        sound, rate = sf.read(io.BytesIO(data), dtype="float64", always_2d=True)
        assert (rate, sound.shape[1]) == (RATE, int(audio.get("channels")))
        assert float(audio.get("duration")) == len(sound) / rate
        gain = float(track.find("Channel/Volume").get("value"))
        muted = track.find("Channel/Mute").get("value") == "true"
        found[track.get("name")] = (round(first * rate), gain * sound, not muted)
    return found


@pytest.mark.parametrize("tempo", MAPS.values(), ids=MAPS)
@pytest.mark.parametrize("host", KINDS)
def test_what_is_heard_nulls_against_the_source(tmp_path: Path, host: str, tempo: tuple) -> None:
    start = 123_457
    path = stem_set(tmp_path / "stems", start=start, tempo=tempo)
    placed = HOSTS[host].place_audio(path, tmp_path / "projects")
    assert placed.files == (tmp_path / "projects" / "take-7.dawproject",)
    tracks = played(placed.files[0])
    assert {first for first, _, _ in tracks.values()} == {start}
    assert [name for name, (_, _, heard) in tracks.items() if not heard] == ["source"]
    second = tracks['Håkan\'s "7ths" 🎷'][1] * 10 ** (6 / 20)  # it was turned down by 6 dB
    heard = tracks["kick & <snare>"][1] + second + tracks["residual"][1]
    source = tracks["source"][1]
    assert 10 * np.log10(np.sum((source - heard) ** 2) / np.sum(source**2)) < -130


def test_tracks_stand_in_a_group_with_names_colours_and_gains(tmp_path: Path) -> None:
    placed = HOSTS["dawproject"].place_audio(stem_set(tmp_path), tmp_path / "a.dawproject")
    project, archive = opened(placed.files[0])
    group, source, master = project.findall("Structure/Track")
    assert [group.get("name"), source.get("name"), master.get("name")] == [
        "Take 7 stems", "source", "Master",
    ]  # fmt: skip
    assert group.find("Channel").get("destination") == master.find("Channel").get("id")
    # As Bitwig writes groups; DawVert and ProjectConverter tell them from the master by this.
    assert group.find("Channel").get("role") == "master"
    assert master.get("contentType") == "audio notes"
    inner = group.findall("Track")
    assert [t.get("name") for t in inner] == ["kick & <snare>", 'Håkan\'s "7ths" 🎷', "residual"]
    assert len({t.get("color") for t in inner}) == 3
    assert {t.find("Channel").get("destination") for t in inner} == {
        group.find("Channel").get("id")
    }
    volumes = [float(t.find("Channel/Volume").get("value")) for t in inner]
    assert volumes == pytest.approx([1, 0.5011872336, 1])
    names = archive.namelist()
    assert names[:2] == ["project.xml", "metadata.xml"]
    assert names[2:] == ["audio/a.wav", "audio/b.wav", "audio/r.wav", "audio/source/mix.wav"]


def test_the_same_stems_give_the_same_bytes(tmp_path: Path) -> None:
    path = stem_set(tmp_path, channels=1)
    files = [HOSTS["dawproject"].place_audio(path, tmp_path / n).files[0] for n in ("a", "b")]
    assert files[0].read_bytes() == files[1].read_bytes()
    assert not list(tmp_path.glob("*/.*"))


def test_beside_it_is_small_and_moves_with_its_folder(tmp_path: Path) -> None:
    path = stem_set(tmp_path / "there" / "stems")
    HOSTS["dawproject-external"].place_audio(path, tmp_path / "there")
    (tmp_path / "there").rename(tmp_path / "elsewhere")
    (file,) = (tmp_path / "elsewhere").glob("*.dawproject")
    assert file.stat().st_size < 20_000
    assert len(played(file)) == 4


def test_a_failure_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = stem_set(tmp_path / "stems")
    monkeypatch.setattr("shutil.copyfileobj", lambda *_: (_ for _ in ()).throw(OSError("full")))
    with pytest.raises(OSError, match="full"):
        HOSTS["dawproject"].place_audio(path, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = stem_set(tmp_path)
    with pytest.raises(ValueError, match=r"out must be a folder or a \.dawproject file, got 'a"):
        HOSTS["dawproject"].place_audio(path, tmp_path / "a.zip")


def test_a_project_somebody_may_have_worked_in_is_not_written_over(tmp_path: Path) -> None:
    path = stem_set(tmp_path / "stems")
    placed = [HOSTS["rpp"].place_audio(path, tmp_path).files[0] for _ in range(3)]
    assert [file.name for file in placed] == ["take-7.rpp", "take-7-2.rpp", "take-7-3.rpp"]
    named = HOSTS["rpp"].place_audio(path, tmp_path / "take-7.rpp").files[0]  # asked for by name
    assert named == placed[0]
