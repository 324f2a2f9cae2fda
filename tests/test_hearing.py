"""The measures of hearing and separation: what is drawn, and what the numbers are."""

import json
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
import torch

from sds.datasets.clips import Clip, half_of, write_part
from sds.datasets.evaluation_items import Mixture
from sds.train.data import RATE
from sds.train.hearing import __main__ as command
from sds.train.hearing.detection import calibration_error, false_present_at
from sds.train.hearing.mixtures import (
    KINDS,
    SECONDS,
    draw_kind,
    draw_mixtures,
    fingerprint,
    half_of_kind,
    held_recordings,
)
from sds.train.hearing.rows import Row, Setup, append_row, read_rows, side_by_side
from sds.train.hearing.separation import (
    improvement,
    masked_by_truth,
    measure_kind,
    residual_si_sdr,
    share_in_residual,
)

LABELS = ("rain", "bell", "dog")


def noise(frames, seed):
    return np.random.default_rng(seed).normal(size=frames).astype(np.float32)


def clip(label, number, seconds, split="held"):
    caption = f"{label} {number}"
    return Clip(
        noise(int(seconds * RATE), number), (caption,), label, split, f"{caption} {seconds}"
    )


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Recordings of three classes in both halves, some to train on, and made sounds."""
    folder = tmp_path_factory.mktemp("corpus")
    held = [clip(label, k, 1.6 + k % 2) for label in LABELS for k in range(8)]
    write_part(folder, "recordings", [*held, clip("dog", 90, 2.0, "prior")])
    write_part(folder, "procedural", [clip("rain", k, 2.0) for k in range(40, 60)])
    return folder


def draw(data, count, seed=1):
    return [*islice(draw_mixtures(held_recordings(data, "report"), (2, 3), seed=seed), count)]


def captions(data, label):
    held = held_recordings(data, "report").clips
    return {item.captions[0] for item in held if item.label == label}


def test_mixtures_are_the_same_each_time_and_of_the_half_to_report_on(data):
    once, again, other = draw(data, 6), draw(data, 6), draw(data, 6, seed=2)
    assert [m.prompts for m in once] == [m.prompts for m in again]
    assert all(torch.equal(a.audio, b.audio) for a, b in zip(once, again, strict=True))
    assert fingerprint(once) == fingerprint(again) != fingerprint(other)
    assert [m.prompts for m in draw(data, 3)] == [m.prompts for m in once[:3]]
    said = {prompt for mixture in once for prompt in mixture.prompts}
    assert {half_of(prompt.split()[0], prompt) for prompt in said} == {"report"}
    assert max(int(prompt.split()[1]) for prompt in said) < 8  # no made sound, none to train on


def test_sources_are_of_different_classes_equally_loud_and_sum_to_the_mixture(data):
    for number, mixture in enumerate(draw(data, 4)):
        sources = torch.stack(mixture.sources)
        assert sources.shape == (2 + number % 2, 1, SECONDS * RATE)
        assert len({prompt.split()[0] for prompt in mixture.prompts}) == len(sources)
        powers = sources.square().mean((1, 2))
        torch.testing.assert_close(powers, powers[:1].expand(len(powers)))
        torch.testing.assert_close(sources.sum(0), mixture.audio)
        assert float(mixture.audio.abs().max()) == pytest.approx(0.5, rel=1e-5)
        # clips of 1.6 and 2.6 s and pauses of at most 0.8 s: something in every second
        assert float(sources.unfold(2, RATE, RATE).square().mean(3).min()) > 0


def test_more_sounds_than_classes_are_refused(data):
    with pytest.raises(ValueError, match="must be of 4 classes, got 3 of them"):
        next(draw_mixtures(held_recordings(data, "report"), (4,), seed=1))


def test_each_way_of_a_kind_comes_once_before_any_again(data):
    sides = KINDS["broad noise, sustained tone"]
    ways = {(a, b) for a in captions(data, "rain") for b in captions(data, "bell")}
    corpus = held_recordings(data, "report")
    assert half_of_kind(data, sides) == "report"
    drawn = [m.prompts for m in islice(draw_kind("k", corpus, sides, seed=1), 2 * len(ways))]
    assert set(drawn[: len(ways)]) == set(drawn[len(ways) :]) == ways


def test_a_kind_too_thin_in_one_half_is_of_both_and_says_so(tmp_path):
    names = [f"piano note {k}" for k in range(9)]
    thin = [name for name in names if half_of("piano", name) == "report"][:1]
    thin += [name for name in names if half_of("piano", name) == "choose"][:1]
    clips = [replace(clip("fire", k, 2.0), origin=f"f{k}") for k in range(8)]
    clips += [Clip(noise(RATE, 1), (name,), "piano", "held", name) for name in thin]
    write_part(tmp_path, "recordings", clips)
    setup = Setup(None, None, None, tmp_path, None, 2, ())
    rows = [*measure_kind(setup, "fire, piano")]
    assert [(row.method, row.half, row.n) for row in rows] == [
        ("median filters", "both", 2), ("ideal masks", "both", 2)
    ]  # fmt: skip


def three_sources():
    """Sources that are not orthogonal, two of them named."""
    sources = 0.1 * torch.from_numpy(noise(3 * 8192, 3)).view(3, 1, 8192)
    sources[2] += 0.5 * sources[0]
    return Mixture("three", ("a", "b"), sources.sum(0), tuple(sources), RATE)


def test_a_residual_that_is_the_unnamed_source_has_all_of_it():
    mixture = three_sources()
    a, b, c = mixture.sources
    assert share_in_residual(mixture, torch.stack([a, b]), c) == pytest.approx(1.0)
    assert residual_si_sdr(mixture, torch.stack([a, b]), c) > 100
    assert improvement(mixture, torch.stack([a, b]), c) > 100


def test_a_residual_of_the_named_sources_has_nothing_of_the_unnamed():
    mixture = three_sources()
    a, b, _ = mixture.sources
    stems = torch.stack([a, b])
    assert share_in_residual(mixture, stems, 0.7 * a - b) == pytest.approx(0.0, abs=1e-6)
    assert share_in_residual(mixture, stems, torch.zeros_like(a)) == 0.0


def test_shares_of_stems_and_residual_add_up_to_the_source():
    mixture = three_sources()
    stems = torch.stack([0.4 * mixture.audio, mixture.sources[0] + 0.1 * mixture.sources[2]])
    parts = [*stems, mixture.audio - stems.sum(0)]
    assert [share_in_residual(mixture, stems, part) for part in parts] == pytest.approx(
        [0.4, 0.1, 0.5], abs=1e-6
    )


def test_masks_that_know_the_truth_leave_the_unnamed_source():
    mixture = three_sources()
    t = torch.arange(8192) / RATE
    tones = tuple(torch.sin(2 * torch.pi * f * t)[None] for f in (500, 3000, 9000))
    mixture = replace(mixture, sources=tones, audio=sum(tones))
    stems, residual = masked_by_truth(mixture)
    assert stems.shape == (2, 1, 8192)
    assert share_in_residual(mixture, stems, residual) == pytest.approx(1.0, abs=0.01)


def test_calibrated_probabilities_have_no_error():
    # in each tenth, as many of a hundred are right as the probability says
    chance = torch.arange(10).repeat_interleave(100) / 10 + 0.05
    right = torch.arange(1000) % 100 < (100 * chance).round()
    assert calibration_error(chance.double(), right) == pytest.approx(0.0, abs=1e-6)


def test_the_calibration_error_is_the_mean_gap_by_size():
    # 30 at 0.9 of which a half are right: 0.4 off; 10 at 0.2 of which all are: 0.8 off
    chance = torch.tensor([0.9] * 30 + [0.2] * 10, dtype=torch.float64)
    right = torch.tensor([True, False] * 15 + [True] * 10)
    assert calibration_error(chance, right) == pytest.approx(0.75 * 0.4 + 0.25 * 0.8)
    assert calibration_error(torch.ones(4), torch.ones(4).bool()) == 0.0


def test_absent_prompts_are_counted_where_one_present_in_25_is_lost():
    present = torch.linspace(0.5, 0.98, 25)  # one is lost at a threshold of 0.52
    absent = torch.tensor([0.1, 0.51, 0.52, 0.6])
    score = torch.cat([present, absent])
    there = torch.arange(29) < 25
    assert false_present_at(score, there, 0.04) == 0.5
    assert false_present_at(score, there, 0.0) == 0.75


def test_the_table_has_the_last_rows_of_each_file(tmp_path, monkeypatch, caplog):
    before, after = tmp_path / "before.jsonl", tmp_path / "after.jsonl"
    row = Row("pairs", "fast", "dB", 6.0, 2.0, 40, "report", "aa", (6.0,))
    auc = Row("presence: AUC", "detection", "", 0.853, None, 560, "report", "bb")
    append_row(before, replace(row, mean=1.0), {})
    for item in (row, auc):
        append_row(before, item, {"tagger/model.safetensors": "0"})
    append_row(after, replace(row, mean=9.0, mixtures="cc"), {})
    for value, name in enumerate(KINDS):
        append_row(after, replace(row, figure=name, values=(value, value + 2)), {"new": "1"})
    assert json.loads(before.read_text().splitlines()[-1])["weights"] == {
        "tagger/model.safetensors": "0"
    }
    assert read_rows(before)["pairs", "fast"]["mean"] == 6.0
    caplog.set_level("INFO")
    monkeypatch.setattr("sys.argv", ["hearing", "--table", str(before), str(after)])
    command.main()
    assert caplog.messages == ["\n".join(side_by_side([before, after]))]
    assert side_by_side([before, after]) == [
        "| figure | method | clips | before | after |",
        "|---|---|---|---|---|",
        "| pairs | fast | report | 6.0 ± 2.0 dB (40) "
        "| 9.0 ± 2.0 dB (40), older weights, other mixtures |",
        "| presence: AUC | detection | report | 0.853 (560) | - |",
        *(f"| {name} | fast | report | - | 6.0 ± 2.0 dB (40) |" for name in KINDS),
        "| the five kinds | fast | report, both | - | 3.0 ± 1.7 dB (10) |",
    ]
