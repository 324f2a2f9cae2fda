"""Models in the layout of diffusers: found, loaded by classes of ours, refused in a sentence."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from sds.priors.checkpoints import ModelUnavailable
from sds.priors.diffusers_loading import PIPELINES, find_diffusers, silent
from sds.priors.loading import load_prior
from tests.tiny_diffusers import audioldm2, stable_audio, stable_audio_3

MADE = {
    "StableAudio3Pipeline": stable_audio_3,
    "StableAudioPipeline": stable_audio,
    "AudioLDM2Pipeline": audioldm2,
}
WEIGHTS = "diffusion_pytorch_model.safetensors"


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module", params=list(PIPELINES))
def saved(request, tmp_path_factory):
    """(the pipeline, the folder where diffusers wrote it)."""
    pipe = MADE[request.param]()
    folder = tmp_path_factory.mktemp("models") / request.param
    with silent():
        pipe.save_pretrained(folder)
    return pipe, folder


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "tiny3"
    with silent():
        stable_audio_3().save_pretrained(folder)
    return folder


@pytest.fixture
def folder(written, tmp_path):
    """A copy of Stable Audio 3's folder, to spoil."""
    return shutil.copytree(written, tmp_path / "tiny3")


def refused(folder, match):
    with pytest.raises(ModelUnavailable, match=match) as caught:
        load_prior(str(folder), device="cpu")
    text = str(caught.value)
    assert text.endswith(".")
    assert "\n" not in text


def test_a_folder_that_diffusers_wrote_is_the_same_model(saved, capfd):
    pipe, folder = saved
    state = torch.random.get_rng_state()
    prior = load_prior(str(folder), device="cpu")
    assert torch.equal(torch.random.get_rng_state(), state)
    said = capfd.readouterr()
    assert said.out == said.err == ""
    for part in PIPELINES[type(pipe).__name__]:
        module = getattr(prior._pipeline, part)
        if not isinstance(module, torch.nn.Module):
            continue
        theirs = getattr(pipe, part).state_dict()
        for name, value in module.state_dict().items():
            assert torch.equal(value, theirs[name]), (part, name)
        assert not any(weight.requires_grad for weight in module.parameters())
    seconds = min(1.0, prior.max_seconds)
    sound = 0.1 * torch.randn(1, prior.channels, round(seconds * prior.sample_rate))
    z = prior.encode(sound)
    d = prior.denoise(z, torch.ones(1), prior.embed(["a bell"], seconds))
    assert d.shape == z.shape
    assert d.isfinite().all()
    assert prior.name == folder.name
    assert len(prior.model_hash) == 16


def test_the_hash_is_of_the_weights(folder):
    before = load_prior(str(folder), device="cpu").model_hash
    path = folder / "transformer" / WEIGHTS
    tensors = load_file(path)
    tensors["proj_in.weight"] = tensors["proj_in.weight"] + 1
    save_file(tensors, path)
    assert load_prior(str(folder), device="cpu").model_hash != before


def test_half_precision_is_left_when_its_range_is_not_enough(folder, caplog):
    from sds.priors.diffusers_stable_audio_3 import StableAudio3Prior

    exact = load_prior(str(folder), device="cpu")
    z = torch.randn(1, 12, 8, generator=torch.Generator().manual_seed(0))
    sigma, cond = torch.ones(1), exact.embed(["bell"], 0.256)
    d = exact.denoise(z, sigma, cond)
    half = StableAudio3Prior(stable_audio_3(), name="half", precision=torch.bfloat16)
    assert half.network.proj_in.weight.dtype == torch.bfloat16
    assert half.network.rotary_pos_emb.inv_freq.dtype == torch.float32
    error = (half.denoise(z, sigma, cond) - d).norm() / d.norm()
    assert 1e-5 < error < 0.1
    pipe = stable_audio_3()
    with torch.no_grad():
        pipe.transformer.proj_in.weight.mul_(100)
    narrow = StableAudio3Prior(pipe, name="narrow", precision=torch.float16)
    loud = 4e4 * z  # finite in float16, its products are not
    assert narrow.denoise(loud, sigma, cond).isfinite().all()
    assert narrow.precision == torch.float32
    assert "beyond the range of torch.float16" in caplog.text


