"""The adapter against the library itself: the same D, the same guidance, none of its side effects.

The model is tiny and random but of the real classes: Oobleck variational autoencoder, diffusion
transformer, the library's conditioners. Zero-initialised branches are randomised, or the untrained
transformer would ignore its text.
"""

import copy
import json
import math
import os
import pickle
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load, load_file, save

from sds.priors.base import classifier_free_guidance
from sds.priors.blank_modules import settle_weight_norms
from sds.priors.checkpoints import WEIGHTS
from sds.priors.chunked_codec import in_chunks
from sds.priors.families import FAMILIES, SHIPPED, family_of
from sds.priors.loading import load_prior
from sds.priors.quiet_import import quiet
from sds.priors.sampling import generate
from sds.priors.stable_audio import (
    ModelUnavailable,
    StableAudioPrior,
    to_time,
    to_x0,
)
from tests.tiny_stable_audio import (
    RATE,
    RATIO,
    config,
    noise,
    random_model,
    spectral_config,
    write,
)


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    """Tiny tensors: on a busy machine two threads mostly wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module", params=["v", "rf_denoiser"])
def tiny(request, tmp_path_factory):
    """(the library's module, the prior loaded from its folder, the folder)."""
    model = random_model(config(request.param))
    settle_weight_norms(model)  # else it has no copy
    folder = write(tmp_path_factory.mktemp("models") / request.param, config(request.param), model)
    return model, load_prior(str(folder), device="cpu"), folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    settings = config()
    return write(tmp_path_factory.mktemp("models") / "tiny", settings, random_model(settings))


def library_cond(model, prompts, seconds):
    rows = [{"prompt": p, "seconds_start": 0, "seconds_total": seconds} for p in prompts]
    with quiet(), torch.no_grad():
        return model.conditioner(rows, "cpu")


# -- D(x; sigma) -------------------------------------------------------------------------------


@pytest.mark.parametrize("objective", ["v", "rectified_flow", "rf_denoiser"])
def test_conversion_recovers_x0_from_an_exact_network(objective):
    x0, n = noise(3, 8, 20).double(), noise(3, 8, 20, seed=1).double()
    sigma = torch.tensor([0.01, 1.0, 80.0], dtype=torch.float64)
    t, scale = to_time(objective, sigma)
    wide = sigma[:, None, None]
    z = (x0 + wide * n) * scale[:, None, None]
    t = t[:, None, None]
    if objective == "v":
        alpha, s = torch.cos(math.pi * t / 2), torch.sin(math.pi * t / 2)
        v = alpha * n - s * x0
    else:
        alpha, s = 1 - t, t
        v = n - x0
    torch.testing.assert_close(z, alpha * x0 + s * n, rtol=0, atol=1e-12)
    torch.testing.assert_close(to_x0(objective, z, v, wide), x0, rtol=0, atol=1e-12)


def test_d_equals_the_library_samplers(tiny):
    """k-diffusion's VDenoiser for v; one Euler step of the library to t = 0 for rectified flow."""
    model, prior, _ = tiny
    sigma = torch.tensor([0.05, 0.7, 40.0])
    x = noise(3, 8, 24) * (1 + sigma[:, None, None] ** 2).sqrt()
    inputs = model.get_conditioning_inputs(library_cond(model, ["bell", "drum", "bell"], 1.5))
    ours = prior.denoise(x, sigma, prior.embed(["bell", "drum", "bell"], 1.5))
    with quiet(), torch.no_grad():
        if prior.objective == "v":
            from k_diffusion.external import VDenoiser

            theirs = VDenoiser(model.model)(x, sigma, **inputs)
        else:
            from stable_audio_tools.inference.sampling import sample_discrete_euler

            t = sigma / (1 + sigma)
            one = [
                sample_discrete_euler(
                    model.model,
                    (x * (1 - t[:, None, None]))[i : i + 1],
                    sigmas=torch.tensor([float(t[i]), 0.0]),
                    disable_tqdm=True,
                    **{k: v[i : i + 1] for k, v in inputs.items() if v is not None},
                )
                for i in range(3)
            ]
            theirs = torch.cat(one)
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=2e-5)


