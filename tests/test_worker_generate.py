"""Prompts to clips on the exact prior: their spectra, seeds, level, provenance and copy check."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf
import torch
import typer.main

from bridge import worker
from bridge.cli.main import app
from bridge.files import wav
from bridge.protocol.events import Done, Event, Progress
from bridge.protocol.jobs import GenerateClips, new_id
from bridge.stems.bwf_metadata import parse_ixml
from bridge.worker import models
from bridge.worker.stem_writer import PEAK_DB, turned_down
from sds.metrics.copy_detection import (
    CopyHead,
    CopyIndex,
    TrainingRecording,
    asked_windows,
    window_features,
)
from sds.metrics.fingerprint import fingerprint
from sds.priors.families import FAMILIES
from sds.priors.gaussian import GaussianPrior
from sds.priors.sampling import GUIDANCE, STEPS, generate
from sds.signal.audio_files import mono, resample
from sds.similarity import trunk

RATE = 44100


@pytest.fixture
def loaded() -> worker.Models:
    """Models without an index of recordings."""
    return worker.Models(evaluation_scorer=Path("nowhere"), copy_index=Path("nowhere"))


def job(out: Path, *prompts: str, **changes: Any) -> GenerateClips:
    fields = {"id": new_id(), "model": "gaussian", "duration": 0.25, "count": 2, "guidance": 1}
    fields |= {"prompts": prompts or ("a bell",), "out": str(out)}
    return GenerateClips.model_validate(fields | changes)


def run(asked: GenerateClips, loaded: worker.Models) -> list[Event]:
    return list(worker.work(asked, loaded))


def clips(asked: GenerateClips, loaded: worker.Models) -> list[dict[str, Any]]:
    *_, last = run(asked, loaded)
    assert isinstance(last, Done)
    found: list[dict[str, Any]] = last.result["clips"]
    return found


def heard(clip: dict[str, Any]) -> torch.Tensor:
    """The samples [1, C, T] of a clip."""
    sound, rate = sf.read(clip["wav"], dtype="float32", always_2d=True)
    assert rate == RATE
    return torch.from_numpy(sound.T)[None]


def test_clips_have_the_spectrum_of_their_prompt(tmp_path: Path, loaded: worker.Models) -> None:
    """Of N frames, the std of each DCT channel is off by 1 / sqrt(2 N) of itself."""
    made = clips(job(tmp_path, "a bell", "rain", count=3, duration=1.0), loaded)
    prior = models.gaussian(["a bell", "rain"])
    for prompt in ("a bell", "rain"):
        own = [heard(clip) for clip in made if clip["prompt"] == prompt]
        latents = torch.cat([prior.encode(sound[..., : 172 * prior.hop]) for sound in own], dim=2)
        error = latents[0].std(1) / prior.stds[prompt][:, 0] - 1
        assert float(error.square().mean().sqrt()) < 1.2 / (2 * 3 * 172) ** 0.5


def test_files_are_called_after_prompt_and_number(tmp_path: Path, loaded: worker.Models) -> None:
    prompts = ("Kick!", "kick?", "kick 2", "!!!")
    made = clips(job(tmp_path, *prompts, count=10, steps=1), loaded)
    names = [Path(clip["wav"]).name for clip in made]
    firsts = [f"{name}-01.wav" for name in ("kick", "kick-2", "kick-2-2", "clip")]
    assert names[::10] == firsts
    assert names[9] == "kick-10.wav"
    assert sorted(names) == sorted(path.name for path in tmp_path.iterdir())
    assert [clip["prompt"] for clip in made[::10]] == list(prompts)


def test_a_clip_depends_on_its_own_seed_only(tmp_path: Path, loaded: worker.Models) -> None:
    three = clips(job(tmp_path / "a", "rain", "a bell", seed=5, count=3), loaded)
    alone = clips(job(tmp_path / "b", seed=7, count=1), loaded)
    assert [clip["seed"] for clip in three] == [5, 6, 7] * 2
    assert Path(three[5]["wav"]).read_bytes() == Path(alone[0]["wav"]).read_bytes()
    assert not torch.equal(heard(three[4]), heard(alone[0]))
    again = clips(job(tmp_path / "c", "rain", "a bell", seed=5, count=3), loaded)
    for one, other in zip(three, again, strict=True):
        assert Path(one["wav"]).read_bytes() == Path(other["wav"]).read_bytes()
    (last, first) = clips(job(tmp_path / "d", seed=2**31 - 1, count=2), loaded)
    assert (last["seed"], first["seed"]) == (2**31 - 1, 0)


def test_clips_are_those_of_generate(tmp_path: Path, loaded: worker.Models) -> None:
    (clip,) = clips(job(tmp_path, seed=3, count=1, steps=7, guidance=2.5), loaded)
    noise = torch.Generator().manual_seed(3)
    prior = models.gaussian(["a bell"])
    expected = generate(prior, ["a bell"], 0.25, steps=7, scale=2.5, generator=noise)
    torch.testing.assert_close(heard(clip), turned_down(expected[0])[0][None], rtol=0, atol=0)


def test_result_and_wav_say_where_a_clip_comes_from(tmp_path: Path, loaded: worker.Models) -> None:
    (clip,) = clips(job(tmp_path, seed=3, count=1, guidance=None), loaded)
    known = {"prompt": "a bell", "seed": 3, "model": "gaussian", "model_hash": "", "steps": STEPS}
    known |= {"guidance": GUIDANCE, "duration": 0.25, "code": models.VERSION, "nearest": None}
    assert known.items() <= clip.items()
    header = wav.read_header(Path(clip["wav"]))
    assert (header.kind, header.bits, header.frames) == (wav.FLOAT, 32, round(0.25 * RATE))
    assert header.bext is not None
    assert header.bext.description == "a bell; seed 3; steps 20; guidance 3; model gaussian"
    assert header.bext.reference == "3/gaussian"
    own = parse_ixml(header.ixml).find("SCOREWIRE")
    assert own is not None
    said = {tag.tag.lower(): tag.text or "" for tag in own}
    left_out = ("wav", "nearest", "sampler", "schedule")  # a shipped model's bytes stay
    assert said == {k: str(v) for k, v in clip.items() if k not in left_out}
    assert (clip["sampler"], clip["schedule"]) == ("tab3", "karras")


def loud(prompts: list[str]) -> GaussianPrior:
    """A prior whose clips peak at about 8 and, of "", at about 0.04."""
    stds: dict[str, float] = dict.fromkeys(prompts, 2.0) | {"": 0.01}
    return GaussianPrior(dict.fromkeys(stds, 0.0), dict(stds))


def test_only_what_would_clip_is_turned_down(
    tmp_path: Path, loaded: worker.Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(models, "gaussian", loud)
    (high,) = clips(job(tmp_path / "a", count=1), loaded)
    (low,) = clips(job(tmp_path / "b", count=1, guidance=0), loaded)
    peak = float(heard(high).abs().max())
    assert 20 * np.log10(peak) == pytest.approx(PEAK_DB, abs=1e-4)
    assert -22 < high["gain_db"] < -17  # a peak of 4 to 5 times 2.0, of 11,025 samples
    noise = torch.Generator().manual_seed(0)
    made = generate(loud(["a bell"]), ["a bell"], 0.25, steps=20, scale=1.0, generator=noise)
    torch.testing.assert_close(heard(high), made * 10 ** (high["gain_db"] / 20), rtol=1e-3, atol=0)
    assert low["gain_db"] == 0.0
    assert 0.03 < float(heard(low).abs().max()) < 0.06


def test_the_help_names_what_is_left_out() -> None:
    said = {p.name: p.help for p in typer.main.get_command(app).commands["generate"].params}  # type: ignore[attr-defined]
    assert said["steps"].endswith(f"; the model's when left out, {STEPS}.")
    assert said["guidance"].endswith(f"; the model's when left out, {GUIDANCE:g}.")
    assert said["sampler"].endswith(f"; the model's, {FAMILIES['default'].sampler}.")
    assert said["schedule"].endswith(f"; the model's, {FAMILIES['default'].schedule}.")


def test_progress_rises_with_each_evaluation(tmp_path: Path, loaded: worker.Models) -> None:
    events = [e for e in run(job(tmp_path, steps=4), loaded) if isinstance(e, Progress)]
    assert [e.stage for e in events[2:]] == ["clip 1 of 2"] * 4 + ["clip 2 of 2"] * 4
    assert [e.fraction for e in events[2:]] == pytest.approx(
        [0.1, 0.2, 0.3, 0.4, 0.6, 0.7, 0.8, 0.9]
    )
    assert events[-1].eta is not None


def test_a_cancelled_job_asks_no_further_and_leaves_nothing(
    tmp_path: Path, loaded: worker.Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    denoise = GaussianPrior.denoise

    def counted(self: GaussianPrior, *args: Any) -> torch.Tensor:
        asked.append(1)
        return denoise(self, *args)

    monkeypatch.setattr(GaussianPrior, "denoise", counted)
    events = worker.work(job(tmp_path / "out", steps=4), loaded)
    for event in events:
        if isinstance(event, Progress) and event.fraction > 0.5:
            break
    events.close()
    assert len(asked) == 5  # four of the first clip, one of the second
    assert not (tmp_path / "out").exists()


def test_what_is_longer_than_the_model_is_refused(tmp_path: Path, loaded: worker.Models) -> None:
    with pytest.raises(ValueError, match=r"must be at most 10 with the model gaussian, got 10\.5"):
        run(job(tmp_path / "out", duration=10.5), loaded)
    assert not (tmp_path / "out").exists()


def test_a_prompt_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'kick' is there twice; count says how many"):
        job(tmp_path, "kick", "snare", "kick")


def test_a_file_of_somebody_stays(tmp_path: Path, loaded: worker.Models) -> None:
    theirs = tmp_path / "a-bell-2.wav"
    theirs.write_bytes(b"theirs")
    with pytest.raises(ValueError, match="Scorewire did not make it"):
        run(job(tmp_path), loaded)
    assert theirs.read_bytes() == b"theirs"
    assert [path.name for path in tmp_path.iterdir()] == ["a-bell-2.wav"]


def index_of(recordings: dict[str, torch.Tensor]) -> CopyIndex:
    """An index of recordings [1, T] by name whose likest pairs have cosines 0 .. 0.99, evenly, and
    whose fingerprints fit others at 0 .. 0.3.
    """
    with torch.random.fork_rng():
        torch.manual_seed(0)
        head = CopyHead()
    vectors, rows, words = [], [], []
    for row, sound in enumerate(recordings.values()):
        audio = resample(mono(sound[None])[0], RATE, trunk.RATE)
        cut = asked_windows(audio)
        words.append(fingerprint(audio))
        with torch.no_grad():
            vectors.append(head.eval()(window_features(cut)))
        rows += [row] * len(cut)
    known = [TrainingRecording(name, "bell", "A. Smith", "CC0-1.0") for name in recordings]
    table = torch.linspace(0, 0.99, 101)
    fits = torch.linspace(0, 0.3, 101)
    every = torch.cat(vectors)
    return CopyIndex(head, every, torch.tensor(rows), known, table, table, words, fits)


def test_a_clip_that_is_a_training_recording_is_warned_of(
    tmp_path: Path, loaded: worker.Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, second = clips(job(tmp_path / "a", count=2, duration=2.0), loaded)
    t = torch.arange(2 * RATE) / RATE
    decaying = 0.5 * torch.exp(-30 * t) * torch.sin(2 * torch.pi * 90 * t)
    index = index_of({"kick.wav": decaying[None], "bell.wav": heard(second)[0]})
    monkeypatch.setattr(loaded, "copy_index", lambda: index)
    *_, done = run(job(tmp_path / "b", count=1, duration=2.0, seed=1), loaded)
    assert isinstance(done, Done)
    (clip,) = done.result["clips"]
    assert torch.equal(heard(clip), heard(second))
    assert clip["nearest"]["similarity"] == pytest.approx(1.0, abs=1e-4)
    assert clip["nearest"].pop("match") > 0.3
    del clip["nearest"]["similarity"]
    assert clip["nearest"] == {
        "recording": "bell.wav", "author": "A. Smith", "licence": "CC0-1.0", "label": "bell",
        "percentile": 100.0, "match_percentile": 100.0,
    }  # fmt: skip
    assert "bell.wav by A. Smith (CC0-1.0)" in clip["warning"]
    assert done.result["note"] == "a-bell-1.wav may be a copy of a training recording: see warning"
    said = wav.read_header(Path(clip["wav"])).ixml
    assert "<NEAREST_RECORDING>bell.wav</NEAREST_RECORDING>" in said
    assert "<NEAREST_PERCENTILE>100.0</NEAREST_PERCENTILE>" in said
    json.dumps(done.result, allow_nan=False)


def test_a_clip_far_from_all_recordings_is_not_warned_of(
    tmp_path: Path, loaded: worker.Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    t = torch.arange(2 * RATE) / RATE
    decaying = 0.5 * torch.exp(-30 * t) * torch.sin(2 * torch.pi * 90 * t)
    index = index_of({"kick.wav": decaying[None]})
    monkeypatch.setattr(loaded, "copy_index", lambda: index)
    *_, done = run(job(tmp_path, count=1, duration=1.0), loaded)
    assert isinstance(done, Done)
    (clip,) = done.result["clips"]
    assert clip["nearest"]["recording"] == "kick.wav"
    assert clip["nearest"]["match_percentile"] < 99
    assert "warning" not in clip
    assert "note" not in done.result
