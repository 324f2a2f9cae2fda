"""Stem sets, accompaniment and fixed classes with a model whose answers are known."""

import hashlib
import json
import sys
from collections.abc import Generator, Mapping, Sequence
from itertools import chain, combinations
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile as sf
import torch
from torch import Tensor

from bridge import worker
from bridge.files import atomic_output, wav
from bridge.files.names import sha256
from bridge.hosts import HOSTS
from bridge.hosts.layout import layout
from bridge.protocol.base import WritingJob
from bridge.protocol.events import Done, Event, Progress
from bridge.protocol.jobs import Separate
from bridge.protocol.multitrack_jobs import Accompany, GenerateClips
from bridge.protocol.stem_classes import STEMS
from bridge.stems import excerpt, null_test, remake
from bridge.stems import manifest as stem_sets
from sds.priors.checkpoints import ModelUnavailable

RATE = 8000
SHARES = dict(zip(STEMS, (0.4, 0.3, 0.2, 0.1), strict=True))
ARRANGEMENTS = [*chain.from_iterable(combinations(STEMS, n) for n in (1, 2, 3))]


class FakeModel:
    """Adds noise that is as loud as its guidance, and takes apart by fixed shares."""

    name, model_hash, sample_rate, window_seconds = "fake", "f" * 16, RATE, 2.0

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []

    def arrange(
        self, model: "FakeModel", *, given: Mapping[str, Tensor], add: Sequence[str],
        samples: int, guidance: float | None, generator: torch.Generator, **asked: Any,
    ) -> Generator[float, None, dict[str, Tensor]]:  # fmt: skip
        assert model is self
        self.asked.append({"given": dict(given), "add": tuple(add), "samples": samples} | asked)
        for step in range(4):
            yield step / 4
        loud = 0.1 if guidance is None else guidance
        return {name: loud * torch.randn(1, samples, generator=generator) for name in add}

    def take_apart(
        self, model: "FakeModel", mix: Tensor, rate: int, *, method: str, steps: int | None,
        generator: torch.Generator,
    ) -> Generator[float, None, dict[str, Tensor]]:  # fmt: skip
        self.asked.append({"samples": mix.shape[1], "rate": rate, "method": method, "steps": steps})
        yield 0.5
        return {name: share * mix for name, share in SHARES.items()}


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeModel:
    """The model, in the place of the one that ships."""
    model = FakeModel()
    parts = {
        "loading": SimpleNamespace(load_multi_track=lambda name: _load(name, model)),
        "arrange": SimpleNamespace(arrange_stepwise=model.arrange),
        "take_apart": SimpleNamespace(take_apart_stepwise=model.take_apart),
    }
    for name, part in parts.items():
        monkeypatch.setitem(sys.modules, f"sds.multitrack.{name}", part)
    return model


def _load(name: str, model: FakeModel) -> FakeModel:
    if name != "default":
        raise ModelUnavailable(f"{name} is no model of stems")
    return model


def events(job: WritingJob) -> Generator[Event, None, None]:
    models = worker.Models(evaluation_scorer=Path("nowhere"), copy_index=Path("nowhere"))
    return worker.work(job, models)  # type: ignore[arg-type]


def run(job: WritingJob) -> dict[str, Any]:
    *_, end = events(job)
    assert isinstance(end, Done)
    return end.result


def sets(out: Path, **changes: Any) -> GenerateClips:
    fields = {"id": "j", "prompts": ("slow blues, brushed drums",), "stems": STEMS}
    return GenerateClips.model_validate(fields | {"out": str(out), "duration": 1} | changes)


def accompany(out: Path, given: dict[str, Path], **changes: Any) -> Accompany:
    files = {name: str(file) for name, file in given.items()}
    return Accompany.model_validate({"id": "j", "given": files, "out": str(out)} | changes)


def noise(path: Path, frames: int, channels: int = 1, rate: int = RATE, **how: Any) -> Path:
    """A file of noise unlike that of any other name."""
    seed = int(hashlib.sha256(path.name.encode()).hexdigest()[:8], 16)
    audio = 0.1 * np.random.default_rng(seed).standard_normal((frames, channels))
    sf.write(path, audio, rate, **({"subtype": "FLOAT"} | how))
    return path


