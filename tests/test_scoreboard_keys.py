"""Whatever decides a figure is in its row's key: when it changes, the figure is measured anew."""

import json
from dataclasses import fields, replace
from functools import partial
from pathlib import Path

import pytest

import presets
import renderers
import sds
from bridge.protocol.jobs import Evaluate
from bridge.worker.evaluate import row_keys
from sds.scoreboard import board, keys
from sds.scoreboard.keys import SHIPPED, Key, code_digest, folder_digest, sources, values
from sds.scoreboard.suites import SUITES
from sds.separation.mask_settings import FAST
from tests.test_scoreboard import Deaf, Identity, counted, rows_of

KEY = Key(*"scmjequlubtncrikvd", 0, None)
PACKAGES = {one.__name__: Path(one.__path__[0]) for one in (presets, renderers, sds)}


@pytest.mark.parametrize("name", [field.name for field in fields(Key)])
def test_every_field_makes_another_key(name):
    other = replace(KEY, **{name: 7 if name in ("seed", "items") else "other"})
    assert other.digest != KEY.digest
    assert KEY.digest == Key(*(getattr(KEY, field.name) for field in fields(Key))).digest


@pytest.fixture
def toy(tmp_path):
    """A package: the suite imports near, near imports far in a function, nobody imports lone."""
    package = tmp_path / "toy"
    (package / "deep").mkdir(parents=True)
    texts = {
        "__init__": "",
        "suite": "import math\nfrom toy.deep import near\n",
        "deep/__init__": "",
        "deep/near": "def f():\n    import toy.far\n",
        "far": "from toy import suite\n",
        "lone": "",
    }
    for name, text in texts.items():
        (package / f"{name}.py").write_text(text)
    return package


def test_code_is_what_is_imported_and_nothing_else(toy):
    start, packages = [toy / "suite.py"], {"toy": toy}
    found = {path.relative_to(toy).as_posix() for path in sources(start, packages)}
    assert found == {"__init__.py", "suite.py", "deep/__init__.py", "deep/near.py", "far.py"}
    before = code_digest(start, packages)
    (toy / "lone.py").write_text("x = 1\n")
    assert code_digest(start, packages) == before
    for name in found:
        text = (toy / name).read_text()
        (toy / name).write_text(text + "# changed\n")
        assert code_digest(start, packages) != before, name
        (toy / name).write_text(text)
    assert code_digest(start, packages) == before


def test_a_suite_hangs_on_what_measures_and_makes_its_figures():
    files = {
        name: sources([Path(keys.__file__).with_name(f"{name}.py")], PACKAGES) for name in SUITES
    }
    names = {
        name: {str(path.relative_to(PACKAGES["sds"].parent)) for path in found}
        for name, found in files.items()
    }
    assert {"sds/metrics/spectral_statistics.py", "sds/similarity/two_tower.py"} <= names[
        "prior"
    ] | {"sds/similarity/two_tower.py"}
    assert {
        "sds/separation/time_frequency_masks.py",
        "sds/separation/query_network.py",
        "sds/metrics/separation.py",
    } <= names["separate"]
    assert {
        "sds/distillation/distill.py",
        "sds/distillation/differential_evolution.py",
        "sds/distillation/recipes.py",
    } <= names["patch"]
    assert not any("report.py" in found for found in names["separate"])


def test_values_are_those_of_the_methods():
    before = values({"fast": FAST})
    assert before == values({"fast": replace(FAST)})
    assert values({"fast": replace(FAST, grain=0.3)}) != before
    assert values({"fast": replace(FAST, recipe=replace(FAST.recipe, lr=0.5))}) != before
    assert values({"fast": replace(FAST, estimator=partial(FAST.estimator, steps=2))}) != before
    assert values({"quick": FAST}) != before


def test_a_folder_is_its_files(tmp_path):
    assert folder_digest(tmp_path / "none") == ""
    (tmp_path / "a").write_bytes(b"1")
    before = folder_digest(tmp_path)
    (tmp_path / "a").write_bytes(b"2")
    changed = folder_digest(tmp_path)
    (tmp_path / "a").rename(tmp_path / "b")
    assert len({before, changed, folder_digest(tmp_path)}) == 3


@pytest.fixture
def now(tmp_path, monkeypatch):
    """The key of the suite `separate` with networks of one byte each, again at every call."""
    for name in SHIPPED:
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.safetensors").write_bytes(b"1")
    monkeypatch.setattr(keys, "WEIGHTS", tmp_path)

    def key(seed=0, **changed):
        job = Evaluate(id="j", suites=("separate",), data="d", out="o", seed=seed)
        entry = replace(SUITES["separate"], **changed)
        return row_keys(job, {"separate": entry}, Identity(), Deaf(), Deaf())["separate"].digest

    return key


@pytest.mark.parametrize("name", SHIPPED)
def test_other_weights_are_another_key(now, tmp_path, name):
    before = now()
    (tmp_path / name / "model.safetensors").write_bytes(b"2")
    assert now() != before


def test_other_methods_another_seed_and_another_suite_are_another_key(now):
    assert now() == now()
    assert len({now(), now(methods={}), now(seed=1), now(suite=SUITES["codec"].suite)}) == 4


def test_rows_of_another_key_stay_and_do_not_count(tmp_path):
    setting = board.Setting(tmp_path, Identity(), Deaf(), Deaf(), (), tmp_path / "scratch")
    runs, path = [], tmp_path / "rows.jsonl"
    suites = {"s": counted(runs, {"x": 1.0})}
    for key in ("old", "new", "old", "new"):
        rows = rows_of(list(board.evaluate(suites, setting, path, keys={"s": key})))
        assert [row.key for row in rows] == [key] * 3
    assert runs == [*"abc", *"abc"]
    assert [json.loads(line)["key"] for line in path.read_text().splitlines()] == 3 * [
        "old"
    ] + 3 * ["new"]
