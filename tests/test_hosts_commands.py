"""`scorewire place`, `install` and `separate --host`: what they write, say and refuse."""

import json
import shlex
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from bridge.cli import main
from tests.test_hosts_dawproject import stem_set

WORKER = Path(__file__).with_name("halving_worker.py")


@pytest.fixture
def scorewire(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any):
    """The command run in this process: exit code, the JSON of its last line, stderr."""
    monkeypatch.setenv("SCOREWIRE_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("SCOREWIRE_WORKER", shlex.join((sys.executable, str(WORKER))))

    def run(*arguments: object) -> tuple[int, dict[str, Any], str]:
        monkeypatch.setattr(sys, "argv", ["scorewire", *map(str, arguments), "--json"])
        with pytest.raises(SystemExit) as end:
            main.main()
        said = capsys.readouterr()
        return int(end.value.code or 0), json.loads(said.out.splitlines()[-1]), said.err

    return run


def test_stems_are_placed_beside_their_manifest_or_where_asked(scorewire, tmp_path: Path) -> None:
    path = stem_set(tmp_path / "stems")
    code, got, _ = scorewire("place", path, "--host", "dawproject")
    file = tmp_path / "stems" / "take-7.dawproject"
    assert code == 0
    assert got == {
        "host": "dawproject",
        "text": "open or drag take-7.dawproject into the DAW",
        "files": [str(file)],
    }
    assert zipfile.is_zipfile(file)
    assert scorewire("place", path.parent)[1]["files"] == [str(path.parent / "stems.html")]
    _, got, _ = scorewire("place", path, "--host", "midi", "--out", tmp_path / "songs" / "x.mid")
    assert got["files"] == [str(tmp_path / "songs" / "x.mid")]
    _, got, _ = scorewire("place", path)
    assert got["files"] == [str(tmp_path / "stems" / "stems.html")]


def test_a_separation_goes_to_its_host_at_once(scorewire, tmp_path: Path) -> None:
    stem_set(tmp_path / "there")
    code, got, _ = scorewire(
        "separate", tmp_path / "there" / "mix.wav", "--prompt", "kick", "--out", tmp_path / "out",
        "--host", "rpp",
    )  # fmt: skip
    assert code == 0
    assert got["placed"]["files"] == [str(tmp_path / "out" / "mix.rpp")]
    assert 'NAME "kick"' in (tmp_path / "out" / "mix.rpp").read_text()


@pytest.mark.parametrize(
    ("arguments", "code", "reason"),
    [
        (("place", "none.json", "--host", "rpp"), 1, "manifest none.json does not exist"),
        (("place", "none.json", "--host", "cubase"), 2, "--host must be one of folder, dawproject"),
        (("install", "cubase"), 2, "host must be one of reaper"),
        (("install", "reaper", "--path", "none"), 1, "REAPER's resource folder none is not there"),
    ],
)
def test_what_is_refused_is_one_sentence(scorewire, arguments, code: int, reason: str) -> None:
    got = scorewire(*arguments)
    assert got[0] == code
    assert got[1]["error"]["reason"].startswith(reason)
    assert got[2].startswith("scorewire: ")


def test_actions_are_put_in_and_taken_out(scorewire, tmp_path: Path) -> None:
    _, got, _ = scorewire("install", "reaper", "--path", tmp_path)
    folder = tmp_path / "Scripts" / "Scorewire"
    assert got["files"][0] == str(folder / "scorewire.lua")
    assert (
        folder / "command.txt"
    ).read_text() == f'"{sys.executable}" -P -m bridge.app.folder_requests\n'
    code, _, _ = scorewire("install", "reaper", "--path", tmp_path, "--uninstall")
    assert code == 0
    assert not folder.exists()
