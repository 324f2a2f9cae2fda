"""Stem files: bytes a foreign reader accepts, names that travel, a null depth that is measured."""

import importlib.util
import itertools
import json
import math
import re
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf
from hypothesis import given
from hypothesis import strategies as st

from bridge.files import wav
from bridge.files.names import MAX_SLUG, ZERO_WIDTH_JOINER, sha256, slug
from bridge.stems import levels, null_test, null_test_numpy
from bridge.stems import manifest as stems
from presets.library.names import RESERVED

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
    piece = slug(text)
    assert 1 <= len(piece.encode()) <= MAX_SLUG
    assert not set(piece) & set('/\\:*?"<>|. _\0')
    assert piece not in RESERVED
    assert piece == piece.strip("-") == slug(piece)


def test_longest_name_fits_every_file_system() -> None:
    for letter in ("s", "ß", "音", "👩"):  # 1 to 4 bytes; 14 are for what a partial file adds
        file = stems.stem_name(letter * 300, 99, letter * 300, "0" * 64)
        assert len(file.encode()) <= 255 - 14


PLAIN = {
    "job": "0" * 16, "source": "take.wav", "source_sha256": "", "source_wav": "take.wav",
    "rate": 48000, "frames": 96000, "channels": 2, "residual": "r.wav", "residual_rms_db": -9.0,
    "null_db": -150.0, "method": "masks", "steps": 1, "seed": 0, "model": "m", "model_hash": "",
    "code": "0", "stems": [{"prompt": "kick", "wav": "k.wav", "rms_db": -20.0}] * 9,
}  # fmt: skip
"""A manifest of format 1 as the first release wrote it."""


def test_a_manifest_of_the_first_release_loads(tmp_path: Path) -> None:
    (tmp_path / "stems.json").write_text(json.dumps(PLAIN))
    old = stems.load(tmp_path / "stems.json")
    assert (old.start_samples, old.start_beats, old.tempo, old.negatives) == (0, None, (), ())
    assert [stem.name for stem in old.stems[:3]] == ["kick", "kick 2", "kick 3"]
    colours = [stem.colour for stem in old.stems]
    assert len(set(colours[:8])) == 8
    assert colours[8] == colours[0]
    assert (old.stems[0].gain_db, old.stems[0].presence, old.stems[0].activity) == (0, None, ())


def test_the_start_is_told_in_beats_of_the_sessions_tempo() -> None:
    """4 beats at 120 and 1 at 60: 3 seconds."""
    start = {"start_samples": 3 * 48000, "tempo": [[0, 120], [4, 60]]}
    assert stems.Manifest.model_validate(PLAIN | start).start_beats == 5.0
    again = PLAIN | start | {"start_beats": 17.25}  # what a host said is kept
    assert stems.Manifest.model_validate(again).start_beats == 17.25


@pytest.mark.parametrize(
    "wrong",
    [
        {"tempo": [[0, 0]]},
        {"tempo": [[4, 120], [0, 60]]},
        {"rate": 0, "tempo": [[0, 120]]},
        {"start_samples": -1},
        {"stems": [{"prompt": "x", "wav": "x.wav", "rms_db": 0, "colour": "red"}]},
        {"stems": [{"prompt": "x", "wav": "x.wav", "rms_db": 0, "presence": 1.5}]},
        {"stems": [{"prompt": "x", "wav": "x.wav", "rms_db": 0, "activity": [0.5, -0.1]}]},
    ],
)
def test_a_manifest_that_makes_no_sense_is_refused(tmp_path: Path, wrong: dict[str, Any]) -> None:
    (tmp_path / "stems.json").write_text(json.dumps(PLAIN | wrong))
    with pytest.raises(ValueError, match=r"stems\.json is not a stem manifest: \w+"):
        stems.load(tmp_path / "stems.json")


@given(st.lists(st.text(max_size=300), min_size=1, max_size=9))
def test_display_names_are_one_line_each_and_no_two_alike(texts: list[str]) -> None:
    names = stems.display_names(texts)
    assert len(set(names)) == len(texts)
    assert stems.display_names(names) == names
    assert all(name.strip() == name and 1 <= len(name) <= 103 for name in names)
    assert all(c.isprintable() or c == ZERO_WIDTH_JOINER for name in names for c in name)


HOSTILE = (
    "../../etc/passwd", "CON", "con.txt", "LPT1:", "a" * 300, "trailing dots...", " .hidden ",
    "nul\0byte", "line\nbreak", "C:\\Users", "👩‍🎤🎷", "саксофон", "\u202egnp.exe", "a/b|c?d*e<f>g",
    "COM¹", "-rf", "~root", "$(reboot)", "%PATH%",
)  # fmt: skip


