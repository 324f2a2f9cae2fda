"""Long separations: killed and gone on with, interrupted, cancelled; excerpts; negatives."""

import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile as sf
import torch

from bridge import worker
from bridge.files import atomic_output, wav
from bridge.files.names import sha256
from bridge.protocol import worker_loop
from bridge.protocol.events import Cancelled, Done, Event, Failed, Progress, event_adapter
from bridge.protocol.jobs import Job, Separate
from bridge.stems import excerpt, null_test, remake
from bridge.stems import manifest as stems
from bridge.worker import mixture, models, separate, suggest
from bridge.worker.window_store import FinishedWindows
from sds.detection.evidence import PresenceNetworks
from sds.detection.tagging import Suggestion
from sds.priors.checkpoints import ModelUnavailable
from sds.separation.separate import METHODS
from tests import small_worker

RATE = 8000


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(METHODS, "paper", small_worker.PAPER)
    monkeypatch.setattr(models, "gaussian", small_worker.gaussian)


def noise(path: Path, seconds: float, channels: int = 1, seed: int = 0, **how: Any) -> Path:
    audio = np.random.default_rng(seed).standard_normal((int(seconds * RATE), channels))
    sf.write(path, 0.1 * audio, RATE, **({"subtype": "FLOAT"} | how))
    return path


def job(file: Path, out: Path, **changes: Any) -> Separate:
    """`paper` in one step on the exact prior: windows of two seconds, each quickly done."""
    fields = {"id": "j", "prompts": ("one", "two"), "model": "gaussian", "method": "paper"}
    return Separate.model_validate(
        fields | {"steps": 1, "file": str(file), "out": str(out)} | changes
    )


def work(asked: Separate) -> worker_loop.Events:
    return worker.work(asked, worker.Models(evaluation_scorer=Path("nowhere")))


def result(asked: Separate) -> dict[str, Any]:
    *_, end = work(asked)
    assert isinstance(end, Done)
    return end.result