def pcm(path: Path) -> str:
    """The digest of the bytes of a WAV's samples."""
    header = wav.read_header(path)
    size = header.frames * header.channels * header.bits // 8
    return hashlib.sha256(path.read_bytes()[header.offset : header.offset + size]).hexdigest()


def contents(folder: Path) -> dict[str, str]:
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {str(path.relative_to(folder)): sha256(path) for path in files}


# Generate


def test_a_stem_set_is_made_as_long_as_its_bars(tmp_path: Path, fake: FakeModel) -> None:
    made = run(sets(tmp_path / "o", stems="drums,bass", duration=None, bars=2, tempo=96))
    (asked,) = fake.asked
    assert asked["prompt"] == "slow blues, brushed drums"
    assert (asked["given"], asked["add"]) == ({}, ("bass", "drums"))
    assert (asked["samples"], asked["rate"]) == (5 * RATE, RATE)  # 8 beats at 1.6 a second
    stem_set = stem_sets.load(Path(made["manifest"]))
    assert [stem.name for stem in stem_set.stems] == ["bass", "drums"]
    assert [stem.colour for stem in stem_set.stems] == list(stem_sets.PALETTE[:2])
    assert (stem_set.rate, stem_set.frames, stem_set.channels) == (RATE, 5 * RATE, 1)
    assert (stem_set.task, stem_set.words) == ("generate", "slow blues, brushed drums")
    assert (stem_set.tempo, stem_set.start_beats, stem_set.residual) == (((0.0, 96.0),), 0.0, None)
    depth = null_test.add_up(Path(made["manifest"]))
    assert max(depth.double_db, depth.float_db) < -130
    names = [Path(stem["wav"]).name for stem in made["stems"]]
    assert [name.rpartition("__")[0] for name in names] == [
        "slow-blues-brushed-drums__01_bass", "slow-blues-brushed-drums__02_drums",
    ]  # fmt: skip


def test_a_host_gets_stems_and_their_mix_without_a_residual(
    tmp_path: Path, fake: FakeModel
) -> None:
    made = run(sets(tmp_path))
    placing = layout(Path(made["manifest"]))
    assert [track.name for track in placing.everything] == [*STEMS, "source"]
    assert placing.source is not None
    assert placing.source.muted
    for host in ("folder", "dawproject", "rpp", "reaper", "ardour"):
        files = HOSTS[host].place_audio(Path(made["manifest"]), tmp_path / host).files
        assert all(file.stat().st_size > 0 for file in files), host


def test_several_sets_have_numbered_folders_and_seeds(tmp_path: Path, fake: FakeModel) -> None:
    made = run(sets(tmp_path / "many", prompts=("blues", "funk"), count=2, seed=2**31 - 1))
    folders = [Path(one["manifest"]).parent.name for one in made["sets"]]
    assert folders == ["1", "2", "3", "4"]
    assert [one["seed"] for one in made["sets"]] == [2**31 - 1, 0] * 2
    assert [one["prompt"] for one in made["sets"]] == ["blues", "blues", "funk", "funk"]
    alone = run(sets(tmp_path / "one", prompts=("funk",), seed=0))
    for many, one in zip(made["sets"][3]["stems"], alone["stems"], strict=True):
        assert Path(many["wav"]).read_bytes() == Path(one["wav"]).read_bytes()
    assert len(made["stems"]) == 16


def test_a_set_that_would_clip_is_turned_down_as_a_whole(tmp_path: Path, fake: FakeModel) -> None:
    made = run(sets(tmp_path, guidance=1.0))
    mix, _ = sf.read(made["sets"][0]["mix"])
    assert 20 * np.log10(np.abs(mix).max()) == pytest.approx(-1.0, abs=1e-3)
    levels = [stem.rms_db for stem in stem_sets.load(Path(made["manifest"])).stems]
    assert levels == pytest.approx([made["sets"][0]["gain_db"]] * 4, abs=0.2)  # of noise at 0 dB


