"""A stem set as tracks on a timeline: places, tempo, and what every host may count on."""

import asyncio
import json
import re
import sys
import zipfile
from pathlib import Path
from urllib.parse import quote, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from bridge.execution.local import LocalEngine
from bridge.files import wav
from bridge.files.names import sha256
from bridge.hosts import HOSTS, HostCannot
from bridge.hosts.layout import layout
from bridge.protocol.jobs import Separate
from bridge.service.config import Config
from bridge.service.job_server import Server
from bridge.service.ledger import Entry, Store
from bridge.stems import manifest as stems
from bridge.stems import null_test
from bridge.stems.tempo import Tempo

FAKE = Path(__file__).with_name("fake_worker.py")
RATE, FRAMES = 48000, 4800


def stem_set(folder: Path, *, start: int = 0, names=("alto sax", "drums")) -> Path:
    """A manifest of silent stereo files."""
    for name in ("mix", *names, "residual"):
        wav.write(
            folder / f"{name}.wav", [bytes(FRAMES * 8)],
            rate=RATE, channels=2, frames=FRAMES, bext=wav.Bext(start),
        )  # fmt: skip
    manifest = stems.Manifest(
        job="0" * 16, source="My mix.wav", source_sha256="", source_wav="mix.wav",
        rate=RATE, frames=FRAMES, channels=2, start_samples=start,
        stems=tuple(stems.Stem(prompt=n, wav=f"{n}.wav", rms_db=-10) for n in names),
        residual="residual.wav", residual_rms_db=-20, null_db=-150,
        method="masks", steps=0, seed=0, model="gaussian", model_hash="", code="0",
    )  # fmt: skip
    stems.save(manifest, folder / stems.MANIFEST)
    return folder / stems.MANIFEST


def test_what_is_heard_adds_up_to_the_source(tmp_path: Path) -> None:
    """Stems and residual are heard, so that their sum is the mix; the source is muted."""
    placing = layout(stem_set(tmp_path, start=RATE))
    heard = [track.name for track in placing.everything if not track.muted]
    assert heard == ["alto sax", "drums", "residual"]
    assert [track.name for track in placing.everything if track.muted] == ["source"]
    assert (placing.name, placing.start, placing.seconds) == ("My mix", 1.0, 0.1)
    assert placing.tempo.beats(placing.start) == 2.0  # 120 bpm when nobody said so


def test_a_sound_that_is_not_in_the_mixture_is_called_absent(tmp_path: Path) -> None:
    path = stem_set(tmp_path)
    manifest = stems.load(path)
    said = zip(manifest.stems, (False, True), strict=True)
    told = tuple(stem.model_copy(update={"present": present}) for stem, present in said)
    stems.save(manifest.model_copy(update={"stems": told}), path)
    names = [track.name for track in layout(path).tracks]
    assert names == ["alto sax (absent)", "drums", "residual"]


def test_a_source_that_has_gone_is_left_out_and_a_stem_is_missed(tmp_path: Path) -> None:
    path = stem_set(tmp_path)
    (tmp_path / "mix.wav").unlink()
    assert layout(path).source is None
    (tmp_path / "drums.wav").unlink()
    with pytest.raises(ValueError, match=r"^drums.wav, named in stems.json, is not there$"):
        layout(path)
    with pytest.raises(ValueError, match="does not exist"):
        layout(tmp_path / "none.json")


def test_a_tempo_map_runs_through_its_points() -> None:
    tempo = Tempo(((0, 120), (8, 60), (12, 240)))
    assert [tempo.seconds(b) for b in (0, 4, 8, 10, 12, 16)] == [0, 2, 4, 6, 8, 9]
    assert [tempo.beats(s) for s in (0, 2, 4, 6, 8, 9)] == [0, 4, 8, 10, 12, 16]
    assert Tempo(((-4, 90), (0, 60), (4, 120))).spans == ((0, 0, 60), (4, 4, 120))
    assert Tempo(((4, 60), (8, 120))).seconds(4) == 4  # the first tempo holds before its point


@given(
    st.lists(st.tuples(st.floats(0.01, 50), st.floats(20, 999)), min_size=1, max_size=6),
    st.floats(0, 10_000),
)
def test_beats_and_seconds_are_inverses(steps: list[tuple[float, float]], at: float) -> None:
    beat, points = 0.0, []
    for step, bpm in steps:
        points.append((beat, bpm))
        beat += step
    tempo = Tempo(tuple(points))
    assert tempo.seconds(tempo.beats(at)) == pytest.approx(at, abs=1e-9)


