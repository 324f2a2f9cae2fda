"""The scoreboard: rows survive, figures agree with theory, the command runs from end to end."""

import json
import math
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from bridge import worker
from bridge.cli import main
from bridge.cli.evaluate import merge_pages
from bridge.protocol.events import Done, Progress
from bridge.protocol.jobs import Evaluate, Part
from bridge.service.config import Config
from bridge.service.file_access import NeedsKey, bound
from bridge.worker.models import gaussian
from sds.datasets import evaluation_items
from sds.priors.gaussian import GaussianPrior
from sds.scoreboard import board, codec, report
from sds.scoreboard.board import Column, Entry, Figures, Now, Row, Setting, Task
from sds.scoreboard.keys import Key
from sds.scoreboard.suites import SUITES
from sds.signal import audio_files

RATE, SECONDS = 44100, 0.5


class Identity(GaussianPrior):
    """A codec that loses nothing, and no bit."""

    def __init__(self) -> None:
        super().__init__({"": 0.0}, {"": 1.0})

    def encode(self, audio: Tensor) -> Tensor:
        return audio

    def decode(self, latent: Tensor, *, like: Tensor | None = None) -> Tensor:
        return latent


class Deaf:
    """An evaluation scorer that hears the first prompt whatever sounds."""

    name = "deaf"

    def similarity(self, audio: Tensor, rate: int, prompts: list[str]) -> Tensor:
        return torch.eye(len(prompts))[:1].expand(len(audio), -1)


def noise(seed: int, seconds: float = SECONDS) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 0.1 * torch.randn(1, round(seconds * RATE), generator=generator)


def tone(hz: float, seconds: float = SECONDS) -> Tensor:
    return 0.2 * torch.sin(2 * math.pi * hz * torch.arange(round(seconds * RATE)) / RATE)[None]


