"""The sentence encoder: BERT's numbers in eight bits, and what its vectors say."""

import pytest
import torch
from safetensors.torch import save_file

from sds.priors.checkpoints import ModelUnavailable
from sds.priors.quantised import SCALE, quantise
from sds.priors.sentence_encoder import (
    HEADS,
    INNER,
    LAYERS,
    PIECES,
    PLACES,
    WIDTH,
    SentenceEncoder,
    encode_sentences,
    load_encoder,
)
from sds.train.sentence import rename


@torch.no_grad()
def test_renamed_weights_are_the_encoder_of_bert():
    from transformers import BertConfig, BertModel  # takes seconds, where tests are collected

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        bert = BertModel(
            BertConfig(
                vocab_size=PIECES, hidden_size=WIDTH, num_hidden_layers=LAYERS,
                num_attention_heads=HEADS, intermediate_size=INNER, max_position_embeddings=80,
            ),
            add_pooling_layer=False,
        ).eval()  # fmt: skip
        for name, value in bert.named_parameters():
            if "bias" in name or "LayerNorm" in name:
                value.add_(0.3 * torch.randn_like(value))
    encoder = SentenceEncoder().eval()
    encoder.load_state_dict(rename(bert.state_dict()))
    ids = torch.randint(PIECES, (3, 9), generator=torch.Generator().manual_seed(1))
    there = torch.arange(9) < torch.tensor([[9], [4], [1]])
    wanted = bert(input_ids=ids, attention_mask=there.long()).last_hidden_state
    assert float((encoder(ids, there) - wanted)[there].abs().max()) < 1e-5
    assert encoder.places.weight.shape == (PLACES, WIDTH)


def test_eight_bits_are_half_a_step_off_at_most():
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(50, 64, generator=generator) * 10 ** torch.linspace(-2, 2, 50)[:, None]
    rows[7] = 0.0
    vector = torch.randn(64, generator=generator)
    stored = quantise({"m": rows, "v": vector})
    assert stored["m"].dtype == torch.int8
    assert stored["v"].dtype == stored["m" + SCALE].dtype == torch.float16
    back = stored["m"].float() * stored["m" + SCALE].float()
    step = rows.abs().amax(1, keepdim=True) / 127
    # half a step, and what half precision leaves of the scale
    assert bool(((back - rows).abs() <= (0.5 + 127 * 2**-11) * step + 1e-7).all())
    assert float(back[7].abs().max()) == 0.0
    assert float((stored["v"].float() - vector).abs().max()) <= 2**-11 * float(vector.abs().max())


def test_sentences_are_unit_vectors_and_nothing_is_zero():
    vectors = encode_sentences(["rain", "", "a dog barking far away", "  "])
    assert vectors.shape == (4, WIDTH)
    assert vectors.norm(dim=1).tolist() == pytest.approx([1.0, 0.0, 1.0, 0.0], abs=1e-6)
    assert encode_sentences([]).shape == (0, WIDTH)


def test_company_and_capitals_change_nothing():
    alone = encode_sentences(["Kick Drum"])[0]
    beside = encode_sentences(["kick drum", "a very long caption of a drum in a large hall"])[0]
    assert float((alone - beside).abs().max()) < 1e-5


@pytest.mark.parametrize(
    ("text", "near", "far"),
    [
        ("kick drum", "lo-fi hip hop kick drum", "rain"),
        ("someone knocking", "hitting a door", "playing the flute"),
        ("downpour", "heavy rain", "electric guitar"),
        ("upright bass", "plucked double bass note", "upright piano note"),
    ],
)
def test_near_in_meaning_is_near_in_space(text, near, far):
    a, b, c = encode_sentences([text, near, far])
    assert float(a @ b) > float(a @ c) + 0.05


def test_what_is_no_encoder_is_refused(tmp_path):
    with pytest.raises(ModelUnavailable, match="sentence makes it"):
        load_encoder(tmp_path)
    save_file({"x": torch.ones(1)}, tmp_path / "model.safetensors")
    with pytest.raises(ModelUnavailable, match="do not fit the encoder"):
        load_encoder(tmp_path)
