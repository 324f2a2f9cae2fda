"""Find the training recording that a file is nearest to."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from bridge.protocol import worker_loop
from bridge.protocol.jobs import CopyCheck
from bridge.worker import mixture
from sds.metrics.copy_detection import NearestRecording, load_copy_index, warning

PIECE_SECONDS = 4.0  # compared at once: as long as the planted copies were


def check_copy(job: CopyCheck) -> worker_loop.Events:
    """Compare the file a piece at a time, and name the recording that any of them is nearest to."""
    clock = worker_loop.Clock(job.id)
    yield clock.progress(0.0, "loading the index")
    index = load_copy_index()
    found: list[NearestRecording] = []
    with mixture.open_recording(Path(job.file)) as recording:
        frames = int(PIECE_SECONDS * recording.rate)
        for number, piece in enumerate(recording.pieces(frames)):
            found += index.nearest(piece, recording.rate, job.label)
            done = min(1.0, (number + 1) * frames / recording.frames)
            yield clock.progress(0.05 + 0.9 * done, "comparing")
    nearest = max(found, key=_rank)
    figures = {
        "similarity": round(nearest.similarity, 4),
        "percentile": round(nearest.percentile, 2),
        "match": round(nearest.match, 4),
        "match_percentile": round(nearest.match_percentile, 2),
        "warning": warning(nearest) or "",
    }
    yield clock.done(asdict(nearest) | figures)


def _rank(piece: NearestRecording) -> tuple[bool, float, float]:
    """What the piece with the best copy has most of; without a copy, that with the nearest one."""
    return piece.recording != "", piece.match if warning(piece) else 0.0, piece.similarity
