"""Baselines on sources whose right separation is known, and what the suite makes of them."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from sds.datasets.evaluation_items import Mixture, mixtures, stems
from sds.metrics.separation import sdr
from sds.priors.gaussian import GaussianPrior
from sds.scoreboard.board import Row, Setting, evaluate, read_rows
from sds.scoreboard.paired import SHUFFLED
from sds.scoreboard.separate import (
    COLUMNS,
    PROMPTED,
    findings,
    harmonic_percussive,
    ideal_mask,
    mixture_as_sources,
    nmf_sources,
    scores,
    suite,
)
from sds.separation.networks import Networks
from sds.signal.audio_files import write

RATE, T = 8000, 16000
SECONDS = torch.arange(T) / RATE
LOW = 0.3 * torch.sin(2 * torch.pi * 500 * SECONDS)[None]
HIGH = 0.2 * torch.sin(2 * torch.pi * 2500 * SECONDS)[None]
CLICKS = 0.9 * (torch.arange(T) % 4000 == 2000).float()[None]


def mixture(*sources):
    prompts = tuple(f"sound {k}" for k in range(len(sources)))
    return Mixture("mix", prompts, torch.stack(sources).sum(0), sources, RATE)


def each_sdr(estimates, sources):
    return [float(sdr(e, s)) for e, s in zip(estimates, sources, strict=True)]


def bands(name):
    """White below 2 kHz, above it, or everywhere."""
    std = torch.full((128,), 0.2)
    if name == "low":
        std[64:] = 1e-3
    if name == "high":
        std[:64] = 1e-3
    return std


PRIOR = GaussianPrior(
    dict.fromkeys(("", "low", "high"), 0.0),
    {name: bands(name) for name in ("", "low", "high")},
    sample_rate=RATE,
    hop=128,
    max_seconds=3.0,
)


class Learned(GaussianPrior):
    """The same spectra as weights of a network, which can be shuffled."""

    def __init__(self):
        super().__init__(
            PRIOR.means, PRIOR.stds, sample_rate=RATE, hop=PRIOR.hop, max_seconds=PRIOR.max_seconds
        )
        self.network = torch.nn.Module()
        self.network.stds = torch.nn.Parameter(torch.stack([*self.stds.values()]))

    def embed(self, prompts, seconds):
        rows = [list(self.stds).index(prompt) for prompt in prompts]
        stds = self.network.stds.detach()[rows]
        return {"mean": torch.zeros_like(stds), "std": stds}


class NoJudge:
    name = "none"

    def similarity(self, audio, rate, prompts):
        raise AssertionError("stems are measured against their sources")


@pytest.fixture
def setting(tmp_path):
    """Two sines as `mixtures`, and as `stems` with a third that is silent."""
    for folder, name, files in (
        ("mixtures", "two", {"mix": LOW + HIGH, "source1": LOW, "source2": HIGH}),
        ("stems", "three", {"mix": LOW + HIGH, "low": LOW, "high": HIGH, "": 0 * LOW}),
    ):
        (tmp_path / folder).mkdir()
        item = {"id": name, "prompts": ["low", "high"], "files": {}}
        for part, audio in files.items():
            item["files"][part] = f"{part or 'none'}.wav"
            write(tmp_path / folder / item["files"][part], audio, RATE)
        (tmp_path / folder / "manifest.json").write_text(json.dumps({"items": [item]}))
    return Setting(tmp_path, PRIOR, NoJudge(), NoJudge(), (), tmp_path / "scratch")


def test_ideal_mask_parts_two_sines():
    assert min(each_sdr(ideal_mask(mixture(LOW, HIGH), 512, 0), (LOW, HIGH))) > 30


def test_nmf_parts_sources_of_other_frequencies():
    """They must not always sound together: steady tones are one component."""
    sources = (LOW * (SECONDS % 0.5 > 0.2), HIGH * (SECONDS % 0.3 > 0.1))
    assert min(each_sdr(nmf_sources(mixture(*sources), 512, 0), sources)) > 20


def test_harmonic_percussive_parts_a_tone_from_clicks_in_either_order():
    for sources in ((LOW / 3, CLICKS), (CLICKS, LOW / 3)):
        assert min(each_sdr(harmonic_percussive(mixture(*sources), 512, 0), sources)) > 10


def test_the_mixture_improves_nothing():
    mix = mixture(LOW, HIGH)
    figures = scores(mix, mixture_as_sources(mix, 512, 0), 1)
    assert figures["si_sdri"] == pytest.approx(0.0, abs=1e-9)
    assert figures["si_sdri_half"] == pytest.approx(0.0, abs=1e-9)
    assert figures["sdr"] == pytest.approx(20 * math.log10(0.2 / 0.3), abs=0.01)


def test_first_half_figures_hear_the_first_half_only():
    estimates = torch.stack([LOW, HIGH])
    estimates[..., T // 2 :] = 0
    figures = scores(mixture(LOW, HIGH), estimates, 0)
    assert figures["sdr_half"] == figures["museval_sdr_half"] == 200.0
    assert figures["sdr"] == pytest.approx(10 * math.log10(2), abs=0.01)


def test_a_silent_source_is_counted_and_its_leakage_measured():
    rests = HIGH.clone()
    rests[:, : T // 2] = 0
    mix = mixture(LOW, rests)
    figures = scores(mix, torch.stack([LOW, rests + 0.1 * LOW]), 1)
    assert figures["silent"] == 1
    assert figures["leak_db_half"] == pytest.approx(-20.0, abs=0.01)
    assert "sdr_half" not in figures
    assert "leak_db" not in figures
    assert figures["si_sdr"] < 20


def test_stems_are_read_by_name(setting):
    (found,) = stems(setting.data)
    assert found.prompts == ("low", "high", "")
    assert torch.equal(found.audio, mixtures(setting.data)[0].audio)
    assert stems(setting.data / "mixtures") == []


def test_suite_scores_each_source_under_each_method(setting, monkeypatch, tmp_path):
    short = replace(PROMPTED["paper"], recipe=replace(PROMPTED["paper"].recipe, steps=2))
    monkeypatch.setitem(PROMPTED, "paper", short)
    for name in PROMPTED.keys() - {"paper", "masks"}:
        monkeypatch.delitem(PROMPTED, name)
    rows = tmp_path / "rows.jsonl"
    list(evaluate({"separate": suite}, setting, rows))
    found = {(row.item, row.method, row.tags): row.figures for row in read_rows(rows)}
    assert len(found) == 2 * 6 + 3 * 4  # two sources; three
    assert {name for figures in found.values() for name in figures} <= {
        *(column.name for column in COLUMNS), "bss_sdr_half", "leak_db_half"
    }  # fmt: skip
    for name in ("low", "high"):
        figures = found[f"two / {name}", "masks", ("mixtures",)]
        assert figures["si_sdr"] > 4  # steady tones: the hardest for components
        assert figures["null_db"] < -120
        assert found[f"two / {name}", "ideal mask", ("mixtures",)]["si_sdr"] > 30
        assert found[f"two / {name}", "paper", ("mixtures",)]["steps"] == 2
    assert found["three / ", "mixture", ("stems",)]["silent"] == 2
    assert found["three / ", "mixture", ("stems",)]["leak_db"] == pytest.approx(0.0)


def test_stems_are_made_once_for_all_sources(setting):
    low, high = [task for task in suite(setting) if task.method == "ideal mask"][:2]
    first = list(low.run())[-1]
    (path,) = Path(setting.scratch).rglob("*.npy")
    made = path.stat().st_mtime_ns
    assert list(high.run())[-1]["seconds"] == first["seconds"]
    assert path.stat().st_mtime_ns == made


def test_a_limit_holds_for_both_folders_together(setting):
    assert {task.tags for task in suite(replace(setting, items=1))} == {("mixtures",)}


def test_every_method_that_asks_the_prior_has_a_control_that_knows_nothing(setting):
    learned = replace(setting, prior=Learned(), items=1)
    names = {task.method for task in suite(learned)}
    assert {name for name in names if name.endswith(SHUFFLED)} == {n + SHUFFLED for n in PROMPTED}
    with_network = replace(learned, networks=Networks(query=object()))  # as the product has one
    asked = {name for name in {task.method for task in suite(with_network)} if SHUFFLED in name}
    assert asked == {name + SHUFFLED for name in PROMPTED if name != "fast"}
    assert not any(task.method.endswith(SHUFFLED) for task in suite(setting))  # nothing to shuffle
    high = {task.method: task for task in suite(learned) if task.item == "two / high"}
    trained, control = (list(high[name].run())[-1] for name in ("masks", "masks" + SHUFFLED))
    assert trained["si_sdr"] > 4
    assert control["si_sdr"] < 0


def test_what_the_prior_is_worth_is_said_over_mixtures():
    rows = [
        Row("separate", f"{mixture} / {source}", method, {"si_sdr": value + (source == "b")})
        for mixture, trained in (("one", 5.0), ("two", 7.0))
        for source in "ab"
        for method, value in (("masks", trained), ("masks" + SHUFFLED, 1.0), ("fast", 3.0))
    ]
    assert findings(rows) == [
        "SI-SDR (dB), masks, trained rather than shuffled prior: "
        "+5.000 ± 1.000 over 2 pairs, holds",
        "fast does not use the model",
    ]
    assert findings([row for row in rows if not row.method.endswith(SHUFFLED)]) == []