@pytest.mark.parametrize("points", [(), ((0, 0),), ((0, -1),), ((4, 120), (4, 90))])
def test_a_map_without_time_is_refused(points: tuple) -> None:
    with pytest.raises(ValueError, match="tempo map"):
        Tempo(points)


def test_the_folder_host_leaves_the_files_and_says_where_they_belong(tmp_path: Path) -> None:
    path = stem_set(tmp_path, start=90 * RATE + 24000, names=("<b> & 'sax'",))
    before = {file: file.read_bytes() for file in tmp_path.glob("*.wav")}
    placed = HOSTS["folder"].place_audio(path, tmp_path / "out")
    assert {file: file.read_bytes() for file in tmp_path.glob("*.wav")} == before
    (page,) = placed.files
    text = page.read_text(encoding="utf-8")
    assert "1:30.500000 (sample 4344000 at 48000 Hz, beat 181.0000 of the session)" in text
    assert "&lt;b&gt; &amp; &#x27;sax&#x27;" in text
    assert 'src="../%3Cb%3E%20%26%20%27sax%27.wav"' in text
    assert text.count("<audio") == 3


def told(path: Path, key: str, value: object) -> Path:
    """The manifest with one field, or the name of its first stem's file, written by a stranger."""
    text = json.loads(path.read_text())
    if key == "wav":
        text["stems"][0]["wav"] = value
    else:
        text[key] = value
    path.write_text(json.dumps(text))
    return path


@pytest.mark.parametrize(
    "name", ["../../secret", "../s.wav", "/s.wav", "a/b.wav", "a\\b", "..", ""]
)
@pytest.mark.parametrize("key", ["wav", "residual"])
def test_a_stem_that_is_not_beside_its_manifest_is_refused(
    tmp_path: Path, key: str, name: str
) -> None:
    path = told(stem_set(tmp_path), key, name)
    wanted = rf"^stems\.json is not a stem manifest: .*{key}: must be the bare name of a file"
    with pytest.raises(ValueError, match=wanted):
        layout(path)
    with pytest.raises(ValueError, match=wanted):
        null_test.check(path)


@pytest.mark.parametrize("host", [host for host in HOSTS if host != "ableton"])
def test_a_file_that_is_no_sound_of_the_set_is_carried_nowhere(tmp_path: Path, host: str) -> None:
    path = stem_set(tmp_path)
    (tmp_path / "drums.wav").write_text("a secret")
    with pytest.raises(ValueError, match=r"^drums\.wav is not a WAV file$"):
        HOSTS[host].place_audio(path, tmp_path / "out")
    short = {"rate": RATE, "channels": 2, "frames": 7, "bext": wav.Bext(0)}
    wav.write(tmp_path / "drums.wav", [bytes(56)], **short)
    wanted = (
        r"^drums\.wav has \(rate, channels, frames\) \(48000, 2, 7\), the manifest says .*4800\)$"
    )
    with pytest.raises(ValueError, match=wanted):
        HOSTS[host].place_audio(path, tmp_path / "out")
    assert not [file for file in (tmp_path / "out").rglob("*") if file.is_file()]


def test_a_source_elsewhere_is_placed_only_when_it_is_the_one_that_was_separated(
    tmp_path: Path,
) -> None:
    """Whoever wrote the manifest had its bytes: of another sound of that shape, he had not."""
    folder = tmp_path / "set"
    folder.mkdir()
    path = elsewhere(stem_set(folder), "../private.wav")
    assert layout(path).source is not None
    told(path, "source_sha256", "0" * 64)
    assert layout(path).source is None
    with pytest.raises(ValueError, match=r"^private\.wav is not the file that was separated"):
        null_test.check(path)
    (file,) = HOSTS["dawproject"].place_audio(path, tmp_path / "out").files
    assert len([n for n in zipfile.ZipFile(file).namelist() if n.endswith(".wav")]) == 3


def elsewhere(path: Path, name: str) -> Path:
    """The manifest of a set whose source has another name."""
    source = path.parent / name
    source.parent.mkdir(parents=True, exist_ok=True)
    (path.parent / "mix.wav").rename(source)
    told = {"source_wav": name, "source_sha256": sha256(source)}
    stems.save(stems.load(path).model_copy(update=told), path)
    return path


