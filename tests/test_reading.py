"""Text from strangers is refused when it is too large or too deep, at every door of ours."""

import json
import os
import subprocess
from pathlib import Path

import pytest

import presets
from bridge import recorder
from bridge.app import folder_requests
from bridge.execution import local
from bridge.player import protocol
from bridge.protocol import worker_loop
from bridge.protocol.patch_jobs import DesignPatch
from bridge.service import config, discovery
from bridge.service.language_model import parse_prompts
from bridge.service.ledger import Store
from bridge.stems import manifest
from bridge.worker.window_store import FinishedWindows
from presets.library import Library, slots
from presets.moves import promised
from presets.reading import DEPTH, LARGEST, read_json, read_text, read_toml
from sds.datasets import evaluation_items
from sds.priors import checkpoints
from sds.scoreboard import board

DEEP = "[" * 100_000
CLOSED = "[" * 50_000 + "]" * 50_000
TABLES = '{"a":' * 50_000 + "1" + "}" * 50_000
BAD = (DEEP, CLOSED, TABLES)


@pytest.mark.parametrize("text", BAD)
def test_deep_text_is_refused_in_a_sentence(text: str) -> None:
    with pytest.raises(ValueError, match=r"^it has .* more than 64 levels deep$"):
        read_json(text, name="it")
    with pytest.raises(ValueError, match=r"^it has .* more than 64 levels deep$"):
        read_text(text, name="it")


@pytest.mark.parametrize("opened", ["[", '{"a":'])
def test_the_deepest_that_is_read(opened: str) -> None:
    closed = {"[": "]"}.get(opened, "}")
    value = read_json(opened * DEPTH + "1" + closed * DEPTH)
    for _ in range(DEPTH):
        (value,) = value if isinstance(value, list) else value.values()
    assert value == 1
    with pytest.raises(ValueError, match="levels"):
        read_json(opened * (DEPTH + 1) + "1" + closed * (DEPTH + 1))


def test_brackets_in_text_are_no_levels() -> None:
    value = {"a": '[{"\\' * 1000, "b": [[]] * 1000}
    assert read_json(json.dumps(value)) == value
    with pytest.raises(ValueError, match="is not JSON text"):
        read_json("]" * 200 + "[" * 60)


def test_the_largest_that_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('"' + "x" * 98 + '"')
    assert read_json(path, 100) == "x" * 98
    with pytest.raises(ValueError, match=r"^a.json has more than 99 bytes, the most that is read$"):
        read_json(path, 99)
    os.truncate(path, LARGEST + 1)
    with pytest.raises(ValueError, match=r"^a.json has more than 64 MB"):
        read_json(path)


@pytest.mark.parametrize(
    "text",
    [
        f"a = {'[' * 5000}",
        f"a = {'[' * 5000}{']' * 5000}",
        f"a = {'{b = ' * 5000}1{'}' * 5000}",
        f"{'a.' * 5000}a = 1",
        f"[{'a.' * 5000}a]",
    ],
)
def test_deep_toml_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="more than 64 levels deep"):
        read_toml(text)


def test_toml_is_read_whatever_stands_in_text_and_comments() -> None:
    many = "[" * 100
    text = f"# {many}\na = \"{many}\\\"{many}\"\nb = '{many}'\nc = '''\n{many}'{many}'''\n"
    text += f'd = """\n{many}"{many}\\"{many}"""\n[e]\nf = [[1], [2]]\n'
    assert read_toml(text) == {
        "a": f'{many}"{many}', "b": many, "c": f"{many}'{many}", "d": f'{many}"{many}"{many}',
        "e": {"f": [[1], [2]]},
    }  # fmt: skip


# Every door, with text that ended in a RecursionError or an endless read.


def model_config(path: Path) -> None:
    checkpoints._read_config(path)


def exchanged(path: Path) -> None:
    folder_requests.read(
        path.rename(path.with_name(folder_requests.REQUEST)).parent, config.Config()
    )


def slot_table(path: Path) -> None:
    slots.read(path.rename(path.with_name(slots.FILE)).parent)


def manifest_of_items(path: Path) -> None:
    evaluation_items.manifest(path.rename(path.with_name("manifest.json")).parent)


def windows(path: Path) -> None:
    path.rename(path.with_name("window-00000.json"))
    FinishedWindows(path.parent, [(0, 1)], 1, 1).curves()


DOORS = {
    "preset": (presets.load, LARGEST),
    "slots": (slot_table, slots.MAX_SLOTS),
    "moves": (promised, LARGEST),
    "manifest": (manifest.load, manifest.MAX_MANIFEST),
    "config": (config.load, 1 << 20),
    "model_config": (model_config, checkpoints.MAX_CONFIG),
    "exchange": (exchanged, folder_requests.MAX_REQUEST),
    "items": (manifest_of_items, LARGEST),
    "windows": (windows, LARGEST),
}


