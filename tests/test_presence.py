"""Presence: what a tagger's cosines come to, and what a separation does with an absent sound."""

from dataclasses import replace
from math import exp
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import soundfile as sf
import torch

import sds.detection.presence
from bridge import worker
from bridge.protocol.events import Done
from bridge.protocol.jobs import Separate
from bridge.stems import manifest, null_test
from sds.datasets.clips import Clip as Made
from sds.datasets.clips import Half, half_of, write_part
from sds.detection.evidence import PresenceNetworks, evidence, presence, stretch, stretches
from sds.detection.presence import (
    BEST,
    FILE,
    Activity,
    Calibration,
    cosines,
    load_calibration,
    load_tagger,
    measure_activity,
    measure_in_blocks,
    merge_activity,
    presence_of,
    recording_cosine,
)
from sds.priors.gaussian import GaussianPrior
from sds.priors.text_embedding import sentences
from sds.separation.query_network import load_query
from sds.signal.audio_files import read
from sds.similarity.two_tower import RATE, SEARCH_SCORER, load_scorer
from sds.train.data import Clip
from sds.train.pairs import held_back
from sds.train.presence import area, fit_logistic, table
from sds.train.tagger import targets

MIXTURE = Path(__file__).parents[1] / "examples" / "data" / "mixture.flac"


@pytest.fixture(scope="module")
def tagger():
    return load_tagger()


@pytest.fixture(scope="module")
def networks(tagger):
    return PresenceNetworks(tagger, load_scorer(SEARCH_SCORER), load_query())


def test_the_calibration_is_of_the_shipped_weights(networks):
    assert load_calibration().hashes == networks.hashes


def test_what_speaks_for_a_sound_raises_its_probability():
    assert min(load_calibration().weights) > 0


def test_a_probability_is_a_logistic_function():
    made = Calibration(weights=(4.0, 2.0, 1.0), offset=-1.0, threshold=0.5, hashes=())
    figures = torch.tensor([[0.25, 0.0, 0.0], [-1.0, 0.5, -1.0], [0.0, 0.5, 3.0]])
    found = made.probability(figures)
    assert found.tolist() == pytest.approx([0.5, 1 / (1 + exp(5)), 1 / (1 + exp(-3))])


def test_a_prompt_is_looked_for_where_the_listener_hears_it():
    near = torch.zeros(3, 20)
    near[0, 13], near[1, 19], near[2, 2] = 1.0, 1.0, 1.0
    loud = torch.ones(20, dtype=torch.bool)
    assert stretches(near, loud) == [9, 14, 0]  # six seconds from a multiple of 3, or the last ones
    assert stretches(near[:, :4], loud[:4]) == [0, 0, 0]


def test_a_stretch_is_mono_whole_frames_at_the_network_s_rate_and_at_least_a_second():
    audio = torch.stack([torch.ones(3000), torch.zeros(3000)])
    found = stretch(lambda begin, end: audio[:, begin:end], 44100, 0, 1)
    assert found.shape == (87 * 512,)  # 44100 samples are 86.13 frames of 512
    assert float(found[:3000].mean()) == pytest.approx(0.5)
    assert float(found[3000:].abs().max()) == 0.0


def test_evidence_does_not_depend_on_what_else_is_asked(networks):
    audio, rate = read(MIXTURE)
    heard = measure_activity(networks.tagger, audio, rate)
    asked = ["sea waves", "saxophone", "piano"]

    def found(prompts):
        *_, rows = evidence(networks, heard, lambda a, b: audio[:, a:b], rate, prompts)
        return rows

    assert torch.allclose(found(asked)[:1], found(asked[:1]), atol=1e-4)


def test_what_is_given_to_a_prompt_counts_when_the_listener_says_the_same():
    near, loud = torch.zeros(2, 4), torch.ones(4, dtype=torch.bool)
    made = Calibration(weights=(1.0, 1.0, 1.0), offset=0.0, threshold=0.6, hashes=("a",))
    rows = torch.tensor([[0.0, 0.0], [1.0, 1.0]])
    found = presence_of(near, rows, loud, hashes=("a",), calibration=made)
    assert found.present == (False, True)
    assert found.score == pytest.approx((0.5, 1 / (1 + exp(-2))))


def test_the_best_quarter_of_what_is_heard_decides():
    rows = torch.tensor([[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 100.0]])
    loud = torch.tensor([True] * 7 + [False])
    assert round(BEST * 7) == 2
    assert recording_cosine(rows, loud).tolist() == [5.5]
    assert recording_cosine(rows[:, :1], torch.tensor([True])).tolist() == [0.0]


