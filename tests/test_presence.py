"""Presence: what a tagger's cosines come to, and what a separation does with an absent sound."""

from dataclasses import replace
from math import exp, log
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
from sds.detection.evidence import (
    FIGURES,
    PresenceNetworks,
    gather,
    network_figures,
    presence,
    stretch,
    stretches,
)
from sds.detection.presence import (
    BEST,
    BLOCK,
    FILE,
    Answers,
    Calibration,
    Logistic,
    ask,
    best_blocks,
    by_seconds,
    load_calibration,
    measure_activity,
    measure_in_blocks,
    merge_activity,
    presence_of,
)
from sds.detection.tagger import load_tagger
from sds.priors.gaussian import GaussianPrior
from sds.separation.query_network import load_query
from sds.signal.audio_files import read
from sds.similarity.two_tower import RATE
from sds.train.pairs import held_back
from sds.train.presence import area, calibration_error, f_measure, fit_logistic, table

MIXTURE = Path(__file__).parents[1] / "examples" / "data" / "mixture.flac"


@pytest.fixture(scope="module")
def tagger():
    return load_tagger()


@pytest.fixture(scope="module")
def networks(tagger):
    return PresenceNetworks(tagger)


class Halves:
    """A separation network that gives the first prompt a half of what is there, and the rest the
    other; and has even odds for each.
    """

    model_hash = "halves"

    def answer(self, mid, rate, prompts):
        shares = torch.zeros(len(prompts) + 1, 1025, mid.shape[-1] // 512 + 1)
        shares[[0, -1]] = 0.5
        return shares, torch.zeros(len(prompts))


FITTED = Calibration(
    alone=Logistic((1.0, 0.0), 0.0),
    joined=Logistic((1.0, 0.0, 1.0, 0.0), 0.0),
    thresholds=(0.6, 0.7),
    second=Logistic((1.0, 0.5, 0.0), 0.0),
    named=Logistic((1.0, 0.0), -1.0),
    hashes=("tagger", "network"),
)


def sigmoid(x):
    return 1 / (1 + exp(-x))


def test_the_calibration_is_of_the_shipped_weights(networks):
    assert load_calibration().hashes[0] == networks.tagger.model_hash


def test_what_speaks_for_a_sound_raises_its_probability():
    found = load_calibration()
    assert min(found.alone.weights + found.named.weights + found.second.weights[:1]) > 0


def test_a_probability_is_a_logistic_function():
    made = Logistic((4.0, 2.0, 1.0), -1.0)
    figures = torch.tensor([[0.25, 0.0, 0.0], [-1.0, 0.5, -1.0], [0.0, 0.5, 3.0]])
    assert made.probability(figures).tolist() == pytest.approx([0.5, sigmoid(-5), sigmoid(3)])


def test_a_prompt_is_looked_for_where_the_listener_hears_it():
    near = torch.zeros(3, 20)
    near[0, 13], near[1, 19], near[2, 2] = 1.0, 1.0, 1.0
    loud = torch.ones(20, dtype=torch.bool)
    assert stretches(near, loud) == [9, 14, 0]  # six seconds from a multiple of 3, or the last ones
    assert stretches(near[:, :4], loud[:4]) == [0, 0, 0]


def test_a_stretch_is_mono_at_the_network_s_rate_and_at_least_a_second():
    audio = torch.stack([torch.ones(3000), torch.zeros(3000)])
    found = stretch(lambda begin, end: audio[:, begin:end], 44100, 0, 1)
    assert found.shape == (44100,)
    assert float(found[:3000].mean()) == pytest.approx(0.5)
    assert float(found[3000:].abs().max()) == 0.0


def test_what_lasts_less_than_a_second_is_judged(tagger):
    """A second of 44100 samples, to which it is filled up, is no whole number of frames."""
    networks = PresenceNetworks(tagger, load_query())
    assert load_calibration().fits(networks.hashes)  # so the network is asked, too
    audio = 0.1 * torch.randn(1, 22050, generator=torch.Generator().manual_seed(0))
    found = presence(networks, audio, 44100, ["rain", "flute"])
    assert all(0 < score < 1 for score in found.score)
    assert len(found.activity[0]) == 1


def test_half_of_what_is_there_is_even_odds():
    audio = torch.randn(RATE, generator=torch.Generator().manual_seed(0))
    found = network_figures(Halves(), audio, ["rain", "piano"])
    assert found.shape == (2, len(FIGURES))
    assert found.flatten().tolist() == pytest.approx([0.0, 0.0, log(1e-4), 0.0], abs=1e-3)


def test_evidence_is_gathered_of_each_prompt(networks):
    audio, rate = read(MIXTURE)
    heard = measure_activity(networks.tagger, audio, rate)
    asked = ["sea waves"]
    answers = ask(networks.tagger, heard, asked)
    *_, found = gather(Halves(), heard, answers, lambda a, b: audio[:, a:b], rate, asked)
    assert found.tolist() == [pytest.approx([0.0, 0.0], abs=1e-4)]


def test_an_answer_does_not_depend_on_what_else_is_asked(networks):
    audio, rate = read(MIXTURE)
    heard = measure_activity(networks.tagger, audio, rate)
    many = ask(networks.tagger, heard, ["sea waves", "saxophone", "piano"])
    one = ask(networks.tagger, heard, ["sea waves"])
    torch.testing.assert_close(many.whole[:1], one.whole, rtol=0, atol=1e-3)
    torch.testing.assert_close(many.seconds[:1], one.seconds, rtol=0, atol=1e-3)


def test_evidence_counts_for_the_network_it_was_fitted_with_and_no_other():
    answers = Answers(torch.zeros(2, 2), torch.zeros(2, 4))
    loud, rows = torch.ones(4, dtype=torch.bool), torch.tensor([[0.0, 0.0], [1.0, 0.0]])

    def found(network):
        hashes = ("tagger", network)
        return presence_of(answers, rows, loud, hashes=hashes, calibration=FITTED)

    assert found("network").score == pytest.approx((0.5, sigmoid(1)))
    assert found("network").present == (False, True)  # above 0.7
    assert found("another").score == found("").score == pytest.approx((0.5, 0.5))
    assert found("").present == (False, False)


def test_a_second_counts_by_itself_and_by_the_whole():
    answers = Answers(torch.tensor([[2.0, 9.0]]), torch.tensor([[-1.0, 1.0, 5.0]]))
    loud = torch.tensor([True, True, False])
    found = presence_of(answers, torch.zeros(1, 2), loud, hashes=("tagger", ""), calibration=FITTED)
    assert found.activity[0] == pytest.approx((sigmoid(0), sigmoid(2), 0.0))


def test_the_best_quarter_of_the_blocks_decides():
    rows = torch.arange(8.0)[:, None]
    assert round(BEST * 8) == 2
    assert best_blocks(rows).tolist() == [6.5]
    assert best_blocks(rows[:1]).tolist() == [0.0]


def test_a_frame_is_of_the_second_in_which_its_middle_is():
    frames = torch.arange(16.0)[None]  # of 186 ms: the sixth has its middle at 1.02 s
    assert by_seconds(frames, 3).tolist() == [[4.0, 10.0, 15.0]]


def test_a_recording_in_pieces_is_heard_as_in_one(tagger):
    audio = 0.1 * torch.randn(2, 13 * 8000 + 77, generator=torch.Generator().manual_seed(0))
    whole = measure_activity(tagger, audio, 8000)
    parts = [*measure_in_blocks(tagger, torch.split(audio, 7919, dim=1), 8000)]
    assert [len(part.level_db) for part in parts] == [BLOCK, 14 - BLOCK]  # a begun second too
    assert torch.allclose(merge_activity(parts).states, whole.states, atol=1e-3)
    assert torch.allclose(merge_activity(parts).level_db, whole.level_db, atol=1e-3)
    assert ask(tagger, whole, ["rain"]).seconds.shape == (1, 14)


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


def test_a_channel_that_is_silent_hides_nothing(networks):
    audio, rate = read(MIXTURE)
    one = audio.mean(0)
    alone = measure_activity(networks.tagger, torch.stack([one, 0 * one]), rate)
    both = measure_activity(networks.tagger, one[None], rate)
    torch.testing.assert_close(alone.states, both.states, rtol=0, atol=1e-3)
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
    other = replace(load_calibration(), hashes=("0123", ""))
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


def test_a_probability_that_comes_true_as_often_has_no_error():
    chance = torch.tensor([0.25] * 4 + [0.95] * 2)
    right = torch.tensor([True, False, False, False, True, True])
    assert calibration_error(chance, right) == pytest.approx(2 / 6 * 0.05)
    assert calibration_error(chance, ~right) == pytest.approx(4 / 6 * 0.5 + 2 / 6 * 0.95)


def test_f_is_the_harmonic_mean_of_precision_and_recall():
    called, there = (
        torch.tensor([True, True, True, False]),
        torch.tensor([True, False, False, True]),
    )
    assert f_measure(called, there) == pytest.approx(2 / (3 / 1 + 2 / 1))


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
    made = replace(load_calibration(), joined=None, thresholds=(threshold, threshold))
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
