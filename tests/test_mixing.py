"""Mixtures to learn from: what is asked, what is the rest, and what is done to a sound."""

import numpy as np
import pytest
import torch

from sds.datasets.clips import Clip, write_part
from sds.train import mixing
from sds.train import query as training
from sds.train.data import Corpus
from sds.train.mixing import PROMPTS, Mixer
from sds.train.sentence_table import sentence_table

RATE = 44100
FRAMES = RATE // 2


def corpus(folder, labels=("rain", "piano", "dog", "engine", "clock")):
    rng = np.random.default_rng(0)
    write_part(folder, "recordings", [
        Clip(rng.normal(size=RATE).astype(np.float32), (f"{label} {k}", label), label, "prior",
             f"recordings/{label}/{k}.ogg")
        for label in labels
        for k in range(3)
    ])  # fmt: skip
    return Corpus(folder, frozenset({"prior"}))


@pytest.fixture(scope="module")
def mixer(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mixing")
    return Mixer(corpus(folder), frames=FRAMES, real=1.0, kept=folder)


def test_what_has_no_prompt_is_in_the_rest(mixer):
    rng = np.random.default_rng(1)
    drawn = [mixer.draw(rng) for _ in range(40)]
    for mixed in drawn:
        power = mixed.sounds.square().mean(1)
        assert bool((power[:-1] > 0).eq(mixed.there).all())
        assert bool((mixed.asked | ~mixed.there).all())
        assert bool((mixed.text.norm(dim=1) > 0.9).eq(mixed.asked).all())
        assert 0.12 < float(mixed.sounds.sum(0).abs().max()) <= 0.5 + 1e-4
    counts = torch.stack([mixed.there.sum() for mixed in drawn])
    assert {1, 2, 3} <= set(counts.tolist())
    assert any(float(mixed.sounds[-1].abs().max()) > 0.05 for mixed in drawn)
    assert any(int((mixed.asked & ~mixed.there).sum()) for mixed in drawn)


def test_a_draw_is_of_its_seed(mixer):
    a, b = (mixer.draw(np.random.default_rng(5)) for _ in range(2))
    assert torch.equal(a.sounds, b.sounds)
    assert torch.equal(a.text, b.text)
    assert len(a.text) == PROMPTS


def test_a_corpus_of_one_class_ends_its_search_for_others(tmp_path):
    lone = Mixer(corpus(tmp_path, ("rain",)), frames=FRAMES, real=1.0)
    rng = np.random.default_rng(0)
    for mixed in [lone.draw(rng) for _ in range(5)]:
        assert bool(mixed.sounds.isfinite().all())


def test_the_table_of_sentences_is_kept_and_added_to(tmp_path):
    _, first = sentence_table(["rain", "a dog"], tmp_path)
    place, table = sentence_table(["a dog", "piano"], tmp_path)
    assert len(table) == len(place) > len(first)
    assert torch.equal(table[: len(first)], first)
    again, same = sentence_table(["a dog", "piano"], tmp_path)
    assert again == place
    assert torch.equal(same, table)


def test_an_equaliser_changes_no_octave_by_more_than_6_db():
    impulse = torch.zeros(4096)
    impulse[0] = 1.0
    for seed in range(5):
        changed = mixing._equalised(impulse, np.random.default_rng(seed))
        gain = 20 * torch.fft.rfft(changed).abs().log10()
        assert float(gain.abs().max()) <= 6.01
        assert float(gain.std()) > 0.5


def test_a_room_begins_with_the_sound_itself():
    audio = torch.randn(2000, generator=torch.Generator().manual_seed(0))
    rooms = mixing._rooms(np.random.default_rng(0))
    assert len(rooms) == mixing.ROOMS
    for room in rooms[:4]:
        assert float(room[0]) == 1.0
        heard = mixing._convolved(audio, room)
        direct = np.convolve(audio.numpy(), room.numpy())[: len(audio)]
        np.testing.assert_allclose(heard.numpy(), direct, atol=1e-3)


def test_a_batch_comes_as_often_as_said():
    rng = np.random.default_rng(0)
    seen = [*training.again(range(100), 2, rng)]
    counts = np.bincount(seen, minlength=100)
    assert counts.max() == 2
    assert counts.sum() == len(seen) >= 200 - training.WAITING - 1
