"""Files that libsndfile does not read: through ffmpeg where it is, else one sentence with a way."""

import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from sds.signal import ffmpeg
from sds.signal.audio_files import Recording, read
from tests.peers import peer

RATE, FRAMES = 48000, 95963  # no multiple of a frame of any codec


@pytest.fixture
def has_ffmpeg():
    peer("ffmpeg")


def made(folder: Path, name: str, *codec: str) -> Path:
    """A file by ffmpeg of a tone that lasts `FRAMES` samples."""
    tone = 0.3 * np.sin(2 * np.pi * 440 * np.arange(FRAMES) / RATE)
    sf.write(folder / "tone.wav", tone, RATE, subtype="PCM_16")
    command = ["ffmpeg", "-v", "error", "-i", folder / "tone.wav", *codec, folder / name]
    subprocess.run(command, check=True)
    return folder / name


@pytest.mark.usefixtures("has_ffmpeg")
@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("a.m4a", ("-c:a", "aac")),
        ("alac.m4a", ("-c:a", "alac")),
        ("a.oga", ("-c:a", "flac")),
        ("a.mka", ("-c:a", "flac")),
        ("a.wv", ("-c:a", "wavpack")),
    ],
)
def test_what_ffmpeg_decodes_has_the_length_and_the_sound_of_its_source(tmp_path, name, codec):
    path = made(tmp_path, name, *codec)
    before = set(Path(tmp_path).iterdir())
    with Recording(path) as recording:
        assert (recording.rate, recording.channels, recording.frames) == (RATE, 1, FRAMES)
        found = recording.read(0, FRAMES)[0].numpy()
        assert recording.read(1000, 1010).shape == (1, 10)
    tone, _ = sf.read(tmp_path / "tone.wav")
    error = np.sqrt(np.mean((found - tone)[2048:-2048] ** 2))
    assert error < (0.01 if name == "a.m4a" else 1e-6)  # lossless ones: 16 bits are exact
    assert set(Path(tmp_path).iterdir()) == before


@pytest.mark.usefixtures("has_ffmpeg")
def test_what_has_no_sound_is_one_sentence(tmp_path):
    path = tmp_path / "a.m4a"
    path.write_bytes(b"\0\0\0\x18ftypM4A " + bytes(100))
    with pytest.raises(
        ValueError, match=r"a\.m4a is not an audio file .*; ffmpeg cannot read it e"
    ):
        read(path)


@pytest.mark.usefixtures("has_ffmpeg")
def test_a_playlist_opens_nothing(tmp_path):
    """ffmpeg would follow it to any file, and to any machine."""
    secret = made(tmp_path, "secret.oga", "-c:a", "flac")
    for name, text in (
        ("a.m3u8", f"#EXTM3U\n#EXTINF:1,\n{secret}\n#EXT-X-ENDLIST\n"),
        ("a.ffconcat", f"ffconcat version 1.0\nfile {secret}\n"),
        ("a.m4a", f"#EXTM3U\n#EXTINF:1,\n{secret}\n#EXT-X-ENDLIST\n"),
    ):
        (tmp_path / name).write_text(text)
        assert ffmpeg.decode(tmp_path / name, seconds=10) is None
        with pytest.raises(ValueError, match="is not an audio file that can be read; WAV, AIFF"):
            read(tmp_path / name)


def test_without_ffmpeg_the_sentence_has_a_line_that_converts(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    path = tmp_path / "my take.m4a"
    path.write_bytes(b"\0\0\0\x18ftypM4A " + bytes(100))
    with pytest.raises(ValueError, match="others where ffmpeg is installed") as caught:
        read(path)
    assert str(caught.value).endswith('convert it with: ffmpeg -i "my take.m4a" "my take.wav"')
    assert "\n" not in str(caught.value)
