"""What a model costs, counted on the meta device, against closed forms and models with numbers."""

import copy
from collections.abc import Iterator

import pytest
import torch
from torch import nn

from sds.priors.checkpoints import ModelUnavailable, find
from sds.priors.costs import Peak, blank_model, count_costs, saved_bytes, t5_numbers
from sds.priors.published import MODELS, T5_SHAPES, published_config


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def deeper(config, depth):
    own = copy.deepcopy(config)
    own["model"]["diffusion"]["config"]["depth"] = depth
    return own


def test_a_layer_costs_what_its_matrices_do():
    """Two operations a number of each matrix and token; attention n x n and n x c, twice each."""
    config, facts = published_config("tiny-1.0"), MODELS["tiny-1.0"]
    two, three = count_costs(config, 2.0), count_costs(deeper(config, 3), 2.0)
    d, c, cd, n = facts.width, facts.words + 2, facts.cond, two.frames + 1  # a token of the whole
    own = 2 * n * d * (3 * d + d) + 4 * n * n * d
    across = 2 * n * d * (d + d) + 2 * c * cd * 2 * cd + 4 * n * c * d
    forward = 2 * n * d * (2 * 4 * d + 4 * d)
    assert three.row_flops - two.row_flops == own + across + forward
    assert three.network - two.network > 4 * d * d + 12 * d * d
    assert (two.encode_flops, two.graph_bytes) == (three.encode_flops, three.graph_bytes)


def test_the_codec_costs_what_its_convolutions_do():
    """Two operations a number of a kernel and place: of what comes out, or of what goes into a
    transposed one.
    """
    config = published_config("tiny-small")
    costs, codec = count_costs(config, 0.5), blank_model(config).pretransform.model
    codec.to_empty(device="cpu")
    seen = []

    def look(module, given, answer):
        length = given[0] if isinstance(module, nn.ConvTranspose1d) else answer
        seen.append(2 * module.weight.numel() * length.shape[-1])

    for module in codec.modules():
        if isinstance(module, nn.Conv1d | nn.ConvTranspose1d):
            module.register_forward_hook(look)
    with torch.no_grad():
        codec.decode(torch.zeros(1, 64, costs.frames))
        assert sum(seen) == costs.decode_flops
        seen.clear()
        codec.encode(torch.zeros(1, 2, costs.frames * 2048), skip_bottleneck=True)
    assert sum(seen) == costs.encode_flops
    twice = count_costs(config, 2 * costs.frames * 2048 / 44100)
    assert twice.decode_flops == 2 * costs.decode_flops
    assert costs.codec == sum(weight.numel() for weight in codec.parameters())


def test_the_most_that_is_alive():
    a = torch.ones(1000)
    layer = nn.Linear(1000, 1000)
    with torch.no_grad(), Peak(layer) as peak:
        b = a * 2  # 4 kB
        b = b + 1  # 4 more beside them
        c = layer(b)  # 4, where one of the others is gone; the matrix is a weight
        del b
        d = torch.cat([c, c])  # 4 and 8
    assert len(d) == 2000
    assert peak.most == 12_000


def test_what_a_gradient_keeps():
    """The input of a product whose matrix is frozen is not kept; a sine keeps its own."""
    layer = nn.Linear(100, 100, bias=False).requires_grad_(False)
    x = torch.ones(5, 100, requires_grad=True)
    assert saved_bytes(layer, lambda: layer(x)) == 0
    assert saved_bytes(layer, lambda: layer(x).sin()) == 5 * 100 * 4


def test_meta_tensors_take_as_much_as_real_ones():
    config = published_config("tiny-small")
    codec = blank_model(config).pretransform.model.to_empty(device="cpu")
    z = torch.zeros(1, 64, 12)
    with torch.no_grad(), Peak(codec) as peak:
        codec.decode(z)
    assert peak.most == count_costs(config, 12 * 2048 / 44100).decode_bytes


def test_stable_audio_open_costs_what_others_counted():
    """The counts of the adapter's examination; weights as published: 1,057, 156 and 110 million."""
    costs = count_costs(published_config("stable-audio-open-1.0"), 10.0)
    assert costs.row_flops == pytest.approx(0.461e12, rel=0.002)
    assert costs.decode_flops == pytest.approx(1.09e12, rel=0.002)
    assert costs.encode_flops == pytest.approx(1.09e12, rel=0.002)
    model = blank_model(published_config("stable-audio-open-1.0"))
    z = torch.empty(1, 64, costs.frames, device="meta", requires_grad=True)
    whole = saved_bytes(model, lambda: model.pretransform.model.decode(z))
    assert whole == pytest.approx(9.4e9, rel=0.005)
    assert 84 / 216 * whole < costs.graph_bytes < 0.5 * whole
    # four pieces of 84 frames, three times
    assert costs.gradient_flops == pytest.approx(12 * 84 / 216 * 1.09e12, rel=0.002)
    millions = [round(number / 1e6) for number in (costs.network, costs.codec, costs.text)]
    assert millions == [1057, 156, 110]
    small = count_costs(published_config("stable-audio-open-small"), 10.0)
    assert small.row_flops == pytest.approx(0.140e12, rel=0.005)
    assert round(small.network / 1e6) == 341


def test_a_text_encoder_has_as_many_numbers_as_the_real_class():
    from transformers import T5Config, T5EncoderModel

    for name in ("t5-small", "t5-base"):
        shape = T5_SHAPES[name]
        with torch.device("meta"):
            model = T5EncoderModel(
                T5Config(
                    d_model=shape.d_model, d_ff=shape.d_ff, num_layers=shape.num_layers,
                    num_heads=shape.num_heads,
                )
            )  # fmt: skip
        assert t5_numbers(shape) == sum(weight.numel() for weight in model.parameters())


def test_what_cannot_be_counted_is_said():
    with pytest.raises(ModelUnavailable, match=r"codec of type 'autoencoder'.*scorewire_spectral"):
        count_costs(find("default").config, 2.0)
    with pytest.raises(ValueError, match=r"must be one of stable-audio-open-1\.0.*, got 'x'"):
        published_config("x")
