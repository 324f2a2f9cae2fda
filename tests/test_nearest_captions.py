"""Prompts outside the captions: what is known stays, what is near carries the rest."""

import pytest
import torch

from sds.priors import nearest_captions, text_embedding
from sds.priors.checkpoints import ModelUnavailable
from sds.priors.nearest_captions import caption_key, nearest, read_captions
from sds.priors.text_embedding import StaticText, carried_features, dim, features, pieces, sentence

PIECES = 12
STRANGE = "lo-fi hip hop kick drum"


@pytest.mark.parametrize("caption", ["kick drum", "waves on the beach", "Kick  drum.", "glass"])
def test_a_caption_keeps_its_own_features(caption):
    assert nearest(caption) == ()
    assert torch.equal(carried_features(caption, PIECES), features(caption, PIECES))


def test_nothing_and_nonsense_keep_their_own_features():
    for prompt in ("", "  ", "quarterly tax return form"):
        assert nearest(prompt) == ()


@pytest.mark.parametrize(
    ("prompt", "word"),
    [
        (STRANGE, "kick"),
        ("breakers crashing on a rocky shore", "waves"),
        ("puppy yapping at the postman", "bark"),
    ],
)
def test_a_strange_prompt_is_carried_by_what_it_means(prompt, word):
    near = nearest(prompt)
    assert word in near[0][0]
    assert sum(share for _, share in near) == pytest.approx(1.0, abs=1e-5)
    assert [share for _, share in near] == sorted((share for _, share in near), reverse=True)
    captions = read_captions()
    assert len({int(captions.classes[captions.texts.index(text)]) for text, _ in near}) == 1


def test_features_of_a_strange_prompt_are_as_large_as_a_captions_and_the_same_each_time():
    x = carried_features(STRANGE, PIECES)
    assert x.shape == (1 + PIECES, dim())
    assert float(x[0].norm()) == pytest.approx(dim() ** 0.5, rel=1e-4)
    nearest.cache_clear()
    assert torch.equal(carried_features(STRANGE, PIECES), x)


def test_the_pieces_are_of_the_nearest_caption_and_then_of_the_prompt(monkeypatch):
    monkeypatch.setattr(text_embedding, "nearest", lambda prompt: (("snare drum", 1.0),))
    found = carried_features("gated crack", PIECES)[1:]
    whole = torch.cat([pieces(text, PIECES)[0] for text in ("snare drum", "gated crack")])
    torch.testing.assert_close(found[: len(whole)], whole)
    assert float(found[len(whole) :].abs().max()) == 0.0
    assert torch.equal(carried_features("gated crack", 3)[1:], whole[:3])


def test_the_sentence_lies_between_the_prompt_and_its_carrier(monkeypatch):
    monkeypatch.setattr(text_embedding, "nearest", lambda prompt: (("snare drum", 1.0),))
    for own, text in (1.0, "gated crack"), (0.0, "snare drum"):
        monkeypatch.setattr(text_embedding, "OWN", own)
        torch.testing.assert_close(carried_features("gated crack", 0)[0], sentence(text))


def test_a_carrier_is_not_to_say_what_the_prompt_does_not():
    assert nearest("bright kick drum")[0][0] == "kick drum"  # not "low kick drum"


def test_only_a_conditioner_that_is_told_to_asks_for_captions():
    plain, told = StaticText(8, 4), StaticText(8, 4, nearest_captions=True)
    told.load_state_dict(plain.state_dict())
    with torch.no_grad():
        own, mask = plain([STRANGE, "kick drum"])
        carried, same = told([STRANGE, "kick drum"])
    assert carried.shape == own.shape == (2, 5, 8)
    assert mask.shape == same.shape
    assert torch.equal(own[1], carried[1])
    assert not torch.allclose(own[0], carried[0])


def test_keys_are_of_the_words_and_vectors_are_of_norm_1():
    assert caption_key(" A Kick drum, ") == caption_key("a kick drum") != caption_key("kick drums")
    captions = read_captions()
    assert captions.vectors.norm(dim=1).sub(1).abs().max() < 0.02
    assert bool((captions.keys.diff() > 0).all())
    assert all(captions.knows(text) for text in captions.texts)


def test_without_the_file_it_says_how_it_is_made(tmp_path):
    with pytest.raises(ModelUnavailable, match=r"sds\.train\.captions makes it"):
        nearest("a sound", tmp_path / "captions.safetensors")
    assert nearest_captions.FILE.stat().st_size < 2e6