@pytest.mark.parametrize("text", BAD)
@pytest.mark.parametrize("door", DOORS)
def test_a_deep_file_is_one_sentence(tmp_path: Path, door: str, text: str) -> None:
    path = tmp_path / "file"
    path.write_text(f"a = {text}" if door == "config" else text)
    with pytest.raises((ValueError, checkpoints.ModelUnavailable)) as refused:
        DOORS[door][0](path)
    assert 0 < len(str(refused.value)) < 300


@pytest.mark.parametrize("door", DOORS)
def test_a_huge_file_is_not_read(tmp_path: Path, door: str) -> None:
    read, limit = DOORS[door]
    path = tmp_path / "file"
    with path.open("wb") as file:  # takes no room: nothing is in it
        file.truncate(8 * limit)
    with pytest.raises((ValueError, checkpoints.ModelUnavailable)) as refused:
        read(path)
    assert len(str(refused.value)) < 300


@pytest.mark.parametrize("text", BAD)
def test_deep_lines_are_noise(tmp_path: Path, text: str) -> None:
    assert worker_loop._id_of(text) == ""
    assert parse_prompts(text) is None
    assert local._parse(text.encode(), "j1") is None
    with pytest.raises(ValueError, match="recursion limit"):
        protocol.command_adapter.validate_json(text)
    (tmp_path / discovery.FILE).write_text(text)
    assert discovery.find(tmp_path) is None
    rows = tmp_path / "rows.jsonl"
    rows.write_text(f"{text}\n")
    assert board.read_rows(rows) == []


def test_a_recorder_hears_what_comes_after_a_deep_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", iter([f"{DEEP}\n", '{"kind": "cancel"}\n']))
    orders = recorder.RecorderCommands()
    orders.hear()
    assert orders.said == "cancel"


def test_a_library_says_which_file_is_too_deep(tmp_path: Path) -> None:
    library = Library(tmp_path)
    library.add(presets.Preset(name="Pot", renderer="fm", renderer_version=1, values={}))
    (tmp_path / "deep.json").write_text(DEEP)
    assert [entry.name for entry in library.find()] == ["Pot"]
    ((file, why),) = library.unreadable()
    assert file == "deep.json"
    assert "64 levels" in why


def test_a_deep_line_of_the_ledger_hides_no_other(tmp_path: Path) -> None:
    with Store(tmp_path / "jobs.sqlite") as store:
        for number in range(3):
            job = DesignPatch(id=f"j{number}", prompt="a", renderer="fm", out=str(tmp_path))
            store.add(job, client="c", request=number)
            store.finish(job.id, "done", result={})
        store._db.execute("UPDATE jobs SET result = ? WHERE id = 'j1'", (TABLES,))
        store._db.execute("UPDATE jobs SET job = ? WHERE id = 'j2'", (DEEP,))
        assert [entry.job.id for entry in store.list()] == ["j0"]
        assert store.get("j1") is None
        assert store.by_request("c", 2) is None


def test_a_deep_header_of_weights_is_refused(tmp_path: Path) -> None:
    header = DEEP.encode()
    path = tmp_path / "model.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    with pytest.raises(checkpoints.ModelUnavailable, match="damaged"):
        checkpoints.read_tensors(path)
    path.write_bytes((2**62).to_bytes(8, "little"))
    with pytest.raises(checkpoints.ModelUnavailable, match="damaged"):
        checkpoints.read_tensors(path)


def test_no_reader_of_ours_is_without_bounds() -> None:
    """`json.loads` and its kin stand in presets/reading.py, and where text has passed it."""
    root = Path(presets.__file__).parents[1]
    found = subprocess.run(
        [
            "grep", "-rnE", r"json\.loads?\(|tomllib\.loads?\(|model_validate_json",
            "--include=*.py", "presets", "renderers", "sds", "bridge",
        ],
        cwd=root, capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    places = sorted({line.partition(":")[0] for line in found})
    assert places == [
        "bridge/execution/local.py",  # behind `read_text`: it takes NaN for nothing
        "bridge/hosts/scripts/ableton/__init__.py",  # runs in Live, where presets/ is not
        "renderers/plugin_child.py",  # a script by itself; its parent wrote what it reads
    ]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.json")
    for read in (read_json, read_toml, read_text, presets.load):
        with pytest.raises(ValueError, match=r"^pipe\.json is not a .*but a pipe or a device$"):
            read(tmp_path / "pipe.json")