def struck(seed: int) -> Tensor:
    """Noise that dies away, 0.1 s after the beginning."""
    t = torch.arange(round(SECONDS * RATE)) / RATE - 0.1
    return noise(seed) * torch.exp(-20 * t) * (t > 0)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two one-shots, and a mixture of a low and a high tone."""
    folder = tmp_path_factory.mktemp("recordings")
    (folder / "oneshots").mkdir()
    (folder / "mixtures").mkdir()
    shots, files = [], {"mix": tone(200) + tone(8000), "source1": tone(200), "source2": tone(8000)}
    for number, label in enumerate(("kick", "bell")):
        audio_files.write(folder / f"oneshots/{label}.wav", struck(number), RATE)
        shots.append({"id": label, "caption": f"a {label}", "cls": label, "file": f"{label}.wav"})
    for name, sound in files.items():
        audio_files.write(folder / f"mixtures/{name}.wav", sound, RATE)
    names = {name: f"{name}.wav" for name in files}
    mixed = [{"id": "tones", "prompts": ["low", "high"], "files": names}]
    for kind, rows in (("oneshots", shots), ("mixtures", mixed)):
        text = json.dumps({"format": 1, "items": rows})
        (folder / kind / "manifest.json").write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def setting(data: Path, tmp_path: Path) -> Setting:
    return Setting(data, Identity(), Deaf(), Deaf(), (), tmp_path)


# The board.


def counted(runs: list[str], figures: Figures) -> board.Suite:
    """Three tasks that write down that they ran."""

    def task(item: str) -> Task:
        def run() -> Iterator[Figures]:
            runs.append(item)
            yield {"half": 0.5}
            yield figures

        return Task(item, "m", run, ("tag",))

    return lambda setting: [task(item) for item in "abc"]


def rows_of(nows: list[Now]) -> list[Row]:
    return [now.row for now in nows if now.row is not None]


def test_a_task_runs_once_and_a_cut_line_costs_its_task_only(
    setting: Setting, tmp_path: Path
) -> None:
    path, runs = tmp_path / "rows.jsonl", list[str]()
    suites = {"s": counted(runs, {"x": 1.0, "é": 2.0})}
    first = rows_of(list(board.evaluate(suites, setting, path)))
    assert [(row.item, row.figures, row.tags) for row in first] == [
        (item, {"x": 1.0, "é": 2.0}, ("tag",)) for item in "abc"
    ]
    whole = path.read_bytes()
    path.write_bytes(whole[: whole.rindex("é".encode()) + 1])  # in the middle of the last row
    again = list(board.evaluate(suites, setting, path))
    assert runs == ["a", "b", "c", "c"]
    assert [(now.row.item, now.old) for now in again if now.row] == [
        ("a", True), ("b", True), ("c", False),
    ]  # fmt: skip
    assert [row.item for row in board.read_rows(path)] == ["a", "b", "c"]
    third = rows_of(list(board.evaluate(suites, setting, path)))
    assert third == rows_of(again)
    assert len(runs) == 4


def test_a_stopped_run_keeps_its_rows(setting: Setting, tmp_path: Path) -> None:
    path, runs = tmp_path / "rows.jsonl", list[str]()
    suites = {"s": counted(runs, {"x": 1.0})}
    for now in board.evaluate(suites, setting, path):
        if now.item == "b":
            break
    assert [row.item for row in board.read_rows(path)] == ["a"]
    assert [row.item for row in rows_of(list(board.evaluate(suites, setting, path)))] == [*"abc"]
    assert runs.count("a") == 1


def test_only_the_methods_asked_for_run(setting: Setting, tmp_path: Path) -> None:
    path, runs = tmp_path / "rows.jsonl", list[str]()
    suites = {"s": counted(runs, {"x": 1.0})}
    assert len(rows_of(list(board.evaluate(suites, setting, path, methods=["m"])))) == 3
    with pytest.raises(ValueError, match="method must be one of m, got 'n'"):
        list(board.evaluate(suites, setting, path, methods=["m", "n"]))
    assert len(runs) == 3


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_figure_that_is_no_number_is_refused(
    value: float, setting: Setting, tmp_path: Path
) -> None:
    suites = {"s": counted([], {"x": 1.0, "bad": value})}
    with pytest.raises(ValueError, match="figures must be finite, got bad of s: a, m"):
        list(board.evaluate(suites, setting, tmp_path / "rows.jsonl"))


def test_two_tasks_of_one_name_are_refused(setting: Setting, tmp_path: Path) -> None:
    both = {"s": lambda setting: 2 * counted([], {"x": 1.0})(setting)}
    with pytest.raises(ValueError, match=r"once, got \('s', 'a', 'm'\) 2x"):
        list(board.evaluate(both, setting, tmp_path / "rows.jsonl"))


def test_random_numbers_depend_on_seed_and_words(setting: Setting) -> None:
    def draw(setting: Setting, *words: object) -> float:
        return float(torch.rand((), generator=setting.generator(*words)))

    assert draw(setting, "a", 1) == draw(setting, "a", 1)
    assert len({draw(replace(setting, seed=s), w) for s in (0, 1) for w in ("a", "b")}) == 4


# The report.

ROWS = [
    Row("s", "a", "one", {"x": 1.0, "y": 5.0}, ("low",), 1.5, "k", "2026-01-02"),
    Row("s", "b", "one", {"x": 3.0}, (), 2.5, "k", "2026-01-03"),
    Row("s", "a", "two | 2", {"x": -1.0}, ("low",), 0.0, "k", "2026-01-02"),
]
ENTRY = Entry(
    lambda setting: [],
    (Column("x", "x, dB", 1, "higher"), Column("y", "y", 0), Column("z", "z")),
    "What it is.",
    lambda rows: [f"{len(rows)} rows"],
)
KEY = Key(
    *("s", "c0de", "m", "j", "e", "q", "l", "u", "b", "t", "n", "c", "r", "i", "k", "o", "v", "d"),
    0,
    None,
)
PAGE = report.Page(
    command="scorewire eval",
    evaluation_scorer=report.Weights("evaluation_scorer"),
    search_scorer=report.Weights("search_scorer", "def"),
    data="data",
    models={"m": report.Measured(report.Weights("m", "abc"), {"s": KEY}, ROWS)},
)


def test_mean_spread_and_count() -> None:
    tables = report.summary(ROWS)["s"]
    assert tables["all"]["one"] == {
        "x": {"mean": 2.0, "sd": pytest.approx(math.sqrt(2)), "n": 2},
        "y": {"mean": 5.0, "n": 1},
    }
    assert list(tables) == ["all", "low"]
    assert tables["low"] == {
        "one": {"x": {"mean": 1.0, "n": 1}, "y": {"mean": 5.0, "n": 1}},
        "two | 2": {"x": {"mean": -1.0, "n": 1}},
    }


def test_a_page_is_a_table_in_plain_text() -> None:
    page = report.markdown(PAGE, {"s": ENTRY})
    assert page.startswith(report.HEAD)
    assert (
        "## s\n\n- Measured 2026-01-02 to 2026-01-03 by `scorewire eval`: 3 results in 4 s\n"
        in page
    )
    assert f"- Code c0de, methods v, data data (d), key {KEY.digest}\n" in page
    assert (
        "- Model m (abc), evaluation scorer evaluation_scorer; "
        "searches listen to search_scorer (def)\n" in page
    )
    said = (
        "- Query network q, tagger l, trunk u, bank b, text t, sentences n, captions c, "
        "reference r, copy index i, stem masks k, model of four stems o"
    )
    assert f"{said}\n" in page
    assert "- 3 rows\n" in page
    assert page.split("### s, all\n\n")[1].split("\n\n")[0].splitlines() == [
        "| method   | x, dB ↑       | y     |",
        "|----------|---------------|-------|",
        "| one      | 2.0 ± 1.4 (2) | 5 (1) |",
        "| two \\| 2 | -1.0 (1)      | -     |",
    ]


def test_the_json_holds_what_the_page_does() -> None:
    got = report.as_json(PAGE, {"s": ENTRY})
    assert json.loads(json.dumps(got, allow_nan=False)) == got
    assert got["seconds"] == 4.0
    assert (got["models"]["m"]["name"], got["models"]["m"]["hash"]) == ("m", "abc")
    assert got["models"]["m"]["keys"]["s"]["code"] == "c0de"
    assert got["suites"]["s"]["findings"] == ["3 rows"]
    assert got["suites"]["s"]["tables"]["all"]["one"]["x"]["n"] == 2


def test_the_rows_of_two_models_stand_beside_each_other() -> None:
    other = replace(KEY, model="n")
    rows = [replace(row, figures={"x": 10 * row.figures["x"]}) for row in ROWS]
    two = replace(
        PAGE,
        models=dict(PAGE.models) | {"n": report.Measured(report.Weights("n"), {"s": other}, rows)},
    )
    page = report.markdown(two, {"s": ENTRY})
    assert f"key {KEY.digest}, {other.digest}\n- Model m (abc), n, evaluation" in page
    assert "- m: 3 rows\n- n: 3 rows\n" in page
    table = page.split("### s, all\n\n")[1].split("\n\n")[0].splitlines()
    assert [line.split("|")[1].strip() for line in table[2:]] == [
        "m, one", "n, one", "m, two \\", "n, two \\",
    ]  # fmt: skip
    got = report.as_json(two, {"s": ENTRY})
    assert got["seconds"] == 8.0
    assert got["suites"]["s"]["tables"]["all"]["n, one"]["x"]["mean"] == 20.0


# The codec suite.


def figures(setting: Setting) -> dict[tuple[str, str], Figures]:
    return {(t.item, t.method): list(t.run())[-1] for t in codec.suite(setting)}


def test_a_codec_that_loses_nothing(setting: Setting) -> None:
    got = figures(setting)
    perfect = {"si_sdr": 200.0, "spectral": 0.0, "log_mel": 0.0, "attack_ms": 0.0, "onset_ms": 0.0}
    for method in ("codec", "codec, phase given"):
        assert got["kick", method] == perfect | {"top1": 1.0}
        assert got["bell", method] == perfect | {"top1": 0.0}  # the evaluation scorer says "kick"
        assert got["tones 1", method] == perfect
    assert got["kick", "as recorded"] == {"top1": 1.0}
    assert ("tones 1", "as recorded") not in got
    assert got["tones 2", "decoded sources"] == {"si_sdr": 200.0}
    # two tones that share no bin: the mask lets one through but for the window's side lobes
    assert got["tones 1", "ideal masks"]["si_sdr"] > 50
    assert got["tones 1", "masks of decoded sources"] == got["tones 1", "ideal masks"]
    # white noise keeps its magnitudes and loses its phase
    assert got["kick", "true magnitudes"]["si_sdr"] < 0
    assert got["kick", "true magnitudes"]["log_mel"] < 3


def test_recordings_of_the_training_folder_pass_too(
    setting: Setting, data: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(data, tmp_path / "copy")
    (folder / "train").mkdir()
    lines = ["path,caption,class,adjectives"]
    for name in ("a", "b"):  # few files of a class: the prior hears every other one
        audio_files.write(folder / f"train/{name}.wav", torch.cat(8 * [struck(5)], -1), RATE)
        lines.append(f"{name}.wav,a kick,kick,")
    (folder / "train/captions.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    found = {t.item: t for t in codec.suite(replace(setting, data=folder)) if t.method == "codec"}
    assert set(found) == {"kick", "bell", "tones 1", "tones 2", "a.wav"}
    assert found["a.wav"].tags == ("learned", "kick")
    (got,) = found["a.wav"].run()
    assert got["si_sdr"] == 200.0
    assert got["top1"] == 1.0  # "kick" is the first class


def test_a_codec_of_another_rate_and_more_channels(setting: Setting) -> None:
    prior = GaussianPrior({"": 0.0}, {"": 1.0}, sample_rate=48000, channels=2)
    got = figures(replace(setting, prior=prior))
    assert got["kick", "codec"]["si_sdr"] > 100  # the DCT's rounding
    assert got["tones 1", "ideal masks"]["si_sdr"] > 30
    assert got["tones 1", "decoded sources"]["si_sdr"] > 60  # 44.1 to 48 kHz and back


def test_the_codec_says_its_median_and_its_worst() -> None:
    values = ((70.0, 0.2), (60.0, 0.4), (90.0, 0.1))
    rows = [Row("codec", str(a), "codec", {"si_sdr": a, "attack_ms": b}) for a, b in values]
    rows.append(Row("codec", "x", "true magnitudes", {"si_sdr": -9.0}))
    assert codec.findings(rows) == [
        "SI-SDR of encode and decode without a given phase: median 70.0 dB, worst 60.0 dB of 3.",
        "Error of the attack of encode and decode without a given phase: median 0.2 ms, worst "
        "0.4 ms of 3.",
    ]


def test_timing_is_that_of_the_envelope() -> None:
    steady = tone(2000)[0]
    t = torch.arange(len(steady)) / RATE

    def faded(start: float, seconds: float) -> Tensor:
        return steady * ((t - start) / seconds).clamp(0, 1)

    # the energy of a linear fade is a parabola: 10 % of it at sqrt 0.1 of its length, 90 % at
    # sqrt 0.9
    got = codec.timing_errors(faded(0.2, 0.080), faded(0.2, 0.040), RATE)
    assert got["attack_ms"] == pytest.approx((0.9**0.5 - 0.1**0.5) * 40, abs=0.5)
    assert got["onset_ms"] == pytest.approx(0.1**0.5 * 40, abs=0.5)
    later = codec.timing_errors(faded(0.203, 0.04), faded(0.2, 0.04), RATE)
    assert later == {
        "attack_ms": pytest.approx(0, abs=0.1),
        "onset_ms": pytest.approx(3.0, abs=0.1),
    }
    assert (
        codec.timing_errors(faded(0.2, 0.040), faded(0.2, 0.080), RATE) == {}
    )  # no attack to time
    assert codec.timing_errors(0 * steady, faded(0.2, 0.040), RATE) == {}


def test_a_stroke_is_not_taken_for_another() -> None:
    near, far = struck(0)[0], struck(1)[0].roll(RATE // 5)
    got = codec.timing_errors(near + 2 * far, near + 0.5 * far, RATE)
    assert max(got.values()) < 0.1


def test_data_without_a_manifest(setting: Setting, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"data must have mixtures/manifest.json, .* has none"):
        codec.suite(replace(setting, data=tmp_path))


# End to end.


def job(data: Path, out: Path, **changes: Any) -> Evaluate:
    fields = {"id": "j", "suites": ("codec",), "data": str(data), "out": str(out)}
    return Evaluate.model_validate(fields | {"models": ("gaussian",)} | changes)


@pytest.fixture(scope="module")
def models() -> worker.Models:
    return worker.Models()


def test_command_to_page(
    data: Path, tmp_path: Path, models: worker.Models, capsys: Any, monkeypatch: Any
) -> None:
    monkeypatch.setenv("SCOREWIRE_DATA", str(tmp_path / "ledger"))
    argv = ["eval", "--suite", "codec", "--data", data, "--model", "gaussian", "--json"]
    argv += ["--out", tmp_path / "out", "--report", tmp_path / "page.md"]
    monkeypatch.setattr(sys, "argv", ["scorewire", *map(str, argv)])
    with pytest.raises(SystemExit) as end:
        main.main()
    assert not end.value.code
    got = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (got["models"]["gaussian"]["name"], got["models"]["gaussian"]["hash"]) == (
        "gaussian",
        "",
    )
    tables = got["suites"]["codec"]["tables"]
    assert tables["one-shots"]["codec"]["si_sdr"]["mean"] > 100
    assert tables["kick"]["codec"]["top1"]["n"] == 1
    assert tables["separation"]["ideal masks"]["si_sdr"]["n"] == 2
    page = (tmp_path / "page.md").read_text(encoding="utf-8")
    assert page == Path(got["page"]).read_text(encoding="utf-8")
    assert f"--data {data.name} " in page
    assert str(tmp_path) not in page

    # again: nothing is left to do, and the page is the same
    before = Path(got["rows"]).read_bytes()
    events = list(worker.work(job(data, tmp_path / "out"), models))
    assert Path(got["rows"]).read_bytes() == before
    assert isinstance(events[-1], Done)
    assert Path(events[-1].result["page"]).read_text(encoding="utf-8") == page


def test_a_cancelled_job_goes_on_and_another_setting_does_not_mix(
    data: Path, tmp_path: Path, models: worker.Models
) -> None:
    work = worker.work(job(data, tmp_path), models)
    for event in work:
        if isinstance(event, Progress) and event.fraction > 0.5:
            break
    work.close()
    rows = tmp_path / "rows.jsonl"
    kept = rows.read_bytes()
    assert len(kept.splitlines()) == 11  # of 20: two one-shots 4 ways, two tones 3 ways and 3 caps
    assert sorted(path.name for path in tmp_path.iterdir()) == ["rows.jsonl"]
    measured = job(data, tmp_path).model_copy(update={"measured": True})
    page = list(worker.work(measured, models))[-1]
    assert isinstance(page, Done)
    assert "--measured" in Path(page.result["page"]).read_text(encoding="utf-8")
    assert rows.read_bytes() == kept
    events = list(worker.work(job(data, tmp_path), models))
    assert rows.read_bytes().startswith(kept)
    done = board.read_rows(rows)
    assert len({(row.item, row.method) for row in done}) == len(done) == 20
    fractions = [event.fraction for event in events if isinstance(event, Progress)]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    list(worker.work(job(data, tmp_path, seed=1), models))
    every = board.read_rows(rows)
    assert len(every) == 40
    assert len({row.key for row in every}) == 2


def test_shares_of_the_items_make_the_rows_of_one_go(
    data: Path, tmp_path: Path, models: worker.Models
) -> None:
    """Each machine has a file of its own; the bridge puts their lines together."""
    rows: dict[int, list[Row]] = {}
    for index in range(3):
        part = Part(id="p", job=job(data, tmp_path / str(index)), index=index, of=3)
        assert isinstance(list(worker.work(part, models))[-1], Done)
        assert [path.name for path in (tmp_path / str(index)).iterdir()] == ["rows.jsonl"]
        rows[index] = board.read_rows(tmp_path / str(index) / "rows.jsonl")
    items = [{row.item for row in some} for some in rows.values()]
    assert sum(map(len, items)) == len(set.union(*items)) == 4  # of each all methods, in one place
    (tmp_path / "all").mkdir()
    lines = b"".join((tmp_path / str(k) / "rows.jsonl").read_bytes() for k in (2, 0, 1))
    (tmp_path / "all" / "rows.jsonl").write_bytes(lines)
    events = list(worker.work(job(data, tmp_path / "all"), models))
    assert isinstance(events[-1], Done)
    assert (tmp_path / "all" / "rows.jsonl").read_bytes() == lines  # nothing is measured again
    list(worker.work(job(data, tmp_path / "one"), models))
    one = {
        (row.item, row.method): row.figures
        for row in board.read_rows(tmp_path / "one" / "rows.jsonl")
    }
    assert one == {(row.item, row.method): row.figures for some in rows.values() for row in some}


class Two(worker.Models):
    """Two priors that differ by their name."""

    def prior(self, name: str, prompts: Sequence[str]) -> GaussianPrior:
        prior = gaussian(prompts)
        prior.name = name
        return prior


def test_two_models_in_one_run(data: Path, tmp_path: Path) -> None:
    *events, done = worker.work(job(data, tmp_path, models=("one", "/a/two"), items=1), Two())
    assert isinstance(done, Done)
    rows = board.read_rows(tmp_path / "rows.jsonl")
    first, second = dict.fromkeys(row.key for row in rows)
    assert [row.item for row in rows if row.key == first] == [
        row.item for row in rows if row.key == second
    ]
    page = Path(done.result["page"]).read_text(encoding="utf-8")
    assert "--items 1 --model one --model two --evaluation-scorer default" in page
    assert f"key {first}, {second}\n" in page
    assert page.index("| one, codec ") < page.index("| two, codec ") < page.index("| one, codec, ")
    fractions = [event.fraction for event in events if isinstance(event, Progress)]
    assert fractions == sorted(fractions)
    assert any(e.stage.startswith("two, codec: ") for e in events if isinstance(e, Progress))


def test_without_the_key_the_scoreboard_is_of_installed_models() -> None:
    asked = Evaluate(id="j", data="/d", out="/o", models=("default", "/x"))
    with pytest.raises(NeedsKey, match="without the key the model must be 'default'"):
        bound(asked, Config(), trusted=False)


def test_a_report_keeps_the_sections_of_suites_that_were_not_run() -> None:
    old = "# Old\n\nhead\n\n## separate\n\n1\n\n### separate, all\n\n2\n\n## codec\n\n3\n"
    new = "# New\n\n## prior\n\n4\n\n## codec\n\n5\n"
    assert merge_pages(old, new) == (
        "# New\n\n## codec\n\n5\n\n## prior\n\n4\n\n## separate\n\n1\n\n### separate, all\n\n2\n"
    )
    assert merge_pages("", new) == "# New\n\n## codec\n\n5\n\n## prior\n\n4\n"
    assert merge_pages(merge_pages(old, new), new) == merge_pages(old, new)


def test_the_published_page_is_what_the_command_writes() -> None:
    """Nothing by hand: its head is the report's, and every section says what measured it."""
    page = (Path(__file__).parents[1] / "docs" / "scoreboard.md").read_text(encoding="utf-8")
    assert merge_pages(page, report.HEAD) == page
    sections = page.split("\n## ")[1:]
    assert [section.split("\n", 1)[0] for section in sections] == list(SUITES)
    assert all("\n\n- Measured 20" in section for section in sections)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--suite", "codecs"), "--suite: input should be 'codec', 'prior', 'patch', 'playable', "),
        (("--data", "nowhere"), "nowhere is not a folder"),
        (("--report", "nowhere/page.md"), "nowhere/page.md cannot be written: no such folder"),
        (("--out", "file"), "file is not a folder"),
    ],
)
def test_a_command_that_cannot_run_says_so(
    arguments: tuple[str, ...],
    reason: str,
    data: Path,
    tmp_path: Path,
    capsys: Any,
    monkeypatch: Any,
) -> None:
    monkeypatch.setenv("SCOREWIRE_DATA", str(tmp_path / "ledger"))
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    monkeypatch.setattr(sys, "argv", ["scorewire", "eval", "--data", str(data), *arguments])
    with pytest.raises(SystemExit) as end:
        main.main()
    assert end.value.code in (1, 2)
    said = capsys.readouterr()
    assert reason in said.err
    assert "\n" not in said.err.strip()
    assert not (tmp_path / "scoreboard").exists()


def test_what_is_scored_has_a_fingerprint(data: Path, tmp_path: Path) -> None:
    before = evaluation_items.fingerprint(data)
    assert before == evaluation_items.fingerprint(data)
    assert evaluation_items.fingerprint(tmp_path) != before


def test_no_judge_no_scoreboard(data: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there is no evaluation scorer here"):
        list(worker.work(job(data, tmp_path), worker.Models(evaluation_scorer=tmp_path)))


def test_every_suite_has_its_columns() -> None:
    for name, entry in SUITES.items():
        assert entry.about.strip(), name
        assert len({column.name for column in entry.columns}) == len(entry.columns), name