def test_limits_of_d(tiny):
    """At sigma -> 0 D is x; at sigma -> infinity D no longer grows with x."""
    _, prior, _ = tiny
    cond = prior.embed(["bell"], 1.0)
    x = noise(2, 8, 24)
    small = torch.tensor([1e-4, 1e-5])
    assert (prior.denoise(x, small, cond) - x).abs().max() < 2e-3
    near, far = torch.full((2,), 1e3), torch.full((2,), 1e6)
    d_near = prior.denoise(x * 1e3, near, cond)
    d_far = prior.denoise(x * 1e6, far, cond)
    assert d_far.abs().max() < 20
    torch.testing.assert_close(d_near, d_far, rtol=0, atol=0.05 * float(d_far.std()))


def test_each_item_has_its_own_sigma(tiny):
    _, prior, _ = tiny
    cond = prior.embed(["bell", "drum", "bell"], 1.0)
    x, sigma = noise(3, 8, 24), torch.tensor([0.1, 1.0, 10.0])
    together = prior.denoise(x, sigma, cond)
    for i in range(3):
        row = {name: value[i : i + 1] for name, value in cond.items()}
        alone = prior.denoise(x[i : i + 1], sigma[i : i + 1], row)
        torch.testing.assert_close(together[i : i + 1], alone, rtol=0, atol=1e-5)


def test_one_condition_serves_a_batch_and_a_wrong_batch_is_named(tiny):
    _, prior, _ = tiny
    x, sigma = noise(3, 8, 24), torch.ones(3)
    one, three = prior.embed(["bell"], 1.0), prior.embed(["bell"] * 3, 1.0)
    torch.testing.assert_close(
        prior.denoise(x, sigma, one), prior.denoise(x, sigma, three), rtol=0, atol=1e-6
    )
    with pytest.raises(ValueError, match="must have batch 1 or 3, got 2"):
        prior.denoise(x, sigma, prior.embed(["bell", "drum"], 1.0))


# -- guidance ----------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [1.0, 3.0, 7.0])
def test_guided_is_the_library_guidance(tiny, scale):
    model, prior, _ = tiny
    prompts, sigma = ["bell", "drum"], torch.tensor([0.3, 20.0])
    x = noise(2, 8, 24) * (1 + sigma[:, None, None] ** 2).sqrt()
    t, factor = to_time(prior.objective, sigma)
    z = x * factor[:, None, None]
    with torch.no_grad():
        v = model(z, t, library_cond(model, prompts, 1.5), cfg_scale=scale)
    theirs = to_x0(prior.objective, z, v, sigma[:, None, None])
    ours = classifier_free_guidance(
        prior, prior.embed(prompts, 1.5), prior.embed([""], 1.5), scale
    )(x, sigma)
    assert (ours - theirs).abs().max() < 1e-4


def test_prompt_and_duration_are_heard(tiny):
    """Without this the guidance test would pass on a model that ignores its text."""
    _, prior, _ = tiny
    x, sigma = noise(1, 8, 24), torch.ones(1)

    def heard(prompt, seconds):
        return prior.denoise(x, sigma, prior.embed([prompt], seconds))

    assert (heard("bell", 1.0) - heard("drum", 1.0)).abs().max() > 1e-2
    assert (heard("bell", 1.0) - heard("bell", 6.0)).abs().max() > 1e-2
    assert (heard("", 1.0) - heard("", 6.0)).abs().max() > 1e-3


def test_empty_prompt_is_zero_tokens_with_the_duration_kept(tiny):
    _, prior, _ = tiny
    empty, bell = prior.embed([""], 2.0), prior.embed(["bell"], 2.0)
    assert empty["cross_attn_cond"].shape == bell["cross_attn_cond"].shape == (1, 3, 32)
    assert not empty["cross_attn_cond"].any()
    torch.testing.assert_close(empty["global_cond"], bell["global_cond"], rtol=0, atol=0)