def test_hostile_prompts_give_plain_file_names_no_two_alike() -> None:
    files = [stems.stem_name(p, n, p, "0" * 64) for n, p in enumerate(HOSTILE, start=1)]
    assert len({file.lower() for file in files}) == len(HOSTILE)
    for file in files:
        assert re.fullmatch(r"[^\W_A-Z-][^\W_A-Z]*(-[^\W_A-Z]+)*__\d\d_[\w-]+__0{8}\.wav", file)
        assert file.partition("__")[0] not in RESERVED
        assert len(file.encode()) <= 255


def hues(colour: str) -> np.ndarray:
    """Linear RGB of "#rrggbb"."""
    srgb = np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)]) / 255
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def lab(linear: np.ndarray) -> np.ndarray:
    """CIE L*a*b* under D65."""
    to_xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    xyz = np.array(to_xyz) @ np.clip(linear, 0, 1) / [0.95047, 1, 1.08883]
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


# Machado, Oliveira and Fernandes (2009): what is left of RGB for people without one kind of cone.
SEEN = {
    "all": np.eye(3),
    "protan": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deutan": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritan": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


@pytest.mark.parametrize("eyes", SEEN)
def test_colours_are_told_apart_by_any_eyes(eyes: str) -> None:
    """A difference of 2.3 in CIE L*a*b* is just noticed; the nearest two of ours are beyond it."""
    seen = [lab(np.array(SEEN[eyes]) @ hues(c)) for c in (*stems.PALETTE, stems.GREY)]
    apart = [float(np.linalg.norm(a - b)) for a, b in itertools.combinations(seen, 2)]
    assert min(apart) > 2 * 2.3


def stem_set(
    folder: Path, *, error: float = 0.0, gains: tuple[float, float] = (0.0, 0.0),
    subtype: str = "FLOAT", frames: int = 70000, **fields: Any,
) -> Path:  # fmt: skip
    """Two stems + residual of a stereo source; `error` is added to the first stem's file.

    The stems null once their `gains` in dB are applied.
    """
    source = noise(frames, 2)
    sf.write(folder / "take.wav", source, RATE, subtype=subtype)
    source = sf.read(folder / "take.wav", dtype="float32")[0]
    parts = [noise(frames, 2, seed) for seed in (1, 2)]
    heard = [part * np.float32(10 ** (g / 20)) for part, g in zip(parts, gains, strict=True)]
    residual = source - heard[0] - heard[1]
    parts[0] = (parts[0] + np.float32(error)).astype("<f4")
    for name, audio in zip(("a.wav", "b.wav", "r.wav"), (*parts, residual), strict=True):
        put(folder / name, np.ascontiguousarray(audio, "<f4"))
    listed = [
        {"prompt": prompt, "wav": name, "rms_db": -10.5, "gain_db": gain}
        for prompt, name, gain in zip(("one", "two"), ("a.wav", "b.wav"), gains, strict=True)
    ]
    about = {
        "frames": frames, "stems": listed, "start_samples": BEXT.time_reference,
        "source_sha256": sha256(folder / "take.wav"),
    }  # fmt: skip
    manifest = stems.Manifest.model_validate(PLAIN | about | fields)
    stems.save(manifest, folder / stems.MANIFEST)
    assert stems.load(folder / stems.MANIFEST) == manifest
    return folder / stems.MANIFEST


def test_a_true_set_nulls_to_float_precision(tmp_path: Path) -> None:
    found = null_test.add_up(stem_set(tmp_path))
    assert -170 < found.double_db < -140
    assert -170 < found.float_db < -140
    assert null_test.verify(tmp_path / "stems.json") == found.double_db


def test_null_depth_is_the_power_of_the_error(tmp_path: Path) -> None:
    depth = null_test.verify(stem_set(tmp_path, error=1e-3))
    assert depth == pytest.approx(10 * math.log10(1e-6 / 0.09), abs=0.1)


def test_null_depth_agrees_with_numpy(tmp_path: Path) -> None:
    path = stem_set(tmp_path, error=0.01)
    names = ("take.wav", "a.wav", "b.wav", "r.wav")
    x, *parts = (sf.read(tmp_path / name, dtype="float64")[0] for name in names)
    expected = 10 * math.log10(np.sum((x - sum(parts)) ** 2) / np.sum(x**2))
    assert null_test.verify(path) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_never_said_to_add_up(tmp_path: Path, value: float) -> None:
    path = stem_set(tmp_path, frames=100, error=value)
    for add_up in (null_test.add_up, null_test.add_up_fast):
        with pytest.raises(ValueError, match="must be finite numbers"):
            add_up(path)


def test_gains_are_applied_before_adding(tmp_path: Path) -> None:
    path = stem_set(tmp_path, gains=(-6.0, 3.5))
    assert null_test.verify(path) < -130
    manifest = stems.load(path)
    loud = [stem.model_copy(update={"gain_db": 0.0}) for stem in manifest.stems]
    stems.save(manifest.model_copy(update={"stems": tuple(loud)}), path)
    assert null_test.verify(path) > -20


def test_a_bus_of_float32_rounds_every_sum(tmp_path: Path) -> None:
    """1 + 2**-25 + 2**-25 - 1 is 0 when each sum is rounded to 24 bits, else 2**-24."""
    for name, value in (("a.wav", 1.0), ("b.wav", 2.0**-25), ("c.wav", 2.0**-25), ("r.wav", -1.0)):
        put(tmp_path / name, np.full((100, 2), value, "<f4"))
    sf.write(tmp_path / "take.wav", np.full((100, 2), 2.0**-24), RATE, subtype="FLOAT")
    listed = [{"prompt": n, "wav": f"{n}.wav", "rms_db": 0.0} for n in ("a", "b", "c")]
    about = {
        "frames": 100, "stems": listed, "start_samples": BEXT.time_reference,
        "source_sha256": sha256(tmp_path / "take.wav"),
    }  # fmt: skip
    stems.save(stems.Manifest.model_validate(PLAIN | about), tmp_path / "stems.json")
    found = null_test.add_up(tmp_path / "stems.json")
    assert (found.double_db, found.float_db) == (levels.NULL_FLOOR_DB, 0.0)
    assert null_test.add_up_fast(tmp_path / "stems.json") == found


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "PCM_32", "FLOAT"])
def test_the_fast_way_finds_what_the_slow_way_finds(tmp_path: Path, subtype: str) -> None:
    path = stem_set(tmp_path, error=1e-5, gains=(-1.5, 0.0), subtype=subtype)
    slow, fast = null_test.add_up(path), null_test_numpy.add_up(path)
    assert fast.double_db == pytest.approx(slow.double_db, abs=1e-6)
    assert fast.float_db == pytest.approx(slow.float_db, abs=1e-6)


