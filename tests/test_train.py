"""Training: checkpoints come back, windows are the sound they come from, the loss is right."""

import json
import math
import random
import sys
from itertools import pairwise

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from sds.datasets.clips import Clip, normalise_peak, read_part, write_part
from sds.priors.checkpoints import WEIGHTS
from sds.priors.loading import load_prior
from sds.priors.spectral_codec import SpectralCodec, principal
from sds.priors.stable_audio_modules import build_model
from sds.priors.text_embedding import sentence
from sds.train import loop, pack, prior
from sds.train.common import Checkpoint, average_into, cosine
from sds.train.data import RATE, Corpus, balanced_weights, class_weights
from sds.train.latents import (
    DROP,
    FRAME,
    KEPT,
    REACH,
    SECONDS_A_FRAME,
    TAIL,
    Batch,
    Latents,
    thin,
)
from sds.train.prior import encode

CODEC = {"latent": 8, "mels": 32, "width": 16, "blocks": 1}
PIECES = 3
CLIPS = (  # frames, captions, class, split
    (3 * RATE, ["a long tone"], "tone", "prior"),
    (RATE // 4, ["kick drum", "a short drum"], "drum", "prior"),
    (2 * RATE, ["a bell"], "bell", "held"),
)


def config():
    """The shipped description, made tiny."""
    whole = json.loads((WEIGHTS / "default" / "model_config.json").read_text())
    model = whole["model"]
    model["pretransform"]["config"] = CODEC
    model["io_channels"] = CODEC["latent"]
    model["conditioning"]["cond_dim"] = 64
    model["conditioning"]["configs"][0]["config"]["max_pieces"] = PIECES
    model["diffusion"]["config"] |= {
        "io_channels": CODEC["latent"], "embed_dim": 64, "depth": 1, "num_heads": 1,
        "cond_token_dim": 64, "global_cond_dim": 128,
    }  # fmt: skip
    return whole


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A corpus of three clips, as sds.train.corpus writes it."""
    folder = tmp_path_factory.mktemp("corpus")
    rng = np.random.default_rng(0)
    rows, sounds, start = [], [], 0
    for frames, captions, label, split in CLIPS:
        fade = np.exp(-3 * np.arange(frames) / frames)
        sound = (0.1 * rng.standard_normal(frames) * fade * 32767).astype(np.int16)
        row = {"start": start, "frames": frames, "captions": captions, "class": label}
        rows.append(json.dumps(row | {"split": split}))
        sounds.append(sound)
        start += frames
    np.concatenate(sounds).tofile(folder / "small.i16")
    (folder / "small.jsonl").write_text("\n".join(rows) + "\n")
    return folder


@pytest.fixture(scope="module")
def codec(folder):
    torch.manual_seed(0)
    codec = SpectralCodec(**CODEC).eval().requires_grad_(False)
    corpus = Corpus(folder, frozenset({"prior"}))
    principal(codec, codec.levels(corpus.audio(corpus.clips[0], 0, 60 * FRAME)[None]))
    return codec


@pytest.fixture(scope="module")
def encoded(folder, codec, tmp_path_factory):
    out = tmp_path_factory.mktemp("latents")
    encode(folder, out, codec)
    return out


@pytest.fixture(scope="module")
def latents(encoded):
    return Latents([encoded / "small.latents"], max_pieces=PIECES)


@pytest.fixture(scope="module")
def held(encoded):
    return Latents([encoded / "held-small.latents"], max_pieces=PIECES)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    model = build_model(config())
    model.pretransform = None
    return model


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def draw(latents, codec, count, frames, *, seed=0, plain=True):
    return latents.batch(count, frames, codec, generator(seed), plain=plain)


def source(folder, codec, split, number):
    """The latents [D, L] of a clip and the silence kept after it, within what int8 spans."""
    corpus = Corpus(folder, frozenset({split}))
    audio = corpus.audio(corpus.clips[number])
    z = codec.encode(nn.functional.pad(audio, (0, TAIL * FRAME))[None, None])[0]
    most = REACH * codec.deviation()[:, None]
    return z.clamp(-most, most)


# The curve, the average, the checkpoint


def test_cosine_warms_up_peaks_and_ends_at_its_floor():
    curve = [cosine(k, total=110, warm=10, peak=2.0, floor=0.1) for k in range(200)]
    assert curve[0] == pytest.approx(0.2)
    assert curve[9] == curve[10] == pytest.approx(2.0)
    assert curve[60] == pytest.approx(2.0 * (0.1 + 0.9 / 2))
    assert curve[110] == curve[199] == pytest.approx(0.2)
    assert all(a >= b for a, b in pairwise(curve[10:]))


def test_average_moves_by_what_decay_leaves():
    slow, fast = nn.Linear(3, 1), nn.Linear(3, 1)
    for net, value in ((slow, 1.0), (fast, 3.0)):
        nn.init.constant_(net.weight, value)
        nn.init.constant_(net.bias, value)
    average_into(slow, fast, 0.75)
    assert torch.equal(slow.weight, torch.full((1, 3), 1.5))


def net_and_optimizer(seed):
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Linear(4, 8), nn.GELU(), nn.Linear(8, 1))
    return net, torch.optim.AdamW(net.parameters(), lr=1e-2)


def train(net, optimizer, steps, seed):
    g = generator(seed)
    for _ in range(steps):
        optimizer.zero_grad()
        net(torch.randn(16, 4, generator=g)).square().mean().backward()
        optimizer.step()


def test_a_resumed_run_goes_on_as_if_it_had_never_stopped(tmp_path):
    net, optimizer = net_and_optimizer(0)
    mean, _ = net_and_optimizer(1)
    checkpoint = Checkpoint(tmp_path / "run")
    assert not checkpoint.exists
    train(net, optimizer, 5, seed=2)
    checkpoint.save(5, net, optimizer, mean)
    assert not checkpoint.due()
    other, again = net_and_optimizer(3)
    kept, _ = net_and_optimizer(4)
    assert Checkpoint(tmp_path / "run").load(other, again, kept) == 5
    train(net, optimizer, 3, seed=5)
    train(other, again, 3, seed=5)
    for a, b in ((net, other), (mean, kept)):
        assert all(torch.equal(x, y) for x, y in zip(a.parameters(), b.parameters(), strict=True))
    names = {"model.safetensors", "mean.safetensors", "optimizer.safetensors", "state.json"}
    assert {path.name for path in (tmp_path / "run").iterdir()} == names


# The corpus and its latents


def test_audio_is_the_clip_and_silence_past_its_end(folder):
    corpus = Corpus(folder, frozenset({"prior"}))
    assert [(c.label, c.frames) for c in corpus.clips] == [("tone", 3 * RATE), ("drum", RATE // 4)]
    raw = np.fromfile(folder / "small.i16", dtype=np.int16)[3 * RATE :][: RATE // 4]
    short = corpus.audio(corpus.clips[1], 0, RATE)
    assert torch.equal(short[: RATE // 4], torch.from_numpy(raw / np.float32(32767)))
    assert not short[RATE // 4 :].any()
    assert corpus.crop(corpus.clips[0], 100, np.random.default_rng(0)).shape == (100,)
    with pytest.raises(ValueError, match=r"no clips of \['evaluation_scorer'\]"):
        Corpus(folder, frozenset({"evaluation_scorer"}))


def test_samples_come_back_as_they_were_written(tmp_path):
    tone = np.sin(np.arange(RATE, dtype=np.float32) / 20)
    write_part(tmp_path, "tone", [Clip(tone, ("a tone",), "tone", "prior", "a")])
    corpus = Corpus(tmp_path, frozenset({"prior"}))
    written = next(read_part(tmp_path, "tone")).audio
    assert np.array_equal(corpus.audio(corpus.clips[0]).numpy(), written)
    assert np.abs(written - normalise_peak(tone, "a")).max() <= 0.5 / 32767 + 1e-7


def test_a_class_weighs_by_the_root_of_its_seconds(folder, latents):
    corpus = Corpus(folder, frozenset({"prior"}))
    weights = class_weights(corpus.clips)
    assert weights.sum() == pytest.approx(1.0)
    assert weights[0] / weights[1] == pytest.approx(math.sqrt(3.0 / 0.25))
    assert latents.weights.tolist() == pytest.approx(weights.tolist(), rel=1e-2)  # frames rounded


def test_clips_share_their_class_by_length_and_ten_seconds_are_long():
    weights = balanced_weights(["rain", "kick", "rain", "rain"], [30.0, 1.0, 5.0, 10.0])
    assert weights.sum() == pytest.approx(1.0)
    assert weights[0] == weights[3] == pytest.approx(2 * weights[2])
    assert weights[[0, 2, 3]].sum() / weights[1] == pytest.approx(math.sqrt(25.0))


def test_the_file_holds_bytes_and_is_not_made_twice(folder, codec, encoded):
    tensors = load_file(encoded / "small.latents")
    assert tensors["z"].dtype == torch.int8
    assert torch.allclose(tensors["scale"], REACH / 127 * codec.deviation())
    before = (encoded / "small.latents").stat().st_mtime_ns
    encode(folder, encoded, codec)
    assert (encoded / "small.latents").stat().st_mtime_ns == before


def test_windows_are_the_latents_of_the_clip_to_half_a_step(folder, codec, held):
    whole = source(folder, codec, "held", 0)
    batch = draw(held, codec, 40, 16)
    step = held.scale[:, None]
    begins = set()
    for z in batch.z:
        errors = [
            float(((z - whole[:, k : k + 16]).abs() / step).max())
            for k in range(whole.shape[1] - 15)
        ]
        begins.add(int(np.argmin(errors)))
        assert min(errors) <= 0.51
    last = 2 * RATE // FRAME - 16
    assert len(begins) > 10
    assert max(begins) <= last
    assert batch.seconds.tolist() == pytest.approx([16 * SECONDS_A_FRAME] * 40)


def test_a_short_clip_begins_the_window_and_silence_follows(folder, codec, latents):
    short = source(folder, codec, "prior", 1)
    silence = codec.encode(torch.zeros(1, 1, 8 * FRAME))[0, :, 4]
    most = REACH * codec.deviation()
    batch = draw(latents, codec, 60, 40)
    drums = [
        (z, float(s)) for z, s in zip(batch.z, batch.seconds, strict=True)
        if float(((z[:, :4] - short[:, :4]).abs() / latents.scale[:, None]).max()) <= 0.51
    ]  # fmt: skip
    assert 5 < len(drums) < 35  # of 60, by sqrt(0.25) to sqrt(3): 13
    rest = silence.clamp(-most, most)[:, None]
    for z, _ in drums:
        sound, after = z[:, : short.shape[1]], z[:, short.shape[1] :]
        assert float(((sound - short).abs() / latents.scale[:, None]).max()) <= 0.51
        assert float(((after - rest).abs() / latents.scale[:, None]).max()) <= 0.51
    told = {round(s, 3) for _, s in drums}
    sounding = round(RATE / 4 / FRAME, 2) * SECONDS_A_FRAME
    assert told == {round(sounding, 3), round(40 * SECONDS_A_FRAME, 3)}


def test_a_batch_is_of_its_seed(codec, latents):
    one, same, other = (draw(latents, codec, 8, 32, seed=s, plain=False) for s in (1, 1, 2))
    assert torch.equal(one.z, same.z)
    assert torch.equal(one.text, same.text)
    assert torch.equal(one.seconds, same.seconds)
    assert not torch.equal(one.z, other.z)


def test_an_eighth_of_the_prompts_is_dropped_but_none_when_plain(codec, latents):
    dropped, plain = (
        (draw(latents, codec, 8000, 4, plain=p).text.abs().sum((1, 2)) == 0).float().mean()
        for p in (False, True)
    )
    assert float(dropped) == pytest.approx(DROP, abs=4 * math.sqrt(DROP / 8000))
    assert float(plain) == 0.0


def test_favour_multiplies_the_weights_of_a_class(encoded, latents):
    favoured = Latents([encoded / "small.latents"], max_pieces=PIECES, favour={"drum": 3.0})
    drum = torch.tensor([label == "drum" for label in latents.labels])
    torch.testing.assert_close(favoured.weights[drum], 3 * latents.weights[drum])
    torch.testing.assert_close(favoured.weights[~drum], latents.weights[~drum])
    assert prior.parse_favour(["hand drum=3", "wood=0.5"]) == {"hand drum": 3.0, "wood": 0.5}


def test_a_thinned_caption_has_some_of_its_words_in_their_order():
    rng, words = random.Random(0), "a very low short kick drum".split()
    versions = [thin(" ".join(words), rng).split() for _ in range(300)]
    for kept in versions:
        left = iter(words)
        assert kept
        assert all(word in left for word in kept)
    share = sum(map(len, versions)) / (300 * len(words))
    assert share == pytest.approx(KEPT, abs=0.04)
    assert thin("glass", rng) == "glass"


def test_thinned_text_is_of_the_same_clip_and_plain_text_is_whole(encoded, codec, latents):
    thinned = Latents([encoded / "small.latents"], max_pieces=PIECES, thinned=1.0)
    whole = draw(thinned, codec, 200, 4).text
    assert torch.equal(whole, draw(latents, codec, 200, 4).text)
    rows = draw(thinned, codec, 400, 4, plain=False).text
    count = (rows[:, 1:].abs().sum(2) > 0).sum(1)
    assert int(count.max()) <= max((x.abs().sum(1) > 0).sum() for x in whole[:, 1:])
    assert len(rows[:, 0].unique(dim=0)) > len(whole[:, 0].unique(dim=0))


def test_text_is_of_the_clip_that_is_heard(codec, held):
    batch = draw(held, codec, 3, 16)
    expected = sentence("a bell").half().float()
    assert all(torch.equal(row, expected) for row in batch.text[:, 0])


# The loss


def of(z):
    return Batch(z, torch.zeros(len(z), 1 + PIECES, 1), torch.ones(len(z)))


def test_the_answer_that_knows_the_noise_has_no_loss(monkeypatch):
    """With z = 0 the noisy latent is sigma e, so v = alpha e = noisy / tan(pi t / 2)."""

    def exact(model, z, t, text, seconds):
        return z / torch.tan(torch.pi / 2 * t)[:, None, None]

    monkeypatch.setattr(prior, "velocity", exact)
    assert float(prior.loss(None, of(torch.zeros(256, 8, 16)), generator())) < 1e-9


def test_saying_nothing_costs_the_mean_square_of_v(monkeypatch):
    """E alpha^2 + E sigma^2 z^2 = 1/2 + z^2 / 2 for t uniform on [0, 1]."""
    monkeypatch.setattr(prior, "velocity", lambda model, z, t, text, seconds: torch.zeros_like(z))
    found = float(prior.loss(None, of(torch.full((256, 8, 16), 2.0)), generator()))
    assert found == pytest.approx(0.5 + 2.0, rel=0.02)


def test_held_back_is_the_same_each_time_and_gradients_are_finite(codec, latents, held, model):
    first = prior.held_back_loss(model, held, codec)
    torch.manual_seed(1)
    assert prior.held_back_loss(model, held, codec) == first
    assert 0.1 < first < 10.0
    error = prior.loss(model, latents.batch(4, 32, codec, generator()), generator())
    error.backward()
    grads = [p.grad for p in model.parameters() if p.grad is not None]
    assert all(torch.isfinite(g).all() for g in grads)
    assert any(g.any() for g in grads)
    model.zero_grad()


# Packing


def test_the_best_is_half_as_wide_and_a_resumed_run_knows_its_loss(tmp_path):
    net, path = nn.Linear(2, 2), tmp_path / loop.BEST
    assert loop.least(path) == math.inf
    loop.keep_best(path, net, 0.33)
    assert loop.least(path) == 0.33
    assert torch.equal(load_file(path)["weight"], net.weight.half())


def packed(monkeypatch, out, *arguments):
    monkeypatch.setattr(sys, "argv", ["pack", "--out", str(out), *arguments])
    pack.main()
    return load_file(out / "default" / "model.safetensors")


def test_what_is_packed_is_half_as_wide_and_loads(tmp_path, monkeypatch, codec, model):
    out = tmp_path / "weights"
    for name in ("codec", "prior"):
        (tmp_path / name).mkdir()
    save_file(dict(codec.state_dict()), tmp_path / "codec" / "model.safetensors")
    best = {k: v.half() for k, v in model.state_dict().items()}
    save_file(best, tmp_path / "prior" / "best.safetensors")
    only = packed(monkeypatch, out, "--codec", str(tmp_path / "codec"))
    assert all(name.startswith("pretransform.") for name in only)
    both = packed(monkeypatch, out, "--prior", str(tmp_path / "prior"))
    assert {k: v for k, v in both.items() if k in only}.keys() == only.keys()
    assert len(both) == len(only) + len(best)
    assert torch.float32 not in {tensor.dtype for tensor in both.values()}
    (out / "default" / "model_config.json").write_text(json.dumps(config()))
    loaded = load_prior(str(out / "default"), device="cpu")
    z = torch.randn(1, 8, 16, generator=generator())
    sound = loaded.encode(codec.decode(z))
    assert sound.shape == (1, 8, 16)
    assert torch.allclose(sound, codec.encode(codec.decode(z)), atol=0.1)


def test_a_share_of_the_new_prior_lies_on_the_line_between(tmp_path, monkeypatch):
    shipped = {"a": torch.tensor([0.0, 2.0]), "pretransform.b": torch.ones(1)}
    (tmp_path / "default").mkdir()
    save_file(shipped, tmp_path / "default" / "model.safetensors")
    save_file({"a": torch.tensor([4.0, 4.0])}, tmp_path / "mean.safetensors")
    both = packed(monkeypatch, tmp_path, "--prior", str(tmp_path), "--share", "0.25")
    assert both["a"].tolist() == [1.0, 2.5]
    assert both["pretransform.b"].tolist() == [1.0]
    save_file({"c": torch.ones(1)}, tmp_path / "mean.safetensors")
    with pytest.raises(ValueError, match="only one has a"):
        packed(monkeypatch, tmp_path, "--prior", str(tmp_path), "--share", "0.25")
