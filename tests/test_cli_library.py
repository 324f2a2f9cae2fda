"""`scorewire library`: what each command shows, keeps and refuses."""

import json
import re
import shlex
import sys
from pathlib import Path

import pytest

from bridge.cli import main
from presets import Preset, load, save

PAGE = Path(__file__).parents[1] / "docs" / "library.md"


@pytest.fixture
def library(tmp_path, capsys, monkeypatch):
    """A function that runs `scorewire library ...`: exit code, stdout, stderr."""
    monkeypatch.setenv("SCOREWIRE_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["scorewire", "library", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main.main()
        said = capsys.readouterr()
        return int(end.value.code or 0), said.out, said.err

    return run


@pytest.fixture
def said(library):
    """The object that `scorewire library ... --json` prints."""

    def run(*arguments):
        code, out, err = library(*arguments, "--json")
        assert (code, err) == (0, "")
        return json.loads(out)

    return run


def make(path, name, **fields):
    values = {"decay": fields.pop("decay", 1.0)}
    path.parent.mkdir(parents=True, exist_ok=True)
    save(Preset(name=name, renderer="fm", renderer_version=1, values=values, **fields), path)
    return path


def test_a_preset_is_kept_found_changed_deleted_and_restored(tmp_path, said):
    make(tmp_path / "patches" / "one.json", "Hitting pot", tags=("metal",), prompt="wooden spoon")
    make(tmp_path / "patches" / "two.json", "Tiny bell", decay=2.0)
    (tmp_path / "patches" / "one.wav").write_bytes(b"RIFF")
    (tmp_path / "patches" / "bad.json").write_text("{}")
    shelf = tmp_path / "data" / "library"

    got = said("add", "patches")
    assert got["added"] == [str(shelf / "hitting-pot.json"), str(shelf / "tiny-bell.json")]
    assert [Path(line["file"]).name for line in got["refused"]] == ["bad.json"]
    assert said("add", "patches/one.json")["same"] == ["patches/one.json"]

    (found,) = said("find", "spoon", "POT", "--tag", "metal", "--renderer", "fm")["presets"]
    assert found["path"] == str(shelf / "hitting-pot.json")
    assert found["preview"] == str(shelf / "hitting-pot.wav")
    (near,) = said("find", "--like", "tiny-bell", "--limit", 1)["presets"]
    assert (near["name"], near["distance"]) == ("Hitting pot", 1.0)

    assert said("slot", 5, "Hitting pot")["slots"] == {"5": "hitting-pot.json"}
    renamed = said("rename", "hitting-pot", "Big Pan")
    assert (renamed["name"], renamed["slots"]) == ("Big Pan", [5])
    assert said("tag", "big-pan", "--add", "warm", "--remove", "METAL")["tags"] == ["warm"]
    assert said("duplicate", "big-pan", "--name", "Twin")["path"] == str(shelf / "twin.json")
    assert said("show", "twin")["values"] == {"decay": 1.0}

    assert said("delete", "big-pan")["trash"] == str(shelf / ".trash" / "big-pan.json")
    assert said("slot")["slots"] == {}
    assert said("restore")["trash"] == ["big-pan.json"]
    assert said("restore", "big-pan")["preview"] == str(shelf / "big-pan.wav")
    assert said("slot", 128, "twin")["slots"] == {"128": "twin.json"}
    assert said("slot", 128, "--clear")["slots"] == {}

    (shelf / "torn.json").write_text("{")
    listed = said("list")
    assert (listed["folder"], listed["count"]) == (str(shelf), 3)
    assert [line["name"] for line in listed["presets"]] == ["Big Pan", "Tiny bell", "Twin"]
    assert [line["file"] for line in listed["unreadable"]] == ["torn.json"]
    assert said("reindex") == {"count": 3}
    assert len(said("export", "twin", "big-pan", "--out", "gift")["files"]) == 2
    assert load(tmp_path / "gift" / "twin.json").name == "Twin"
    assert said("add", "gift", "--folder", "other")["refused"] == []


def test_people_see_names_as_they_are(tmp_path, library):
    make(tmp_path / "one.json", "[red]Küche[/red] 🎹", tags=("a", "b"))
    library("add", "one.json")
    code, out, _ = library("list")
    assert (code, out.split()) == (
        0,
        "red-küche-red-musical-keyboard [red]Küche[/red] 🎹 fm a, b".split(),
    )
    _, out, _ = library("show", "red-küche-red-musical-keyboard")
    assert re.search(r"values +decay 1\b", out)
    assert "seed" not in out


@pytest.mark.parametrize(
    ("arguments", "code", "reason"),
    [
        ("show nope", 1, "no preset is called 'nope' in "),
        ("add nowhere.json", 1, "nowhere.json cannot be added: No such file or directory"),
        ("slot 0 pot", 1, "slot must be 1 .. 128, got 0"),
        ("slot --clear", 1, "slot needs a number in 1 .. 128"),
        ("slot 5 pot --clear", 1, "slot --clear takes no preset"),
        ("slot five", 2, "Input should be a valid integer"),
        ("restore pot", 1, "the trash holds no 'pot'; it holds nothing"),
        ("find --colour red", 2, "No such option: --colour"),
    ],
)
def test_a_refusal_is_one_sentence(library, arguments, code, reason):
    got, out, err = library(*arguments.split(), "--json")
    assert got == code
    failed = json.loads(out)["error"]
    assert failed["code"] == "bad-input"
    assert reason in failed["reason"]
    assert err == f"scorewire: {failed['reason']}\n"


def test_the_lines_of_the_page_run(tmp_path, library):
    """Every command line of docs/library.md, in its order."""
    make(tmp_path / "pot" / "hitting-pot-with-wooden-spoon.json", "hitting pot with wooden spoon")
    make(tmp_path / "bank" / "glass-bell.json", "glass bell", tags=("bell",))
    lines = re.findall(r"^scorewire library (.*?)(?:  #.*)?$", PAGE.read_text(), re.MULTILINE)
    assert len(lines) >= 12
    for line in lines:
        code, _, err = library(*shlex.split(line))
        assert (code, err) == (0, ""), line