def test_a_killed_job_makes_only_the_sets_that_are_left(tmp_path: Path, fake: FakeModel) -> None:
    working = events(sets(tmp_path / "o", count=3))
    while not list((tmp_path / "o").glob("*/*/window-00001.f32")):
        next(working)
    with pytest.raises(atomic_output.Interrupted):
        working.throw(atomic_output.Interrupted())
    begun = len(fake.asked)
    assert begun < 4
    run(sets(tmp_path / "o", count=3))
    assert len(fake.asked) == begun + 1
    run(sets(tmp_path / "whole", count=3))
    assert contents(tmp_path / "o") == contents(tmp_path / "whole")


def test_progress_rises_and_a_cancelled_job_leaves_nothing(tmp_path: Path, fake: FakeModel) -> None:
    fractions = [e.fraction for e in events(sets(tmp_path / "a")) if isinstance(e, Progress)]
    assert fractions == sorted(fractions)
    assert len({*fractions}) > 4
    working = events(sets(tmp_path / "b"))
    for event in working:
        if isinstance(event, Progress) and event.fraction > 0.5:
            break
    working.close()
    assert not (tmp_path / "b").exists()


def test_a_recording_to_be_like_is_heard_at_the_rate_of_the_set(
    tmp_path: Path, fake: FakeModel
) -> None:
    like = noise(tmp_path / "like.wav", 44100, 2, rate=44100)
    run(sets(tmp_path / "o", like=str(like)))
    assert fake.asked[0]["like"].shape == (1, RATE)
    sf.write(tmp_path / "quiet.wav", np.zeros(800), RATE)
    with pytest.raises(ValueError, match=r"like quiet\.wav is silent"):
        run(sets(tmp_path / "q", like=str(tmp_path / "quiet.wav")))
    assert not (tmp_path / "q").exists()


def test_clips_for_a_host_are_a_set_of_tracks(tmp_path: Path) -> None:
    job = GenerateClips(
        id="j", prompts=("kick", "bell"), out=str(tmp_path), duration=0.25, count=2, steps=2,
        model="gaussian", host="folder",
    )  # fmt: skip
    made = run(job)
    stem_set = stem_sets.load(Path(made["manifest"]))
    assert [stem.name for stem in stem_set.stems] == ["kick", "kick 2", "bell", "bell 2"]
    assert [stem.wav for stem in stem_set.stems] == [Path(c["wav"]).name for c in made["clips"]]
    assert null_test.verify(Path(made["manifest"])) < -130
    page = HOSTS["folder"].place_audio(Path(made["manifest"]), tmp_path).files[0].read_text()
    assert page.count("<audio") == 5


# Accompany


@pytest.mark.parametrize("given", ARRANGEMENTS, ids="+".join)
def test_every_arrangement_keeps_what_is_given_bit_by_bit(
    tmp_path: Path, fake: FakeModel, given: tuple[str, ...]
) -> None:
    formats = dict(zip(STEMS, ("PCM_16", "PCM_24", "FLOAT", "DOUBLE"), strict=True))
    files = {
        name: noise(tmp_path / f"{name}.wav", 3000, 1 + (name == "drums"), subtype=formats[name])
        for name in given
    }
    made = run(accompany(tmp_path / "o", files))
    stem_set = stem_sets.load(Path(made["manifest"]))
    assert [stem.prompt for stem in stem_set.stems] == list(STEMS)
    assert tuple(stem.prompt for stem in stem_set.stems if stem.given) == given
    for stem in made["stems"]:
        header = wav.read_header(Path(stem["wav"]))
        assert (header.rate, header.frames) == (RATE, 3000)
        if stem["prompt"] in given:
            source = files[stem["prompt"]]
            assert pcm(Path(stem["wav"])) == pcm(source)
            assert sf.info(stem["wav"]).subtype == formats[stem["prompt"]]
        else:
            assert header.channels == stem_set.channels == 1 + ("drums" in given)
    depth = null_test.add_up(Path(made["manifest"]))
    assert max(depth.double_db, depth.float_db) < -120
    (asked,) = fake.asked
    assert {name: tuple(x.shape) for name, x in asked["given"].items()} == dict.fromkeys(
        given, (1, 3000)
    )
    assert (made["given"], tuple(made["added"])) == (list(given), asked["add"])


def placed(path: Path, frames: int, start: int) -> Path:
    samples = 0.1 * np.random.default_rng(1).standard_normal(frames).astype("<f4")
    block = [samples.tobytes()]
    wav.write(path, block, rate=RATE, channels=1, frames=frames, bext=wav.Bext(start))
    return path


