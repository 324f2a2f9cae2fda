"""WAV files: bytes that foreign readers accept, RF64 above 4 GiB, a header that a crash leaves."""

import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from pedalboard.io import AudioFile

from bridge.files import wav

RATE = 48000
BEXT = wav.Bext(2**33 + 5, "prompt: saxophone", "abcd1234/01", "A=PCM,F=48000,W=32,M=stereo\r\n")
IXML = "<BWFXML><NOTE>odd</NOTE></BWFXML>"
RF64_AT = 2000  # bytes, instead of 4 GiB


def noise(frames: int, channels: int, seed: int = 0) -> np.ndarray:
    generator = np.random.default_rng(seed)
    return (0.3 * generator.standard_normal((frames, channels))).astype("<f4")


def put(path: Path, audio: np.ndarray, bext: wav.Bext = BEXT, ixml: str = "") -> None:
    frames, channels = audio.shape
    blocks = [audio[:1000].tobytes(), memoryview(np.ascontiguousarray(audio[1000:]))]
    wav.write(path, blocks, rate=RATE, channels=channels, frames=frames, bext=bext, ixml=ixml)


def chunks(path: Path) -> list[tuple[bytes, int]]:
    """Names and size fields in file order, by the letter of RIFF."""
    data, at, found = path.read_bytes(), 12, []
    while at + 8 <= len(data):
        size = struct.unpack("<I", data[at + 4 : at + 8])[0]
        found.append((data[at : at + 4], size))
        at += 8 + size + size % 2
    return found


def decoded(path: Path) -> np.ndarray:
    header = wav.read_header(path)
    return np.concatenate(list(wav.samples(header))).reshape(-1, header.channels)


@pytest.fixture
def small_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wav, "MAX_RIFF", RF64_AT)


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


def test_a_file_of_less_than_four_gibibytes_has_no_chunk_to_spare(tmp_path: Path) -> None:
    put(tmp_path / "a.wav", noise(2000, 2), ixml=IXML)
    assert [name for name, _ in chunks(tmp_path / "a.wav")] == [
        b"bext", b"iXML", b"fmt ", b"fact", b"data",
    ]  # fmt: skip
    assert wav.read_header(tmp_path / "a.wav").ixml == IXML  # of an odd length, padded


@pytest.mark.usefixtures("small_limit")
def test_rf64_layout_is_that_of_ebu_tech_3306(tmp_path: Path) -> None:
    put(tmp_path / "a.wav", noise(2000, 2))
    data = (tmp_path / "a.wav").read_bytes()
    assert data[:4] == b"RF64"
    assert data[4:8] == b"\xff" * 4
    assert data[12:20] == b"ds64" + struct.pack("<I", 28)
    assert struct.unpack("<QQQI", data[20:48]) == (len(data) - 8, 16000, 2000, 0)
    names = chunks(tmp_path / "a.wav")
    assert [name for name, _ in names] == [b"ds64", b"bext", b"fmt ", b"fact", b"data"]
    assert names[-1][1] == 0xFFFFFFFF


@pytest.mark.usefixtures("small_limit")
def test_libsndfile_and_juce_read_our_rf64(tmp_path: Path) -> None:
    audio = noise(5000, 2)
    put(tmp_path / "a.wav", audio, ixml=IXML)
    assert sf.info(tmp_path / "a.wav").format == "RF64"
    np.testing.assert_array_equal(sf.read(tmp_path / "a.wav", dtype="float32")[0], audio)
    with AudioFile(str(tmp_path / "a.wav")) as file:
        np.testing.assert_array_equal(file.read(file.frames).T, audio)
    header = wav.read_header(tmp_path / "a.wav")
    assert (header.frames, header.bext, header.ixml) == (5000, BEXT, IXML)
    np.testing.assert_array_equal(decoded(tmp_path / "a.wav"), audio)


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT"])
def test_we_read_the_rf64_of_libsndfile(tmp_path: Path, subtype: str) -> None:
    audio = np.clip(noise(5000, 2), -1, 1)
    sf.write(tmp_path / "a.wav", audio, RATE, subtype=subtype, format="RF64")
    expected = sf.read(tmp_path / "a.wav", dtype="float64")[0]
    np.testing.assert_array_equal(decoded(tmp_path / "a.wav"), expected)


