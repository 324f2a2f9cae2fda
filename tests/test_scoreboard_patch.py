"""The patch suite and the ablations on tones, where the best patch and the ranks are known."""

import json
import math
from dataclasses import fields, replace
from itertools import count, islice, pairwise

import numpy as np
import pytest
import torch

from sds.distillation.recipes import RECIPES
from sds.priors.gaussian import GaussianPrior
from sds.scoreboard import ablation, patch
from sds.scoreboard.baselines import METHODS, SHUFFLED, best_of, cma_es, methods_for
from sds.scoreboard.board import Instrument, Row, Setting, evaluate, read_rows
from sds.scoreboard.patch import WINDOWS, evenly_spaced, rank, spectra
from sds.scoreboard.prompts import EVERYDAY, UNSEEN
from sds.signal.audio_files import write
from sds.signal.spectrogram import log_gaps

RATE, HOP = 8000, 200
TONES = {"a low tone": 150.0, "a middle tone": 400.0, "a high tone": 700.0}
HZ = TONES | dict.fromkeys((prompt.text for prompt in (*UNSEEN, *EVERYDAY)), 500.0)
PROMPTS = dict.fromkeys(["", *HZ], 0.1)
PRIOR = GaussianPrior(PROMPTS, PROMPTS, sample_rate=RATE, hop=HOP)
SHORT = replace(
    RECIPES["default"],
    distillation=replace(
        RECIPES["default"].distillation,
        steps=6,
        denoise_steps=1,
        refresh=3,
        look=2,
        scales=(512,),
    ),
    candidates=16,
    starts=2,
    finalists=1,
    generated=2,
    generate_steps=3,
    generations=2,
    crowd=6,
    fit_steps=4,
)
STEPS = 2 + 3 + 2 + 4 + 6  # looks at 8 patches, of generation, evolution, fit, distillation


def tone(hz, seconds=1.0):
    return torch.sin(2 * torch.pi * hz * torch.arange(round(seconds * RATE)) / RATE)


def tuned(name, low, high):
    """u [B, 2]: pitch, from `low` to `high` Hz, and level."""

    def render(u, samples):
        hz = low + (high - low) * u[:, :1]
        phase = 2 * torch.pi * hz * torch.arange(samples) / RATE
        return ((0.1 + u[:, 1:]) * torch.sin(phase))[:, None]

    def draw(n, generator):
        return torch.rand(n, 2, generator=generator)

    def near(prompt, n, generator):
        return draw(n, generator)

    return Instrument(name, draw, render, near)


class Ear:
    """Minus the distance, in kHz, of a sound's mean frequency from the prompt's."""

    name = "search_scorer"

    def similarity(self, audio, rate, prompts):
        power = torch.fft.rfft(audio.mean(1) * torch.hann_window(audio.shape[-1])).abs().square()
        hz = torch.fft.rfftfreq(audio.shape[-1], 1 / rate)
        heard = (power * hz).sum(1) / power.sum(1)
        return -(heard[:, None] - torch.tensor([HZ[prompt] for prompt in prompts])).abs() / 1000


@pytest.fixture
def setting(tmp_path, monkeypatch):
    monkeypatch.setitem(RECIPES, "default", SHORT)
    monkeypatch.setitem(RECIPES, "fast", replace(SHORT, generated=0, candidates=8))
    monkeypatch.setattr(patch, "EVERYDAY", ())
    paper = replace(RECIPES["paper"].distillation, samples=1, scales=(512,))
    monkeypatch.setitem(RECIPES, "paper", replace(RECIPES["paper"], distillation=paper))
    folder = tmp_path / "data" / "oneshots"
    folder.mkdir(parents=True)
    rows = []
    for caption, hz in TONES.items():
        name = caption.split()[1]
        write(folder / f"{name}.wav", 0.1 * tone(hz, 1.2)[None], RATE)
        rows.append({"id": name, "caption": caption, "cls": "tone", "file": f"{name}.wav"})
    (folder / "manifest.json").write_text(json.dumps({"items": rows}))
    instruments = (tuned("wide", 100, 800), tuned("narrow", 350, 450))
    return Setting(tmp_path / "data", PRIOR, Ear(), Ear(), instruments, tmp_path / "scratch")


def run(setting, suite, rows, limit=None):
    """The rows after `limit` of them, or all."""
    made = (now for now in evaluate({"patch": suite}, setting, rows) if now.row and not now.old)
    list(islice(made, limit))
    return read_rows(rows)


