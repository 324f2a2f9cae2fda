"""A share of a job, left where the whole job finds it."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from bridge import worker
from bridge.files import atomic_output
from bridge.protocol.events import Done
from bridge.protocol.jobs import Part, Separate, line_adapter
from bridge.worker import models
from sds.separation.separate import METHODS
from tests import small_worker
from tests.test_worker_separate import contents, finished_windows, job, noise


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(METHODS, "paper", small_worker.PAPER)
    monkeypatch.setattr(models, "gaussian", small_worker.gaussian)


def ended(asked: Part | Separate) -> list[float]:
    """Do the work; the fractions of its progress."""
    *events, end = worker.work(asked, worker.Models(evaluation_scorer=Path("nowhere")))
    assert isinstance(end, Done), end
    return [event.fraction for event in events]


def test_a_file_separated_in_parts_has_the_bytes_of_one_go(tmp_path: Path) -> None:
    file = noise(tmp_path / "long.flac", 6, channels=2, subtype="PCM_16")
    whole = job(file, tmp_path / "out")
    for index, names in ((2, ["2"]), (0, ["0", "2", "3"]), (1, ["0", "1", "2", "3", "4"])):
        fractions = ended(Part(id=f"p{index}", job=whole, index=index, of=3))
        assert fractions == sorted(fractions)
        kept = [
            path.stem.removeprefix("window-0000") for path in finished_windows(tmp_path / "out")
        ]
        assert kept == names
    assert list((tmp_path / "out").glob("[!.]*")) == []  # nothing where people look
    assert min(ended(whole)[3:]) > 0.9  # no window is done again
    assert not list((tmp_path / "out").glob(f"{atomic_output.UNFINISHED}*"))

    ended(job(file, tmp_path / "one"))
    assert contents(tmp_path / "out") == contents(tmp_path / "one")


def test_a_part_without_windows_of_its_own_does_nothing(tmp_path: Path) -> None:
    whole = job(noise(tmp_path / "short.wav", 1), tmp_path / "out")
    ended(Part(id="p", job=whole, index=5, of=6))
    assert finished_windows(tmp_path / "out") == []


def test_a_share_is_one_of_those_that_there_are(tmp_path: Path) -> None:
    whole = job(tmp_path / "a.wav", tmp_path / "out")
    part = Part(id="p", job=whole, index=1, of=3)
    assert [list(part.model_copy(update={"index": k}).share(7)) for k in range(3)] == [
        [0, 3, 6],
        [1, 4],
        [2, 5],
    ]
    assert line_adapter.validate_json(part.model_dump_json()) == part
    with pytest.raises(ValidationError, match=r"index must be below of \(3\), got 3"):
        Part(id="p", job=whole, index=3, of=3)