def test_a_file_beyond_four_gibibytes_is_an_rf64_that_libsndfile_reads(tmp_path: Path) -> None:
    """A hole of the file system stands for 4.8 GB of silence; only the ends are written."""
    path, frames = tmp_path / "a.wav", 2**29 + 2**26
    end = noise(1000, 2)
    writer = wav.Writer(path, rate=RATE, channels=2, frames=frames, bext=BEXT)
    hole = (frames - 1000) * 8
    writer._file.seek(hole, 1)
    writer._written += hole
    with writer:
        writer.write(end.tobytes())
    assert path.stat().st_blocks * 512 < 2**20  # a hole, not a full disk
    assert wav.read_header(path).frames == frames
    with sf.SoundFile(path) as file:
        assert (file.format, file.frames) == ("RF64", frames)
        file.seek(frames - 1000)
        np.testing.assert_array_equal(file.read(dtype="float32"), end)


def test_a_long_data_chunk_does_not_hide_what_follows(tmp_path: Path) -> None:
    """libsndfile puts other chunks behind the samples: ours are found there too."""
    put(tmp_path / "a.wav", noise(2000, 2))
    data = (tmp_path / "a.wav").read_bytes()
    bext = data[12 : data.index(b"fmt ")]
    moved = data[:12] + data[data.index(b"fmt ") :] + bext
    (tmp_path / "b.wav").write_bytes(moved)
    assert wav.read_header(tmp_path / "b.wav").bext == BEXT


def test_a_crash_leaves_what_was_flushed(tmp_path: Path) -> None:
    audio = noise(3000, 2)
    writer = wav.Writer(tmp_path / "a.wav", rate=RATE, channels=2, frames=None, bext=BEXT)
    writer.write(audio[:2000].tobytes())
    writer.flush()
    writer.write(audio[2000:].tobytes())
    heard = sf.read(tmp_path / "a.wav", dtype="float32")[0]  # no close yet: as after a crash
    np.testing.assert_array_equal(heard, audio[:2000])
    assert wav.read_header(tmp_path / "a.wav").frames == 2000
    with writer:
        pass
    np.testing.assert_array_equal(sf.read(tmp_path / "a.wav", dtype="float32")[0], audio)


@pytest.mark.usefixtures("small_limit")
def test_a_recording_that_grows_past_the_limit_becomes_rf64_in_place(tmp_path: Path) -> None:
    audio, path = noise(3000, 2), tmp_path / "a.wav"
    with wav.Writer(path, rate=RATE, channels=2, frames=None, bext=BEXT) as writer:
        writer.write(audio[:100].tobytes())
        writer.flush()
        assert sf.info(path).format == "WAV"
        assert chunks(path)[0] == (b"JUNK", 28)
        writer.write(audio[100:].tobytes())
    assert sf.info(path).format == "RF64"
    np.testing.assert_array_equal(sf.read(path, dtype="float32")[0], audio)


@pytest.mark.parametrize(("channels", "at"), [(0, 0), (2**14, 0), (1, -1), (1, 2**64)])
def test_what_no_header_holds_is_refused_before_a_file_is_made(
    tmp_path: Path, channels: int, at: int
) -> None:
    with pytest.raises(ValueError, match=r"range 1\.\.16383|0\.\.2\*\*64-1"):
        wav.Writer(tmp_path / "a.wav", rate=RATE, channels=channels, frames=1, bext=wav.Bext(at))
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
        (
            b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0"
            + struct.pack("<HHIIHH", 3, 1, 0, 0, 4, 32)
            + b"data\0\0\0\0",
            "1 channels at 0 Hz",
        ),
    ],
)
def test_other_files_are_refused(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "a.wav").write_bytes(data)
    with pytest.raises(ValueError, match=message):
        wav.read_header(tmp_path / "a.wav")


@pytest.mark.parametrize("size", [2**40, 2**63, 2**64 - 1])
def test_a_size_that_no_file_has_ends_with_the_file(tmp_path: Path, size: int) -> None:
    path, ds64 = tmp_path / "a.wav", struct.pack("<QQQI", size, size, 0, 0)
    fmt = struct.pack("<HHIIHH", 3, 1, RATE, 4 * RATE, 4, 32)
    head = b"RF64" + b"\xff" * 4 + b"WAVEds64" + struct.pack("<I", len(ds64)) + ds64
    path.write_bytes(head + b"fmt \x10\0\0\0" + fmt + b"data" + b"\xff" * 4 + bytes(43))
    assert wav.read_header(path).frames == 10
    assert sum(map(len, wav.samples(wav.read_header(path)))) == 10