def ticking(setting):
    """The patch suite on a clock that makes every step last a second."""
    ticks = count()
    return patch.suite(setting, clock=lambda: float(next(ticks)))


# Retrieval


def test_gap_is_that_of_a_plain_loop():
    g = torch.Generator().manual_seed(0)
    a, b = torch.randn(2, 3000, generator=g)
    terms = []
    for n in WINDOWS:
        window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n) / n)
        logs = []
        for x in (a, b):
            level = np.pad(x.numpy(), (0, 1000)) / math.sqrt(float(x.square().sum()) / 4000)
            padded = np.pad(level, n // 2)
            frames = [padded[i : i + n] for i in range(0, 4000 + 1, n // 4)]
            size = np.abs(np.fft.rfft(np.stack(frames) * window)) / np.sqrt((window**2).sum())
            logs.append(np.log(size + 0.01))
        terms.append(np.abs(logs[0] - logs[1]).mean())
    found = float(log_gaps(spectra(a[None], 4000), spectra(b[None], 4000)))
    assert found == pytest.approx(np.mean(terms), rel=1e-4)


def test_same_sound_at_any_level_is_first():
    recordings = [spectra(tone(hz)[None], 2 * RATE) for hz in (200, 300, 400)]
    sound = spectra(0.01 * tone(300)[None], 2 * RATE)
    assert float(log_gaps(sound, recordings[1])) == pytest.approx(0.0, abs=1e-3)
    assert rank(sound, recordings, 1) == 1


def test_rank_counts_the_recordings_that_are_nearer():
    noise = torch.randn(2 * RATE, generator=torch.Generator().manual_seed(0))
    grades = [spectra((tone(300, 2.0) + dirt * noise)[None], 2 * RATE) for dirt in (0, 0.1, 1)]
    assert [rank(grades[0], grades, right) for right in range(3)] == [1, 2, 3]
    assert [rank(grades[0], [grades[0]] * 3, right) for right in range(3)] == [1, 1, 1]


def test_items_are_spread_evenly():
    assert evenly_spaced(range(23), 6) == [0, 4, 9, 13, 18, 22]
    assert evenly_spaced(range(23), 1) == [0]
    assert evenly_spaced(range(23), None) == evenly_spaced(range(23), 99) == list(range(23))


# Searches


def test_best_of_is_the_best():
    u0 = torch.rand(20, 3, generator=torch.Generator().manual_seed(0))
    found = list(best_of(lambda u: u[:, 1], u0))
    assert [f.step for f in found] == [1, 2, 3]
    assert [f.score for f in found] == [float(u0[:n, 1].max()) for n in (8, 16, 20)]
    assert torch.equal(found[-1].u, u0[u0[:, 1].argmax()])


@pytest.mark.parametrize(("parameters", "generations"), [(10, 120), (120, 900)])
def test_cma_es_finds_the_optimum_and_the_bound(parameters, generations):
    """The nearest point of the cube to a point outside it; more than 100: diagonal covariance."""
    wanted = torch.linspace(0.2, 0.8, parameters)
    wanted[3] = 1.2
    u0 = torch.rand(16, parameters, generator=torch.Generator().manual_seed(0))
    g = torch.Generator().manual_seed(0)
    search = cma_es(lambda u: -(u - wanted).square().sum(1), u0, generator=g)
    found = list(islice(search, 2 + generations))
    assert all(a.score <= b.score for a, b in pairwise(found))
    assert found[-1].score == pytest.approx(-0.04, abs=1e-4)
    assert torch.allclose(found[-1].u, wanted.clamp(0, 1), atol=0.01)
    assert float(found[-1].u[3]) == pytest.approx(1.0, abs=1e-4)


# The patch suite


def test_methods_stop_with_the_time_of_the_default(setting, tmp_path):
    rows = run(replace(setting, items=4), ticking, tmp_path / "rows.jsonl")
    assert len(rows) == 4 * 3 * 8  # prompts, two instruments and the better one, methods
    by_key = {(row.item, row.method): row.figures for row in rows}
    alone = {"fast": 1 + 3 + 6, "best of 64": 8, "random patch": 1}
    for row in rows:
        if row.tags != ("best",):
            budget = by_key[row.item, "default"]["steps"]
            assert 8 < budget <= STEPS  # it ends early where it finds nothing
            wanted = min(budget, alone.get(row.method, budget))
            assert row.figures["steps"] == row.figures["seconds"] == wanted, row
        assert row.figures["seconds_to_first_best"] == 1
    for (item, method), figures in by_key.items():
        seen = item.split(",")[0] not in [prompt.text for prompt in UNSEEN]
        assert ("rank" in figures, "top1" in figures, "top3" in figures) == (seen, seen, seen)
        assert figures["match_before"] - 1e-6 <= figures["match_after"]
        if method == "random patch" and not item.endswith("best"):
            assert figures["match_before"] == pytest.approx(figures["match_after"], abs=1e-6)
    wide = {name: by_key[f"{name}, wide", "CMA-ES"] for name in ("low", "high")}
    assert all(found["match_after"] > -1e-3 for found in wide.values())  # within 1 Hz
    assert [found["rank"] for found in wide.values()] == [1, 1]
    tags = {row.item: row.tags for row in rows}
    assert tags["low, narrow"] == ("narrow", "tone")
    assert tags[f"{UNSEEN[0].text}, wide"] == ("wide", "unseen")


def test_better_instrument_is_the_ears(setting):
    """Not the one with the better match or rank; and it took the time of both."""
    setting.scratch.mkdir()
    shared = {"match_before": -0.3, "seconds_to_first_best": 1.0, "top1": 0.0, "top3": 1.0}
    wide = shared | {
        "match_after": -0.2,
        "search_scorer": -0.1,
        "rank": 3.0,
        "seconds": 10.0,
        "steps": 7.0,
    }
    narrow = shared | {
        "match_after": -0.1,
        "search_scorer": -0.2,
        "rank": 2.0,
        "seconds": 20.0,
        "steps": 5.0,
    }
    with open(setting.scratch / "patch.jsonl", "w") as file:
        for name, figures in (("wide", wide), ("narrow", narrow)):
            row = {"item": f"high, {name}", "method": "paper", "figures": figures, "u": [0.5]}
            file.write(json.dumps(row) + "\n")
        file.write('{"item": "high, wi')  # a crash
    (task,) = [t for t in patch.suite(setting) if (t.item, t.method) == ("high, best", "paper")]
    assert list(task.run()) == [wide | {"seconds": 30.0, "steps": 12.0}]


def test_stopped_suite_goes_on(setting, tmp_path):
    setting = replace(setting, items=1)
    whole = run(setting, ticking, tmp_path / "whole.jsonl")
    assert {row.item.split(",")[0] for row in whole} == {"low"}
    setting = replace(setting, scratch=tmp_path / "again")
    assert len(run(setting, ticking, tmp_path / "parts.jsonl", 8)) == 8
    with open(setting.scratch / "patch.jsonl", "a") as file:
        file.write('\n{"item": "low, na')
    parts = run(setting, ticking, tmp_path / "parts.jsonl")
    assert [replace(row, seconds=0.0) for row in parts] == [
        replace(row, seconds=0.0) for row in whole
    ]


def test_lost_scratch_is_one_sentence(setting):
    (task,) = [t for t in patch.suite(setting) if (t.item, t.method) == ("low, wide", "paper")]
    with pytest.raises(ValueError, match=r"must hold default on low, wide; take its line from"):
        next(iter(task.run()))


def test_findings_are_of_the_instruments_not_of_their_best():
    rows = [
        Row("patch", item, method, {"match_after": match}, tags)
        for item, tags, method, match in (
            ("low, fm", ("fm",), "default", 0.5),
            ("low, fm", ("fm",), "paper", 0.1),
            ("low, impact", ("impact",), "default", 0.7),
            ("low, impact", ("impact",), "paper", 0.5),
            ("low, best", ("best",), "default", 9.0),
            ("low, best", ("best",), "paper", 0.5),
        )
    ]
    said = patch.findings(rows)
    paper = "match, default rather than paper: +0.300 ± 0.100 over 2 pairs, holds"
    assert paper in said
    assert sum("not known, 0 of the 2 pairs" in other for other in said) == len(said) - 1 == 6 + 6


def test_what_the_prior_is_worth_is_paired_with_the_shuffled_one():
    rows = [
        Row("patch", item, method, {"match_after": match, "top3": 1.0}, ("fm",))
        for item, trained, unlearned in (("low, fm", 0.6, 0.5), ("high, fm", 0.8, 0.5))
        for method, match in (("fast", trained), ("fast" + SHUFFLED, unlearned))
    ]
    said = patch.findings(rows)
    match = "match, fast, trained rather than shuffled prior: +0.200 ± 0.100 over 2 pairs"
    assert any(finding.startswith(match) for finding in said)


def test_shuffled_rows_need_a_network():
    class Networked:
        network = torch.nn.Linear(1, 1)

    assert len(methods_for(Networked())) == len(METHODS)
    left_out = set(METHODS) - set(methods_for(PRIOR))
    assert left_out == {"default" + SHUFFLED, "fast" + SHUFFLED}


def test_the_last_prompts_are_looked_at_only_when_all_are(setting, monkeypatch):
    monkeypatch.setattr(patch, "EVERYDAY", EVERYDAY)
    every = patch.prompts(setting, [])
    assert len(every) == 43
    assert sum(prompt.last for prompt in every) == 10
    assert not any(prompt.last for prompt in patch.prompts(replace(setting, items=99), []))


def test_default_runs_first():
    assert next(iter(METHODS)) == "default"


# The ablations


@pytest.mark.parametrize("method", ablation.VARIANTS)
def test_one_field_changes(method):
    changed = ablation.VARIANTS[method]
    differ = [
        f.name
        for f in fields(changed)
        if getattr(changed, f.name) != getattr(ablation.PLAIN, f.name)
    ]
    assert len(differ) == (method != "plain")


class Loyal:
    """An evaluation scorer that likes nothing better than the first sound it heard for a prompt."""

    name = "loyal"

    def __init__(self):
        self.first = {}

    def similarity(self, audio, rate, prompts):
        first = self.first.setdefault(prompts[0], audio)
        return -(audio - first).square().mean((1, 2)).sqrt()[:, None]


class Doubled(GaussianPrior):
    """A codec that is linear, but no orthonormal transform: latents are twice as large."""

    def encode(self, audio):
        return 2 * super().encode(audio)

    def decode(self, latent, *, like=None):
        return super().decode(latent / 2, like=like)


@pytest.mark.parametrize(("kind", "ratio"), [(GaussianPrior, 1.0), (Doubled, 4.0)])
def test_encoder_and_decoder_sds_are_the_same_where_the_codec_is_orthonormal(kind, ratio):
    """Encoder SDS is J^T (z - z_hat) at z = J x, decoder SDS J^-1 (z - z_hat), and J^T = c J^-1."""
    prior = kind(PROMPTS, PROMPTS, sample_rate=RATE, hop=HOP)
    sound = tone(300)[None, None] * 0.3
    got = ablation.compare_gradients(
        prior, "a low tone", sound, lambda: torch.Generator().manual_seed(0)
    )
    assert got["cosine"] == pytest.approx(1.0, abs=1e-6)
    assert got["norm_ratio"] == pytest.approx(ratio, rel=1e-6)


def test_gradients_of_a_codec_that_is_not_linear_differ():
    class Bent(GaussianPrior):
        def encode(self, audio):
            z = super().encode(audio)
            return z.sign() * (z.abs() + 1e-6).sqrt()

        def decode(self, latent, *, like=None):
            return super().decode(latent.sign() * latent.square(), like=like)

    prior = Bent(PROMPTS, PROMPTS, sample_rate=RATE, hop=HOP)
    sound = tone(300)[None, None] * 0.3
    got = ablation.compare_gradients(
        prior, "a low tone", sound, lambda: torch.Generator().manual_seed(0)
    )
    assert got["cosine"] < 0.9


class Protocol:
    """A prior that has what `sds.priors.base.Prior` says, and nothing else."""

    def __init__(self, prior):
        for name in ("name", "sample_rate", "channels", "max_seconds", "sigmas"):
            setattr(self, name, getattr(prior, name))
        for name in ("embed", "encode", "decode", "denoise"):
            setattr(self, name, getattr(prior, name))


def test_the_suites_ask_a_prior_for_its_protocol_only(setting, tmp_path):
    bare = replace(setting, prior=Protocol(PRIOR), instruments=setting.instruments[:1], items=1)
    rows = run(bare, patch.suite, tmp_path / "rows.jsonl")
    assert {row.method for row in rows} == set(methods_for(PRIOR))
    (check,) = (task for task in ablation.suite(bare) if task.method == ablation.GRADIENTS)
    assert list(check.run())[-1]["cosine"] == pytest.approx(1.0, abs=1e-6)


def test_ablation_is_judged_by_the_last_patch(setting, tmp_path, monkeypatch):
    few = {name: replace(recipe, steps=5) for name, recipe in ablation.VARIANTS.items()}
    monkeypatch.setattr(ablation, "VARIANTS", few)
    one = replace(setting, evaluation_scorer=Loyal(), instruments=setting.instruments[:1], items=2)
    rows = run(one, ablation.suite, tmp_path / "rows.jsonl")
    checks = [row for row in rows if row.method == ablation.GRADIENTS]
    assert [row.item for row in checks] == ["low", "high"]
    rows = [row for row in rows if row not in checks]
    assert {row.item for row in rows} == {"low, wide", "high, wide"}
    assert len(rows) == 2 * len(few)
    for row in rows:
        assert row.figures["match_before"] == 0
        assert row.figures["gain"] == row.figures["match_after"] < -1e-3


class Level:
    """Minus the distance of a sound's amplitude from 0.6."""

    name = "level"

    def similarity(self, audio, rate, prompts):
        level = audio.square().mean((1, 2)).mul(2).sqrt()
        return -(level - 0.6).abs()[:, None].expand(-1, len(prompts))


def test_every_ablation_finds_the_only_sound_there_is(setting, tmp_path):
    """The prior is one tone with and without prompt, so that guidance changes nothing."""
    audio = tone(400)[None, None]
    mean = PRIOR.encode(0.6 * audio)[0]
    prior = GaussianPrior(
        dict.fromkeys(PROMPTS, mean), dict.fromkeys(PROMPTS, 1e-3), sample_rate=RATE, hop=HOP
    )
    loudness = Instrument(
        "level",
        lambda n, generator: torch.rand(n, 1, generator=generator),
        lambda u, samples: u[:, :, None] * audio[..., :samples],
        lambda prompt, n, generator: torch.rand(n, 1, generator=generator),
    )
    sure = replace(
        setting, prior=prior, evaluation_scorer=Level(), instruments=(loudness,), items=1
    )
    *rows, check = run(sure, ablation.suite, tmp_path / "rows.jsonl")
    assert [row.method for row in rows] == list(ablation.VARIANTS)
    assert check.figures["cosine"] == pytest.approx(1.0, abs=1e-6)
    assert not any(row.figures["diverged"] for row in rows)
    assert all(row.figures["match_after"] > -0.05 for row in rows)  # 0.05 is the size of a step


def test_divergence_is_said_and_the_last_sound_judged(setting, tmp_path):
    """60 times a mean near the largest number is no number."""
    means = {prompt: 1e37 if prompt else 0.0 for prompt in PROMPTS}
    prior = GaussianPrior(means, PROMPTS, sample_rate=RATE, hop=HOP)
    far = replace(setting, prior=prior, instruments=setting.instruments[:1], items=1)
    *rows, check = run(far, ablation.suite, tmp_path / "rows.jsonl")
    assert check.method == ablation.GRADIENTS
    for row in rows:
        assert row.figures["diverged"] == 1
        assert row.figures["gain"] == pytest.approx(0.0, abs=1e-6)


def test_directions_are_paired_means():
    """Differences 0.1, 0.2, 0.3: 0.2 +- 0.1 / sqrt 3; an item without a pair counts for nothing."""
    gains = {
        "plain": [0.3, 0.5, 0.7, 0.9],
        "encoder": [0.2, 0.3, 0.4],
        "waveform": [0.5, 0.3, 0.7],
        "guidance 3": [1.3, 1.5, 1.8],
        "annealed t": [0.1],
    }
    rows = [
        Row("ablation", f"item {i}", method, {"gain": gain})
        for method, values in gains.items()
        for i, gain in enumerate(values)
    ]
    decoder, ten, _two, spectrogram, _, three, uniform = ablation.directions(rows)
    assert decoder == (
        "decoder rather than encoder SDS: +0.200 ± 0.058 over 3 pairs, holds"
        " (the paper: +0.15 CLAP)"
    )
    assert "not known, 0 of the 2 pairs that it takes (the paper: +0.14 CLAP)" in ten
    assert spectrogram.endswith("+0.000 ± 0.115 over 3 pairs, not decided")
    assert three.endswith("-1.033 ± 0.033 over 3 pairs, the reverse holds")
    assert uniform.endswith("not known, 1 of the 2 pairs that it takes")
