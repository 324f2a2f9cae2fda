"""The seam: prompt to patch and track to stems on the exact prior, and the pipe around them."""

import io
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf
import torch
from pydantic import ValidationError
from safetensors.torch import save_file

from bridge import worker
from bridge.files import atomic_output, wav
from bridge.protocol import worker_loop
from bridge.protocol.events import Best, Cancelled, Done, Event, Failed, Progress, event_adapter
from bridge.protocol.jobs import Job, Separate
from bridge.protocol.patch_jobs import DesignPatch, EditPreset, Morph, RenderPreset, Vary
from bridge.stems import manifest as stems
from bridge.stems import null_test
from bridge.worker import models
from presets import Effect, Note, Preset, load, save
from renderers import RENDERERS, effects, fm, random_patches, to_values
from renderers.algorithms import DIFFERENT
from sds.distillation.recipes import RECIPES
from sds.metrics import separation
from sds.priors.memory import NotEnoughMemory
from sds.priors.stable_audio import ModelUnavailable
from sds.similarity.rating import rating
from sds.similarity.two_tower import Towers, load_scorer

RATE = 44100


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A recipe with every stage, each short."""
    recipe = RECIPES["fast"]
    small = replace(
        recipe,
        distillation=replace(recipe.distillation, steps=3, look=1),
        candidates=2,
        starts=1,
        generated=1,
        generate_steps=2,
        generations=0,
        fit_steps=1,
        preference=0.0,
        accept=-np.inf,
    )
    monkeypatch.setitem(RECIPES, "fast", small)


@pytest.fixture(scope="module")
def scorer_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An evaluation scorer with random weights: its scores mean nothing, but are numbers to
    follow.
    """
    folder = tmp_path_factory.mktemp("evaluation_scorer")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        weights = Towers().state_dict()
    save_file(
        {name: value.contiguous() for name, value in weights.items()}, folder / "model.safetensors"
    )
    return folder


def patch_job(out: Path, **changes: Any) -> DesignPatch:
    fields = {"id": "j1", "prompt": "a bell", "renderer": "fm", "model": "gaussian"}
    return DesignPatch.model_validate(
        fields | {"out": str(out), "duration": 0.25, "recipe": "fast"} | changes
    )


def separate_job(file: Path, out: Path, **changes: Any) -> Separate:
    fields = {"id": "j2", "prompts": ("one", "two"), "model": "gaussian", "steps": 2}
    return Separate.model_validate(fields | {"file": str(file), "out": str(out)} | changes)


def run(job: Job, loaded: worker.Models | None = None) -> list[Event]:
    return list(worker.work(job, loaded or worker.Models(evaluation_scorer=Path("nowhere"))))