def contents(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def unfinished(out: Path) -> list[Path]:
    return sorted(out.glob(f"{atomic_output.UNFINISHED}*"))


def finished_windows(out: Path) -> list[Path]:
    return sorted(out.glob(f"{atomic_output.UNFINISHED}*/{atomic_output.SCRATCH}/window-*.f32"))


class Child:
    """A real worker process."""

    def __enter__(self) -> "Child":
        self.process = subprocess.Popen(
            [sys.executable, small_worker.__file__], env=os.environ | {"OMP_NUM_THREADS": "1"},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()

    def events(self, asked: Job) -> Any:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(asked.model_dump_json() + "\n")
        self.process.stdin.flush()
        for line in self.process.stdout:
            event: Event = event_adapter.validate_json(line)
            yield event
            if isinstance(event, Done | Failed | Cancelled):
                return


def test_a_killed_worker_s_windows_are_not_done_again_and_the_files_are_the_same(
    tmp_path: Path,
) -> None:
    file, out = noise(tmp_path / "long.wav", 6), tmp_path / "out"
    with Child() as child:
        for _ in child.events(job(file, out)):
            if len(finished_windows(out)) >= 2:
                child.process.kill()
                break
        child.process.wait()
    kept = finished_windows(out)
    (left,) = unfinished(out)
    assert list(out.iterdir()) == [left]  # nothing half-written where people look
    assert 2 <= len(kept) < 5
    (left / "half.wav").write_bytes(b"RIFF")  # nor does it come there later
    kept[-1].write_bytes(kept[-1].read_bytes()[:-4])  # a window cut short is no window

    with Child() as child:
        events = list(child.events(job(file, out, id="j2")))
        assert isinstance(events[-1], Done)
        first = next(e.fraction for e in events if e.stage == "separate")
        assert 0.9 * (len(kept) - 1) / 5 < first < len(kept) / 5
        *_, end = child.events(job(file, tmp_path / "whole"))
        assert isinstance(end, Done)
    assert unfinished(out) == []
    assert contents(out) == contents(tmp_path / "whole")
    assert {"curves.json", "stems.json"} < set(contents(out))


def stopped_after(asked: Separate, windows: int) -> tuple[worker_loop.Events, list[Event]]:
    """The job, as far as so many finished windows."""
    events, seen = work(asked), []
    for event in events:
        seen.append(event)
        parting = isinstance(event, Progress) and event.stage in ("latents", "stems")
        if parting and len(finished_windows(Path(asked.out))) == windows:
            break
    return events, seen


def test_a_worker_that_must_leave_keeps_what_is_done_and_a_cancelled_job_keeps_nothing(
    tmp_path: Path,
) -> None:
    file, out = noise(tmp_path / "long.wav", 6), tmp_path / "out"
    events, _ = stopped_after(job(file, out), 3)
    with pytest.raises(atomic_output.Interrupted):
        events.throw(atomic_output.Interrupted())
    assert len(finished_windows(out)) == 3
    again, seen = stopped_after(job(file, out, tempo="120", start_samples=5), 4)
    fractions = [event.fraction for event in seen if isinstance(event, Progress)]
    assert fractions == sorted(fractions)
    assert sum(event.stage == "latents" for event in seen if isinstance(event, Progress)) == 1
    again.close()
    assert list(out.iterdir()) == []


def test_the_pipe_tells_a_leaving_worker_from_a_cancelled_job() -> None:
    ends = []

    def story() -> worker_loop.Events:
        try:
            yield Progress(id="j", fraction=0, stage="a")
        except GeneratorExit as end:
            ends.append(type(end))
            raise

    asked = job(Path("/a.wav"), Path("/b"))
    for closing in (True, False):
        box = worker_loop.Inbox(io.StringIO(""))
        box.closing.set() if closing else box._cancelled.add("j")
        assert list(worker_loop.run(asked, lambda _: story(), box, codes={})) == [Cancelled(id="j")]
    assert ends == [atomic_output.Interrupted, GeneratorExit]


def test_other_work_in_the_same_folder_removes_what_was_abandoned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(atomic_output, "PATIENCE", 0.1)
    file, out = noise(tmp_path / "long.wav", 4), tmp_path / "out"
    events, _ = stopped_after(job(file, out), 1)
    with pytest.raises(atomic_output.Interrupted):
        events.throw(atomic_output.Interrupted())
    (old,) = unfinished(out)
    events, _ = stopped_after(job(file, out, prompts=("one", "three")), 1)
    (new,) = unfinished(out)
    assert new != old
    with pytest.raises(ValueError, match="is being written by another process"):
        list(work(job(file, out, prompts=("one", "three"))))
    assert unfinished(out) == [new]  # which goes on
    *_, end = events
    assert isinstance(end, Done)
    assert unfinished(out) == []
    assert null_test.verify(out / "stems.json") < -100


@pytest.mark.parametrize("failure", [ValueError("no"), OSError("disk full")])
def test_a_job_that_fails_leaves_nothing(tmp_path: Path, failure: Exception) -> None:
    (tmp_path / "out").mkdir()

    def fail() -> None:
        with atomic_output.resumable(tmp_path / "out" / "new", "k") as out:
            (out.scratch / "window").write_text("done")
            raise failure

    with pytest.raises(type(failure)):
        fail()
    assert list(tmp_path.rglob("*")) == [tmp_path / "out"]


def test_windows_on_disk_are_what_was_put(tmp_path: Path) -> None:
    kept = FinishedWindows(tmp_path, [(0, 5), (3, 8)], 2, 1)
    x = torch.rand(2, 1, 5)
    assert 1 not in kept
    kept.put(1, x, [(0.5, "a", {"loss": 1.0})])
    assert 1 in kept
    assert 0 not in kept
    assert torch.equal(kept.get(1), x)
    assert [path.name for path in sorted(tmp_path.iterdir())] == [
        "window-00001.f32", "window-00001.json",
    ]  # fmt: skip


@pytest.mark.parametrize("suffix", ["wav", "flac"])
def test_an_excerpt_is_the_busiest_stretch_in_its_own_folder(tmp_path: Path, suffix: str) -> None:
    """Loud from 12 s to 18 s, with one bang at 2 s that says nothing."""
    x = 0.01 * np.random.default_rng(0).standard_normal(30 * RATE)
    x[12 * RATE : 18 * RATE] *= 20
    x[2 * RATE] = 0.99
    file, out = tmp_path / f"a.{suffix}", tmp_path / "out"
    sf.write(file, x, RATE, subtype="PCM_16")
    got = result(job(file, out, excerpt=5, start_samples=1000, steps=1))
    begin, end = got["excerpt"]["begin"], got["excerpt"]["end"]
    assert 12 <= begin <= 13
    assert end - begin == pytest.approx(5)
    manifest = stems.load(out / "excerpt" / "stems.json")
    assert Path(got["manifest"]) == out / "excerpt" / "stems.json"
    assert (manifest.frames, manifest.start_samples) == (5 * RATE, 1000 + round(begin * RATE))
    assert null_test.verify(out / "excerpt" / "stems.json") < -100
    heard, _ = sf.read(out / "excerpt" / manifest.source_wav, dtype="float32")
    whole, _ = sf.read(file, dtype="float32")
    np.testing.assert_array_equal(heard, whole[round(begin * RATE) : round(end * RATE)])
    assert [path.name for path in out.iterdir()] == ["excerpt"]


def test_an_excerpt_begins_where_it_was_asked_for(tmp_path: Path) -> None:
    file, out = noise(tmp_path / "a.wav", 3), tmp_path / "out"
    got = result(job(file, out, excerpt=1, excerpt_begin=1.25, steps=1))
    assert got["excerpt"] == {"begin": 1.25, "end": 2.25}
    manifest = stems.load(out / "excerpt" / "stems.json")
    assert manifest.start_samples == 1.25 * RATE
    heard, _ = sf.read(out / "excerpt" / manifest.source_wav, dtype="float32")
    whole, _ = sf.read(file, dtype="float32")
    np.testing.assert_array_equal(heard, whole[int(1.25 * RATE) : int(2.25 * RATE)])
    with pytest.raises(ValueError, match=r"excerpt_begin must lie in the file, got 2.95 of 3.00 s"):
        result(job(file, out, excerpt=1, excerpt_begin=2.95))


def test_the_full_run_takes_over_what_the_excerpt_chose_and_says_so(tmp_path: Path) -> None:
    file, out = noise(tmp_path / "a.wav", 3), tmp_path / "out"
    assert excerpt.settings_of_excerpt(out, file) == {}
    asked = {"negatives": ("three",), "seed": 7, "method": "paper"}
    tried = result(job(file, out, excerpt=1, **asked))
    chosen = excerpt.settings_of_excerpt(out, file)
    assert chosen == asked | {"prompts": ("one", "two"), "force": False}
    full = stems.load(Path(result(job(file, out, **chosen))["manifest"]))
    assert full.auditioned == stems.load(Path(tried["manifest"])).job
    changed = stems.load(Path(result(job(file, out, **chosen | {"seed": 8}))["manifest"]))
    assert changed.auditioned == ""
    with pytest.raises(ValueError, match=r"is of a\.wav, not of b\.wav"):
        excerpt.settings_of_excerpt(out, noise(tmp_path / "b.wav", 1, seed=1))


def test_an_excerpt_takes_few_steps_unless_told(tmp_path: Path) -> None:
    file = noise(tmp_path / "a.wav", 2)
    assert METHODS["paper"].recipe.steps > separate.LOW_STEPS
    asked = job(file, tmp_path / "out", steps=None, excerpt=1)
    assert stems.load(Path(result(asked)["manifest"])).steps == separate.LOW_STEPS
    asked = job(file, tmp_path / "out", steps=3, excerpt=1)
    assert stems.load(Path(result(asked)["manifest"])).steps == 3


def test_negatives_are_told_and_their_sound_is_in_the_residual(tmp_path: Path) -> None:
    file = noise(tmp_path / "a.wav", 1)
    all_three = result(job(file, tmp_path / "a", prompts=("one", "two", "three")))
    two = result(job(file, tmp_path / "b", prompts=("one", "two"), negatives=("three",)))
    for wanted, got in zip(all_three["stems"], two["stems"], strict=False):
        np.testing.assert_array_equal(*(sf.read(stem["wav"])[0] for stem in (wanted, got)))
    rest = sum(sf.read(f)[0] for f in (all_three["residual"], all_three["stems"][2]["wav"]))
    np.testing.assert_allclose(sf.read(two["residual"])[0], rest, atol=1e-6)
    manifest = stems.load(Path(two["manifest"]))
    assert manifest.negatives == ("three",)
    assert len(manifest.stems) == 2
    assert manifest.null_db < -100


def test_what_is_asked_for_cannot_be_unwanted_too() -> None:
    with pytest.raises(ValueError, match="'one' is a prompt too"):
        job(Path("a"), Path("b"), negatives=("three", "one"))


def test_six_stems_of_one_file(tmp_path: Path) -> None:
    names = tuple(f"sound {i}" for i in range(6))
    file = noise(tmp_path / "a.wav", 1, 2)
    got = result(job(file, tmp_path / "out", prompts=names))
    assert len(got["stems"]) == 6
    assert null_test.verify(Path(got["manifest"])) < -100


def test_a_prompt_given_twice_makes_two_stems_with_names_of_their_own(tmp_path: Path) -> None:
    file = noise(tmp_path / "a.wav", 1)
    got = result(job(file, tmp_path / "out", prompts=("Säx 🎷", "Säx 🎷", "鐘の音")))
    files = [Path(stem["wav"]).name.partition("__")[2].rpartition("__")[0] for stem in got["stems"]]
    assert files == ["01_säx-saxophone", "02_säx-saxophone-2", "03_鐘の音"]
    manifest = stems.load(Path(got["manifest"]))
    assert [stem.name for stem in manifest.stems] == ["Säx 🎷", "Säx 🎷 2", "鐘の音"]
    assert [stem.prompt for stem in manifest.stems] == ["Säx 🎷", "Säx 🎷", "鐘の音"]
    assert null_test.verify(Path(got["manifest"])) < -100


@pytest.fixture
def tagged(monkeypatch: pytest.MonkeyPatch) -> Callable[[Separate], suggest.StemPrompts]:
    """What a tagger that hears all prompts but "c" leaves of a job's prompts."""

    def prompt_activity(*given: Any) -> Any:
        yield [Suggestion(prompt, 0.9, prompt != "c", (0.9,)) for prompt in given[-1]]

    def listened(*_: object) -> Any:
        return None
        yield

    monkeypatch.setattr(suggest, "presence_networks", lambda _: PresenceNetworks(None))  # type: ignore[arg-type]
    monkeypatch.setattr(suggest, "measure_activity", listened)
    monkeypatch.setattr(suggest, "prompt_activity", prompt_activity)

    def check(asked: Separate) -> suggest.StemPrompts:
        work = suggest.presence_check(asked, worker.Models(), worker_loop.Clock("j"), 0.0, 1.0)
        assert isinstance(next(work), Progress)
        with pytest.raises(StopIteration) as end:
            next(work)
        found: suggest.StemPrompts = end.value.value
        return found

    return check


def test_prompts_that_are_heard_stay_as_many_as_were_asked_for(
    tmp_path: Path, tagged: Callable[[Separate], suggest.StemPrompts]
) -> None:
    """Twice the same prompt is two of `prompts`, not one."""
    file = noise(tmp_path / "a.wav", 1)
    asked = job(file, tmp_path, prompts=("a", "a", "b", "c"), model="default")
    assert tagged(asked).prompts == ("a", "a", "b")


def test_the_shipped_tagger_has_no_veto_on_what_another_model_may_know(
    tmp_path: Path, tagged: Callable[[Separate], suggest.StemPrompts]
) -> None:
    file = noise(tmp_path / "a.wav", 1)
    for method, model, stem_of_c in (
        ("default", "default", False), ("default", "owner/name", True), ("masks", "/folder", True),
        ("paper", "owner/name", True), ("fast", "owner/name", False),
    ):  # fmt: skip
        asked = job(file, tmp_path, prompts=("a", "c"), model=model, method=method, steps=None)
        got = tagged(asked)
        assert got.prompts == (("a", "c") if stem_of_c else ("a",))
        assert ("a stem was made all the same" in got.note) == stem_of_c
        assert ("no stem was made" in got.note) == (not stem_of_c)
        assert model in got.note or not stem_of_c
    assert tagged(job(file, tmp_path, prompts=("a",), model="owner/name")).note == ""
    forced = tagged(job(file, tmp_path, prompts=("c",), model="owner/name", force=True))
    assert (forced.prompts, forced.note) == (("c",), "")


def test_work_that_would_fill_the_disk_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """2 stems of 10 s in float: each once as windows (a quarter more) and once whole; and more."""
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage(10**6, 0, 10**6))
    file = noise(tmp_path / "a.wav", 10)
    with pytest.raises(ValueError, match=r"2 stems of 10 seconds need 0\.0 GB .* has 0\.0 GB free"):
        list(work(job(file, tmp_path / "out")))
    assert not (tmp_path / "out").exists()


def test_a_survey_knows_where_how_much_is_going_on(tmp_path: Path) -> None:
    x = np.zeros(21 * RATE)
    x[5 * RATE : 6 * RATE] = 0.5
    sf.write(tmp_path / "a.wav", x, RATE, subtype="FLOAT")
    look = mixture.measure(tmp_path / "a.wav", worker_loop.Clock("j"), 0.5)
    shares = []
    try:
        while True:
            shares.append(next(look).fraction)
    except StopIteration as end:
        found = end.value
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(0.5)
    assert len(found.powers) == 210
    np.testing.assert_allclose(found.powers[50:60], 0.25)
    assert float(found.powers.sum()) == pytest.approx(2.5)
    assert found.sha256 == sha256(tmp_path / "a.wav")
    begin, end = found.busiest(3)
    assert begin <= 5 * RATE
    assert end == begin + 3 * RATE >= 6 * RATE
    assert found.busiest(100) == (0, 21 * RATE)


def test_time_left_is_counted_from_where_work_went_on(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(worker_loop, "time", SimpleNamespace(monotonic=lambda: now))
    clock = worker_loop.Clock("j")
    clock.progress(0.0, "reading")
    now = 150.0
    clock.resume(0.5)
    now = 160.0
    assert clock.progress(0.6, "separate").eta == pytest.approx(40.0)


def test_curves_have_a_row_a_step_of_every_window(tmp_path: Path) -> None:
    got = result(job(noise(tmp_path / "a.wav", 5), tmp_path / "out"))
    curves = json.loads(Path(got["curves"]).read_text())
    assert (
        len(curves["fraction"]) == len(curves["stage"]) == len(curves["figures"]) == 2 * 4
    )  # a step, and the stems, of each
    assert curves["fraction"] == sorted(curves["fraction"])


def test_a_wav_beside_its_stems_is_not_copied(tmp_path: Path) -> None:
    data = np.zeros(RATE, "<f4").tobytes()
    wav.write(tmp_path / "a.wav", [data], rate=RATE, channels=1, frames=RATE, bext=wav.Bext())
    result(job(tmp_path / "a.wav", tmp_path / "out"))
    assert not (tmp_path / "out" / "source").exists()


def test_the_manifest_tells_which_networks_were_asked_beside_the_model(tmp_path: Path) -> None:
    file = noise(tmp_path / "a.wav", 1)
    for method, names in (("fast", ["query_network"]), ("paper", [])):
        got = result(job(file, tmp_path / method, method=method))
        helpers = stems.load(Path(got["manifest"])).helpers
        assert list(helpers) == names
        assert all(len(digest) == 16 for digest in helpers.values())


def test_fast_loads_no_model_and_names_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model that is not there is not missed; the other methods miss it."""
    file, absent = noise(tmp_path / "a.wav", 1), str(tmp_path / "no such model")
    got = {
        name: result(job(file, tmp_path / name, method="fast", model=model, steps=None, force=True))
        for name, model in (("one", "default"), ("other", absent))
    }
    one, other = (stems.load(Path(of["manifest"])) for of in got.values())
    assert (one.model, one.model_hash, got["one"]["model"]) == ("", "", "")
    assert one.job == other.job
    assert sorted(contents(tmp_path / "one").values()) == sorted(
        contents(tmp_path / "other").values()
    )
    assert "model" not in remake.job_of_stem_set(tmp_path / "one")
    assert "model" not in remake.job_of_stem_set(tmp_path / "one" / one.stems[0].wav)
    with pytest.raises(ModelUnavailable, match="no such model"):
        result(job(file, tmp_path / "third", method="masks", model=absent, force=True))
