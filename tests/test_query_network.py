"""The separator by prompts: its grid, its sums, its first guess, and what it has learned."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from sds.datasets.clips import Clip, half_of, write_part
from sds.datasets.evaluation_items import Mixture
from sds.priors.checkpoints import ModelUnavailable
from sds.priors.sentence_encoder import encode_sentences
from sds.separation.query_network import (
    FOLDER,
    HOP,
    RATE,
    WINDOW,
    N,
    Prompts,
    Query,
    QueryNet,
    hear,
    load_guides,
    load_query,
)
from sds.separation.single_prompt_network import text_features
from sds.signal.audio_files import read
from sds.signal.spectrogram import stft
from sds.similarity.trunk import FOLDER as TRUNK
from sds.similarity.trunk import load_trunk
from sds.train import mixing, pairs
from sds.train import query as training
from sds.train.data import Corpus

DATA = Path(__file__).parent.parent / "examples" / "data"


def changed():
    """A network with random changes."""
    net = QueryNet()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for tensor in net.parameters():
            tensor.add_(0.05 * torch.randn(tensor.shape, generator=generator))
    return net


@pytest.fixture(scope="module")
def query(guides):
    return Query(changed(), guides, model_hash="")


@pytest.fixture(scope="module")
def guides():
    return load_guides()


@pytest.fixture(scope="module")
def shipped():
    found = load_query()
    assert found is not None
    return found


@pytest.fixture(scope="module")
def demo():
    sources = [read(DATA / f"{name}.flac")[0] for name in ("saxophone", "sea_waves")]
    mixture, rate = read(DATA / "mixture.flac")
    return Mixture("demo", ("saxophone", "sea waves"), mixture, tuple(sources), rate)


def prompts(*texts):
    return Prompts(encode_sentences(texts)[None], text_features(texts)[None])


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    ("rate", "samples"), [(44100, 1), (44100, 44100), (22050, 30000), (48000, 200000)]
)
def test_shares_lie_on_the_grid_of_the_stft_at_any_rate_and_length(query, rate, samples):
    mid = 0.1 * noise(1, 1, samples)
    shares = query.shares(mid, rate, ["rain", "piano"])
    assert shares.shape == (3, *stft(mid, 2048).shape[2:])
    assert float(shares.min()) >= 0
    torch.testing.assert_close(shares.sum(0), torch.ones(shares.shape[1:]), atol=1e-4, rtol=0)


def test_silence_has_finite_shares(query):
    shares = query.shares(torch.zeros(1, 1, 3000), RATE, ["rain", "piano"])
    assert bool(shares.isfinite().all())


def test_anything_but_one_mono_signal_is_refused(query):
    with pytest.raises(ValueError, match=r"mid must be \[1, 1, T > 0\], got \[1, 2, 100\]"):
        query.shares(torch.zeros(1, 2, 100), RATE, ["rain"])


def test_the_order_of_prompts_does_not_matter(query):
    mid = 0.1 * noise(1, 1, 50000)
    ab = query.shares(mid, RATE, ["rain", "piano"])
    ba = query.shares(mid, RATE, ["piano", "rain"])
    torch.testing.assert_close(ab, ba[[1, 0, 2]], atol=1e-4, rtol=0)


def test_the_level_does_not_matter(query):
    mid = 0.1 * noise(1, 1, 50000)
    loud, soft, faint = (query.shares(g * mid, RATE, ["rain", "piano"]) for g in (1.0, 1e-2, 1e-5))
    torch.testing.assert_close(loud, soft, atol=1e-4, rtol=0)
    torch.testing.assert_close(loud, faint, atol=1e-4, rtol=0)


def test_before_training_the_answer_is_the_first_guess(guides):
    audio = 0.1 * noise(1, 63 * HOP)
    net, there = QueryNet(), torch.ones(1, 2, dtype=torch.bool)
    asked = prompts("rain", "piano")
    heard = hear(net, guides, audio, asked, there)
    with torch.no_grad():
        logits, _ = net(heard, asked.text, there)
    torch.testing.assert_close(logits, heard.guess)
    torch.testing.assert_close(heard.guess.exp().sum(1), torch.ones(1, 128, 64), atol=4e-3, rtol=0)


def test_places_without_a_prompt_get_nothing_and_change_nothing(guides):
    audio = 0.1 * noise(1, 63 * HOP)
    net = changed()

    def answer(*texts):
        asked, there = prompts(*texts), torch.tensor([[bool(text) for text in texts]])
        with torch.no_grad():
            return net(hear(net, guides, audio, asked, there), asked.text, there)[0].softmax(1)[0]

    two, three = answer("rain", "piano"), answer("rain", "piano", "")
    torch.testing.assert_close(two, three[[0, 1, 3]], atol=1e-4, rtol=0)
    assert float(three[2].max()) == 0.0


def sounds(folder):
    """A corpus of two classes, four clips each."""
    t = np.arange(2 * RATE) / RATE
    rng = np.random.default_rng(0)
    clips = [
        Clip(np.sin(2 * np.pi * 110 * (k + 1) * t).astype(np.float32), ("a low tone",), "tone",
             "held" if k == 3 else ("prior", "evaluation_scorer")[k % 2], f"tone/{k}")
        for k in range(4)
    ] + [
        Clip(rng.normal(size=len(t)).astype(np.float32), ("noise",), "noise",
             "held" if k == 3 else ("prior", "evaluation_scorer")[k % 2], f"noise/{k}")
        for k in range(4)
    ] + [
        Clip(np.sign(np.sin(2 * np.pi * 50 * t)).astype(np.float32), ("low buzz",), "buzz",
             "held" if k == 3 else ("prior", "evaluation_scorer")[k % 2], f"buzz/{k}")
        for k in range(4)
    ]  # fmt: skip
    write_part(folder, "procedural", clips[:8])
    write_part(folder, "recordings", clips[4:])
    return folder


def a_batch(folder, guides):
    mixer = mixing.Mixer(
        Corpus(sounds(folder), training.TRAINED), frames=63 * HOP, real=1.0, kept=folder
    )
    return training.Batches(QueryNet(), guides, mixer, size=4, seed=0).draw(
        np.random.default_rng(0)
    )


def test_mixtures_have_the_shares_of_their_sources(tmp_path, guides):
    batch = a_batch(tmp_path, guides)
    levels = batch.heard.levels
    assert levels.shape == (4, 128, 64)
    assert batch.heard.guess.shape == batch.shares.shape
    assert batch.shares.shape == (4, 1 + batch.asked.shape[1], 128, 64)
    assert batch.heard.fit.shape == (4, batch.asked.shape[1], 12, 4)
    heard = levels > levels.min() + 1  # in silence no share is anybody's
    torch.testing.assert_close(batch.shares.sum(1)[heard], torch.ones(int(heard.sum())))
    torch.testing.assert_close(batch.weight.sum((1, 2)), torch.ones(4))
    assert float(batch.shares[:, :-1][~batch.there].max()) == 0.0
    assert bool((batch.asked | ~batch.there).all())  # whatever is there was asked for
    # the mixture's power is its product with itself, which is the sum over the sources
    torch.testing.assert_close(batch.cross.sum(1), batch.power, rtol=1e-3, atol=1e-6)


def test_the_losses_of_masks_that_know(tmp_path, guides):
    batch = a_batch(tmp_path, guides)

    class Says(torch.nn.Module):
        def forward(self, *heard):
            return (batch.shares + 1e-9).log(), torch.where(batch.there, 20.0, -20.0)

    class Guesses(torch.nn.Module):
        def forward(self, *heard):
            return batch.heard.guess, torch.zeros(batch.there.shape)

    known, guessed = training.losses(Says(), batch), training.losses(Guesses(), batch)
    entropy = -(batch.weight[:, None] * batch.shares * (batch.shares + 1e-9).log()).sum() / 4
    torch.testing.assert_close(known["entropy"], entropy)  # no shares have a lower one
    assert float(known["presence"]) < 1e-6
    assert float(guessed["presence"]) == pytest.approx(np.log(2))
    assert float(known["level"]) < float(guessed["level"])
    assert float(known["improved"]) > float(guessed["improved"])


def test_training_goes_on_where_it_stopped(tmp_path, monkeypatch):
    data, out = sounds(tmp_path / "data"), tmp_path / "run"
    monkeypatch.setattr(training, "CHECKED", 2)
    for steps in (1, 2):
        arguments = f"q --data {data} --out {out} --words {TRUNK} --batch 1 --times 1"
        arguments += f" --steps {steps}"
        monkeypatch.setattr("sys.argv", arguments.split())
        training.main()
        assert json.loads((out / "state.json").read_text()) == {"step": steps}
    found = load_query(out / "shipped")
    assert found is not None
    assert found.shares(noise(1, 1, 9000), RATE, ["noise"]).shape == (2, 1025, 18)


def test_a_broken_network_is_one_sentence(tmp_path):
    shutil.copy(FOLDER / "model.safetensors", tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    tensors["stem.bias"][:] = torch.inf
    save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(ModelUnavailable, match=r"numbers of stem\.bias are not finite"):
        load_query(tmp_path)
    tensors["stem.bias"] = torch.zeros(3)
    save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(ModelUnavailable, match=r"do not fit the network: stem\.bias is 3, not"):
        load_query(tmp_path)


def test_pairs_are_of_two_held_back_classes_at_0_db(tmp_path, monkeypatch):
    monkeypatch.setattr(pairs, "PAIRS", 4)
    held = Corpus(sounds(tmp_path), frozenset({"held"}))
    for mixture in pairs.pairs(held):
        a, b = mixture.sources
        assert mixture.prompts[0] != mixture.prompts[1]
        assert float(a.square().mean()) == pytest.approx(float(b.square().mean()), rel=1e-4)
        torch.testing.assert_close(a + b, mixture.audio)
        whole = pairs.apply_masks(mixture, torch.ones(1, *stft(a[None], N).shape[2:]))
        torch.testing.assert_close(whole[0], mixture.audio, atol=1e-5, rtol=0)


def test_sharpness_is_chosen_on_one_half_and_reported_on_the_other(tmp_path, monkeypatch):
    seen, shipped = {}, tmp_path / "shipped"
    for part in ("procedural", "recordings"):
        rng = np.random.default_rng(0)
        write_part(tmp_path, part, [
            Clip(rng.normal(size=2 * RATE).astype(np.float32), (f"{label} {k}",), label, "held",
                 f"{part}/{label}/{k}")
            for label in ("dog", "rain", "bell")
            for k in range(8)
        ])  # fmt: skip
    shipped.mkdir()
    save_file({"sharpness": torch.ones(())}, shipped / "model.safetensors")

    def said(mixtures):
        return {prompt for mixture in mixtures for prompt in mixture.prompts}

    class Network:
        net = SimpleNamespace(sharpness=torch.ones(()))

    monkeypatch.setattr(pairs, "PAIRS", 6)
    monkeypatch.setattr(pairs, "load_query", lambda folder: Network())
    monkeypatch.setattr(pairs, "sharpest", lambda q, m: seen.update(choose=said(m)) or 2.0)
    monkeypatch.setattr(pairs, "report", lambda q, m: seen.update(report=said(m)) or {})
    monkeypatch.setattr("sys.argv", f"p --data {tmp_path} --query {shipped} --sharpen".split())
    pairs.main()
    for half, prompts in seen.items():
        assert {half_of(prompt.split()[0], prompt) for prompt in prompts} == {half}
    assert len(seen) == 2
    assert float(load_file(shipped / "model.safetensors")["sharpness"]) == 2.0


def test_pairs_of_one_class_are_refused(tmp_path):
    held = Corpus(sounds(tmp_path), frozenset({"held"}), half="report")
    with pytest.raises(ValueError, match="must be recordings of 2 classes"):
        pairs.pairs(held)


def test_of_two_gaussian_noises_the_sharpness_chosen_is_wieners():
    # shares in the ratio of the spectra's densities are least in error (Wiener); the logits given
    # are half of that, so twice as sharp is best
    tilt = torch.linspace(-2, 2, N // 2 + 1)[:, None]  # log density: 17 dB either way
    fine = torch.linspace(-2, 2, 2 * RATE // 2 + 1)
    sources = [
        torch.fft.irfft(torch.fft.rfft(noise(2 * RATE, seed=k)) * (sign * fine / 2).exp())[None]
        for k, sign in enumerate((1, -1))
    ]
    mixture = Mixture("noises", ("high", "low"), sources[0] + sources[1], tuple(sources), RATE)

    class Knows:
        def shares(self, mid, rate, prompts):
            logits = torch.stack([tilt, -tilt, torch.full_like(tilt, -30)]) / 2
            return logits.softmax(0).expand(3, -1, mid.shape[-1] // (N // 4) + 1)

    assert pairs.sharpest(Knows(), [mixture]) == 2.0


def test_a_folder_without_weights_has_no_separator(tmp_path):
    assert load_query(tmp_path) is None


def test_two_sounds_it_never_heard_come_apart(shipped, demo):
    # 9 s at 0 dB, kept out of training; median filters that know the order: 6.4 dB
    assert pairs.improvement(demo, pairs.query_stems(shipped, demo)) > 7.5


def test_what_is_there_has_more_of_a_mixture_than_what_is_not(shipped, demo):
    power = stft(demo.audio[None], N).abs()[0, 0]
    absent = ("kick drum", "piano", "dog barking")
    masks = shipped.shares(demo.audio[None], demo.rate, [*demo.prompts, *absent])
    shares = (masks * power).sum((1, 2)) / power.sum()
    assert float(shares[:2].sum()) > 2 * float(shares[2:5].sum())
    assert float(shares[5]) < 0.1  # all there is has a name


def test_what_no_prompt_names_is_the_rests(shipped, demo):
    power = stft(demo.audio[None], N).abs()[0, 0]
    waves = stft(demo.sources[1][None], N).abs()[0, 0]
    rest = shipped.shares(demo.audio[None], demo.rate, ["saxophone"])[1]
    of_waves = float((rest * waves.square()).sum() / waves.square().sum())
    assert of_waves > float((rest * power.square()).sum() / power.square().sum())
    assert of_waves > 0.7


def test_windows_of_long_sounds_join_without_a_step(shipped):
    # where windows begin and end, answers change no more than they do elsewhere
    loop = noise(int(0.25 * RATE)).repeat(60)  # the same sound all along
    shares = shipped.shares(0.1 * loop[None, None], RATE, ["rain"])[0]
    steps = shares.diff(dim=1).abs().mean(0)
    windows = shipped.windows(len(loop), RATE)
    edges = sorted({edge - 1 for window in windows for edge in window} - {-1})
    edges = torch.tensor([edge for edge in edges if edge < len(steps)])
    elsewhere = steps.clone()
    elsewhere[edges] = 0
    assert len(edges) >= 2
    assert windows[0] == (0, WINDOW)
    assert float(steps[edges].max()) < float(elsewhere.max())


def test_the_evaluation_scorer_does_not_hear_through_the_trunk():
    import sds.similarity.two_tower as scorer

    assert "trunk" not in Path(scorer.__file__).read_text(encoding="utf-8").split('"""', 2)[2]
    assert sum(p.numel() for p in load_trunk().parameters()) == 4_684_224