def result(events: list[Event]) -> dict[str, Any]:
    assert isinstance(events[-1], Done)
    return events[-1].result


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def bands(names: tuple[str, ...], frames: int) -> np.ndarray:
    """Samples [K, T] of the exact prior's Gaussians: what each prompt truly means."""
    prior = models.gaussian(names)
    generator = torch.Generator().manual_seed(5)
    length = -(-frames // prior.hop)
    noise = torch.randn(len(names), prior.hop, length, generator=generator)
    stds = torch.stack([prior.stds[name] for name in names])
    return prior.decode(noise * stds)[:, 0, :frames].numpy()


# Prompt to patch.


@pytest.mark.parametrize("renderer", ["fm", "impact"])
def test_prompt_to_patch(tmp_path: Path, renderer: str) -> None:
    events = []
    job = patch_job(tmp_path / "out", renderer=renderer)
    for event in worker.work(job, worker.Models(evaluation_scorer=Path("nowhere"))):
        events.append(event)
        if isinstance(event, Best):  # playable while the job runs
            heard, _ = sf.read(event.wav, dtype="float32", always_2d=True)
            np.testing.assert_array_equal(heard.T, effects.render(load(event.preset)))
    got = result(events)
    assert any(isinstance(event, Best) for event in events)
    fractions = [event.fraction for event in events if isinstance(event, Progress)]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    assert set(got) == {
        "preset", "wav", "initial_wav", "score_before", "score_after", "rating_before",
        "rating", "verdict",
        "patches", "renderer", "why", "pitched", "steps", "seconds", "curves",
    }  # fmt: skip
    assert (got["renderer"], got["rating"], got["verdict"]) == (renderer, None, None)
    assert got["patches"][0]["preset"] == got["preset"]
    assert got["steps"] == 3
    assert got["score_before"] is None  # no evaluation scorer
    preset = load(got["preset"])
    assert (preset.renderer, preset.prompt, preset.seed) == (renderer, "a bell", 0)
    assert preset.provenance.method == "distill/fast"
    heard, rate = sf.read(got["wav"], dtype="float32", always_2d=True)
    assert (rate, len(heard)) == (RATE, round(preset.seconds * RATE))
    assert preset.seconds <= 0.25
    assert np.abs(heard).max() == pytest.approx(10 ** (-1 / 20), rel=1e-3)
    np.testing.assert_array_equal(heard.T, effects.render(preset))
    curves = json.loads(Path(got["curves"]).read_text())
    assert list(dict.fromkeys(curves["stage"])) == ["search", "generate", "fit", "distill"]
    assert all(a <= b for a, b in zip(curves["score"], curves["score"][1:], strict=False))
    more = [f"a-bell-{k}.{s}" for k in range(2, len(got["patches"]) + 1) for s in ("json", "wav")]
    assert sorted(contents(tmp_path / "out")) == sorted(
        [*more, "a-bell.json", "a-bell.wav", "a-bell__initial.wav", "curves.json"]
    )


def test_both_synths_are_tried_and_the_better_goes_on(tmp_path: Path, scorer_folder: Path) -> None:
    loaded = worker.Models(evaluation_scorer=scorer_folder, search_scorer=scorer_folder)
    events = run(patch_job(tmp_path, renderer="auto", count=3), loaded)
    got = result(events)
    stages = list(dict.fromkeys(e.stage for e in events if isinstance(e, Progress)))
    assert stages[2:4] == ["trying fm", "trying impact"]
    tried = {e.stage: e.figures["score"] for e in events
             if isinstance(e, Progress) and e.stage.startswith("trying")}  # fmt: skip
    better = max(tried, key=lambda stage: tried[stage])
    assert better == f"trying {got['renderer']}"
    assert got["why"].startswith("the best score of its candidates: fm ")
    assert 1 <= len(got["patches"]) <= 3
    scores = [made["score"] for made in got["patches"]]
    assert scores == sorted(scores, reverse=True)
    assert got["rating_before"] == rating(got["score_before"])
    told = [
        e.figures["rating"] for e in events if isinstance(e, Progress) and "rating" in e.figures
    ]
    previews = [e.rating for e in events if isinstance(e, Best)]
    assert told[0] in (got["rating_before"], previews[0])  # of the best so far, on the same scale
    assert set(told) <= {got["rating_before"], *previews}
    for made in got["patches"]:
        assert made["rating"] == rating(made["score_after"])
        assert 0.0 <= made["rating"] <= 100.0
        assert made["verdict"].startswith(("as asked", "in part", "out of reach: "))
        heard, _ = sf.read(made["wav"], dtype="float32", always_2d=True)
        np.testing.assert_array_equal(heard.T, effects.render(load(made["preset"])))


def test_a_reverb_that_was_asked_for_rings_after_the_sound(tmp_path: Path) -> None:
    """ "kick drum, bass, reverb", the paper's own prompt; effects can be switched off."""
    got = result(run(patch_job(tmp_path, prompt="kick drum, bass, reverb", renderer="impact")))
    made = load(got["preset"])
    assert made.effects[0].kind == "Reverb"
    heard, _ = sf.read(got["wav"], dtype="float32", always_2d=True)
    dry = effects.render(made.model_copy(update={"effects": ()}))[0]
    end = round(0.25 * RATE)  # the dry sound was searched at this length
    assert len(heard) > end + RATE // 10
    ringing = np.abs(heard[end:]).max() / np.abs(heard).max()
    assert ringing > 10 ** (-50 / 20)
    late = slice(end + RATE * 2 // 5, len(heard))  # the struck thing rings less than the room
    share = [np.square(x[late]).sum() / np.square(x).sum() for x in (heard[:, 0], dry)]
    assert share[0] > 4 * share[1]


def test_a_recording_is_fitted_without_a_word(tmp_path: Path, scorer_folder: Path) -> None:
    t = np.arange(RATE // 4) / RATE
    sf.write(tmp_path / "My take.wav", 0.5 * np.sin(2 * np.pi * 330 * t) * np.exp(-9 * t), RATE)
    loaded = worker.Models(evaluation_scorer=scorer_folder, search_scorer=scorer_folder)
    job = patch_job(tmp_path / "out", like=str(tmp_path / "My take.wav"), prompt="")
    got = result(run(job.model_copy(update={"duration": None}), loaded))
    assert Path(got["preset"]).name == "my-take.json"
    assert (got["rating"], got["verdict"]) == (None, None)  # only words are calibrated
    assert got["score_after"] >= got["score_before"] - 1e-6
    sf.write(tmp_path / "silence.wav", np.zeros(9000), RATE)
    with pytest.raises(ValueError, match=r"silence\.wav is silent"):
        run(job.model_copy(update={"like": str(tmp_path / "silence.wav")}), loaded)


def test_a_start_is_what_is_to_be_beaten(tmp_path: Path) -> None:
    """Its matrix, effects and note stay; the sound it started as is its own."""
    algorithm = fm.renderer(matrix="dx7:5")
    u = random_patches(algorithm, 1, generator=torch.Generator().manual_seed(1))[0]
    start = Preset(
        name="E.PIANO", renderer="fm", renderer_version=1, values=to_values(algorithm, u),
        note=48, seconds=0.25, effects=(Effect(kind="LowpassFilter"),),
    )  # fmt: skip
    save(start, tmp_path / "start.json")
    got = result(run(patch_job(tmp_path / "out", start=str(tmp_path / "start.json"))))
    made = load(got["preset"])
    lifted = fm.renderer(matrix="dx7:5", voice="full")
    assert set(made.values) == {p.name for p in lifted.params}
    assert (made.note, made.effects[:1], made.name) == (48, start.effects, "a bell")
    heard, _ = sf.read(got["initial_wav"], dtype="float32", always_2d=True)
    # lifted into the full voice, whose filter at 20 kHz turns phases a little
    np.testing.assert_allclose(heard.T, effects.render(start), atol=1e-3)
    asked = patch_job(
        tmp_path / "no", renderer="auto", start=str(tmp_path / "start.json"), matrix="free"
    )
    with pytest.raises(ValueError, match="those of the start"):
        run(asked)
    with pytest.raises(ValueError, match="renderer must be that of the start, fm: impact"):
        run(asked.model_copy(update={"renderer": "impact", "matrix": None}))


@pytest.mark.parametrize(
    ("asked", "same"),
    [
        ({"matrix": "dx7:32"}, {"matrix": "dx7:32"}),
        ({"matrix": "free", "operators": 2}, {"matrix": "free", "operators": 2}),
        ({"operators": 3}, {"operators": 3}),
    ],
)
def test_a_matrix_is_that_of_the_patch(
    tmp_path: Path, asked: dict[str, Any], same: dict[str, Any]
) -> None:
    made = load(result(run(patch_job(tmp_path, **asked)))["preset"])
    assert set(made.values) == {p.name for p in fm.renderer(**same, voice="full").params}


def test_the_best_algorithm_is_searched_to_the_end(tmp_path: Path, scorer_folder: Path) -> None:
    loaded = worker.Models(evaluation_scorer=scorer_folder, search_scorer=scorer_folder)
    events = run(patch_job(tmp_path, matrix="dx7:auto"), loaded)
    stages = [event.stage for event in events if isinstance(event, Progress)]
    assert sum(stage.startswith("algorithm ") for stage in stages) == len(DIFFERENT) == 30
    fractions = [event.fraction for event in events if isinstance(event, Progress)]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    made = load(result(events)["preset"])
    assert sum(name.endswith("_ratio") for name in made.values) == 6
    assert "op6_from_op1" not in made.values  # in the DX7 the higher numbers modulate
    with pytest.raises(ValueError, match="there is no search scorer here"):
        run(patch_job(tmp_path, matrix="dx7:auto"), worker.Models(search_scorer=tmp_path))


def test_the_bank_helps_in_any_matrix(tmp_path: Path) -> None:
    """The nearest patches of the bank, moved into six operators, sound as they do in four."""
    loaded = worker.Models()
    if loaded.search_scorer() is None:
        pytest.skip("there is no search scorer here: make weights")
    listed, six = RENDERERS["fm"], fm.renderer(operators=6, voice="full")
    draw = torch.Generator().manual_seed(0)
    near = loaded.near(listed, "a bell", 2, draw)
    wide = loaded.near(six, "a bell", 3, draw)
    assert wide.shape == (3, len(six.params))
    heard = [r.render(u[:2], Note(60), 22050, 4410) for r, u in ((listed, near), (six, wide))]
    torch.testing.assert_close(heard[0], heard[1], atol=2e-3, rtol=0)  # banks are in half precision
    few = loaded.near(fm.renderer(operators=2), "a bell", 3, draw)
    assert few.shape == (3, len(fm.renderer(operators=2).params))


def test_only_fm_has_a_matrix(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="only fm has a matrix and operators"):
        run(patch_job(tmp_path / "a", renderer="impact", operators=3))
    with pytest.raises(ValidationError, match="must be free, acyclic, dx7:auto or dx7:1"):
        patch_job(tmp_path / "a", matrix="dx7:33")
    assert not (tmp_path / "a").exists()


# Presets to presets.


def test_an_edit_moves_a_patch_and_keeps_its_matrix(tmp_path: Path, scorer_folder: Path) -> None:
    a, _ = two_presets(tmp_path)
    job = EditPreset(
        id="j", preset=str(a), prompt="like glass", out=str(tmp_path / "out"), steps=5,
        model="gaussian",
    )  # fmt: skip
    events = run(job, worker.Models(evaluation_scorer=scorer_folder, search_scorer=scorer_folder))
    got = result(events)
    made, start = load(got["preset"]), load(a)
    assert (made.name, made.prompt, made.note) == ("a, like glass", "a, like glass", start.note)
    assert set(made.values) == set(start.values)
    assert made.values["op4_ratio"] == pytest.approx(start.values["op4_ratio"])  # its pitch
    assert made.provenance.method == "edit"
    assert got["changed"] is (made.values != start.values)
    heard, _ = sf.read(got["initial_wav"], dtype="float32", always_2d=True)
    np.testing.assert_array_equal(heard.T, effects.render(start))
    assert load(got["preset"]).provenance.score_before == got["score_before"]
    assert got["rating"] == rating(got["score_after"])
    steps = [e for e in events if isinstance(e, Progress) and e.stage == "edit"]
    assert all(0.0 <= step.figures["rating"] <= 100.0 for step in steps)
    again = run(job, worker.Models(evaluation_scorer=scorer_folder, search_scorer=scorer_folder))
    assert load(result(again)["preset"]) == made


def test_words_that_can_be_measured_are(tmp_path: Path) -> None:
    a = tmp_path / "a.json"
    pair = fm.renderer(operators=2)
    values = {p.name: p.low for p in pair.params} | {"op1_ratio": 3.0, "op2_ratio": 1.0}
    values |= {"op1_decay": 2.0, "op2_decay": 2.0, "op2_mix": 1.0, "op2_from_op1": 3.0}
    preset = Preset(name="a", renderer="fm", renderer_version=1, values=values, seconds=0.25)
    save(preset.model_copy(update={"held": 0.2}), a)
    bright, _ = sf.read(result(run(RenderPreset(id="r", preset=str(a), out=f"{a}.wav")))["wav"])
    job = EditPreset(id="j", preset=str(a), prompt="much darker", out=str(tmp_path / "out"))
    got = result(run(job))
    dark, rate = sf.read(got["wav"])
    hz = np.fft.rfftfreq(len(dark), 1 / rate)
    before, after = (
        float((hz * np.abs(np.fft.rfft(x)) ** 2).sum() / (np.abs(np.fft.rfft(x)) ** 2).sum())
        for x in (bright, dark)
    )
    assert got["changed"]
    assert after < 0.9 * before  # the centroid
    assert load(got["preset"]).provenance.method == "reshape"
    job = job.model_copy(update={"prompt": "longer", "out": str(tmp_path / "long")})
    longer = load(result(run(job))["preset"])
    assert (longer.seconds, longer.held) == (0.5, 0.4)  # they were 0.25 and 0.2


def two_presets(folder: Path) -> tuple[Path, Path]:
    """Two FM patches of a quarter second in files."""
    listed = RENDERERS["fm"]
    rows = random_patches(listed, 2, generator=torch.Generator().manual_seed(2))
    for name, u in zip("ab", rows, strict=True):
        values = to_values(listed, u)
        made = Preset(name=name, renderer="fm", renderer_version=1, values=values, seconds=0.25)
        save(made, folder / f"{name}.json")
    return folder / "a.json", folder / "b.json"


def test_variations_are_near_and_all_different(tmp_path: Path) -> None:
    a, _ = two_presets(tmp_path)
    job = Vary(id="j", preset=str(a), out=str(tmp_path / "out"), count=10, seed=4)
    made = result(run(job))["presets"]
    assert [Path(m["preset"]).name for m in made[::9]] == ["a-01.json", "a-10.json"]
    patches = [load(m["preset"]) for m in made]
    assert len({tuple(patch.values.values()) for patch in patches}) == 10
    heard, rate = sf.read(made[3]["wav"], dtype="float32", always_2d=True)
    np.testing.assert_array_equal(heard.T, effects.render(patches[3], rate=rate))
    again = job.model_copy(update={"out": str(tmp_path / "again")})
    run(again)
    assert contents(tmp_path / "out") == contents(tmp_path / "again")


def test_a_morph_has_both_ends(tmp_path: Path) -> None:
    a, b = two_presets(tmp_path)
    job = Morph(id="j", preset=str(a), other=str(b), out=str(tmp_path / "out"), steps=3)
    first, middle, last = (load(m["preset"]) for m in result(run(job))["presets"])
    assert (first, last) == (load(a), load(b))
    ratio = "op1_ratio"  # its scale is logarithmic: halfway is the geometric mean
    expected = (first.values[ratio] * last.values[ratio]) ** 0.5
    assert middle.values[ratio] == pytest.approx(expected)


def test_what_is_between_two_loud_presets_is_at_minus_one_dbfs(tmp_path: Path) -> None:
    ends = two_presets(tmp_path)
    for path in ends:
        boost = Effect(kind="Gain", values={"gain_db": 40.0})
        save(load(path).model_copy(update={"effects": (boost,)}), path)
    a, b = map(str, ends)
    made = result(run(Morph(id="j", preset=a, other=b, out=str(tmp_path / "out"), steps=3)))
    first, middle, last = made["presets"]
    assert (load(first["preset"]), load(last["preset"])) == (load(a), load(b))
    heard, _ = sf.read(middle["wav"])
    assert np.abs(heard).max() == pytest.approx(10 ** (-1 / 20), rel=1e-4)


def test_a_cancelled_morph_leaves_nothing(tmp_path: Path) -> None:
    a, b = two_presets(tmp_path)
    job = Morph(id="j", preset=str(a), other=str(b), out=str(tmp_path / "out"), steps=3)
    events = worker.work(job, worker.Models(evaluation_scorer=Path("nowhere")))
    for event in events:
        if isinstance(event, Progress) and event.fraction > 0.5:
            break
    events.close()
    assert not (tmp_path / "out").exists()


def test_same_seed_same_bytes(tmp_path: Path) -> None:
    for name, seed in (("a", 7), ("b", 7), ("c", 8)):
        run(patch_job(tmp_path / name, seed=seed))
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    first = "a-bell__initial.wav"
    assert contents(tmp_path / "a")[first] != contents(tmp_path / "c")[first]


def test_scores_are_those_of_the_files(tmp_path: Path, scorer_folder: Path) -> None:
    got = result(
        run(
            patch_job(tmp_path),
            worker.Models(evaluation_scorer=scorer_folder, search_scorer=scorer_folder),
        )
    )
    evaluation_scorer = load_scorer(scorer_folder)
    for key, score in (("initial_wav", "score_before"), ("wav", "score_after")):
        heard = torch.from_numpy(sf.read(got[key], dtype="float32", always_2d=True)[0].T)
        expected = float(evaluation_scorer.similarity(heard[None], RATE, ["a bell"]))
        assert got[score] == pytest.approx(expected, abs=1e-6)
    provenance = load(got["preset"]).provenance
    assert provenance.score_before == got["score_before"]
    assert provenance.score_after == got["score_after"]
    # The search scorer is the evaluation scorer here; the level may change the last digit.
    assert got["score_after"] >= got["score_before"] - 1e-6


def test_a_patch_longer_than_the_model_hears_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prior = models.gaussian(["a bell"])
    prior.max_seconds = 0.5
    monkeypatch.setattr(models, "gaussian", lambda prompts: prior)
    with pytest.raises(ValueError, match=r"at most 0\.5 with the model gaussian, got 0\.75"):
        run(patch_job(tmp_path / "out", duration=0.75))
    assert not (tmp_path / "out").exists()


# Track to stems.


@pytest.mark.parametrize(
    ("rate", "channels", "subtype"),
    [(44100, 1, "PCM_16"), (48000, 2, "FLOAT"), (22050, 2, "PCM_24"), (8000, 1, "PCM_16")],
)
def test_stems_come_back_as_they_came(
    tmp_path: Path, rate: int, channels: int, subtype: str
) -> None:
    frames = rate // 2 + 17
    audio = 0.2 * np.random.default_rng(0).standard_normal((frames, channels))
    sf.write(tmp_path / "Take 1.wav", audio, rate, subtype=subtype)
    got = result(run(separate_job(tmp_path / "Take 1.wav", tmp_path / "out")))
    files = [*(stem["wav"] for stem in got["stems"]), got["residual"]]
    assert [stem["prompt"] for stem in got["stems"]] == ["one", "two"]
    for file in files:
        info = sf.info(file)
        assert (info.samplerate, info.channels, info.frames) == (rate, channels, frames)
        assert info.subtype == "FLOAT"
    manifest = Path(got["manifest"])
    assert got["null_db"] < -120
    assert null_test.verify(manifest) == pytest.approx(got["null_db"], abs=0.5)
    assert stems.load(manifest).source_wav == "../Take 1.wav"


def test_stems_of_a_compressed_source_carry_it_along(tmp_path: Path) -> None:
    audio = 0.2 * np.random.default_rng(0).standard_normal(8000)
    sf.write(tmp_path / "a.flac", audio, 16000)
    got = result(run(separate_job(tmp_path / "a.flac", tmp_path / "out")))
    manifest = stems.load(Path(got["manifest"]))
    copy = tmp_path / "out" / manifest.source_wav
    assert copy.parent.name == "source"
    np.testing.assert_array_equal(
        sf.read(copy, dtype="float32")[0], sf.read(tmp_path / "a.flac", dtype="float32")[0]
    )
    assert null_test.verify(Path(got["manifest"])) < -120


def test_stems_begin_where_their_source_began(tmp_path: Path) -> None:
    data = (0.1 * np.random.default_rng(0).standard_normal(9000)).astype("<f4")
    at = 2**32 + 1234
    wav.write(
        tmp_path / "take.wav",
        [data.tobytes()],
        rate=RATE,
        channels=1,
        frames=9000,
        bext=wav.Bext(time_reference=at),
    )
    got = result(run(separate_job(tmp_path / "take.wav", tmp_path / "out")))
    bext = wav.read_header(Path(got["stems"][1]["wav"])).bext
    assert bext is not None
    assert bext.time_reference == at
    assert bext.description == "two; seed 0; method default; model gaussian"
    assert stems.load(Path(got["manifest"])).start_samples == at


def test_a_host_says_where_stems_begin_and_in_which_tempo(tmp_path: Path) -> None:
    """Over what the file says of itself: a file may lie anywhere in a session."""
    sf.write(tmp_path / "take.wav", 0.1 * np.random.default_rng(0).standard_normal(9000), RATE)
    there = {"start_samples": 3 * RATE, "tempo": "0:120,4:60"}
    got = result(run(separate_job(tmp_path / "take.wav", tmp_path / "out", **there)))
    manifest = stems.load(Path(got["manifest"]))
    assert (manifest.start_samples, manifest.start_beats) == (3 * RATE, 5.0)
    assert manifest.tempo == ((0, 120), (4, 60))
    for file in (*(stem["wav"] for stem in got["stems"]), got["residual"]):
        header = wav.read_header(Path(file))
        assert header.bext is not None
        assert header.bext.time_reference == 3 * RATE
        assert f"<JOB>{manifest.job}</JOB>" in header.ixml


def test_known_sources_come_out_cleaner(tmp_path: Path) -> None:
    names = ("hum", "hiss")  # bands four octaves apart, each with rests of its own
    beat = np.sin(2 * np.pi * np.array([[5.0], [3.0]]) * np.arange(RATE) / RATE) > 0
    sources = (bands(names, RATE) * beat).astype(np.float32)
    sf.write(tmp_path / "mix.wav", sources.sum(0), RATE, subtype="FLOAT")
    # the prior knows these bands by their names, which mean something else to everybody else
    job = separate_job(tmp_path / "mix.wav", tmp_path / "out", prompts=names, method="masks")
    got = result(run(job))
    mixture = torch.from_numpy(sources.sum(0))
    for source, stem in zip(torch.from_numpy(sources), got["stems"], strict=True):
        estimate = torch.from_numpy(sf.read(stem["wav"], dtype="float32")[0])
        assert float(separation.si_sdr_improvement(estimate, source, mixture)) > 3.0


def test_separating_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    sf.write(tmp_path / "mix.wav", bands(("one", "two"), 11025).sum(0), RATE)
    for name in ("a", "b"):
        run(separate_job(tmp_path / "mix.wav", tmp_path / name))
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


# The pipe.


def inbox(*lines: str) -> worker_loop.Inbox:
    return worker_loop.Inbox(io.StringIO("".join(f"{line}\n" for line in lines)))


def told(job: Job, events: Iterator[Event] | Exception, box: worker_loop.Inbox) -> list[Event]:
    def work(job: Job) -> worker_loop.Events:
        if isinstance(events, Exception):
            raise events
        yield from events

    return list(worker_loop.run(job, work, box, codes={ModelUnavailable: "no-model"}))


@pytest.mark.parametrize(
    ("error", "code", "reason"),
    [
        (ValueError("file is silent"), "bad-input", "file is silent"),
        (ModelUnavailable("ask for access"), "no-model", "ask for access"),
        (OSError(28, "No space left on device", "/x"), "no-room", "/x: No space left on device"),
        (KeyError("oops"), "internal", "the worker failed: KeyError: 'oops'"),
    ],
)
def test_every_end_is_told(tmp_path: Path, error: Exception, code: str, reason: str) -> None:
    job = patch_job(tmp_path)
    assert told(job, error, inbox()) == [Failed(id="j1", code=code, reason=reason)]


def test_full_memory_is_told_in_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> worker_loop.Events:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has")
        yield

    monkeypatch.setattr(worker, "function_of", lambda _: full)
    codes = {NotEnoughMemory: "no-memory"}
    (end,) = worker_loop.run(
        patch_job(tmp_path), lambda job: worker.work(job, worker.Models()), inbox(), codes=codes
    )
    assert isinstance(end, Failed)
    assert end.code == "no-memory"
    assert end.reason.startswith("there is not enough memory, 20.00 MiB more were asked for: ask")


def test_cancel_leaves_nothing(tmp_path: Path) -> None:
    job = patch_job(tmp_path / "a" / "b")
    box = inbox()
    events = worker.work(job, worker.Models(evaluation_scorer=Path("nowhere")))
    seen = []
    for event in worker_loop.run(job, lambda _: events, box, codes={}):
        seen.append(event)
        if isinstance(event, Best):
            assert Path(event.wav).is_file()
            box._cancelled.add("j1")
    assert seen[-1] == Cancelled(id="j1")
    assert not any(isinstance(event, Done) for event in seen)
    assert list(tmp_path.iterdir()) == []


def test_lines_that_are_no_jobs_are_answered(tmp_path: Path) -> None:
    box = inbox("junk", '{"kind": "patch", "id": "j9"}', "", patch_job(tmp_path).model_dump_json())
    first, second, third = (box.todo.get(timeout=5) for _ in range(3))
    assert isinstance(first, Failed)
    assert (first.id, first.code) == ("", "bad-job")
    assert isinstance(second, Failed)
    assert (second.id, second.code) == ("j9", "bad-job")
    assert third == patch_job(tmp_path)


def test_outputs_sweep_what_a_killed_worker_left(tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    (tmp_path / f"{atomic_output.PARTIAL}{dead.pid}-x").mkdir()
    (tmp_path / f"{atomic_output.PARTIAL}1-x").mkdir()  # process 1 lives
    with atomic_output.folder(tmp_path) as out:
        (out.partial / "a.txt").write_text("whole")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        f"{atomic_output.PARTIAL}1-x",
        "a.txt",
    ]


def test_outputs_that_something_stands_in_the_way_of_change_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("before")
    (tmp_path / "wav").write_text("a file")

    def written() -> None:
        with atomic_output.folder(tmp_path) as out:
            (out.partial / "a.txt").write_text("after")
            (out.partial / "wav").mkdir()

    with pytest.raises(ValueError, match="wav is a file already"):
        written()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.txt", "wav"]
    assert (tmp_path / "a.txt").read_text() == "before"


def test_an_edit_beside_its_start_leaves_it_there(tmp_path: Path) -> None:
    """Words without a letter add nothing to a file name."""
    a, _ = two_presets(tmp_path)
    before = a.read_bytes()
    got = result(
        run(EditPreset(id="j", preset=str(a), prompt="?!", out=str(tmp_path), steps=1,
                       model="gaussian"))
    )  # fmt: skip
    assert Path(got["preset"]).name == "a-edited.json"
    assert a.read_bytes() == before


def test_a_real_child_takes_jobs_cancels_and_goes_on(tmp_path: Path) -> None:
    first = result(run(patch_job(tmp_path / "made")))
    long = patch_job(tmp_path / "long", steps=5000)
    render = RenderPreset(id="j3", preset=first["preset"], out=str(tmp_path / "again.wav"))
    ends: list[Event] = []
    with subprocess.Popen(
        [sys.executable, "-m", "bridge.worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        for job in (long, render):
            child.stdin.write(job.model_dump_json() + "\n")
        child.stdin.flush()
        for line in child.stdout:
            event = event_adapter.validate_json(line)  # nothing else is ever on stdout
            if isinstance(event, Best) and event.id == "j1":
                child.stdin.write('{"kind": "cancel", "id": "j1"}\n')
                child.stdin.flush()
            if isinstance(event, Done | Failed | Cancelled):
                ends.append(event)
            if len(ends) == 2:
                child.stdin.close()
    assert child.returncode == 0
    assert ends[0] == Cancelled(id="j1")
    assert isinstance(ends[1], Done)
    assert not (tmp_path / "long").exists()
    assert (tmp_path / "again.wav").read_bytes() == Path(first["wav"]).read_bytes()
