"""`scorewire import`: DX7 files to presets, whole or not at all."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bridge.cli import main
from presets import load
from presets.dx7 import Operator, Voice
from presets.dx7_sysex import write_bank, write_single

PIANO = Voice(
    operators=(
        Operator(output=99),
        Operator(output=80, coarse=14),
        *(Operator(output=70),) * 4,
    ),
    algorithm=5,
    name="E.PIANO 1",
)
SILENT = replace(PIANO, operators=(Operator(output=0),) * 6, name="NOTHING")


def scorewire(capsys: Any, monkeypatch: Any, *arguments: object) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["scorewire", *map(str, arguments)])
    with pytest.raises(SystemExit) as end:
        main.main()
    said = capsys.readouterr()
    return int(end.value.code or 0), said.out, said.err


def test_a_bank_becomes_presets(tmp_path: Path, capsys: Any, monkeypatch: Any) -> None:
    (tmp_path / "rom1a.syx").write_bytes(write_bank([PIANO] * 31 + [SILENT]))
    monkeypatch.chdir(tmp_path)
    code, out, _ = scorewire(capsys, monkeypatch, "import", "rom1a.syx", "--json")
    assert code == 0
    rows = json.loads(out)["voices"]
    assert [row["voice"] for row in rows] == list(range(1, 33))
    assert rows[0]["preset"] == str(tmp_path / "rom1a" / "01-e-piano-1.json")
    assert "is silent" in rows[31]["refused"]
    preset = load(rows[30]["preset"])
    assert (preset.name, preset.renderer) == ("E.PIANO 1", "fm")
    assert preset.values["op2_ratio"] == pytest.approx(14.0)
    assert "op1_from_op2" in preset.values  # algorithm 5: three pairs
    assert len(list((tmp_path / "rom1a").iterdir())) == 31


def test_a_wrong_checksum_is_said_and_the_voice_read(
    tmp_path: Path, capsys: Any, monkeypatch: Any
) -> None:
    data = bytearray(write_single(PIANO))
    data[-2] ^= 1
    (tmp_path / "old.syx").write_bytes(data)
    monkeypatch.chdir(tmp_path)
    code, out, _ = scorewire(capsys, monkeypatch, "import", "old.syx", "--json")
    assert code == 0
    assert "checksum is wrong" in json.loads(out)["voices"][0]["lost"][0]


def test_a_file_of_many_messages(tmp_path: Path, capsys: Any, monkeypatch: Any) -> None:
    """Four banks, between them what is no voice: 128 presets that sort by number."""
    korg = b"\xf0\x42\x30\x03\x40\xf7"
    (tmp_path / "all.syx").write_bytes(korg + write_bank([PIANO] * 32) * 4 + b"\n")
    monkeypatch.chdir(tmp_path)
    code, out, _ = scorewire(capsys, monkeypatch, "import", "all.syx", "--json")
    assert code == 0
    result = json.loads(out)
    assert [Path(row["preset"]).name for row in result["voices"]] == [
        f"{number:03d}-e-piano-1.json" for number in range(1, 129)
    ]
    passed_over = [
        "another maker's message (Korg, 6 bytes)",
        "1 byte outside of any message",
    ]
    assert result["passed_over"] == passed_over
    code, out, _ = scorewire(capsys, monkeypatch, "import", "all.syx", "--voice", 128)
    assert code == 0
    assert all(said in out for said in passed_over)


def test_one_voice_of_a_file(tmp_path: Path, capsys: Any, monkeypatch: Any) -> None:
    (tmp_path / "one.syx").write_bytes(write_single(PIANO))
    arguments = ("import", tmp_path / "one.syx", "--out", tmp_path / "made", "--voice")
    code, out, _ = scorewire(capsys, monkeypatch, *arguments, 1)
    assert code == 0
    assert "E.PIANO 1" in out
    assert [path.name for path in (tmp_path / "made").iterdir()] == ["01-e-piano-1.json"]
    assert "lost" not in out  # envelopes, release and LFO come along
    code, _, err = scorewire(capsys, monkeypatch, *arguments, 2)
    assert (code, err) == (1, "scorewire: voice must be 1 .. 1, got 2\n")


def test_a_name_is_text_and_no_markup(tmp_path: Path, capsys: Any, monkeypatch: Any) -> None:
    """And a long path is folded, not cut: whoever reads the table can open the file."""
    odd = [replace(PIANO, name=name) for name in ("[/x]", "[red]", "[bell")]
    (tmp_path / "odd.syx").write_bytes(write_bank([*odd, *[PIANO] * 29]))
    arguments = ("import", tmp_path / "odd.syx", "--out", tmp_path / ("long" * 20))
    code, out, _ = scorewire(capsys, monkeypatch, *arguments)
    assert code == 0
    assert all(voice.name in out for voice in odd)
    assert "\u2026" not in out


def test_what_is_no_dx7_file_leaves_nothing(tmp_path: Path, capsys: Any, monkeypatch: Any) -> None:
    (tmp_path / "silent.syx").write_bytes(write_single(SILENT))
    (tmp_path / "short.syx").write_bytes(b"F0")
    (tmp_path / "empty.syx").touch()
    (tmp_path / "folder.syx").mkdir()
    for name, reason in (
        ("silent", "is silent"),
        ("short", "has 2"),
        ("none", "does not exist"),
        ("empty", "is empty (0 bytes)"),
        ("folder", "is not a file"),
    ):
        arguments = ("import", tmp_path / f"{name}.syx", "--out", tmp_path / "made", "--json")
        code, out, err = scorewire(capsys, monkeypatch, *arguments)
        assert code == 1
        assert reason in err
        assert err.count("\n") == 1
        assert json.loads(out.splitlines()[-1])["error"]["code"] == "bad-input"
        assert not (tmp_path / "made").exists()
