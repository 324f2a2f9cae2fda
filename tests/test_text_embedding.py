"""The frozen text embedding: scale, emptiness, and meaning."""

import pytest
import torch

from sds.priors.text_embedding import StaticText, dim, pieces, sentence, sentences


def test_sentences_have_norm_sqrt_dim_and_empty_is_zero():
    assert float(sentence("hitting a pot").norm()) == pytest.approx(dim() ** 0.5, rel=1e-4)
    assert float(sentence("").norm()) == 0.0
    assert sentences(["rain", "wind"]).shape == (2, dim())


@pytest.mark.parametrize(
    ("text", "near", "far"),
    [
        ("kick drum", "bass drum", "ocean waves"),
        ("cars passing by", "city traffic", "glass bell"),
        ("seagulls at a harbour", "birds by the sea", "snare drum"),
        ("hitting pot with wooden spoon", "struck metal pan", "saxophone melody"),
    ],
)
def test_near_in_meaning_is_near_in_space(text, near, far):
    a, b, c = torch.nn.functional.normalize(sentences([text, near, far]), dim=1)
    assert float(a @ b) > float(a @ c) + 0.15


def test_pieces_stop_at_the_limit():
    vectors, weights = pieces("one two three four five", 3)
    assert vectors.shape == (3, dim())
    assert weights.shape == (3,)


def test_the_conditioner_pads_with_zeros_and_marks_them():
    torch.manual_seed(0)
    conditioner = StaticText(32, max_pieces=4)
    with torch.no_grad():
        x, mask = conditioner(["rain", ""])
    assert x.shape == (2, 5, 32)
    assert mask.tolist() == [[1, 1, 0, 0, 0], [1, 0, 0, 0, 0]]
    assert float(x[1].abs().max()) == 0.0
    assert float(x[0, 2:].abs().max()) == 0.0
    assert torch.allclose(x[0, 0], conditioner.proj_out(sentence("rain")))