def test_a_part_that_is_missing_is_named(folder):
    shutil.rmtree(folder / "duration_embedder")
    refused(folder, "tiny3 is incomplete: it has no folder duration_embedder")


def test_pickles_are_not_opened(folder):
    path = folder / "vae" / WEIGHTS
    torch.save(load_file(path), path.with_suffix(".bin"))
    path.unlink()
    refused(folder, r"vae holds no weights as safetensors.* not opened")


def test_weights_that_are_missing_or_broken_are_named(folder):
    path = folder / "transformer" / WEIGHTS
    whole = load_file(path)
    save_file({k: v for k, v in whole.items() if k != "proj_in.weight"}, path)
    refused(folder, "transformer do not fit its config.json: proj_in.weight is missing")
    whole["proj_in.weight"].fill_(torch.nan)
    save_file(whole, path)
    refused(folder, "transformer is broken: 384 of the 384 numbers of proj_in.weight")
    path.write_bytes(path.read_bytes()[:1000])
    refused(folder, "transformer cannot be loaded")


def test_what_a_folder_names_is_not_what_runs(folder):
    """Classes come from a table here, whatever model_index.json or a part's description says."""
    index = json.loads((folder / "model_index.json").read_text())
    index["vae"] = ["evil", "Code"]
    (folder / "model_index.json").write_text(json.dumps(index))
    assert type(load_prior(str(folder), device="cpu")._pipeline.vae).__name__ == "AutoencoderSAME"
    for name, content in (("model_index.json", {"_class_name": "FluxPipeline"}),):
        (folder / name).write_text(json.dumps(content))
    refused(folder, "describes a FluxPipeline of diffusers; one of StableAudio3Pipeline, ")


def test_other_schedulers_are_refused(folder):
    path = folder / "scheduler" / "scheduler_config.json"
    path.write_text(json.dumps({"_class_name": "DDPMScheduler"}))
    refused(folder, "of tiny3 is DDPMScheduler; it must be one of FlowMatchEulerDiscreteScheduler")
    path.write_text("{")
    refused(folder, "scheduler_config.json cannot be read as JSON")


def test_stable_audio_3_in_its_makers_layout_is_told_how_to_be_converted(tmp_path):
    text = {"configs": [{"id": "prompt", "type": "t5gemma", "config": {}}]}
    (tmp_path / "model_config.json").write_text(json.dumps({"model": {"conditioning": text}}))
    refused(tmp_path, "makers' layout.*convert_stable_audio_3_to_diffusers.py")


def test_only_its_own_layout_is_found(folder, tmp_path):
    assert find_diffusers(str(folder)).pipeline == "StableAudio3Pipeline"
    (folder / "model_config.json").write_text("{}")  # both: stable-audio-tools' comes first
    assert find_diffusers(str(folder)) is None
    (tmp_path / "empty").mkdir()
    assert find_diffusers(str(tmp_path / "empty")) is None
    assert find_diffusers("default") is None
    assert find_diffusers("no such model") is None


def test_a_model_of_the_hub_is_taken_from_the_cache(written, tmp_path, monkeypatch):
    """Laid out as the hub's client lays out what it fetched; nothing is asked."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    place = tmp_path / "models--someone--tiny3"
    shutil.copytree(written, place / "snapshots" / ("0" * 40))
    (place / "refs").mkdir()
    (place / "refs" / "main").write_text("0" * 40)
    prior = load_prior("someone/tiny3", device="cpu")
    assert prior.name == "someone/tiny3"
    assert prior.model_hash == load_prior(str(written), device="cpu").model_hash
    found = find_diffusers("someone/tiny3")
    assert found.folder is None
    assert found.description("transformer")["embed_dim"] == 32
    (place / "snapshots" / ("0" * 40) / "vae" / WEIGHTS).unlink()
    with pytest.raises(ModelUnavailable, match=r"someone/tiny3 is not whole: .* has its vae with"):
        load_prior("someone/tiny3", device="cpu")
