"""Copies of training recordings are found, and other sounds are not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from sds.metrics.copy_detection import (
    FOLDER,
    KEPT_ABOVE,
    WINDOW,
    CopyIndex,
    NearestRecording,
    TrainingRecording,
    asked_windows,
    load_copy_index,
    warning,
    window_features,
    windows,
)
from sds.metrics.fingerprint import fingerprint
from sds.similarity.trunk import RATE
from sds.train.planting import DISTURBANCES

MOST_BYTES = 4e6


def _sounds() -> dict[str, Tensor]:
    """Four sounds [T] of 1.5 to 3 s that have little in common: two chords, knocks, a sweep."""
    rng = np.random.default_rng(0)
    t = torch.arange(3 * RATE) / RATE
    fall = torch.exp(-3 * t)
    low = sum(torch.sin(2 * torch.pi * f * t) for f in (110.0, 165.0, 220.0)) * fall
    high = sum(torch.sin(2 * torch.pi * f * t) for f in (1318.5, 1661.2)) * torch.exp(-6 * t)
    noise = torch.from_numpy(rng.standard_normal(len(t))).float()
    knocks = noise * torch.exp(-40 * (t % 0.25))
    sweep = torch.sin(2 * torch.pi * (200 * t + 900 * t**2))[: RATE * 3 // 2]
    return {"low": low.float(), "high": high.float(), "knocks": knocks, "sweep": sweep}


@pytest.fixture(scope="module")
def index() -> CopyIndex:
    """The shipped head over three of the sounds."""
    head = load_copy_index().head
    planted = {name: sound for name, sound in _sounds().items() if name != "sweep"}
    features = [window_features(windows(x, WINDOW, KEPT_ABOVE)) for x in planted.values()]
    rows = torch.cat([torch.full((len(x),), i) for i, x in enumerate(features)])
    recordings = [TrainingRecording(name, "made", "nobody", "CC0-1.0") for name in planted]
    table = torch.linspace(0.0, 1.0, 101)
    words = [fingerprint(sound) for sound in planted.values()]
    return CopyIndex(head, head(torch.cat(features)), rows, recordings, table, table, words, table)


@pytest.mark.parametrize("way", DISTURBANCES)
def test_planted_copies_are_found_and_others_are_not(index: CopyIndex, way: str) -> None:
    rng = np.random.default_rng(1)
    sounds = _sounds()
    (other,) = index.nearest(sounds.pop("sweep")[None], RATE)
    for name, sound in sounds.items():
        (found,) = index.nearest(DISTURBANCES[way](sound, rng)[None], RATE)
        assert found.recording == name
        assert found.similarity > other.similarity
        if name == "knocks":  # pure tones have nothing but their spectrum, which is no proof
            assert found.match > other.match


def test_an_exact_copy_has_similarity_one_at_any_rate_level_and_channels(index: CopyIndex) -> None:
    sound = _sounds()["low"][:WINDOW]
    stereo = torch.stack([sound, sound]) * 0.1
    (found,) = index.nearest(stereo, RATE)
    assert found.similarity == pytest.approx(1.0, abs=1e-4)
    first, second = index.nearest(torch.stack([stereo, torch.zeros_like(stereo)]), RATE)
    assert (first.recording, second.recording) == ("low", "")
    (halved,) = index.nearest(stereo[:, ::2], RATE // 2)
    assert halved.recording == "low"
    assert halved.similarity > 0.9


def test_silence_has_no_nearest_recording(index: CopyIndex) -> None:
    (found,) = index.nearest(torch.zeros(1, RATE), RATE)
    assert found == NearestRecording("", "", "", "", 0.0, 0.0, 0.0, 0.0)
    assert warning(found) is None


def test_windows_cover_the_clip_and_leave_quiet_ones_out() -> None:
    t = torch.arange(2 * WINDOW + 100)
    audio = torch.ones(len(t))
    cut = windows(audio * (1 + t), WINDOW // 2, 200.0)
    starts = [0, WINDOW // 2, WINDOW, 3 * WINDOW // 2, WINDOW + 100]
    assert sorted(int(x) - 1 for x in cut[:, 0]) == sorted({min(s, WINDOW + 100) for s in starts})
    audio[WINDOW:] = 0.1  # 20 dB below, and 15 dB count
    assert all(bool((x == 1.0).any()) for x in asked_windows(audio))
    assert len(asked_windows(torch.ones(100))) == 1
    assert windows(torch.zeros(10), WINDOW, 40.0).shape == (0, WINDOW)


def test_features_do_not_depend_on_level() -> None:
    cut = _sounds()["knocks"][None, :WINDOW]
    loud, soft = window_features(cut), window_features(cut * 0.01)
    torch.testing.assert_close(loud, soft, atol=1e-3, rtol=1e-3)


def test_only_recordings_of_the_class_are_asked(index: CopyIndex) -> None:
    with pytest.raises(ValueError, match="label must be a class of the training recordings"):
        index.nearest(_sounds()["low"][None], RATE, label="unheard of")
    (found,) = index.nearest(_sounds()["low"][None], RATE, label="made")
    assert found.label == "made"


def test_the_warning_names_recording_author_and_licence() -> None:
    near = NearestRecording("bell.wav", "A. Ringer", "CC-BY-4.0", "bell", 0.9, 50.0, 0.8, 99.5)
    assert warning(near) == (
        "this may be a copy of bell.wav by A. Ringer (CC-BY-4.0): "
        "99.5 % of the training recordings match any other less."
    )
    below = NearestRecording("bell.wav", "A. Ringer", "CC-BY-4.0", "bell", 0.99, 99.9, 0.3, 99.0)
    assert warning(below) is None


def test_the_shipped_index_is_whole() -> None:
    index = load_copy_index()
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) <= MOST_BYTES
    assert len(index.rows) == len(index.vectors)
    assert len(index.words) == len(index.recordings)
    assert all(len(words) for words in index.words)
    assert set(index.rows.tolist()) <= set(range(len(index.recordings)))
    torch.testing.assert_close(index.vectors.norm(dim=1), torch.ones(len(index.rows)))
    for row in index.recordings:
        assert all((row.recording, row.author, row.licence, row.label))
    for table in (index.within_class, index.among_all, index.matches):
        assert len(table) == 101
        assert bool((table.diff() >= 0).all())
        assert -1.0 <= float(table[0]) <= float(table[-1]) <= 1.001
    assert bool((index.among_all >= index.within_class - 1e-3).all())


def test_percentiles_are_those_of_the_table(index: CopyIndex) -> None:
    assert index.percentile(0.25) == pytest.approx(25.0)
    assert index.percentile(-0.5) == 0.0
    assert index.percentile(1.0) == 100.0


def test_damaged_indexes_are_refused(tmp_path: Path) -> None:
    from sds.priors.checkpoints import ModelUnavailable

    for file in FOLDER.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "recordings.json").write_text('{"authors": [], "licences": [], "recordings": []}')
    with pytest.raises(ModelUnavailable, match="do not belong together"):
        load_copy_index(tmp_path)