def test_embeddings_are_computed_once(folder):
    prior = load_prior(str(folder), device="cpu")
    calls = []
    prior._model.conditioner.register_forward_hook(lambda *_: calls.append(1))
    first = prior.embed(["bell", "drum", "bell"], 1.0)
    assert len(calls) == 2
    first["cross_attn_cond"].zero_()  # what the caller does to its copy stays with the caller
    again = prior.embed(["drum", "bell"], 1.0)
    assert len(calls) == 2
    assert again["cross_attn_cond"].abs().sum(dim=(1, 2)).min() > 0
    prior.embed(["drum"], 2.0)
    assert len(calls) == 3


@pytest.mark.parametrize("seconds", [0.0, -1.0, math.nan, math.inf])
def test_nonsense_durations_are_refused(tiny, seconds):
    with pytest.raises(ValueError, match="seconds must be finite and above 0"):
        tiny[1].embed(["bell"], seconds)


# -- codec -------------------------------------------------------------------------------------


def test_encode_is_the_mean_of_the_library_posterior(tiny):
    model, prior, _ = tiny
    audio = 0.3 * noise(1, 2, 4 * RATIO)
    ours = prior.encode(audio)
    torch.testing.assert_close(ours, prior.encode(audio), rtol=0, atol=0)
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        drawn = torch.cat([model.pretransform.encode(audio) for _ in range(100)])
    assert drawn.std(0).min() > 1e-3  # the library samples at every call
    assert ((drawn.mean(0) - ours[0]).abs() / drawn.std(0)).max() < 5 / math.sqrt(100)


def test_decode_is_the_library_decode(tiny):
    model, prior, _ = tiny
    z = noise(3, 8, 12)
    with torch.no_grad():
        theirs = model.pretransform.decode(z)
    torch.testing.assert_close(prior.decode(z), theirs, rtol=0, atol=1e-6)


def test_any_length_comes_back(tiny):
    _, prior, _ = tiny
    audio = 0.3 * noise(2, 2, 1001)
    z = prior.encode(audio)
    assert z.shape == (2, 8, 32) == (2, 8, prior.latent_frames(1001 / RATE))
    assert prior.decode(z).shape == (2, 2, 1024)
    assert prior.decode(z, like=audio).shape == audio.shape
    assert prior.decode(z, like=noise(1, 2, 1100))[..., 1024:].abs().max() == 0


def test_wrong_channels_are_named(tiny):
    with pytest.raises(ValueError, match=r"audio must be \[B, 2, T > 0\], got \[1, 1, 64\]"):
        tiny[1].encode(noise(1, 1, 64))


def test_gradients_reach_latents_and_audio_but_no_weight(tiny):
    _, prior, _ = tiny
    z, audio = noise(1, 8, 4).requires_grad_(), noise(1, 2, 4 * RATIO).requires_grad_()
    prior.decode(z).square().sum().backward()
    prior.encode(audio).square().sum().backward()
    assert z.grad.abs().max() > 0
    assert audio.grad.abs().max() > 0
    assert all(weight.grad is None for weight in prior._model.parameters())


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 300), st.integers(4, 60), st.integers(3, 59), st.integers(1, 4))
def test_chunks_of_the_identity_are_the_identity(frames, chunk, overlap, step):
    overlap = min(overlap, chunk - 1)
    x = torch.arange(frames * step, dtype=torch.float64)[None, None]
    y = in_chunks(
        lambda a, b: x[..., a * step : b * step], frames, step=step, chunk=chunk, overlap=overlap
    )
    torch.testing.assert_close(y, x, rtol=1e-6, atol=1e-6)


def test_chunked_codec_equals_the_codec_in_one_piece(tiny):
    _, prior, where = tiny
    pieces = load_prior(str(where), device="cpu")
    pieces.chunk, pieces.overlap = 64, 48
    audio = 0.3 * noise(1, 2, 200 * RATIO + 5)
    z = prior.encode(audio)
    assert z.shape[-1] == 201  # three joins
    torch.testing.assert_close(pieces.encode(audio), z, rtol=0, atol=1e-5)
    whole = prior.decode(z)
    torch.testing.assert_close(pieces.decode(z), whole, rtol=0, atol=1e-5)
    # Too small an overlap is heard at the joins only: frames 24, 44, 64, ... here.
    pieces.chunk, pieces.overlap = 64, 4
    error = (pieces.decode(z) - whole).abs().amax((0, 1)).reshape(-1, RATIO).amax(1)
    joins = torch.tensor([62, 122, 139])
    away = (torch.arange(201)[:, None] - joins).abs().amin(1) > 12
    assert error[away].max() < 1e-5 < error[~away].max()


