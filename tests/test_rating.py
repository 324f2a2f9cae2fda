"""Ratings are percentiles of real recordings; verdicts begin where theory puts them."""

import pytest
import torch

from sds.priors.nearest_captions import nearest_caption
from sds.similarity import rating as ratings
from sds.similarity.rating import Scale, in_words, rating, read_scale, verdict
from sds.similarity.two_tower import load_scorer
from sds.train.rating import Pairs, figures, fit


def test_rating_is_linear_between_percentiles():
    scale = Scale((-0.2, 0.0, 0.8), 75, 25, "")
    asked = [-1.0, -0.2, -0.1, 0.0, 0.2, 0.6, 0.8, 1.0]
    assert [scale.rating(x) for x in asked] == pytest.approx([0, 0, 25, 50, 62.5, 87.5, 100, 100])
    flat = Scale((0.0, 0.5, 0.5, 1.0), 75, 25, "")
    assert flat.rating(0.5) == pytest.approx(200 / 3)


def test_verdicts_begin_at_their_ratings():
    scale = Scale((0.0, 1.0), 80, 20, "")
    assert [scale.verdict(x) for x in (0, 19.9, 20, 79.9, 80, 100)] == [
        "out of reach", "out of reach", "in part", "in part", "as asked", "as asked",
    ]  # fmt: skip


@pytest.mark.parametrize("bad", [((0.5, 0.4), 80, 20), ((0.1,), 80, 20), ((0.0, 1.0), 20, 80)])
def test_a_scale_that_is_none_is_refused(bad):
    with pytest.raises(ValueError, match="must"):
        Scale(*bad, "")


def test_a_file_that_is_no_scale_is_one_sentence(tmp_path):
    (tmp_path / "rating.json").write_text('{"cosines": [0, 1]}')
    with pytest.raises(ValueError, match=r"must hold what sds\.train\.rating writes: 'as_asked'"):
        read_scale(tmp_path / "rating.json")


def test_the_shipped_scale_is_of_the_shipped_scorer():
    assert read_scale().scorer == load_scorer().model_hash
    assert rating(-1.0) == 0
    assert rating(1.0) == 100
    assert [verdict(rating(x)) for x in (0.1, 0.4, 0.7)] == ["out of reach", "in part", "as asked"]


def test_why_something_is_out_of_reach_is_said():
    assert in_words("kick drum", 99.0) == "as asked"
    assert in_words("dog barking", 1.0) == "out of reach: no synth here can make it"
    said = in_words("vuvuzela", 1.0)
    assert said.startswith("out of reach: the model does not know 'vuvuzela'; the nearest it knows")
    caption, cosine = nearest_caption("Dog barking. ")
    assert (caption, cosine) == ("dog barking", 1.0)
    assert nearest_caption("quarterly tax report")[1] < ratings.FAMILIAR


def test_fit_finds_the_edges_of_two_uniform_distributions():
    """Own captions uniform in 0..1, wrong ones in -0.5..0.5. From e on (1 - e) / (1.5 - 2 e) are
    right: 0.96 at e = 0.478; below e (e + 0.5) / (2 e + 0.5) are wrong: 0.8 at e = 1/6.
    """
    own = (torch.arange(2000) + 0.5) / 2000
    seen = Pairs(torch.cat([own, own - 0.5]), torch.ones(4000), torch.arange(4000) < 2000)
    scale = fit(seen, "hash")
    assert scale.rating(0.3) == pytest.approx(30, abs=0.2)
    assert scale.as_asked == pytest.approx(47.8, abs=1)
    assert scale.in_part == pytest.approx(16.7, abs=1)
    shares = figures(scale, seen)
    assert shares["as asked"]["own"] == pytest.approx(1 - scale.as_asked / 100, abs=0.01)
    assert shares["as asked"]["right"] == pytest.approx(0.96, abs=0.01)
    assert shares["out of reach"]["right"] == pytest.approx(0.2, abs=0.02)


def test_heavy_recordings_count_more():
    """Own cosines uniform in 0..1, those above 0.5 three times as heavy: a quarter lies below."""
    own = (torch.arange(2000) + 0.5) / 2000
    weights = torch.where(own < 0.5, 1.0, 3.0)
    seen = Pairs(
        torch.cat([own, own - 0.5]), torch.cat([weights, weights]), torch.arange(4000) < 2000
    )
    assert fit(seen, "").rating(0.5) == pytest.approx(25, abs=1)
