"""The stage ablation on tones: what is measured when, and what its rows say."""

import json
from dataclasses import replace

import pytest
import torch

from sds.distillation.recipes import RECIPES
from sds.priors.gaussian import GaussianPrior
from sds.scoreboard import stage_by_stage
from sds.scoreboard.board import Instrument, Row, Setting, evaluate, read_rows
from sds.scoreboard.stage_by_stage import FULL, SHUFFLED, STAGES, findings
from sds.signal.audio_files import write

RATE, HOP = 8000, 200
TONES = {"a low tone": 150.0, "a high tone": 700.0}


class Ear:
    """Minus the distance, in kHz, of a sound's mean frequency from the prompt's."""

    name = "ear"

    def similarity(self, audio, rate, prompts):
        power = torch.fft.rfft(audio.mean(1) * torch.hann_window(audio.shape[-1])).abs().square()
        hz = torch.fft.rfftfreq(audio.shape[-1], 1 / rate)
        heard = (power * hz).sum(1) / power.sum(1)
        return -(heard[:, None] - torch.tensor([TONES[prompt] for prompt in prompts])).abs() / 1000


def prior(*names):
    means = dict.fromkeys(("", *TONES), torch.zeros(HOP))
    for name in names:
        means[name] = torch.zeros(HOP)
        means[name][int(TONES[name] / RATE * 2 * HOP)] = 1.0
    known = GaussianPrior(means, dict.fromkeys(means, 0.1), sample_rate=RATE, hop=HOP)
    known.network = None  # as if there were weights to shuffle
    return known


def draw(count, generator):
    return torch.rand(count, 2, generator=generator)


def render(u, samples):
    phase = 2 * torch.pi * (100 + 700 * u[:, :1]) * torch.arange(samples) / RATE
    return ((0.1 + u[:, 1:]) * torch.sin(phase))[:, None]


@pytest.fixture
def setting(tmp_path):
    folder = tmp_path / "data" / "oneshots"
    folder.mkdir(parents=True)
    rows = []
    for caption, hz in TONES.items():
        name = caption.split()[1]
        tone = torch.sin(2 * torch.pi * hz * torch.arange(RATE) / RATE)
        write(folder / f"{name}.wav", 0.1 * tone[None], RATE)
        rows.append({"id": name, "caption": caption, "cls": "tone", "file": f"{name}.wav"})
    (folder / "manifest.json").write_text(json.dumps({"items": rows}))
    wide = Instrument("wide", draw, render, lambda prompt, n, generator: draw(n, generator))
    return Setting(tmp_path / "data", prior(*TONES), Ear(), Ear(), (wide,), tmp_path / "scratch")


def test_every_stage_of_both_priors_has_a_row_of_one_search(setting, tmp_path, monkeypatch):
    searches = []

    def unlearned(known):
        searches.append(known.name)
        return prior()

    short = replace(
        FULL,
        distillation=replace(FULL.distillation, steps=2, denoise_steps=1, look=1, scales=(512,)),
        candidates=16,
        crowd=8,
        generated=2,
        generate_steps=3,
        generations=2,
        fit_steps=2,
        accept=-1.0,
    )
    monkeypatch.setattr(stage_by_stage, "shuffled", unlearned)
    monkeypatch.setattr(stage_by_stage, "FULL", short)
    path = tmp_path / "rows.jsonl"
    for _ in evaluate({"stage_by_stage": stage_by_stage.suite}, setting, path):
        pass
    rows = read_rows(path)
    assert len(rows) == len(TONES) * 2 * len(STAGES)
    assert len(searches) == len(TONES)
    for tone in ("low, wide", "high, wide"):
        own = {row.method: row.figures for row in rows if row.item == tone}
        seconds = [own[stage]["seconds"] for stage in STAGES.values()]
        assert seconds == sorted(seconds)
        # the score of the start is the same: the priors differ from the preference on
        assert own["bank"]["search_scorer"] == own["bank" + SHUFFLED]["search_scorer"]
        assert {"match_after", "match_four", "rank", "top3"} <= own["+ SDS"].keys()
        assert own["+ SDS"]["match_after"] <= 0.0


def test_findings_pair_the_priors_stage_by_stage():
    rows = [
        Row(
            "stage_by_stage",
            f"{i}, wide",
            stage + end,
            {"match_after": worth + 0.01 * i},
            ("wide",),
        )
        for i in range(4)
        for worth, stage in enumerate(STAGES.values())
        for end in ("", SHUFFLED)
        for worth in [worth if end == "" else 0]
    ]
    said = findings(rows)
    assert (
        "wide, match, + evolution, prior rather than shuffled prior: "
        "+2.000 ± 0.000 over 4 pairs, holds"
    ) in said
    assert "wide, match, + fit rather than + evolution: +1.000 ± 0.000 over 4 pairs, holds" in said


def test_all_stages_are_those_of_default_and_what_it_left_out():
    assert (FULL.preference, FULL.crowd) == (
        RECIPES["default"].preference,
        RECIPES["default"].crowd,
    )
    assert FULL.fit_steps > 0 < FULL.distillation.steps
