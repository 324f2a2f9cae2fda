"""CLAP: what transformers computes, without its chance; what cannot be had is one sentence."""

import json
import re
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers.pre_tokenizers import ByteLevel

from bridge import worker
from bridge.worker.sought_sound import sought_sound
from sds.priors.checkpoints import ModelUnavailable
from sds.priors.quiet_import import quiet
from sds.signal.audio_files import resample
from sds.similarity.laion_clap import load_clap, prepare

RATE = 48000
PROMPTS = ["rain", "a dog barks at the moon", "piano"]


def write_clap(folder, *, fused):
    """A ClapModel of 30 thousand random parameters, with the files of LAION's repositories."""
    import transformers  # takes seconds, in every process that collects tests

    text = {
        "vocab_size": 261, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
        "intermediate_size": 16, "max_position_embeddings": 80, "projection_dim": 16,
    }  # fmt: skip
    audio = {
        "hidden_size": 32, "patch_embeds_hidden_size": 8, "depths": [1, 1, 1],
        "num_attention_heads": [1, 2, 2], "projection_dim": 16, "enable_fusion": fused,
    }  # fmt: skip
    config = transformers.ClapConfig(text_config=text, audio_config=audio, projection_dim=16)
    extractor = transformers.ClapFeatureExtractor(truncation="fusion" if fused else "rand_trunc")
    pieces = ["<s>", "<pad>", "</s>", "<unk>", *sorted(ByteLevel.alphabet()), "<mask>"]
    tokenizer = transformers.RobertaTokenizer({piece: i for i, piece in enumerate(pieces)}, [])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = transformers.ClapModel(config)
        for weight in model.parameters():  # wide, or all sounds and texts would be nearly the same
            if weight.ndim > 1:
                torch.nn.init.normal_(weight, std=weight[0].numel() ** -0.5)
        levels = model.audio_model.audio_encoder.batch_norm  # of dB
        torch.nn.init.constant_(levels.running_mean, -20.0)
        torch.nn.init.constant_(levels.running_var, 100.0)
    for part in (model, extractor, tokenizer):
        part.save_pretrained(folder)


