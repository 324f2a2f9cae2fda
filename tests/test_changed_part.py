"""A recording changed in part by the exact prior: kept bits, level, place, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf

from bridge import worker
from bridge.files import wav
from bridge.protocol.events import Done, Progress
from bridge.protocol.jobs import GenerateClips, new_id
from bridge.stems import bwf_metadata
from bridge.worker.changed_part import FADE

RATE, FRAMES = 48000, 24000
KEPT = round(0.2 * RATE)


@pytest.fixture
def loaded() -> worker.Models:
    """Models without an index of recordings."""
    return worker.Models(evaluation_scorer=Path("nowhere"), copy_index=Path("nowhere"))


def hit(folder: Path, *, channels: int = 2, gain: float = 0.5) -> Path:
    """Half a second of 24-bit noise that decays, the same in all channels, at place 96,000."""
    noise = np.random.default_rng(0).standard_normal(FRAMES)
    sound = gain * noise / np.abs(noise).max() * np.exp(-np.arange(FRAMES) / 4000)
    path = folder / "hit.wav"
    sf.write(path, np.stack([sound] * channels, 1), RATE, subtype="PCM_24")
    return path


def edits(out: Path, source: Path, loaded: worker.Models, **changes: Any) -> list[Any]:
    fields: dict[str, Any] = {"id": new_id(), "model": "gaussian", "guidance": 1, "count": 1}
    fields |= {"prompts": ["a bell"], "out": str(out), "source": str(source), "keep": "0-0.2"}
    return list(worker.work(GenerateClips.model_validate(fields | changes), loaded))


def clips(*args: Any, **changes: Any) -> list[dict[str, Any]]:
    *_, last = edits(*args, **changes)
    assert isinstance(last, Done)
    found: list[dict[str, Any]] = last.result["clips"]
    return found


@pytest.mark.parametrize("channels", [1, 2])
def test_what_is_kept_is_the_same_bits_and_the_rest_is_new(
    tmp_path: Path, loaded: worker.Models, channels: int
) -> None:
    source = hit(tmp_path, channels=channels)
    (clip,) = clips(tmp_path / "out", source, loaded)
    before, _ = sf.read(source, dtype="float32", always_2d=True)
    after, rate = sf.read(clip["wav"], dtype="float32", always_2d=True)
    assert (rate, after.shape) == (RATE, before.shape)
    assert np.array_equal(after[:KEPT], before[:KEPT])
    assert np.array_equal(after[:, 0], after[:, -1])  # alike before, alike after
    seam = after[KEPT : KEPT + round(FADE * RATE)] - before[KEPT : KEPT + round(FADE * RATE)]
    assert abs(seam[0]).max() < 0.01 * abs(seam).max()  # it begins where the recording was
    new = after[KEPT + round(FADE * RATE) :]
    assert float(np.corrcoef(new[:, 0], before[-len(new) :, 0])[0, 1]) == pytest.approx(0, abs=0.1)


def test_the_clip_says_what_it_was_made_of_and_lies_at_its_place(
    tmp_path: Path, loaded: worker.Models
) -> None:
    source = hit(tmp_path)
    chunk = bwf_metadata.bext(
        "hit", "", rate=RATE, channels=2, code="1", reference="r", start_samples=96000
    )
    sound, _ = sf.read(source, dtype="float32", always_2d=True)
    wav.write(source, [sound.tobytes()], rate=RATE, channels=2, frames=FRAMES, bext=chunk)
    (clip,) = clips(tmp_path / "out", source, loaded, keep="0.3-9,0-0.1", seed=4)
    known = {"source": "hit.wav", "keep": "0.3-9,0-0.1", "duration": 0.5, "sampler": "repaint"}
    known |= {"steps": 12, "schedule": "karras", "gain_db": 0.0, "seed": 4}
    assert known.items() <= clip.items()
    header = wav.read_header(Path(clip["wav"]))
    assert "<SAMPLER>repaint</SAMPLER>" in header.ixml
    assert f"<SOURCE_SHA256>{clip['source_sha256']}</SOURCE_SHA256>" in header.ixml
    assert bwf_metadata.start_samples(Path(clip["wav"]), RATE) == 96000
    after, _ = sf.read(clip["wav"], dtype="float32", always_2d=True)
    assert np.array_equal(after[round(0.3 * RATE) :], sound[round(0.3 * RATE) :])
    assert np.array_equal(after[: round(0.1 * RATE)], sound[: round(0.1 * RATE)])


def test_a_seed_makes_the_same_file_and_what_is_new_is_as_loud_as_the_recording_asks(
    tmp_path: Path, loaded: worker.Models
) -> None:
    loud = hit(tmp_path)
    one, two = (clips(tmp_path / name, loud, loaded)[0] for name in ("a", "b"))
    assert Path(one["wav"]).read_bytes() == Path(two["wav"]).read_bytes()
    first, _ = sf.read(one["wav"], always_2d=True)
    quiet = hit(tmp_path, gain=0.05)
    second, _ = sf.read(clips(tmp_path / "c", quiet, loaded)[0]["wav"], always_2d=True)
    assert 10 * second[KEPT + 480 :] == pytest.approx(first[KEPT + 480 :], abs=2e-3)


def test_progress_rises_over_channels_and_levels(tmp_path: Path, loaded: worker.Models) -> None:
    events = edits(tmp_path / "out", hit(tmp_path), loaded, steps=3, sampler="tab3", count=2)
    told = [e.fraction for e in events if isinstance(e, Progress)][2:]
    assert told == sorted(told)
    assert told[:6] == pytest.approx([n / 16 for n in (1, 2, 3, 5, 6, 7)])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"keep": "0.6-1"}, "keep must lie in source, which ends at 0.5 seconds"),
        ({"keep": [[1e304, 1e305]]}, "keep must lie in source, which ends at 0.5 seconds"),
        ({"keep": [[0, 1e308]]}, "keep must leave a part of source to be changed"),
        ({"keep": "0-1"}, "keep must leave a part of source to be changed"),
        ({"keep": "0-0.001"}, "keep leaves too little: at least one frame of the model, 0.00"),
    ],
)
def test_what_cannot_be_changed_is_refused(
    tmp_path: Path, loaded: worker.Models, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        edits(tmp_path / "out", hit(tmp_path), loaded, **changes)
    assert not (tmp_path / "out").exists()


def test_a_recording_that_is_not_there_silent_or_too_long_is_refused(
    tmp_path: Path, loaded: worker.Models
) -> None:
    path = tmp_path / "zeros.wav"
    with pytest.raises(ValueError, match=r"zeros\.wav does not exist"):
        edits(tmp_path / "out", path, loaded)
    sf.write(path, np.zeros(RATE), RATE)
    with pytest.raises(ValueError, match=r"source zeros\.wav is silent"):
        edits(tmp_path / "out", path, loaded)
    sf.write(path, np.zeros(8000 * 11), 8000)
    with pytest.raises(ValueError, match=r"must last 0\.1 to 10 seconds with the model gaussian"):
        edits(tmp_path / "out", path, loaded)
