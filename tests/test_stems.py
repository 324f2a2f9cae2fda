"""Stem files: bytes a foreign reader accepts, names that travel, a null depth that is measured."""

import math
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from hypothesis import given
from hypothesis import strategies as st

from bridge import stems, wav

RATE = 48000
BEXT = wav.Bext(2**33 + 5, "prompt: saxophone", "abcd1234/01", "A=PCM,F=48000,W=32,M=stereo\r\n")


def noise(frames: int, channels: int, seed: int = 0) -> np.ndarray:
    generator = np.random.default_rng(seed)
    return (0.3 * generator.standard_normal((frames, channels))).astype("<f4")


def put(path: Path, audio: np.ndarray, bext: wav.Bext = BEXT) -> None:
    frames, channels = audio.shape
    blocks = [audio[:1000].tobytes(), audio[1000:].tobytes()]
    wav.write(path, blocks, rate=RATE, channels=channels, frames=frames, bext=bext)


@given(st.text(max_size=300))
def test_a_slug_is_a_plain_file_name(text: str) -> None:
    piece = stems.slug(text)
    assert piece.isascii()
    assert 1 <= len(piece) <= stems.MAX_SLUG + 5
    assert set(piece) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
    assert piece not in stems.RESERVED
    assert piece == piece.strip("-")


def test_longest_name_fits_every_file_system() -> None:
    assert len(stems.stem_name("s" * 300, 99, "p" * 300, "0" * 64)) <= 255


def stem_set(folder: Path, error: float = 0.0) -> Path:
    """Two stems + residual of a stereo source; `error` is added to the first stem."""
    source = noise(70000, 2)
    parts = [noise(70000, 2, seed) for seed in (1, 2)]
    residual = source - parts[0] - parts[1]
    parts[0] = (parts[0] + np.float32(error)).astype("<f4")
    sf.write(folder / "take.wav", source, RATE, subtype="FLOAT")
    for name, audio in zip(("a.wav", "b.wav", "r.wav"), (*parts, residual), strict=True):
        put(folder / name, np.ascontiguousarray(audio, "<f4"))
    manifest = stems.Manifest(
        job="0" * 16,
        source="take.wav",
        source_sha256=stems.sha256(folder / "take.wav"),
        source_wav="take.wav",
        rate=RATE,
        frames=70000,
        channels=2,
        stems=(
            stems.Stem(prompt="one", wav="a.wav", rms_db=-10.5),
            stems.Stem(prompt="two", wav="b.wav", rms_db=-10.5),
        ),
        residual="r.wav",
        residual_rms_db=-8.0,
        null_db=-150.0,
        method="masks",
        steps=1,
        seed=0,
        model="gaussian",
        model_hash="",
        code="0",
    )
    stems.save(manifest, folder / stems.MANIFEST)
    assert stems.load(folder / stems.MANIFEST) == manifest
    return folder / stems.MANIFEST


def test_a_true_set_nulls_to_float_precision(tmp_path: Path) -> None:
    assert -170 < stems.verify(stem_set(tmp_path)) < -140


def test_null_depth_is_the_power_of_the_error(tmp_path: Path) -> None:
    depth = stems.verify(stem_set(tmp_path, error=1e-3))
    assert depth == pytest.approx(10 * math.log10(1e-6 / 0.09), abs=0.1)


def test_null_depth_agrees_with_numpy(tmp_path: Path) -> None:
    path = stem_set(tmp_path, error=0.01)
    names = ("take.wav", "a.wav", "b.wav", "r.wav")
    x, *parts = (sf.read(tmp_path / name, dtype="float64")[0] for name in names)
    expected = 10 * math.log10(np.sum((x - sum(parts)) ** 2) / np.sum(x**2))
    assert stems.verify(path) == pytest.approx(expected, abs=1e-9)


def test_verify_names_the_missing_file(tmp_path: Path) -> None:
    path = stem_set(tmp_path)
    (tmp_path / "b.wav").unlink()
    with pytest.raises(ValueError, match=r"b\.wav, named in stems\.json, is not there"):
        stems.verify(path)


def test_verify_names_the_file_of_another_length(tmp_path: Path) -> None:
    path = stem_set(tmp_path)
    put(tmp_path / "r.wav", noise(69999, 2))
    with pytest.raises(ValueError, match=r"r\.wav has .* \(48000, 2, 69999\)"):
        stems.verify(path)


def test_verify_notices_a_changed_source(tmp_path: Path) -> None:
    path = stem_set(tmp_path)
    sf.write(tmp_path / "take.wav", noise(70000, 2, 9), RATE, subtype="FLOAT")
    with pytest.raises(ValueError, match="it has changed"):
        stems.verify(path)


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"format": 99}', "\udcff"])
def test_other_files_are_not_manifests(tmp_path: Path, text: str) -> None:
    (tmp_path / "stems.json").write_text(text, errors="surrogateescape")
    with pytest.raises(ValueError, match=r"stems\.json is not a stem manifest"):
        stems.load(tmp_path / "stems.json")