def test_bad_chunks_are_named():
    with pytest.raises(ValueError, match=r"overlap must be in 3..7 \(chunk is 8\), got 8"):
        in_chunks(lambda a, b: torch.zeros(1, 1, b - a), 20, step=1, chunk=8, overlap=8)


def test_bfloat16_is_near_float32_and_hears_the_time_exactly(tiny):
    model, prior, _ = tiny
    half = StableAudioPrior(
        copy.deepcopy(model), config(prior.objective), name="half", precision=torch.bfloat16
    )
    cond = prior.embed(["bell"], 1.0)
    sigma = torch.tensor([0.1, 1.0, 90.0])
    x = noise(3, 8, 24) * (1 + sigma[:, None, None] ** 2).sqrt()
    full, rough = prior.denoise(x, sigma, cond), half.denoise(x, sigma, cond)
    assert rough.dtype == torch.float32
    assert (full - rough).norm() / full.norm() < 0.02
    t = torch.tensor([[0.9930], [0.9936]])  # one step of bfloat16 apart: sigma 91 and 99
    features = half._model.model.model.timestep_features
    with torch.autocast("cpu", torch.bfloat16):
        inside = features(t)
    torch.testing.assert_close(inside, features(t), rtol=0, atol=0)
    assert (inside[0] - inside[1]).abs().max() > 1e-3


# -- sampling ----------------------------------------------------------------------------------


def test_same_seed_same_sound(tiny):
    _, prior, _ = tiny

    def draw(seed, **options):
        generator = torch.Generator().manual_seed(seed)
        return generate(
            prior, ["bell", "drum"], 0.1, steps=4, scale=5.0, generator=generator, **options
        )

    first = draw(5)
    assert first.shape == (2, 2, 800)
    assert first.isfinite().all()
    torch.testing.assert_close(first, draw(5), rtol=0, atol=0)
    assert (first - draw(6)).abs().max() > 1e-2
    assert (first - draw(5, sampler="euler")).abs().max() > 1e-4


# -- loading -----------------------------------------------------------------------------------


def test_module_is_the_one_the_library_builds(tiny):
    model, _, _ = tiny
    with quiet():
        from stable_audio_tools.models.factory import create_model_from_config

        theirs = create_model_from_config(config(model.diffusion_objective))
    ours = {key: value.shape for key, value in model.state_dict().items()}
    assert ours == {key: value.shape for key, value in theirs.state_dict().items()}
    assert type(model) is type(theirs)
    assert model.min_input_length == theirs.min_input_length == RATIO


def test_what_is_loaded_is_what_was_saved(tiny):
    model, prior, folder = tiny
    for key, value in prior._model.state_dict().items():
        torch.testing.assert_close(value, model.state_dict()[key], rtol=0, atol=0)
    assert (prior.name, prior.sample_rate, prior.channels) == (folder.name, RATE, 2)
    assert prior.max_seconds == 2.0
    assert prior.family is FAMILIES[prior.objective]
    assert prior.sigmas == (prior.family.sigmas or (0.01, 100.0))
    assert len(prior.model_hash) == 16
    import hashlib

    data = (folder / "model.safetensors").read_bytes()
    assert hashlib.sha256(data).hexdigest().startswith(prior.model_hash)


def test_checkpoint_of_tensors_loads(folder, tmp_path):
    state = load_file(folder / "model.safetensors")
    torch.save({"state_dict": state, "step": 3}, tmp_path / "model.ckpt")
    (tmp_path / "model_config.json").write_text(json.dumps(config()))
    prior = load_prior(str(tmp_path), device="cpu")
    key = "model.model.preprocess_conv.weight"
    torch.testing.assert_close(prior._model.state_dict()[key], state[key], rtol=0, atol=0)


def test_noise_levels_of_a_configuration_come_before_those_of_its_family(tmp_path):
    settings = {**config("rf_denoiser"), "sigmas": [0.2, 30.0]}
    prior = load_prior(str(write(tmp_path / "tiny", settings, random_model(settings))))
    assert prior.sigmas == (0.2, 30.0) != prior.family.sigmas


