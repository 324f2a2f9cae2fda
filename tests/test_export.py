"""Export as a job: files whole or not at all, each format's loss and distance said."""

import io
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from bridge import worker
from bridge.cli import main, tables
from bridge.files import export_report
from bridge.protocol import worker_loop
from bridge.protocol.events import Done
from bridge.protocol.kinds import result_path
from bridge.protocol.patch_jobs import Export
from bridge.service import file_access
from presets import Effect, Note, Preset, load, save
from presets.export import EXPORTERS, Exported, Exporter, Source
from presets.preset import Plugin
from renderers import RENDERERS, random_patches, to_values
from renderers.engines import ENGINES, Engine
from renderers.source import RenderedSource

RATE = 44100


@pytest.fixture
def preset(tmp_path: Path) -> Path:
    """A short FM patch in a file."""
    fm = RENDERERS["fm"]
    u = random_patches(fm, 1, generator=torch.Generator().manual_seed(3))[0]
    patch = Preset(
        name="Glass: a/b", renderer="fm", renderer_version=fm.version, values=to_values(fm, u),
        seconds=0.5, prompt="glass",
    )  # fmt: skip
    save(patch, tmp_path / "glass.json")
    return tmp_path / "glass.json"


def raw(preset: Preset, source: Source, stem: str) -> Exported:
    """Floats and a side file: the simplest format there can be."""
    sound = source.floats(Note(preset.note), source.seconds)
    return Exported({f"{stem}.raw": sound, "notes/about.txt": b"x"}, lost=("velocity: one layer",))


def never(preset: Preset, source: Source, stem: str) -> Exported:
    raise ValueError("5 operators do not fit into 4")


def played(file: Path, note: Note, seconds: float, rate: int) -> np.ndarray:
    """Half as loud, and in steps of 2^-14: what an honest engine may do."""
    sound = np.frombuffer(file.read_bytes(), "<f4")[: round(seconds * rate)]
    return np.round(sound[None] * 2**14) / 2**15