def test_a_recording_in_pieces_is_heard_as_in_one(tagger):
    audio = 0.1 * torch.randn(2, 36 * 8000 + 77, generator=torch.Generator().manual_seed(0))
    whole = measure_activity(tagger, audio, 8000)
    parts = [*measure_in_blocks(tagger, torch.split(audio, 7919, dim=1), 8000)]
    assert len(parts) == 2  # half a minute each
    assert whole.vectors.shape == (37, 128)  # a begun second is heard too
    assert torch.allclose(merge_activity(parts).vectors, whole.vectors, atol=1e-4)
    assert torch.allclose(merge_activity(parts).level_db, whole.level_db, atol=1e-3)


def test_levels_are_those_of_the_seconds(tagger):
    audio = torch.cat([torch.full((1, 8000), 0.1), torch.zeros(1, 8000)], 1)
    heard = measure_activity(tagger, audio, 8000)
    assert float(heard.level_db[0]) == pytest.approx(-20.0, abs=0.01)
    assert heard.loud.tolist() == [True, False]


def test_opposite_signs_left_and_right_are_heard_as_the_same_signs_are(networks):
    audio, rate = read(MIXTURE)
    one = audio.mean(0)
    same, opposite = torch.stack([one, one]), torch.stack([one, -one])
    prompts = ["saxophone", "piano"]
    assert presence(networks, opposite, rate, prompts) == presence(networks, same, rate, prompts)
    assert torch.equal(
        networks.search_scorer.hear(opposite[None], rate),
        networks.search_scorer.hear(same[None], rate),
    )


def test_a_channel_that_is_silent_hides_nothing(networks):
    audio, rate = read(MIXTURE)
    one = audio.mean(0)
    alone = measure_activity(networks.tagger, torch.stack([one, 0 * one]), rate)
    both = measure_activity(networks.tagger, one[None], rate)
    torch.testing.assert_close(alone.vectors, both.vectors, rtol=0, atol=1e-3)
    torch.testing.assert_close(alone.level_db, both.level_db - 20 * torch.log10(torch.tensor(2.0)))


def test_silence_holds_nothing(networks):
    found = presence(networks, torch.zeros(1, 3 * 44100), 44100, ["rain", "piano"])
    assert found.score == (0.0, 0.0)
    assert found.present == (False, False)
    assert found.activity == ((0.0,) * 3, (0.0,) * 3)


def test_no_recording_is_no_silence():
    with pytest.raises(ValueError, match="at least 1 sample, got none"):
        merge_activity([])


def test_other_weights_are_refused(networks):
    other = replace(load_calibration(), hashes=("0123",))
    with pytest.raises(ValueError, match=r"fit it anew with sds\.train\.presence"):
        presence(networks, torch.zeros(1, 44100), 44100, ["rain"], calibration=other)


def test_a_sound_is_active_when_it_sounds(networks):
    audio, rate = read(MIXTURE.with_name("sea_waves.flac"))
    audio = torch.cat([torch.zeros(1, 4 * rate), audio[:, : 4 * rate]], 1)
    (activity,) = presence(networks, audio, rate, ["sea waves"]).activity
    assert len(activity) == 8
    assert activity[:3] == (0.0, 0.0, 0.0)
    assert min(activity[4:]) > 0


def test_fitting_finds_the_logistic_function_that_drew():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(20_000, 2, generator=generator, dtype=torch.float64)
    there = torch.rand(len(x), generator=generator) < (x @ x.new_tensor([3, -2]) - 1).sigmoid()
    weights, offset = fit_logistic(x, there)
    assert weights.tolist() == pytest.approx([3.0, -2.0], abs=0.2)
    assert offset == pytest.approx(-1.0, abs=0.1)


def test_area_counts_pairs_in_order():
    x = torch.tensor([1.0, 2.0, 3.0, 3.0])
    assert area(x, torch.tensor([False, False, True, True])) == 1.0
    assert area(x, torch.tensor([True, False, False, True])) == (1 + 0.5) / 4


def test_the_table_of_the_docs_is_the_one_that_is_printed():
    page = (Path(__file__).parents[1] / "docs" / "stems.md").read_text(encoding="utf-8")
    assert "\n".join(table(FILE)) in page


def test_what_is_held_back_is_halved_by_class_and_caption(tmp_path):
    clips = [
        Made(np.full(RATE, 0.1, np.float32), (f"{label} {k}",), label, "held", f"{label}/{k}")
        for label in ("dog", "rain", "bell")
        for k in range(8)
    ]
    write_part(tmp_path, "recordings", clips)
    halves = {half: held_back(tmp_path, half).clips for half in get_args(Half)}
    for half, some in halves.items():
        assert some
        assert {half_of(clip.label, clip.captions[0]) for clip in some} == {half}
    assert sum(map(len, halves.values())) == len(clips)  # all of them, and none in both