def test_what_is_added_begins_where_the_given_stems_do(tmp_path: Path, fake: FakeModel) -> None:
    start = 2**32 + 5
    bass = placed(tmp_path / "b.wav", 1000, start)
    made = run(accompany(tmp_path / "o", {"bass": bass}, add="piano", tempo="0:120"))
    stem_set = stem_sets.load(Path(made["manifest"]))
    assert stem_set.start_samples == start
    assert stem_set.start_beats == pytest.approx(2 * start / RATE)
    for stem in made["stems"]:
        bext = wav.read_header(Path(stem["wav"])).bext
        assert bext is not None
        assert bext.time_reference == start
    assert [stem["prompt"] for stem in made["stems"]] == ["bass", "piano"]
    assert json.loads((tmp_path / "o" / "stems.json").read_text())["stems"][0]["given"] is True


def test_a_flac_comes_back_as_a_wav_of_the_same_samples(tmp_path: Path, fake: FakeModel) -> None:
    drums = noise(tmp_path / "d.flac", 2000, 2, subtype="PCM_24")
    made = run(accompany(tmp_path / "o", {"drums": drums}))
    copy = next(stem["wav"] for stem in made["stems"] if stem["prompt"] == "drums")
    assert np.array_equal(sf.read(copy)[0], sf.read(drums)[0])


def test_a_mono_stem_beside_stereo_ones_sounds_in_both_channels(
    tmp_path: Path, fake: FakeModel
) -> None:
    files = {"bass": noise(tmp_path / "b.wav", 900), "drums": noise(tmp_path / "d.wav", 900, 2)}
    made = run(accompany(tmp_path / "o", files))
    manifest = Path(made["manifest"])
    assert null_test.add_up(manifest).double_db < -120
    assert null_test.add_up_fast(manifest).double_db < -120
    channels = {track.name: track.channels for track in layout(manifest).everything}
    assert channels == {"bass": 1, "drums": 2, "guitar": 2, "piano": 2, "source": 2}
    for host in ("dawproject", "rpp", "reaper", "ardour"):
        HOSTS[host].place_audio(manifest, tmp_path / host)


