"""T5 from the local cache: no network, no folder of its name, one sentence without it."""

import json
import socket

import pytest
import torch
from huggingface_hub import constants

from bench.random_model import write_hub_cache, write_text_encoder
from sds.priors.checkpoints import ModelUnavailable
from sds.priors.loading import load_prior
from sds.priors.t5_encoder import t5_folder
from tests.tiny_stable_audio import config, random_model, write

NAME, COMMIT = "t5-small", "0" * 40


def t5_config():
    settings = config()
    settings["model"]["conditioning"]["configs"][0] = {
        "id": "prompt",
        "type": "t5",
        "config": {"t5_model_name": NAME, "max_length": 6},
    }
    return settings


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A hub cache with the tiny T5; whoever opens a connection fails."""
    write_hub_cache(tmp_path / "cache", NAME, tiny=True)

    def refuse(*_, **__):
        raise AssertionError("asked the network")

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(socket.socket, "connect", refuse)
    return tmp_path / "cache" / f"models--{NAME}" / "snapshots" / COMMIT


@pytest.fixture
def folder(cache, tmp_path):
    settings = t5_config()
    return write(tmp_path / "tiny", settings, random_model(settings))


def test_prompts_are_heard_and_padding_is_silent_without_a_network(folder):
    prior = load_prior(str(folder), device="cpu")
    cond = prior.embed(["hand drum", "drum", ""], 1.0)["cross_attn_cond"]
    assert cond.shape == (3, 8, 32)  # six bytes of text, two numbers
    assert cond.dtype == torch.float32
    heard = cond[:, :6].abs().amax(-1) > 0
    assert heard.tolist() == [[True] * 6, [True] * 4 + [False] * 2, [False] * 6]
    assert not cond[2].any()


def test_a_folder_of_that_name_does_not_take_its_place(folder, tmp_path, monkeypatch):
    before = load_prior(str(folder), device="cpu").embed(["drum"], 1.0)["cross_attn_cond"]
    write_text_encoder(tmp_path / "elsewhere" / NAME, NAME, tiny=True, seed=1)
    monkeypatch.chdir(tmp_path / "elsewhere")
    after = load_prior(str(folder), device="cpu").embed(["drum"], 1.0)["cross_attn_cond"]
    torch.testing.assert_close(after, before, rtol=0, atol=0)


def test_the_library_knows_no_more_names_afterwards(folder, cache):
    load_prior(str(folder), device="cpu")
    from stable_audio_tools.models.conditioners import T5Conditioner

    assert not any("/cache/" in name for name in T5Conditioner.T5_MODELS)
    assert str(cache) not in T5Conditioner.T5_MODEL_DIMS
    assert t5_folder(NAME) == cache


@pytest.mark.parametrize("offline", [True, False])
def test_one_that_cannot_be_fetched_is_named_at_once(tmp_path, monkeypatch, offline):
    slept = []
    monkeypatch.setattr("time.sleep", slept.append)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", offline)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")  # nobody listens
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    (tmp_path / "model_config.json").write_text(json.dumps(t5_config()))
    (tmp_path / "model.safetensors").write_bytes(b"not read")
    with pytest.raises(ModelUnavailable, match=f"the text encoder {NAME} cannot be") as caught:
        load_prior(str(tmp_path), device="cpu")
    text = str(caught.value)
    assert "\n" not in text
    assert text.endswith(".")
    assert not slept


def test_the_reader_leaves_the_device_after_each_prompt(folder, monkeypatch):
    prior = load_prior(str(folder), device="cpu")
    reader = prior.conditioner.conditioners["prompt"].model
    went, real = [], reader.to
    monkeypatch.setattr(reader, "to", lambda where: (went.append(str(where)), real(where))[1])
    prior.device = torch.device("cpu", 0)  # as a card has a number
    prior.embed(["drum"], 1.0)
    assert went == ["cpu:0", "cpu"]
    prior.embed(["drum"], 1.0)  # known by now
    assert len(went) == 2
