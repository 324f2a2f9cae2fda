"""`scorewire copycheck`: the job, and what its lines say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from bridge.cli import tables
from bridge.protocol.events import Done, Progress
from bridge.protocol.jobs import CopyCheck
from bridge.worker.copycheck import check_copy
from sds.metrics.copy_detection import load_copy_index
from sds.signal.audio_files import write

MIXTURE = Path(__file__).parents[1] / "examples" / "data" / "mixture.flac"


def done(**values: Any) -> dict[str, Any]:
    """The result of a job; every event before it is progress towards 1."""
    *before, last = check_copy(CopyCheck(id="j1", **values))
    fractions = [event.fraction for event in before if isinstance(event, Progress)]
    assert fractions == sorted(fractions)
    assert isinstance(last, Done)
    return last.result


def test_the_nearest_recording_has_author_and_licence() -> None:
    result = done(file=str(MIXTURE))
    index = load_copy_index()
    named = [row for row in index.recordings if row.recording == result["recording"]]
    assert (named[0].author, named[0].licence) == (result["author"], result["licence"])
    assert 0.0 < result["similarity"] <= 1.0
    assert result["percentile"] == pytest.approx(index.percentile(result["similarity"]), abs=0.5)
    assert result["match"] <= 1.0
    assert bool(result["warning"]) == (result["match_percentile"] > 99)


def test_only_the_class_is_asked() -> None:
    assert done(file=str(MIXTURE), label="saxophone")["label"] == "saxophone"
    with pytest.raises(ValueError, match="label must be a class"):
        done(file=str(MIXTURE), label="nothing of the kind")


def test_a_silent_file_is_near_nothing(tmp_path: Path) -> None:
    write(tmp_path / "silence.wav", torch.zeros(1, 44100), 44100)
    result = done(file=str(tmp_path / "silence.wav"))
    assert (result["recording"], result["similarity"], result["warning"]) == ("", 0.0, "")
    assert "none: it is silent" in str(tables.nearest_recordings([{"file": "a.wav"} | result]))


def test_a_line_a_file_and_the_warnings_below() -> None:
    row = {
        "file": "/sounds/[bold]a.wav", "recording": "bell.wav", "author": "A. Ringer",
        "licence": "CC-BY-4.0", "label": "bell", "similarity": 0.991, "percentile": 99.6,
        "match": 0.871,
        "warning": "this may be a copy of bell.wav.",
    }  # fmt: skip
    lines = str(tables.nearest_recordings([row, row | {"warning": ""}])).splitlines()
    assert len(lines) == 4
    assert "A. Ringer" in lines[1]
    assert "0.991" in lines[1]
    assert "99.6" in lines[1]
    assert "0.871" in lines[1]
    assert lines[3].strip() == "[bold]a.wav: this may be a copy of bell.wav."
