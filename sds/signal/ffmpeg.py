"""Sound files that libsndfile does not read, decoded by ffmpeg where it is installed.

A file may come from anybody, and ffmpeg follows links in playlists to other files and machines. So
it is told the container, which is recognised by its first bytes and is none that holds links, and
may open nothing else than the file.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from presets.reading import read_json

READ = "WAV, AIFF, FLAC, Ogg Vorbis, Opus, MP3, Wave64 and CAF"  # by libsndfile
# What a container's file begins with, where, and what ffmpeg calls it.
CONTAINERS = (
    (b"ftyp", 4, "mov"),  # M4A, MP4
    (b"OggS", 0, "ogg"),  # FLAC, Speex
    (b"\x1a\x45\xdf\xa3", 0, "matroska"),  # WebM, MKA
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", 0, "asf"),  # WMA
    (b"wvpk", 0, "wv"),
    (b"MAC ", 0, "ape"),
    (b"TTA1", 0, "tta"),
    (b"caff", 0, "caf"),
    (b"\xff\xf1", 0, "aac"),
    (b"\xff\xf9", 0, "aac"),
    (b"\x0b\x77", 0, "ac3"),
    (b"RIFF", 0, "wav"),  # codecs in it
)


def container(path: Path) -> str | None:
    """Name, as ffmpeg has it, of the container of a file by its first bytes; None for one that
    ffmpeg is not used for.
    """
    with path.open("rb") as file:
        head = file.read(16)
    names = (name for mark, at, name in CONTAINERS if head[at : at + len(mark)] == mark)
    return next(names, None)


def decode(path: Path, *, seconds: float) -> tempfile.TemporaryDirectory[str] | None:
    """Decode a file with ffmpeg: a folder with its sound as `sound.wav`, float32; None where it
    cannot.

    That is without ffmpeg, for a file of no known container, and for one that ffmpeg refuses. The
    folder goes with the object. Of more than `seconds` the rest is cut off a second later.
    """
    program, kind = shutil.which("ffmpeg"), container(path)
    if program is None or kind is None:
        return None
    folder = tempfile.TemporaryDirectory(prefix="scorewire-")
    command = [program, "-nostdin", *_source(path, kind), "-map", "0:a:0", "-t", str(seconds + 1)]
    if kind == "mov" and (frames := _frames(path)):
        command += ["-af", f"atrim=end_sample={frames}"]
    command += ["-c:a", "pcm_f32le", "-rf64", "auto", f"file:{folder.name}/sound.wav"]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        folder.cleanup()
        return None
    except BaseException:
        folder.cleanup()
        raise
    return folder


def _source(path: Path, kind: str) -> list[str]:
    """The arguments by which ffmpeg opens the file, and nothing that it leads to."""
    name = f"file:{path.absolute()}"
    return ["-v", "error", "-protocol_whitelist", "file", "-f", kind, "-i", name]


def _frames(path: Path) -> int | None:
    """How many samples an MP4 holds without the padding of its last packet; None when not known.

    ffmpeg leaves out what its edit list leaves out at the start, and at the end only whole packets
    (ISO 14496-12: the media's duration counts samples in its own time scale, edits in another).
    """
    program = shutil.which("ffprobe")
    if program is None:
        return None

    def probe(*arguments: str) -> dict[str, Any]:
        command = [
            program,
            *arguments,
            "-select_streams",
            "a:0",
            "-of",
            "json",
            *_source(path, "mov"),
        ]
        done = subprocess.run(command, check=True, capture_output=True)
        return dict(read_json(done.stdout))

    try:
        whole = probe("-ignore_editlist", "1", "-show_streams")["streams"][0]
        first = probe("-show_packets", "-read_intervals", "%+#1")["packets"][0]
        frames = int(whole["duration_ts"]) + min(0, int(first["pts"]))
    except (OSError, subprocess.CalledProcessError, ValueError, LookupError):
        return None
    return frames if whole["time_base"] == f"1/{whole['sample_rate']}" and frames > 0 else None


def advice(path: Path) -> str:
    """Advice for a file that is not read, to follow the sentence that says so."""
    if container(path) is None:
        return f"; {READ} are read"
    if shutil.which("ffmpeg"):
        return "; ffmpeg cannot read it either"
    line = f'ffmpeg -i "{path.name}" "{path.stem}.wav"'
    return f"; {READ} are read, and others where ffmpeg is installed; convert it with: {line}"
