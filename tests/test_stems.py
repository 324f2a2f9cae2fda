"""Stem files: bytes a foreign reader accepts, names that travel, a null depth that is measured."""

import math
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from hypothesis import given
from hypothesis import strategies as st
from pedalboard.io import AudioFile

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


def test_foreign_readers_see_the_same_samples(tmp_path: Path) -> None:
    audio = noise(5000, 2) * 4  # beyond full scale: kept
    put(tmp_path / "a.wav", audio)
    heard, rate = sf.read(tmp_path / "a.wav", dtype="float32")
    assert rate == RATE
    np.testing.assert_array_equal(heard, audio)
    with AudioFile(str(tmp_path / "a.wav")) as file:
        np.testing.assert_array_equal(file.read(file.frames).T, audio)


def test_bext_layout_is_that_of_ebu_tech_3285(tmp_path: Path) -> None:
    put(tmp_path / "a.wav", noise(2000, 1))
    data = (tmp_path / "a.wav").read_bytes()
    assert data[:4] == b"RIFF"
    assert struct.unpack("<I", data[4:8])[0] == len(data) - 8
    assert data[12:16] == b"bext"  # before fmt
    size = struct.unpack("<I", data[16:20])[0]
    body = data[20 : 20 + size]
    assert size == 602 + len(BEXT.history) + len(BEXT.history) % 2
    assert body[:17] == b"prompt: saxophone"
    assert body[256:265] == b"Scorewire"
    assert body[288:299] == b"abcd1234/01"
    assert body[320:338] == b"\0" * 18  # no wall clock
    assert struct.unpack("<II", body[338:346]) == (5, 2)  # TimeReference 2**33 + 5
    assert struct.unpack("<H", body[346:348])[0] == 1
    assert data[20 + size : 24 + size] == b"fmt "


def test_header_round_trip(tmp_path: Path) -> None:
    put(tmp_path / "a.wav", noise(2345, 2))
    header = wav.read_header(tmp_path / "a.wav")
    assert (header.rate, header.channels, header.frames, header.bext) == (RATE, 2, 2345, BEXT)


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "PCM_32", "FLOAT"])
@pytest.mark.parametrize("kind", ["WAV", "WAVEX"])
def test_samples_agree_with_libsndfile(tmp_path: Path, subtype: str, kind: str) -> None:
    audio = np.clip(noise(wav.BLOCK_FRAMES + 77, 2), -1, 1)
    sf.write(tmp_path / "a.wav", audio, RATE, subtype=subtype, format=kind)
    expected = sf.read(tmp_path / "a.wav", dtype="float64")[0]
    blocks = list(wav.samples(wav.read_header(tmp_path / "a.wav")))
    assert [len(block) // 2 for block in blocks] == [wav.BLOCK_FRAMES, 77]
    np.testing.assert_array_equal(np.concatenate(blocks).reshape(-1, 2), expected)


def test_a_wrong_number_of_frames_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="10 frames are 40 bytes, got 80"):
        wav.write(
            tmp_path / "a.wav", [bytes(80)], rate=RATE, channels=1, frames=10, bext=wav.Bext()
        )


def test_more_than_four_gibibytes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at most 4294901760 bytes"):
        wav.write(tmp_path / "a.wav", [], rate=RATE, channels=8, frames=2**28, bext=wav.Bext())
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not a WAV"),
        (b"fLaC" + bytes(100), "not a WAV"),
        (b"RIFF\x04\0\0\0WAVE", "without a format"),
        (
            b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0"
            + struct.pack("<HHIIHH", 2, 1, 8000, 0, 0, 4)
            + b"data\0\0\0\0",
            "format 2, 4 bits",
        ),
    ],
)
def test_other_files_are_refused(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "a.wav").write_bytes(data)
    with pytest.raises(ValueError, match=message):
        wav.read_header(tmp_path / "a.wav")


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
