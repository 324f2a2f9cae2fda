"""The first guess of the separator: the prior inside it, what training does, and its file."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.nn.utils import parametrize

from sds.priors.checkpoints import ModelUnavailable
from sds.priors.quantised import quantise, read_quantised
from sds.priors.spectral_codec import to_db
from sds.separation.single_prompt_network import (
    FILE,
    FRAMES,
    build,
    load_single_prompt_net,
    text_features,
)
from sds.train import single_prompt as training
from sds.train.data import Corpus
from tests.test_query_network import noise, sounds


def changed():
    """A network with random changes."""
    net = build(rank=2)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for tensor in net.trainable_parameters().values():
            tensor.add_(0.05 * torch.randn(tensor.shape, generator=generator))
    return net


@pytest.fixture(scope="module")
def untrained():
    return build(rank=2)


def test_before_training_nothing_is_known(untrained):
    logits = untrained(noise(1, 128, FRAMES), text_features(["rain", "piano"])[None])
    assert float(logits.detach().abs().max()) == 0.0


def test_before_training_the_transformer_is_the_priors(untrained):
    # a change of rank 2 begins at zero, so the matrices are those of the default model
    from sds.priors.loading import load_prior

    prior = load_prior("default")._model.model.model.transformer
    for name, module in untrained.dit.transformer.named_modules():
        if parametrize.is_parametrized(module):
            torch.testing.assert_close(module.weight, prior.get_submodule(name).weight)


def test_merging_the_changes_into_the_matrices_changes_no_answer():
    net = changed()
    levels, text = noise(1, 128, FRAMES), text_features(["rain", "piano"])[None]
    before = net(levels, text).detach()
    net.merge()
    after = net(levels, text).detach()
    assert float(before.std()) > 0.01
    torch.testing.assert_close(before, after, atol=1e-4, rtol=1e-4)


def test_the_loss_is_least_at_the_true_shares(untrained):
    shares = torch.stack([torch.full((128, FRAMES), 0.3), torch.full((128, FRAMES), 0.7)])[None]
    batch = training.Batch(
        levels=torch.zeros(1, 128, FRAMES),
        weight=torch.full((1, 128, FRAMES), 1 / (128 * FRAMES)),
        text=torch.zeros(1, 2, 13, 128),
        shares=shares,
        there=torch.ones(1, 2, dtype=torch.bool),
    )

    class Says(torch.nn.Module):
        among = untrained.among

        def forward(self, levels, text):
            return self.logits

    net = Says()
    net.logits = shares.logit().requires_grad_()
    with torch.no_grad():
        untrained.sharpness.fill_(0.5)  # certain logits: half their difference is between the two
    (gradient,) = torch.autograd.grad(training.loss(net, batch, bf16=False), net.logits)
    with torch.no_grad():
        untrained.sharpness.fill_(1.0)
    assert float(gradient.abs().max()) < 1e-9


def test_mixtures_have_the_shares_of_their_sources(tmp_path, untrained):
    mixer = training.Mixer(
        Corpus(sounds(tmp_path), frozenset({"prior"})), untrained.codec.mel, real=1.0
    )
    batch = mixer.batch(4, np.random.default_rng(0))
    assert batch.levels.shape == (4, 128, FRAMES)
    assert batch.text.shape == (4, 3, 13, 128)
    heard = batch.levels > to_db(torch.tensor(1e-4))  # in silence no share is anybody's
    torch.testing.assert_close(batch.shares.sum(1)[heard], torch.ones(int(heard.sum())))
    torch.testing.assert_close(batch.weight.sum((1, 2)), torch.ones(4))
    assert float(batch.shares[~batch.there].abs().max()) == 0.0


def test_training_goes_on_where_it_stopped(tmp_path, monkeypatch):
    data, out = sounds(tmp_path / "data"), tmp_path / "run"
    for steps in (1, 2):
        arguments = f"query --data {data} --out {out} --batch 1 --rank 2 --no-bf16 --steps {steps}"
        monkeypatch.setattr("sys.argv", arguments.split())
        training.main()
        assert json.loads((out / "state.json").read_text()) == {"step": steps}
    found = load_single_prompt_net(out / "shipped")
    logits = found(noise(1, 128, FRAMES), text_features(["rain"])[None])
    assert logits.shape == (1, 1, 128, FRAMES)


def test_a_broken_network_is_one_sentence(tmp_path):
    net = build(rank=0)
    tensors = quantise(net.kept_parameters())
    tensors["head.bias"][:] = torch.inf
    save_file(tensors, tmp_path / FILE)
    with pytest.raises(ModelUnavailable, match=r"numbers of head\.bias are not finite"):
        load_single_prompt_net(tmp_path)
    tensors["head.bias"] = torch.zeros(3)
    save_file(tensors, tmp_path / FILE)
    with pytest.raises(ModelUnavailable, match=r"do not fit the network: head\.bias is 3, not"):
        load_single_prompt_net(tmp_path)
    with pytest.raises(ModelUnavailable, match=r"is not there; sds\.train\.single_prompt makes it"):
        load_single_prompt_net(tmp_path / "nowhere")


def test_eight_bits_are_off_by_at_most_half_a_step(tmp_path):
    matrix = noise(5, 40) * torch.tensor([1e-3, 1.0, 50.0, 1e-9, 0.0])[:, None]
    save_file(quantise({"m": matrix, "v": noise(7)}), tmp_path / "q.safetensors")
    assert load_file(tmp_path / "q.safetensors")["m"].dtype == torch.int8
    found = read_quantised(tmp_path / "q.safetensors")
    assert sorted(found) == ["m", "v"]
    step = matrix.abs().amax(1, keepdim=True) / 127
    assert bool(((found["m"] - matrix).abs() <= 0.51 * step + 1e-8).all())
