"""The tagger: states and answers that do not hang on batches, and what it is trained towards."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from sds.datasets.captions import PHRASES
from sds.datasets.clips import Clip as Made
from sds.datasets.clips import write_part
from sds.datasets.related import may_be
from sds.detection.band_frames import FRAME, GROUPS, RATE, WIDTH, band_frames
from sds.detection.tagger import CLASSES, DIM, FOLDER, TaggerNet, load_tagger
from sds.priors.checkpoints import ModelUnavailable
from sds.similarity.trunk import load_trunk
from sds.train.data import Corpus
from sds.train.tagged_mixtures import MOST, SILENT_DB, Mixer, levels, place
from sds.train.tagger import Features, Prompts, Sound, loss, ridge, targets


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    return TaggerNet().eval()


@pytest.fixture(scope="module")
def features(tmp_path_factory):
    """Three mixtures of two frames: a dog; rain, faint in the second frame; a guitar."""
    folder = tmp_path_factory.mktemp("features")
    level = torch.full((3, MOST, 2), SILENT_DB - 20)
    level[0, 0], level[1, 0], level[2, 0] = 0.0, torch.tensor([0.0, -25.0]), 0.0
    frames = torch.rand(3, 2, GROUPS, WIDTH)
    save_file({"frames": frames.half(), "levels": level.half()}, folder / "shard-000.safetensors")
    rows = [
        '[{"label": "dog", "captions": ["dog barking"]}]',
        '[{"label": "rain", "captions": ["rain on a roof", "rain"]}]',
        '[{"label": "guitar", "captions": ["guitar", "clean electric guitar"]}]',
    ]
    (folder / "shard-000.jsonl").write_text("\n".join(rows) + "\n")
    return Features(folder)


def asked(features, *texts):
    labels = {"dog barking": "dog", "rain": "rain", "electric motor": "motor"}
    return Prompts(
        torch.tensor([features.row[text] for text in texts]),
        tuple(labels.get(text, "guitar") for text in texts),
    )


def test_frames_are_of_so_many_samples_and_do_not_hang_on_the_level():
    audio = torch.randn(1, 5 * FRAME + 77, generator=torch.Generator().manual_seed(0))
    found = band_frames(load_trunk(), audio)
    assert found.shape == (1, 5, GROUPS, WIDTH)
    torch.testing.assert_close(band_frames(load_trunk(), 0.01 * audio), found, rtol=0, atol=1e-4)


def test_an_answer_does_not_hang_on_what_else_is_asked_or_heard(net):
    frames, words = torch.rand(2, 7, GROUPS, WIDTH), torch.randn(5, 384)
    there = torch.ones(2, 7, dtype=torch.bool)
    there[0, 4:] = False
    told, at_once = net(net.hear(frames, there), there, net.read(words))
    assert told.shape == (2, 5)
    assert at_once.shape == (2, 5, 7)
    alone, short = there[:1, :4], net.hear(frames[:1, :4], there[:1, :4])
    assert short.shape == (1, 4, DIM)
    lone, seconds = net(short, alone, net.read(words[2:3]))
    torch.testing.assert_close(lone[0, 0], told[0, 2], rtol=0, atol=1e-4)
    torch.testing.assert_close(seconds[0, 0], at_once[0, 2, :4], rtol=0, atol=1e-4)


def test_the_tagger_takes_three_megabytes_at_most(net):
    assert sum(value.numel() for value in net.state_dict().values()) * 2 <= 3e6


def test_broken_weights_are_one_sentence(tmp_path):
    tensors = load_file(FOLDER / "model.safetensors")
    path = tmp_path / "model.safetensors"
    tensors["say.bias"] = torch.full((1,), torch.nan).half()
    save_file(tensors, path)
    with pytest.raises(ModelUnavailable, match=r"1 of the 1 numbers of say\.bias are not finite"):
        load_tagger(tmp_path)
    del tensors["say.bias"]
    save_file(tensors, path)
    with pytest.raises(ModelUnavailable, match=r"say\.bias is missing"):
        load_tagger(tmp_path)


def test_what_is_learned_is_what_sounds_and_not_what_may(features):
    prompts = asked(features, "dog barking", "rain", "guitar", "guitar playing", "electric motor")
    found = targets(features, features.sounds, features.levels.float(), prompts)
    # "guitar playing" says nearly what "guitar" does, so it is there too, or does not count
    assert found.there[:, :3].tolist() == torch.eye(3).tolist()
    assert found.there[:, 4].tolist() == [0, 0, 0]
    assert found.counted[:2].tolist() == [[1] * 5] * 2
    assert found.counted[2, 3] == found.there[2, 3]


def test_frames_in_which_a_sound_is_faint_do_not_count(features):
    prompts = asked(features, "rain", "dog barking")
    found = targets(features, features.sounds[1:2], features.levels[1:2].float(), prompts)
    assert found.active[0].tolist() == [[1, 0], [0, 0]]
    assert found.frames_counted[0].tolist() == [[1, 0], [1, 1]]


def test_a_sound_that_is_never_loud_is_neither_there_nor_absent(features):
    prompts = asked(features, "rain")
    faint = features.levels[1:2].float() - 25
    found = targets(features, [[Sound("rain", (features.row["rain"],), 0)]], faint, prompts)
    assert found.counted.tolist() == [[0]]


def test_a_step_lowers_the_loss(features):
    torch.manual_seed(0)
    net = TaggerNet()
    prompts = asked(features, "dog barking", "rain", "guitar", "electric motor")
    right = targets(features, features.sounds, features.levels.float(), prompts)
    words = features.vectors[prompts.rows]
    optimizer = torch.optim.Adam(net.parameters(), 1e-3)
    errors = []
    for _ in range(4):
        error = loss(net, features.frames.float(), words, right)
        optimizer.zero_grad()
        torch.autograd.backward([error])
        optimizer.step()
        errors.append(error.item())
    assert errors[-1] < 0.8 * errors[0]


def test_ridge_finds_the_weights_and_a_penalty_shrinks_them():
    x = torch.randn(500, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    weights = torch.tensor([[1.0], [-2.0], [0.5]], dtype=torch.float64)
    assert torch.allclose(ridge(x, x @ weights, 1e-9), weights)
    assert float(ridge(x, x @ weights, 500.0).norm()) < 0.6 * float(weights.norm())


def test_what_speaks_for_a_class_does_not_hang_on_frames_that_are_not_there(net):
    frames = torch.rand(1, 7, GROUPS, WIDTH)
    there = torch.arange(7)[None] < 4
    short = net.classify(frames[:, :4], there[:, :4])
    torch.testing.assert_close(net.classify(frames, there), short, rtol=0, atol=1e-4)
    assert short.shape == (1, CLASSES)
    assert len(PHRASES) == CLASSES


def test_levels_are_those_against_the_mixture():
    one, other = torch.ones(2 * FRAME), torch.ones(2 * FRAME)
    other[:FRAME] = 0.0
    found = levels(torch.stack([one, other]), one + other)
    assert found[0].tolist() == pytest.approx([0.0, -6.02], abs=0.01)
    assert found[1].tolist() == pytest.approx([SILENT_DB, -6.02], abs=0.01)
    assert float(found[2:].max()) < SILENT_DB


def test_a_short_sound_is_somewhere_and_a_long_one_is_cut():
    rng = np.random.default_rng(0)
    for _ in range(8):
        found = place(torch.ones(50), 1000, rng)
        assert found.shape == (1000,)
        assert float(found.sum()) >= 50
    assert torch.equal(place(torch.ones(1500), 1000, rng), torch.ones(1000))


def test_a_mixture_has_different_classes_and_a_level_for_each(tmp_path):
    tone = np.sin(np.arange(RATE) * 0.05).astype(np.float32)
    clips = [
        Made(tone, (label,), label, "prior", label) for label in ("dog", "rain", "bell", "car")
    ]
    write_part(tmp_path, "recordings", clips)
    mixer = Mixer(Corpus(tmp_path, frozenset({"prior"})))
    for seed in range(4):
        audio, table, chosen = mixer.mixture(np.random.default_rng(seed))
        assert torch.isfinite(audio).all()
        assert len({clip.label for clip in chosen}) == len(chosen) <= MOST
        assert (table.amax(1) > SILENT_DB).tolist() == [i < len(chosen) for i in range(MOST)]


def test_classes_may_be_each_other_either_way():
    assert may_be("kick", "drum loop")
    assert may_be("drum loop", "kick")
    assert not may_be("guitar", "piano")
    assert all(may_be(label, label) for label in PHRASES)