def test_the_child_says_the_sentence_of_the_slow_way(tmp_path: Path) -> None:
    path = stem_set(tmp_path, frames=100)
    assert null_test.add_up_fast(path) == null_test_numpy.add_up(path)
    (tmp_path / "b.wav").unlink()
    with pytest.raises(ValueError, match=r"^b\.wav, named in stems\.json, is not there$"):
        null_test.add_up_fast(path)


def test_without_numpy_it_is_added_up_here(tmp_path: Path, monkeypatch: Any) -> None:
    path = stem_set(tmp_path, frames=100)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(subprocess, "run", None)
    assert null_test.add_up_fast(path) == null_test.add_up(path)


def test_verify_names_the_missing_file(tmp_path: Path) -> None:
    path = stem_set(tmp_path)
    (tmp_path / "b.wav").unlink()
    with pytest.raises(ValueError, match=r"b\.wav, named in stems\.json, is not there"):
        null_test.verify(path)


def test_verify_names_the_file_of_another_length(tmp_path: Path) -> None:
    path = stem_set(tmp_path)
    put(tmp_path / "r.wav", noise(69999, 2))
    with pytest.raises(ValueError, match=r"r\.wav has .* \(48000, 2, 69999\)"):
        null_test.verify(path)


def test_verify_names_the_file_that_a_host_would_put_elsewhere(tmp_path: Path) -> None:
    path = stem_set(tmp_path)
    put(tmp_path / "a.wav", noise(70000, 2), bext=wav.Bext(7))
    with pytest.raises(ValueError, match=r"a\.wav begins at sample 7 by its bext, the manifest"):
        null_test.verify(path)


def test_verify_notices_a_changed_source(tmp_path: Path) -> None:
    path = stem_set(tmp_path)
    sf.write(tmp_path / "take.wav", noise(70000, 2, 9), RATE, subtype="FLOAT")
    with pytest.raises(ValueError, match="it has changed"):
        null_test.verify(path)


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"format": 99}', "\udcff"])
def test_other_files_are_not_manifests(tmp_path: Path, text: str) -> None:
    (tmp_path / "stems.json").write_text(text, errors="surrogateescape")
    with pytest.raises(ValueError, match=r"stems\.json is not a stem manifest"):
        stems.load(tmp_path / "stems.json")