@pytest.fixture(scope="module", params=[False, True], ids=["unfused", "fused"])
def folder(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("clap")
    with quiet():
        write_clap(folder, fused=request.param)
    return folder


@pytest.fixture(scope="module")
def evaluation_scorer(folder):
    return load_clap(str(folder))


def sound(seconds, *, pitch=200.0, channels=1):
    """A fading tone over fading noise [1, C, T], far from full scale."""
    g = torch.Generator().manual_seed(0)
    noise = torch.randn(1, channels, round(seconds * RATE), generator=g)
    t = torch.arange(noise.shape[-1]) / RATE
    return (0.003 * noise + 0.1 * torch.sin(2 * torch.pi * pitch * t)) * torch.exp(-t / 3)


def reference(folder, audio, prompts):
    """Cosine [1, K] as transformers computes it for a clip [T] alone, after the recipe in numpy."""
    import transformers

    with quiet():
        model = transformers.ClapModel.from_pretrained(folder)
        processor = transformers.ClapProcessor.from_pretrained(folder)
    data = audio.numpy() * np.float32(10 ** (-1 / 20) / np.abs(audio.numpy()).max())
    data = (data * np.float32(32767)).astype(np.int16).astype(np.float32) / np.float32(32767)
    inputs = processor(
        text=prompts, audio=data, sampling_rate=RATE, return_tensors="pt", padding=True
    )
    with torch.no_grad():
        return model(**inputs).logits_per_audio / model.logit_scale_a.exp()


# What is heard


def test_audio_is_mono_at_minus_one_decibel_in_steps_of_16_bits():
    made = prepare(sound(0.5, channels=2), RATE, RATE)
    assert made.shape == (1, 24000)
    steps = made * 32767
    assert torch.allclose(steps, steps.round(), atol=2e-3)
    assert float(made.abs().max()) == pytest.approx(10 ** (-1 / 20), abs=1 / 32767)
    assert torch.equal(prepare(sound(0.5) / 1024, RATE, RATE), prepare(sound(0.5), RATE, RATE))
    assert not prepare(torch.zeros(1, 1, 100), RATE, RATE).any()


@pytest.mark.parametrize("seconds", [0.7, 3.0, 10.0])
def test_the_cosine_is_that_of_transformers(folder, evaluation_scorer, seconds):
    audio = sound(seconds)
    found = evaluation_scorer.similarity(audio, RATE, PROMPTS)
    assert found.shape == (1, 3)
    assert torch.allclose(found, reference(folder, audio[0, 0], PROMPTS), atol=1e-5)
    other = evaluation_scorer.similarity(sound(seconds, pitch=3000.0), RATE, PROMPTS)
    assert float((other - found).abs().max()) > 1e-3  # a deaf model would agree too


def test_a_clip_sounds_the_same_in_any_company(evaluation_scorer):
    clips = torch.cat([sound(2.0, pitch=pitch) for pitch in (100.0, 500.0, 3000.0)])
    together = evaluation_scorer.hear(clips, RATE)
    alone = torch.cat([evaluation_scorer.hear(clip[None], RATE) for clip in clips])
    assert torch.allclose(together, alone, atol=1e-5)
    assert torch.allclose(together.norm(dim=1), torch.ones(3), atol=1e-6)


def test_long_audio_is_heard_in_windows_of_ten_seconds(folder, evaluation_scorer):
    audio = sound(25.0)
    heard = evaluation_scorer.hear(audio, RATE)
    assert torch.equal(heard, evaluation_scorer.hear(audio, RATE))
    whole = prepare(audio, RATE, RATE)[0]
    windows = [whole[begin * RATE :][: 10 * RATE] for begin in (0, 10, 15)]
    mean = sum(evaluation_scorer._hear(window) for window in windows)
    assert torch.allclose(heard, mean / mean.norm(), atol=1e-6)
    once = sound(10.0)
    assert torch.allclose(
        evaluation_scorer.hear(torch.cat([once, once], -1), RATE),
        evaluation_scorer.hear(once, RATE),
    )


def test_stereo_is_heard_as_its_mean(evaluation_scorer):
    audio = sound(1.0, channels=2)
    assert torch.equal(
        evaluation_scorer.hear(audio, RATE),
        evaluation_scorer.hear(audio.mean(1, keepdim=True), RATE),
    )


@pytest.mark.parametrize("rate", [44100, 22050])
def test_the_rate_does_not_change_what_is_heard(evaluation_scorer, rate):
    audio = resample(resample(sound(1.0), RATE, 16000), 16000, RATE)  # nothing above 8 kHz
    there = resample(audio, RATE, rate)
    expected = evaluation_scorer.hear(resample(there, rate, RATE), RATE)
    assert torch.equal(evaluation_scorer.hear(there, rate), expected)
    assert float((evaluation_scorer.hear(audio, RATE) * expected).sum()) > 0.98


# What is read


def test_one_prompt_is_a_batch_of_one_and_padding_is_not_read(evaluation_scorer):
    audio = sound(1.0)
    together = evaluation_scorer.similarity(audio, RATE, PROMPTS)
    for k, prompt in enumerate(PROMPTS):
        alone = evaluation_scorer.similarity(audio, RATE, [prompt])
        assert alone.shape == (1, 1)
        assert float(alone) == pytest.approx(float(together[0, k]), abs=1e-6)


def test_a_prompt_is_cut_where_laion_cut_it(evaluation_scorer):
    scores = evaluation_scorer.similarity(sound(1.0), RATE, ["x" * 74, "x" * 75, "x" * 500])[0]
    assert float(scores[1]) == float(scores[2])  # with the two ends, 77 tokens
    assert abs(float(scores[0] - scores[1])) > 1e-4


# What is loaded


def copy(folder, to, **changes):
    """The folder again, a file changed by a function of its bytes, or left out (None)."""
    to.mkdir()
    for path in folder.iterdir():
        change = changes.get(path.name.replace(".", "_"), lambda data: data)
        if change is not None:
            (to / path.name).write_bytes(change(path.read_bytes()))
    return to


def without(folder, to, word):
    """The folder again, without the tensors that have `word` in their name."""
    copy(folder, to)
    tensors = load_file(to / "model.safetensors")
    kept = {key: value for key, value in tensors.items() if word not in key}
    assert len(kept) < len(tensors)
    save_file(kept, to / "model.safetensors", metadata={"format": "pt"})
    return to


def test_a_judge_is_called_as_its_folder_and_loads_in_silence(folder, capfd):
    assert load_clap(f"{folder}/").name == folder.name
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("word", ["position_ids", "token_type_ids", "relative_position_index"])
def test_indices_need_not_be_in_the_file(folder, evaluation_scorer, tmp_path, word):
    old = load_clap(str(without(folder, tmp_path / "old", word)))
    audio = sound(1.0)
    found, expected = (each.similarity(audio, RATE, PROMPTS) for each in (old, evaluation_scorer))
    assert torch.allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("folder", [False], indirect=True, ids=["unfused"])
def test_half_precision_files_are_computed_in_single(folder, tmp_path):
    half = copy(
        folder, tmp_path / "half", config_json=lambda data: data.replace(b"float32", b"float16")
    )
    assert b"float16" in (half / "config.json").read_bytes()
    tensors = load_file(half / "model.safetensors")
    halved = {k: v.half() if v.is_floating_point() else v for k, v in tensors.items()}
    save_file(halved, half / "model.safetensors", metadata={"format": "pt"})
    assert load_clap(str(half)).hear(sound(1.0), RATE).dtype == torch.float32


def narrow(config):
    settings = json.loads(config)
    settings["audio_config"]["patch_embeds_hidden_size"] = 16
    return json.dumps(settings).encode()


@pytest.mark.parametrize("folder", [False], indirect=True, ids=["unfused"])
@pytest.mark.parametrize(
    ("changes", "match"),
    [
        (
            {"model_safetensors": None},
            r"has no model\.safetensors; give a folder .*a pickle is not",
        ),
        ({"config_json": None}, r"has no config\.json"),
        ({"tokenizer_json": None}, r"has no tokenizer\.json"),
        ({"preprocessor_config_json": None}, "cannot be loaded .*feature extractor"),
        ({"model_safetensors": lambda data: data[:1000]}, "cannot be loaded as a CLAP"),
        ({"config_json": lambda _: b"{"}, "cannot be loaded as a CLAP"),
        ({"config_json": narrow}, r"do not fit a CLAP of its config\.json: \d+ tensors"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_what_a_folder_lacks_is_one_sentence(folder, tmp_path, capfd, changes, match):
    spoilt = copy(folder, tmp_path / "spoilt", **changes)
    if changes.get("model_safetensors", 1) is None:
        (spoilt / "pytorch_model.bin").write_bytes(b"\x80")
    with pytest.raises(ModelUnavailable, match=match) as caught:
        load_clap(str(spoilt))
    assert one_sentence(str(caught.value))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("folder", [False], indirect=True, ids=["unfused"])
def test_weights_that_are_missing_are_not_drawn_at_random(folder, tmp_path):
    lacking = without(folder, tmp_path / "lacking", "text_projection")
    with pytest.raises(
        ModelUnavailable, match=r"4 tensors .* the first is text_projection\.linear1"
    ):
        load_clap(str(lacking))


def one_sentence(text):
    return text.endswith(".") and "\n" not in text and not re.search(r"\. [A-Z]", text)


# The search


def test_a_search_listens_to_a_clap_and_begins_at_the_shipped_scorer_s_bank(folder):
    models = worker.Models()
    sounds = torch.cat([sound(0.5, pitch=pitch) for pitch in (100.0, 3000.0)])
    sought = sought_sound(models, PROMPTS[0], None, RATE, str(folder))
    clap = load_clap(str(folder))
    expected = clap.similarity(sounds, RATE, PROMPTS[:1])[:, 0]
    torch.testing.assert_close(sought.search(sounds), expected)
    assert models.chosen_scorer(str(folder)) is models.chosen_scorer(str(folder))  # loaded once
    recording = sound(0.5)[0]
    like = sought_sound(models, "", recording, RATE, str(folder))
    assert float(like.search(recording[None])) == pytest.approx(1.0, abs=1e-5)
    shipped = models.search_scorer()
    torch.testing.assert_close(like.vector, shipped.hear(recording[None], RATE)[0])
    default = sought_sound(models, PROMPTS[0], None, RATE)
    own = shipped.similarity(sounds, RATE, PROMPTS[:1])[:, 0]
    torch.testing.assert_close(default.search(sounds), own)


# The hub


@pytest.fixture
def cache(monkeypatch, tmp_path):
    """An empty cache of the hub's client, and a hub where nobody listens."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    hasty = SimpleNamespace(sleep=lambda _: None, time=time.time)  # its retries; ours still sleep
    monkeypatch.setattr("huggingface_hub.utils._http.time", hasty)
    return tmp_path / "cache"


@pytest.mark.parametrize("revision", ["main", "refs/pr/3"])
def test_what_the_cache_holds_needs_no_network(folder, evaluation_scorer, cache, revision):
    commit = "0" * 40
    kept = cache / "models--owner--clap"
    (kept / "refs" / revision).parent.mkdir(parents=True)
    (kept / "refs" / revision).write_text(commit)
    (kept / "snapshots").mkdir()
    copy(folder, kept / "snapshots" / commit)
    name = "owner/clap" if revision == "main" else f"owner/clap@{revision}"
    found = load_clap(name)
    assert found.name == name
    assert torch.equal(found.hear(sound(1.0), RATE), evaluation_scorer.hear(sound(1.0), RATE))


@pytest.mark.parametrize(
    ("name", "match"),
    [
        ("laion/larger_clap_general", r"cannot be downloaded .*`hf download`.*give its folder\."),
        ("no such thing", r"there is no CLAP 'no such thing'; give a folder"),
        ("", r"^there is no CLAP ''; give a folder"),
    ],
)
def test_what_cannot_be_had_is_one_sentence(cache, name, match):
    with pytest.raises(ModelUnavailable, match=match) as caught:
        load_clap(name)
    assert one_sentence(str(caught.value))


def test_a_hub_without_the_model_is_named(cache, monkeypatch):
    from huggingface_hub import constants

    class Hub(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(404)
            self.send_header("X-Error-Code", "RepoNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    try:
        with pytest.raises(ModelUnavailable, match="the hub shows no model owner/clap; check"):
            load_clap("owner/clap")
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