@pytest.fixture
def formats(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three formats of our own in the place of the real ones."""
    both = frozenset({"fm", "impact"})
    ours = {
        "raw": Exporter("Raw floats", ".raw", both, raw),
        "never": Exporter("Never", ".nev", both, never),
        "hits": Exporter("Hits", ".hit", frozenset({"impact"}), raw),
    }
    for table in (EXPORTERS, ENGINES):
        for name in list(table):
            monkeypatch.delitem(table, name)
    for name, exporter in ours.items():
        monkeypatch.setitem(EXPORTERS, name, exporter)
    away = Engine("Away", lambda: "Away is not installed: buy it", played)
    monkeypatch.setitem(ENGINES, "raw", (away, Engine("Player", lambda: "", played)))


def run(job: Export) -> dict[str, Any]:
    *_, end = worker.work(job, worker.Models(evaluation_scorer=Path("nowhere")))
    assert isinstance(end, Done)
    return end.result


@pytest.mark.usefixtures("formats")
def test_one_format_into_a_folder_is_heard_in_the_engine_that_is_here(
    preset: Path, tmp_path: Path
) -> None:
    job = Export(id="j", preset=str(preset), formats=("raw",), out=str(tmp_path / "out"))
    got = run(job)
    assert got["file"] == str(tmp_path / "out" / "glass-a-b.raw") == result_path(job, got)
    assert got["files"][1:] == [str(tmp_path / "out" / "notes" / "about.txt")]
    assert all(Path(file).is_file() for file in got["files"])
    assert (got["lost"], got["engine"]) == (["velocity: one layer"], "Player")
    assert 0 < got["rms"] < 1e-3  # steps of 2^-14, uniform error, at a level above 0.05
    assert 0 <= got["fidelity_db"] < 0.1


@pytest.mark.usefixtures("formats")
def test_a_file_name_names_the_file(preset: Path, tmp_path: Path) -> None:
    out = tmp_path / "made" / "Bell 1.raw"
    job = Export(id="j", preset=str(preset), formats=("raw",), out=str(out))
    assert run(job)["file"] == str(out)
    assert out.is_file()


@pytest.mark.usefixtures("formats")
def test_the_sound_beside_the_preset_is_not_replaced(
    preset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def sound(preset: Preset, source: Source, stem: str) -> Exported:
        return Exported({f"{stem}.wav": b"a note"})

    monkeypatch.setitem(EXPORTERS, "wav", Exporter("Notes", ".wav", frozenset({"fm"}), sound))
    own = preset.with_suffix(".wav")
    own.write_bytes(b"the preview")
    job = Export(id="j", preset=str(preset), formats=("wav",), out=str(own))
    with pytest.raises(ValueError, match="name another folder"):
        run(job)
    assert own.read_bytes() == b"the preview"


@pytest.mark.usefixtures("formats")
def test_a_bundle_says_what_no_format_could_carry(preset: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    got = run(Export(id="j", preset=str(preset), formats=("all",), out=str(out)))
    assert got["formats"]["never"]["refused"] == "5 operators do not fit into 4"
    assert got["formats"]["hits"]["refused"] == "hits carries impact presets, and this one is fm"
    assert sorted(p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file()) == [
        "REPORT.md", "glass-a-b.json", "raw/glass-a-b.raw", "raw/notes/about.txt",
    ]  # fmt: skip
    assert load(out / "glass-a-b.json") == load(preset)
    page = (out / "REPORT.md").read_text()
    assert got["file"] == str(out / "REPORT.md")
    assert "[raw/glass-a-b.raw](<raw/glass-a-b.raw>)" in page
    for sentence in ("velocity: one layer", "5 operators do not fit into 4", "Player"):
        assert sentence in page
    assert "Beside it: the folder `notes`." in page
    shown = str(tables.export(got))
    for said in (got["file"], got["formats"]["raw"]["file"], "lost: velocity: one layer"):
        assert said in shown


@pytest.mark.usefixtures("formats")
def test_what_cannot_be_carried_leaves_nothing(preset: Path, tmp_path: Path) -> None:
    job = Export(id="j", preset=str(preset), formats=("never",), out=str(tmp_path / "a" / "b"))
    with pytest.raises(ValueError, match="5 operators do not fit into 4"):
        run(job)
    assert not (tmp_path / "a").exists()


@pytest.mark.usefixtures("formats")
def test_a_cancelled_export_leaves_nothing(preset: Path, tmp_path: Path) -> None:
    job = Export(id="j", preset=str(preset), formats=("all",), out=str(tmp_path / "out"))
    events = worker.work(job, worker.Models(evaluation_scorer=Path("nowhere")))
    for event in events:
        if event.kind == "progress" and event.stage == "listen to raw":
            assert list((tmp_path / "out").rglob("*.raw"))
            break
    events.close()
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("formats")
def test_an_engine_that_fails_is_said(
    preset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(file: Path, note: Note, seconds: float, rate: int) -> np.ndarray:
        raise RuntimeError("no such voice")

    monkeypatch.setitem(ENGINES, "raw", (Engine("Player", lambda: "", broken),))
    got = run(Export(id="j", preset=str(preset), formats=("raw",), out=str(tmp_path / "out")))
    assert (got["fidelity_db"], got["engine"]) == (None, "")
    assert got["unchecked"] == "Player could not play it: no such voice"
    monkeypatch.setitem(ENGINES, "raw", (Engine("Away", lambda: "get Away", broken),))
    got = run(Export(id="j", preset=str(preset), formats=("raw",), out=str(tmp_path / "out")))
    assert got["unchecked"] == "get Away"


def test_an_unknown_format_is_told_the_allowed_ones() -> None:
    with pytest.raises(ValidationError, match="must be all or one of "):
        Export(id="j", preset="/a", formats=("dx8",), out="/b")


SAMPLED = {"wav", "sfz", "decent", "multisample", "sf2"}


@pytest.mark.parametrize("name", sorted(EXPORTERS.keys() - SAMPLED))
def test_a_plugin_that_plays_the_note_is_not_passed_over(name: str) -> None:
    """The patch is not what such a preset sounds like, so a file of it alone would be another."""
    renderer = RENDERERS["impact" if name == "ir" else "fm"]
    u = random_patches(renderer, 1, generator=torch.Generator().manual_seed(3))[0]
    values = to_values(renderer, u)
    values |= {knob: 1.0 for knob in values if knob.endswith("_ratio")}
    dry = Preset(
        name="organ", renderer=renderer.name, renderer_version=renderer.version, values=values,
        seconds=0.5,
    )  # fmt: skip
    source = RenderedSource(dry)

    def lost(plugin: Plugin) -> tuple[str, ...]:
        chain = (Effect(kind="VST3", plugin=plugin),)
        return EXPORTERS[name].export(dry.model_copy(update={"effects": chain}), source, "x").lost

    assert "effect plugin Hall.vst3: it is not in the file" in lost(Plugin(file="Hall.vst3"))
    with pytest.raises(
        ValueError, match=r"is played by the plugin Organ\.vst3, which only samples"
    ):
        lost(Plugin(file="Organ.vst3", instrument=True))


def test_a_sound_that_became_another_is_said(preset: Path, tmp_path: Path) -> None:
    entry = {"title": "X", "file": str(tmp_path / "x" / "a.x"), "files": [str(tmp_path / "x/a.x")],
             "lost": [], "unchecked": "", "engine": "Synth", "rms": 0.5}  # fmt: skip
    pages = [
        export_report.report(load(preset), {"x": entry | {"fidelity_db": far}}, tmp_path)
        for far in (2.99, 9.99, 10.0)
    ]
    told = ["In Synth it has become another sound" in page for page in pages]
    assert told == [False, False, True]
    words = ("near: 2.99 dB", "similar: 9.99 dB", "another sound: 10.00 dB")
    assert all(word in page for word, page in zip(words, pages, strict=True))


def test_formats_of_the_same_samples_share_them(preset: Path, tmp_path: Path) -> None:
    """One folder of WAVs for three: 1/3 of what a folder a format took."""
    out = tmp_path / "out"
    got = run(Export(id="j", preset=str(preset), formats=("wav", "sfz", "decent"), out=str(out)))
    rows = [row["files"] for row in got["formats"].values()]
    here = {p for p in out.rglob("*") if p.is_file()}
    assert {Path(file) for files in rows for file in files} == here - {
        out / "REPORT.md", out / "glass-a-b.json"
    }  # fmt: skip
    folder = out / "samples" / "glass-a-b_samples"
    assert {p.parent for p in here if p.suffix == ".wav"} == {folder, folder.parent}
    assert sorted(p.name for p in folder.parent.iterdir() if p.is_file()) == [
        "glass-a-b.dspreset", "glass-a-b.sfz", "glass-a-b.wav"
    ]  # fmt: skip
    assert all(len(files) == 1 + len(list(folder.iterdir())) for files in rows)
    for name in ("wav", "sfz", "decent"):
        alone = tmp_path / name
        run(Export(id="j", preset=str(preset), formats=(name,), out=str(alone)))
        for path in alone.rglob("*"):
            if path.is_file():
                same = out / "samples" / path.relative_to(alone)
                assert same.read_bytes() == path.read_bytes()


def test_every_format_has_its_programs() -> None:
    assert set(EXPORTERS) <= set(export_report.LOADED_BY)


def test_the_command_writes_a_real_file(
    preset: Path, tmp_path: Path, capsys: Any, monkeypatch: Any
) -> None:
    monkeypatch.setenv("SCOREWIRE_DATA", str(tmp_path / "data"))
    out = tmp_path / "out"
    argv = ["scorewire", "export", str(preset), "--format", "dx7", "--out", str(out), "--json"]
    monkeypatch.setattr(sys, "argv", argv)
    with pytest.raises(SystemExit) as end:
        main.main()
    assert not end.value.code
    got = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert {"file", "lost", "fidelity_db", "engine"} <= set(got)
    assert Path(got["file"]).stat().st_size > 0


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--format", "dx8"), "--format: must be all or one of "),
        (("--format", "all", "--rate", "8000"), "--rate: input should be 44100 or 48000"),
    ],
)
def test_a_wrong_command_is_refused_in_its_words(
    arguments: tuple[str, ...], reason: str, preset: Path, tmp_path: Path, capsys: Any,
    monkeypatch: Any,
) -> None:  # fmt: skip
    argv = ["scorewire", "export", str(preset), "--out", str(tmp_path / "o"), *arguments]
    monkeypatch.setattr(sys, "argv", argv)
    with pytest.raises(SystemExit) as end:
        main.main()
    assert end.value.code == 2
    assert reason in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "out", "wanted"),
    [("sfz", "b.WAV", "a folder or a .sfz file"), ("all", "b.syx", "a folder")],
)
def test_no_folder_is_made_that_looks_like_a_file(
    name: str, out: str, wanted: str, preset: Path, tmp_path: Path
) -> None:
    job = Export(id="j", preset=str(preset), formats=(name,), out=str(tmp_path / out))
    with pytest.raises(ValueError, match=f"^out must be {wanted} for this export, got {out}$"):
        file_access.check(job)


def test_a_file_that_is_no_preset_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{}")
    job = Export(id="j", preset=str(tmp_path / "a.json"), formats=("all",), out=str(tmp_path))
    models = worker.Models(evaluation_scorer=Path("nowhere"))
    box = worker_loop.Inbox(io.StringIO(""))
    *_, end = worker_loop.run(job, lambda job: worker.work(job, models), box, codes={})
    assert end.kind == "failed"
    assert "a.json is not a preset" in end.reason