@pytest.mark.parametrize("rate", [8000, 192000])
def test_every_rate_is_that_of_the_given_stems(tmp_path: Path, fake: FakeModel, rate: int) -> None:
    bass = noise(tmp_path / "b.wav", rate // 4, rate=rate)
    made = run(accompany(tmp_path / "o", {"bass": bass}))
    assert {sf.info(stem["wav"]).samplerate for stem in made["stems"]} == {rate}
    assert fake.asked[0]["rate"] == rate


def silent(path: Path, frames: int) -> Path:
    sf.write(path, np.zeros(frames), RATE)
    return path


REFUSED = {
    "rates": (
        lambda f: {"bass": noise(f / "b.wav", 900), "drums": noise(f / "d.wav", 1800, rate=16000)},
        "given stems must lie beside each other: drums has a rate of 16000 Hz, bass a rate of 8000",
    ),
    "lengths": (
        lambda f: {"bass": noise(f / "b.wav", 900), "drums": noise(f / "d.wav", 901)},
        "given stems must lie beside each other: drums has 901 samples, bass 900 samples",
    ),
    "starts": (
        lambda f: {"bass": placed(f / "b.wav", 900, 7), "drums": placed(f / "d.wav", 900, 8)},
        "drums has its begin at sample 8 of the session, bass its begin at sample 7 of the session",
    ),
    "silence": (
        lambda f: {"bass": noise(f / "b.wav", 900), "drums": silent(f / "d.wav", 900)},
        r"given drums is silent: nothing can go with d\.wav",
    ),
    "ten minutes and more": (
        lambda f: {"bass": noise(f / "b.wav", 601 * RATE)},
        "given bass lasts 601 seconds; at most 600 are allowed",
    ),
    "4 kHz": (
        lambda f: {"bass": noise(f / "b.wav", 900, rate=4000)},
        "has a rate of 4000 Hz; 8000 to 192000 are allowed",
    ),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_given_stems_that_do_not_fit_are_one_sentence(
    tmp_path: Path, fake: FakeModel, kind: str
) -> None:
    make, words = REFUSED[kind]
    with pytest.raises(ValueError, match=words) as refused:
        run(accompany(tmp_path / "o", make(tmp_path)))
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "o").exists()
    assert fake.asked == []


@pytest.mark.parametrize("kind", ["generate", "accompany", "separate"])
def test_a_model_that_is_none_is_said(tmp_path: Path, fake: FakeModel, kind: str) -> None:
    file = noise(tmp_path / "b.wav", 1000)
    jobs: dict[str, WritingJob] = {
        "generate": sets(tmp_path / "o", stem_model="none"),
        "accompany": accompany(tmp_path / "o", {"bass": file}, stem_model="none"),
        "separate": separate(file, tmp_path / "o", stem_model="none"),
    }
    with pytest.raises(ModelUnavailable, match="none is no model of stems"):
        run(jobs[kind])
    assert not (tmp_path / "o").exists()


# Separate


def separate(file: Path, out: Path, **changes: Any) -> Separate:
    fields = {"id": "j", "file": str(file), "stems": STEMS, "out": str(out)}
    return Separate.model_validate(fields | changes)


def test_fixed_classes_add_up_and_the_rest_is_the_residual(tmp_path: Path, fake: FakeModel) -> None:
    file = noise(tmp_path / "band.wav", 5 * RATE, 2)
    made = run(separate(file, tmp_path / "o", stems="bass,piano", method="dirac", steps=7))
    assert [stem["prompt"] for stem in made["stems"]] == ["bass", "piano"]
    assert made["null_db"] < -120
    sound = sf.read(file)[0]
    for stem in made["stems"]:
        expected = SHARES[stem["prompt"]] * sound
        np.testing.assert_allclose(sf.read(stem["wav"])[0], expected, atol=1e-6)
    np.testing.assert_allclose(sf.read(made["residual"])[0], 0.5 * sound, atol=1e-6)
    assert {asked["method"] for asked in fake.asked} == {"dirac"}
    assert {asked["steps"] for asked in fake.asked} == {7}
    stem_set = stem_sets.load(Path(made["manifest"]))
    assert (stem_set.task, stem_set.method, stem_set.steps) == ("stems", "dirac", 7)
    assert (stem_set.model, stem_set.model_hash, stem_set.helpers) == ("fake", "f" * 16, {})


def test_a_killed_separation_into_classes_goes_on(tmp_path: Path, fake: FakeModel) -> None:
    file = noise(tmp_path / "band.wav", 5 * RATE)
    working = events(separate(file, tmp_path / "o"))
    while not list((tmp_path / "o").glob("*/*/window-00001.f32")):
        next(working)
    with pytest.raises(atomic_output.Interrupted):
        working.throw(atomic_output.Interrupted())
    assert len(fake.asked) == 2
    run(separate(file, tmp_path / "o"))
    assert len(fake.asked) == 4  # windows of at most 2 s, some of it beyond what is kept
    run(separate(file, tmp_path / "whole"))
    assert contents(tmp_path / "o") == contents(tmp_path / "whole")


def test_an_excerpt_and_a_stem_set_say_how_to_do_it_again(tmp_path: Path, fake: FakeModel) -> None:
    file = noise(tmp_path / "band.wav", 3 * RATE)
    asked = separate(file, tmp_path / "o", stems="bass,drums", excerpt=1, method="fast", seed=5)
    run(asked)
    again = excerpt.settings_of_excerpt(tmp_path / "o", file)
    assert again["stems"] == ("bass", "drums")
    assert (again["method"], again["seed"]) == ("fast", 5)
    made = run(separate(file, tmp_path / "o", stems="bass,drums", method="fast", seed=5))
    known = {"stems": ("bass", "drums"), "stem_model": "fake", "method": "fast", "seed": 5}
    for path in (tmp_path / "o", Path(made["stems"][0]["wav"])):
        fields = remake.job_of_stem_set(path)
        assert known.items() <= fields.items()
        Separate.model_validate({"id": "j", "file": "/f", "out": "/o"} | fields)
    invented = run(sets(tmp_path / "g"))
    for path in (tmp_path / "g", Path(invented["stems"][0]["wav"])):
        with pytest.raises(ValueError, match="is of a set that was made, not separated"):
            remake.job_of_stem_set(path)