def test_training_asks_for_what_is_there_and_not_for_what_may_be():
    def clip(label, caption):
        return Clip("made", 0, 1, (caption,), label, "prior")

    dog, puppy = clip("dog", "dog barking"), clip("dog", "small puppy")
    there, asked = targets(
        [[dog], [dog, clip("rain", "rain")], [puppy]],
        sentences(["dog barking", "dog barking", "rain", "small puppy"]),
    )
    # the same words for the same class count for both, other words for it are not asked
    assert there.tolist() == [[1, 1, 0, 0], [1, 1, 1, 0], [0, 0, 0, 1]]
    assert asked.tolist() == [[1, 1, 1, 0], [1, 1, 1, 0], [0, 0, 1, 1]]


# What a separation does with it.


class Words(worker.Models):
    """An exact prior, at a low rate, under the name of one that knows words."""

    def prior(self, name, prompts):
        stds = {text: 0.1 / (1 + i) for i, text in enumerate(["", *prompts])}
        return GaussianPrior(dict.fromkeys(stds, 0.0), stds, sample_rate=8000)


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """The first two seconds of the mixture."""
    path = tmp_path_factory.mktemp("start") / "mixture.wav"
    audio, rate = read(MIXTURE)
    sf.write(path, audio[0, : 2 * rate].numpy(), rate)
    return path


def job(start: Path, out: Path, **changes) -> Separate:
    fields = {"id": "j", "file": str(start), "out": str(out), "prompts": ("sea waves", "piano")}
    return Separate.model_validate(fields | changes)


def with_threshold(monkeypatch, threshold: float) -> None:
    made = replace(load_calibration(), threshold=threshold)
    monkeypatch.setattr(sds.detection.presence, "load_calibration", lambda: made)


def between(networks, file: Path, high: str, low: str) -> float:
    """A threshold that the likelier of two sounds of the mixture passes."""
    found = presence(networks, *read(file), [high, low]).score
    assert found[0] > found[1]
    return sum(found) / 2


def test_an_absent_sound_gets_no_stem_and_is_said_to_be_absent(
    start, tmp_path, monkeypatch, networks
):
    with_threshold(monkeypatch, between(networks, start, "sea waves", "piano"))
    *_, done = worker.work(job(start, tmp_path), Words())
    assert isinstance(done, Done)
    assert [stem["prompt"] for stem in done.result["stems"]] == ["sea waves"]
    assert done.result["absent"][0]["prompt"] == "piano"
    assert done.result["note"].startswith("not heard in there, so no stem was made of it: 'piano'")
    found = manifest.load(Path(done.result["manifest"]))
    assert [(one.prompt, one.present) for one in found.absent] == [("piano", False)]
    (stem,) = found.stems
    assert stem.present
    assert stem.presence > found.absent[0].presence
    assert len(stem.activity) == len(found.absent[0].activity) == 2
    assert null_test.verify(tmp_path / manifest.MANIFEST) < -100


def test_force_makes_a_stem_of_it_all_the_same(start, tmp_path, monkeypatch):
    with_threshold(monkeypatch, 2.0)
    *_, done = worker.work(job(start, tmp_path, force=True), Words())
    found = manifest.load(Path(done.result["manifest"]))
    assert [(stem.prompt, stem.present) for stem in found.stems] == [
        ("sea waves", False),
        ("piano", False),
    ]
    assert "note" not in done.result


def test_when_all_are_absent_it_fails_and_names_what_is_heard(start, tmp_path, monkeypatch):
    with_threshold(monkeypatch, 2.0)
    with pytest.raises(ValueError, match=r"none of the prompts is heard in mixture\.wav, rather: "):
        list(worker.work(job(start, tmp_path), Words()))
    assert not (tmp_path / manifest.MANIFEST).exists()


def test_auto_separates_what_is_suggested(start, tmp_path):
    *_, done = worker.work(
        job(start, tmp_path, prompts=(), auto=True, model="gaussian"), worker.Models()
    )
    names = [stem["prompt"] for stem in done.result["stems"]]
    assert 1 <= len(names) <= 6
    assert null_test.verify(tmp_path / manifest.MANIFEST) < -100


def test_the_exact_prior_is_taken_at_its_word(start, tmp_path):
    *_, done = worker.work(job(start, tmp_path, model="gaussian"), worker.Models())
    found = manifest.load(Path(done.result["manifest"]))
    assert [stem.presence for stem in found.stems] == [None, None]
    assert found.absent == ()


def test_auto_without_a_listener_says_so(start, tmp_path):
    without = worker.Models(tagger=Path("nowhere"))
    with pytest.raises(ValueError, match="no tagger in this installation: auto cannot be done"):
        list(worker.work(job(start, tmp_path, prompts=(), auto=True), without))


def test_cosines_are_of_unit_vectors(tagger):
    heard = Activity(tagger.read(["rain"]), torch.zeros(1))
    assert float(cosines(tagger, heard, ["rain"])) == pytest.approx(1.0, abs=1e-5)
