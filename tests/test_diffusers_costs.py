"""Counts of diffusers' models: published sizes, and the real model's own arithmetic."""

import json

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from bridge.worker.needs import examine_needs
from sds.priors.checkpoints import ModelUnavailable
from sds.priors.costs import count, count_flops
from sds.priors.diffusers_costs import blank_prior, count_prior, measure_prior_speed
from sds.priors.diffusers_loading import PIPELINES, find_diffusers, silent
from sds.priors.loading import load_prior
from tests.tiny_diffusers import audioldm2, library, stable_audio, stable_audio_3

SMALL = {"embed_dim": 1024, "depth": 20, "num_heads": 16, "use_differential_attention": False}
SAME_L = {
    "encoder_channels": 256,
    "encoder_transformer_depths": (12,),
    "decoder_sinusoidal_blocks": (8,),
}


def described(folder, network, codec):
    """A folder of Stable Audio 3 with descriptions only, in the sizes that are published."""
    d, t = library().d, library().t
    with silent(), torch.device("meta"):
        d.StableAudio3DiTModel(**network).save_config(folder / "transformer")
        d.AutoencoderSAME(**codec).save_config(folder / "vae")
        d.StableAudio3DurationEmbedder().save_config(folder / "duration_embedder")
    scheduler = d.FlowMatchEulerDiscreteScheduler(num_train_timesteps=1, stochastic_sampling=False)
    scheduler.save_config(folder / "scheduler")
    own = {
        "vocab_size": 256000, "hidden_size": 768, "intermediate_size": 2048, "head_dim": 64,
        "num_hidden_layers": 12, "num_attention_heads": 12, "num_key_value_heads": 12,
    }  # fmt: skip
    config = t.T5GemmaConfig(encoder=own, decoder=own, is_encoder_decoder=False)
    config.save_pretrained(folder / "text_encoder")
    (folder / "model_index.json").write_text(json.dumps({"_class_name": "StableAudio3Pipeline"}))
    return find_diffusers(str(folder))


@pytest.mark.parametrize(
    ("network", "codec", "sizes", "seconds"),
    [(SMALL, {}, (459, 108), 120.0), ({}, SAME_L, (1450, 852), 380.0)],
    ids=["small", "medium"],
)
def test_sizes_are_the_published_ones(tmp_path, network, codec, sizes, seconds):
    """Stable Audio 3 report: 459 M and 1.4 B of the transformers, 108 M and 852 M of SAME."""
    blank = blank_prior(described(tmp_path, network, codec))
    assert count(blank.prior.network) / 1e6 == pytest.approx(sizes[0], rel=0.005)
    assert sum(map(count, blank.prior.codec)) / 1e6 == pytest.approx(sizes[1], rel=0.006)
    assert blank.text / 1e6 == pytest.approx(281.5, rel=0.005)  # T5Gemma b: 12 layers of 768
    assert blank.prior.max_seconds == seconds
    assert blank.prior.latent_frames(10.0) == 108  # 4,096 samples each


@pytest.mark.parametrize("made", [stable_audio_3, stable_audio, audioldm2])
def test_counts_are_what_the_model_does(made, tmp_path):
    pipe = made()
    with silent():
        pipe.save_pretrained(tmp_path)
    assert type(pipe).__name__ in PIPELINES
    prior = load_prior(str(tmp_path), device="cpu")
    seconds = min(1.0, prior.max_seconds)
    costs = count_prior(blank_prior(find_diffusers(str(tmp_path))), seconds)
    assert costs.network == count(prior.network)
    sound = torch.zeros(1, prior.channels, round(seconds * prior.sample_rate))
    with torch.no_grad():
        z = prior.encode(sound)
        cond = {name: torch.zeros_like(value) for name, value in prior.blank_cond().items()}
        # torch's counter knows no attention of the CPU; on the meta device it is two products
        with sdpa_kernel(SDPBackend.MATH):
            assert count_flops(lambda: prior.denoise(z, torch.ones(1), cond)) == costs.row_flops
            assert count_flops(lambda: prior.encode(sound)) == costs.encode_flops
            assert count_flops(lambda: prior.decode(z)) == costs.decode_flops
    assert costs.graph_bytes > costs.decode_bytes > 0
    assert costs.gradient_flops >= 3 * costs.decode_flops


def test_doctor_says_what_recipes_need_and_the_licence(tmp_path):
    with silent():
        stable_audio_3().save_pretrained(tmp_path)
    rows = {row["name"]: row for row in examine_needs(str(tmp_path))}
    assert "Stable Audio 3, base" in rows["model's size"]["text"]
    assert "Stability AI Community License" in rows["licence"]["text"]
    assert {"generate", "patch paper", "separate paper"} <= rows.keys()
    assert rows["generate"]["figures"]["minutes"] > 0


def test_a_speed_is_timed_of_one_layer(tmp_path):
    model = described(tmp_path, {"embed_dim": 64, "num_heads": 2, "depth": 2}, {})
    speed = measure_prior_speed(model, torch.device("cpu"), torch.float32, least=0.01)
    assert speed.network > 1e6
    assert speed.codec > 1e6


def test_what_cannot_be_built_is_said(tmp_path):
    model = described(tmp_path, {}, {})
    (tmp_path / "transformer" / "config.json").write_text('{"embed_dim": 7, "num_heads": 0}')
    with pytest.raises(ModelUnavailable, match="cannot be built"):
        blank_prior(model)
    (tmp_path / "vae" / "config.json").unlink()
    with pytest.raises(ModelUnavailable, match="cannot be read as JSON"):
        blank_prior(model)