class Evil:
    """Writes a file when it is unpickled."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return (open, (self.path, "w"))


def spoil(folder, target, *, change=None, text=None, weights=None, extra=None):
    """A copy of the tiny model with one thing wrong."""
    settings = config()
    if change is not None:
        change(settings)
    (target / "model_config.json").write_text(json.dumps(settings) if text is None else text)
    data = (folder / "model.safetensors").read_bytes()
    if weights is not None:
        data = weights(data)
    if data is not None:
        (target / "model.safetensors").write_bytes(data)
    for name, content in (extra or {}).items():
        (target / name).write_bytes(content)


def _autoencoder(settings):
    settings["model_type"] = "autoencoder"


def _unet(settings):
    settings["model"]["diffusion"]["type"] = "adp_cfg_1d"


def _inpaint(settings):
    settings["model"]["diffusion"]["input_concat_ids"] = ["inpaint_mask"]


def _video(settings):
    settings["model"]["conditioning"]["configs"].append(
        {"id": "video", "type": "clap_audio", "config": {}}
    )


def _textless(settings):
    del settings["model"]["conditioning"]["configs"][0]


def _epsilon(settings):
    settings["model"]["diffusion"]["diffusion_objective"] = "eps"


def _wider(settings):
    settings["model"]["diffusion"]["config"]["embed_dim"] = 128


def _deeper(settings):
    settings["model"]["diffusion"]["config"]["depth"] = 3


def _rate(settings):
    settings["sample_rate"] = 0


def _no_codec_type(settings):
    del settings["model"]["pretransform"]["type"]


def _bare(settings):
    settings["model"] = {"io_channels": 8}


def _slow(settings):
    settings["sample_rate"] = 44


def _endless(settings):
    settings["sample_size"] = 10**15


def _many(settings):
    settings["audio_channels"] = 64


def _levels(settings):
    settings["sigmas"] = [100.0, float("nan")]


def _not_finite(data):
    """The weights with one NaN in the first tensor."""
    tensors = load(data)
    name = sorted(tensors)[0]
    tensors[name].flatten()[0] = math.nan
    return save(tensors)


FAULTS = {
    "absurd rate": ({"change": _slow}, r"sample_rate in .* must be 8000 to 192000 Hz, got 44"),
    "absurd length": ({"change": _endless}, "sample_size in .* must be at most 3600 s"),
    "many channels": ({"change": _many}, "audio_channels in .* must be 1 or 2, got 64"),
    "absurd levels": ({"change": _levels}, "sigmas in .* must be two rising numbers above 0"),
    "not finite": (
        {"weights": _not_finite},
        r"model\.safetensors is broken: 1 of the \d+ numbers of [\w.]+ are not finite",
    ),
    "wrong kind": ({"change": _autoencoder}, "model_type is 'autoencoder'.*text-conditioned"),
    "not a transformer": ({"change": _unet}, "type 'adp_cfg_1d'; only 'dit'"),
    "inpainting": ({"change": _inpaint}, "wants inpaint_mask beside the noise; it must be nothing"),
    "unknown condition": ({"change": _video}, "wants a condition 'video' of type 'clap_audio'"),
    "no text": ({"change": _textless}, "takes no text"),
    "unknown objective": ({"change": _epsilon}, "diffusion_objective of .* is 'eps'"),
    "other shapes": ({"change": _wider}, r"do not fit.*is [\dx]+, not [\dx]+.* and \d+ more"),
    "missing tensors": ({"change": _deeper}, r"do not fit.*layers\.2\..* is missing"),
    "no rate": ({"change": _rate}, "sample_rate in .* must be an integer above 0, got 0"),
    "no codec type": ({"change": _no_codec_type}, "does not describe a model.*KeyError"),
    "no diffusion": ({"change": _bare}, "does not describe a text-conditioned.*KeyError"),
    "not json": ({"text": "{"}, "cannot be read as JSON"),
    "other json": ({"text": "[]"}, "not a stable-audio-tools model description"),
    "truncated": ({"weights": lambda data: data[: len(data) // 2]}, "damaged or incomplete"),
    "not tensors": ({"weights": lambda _: b"hello"}, "damaged or incomplete"),
    "no weights": ({"weights": lambda _: None}, "but no weights"),
    "two weights": (
        {"weights": lambda _: None, "extra": {"a.safetensors": b"", "b.safetensors": b""}},
        "several weight files",
    ),
    "empty pickle": ({"weights": lambda _: None, "extra": {"model.ckpt": b""}}, "damaged"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_folder_is_one_sentence(folder, tmp_path, fault):
    how, match = FAULTS[fault]
    spoil(folder, tmp_path, **how)
    with pytest.raises(ModelUnavailable, match=match) as caught:
        load_prior(str(tmp_path), device="cpu")
    assert one_sentence(str(caught.value))


def one_sentence(text):
    return "\n" not in text and text.endswith(".") and ". " not in text


def test_a_pickle_with_code_is_refused_and_not_run(folder, tmp_path):
    written = tmp_path / "owned"
    spoil(
        folder,
        tmp_path,
        weights=lambda _: None,
        extra={"model.ckpt": pickle.dumps({"state_dict": Evil(written)}, protocol=2)},
    )
    with pytest.raises(ModelUnavailable, match="a pickle can run any code") as caught:
        load_prior(str(tmp_path), device="cpu")
    assert one_sentence(str(caught.value))
    assert not written.exists()


def test_names_that_are_no_model_are_one_sentence(folder, tmp_path):
    for model, match in {
        "": "there is no model ''; give",
        "nonsense": "there is no model 'nonsense'; give 'default', 'edm', a folder",
        str(tmp_path / "absent"): "there is no model",
        str(folder / "model.safetensors"): "is a file; give the folder",
        str(tmp_path): "is not a model folder: it holds no model_config.json",
    }.items():
        with pytest.raises(ModelUnavailable, match=match) as caught:
            load_prior(model, device="cpu")
        assert one_sentence(str(caught.value))


def test_unknown_devices_are_named(folder):
    with pytest.raises(ValueError, match="device must be 'cpu', 'cuda' or 'mps', got 'toaster'"):
        load_prior(str(folder), device="toaster")


# -- the hub: its real client against a server that answers as the hub does -----------------------


@pytest.fixture
def hub(monkeypatch, tmp_path, folder):
    """A function: set which answer the hub gives; the client's cache is empty."""
    from huggingface_hub import constants

    state = {"error": None, "files": {}}

    class Hub(BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.reply(head=True)

        def do_GET(self):
            self.reply(head=False)

        def reply(self, *, head):
            name = self.path.rsplit("/", 1)[-1]
            data = state["files"].get(name)
            if state["error"] or data is None:
                status, code = state["error"] or (404, "EntryNotFound")
                self.send_response(status)
                self.send_header("X-Error-Code", code)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(200)
            self.send_header("ETag", f'"{name}-1"')
            self.send_header("X-Repo-Commit", "0" * 40)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if not head:
                self.wfile.write(data)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    address = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(constants, "ENDPOINT", address)
    template = address + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    hasty = SimpleNamespace(sleep=lambda _: None, time=time.time)  # its retries; ours still sleep
    monkeypatch.setattr("huggingface_hub.utils._http.time", hasty)

    def stop():
        server.shutdown()
        thread.join()
        server.server_close()  # else a client connects, and waits for an answer

    state["stop"] = stop
    yield state
    stop()


@pytest.mark.parametrize(
    ("error", "match"),
    [
        ((403, "GatedRepo"), "is gated: accept the licence on its page.*hf auth login"),
        ((404, "RepoNotFound"), "the hub shows no model owner/tiny; check the spelling"),
        ((404, "EntryNotFound"), "not a stable-audio-tools model: the hub has no model_config"),
        ((500, "Broken"), "not in the local cache and cannot be downloaded"),
    ],
)
def test_what_the_hub_refuses_is_one_sentence(hub, error, match):
    hub["error"] = error
    with pytest.raises(ModelUnavailable, match=match) as caught:
        load_prior("owner/tiny", device="cpu")
    assert one_sentence(str(caught.value))


def test_hub_models_load_and_stay_when_the_network_goes(hub, folder):
    names = ("model_config.json", "model.safetensors")
    hub["files"] = {name: (folder / name).read_bytes() for name in names}
    prior = load_prior("owner/tiny", device="cpu")
    assert prior.name == "owner/tiny"
    assert prior.model_hash == load_prior(str(folder), device="cpu").model_hash
    hub["stop"]()  # a request now would find nobody
    assert load_prior("owner/tiny", device="cpu").model_hash == prior.model_hash


def test_no_network_and_no_cache_tells_how_to_bring_the_folder(monkeypatch, tmp_path):
    from huggingface_hub import constants

    template = "http://127.0.0.1:9/{repo_id}/resolve/{revision}/{filename}"  # nobody listens
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    hasty = SimpleNamespace(sleep=lambda _: None, time=time.time)  # its retries; ours still sleep
    monkeypatch.setattr("huggingface_hub.utils._http.time", hasty)
    with pytest.raises(ModelUnavailable, match=r"cannot be downloaded.*--model DIR") as caught:
        load_prior("stabilityai/stable-audio-open-1.0", device="cpu")
    assert one_sentence(str(caught.value))


# -- side effects --------------------------------------------------------------------------------


SIDE_EFFECTS = """
import random, sys
import numpy as np, torch
import sds.priors.loading as loading
from sds.priors.sampling import generate
assert "stable_audio_tools" not in sys.modules, "imported too early"
def world():
    matmul, cudnn, dynamo = torch.backends.cuda.matmul, torch.backends.cudnn, torch._dynamo.config
    return (matmul.allow_tf32, cudnn.allow_tf32, cudnn.benchmark, cudnn.deterministic,
            dynamo.cache_size_limit, dynamo.suppress_errors, torch.get_default_dtype(),
            torch.get_num_threads(), torch.is_grad_enabled(),
            torch.get_rng_state().tolist(), random.getstate(),
            np.random.get_state()[1].tolist())
torch.backends.cudnn.benchmark = torch.backends.cuda.matmul.allow_tf32 = True
before = world()
prior = loading.load_prior(sys.argv[1], device="cpu")
cond = prior.embed(["bell"], 1.0)
prior.decode(prior.denoise(prior.encode(torch.zeros(1, 2, 640)), torch.ones(1), cond))
noise = torch.Generator().manual_seed(0)
generate(prior, ["bell"], 0.1, steps=2, scale=5.0, generator=noise)
changed = [i for i, (a, b) in enumerate(zip(before, world())) if a != b]
assert not changed, f"changed: {changed}"
"""


def test_a_first_load_leaves_the_world_as_it_was(folder):
    """In a fresh process with every warning an error: no print, no warning, no switch, no draw."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", SIDE_EFFECTS, str(folder)],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parent.parent,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""


# -- our own codec and text, and the shipped default ----------------------------------------------


def test_our_codec_and_text_go_the_same_way(tmp_path):
    settings = spectral_config()
    model = random_model(settings)
    prior = load_prior(str(write(tmp_path / "ours", settings, model)), device="cpu")
    assert (prior.channels, prior.ratio) == (1, 2048)
    audio = 0.1 * noise(1, 1, 44100)
    z = prior.encode(audio)
    assert z.shape == (1, 8, 22) == (1, 8, prior.latent_frames(1.0))  # whole patches of two
    assert prior.encode(audio[..., :5000]).shape[-1] == 4
    with torch.no_grad():
        padded = torch.nn.functional.pad(audio, (0, 22 * 2048 - 44100))
        torch.testing.assert_close(z, model.pretransform.encode(padded), rtol=0, atol=1e-5)
        theirs = model.pretransform.decode(z, like=padded)
    heard = prior.decode(z, like=audio)
    assert heard.shape == audio.shape
    torch.testing.assert_close(heard, theirs[..., :44100], rtol=0, atol=1e-5)
    assert (heard - prior.decode(z)[..., :44100]).abs().max() > 1e-4  # `like` gave the phase
    sigma = torch.tensor([1e-4])
    kept = prior.denoise(z, sigma, prior.embed(["hand drum"], 1.0))
    torch.testing.assert_close(kept, z, rtol=0, atol=1e-2)


def test_our_empty_prompt_has_no_text_and_keeps_the_duration(tmp_path):
    """As the default model is trained: a dropped prompt is an empty one."""
    settings = spectral_config()
    prior = load_prior(str(write(tmp_path / "ours", settings, random_model(settings))))
    full, empty = prior.embed(["struck glass"], 1.0), prior.embed([""], 1.0)
    tokens, whole = empty["cross_attn_cond"], empty["global_cond"]
    assert tokens.shape == (1, 6, 32)  # sentence, 4 pieces, duration
    assert whole.shape == (1, 64)  # sentence, duration
    assert not tokens[:, :5].any()
    assert not whole[:, :32].any()
    assert full["cross_attn_cond"][:, 0].any()
    torch.testing.assert_close(tokens[:, 5], full["cross_attn_cond"][:, 5], rtol=0, atol=0)
    torch.testing.assert_close(whole[:, 32:], full["global_cond"][:, 32:], rtol=0, atol=0)
    assert tokens[:, 5].any()


default = pytest.mark.skipif(
    not (WEIGHTS / "default" / "model.safetensors").is_file(),
    reason="the default model is not in sds/weights/default yet",
)


@pytest.fixture(scope="module")
def shipped():
    return load_prior(device="cpu")


@default
def test_the_shipped_model_is_a_prior(shipped):
    assert shipped.name == "default"
    assert family_of(shipped) is SHIPPED
    assert shipped.sample_rate == 44100
    assert 0 < shipped.sigmas[0] < 0.5 < 5 < shipped.sigmas[1]
    size = sum(file.stat().st_size for file in (WEIGHTS / "default").rglob("*"))
    assert size <= 40e6
    audio = 0.1 * noise(1, shipped.channels, shipped.sample_rate)
    z = shipped.encode(audio)
    assert z.shape == (1, shipped.latent_channels, shipped.latent_frames(1.0))
    assert shipped.decode(z, like=audio).shape == audio.shape


@default
def test_the_shipped_model_denoises_real_latents(shipped):
    """Noise is taken away: D is nearer to the clean latent than x is, by more the louder it is."""
    t = torch.arange(2 * shipped.sample_rate) / shipped.sample_rate
    strike = torch.exp(-4 * t) * torch.sin(2 * math.pi * 440 * t)
    z = shipped.encode(strike.expand(1, shipped.channels, -1))
    cond = shipped.embed(["a bell"], 2.0)
    for sigma, least in ((0.5, 1.3), (5.0, 3.0)):
        x = z + sigma * noise(*z.shape)
        left = (shipped.denoise(x, torch.tensor([sigma]), cond) - z).norm() / (x - z).norm()
        assert left < 1 / least


@default
def test_the_shipped_model_tells_prompts_apart(shipped):
    x = noise(1, shipped.latent_channels, shipped.latent_frames(2.0)) * 5
    sigma = torch.tensor([5.0])
    heard = [
        shipped.denoise(x, sigma, shipped.embed([prompt], 2.0)) for prompt in ("rain", "hand drum")
    ]
    assert (heard[0] - heard[1]).norm() / heard[0].norm() > 0.02


UNUSED = """
import sys
from sds.priors.families import FAMILIES, SHIPPED, family_of
from sds.priors.loading import load_prior
load_prior("default")
unused = {"torch._dynamo", "torch._inductor", "k_diffusion", "torchvision", "sympy"}
assert not unused & set(sys.modules), unused & set(sys.modules)
import torch
from sds.priors.quiet_import import quiet
with quiet():
    from stable_audio_tools.inference import sampling
    sigmas = sampling.K.sampling.get_sigmas_karras(4, 0.1, 10.0)
assert len(sigmas) == 5 and sigmas[-1] == 0
assert torch._dynamo.config.cache_size_limit > 0 and torch.compile(abs) is not abs
"""


def test_the_default_model_loads_without_the_compiler_which_is_there_when_asked_for():
    done = subprocess.run(
        [sys.executable, "-c", UNUSED], capture_output=True, text=True, check=False,
        cwd=Path(__file__).parent.parent, env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
