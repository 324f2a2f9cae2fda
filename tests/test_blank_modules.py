"""Models built without numbers are, once they have their weights, the models they always were."""

import copy

import pytest
import torch

from sds.priors.blank_modules import without_weights
from sds.priors.checkpoints import WEIGHTS, digest, find
from sds.priors.loading import load_prior
from sds.priors.shuffled import shuffled
from sds.priors.stable_audio import StableAudioPrior, build_model
from tests.tiny_stable_audio import (
    config,
    noise,
    random_model,
    small_config,
    spectral_config,
    write,
)


def test_parameters_have_no_numbers_and_buffers_do():
    with without_weights():
        layer = torch.nn.BatchNorm1d(3)
    assert layer.weight.device.type == "meta"
    assert layer.weight.requires_grad
    assert layer.running_var.tolist() == [1.0, 1.0, 1.0]
    assert torch.nn.Linear(2, 2).weight.device.type == "cpu"  # afterwards all is as it was


def filled(settings, state):
    """The model as it was loaded before: drawn, then overwritten."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        model = build_model(settings)
    model.load_state_dict(state)
    return StableAudioPrior(model, settings, name="filled")


@pytest.mark.parametrize("make", [config, small_config, spectral_config])
def test_a_loaded_model_is_the_one_that_was_saved_bit_for_bit(make, tmp_path):
    settings = make()
    model = random_model(settings)
    loaded = load_prior(str(write(tmp_path / "tiny", settings, model)), device="cpu")
    drawn = filled(settings, copy.deepcopy(model.state_dict()))
    assert_same(loaded, drawn, "bell")


@pytest.mark.skipif(not (WEIGHTS / "default").is_dir(), reason="the default model is not here yet")
def test_the_shipped_model_is_the_one_that_was_saved_bit_for_bit():
    from safetensors.torch import load_file

    checkpoint = find("default")
    drawn = filled(checkpoint.config, load_file(checkpoint.weights))
    assert_same(load_prior(device="cpu"), drawn, "a bell")


def assert_same(a, b, prompt):
    """Every tensor, and the answers, are the same, bit for bit."""
    ours, theirs = (
        {**dict(p._model.named_parameters()), **dict(p._model.named_buffers())} for p in (a, b)
    )
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        assert value.device.type == "cpu", name
        assert not value.requires_grad, name
        torch.testing.assert_close(value, theirs[name], rtol=0, atol=0)
    x = noise(2, a.latent_channels, 16)
    sigma, sound = torch.tensor([0.5, 20.0]), 0.1 * noise(1, a.channels, 16 * a.ratio)
    for answer in (
        lambda p: p.denoise(x, sigma, p.embed([prompt], 1.0)),
        lambda p: p.encode(sound),
        lambda p: p.decode(x),
    ):
        with torch.no_grad():
            torch.testing.assert_close(answer(a), answer(b), rtol=0, atol=0)


def test_weights_are_a_copy_of_the_file(tmp_path):
    """A file that is written over changes no model that was loaded from it."""
    settings = config()
    folder = write(tmp_path / "tiny", settings, random_model(settings))
    prior = load_prior(str(folder), device="cpu")
    before = {key: value.clone() for key, value in prior._model.state_dict().items()}
    file = folder / "model.safetensors"
    with file.open("r+b") as stream:
        stream.seek(file.stat().st_size // 2)
        stream.write(b"\0" * (file.stat().st_size // 2))
    for key, value in prior._model.state_dict().items():
        torch.testing.assert_close(value, before[key], rtol=0, atol=0)


def test_a_file_is_hashed_once_and_anew_when_it_changed(tmp_path, monkeypatch):
    import hashlib

    read, real = [], hashlib.file_digest
    monkeypatch.setattr(hashlib, "file_digest", lambda *a: (read.append(1), real(*a))[1])
    file = tmp_path / "weights"
    file.write_bytes(b"one")
    first = digest(file)
    assert (first, digest(file)) == (hashlib.sha256(b"one").hexdigest()[:16],) * 2
    assert len(read) == 1
    other = tmp_path / "other"
    other.write_bytes(b"two")
    other.replace(file)
    assert digest(file) == hashlib.sha256(b"two").hexdigest()[:16]
    assert len(read) == 2


def test_a_model_that_has_answered_nothing_yet_can_be_shuffled(tmp_path):
    """Weight norms leave tensors behind that no copy can be made of."""
    settings = config()
    prior = load_prior(str(write(tmp_path / "tiny", settings, random_model(settings))))
    x = noise(1, 8, 16)
    other = shuffled(prior)
    with torch.no_grad():
        torch.testing.assert_close(other.decode(x), prior.decode(x), rtol=0, atol=0)
    cond = prior.embed(["bell"], 1.0)
    gap = other.denoise(x, torch.ones(1), cond) - prior.denoise(x, torch.ones(1), cond)
    assert gap.abs().max() > 1e-2
