"""Copies of a passage are found wherever they begin, at any level; other music is not."""

import json

import pytest
import torch
from safetensors.torch import save_file

from sds.metrics.passages import (
    APART,
    DIM,
    LENGTH,
    nearest_passage,
    passage_vectors,
    read_passages,
)
from sds.train.corpus.passages import FILE, main

RATE = 32000


def music(seed, seconds=12):
    """Notes of random pitch and length: tones that die away."""
    generator = torch.Generator().manual_seed(seed)
    x, place = torch.zeros(seconds * RATE), 0
    while place < len(x) - RATE:
        seconds_on, key, level = torch.rand(3, generator=generator).tolist()
        time = torch.arange(RATE) / RATE
        hz = 80 * 2 ** (4 * key)
        x[place : place + RATE] += (
            (0.2 + level) * torch.exp(-4 * time) * torch.sin(2 * torch.pi * hz * time)
        )
        place += round((0.1 + 0.4 * seconds_on) * RATE)
    return x


def test_passages_are_unit_vectors_a_frame_apart():
    x = music(0)
    vectors = passage_vectors(x, RATE)
    frames = (len(x) // 512 + 1) // 8
    assert vectors.shape == (frames - LENGTH + 1, DIM)
    assert torch.allclose(vectors.norm(dim=1), torch.ones(len(vectors)), atol=1e-5)
    assert len(passage_vectors(x, RATE, APART)) == -(-len(vectors) // APART)


def test_a_copy_is_found_and_other_music_is_not():
    songs = [music(seed) for seed in range(3)]
    training = torch.cat([passage_vectors(song, RATE, APART) for song in songs]).half()
    copy = 0.1 * songs[1][round(3.21 * RATE) : round(9.21 * RATE)]
    assert nearest_passage(passage_vectors(copy, RATE), training) > 0.85
    assert nearest_passage(passage_vectors(music(7), RATE), training) < 0.65


def test_silence_and_what_is_too_short_have_no_passages():
    assert passage_vectors(torch.zeros(5 * RATE), RATE).shape == (0, DIM)
    assert passage_vectors(music(0)[: 2 * RATE], RATE).shape == (0, DIM)
    assert nearest_passage(torch.zeros(0, DIM), torch.zeros(3, DIM)) == 0.0


def test_files_are_read_and_others_refused(tmp_path):
    vectors = passage_vectors(music(0), RATE, APART)
    save_file({"vectors": vectors, "held": torch.tensor([0.4, 0.5])}, tmp_path / "p.safetensors")
    found = read_passages(tmp_path / "p.safetensors")
    assert torch.equal(found.vectors, vectors)
    assert found.held.tolist() == pytest.approx([0.4, 0.5])
    save_file({"vectors": vectors}, tmp_path / "q.safetensors")
    with pytest.raises(ValueError, match=f"q.safetensors must hold vectors .N, {DIM}. and held"):
        read_passages(tmp_path / "q.safetensors")


def test_training_passages_are_of_songs_that_were_trained_on(tmp_path):
    rows = []
    for number, split in enumerate(("train", "held", "train")):
        stems = torch.zeros(4, 12 * RATE)
        stems[2] = 0.5 * music(number)
        samples = (stems.clamp(-1, 1) * 32767).short().numpy()
        samples.astype("<i2").tofile(tmp_path / f"{number}.i16")
        rows.append({"file": f"{number}.i16", "frames": 12 * RATE, "split": split})
    (tmp_path / "songs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert main(["--songs", str(tmp_path), "--out", str(tmp_path)]) == 0
    found = read_passages(tmp_path / FILE)
    assert len(found.vectors) == 2 * len(passage_vectors(music(0), RATE, APART))
    assert len(found.held) == 1
    assert nearest_passage(passage_vectors(music(2), RATE), found.vectors) > 0.95


def test_a_folder_without_songs_is_refused(tmp_path, caplog):
    assert main(["--songs", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    assert "must be a folder of rendered songs" in caplog.text