@pytest.mark.parametrize("host", ["rpp", "dawproject-external", "folder"])
def test_a_link_to_the_folder_leads_to_the_same_files(tmp_path: Path, host: str) -> None:
    """What `..` means to a system, where the folder is a link to one that lies deeper."""
    deep = tmp_path / "disk" / "deep" / "stems"
    deep.mkdir(parents=True)
    elsewhere(stem_set(deep), "../../../songs/mix.wav")
    (tmp_path / "here").symlink_to(deep)
    (file,) = HOSTS[host].place_audio(tmp_path / "here" / "stems.json", tmp_path / "here").files
    if host.startswith("dawproject"):
        text = zipfile.ZipFile(file).read("project.xml").decode()
    else:
        text = file.read_text(encoding="utf-8")
    names = set(re.findall(r'(?:FILE|path=|src=) ?"([^"]+)"', text))
    assert len(names) == 4
    assert all((file.parent / unquote(name)).is_file() for name in names)


FILED = [name for name in HOSTS if name not in ("folder", "ableton", "midi", "reaper", "audacity")]


@pytest.mark.parametrize("name", ["a\nb.wav", "a\x01b.wav", "a\u2028b.wav"])
@pytest.mark.parametrize("host", FILED)
def test_a_name_that_breaks_a_file_is_refused(tmp_path: Path, host: str, name: str) -> None:
    path = elsewhere(stem_set(tmp_path), name)
    with pytest.raises(ValueError, match=r"cannot hold the name .*: rename the file"):
        HOSTS[host].place_audio(path, tmp_path / "out")
    assert not [file for file in (tmp_path / "out").rglob("*") if file.is_file()]
    (page,) = HOSTS["folder"].place_audio(path, tmp_path).files
    assert f'src="{quote(name)}"' in page.read_text(encoding="utf-8")


def test_a_name_before_a_colon_is_no_scheme(tmp_path: Path) -> None:
    (page,) = (
        HOSTS["folder"]
        .place_audio(elsewhere(stem_set(tmp_path), "javascript:x.wav"), tmp_path)
        .files
    )
    assert 'src="javascript%3Ax.wav"' in page.read_text(encoding="utf-8")


@pytest.mark.parametrize("host", [h for h in HOSTS.values() if hasattr(h, "write")])
def test_a_file_says_what_it_cannot(host) -> None:
    for refused in (
        lambda: host.load_preset(Path("a.json"), "bass"),
        lambda: host.set_param("bass", "cutoff", 0.5),
        lambda: host.notify("done"),
    ):
        with pytest.raises(HostCannot, match=rf"^{host.name} cannot .*: it is a file"):
            refused()


def test_a_server_places_finished_stems(tmp_path: Path) -> None:
    """The worker of the bridge's tests names a manifest in `out`; the server does the rest."""
    made, missing = tmp_path / "made", tmp_path / "missing"
    made.mkdir()
    stem_set(made)

    async def story() -> tuple[Entry, Entry]:
        config = Config(data=tmp_path, worker=(sys.executable, "-S", "-E", str(FAKE)))
        async with LocalEngine(config.worker, grace=1) as engine:
            with Store(config.ledger) as store:
                async with Server(config, store, engine) as server:
                    for req, out in enumerate((made, missing)):
                        job = Separate(
                            id=f"j{req}", file=str(made / "mix.wav"), prompts=("ok",),
                            out=str(out), host="rpp",
                        )  # fmt: skip
                        server.submit(job, client="c", req=req)
                    return await server.wait("j0"), await server.wait("j1")

    done, failed = asyncio.run(story())
    assert done.state == "done"
    assert done.result["placed"] == {
        "host": "rpp",
        "text": "open my-mix.rpp in REAPER, or drag it into a project",
        "files": [str(made / "my-mix.rpp")],
    }
    assert json.loads((made / "result.json").read_text())["placed"] == done.result["placed"]
    assert (failed.state, failed.code) == ("failed", "not-placed")
    assert failed.reason == (
        f"the stems are in {missing}, but rpp did not take them: "
        f"manifest {missing / 'stems.json'} does not exist"
    )


def test_a_job_names_a_host_of_the_table(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="must be one of folder, dawproject"):
        Separate(id="j", file="/f", prompts=("a",), out="/o", host="cubase")
