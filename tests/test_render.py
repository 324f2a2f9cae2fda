"""A preset to a sound file: of another length it is held for the same part of it."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from bridge.protocol import worker_loop
from bridge.protocol.events import Done
from bridge.protocol.patch_jobs import RenderPreset
from bridge.worker.render import render_preset
from presets import Preset, ranges, save
from renderers import effects

PAD = {p.name: p.value(0.0) for p in ranges.fm(operators=1, voice="full")} | {
    "op1_ratio": 1.0,
    "op1_detune": 0.0,
    "op1_sustain": 1.0,
    "op1_release": 0.1,
    "op1_mix": 1.0,
    "pitch_start": 0.0,
    "filter_hz": 20000.0,
    "filter_env": 0.0,
    "level": 0.5,
}


@pytest.mark.parametrize("seconds", [None, 0.5, 2.0])
def test_the_key_is_down_for_the_same_part(tmp_path: Path, seconds: float | None) -> None:
    pad = Preset(name="pad", renderer="fm", renderer_version=1, values=PAD, seconds=1.0, held=0.7)
    save(pad, tmp_path / "pad.json")
    job = RenderPreset(
        id="j", preset=str(tmp_path / "pad.json"), out=str(tmp_path / "a.wav"), duration=seconds
    )
    *_, end = worker_loop.run(job, render_preset, worker_loop.Inbox(io.StringIO("")), codes={})
    assert isinstance(end, Done), end
    heard, rate = sf.read(tmp_path / "a.wav", dtype="float32", always_2d=True)
    length = seconds or 1.0
    assert len(heard) == round(length * rate)
    if seconds is None:
        np.testing.assert_array_equal(heard.T, effects.render(pad, rate=rate))
    peak = np.abs(heard[:, 0])
    before = peak[round((0.7 * length - 0.05) * rate) : round(0.7 * length * rate)].max()
    after = peak[round((0.7 * length + 0.1) * rate) :].max()
    assert before > 0.3
    assert after < 1e-3  # the release of 0.1 s is over
