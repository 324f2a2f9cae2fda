"""The command line: the keys promised, exit codes, the ledger, Ctrl-C; through real children."""

import asyncio
import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from importlib.metadata import version
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import soundfile as sf

from bridge.cli import choices, main, tables
from bridge.cli.base import preset_file, show
from bridge.execution import recording
from bridge.execution.recording import RecordingEngine
from bridge.hosts import HOSTS, INSTALLERS
from bridge.player import protocol
from bridge.protocol.events import Best, Event, Failed, Progress
from bridge.protocol.jobs import Job, check
from bridge.service.ledger import State, Store
from bridge.stems import manifest as stems
from presets import Preset, load, save
from presets.export import EXPORTERS
from presets.library import Library
from tests.children import until


@pytest.fixture(autouse=True)
def data(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A ledger of our own, and two threads' worth of machine."""
    folder = tmp_path_factory.mktemp("data")
    monkeypatch.setenv("SCOREWIRE_DATA", str(folder))
    monkeypatch.setenv("SCOREWIRE_MODEL", "gaussian")
    return folder


def scorewire(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: object
) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of the command, run in this process."""
    monkeypatch.setattr(sys, "argv", ["scorewire", *map(str, arguments)])
    with pytest.raises(SystemExit) as end:
        main.main()
    said = capsys.readouterr()
    return int(end.value.code or 0), said.out, said.err


def last(out: str) -> dict[str, Any]:
    return dict(json.loads(out.strip().splitlines()[-1]))


def test_patch_render_and_the_ledger(
    tmp_path: Path, data: Path, capsys: Any, monkeypatch: Any
) -> None:
    code, out, err = scorewire(
        capsys, monkeypatch, "patch", "a bell", "--renderer", "fm", "--recipe", "fast",
        "--duration", 0.25, "--steps", 1, "--seed", 3, "--out", tmp_path / "bell", "--json",
    )  # fmt: skip
    assert (code, err) == (0, "")
    got = last(out)
    promised = {"preset", "wav", "initial_wav", "score_before", "score_after", "steps", "seconds"}
    assert promised | {"patches", "rating", "verdict", "renderer", "why"} <= set(got)
    assert load(got["preset"]).seed == 3
    assert sf.info(got["wav"]).frames == round(load(got["preset"]).seconds * 44100)

    code, out, _ = scorewire(
        capsys, monkeypatch, "render", got["preset"], "--note", 72, "--velocity", 64,
        "--duration", 0.5, "--out", tmp_path / "note.wav", "--json",
    )  # fmt: skip
    assert code == 0
    assert last(out)["wav"] == str(tmp_path / "note.wav")
    assert sf.info(tmp_path / "note.wav").frames == 22050

    code, out, _ = scorewire(capsys, monkeypatch, "jobs", "--json")
    rows = last(out)["jobs"]
    assert [(row["kind"], row["state"]) for row in rows] == [("render", "done"), ("patch", "done")]
    assert rows[1]["job"]["prompt"] == "a bell"
    assert {row["ahead"] for row in rows} == {None}


def test_a_preset_goes_by_its_name_in_the_library(
    tmp_path: Path, data: Path, capsys: Any, monkeypatch: Any
) -> None:
    kept = Library(data / "library").add(
        Preset(name="A bell", renderer="fm", renderer_version=1, values={"level": 0.5})
    )
    assert preset_file(Path("a-bell")) == preset_file(Path("A bell")) == str(kept.path)
    monkeypatch.chdir(tmp_path)
    Path("a-bell").touch()  # a file comes first
    assert preset_file(Path("a-bell")) == str(tmp_path / "a-bell")
    assert preset_file(Path("folder/a.json")) == str(tmp_path / "folder" / "a.json")
    for command in ("render", "edit", "vary", "export"):
        more = {"export": ("--format", "wav"), "edit": ("darker",)}.get(command, ())
        code, _, err = scorewire(capsys, monkeypatch, command, "gong", *more, "--out", tmp_path)
        assert code == 1
        assert "no preset is called 'gong'" in err


def test_separate_then_verify(tmp_path: Path, capsys: Any, monkeypatch: Any) -> None:
    noise = 0.2 * np.random.default_rng(0).standard_normal((12000, 2))
    sf.write(tmp_path / "take.flac", noise, 24000)
    code, out, err = scorewire(
        capsys, monkeypatch, "separate", tmp_path / "take.flac", "--prompt", "hum",
        "--prompt", "hiss", "--steps", 1, "--out", tmp_path / "stems", "--json",
    )  # fmt: skip
    assert (code, err) == (0, "")
    got = last(out)
    assert {"stems", "residual", "manifest", "null_db", "seconds"} <= set(got)
    assert [stem["prompt"] for stem in got["stems"]] == ["hum", "hiss"]
    assert all(set(stem) == {"prompt", "wav"} for stem in got["stems"])
    assert got["null_db"] < -100

    code, out, _ = scorewire(capsys, monkeypatch, "verify", got["manifest"], "--json")
    assert code == 0
    assert last(out)["null_db"] == pytest.approx(got["null_db"], abs=0.5)

    one = Path(got["stems"][0]["wav"])
    data, rate = sf.read(one, dtype="float32")
    sf.write(one, data * 0.5, rate, subtype="FLOAT")
    code, out, _ = scorewire(capsys, monkeypatch, "verify", got["manifest"], "--json")
    assert code == 1
    assert last(out)["ok"] is False
    missing = 20 * np.log10(0.5 * np.sqrt(np.mean(data**2)) / np.sqrt(np.mean(noise**2)))
    assert last(out)["null_db"] == pytest.approx(missing, abs=0.1)


def test_doctor_runs_kernel_model_player_and_osc(
    tmp_path: Path, capsys: Any, monkeypatch: Any
) -> None:
    player = f"{sys.executable} -m bridge.player --output offline --rate 8000"
    monkeypatch.setenv("SCOREWIRE_PLAYER", f"{player} --capture {tmp_path}/heard.f32")
    code, out, _ = scorewire(capsys, monkeypatch, "doctor", "--json")
    report = last(out)
    checks = {check["name"]: check for check in report["checks"]}
    assert "offline (heard.f32), 8000 Hz" in checks["player"]["text"]
    for name in ("python", "packages", "data", "osc", "player", "kernel", "model"):
        assert checks[name]["ok"], checks[name]
    assert "/scorewire/pong after" in checks["osc"]["text"]
    assert "gaussian at 44100 Hz" in checks["model"]["text"]
    needed = [check for check in checks.values() if not check["optional"]]
    assert report["ok"] is all(check["ok"] for check in needed)
    assert {"gpu", "FluidSynth", "hexter"} <= checks.keys()
    assert all(check["fix"] for check in checks.values() if not check["ok"])
    assert code == (0 if report["ok"] else 1)


def test_doctor_says_what_is_missing(capsys: Any, monkeypatch: Any, tmp_path: Path) -> None:
    monkeypatch.setenv("SCOREWIRE_WORKER", f"{sys.executable} -c pass")
    monkeypatch.setenv("SCOREWIRE_PLAYER", f"{sys.executable} -c pass")
    code, out, _ = scorewire(capsys, monkeypatch, "doctor", "--json")
    player, worker = last(out)["checks"][-2:]
    assert (player["ok"], player["text"]) == (False, "it ended (exit code 0)")
    assert (code, worker["ok"], worker["name"]) == (1, False, "worker")
    assert "the worker process ended" in worker["text"]
    assert "make install" in worker["fix"]


def test_ctrl_c_leaves_nothing(tmp_path: Path, data: Path) -> None:
    command = [
        sys.executable, "-m", "bridge.cli", "patch", "a bell", "--renderer", "fm",
        "--steps", "5000", "--recipe", "fast", "--out", str(tmp_path / "out"), "--json",
    ]  # fmt: skip
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(os.environ)
    ) as child:
        until(lambda: list(tmp_path.glob("out/.unfinished-*/scratch/best-*.wav")), child=child)
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=60)
    assert child.returncode == 130
    assert last(out)["error"]["code"] == "cancelled"
    assert err == "scorewire: stopped by Ctrl-C; nothing was left behind\n"
    assert list(tmp_path.iterdir()) == []
    with Store(data / "jobs.sqlite") as store:
        assert [entry.state for entry in store.list()] == ["cancelled"]


def test_people_see_a_table(tmp_path: Path, capsys: Any, monkeypatch: Any) -> None:
    manifest = stems.Manifest(
        job="0", source="a.wav", source_sha256="0", source_wav="a.wav", rate=1, frames=1,
        channels=1, stems=(stems.Stem(prompt="x", wav="x.wav", rms_db=0),), residual="r.wav",
        residual_rms_db=0, null_db=0, method="masks", steps=1, seed=0, model="m", model_hash="",
        code="0",
    )  # fmt: skip
    stems.save(manifest, tmp_path / "stems.json")
    code, _, err = scorewire(capsys, monkeypatch, "verify", tmp_path / "stems.json")
    assert code == 1
    assert err == "scorewire: a.wav, named in stems.json, is not there\n"
    code, out, err = scorewire(capsys, monkeypatch, "jobs")
    assert code == 0
    assert "asked at" in out


def test_presets_to_presets(tmp_path: Path, capsys: Any, monkeypatch: Any) -> None:
    from renderers import fm

    listed = fm.renderer(operators=1).params
    for name in "ab":
        values = {p.name: p.value(0.3 if name == "a" else 0.6) for p in listed}
        save(
            Preset(name=name, renderer="fm", renderer_version=1, values=values, seconds=0.2),
            tmp_path / f"{name}.json",
        )
    a, b, out = tmp_path / "a.json", tmp_path / "b.json", tmp_path / "out"
    code, said, _ = scorewire(capsys, monkeypatch, "morph", a, b, "--steps", 3, "--out", out)
    assert code == 0
    lines = said.splitlines()
    assert lines[1:] == [str(out / f"a-to-b-{n}.json") for n in (1, 2, 3)]  # long, and whole
    assert sorted(path.name for path in out.iterdir()) == [
        "a-to-b-1.json", "a-to-b-1.wav", "a-to-b-2.json", "a-to-b-2.wav", "a-to-b-3.json",
        "a-to-b-3.wav", "result.json",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ((), ""),
        (("patch",), "PROMPT: string should have at least 1 character"),
        (("patch", "x", "--renderer", "organ"), "--renderer: input should be 'auto', 'fm' or"),
        (("patch", "x", "--count", "9"), "--count: input should be less than or equal to 8"),
        (("patch", "x", "--loudness", "3"), "--loudness: input should be less than or equal to -5"),
        (("patch", "x", "--out", "o", "--renderer", "fm", "--matrix", "dx7:33"), "--matrix: must"),
        (("generate", "--out", "o"), "Missing argument 'prompts'."),
        (("generate", "kick", "", "--out", "o"), "PROMPTS: string should have at least 1"),
        (("generate", "kick", "--out", "o", "--count", "0"), "--count: input should be greater"),
        (
            ("generate", "x", "--out", "o", "--stems", "sax"),
            "--stems: input should be 'bass', 'dru",
        ),
        (("generate", "x", "--out", "o", "--bars", "4"), "--tempo: must be given with bars"),
        (("accompany", "--out", "o"), "--given: must name at least 1 stem and its file, got none"),
        (
            ("accompany", "lead.wav", "--out", "o"),
            "'lead.wav' says none of bass, drums, guitar and",
        ),
        (("accompany", "a b", "c d", "--out", "o"), "PROMPT must be one, and 'c d' is a second"),
        (
            ("accompany", "bass.wav", "--add", "bass", "--out", "o"),
            "--add: must name stems that ar",
        ),
        (("accompany", "bass.wav", "--given", "bass=b", "--out", "o"), "--given: must name a stem"),
        (("separate", "a.wav", "--stems", "bass", "--method", "best", "--out", "x"), "--method: "),
        (("vary", "x.json", "--out", "o", "--amount", "2"), "--amount: input should be less"),
        (("patch", "x", "--steps", "many"), "Invalid value for '--steps'"),
        (("dance",), "No such command 'dance'."),
        (("separate", "a.wav", "--out", "x"), "Missing option '--prompt'."),
        (("jobs", "--limit", "0"), "Invalid value for '--limit'"),
    ],
)
def test_a_wrong_command_line(
    arguments: tuple[str, ...], reason: str, capsys: Any, monkeypatch: Any
) -> None:
    code, out, err = scorewire(capsys, monkeypatch, *arguments, *(["--json"] if reason else []))
    assert code == 2
    if reason:
        assert reason in err
        assert err.count("\n") == 1
        assert reason in last(out)["error"]["reason"]


@pytest.mark.parametrize("arguments", [["--help"], ["separate", "-h"], ["library", "--help"]])
def test_help_loads_nothing_that_works(arguments: list[str]) -> None:
    """0.13 s of CPU where bare Python takes 0.03: it was 0.56 with all of these.

    Typer itself takes pydantic for the options of a command.
    """
    heavy = (
        f"{'pydantic ' if len(arguments) == 1 else ''}torch numpy sds renderers rich "
        "starlette uvicorn asyncio platformdirs presets "
        "bridge.protocol.jobs bridge.service.job_server bridge.hosts bridge.service.ledger "
        "bridge.service.config bridge.cli.tables bridge.app.doctor"
    )
    code = (
        "import sys, atexit, bridge.cli.main\n"
        f"heavy = set({heavy!r}.split())\n"
        "atexit.register(lambda: print('loaded:', sorted(heavy & set(sys.modules))))\n"
        f"sys.argv = ['scorewire', *{arguments!r}]\n"
        "bridge.cli.main.main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("Usage:")
    assert done.stdout.splitlines()[-1] == "loaded: []"


def test_help_is_whole_in_80_columns_and_in_the_terms_of_the_terminal() -> None:
    whole = main.command()
    names = [[name] for name in whole.commands]
    names += [["library", name] for name in whole.commands["library"].commands]  # type: ignore[attr-defined]
    for arguments in ([], *names):
        context = None
        one: Any = whole
        for name in arguments:
            context = one.make_context(one.name, [], parent=context, resilient_parsing=True)
            one = one.commands[name]
        context = one.make_context(one.name, [], parent=context, resilient_parsing=True)
        text = one.get_help(context)
        assert not [line for line in text.splitlines()[1:] if line.endswith("...")], arguments
        assert max(map(len, text.splitlines())) <= 80
        assert "list[" not in text, arguments
        assert " range>" not in text, arguments


def test_names_of_the_help_are_those_of_the_tables() -> None:
    assert tuple(HOSTS) == choices.HOSTS
    assert tuple(INSTALLERS) == choices.INSTALLERS
    assert tuple(EXPORTERS) == choices.FORMATS
    assert get_args(State) == choices.STATES


def test_version(capsys: Any, monkeypatch: Any) -> None:
    code, out, _ = scorewire(capsys, monkeypatch, "--version")
    assert (code, out) == (0, f"scorewire {version('scorewire')}\n")


def test_no_result_is_cut_or_wrapped(capsys: Any, monkeypatch: Any) -> None:
    """At 80 columns and less: what is copied from the screen is the path, and a job is a line."""
    monkeypatch.setenv("COLUMNS", "80")
    long = "/" + "/".join(["a folder with a long name"] * 9) + "/[x] stems.json"
    show({}, lambda: tables.placement({"host": "rpp", "text": "there", "files": [long]}), False)
    assert capsys.readouterr().out == f"rpp   there\nfile  {long}\n"
    job = {"prompt": "a bell " * 40, "out": long}
    row = {"id": "j1", "kind": "patch", "state": "queued", "ahead": 2, "created": 0.0, "job": job,
           "reason": ""}  # fmt: skip
    lines = str(tables.jobs([row, row | {"ahead": None, "reason": "no\nroom"}])).splitlines()
    assert len(lines) == 3
    assert all(len(line) <= 80 for line in lines)
    assert "queued, 2 ahead" in lines[1]


def test_the_best_so_far_names_no_hidden_file(capsys: Any) -> None:
    best = {"step": 2, "preset": "/o/.partial-1/b.json", "wav": "/o/.partial-1/b.wav"}
    with tables.progress_line() as show_event:
        show_event(Best(id="j", score=0.25, **best))
    said = capsys.readouterr().err
    assert "best so far: score 0.250" in said
    with tables.progress_line() as show_event:
        show_event(Best(id="j", score=0.25, rating=61.6, **best))
        figures = {"loss": 0.5, "score": 0.25, "rating": 61.6}
        show_event(Progress(id="j", fraction=0.5, stage="evolution", figures=figures))
    assert "best so far: rating 62 of 100" in capsys.readouterr().err
    assert tables._told(figures) == {"loss": 0.5, "rating": 61.6}  # one scale
    assert tables._told({"score": 0.25}) == {"score": 0.25}
    assert ".partial" not in said


def test_play_says_its_slots_and_its_device() -> None:
    found = {2: Path("/l/gong.json"), 1: Path("/l/organ.json")}
    assert tables.slots(found, True) == ["slot 1: organ", "slot 2: gong"]
    assert tables.slots({}, False) == []
    assert "scorewire library slot 1 NAME" in tables.slots({}, True)[0]
    ready = protocol.Ready(output="jack", name="scorewire", rate=48000, frames=256)
    assert tables.device(ready) == "Playing on jack (scorewire), 48000 Hz, 256 frames a block."
    gone = protocol.Gone(name="jack", reason="the server ended")
    assert tables.device(gone) == "No sound from jack: the server ended"
    assert tables.device(protocol.Rendered(slot=1, note=60)) == ""


def test_what_doctor_misses_comes_with_a_command() -> None:
    rows = [check("gpu", False, "none", "apt install a-driver", optional=True),
            check("model", False, "no weights", "name another"),
            check("osc", True, "pong", "x")]  # fmt: skip
    assert str(tables.checks({"checks": rows})).splitlines() == [
        "absent   gpu    none",
        "                -> apt install a-driver",
        "missing  model  no weights",
        "                -> name another",
        "ok       osc    pong",
    ]


def test_time_left_reads_as_a_clock() -> None:
    assert tables.clock(3599.6) == "60:00 left"


def test_brackets_in_what_an_assistant_says_are_text() -> None:
    """Rich would take them for its markup, and end at the first that closes nothing."""
    row = {"prompt": "[bold]kick", "score": 0.5, "likelihood": "guess", "activity": [0.5]}
    text = str(tables.suggestions({"suggestions": [row], "prompts": ("[/red] bells",)}))
    assert "[bold]kick" in text
    assert "[/red] bells" in text


def test_ctrl_c_before_the_recorder_is_there_ends_the_recording(
    tmp_path: Path, capsys: Any, monkeypatch: Any
) -> None:
    class Late(RecordingEngine):
        """Its recorder is there at the third look only."""

        def __init__(self) -> None:
            self.looks, self.ended = 0, asyncio.Event()

        async def __aexit__(self, *_: object) -> None:
            pass

        def stop(self, job_id: str) -> bool:
            self.looks += 1
            if self.looks == 3:
                self.ended.set()
            return self.looks == 3

        async def submit(self, job: Job, *, client: str = "") -> AsyncIterator[Event]:
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.wait_for(self.ended.wait(), 60)
            yield Failed(id=job.id, code="no-sound", reason=f"nothing came, {self.looks}")

    monkeypatch.setattr(recording, "RecordingEngine", Late)
    monkeypatch.setattr(sys, "argv", ["scorewire", "record", str(tmp_path / "a.wav"), "--json"])
    with pytest.raises(SystemExit) as end:
        main.main()
    assert end.value.code == 1
    assert json.loads(capsys.readouterr().out)["error"]["reason"] == "nothing came, 3"


def test_given_stems_are_files_that_say_what_they_are(
    tmp_path: Path, capsys: Any, monkeypatch: Any
) -> None:
    """Through a worker of the bridge's own tests, which names what it was asked for."""
    fake = [sys.executable, "-S", "-E", str(Path(__file__).with_name("fake_worker.py"))]
    monkeypatch.setenv("SCOREWIRE_WORKER", shlex.join(fake))
    monkeypatch.chdir(tmp_path)
    for name in ("Bass.wav", "take 2 drums.wav", "keys.wav"):
        sf.write(name, np.zeros(100), 8000)
    code, out, err = scorewire(
        capsys, monkeypatch, "accompany", "Bass.wav", "take 2 drums.wav", "slow blues",
        "--given", "piano=keys.wav", "--out", "o", "--json",
    )  # fmt: skip
    assert (code, err) == (0, "")
    assert [stem["prompt"] for stem in last(out)["stems"]] == ["bass", "drums", "piano", "guitar"]
    assert last(out)["prompt"] == "slow blues"


def test_stem_sets_are_listed_set_by_set() -> None:
    one = {"stems": [{"prompt": "bass", "wav": "/o/1/b.wav"}], "mix": "/o/1/source/m.wav"}
    one |= {"manifest": "/o/1/stems.json"}
    placed = {"host": "rpp", "text": "open it"}
    result = {"sets": [one], "seconds": 2.0, "placed": placed}
    assert str(tables.generate(result)).splitlines() == [
        "bass      /o/1/b.wav",
        "mix       /o/1/source/m.wav",
        "manifest  /o/1/stems.json",
        "seconds   2.0",
        "rpp       open it",
    ]


def test_generated_clips_are_listed_and_copies_warned_of() -> None:
    clips = [
        {"prompt": "kick", "wav": "/out/kick-1.wav"},
        {"prompt": "kick", "wav": "/out/kick-2.wav", "warning": "this may be a copy of [x]."},
    ]
    assert str(tables.generate({"clips": clips, "seconds": 3.04})).splitlines() == [
        "kick     /out/kick-1.wav",
        "kick     /out/kick-2.wav",
        "         warning: this may be a copy of [x].",
        "seconds  3.0",
    ]
