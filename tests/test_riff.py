"""Sound files as they are found: what the worker hears, and where the file says that it begins."""

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from bridge.files import names, riff, wav
from bridge.stems import null_test_numpy
from bridge.stems.bwf_metadata import start_samples
from bridge.worker import mixture
from tests import odd_files


@pytest.mark.parametrize("case", odd_files.CASES)
def test_odd_files_are_read_whole_and_where_they_begin(tmp_path: Path, case: str) -> None:
    _, frames, start = odd_files.CASES[case]
    path = odd_files.write(tmp_path, case)
    with mixture.open_recording(path) as recording:
        assert (recording.rate, recording.channels, recording.frames) == (48000, 2, frames)
        (heard,) = recording.pieces(frames)
    np.testing.assert_array_equal(heard.T.numpy(), odd_files.sound()[:frames])
    assert start_samples(path, 48000) == start


@pytest.mark.parametrize("mode", odd_files.MODES)
def test_samples_are_those_that_were_written(tmp_path: Path, mode: str) -> None:
    header = wav.read_header(odd_files.write(tmp_path, mode))
    for blocks in (wav.samples(header), null_test_numpy.blocks(header)):
        read = np.concatenate([np.asarray(block) for block in blocks]).reshape(-1, 2)
        np.testing.assert_array_equal(read, odd_files.sound())


def test_an_empty_recording_is_not_filled_with_what_is_behind_it(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    tail = odd_files.chunk(b"LIST", b"INFOISFT\4\0\0\0abc\0")
    empty = odd_files.chunk(b"data", b"")
    path.write_bytes(odd_files.riff(odd_files.fmt("pcm16"), empty, tail))
    assert wav.read_header(path).frames == 0


def test_a_flac_keeps_the_place_of_the_wav_it_was_made_of(tmp_path: Path) -> None:
    path = tmp_path / "a.flac"
    sf.write(path, odd_files.sound(), odd_files.RATE, subtype="PCM_16")
    bare = path.read_bytes()
    assert start_samples(path, odd_files.RATE) == 0
    for chunks, start in (
        ((odd_files.bext(), odd_files.fmt("pcm16")), odd_files.START),
        ((odd_files.ixml(),), odd_files.START),
        ((odd_files.fmt("pcm16"),), 0),
    ):
        path.write_bytes(odd_files.with_foreign_metadata(bare, *chunks))
        assert start_samples(path, odd_files.RATE) == start
        assert sf.info(path).frames == odd_files.FRAMES  # libsndfile reads it, too


@pytest.mark.parametrize("case", odd_files.CASES)
def test_a_file_cut_anywhere_ends_the_search(case: str) -> None:
    data = odd_files.CASES[case][0]
    for end in [*range(0, 800, 7), len(data) // 2]:
        found = riff.read(io.BytesIO(data[:end]))
        assert found is None or all(c.start + c.size <= end for c in found.chunks)
    assert riff.flac_foreign(io.BytesIO(b"fLaC" + bytes(9))) == {}


@pytest.mark.parametrize("case", ["float64", "unsigned8", "plain20", "behind an ID3 tag", "size 0"])
def test_the_mixture_keeps_its_place(tmp_path: Path, case: str) -> None:
    *_, found = _looked(odd_files.write(tmp_path, case))
    assert found.start == odd_files.START
    assert (found.header is None) == (case == "float64")  # stems of 32 bits null against a copy
    assert found.sha256 == names.sha256(tmp_path / f"{case}.wav")


def _looked(path: Path):
    from bridge.protocol.worker_loop import Clock

    work = mixture.measure(path, Clock("j"), 1.0)
    while True:
        try:
            yield next(work)
        except StopIteration as end:
            yield end.value
            return
