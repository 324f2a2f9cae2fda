"""The full FM voice by its knobs: every formula a sample at a time, and what each knob does."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from presets import Note
from renderers import fm, from_values, full_voice, movement, noise
from renderers.base import curves, physical
from tests.test_filter import slowly as slow_filter
from tests.test_movement import slow_envelope

RATE = 44100
VOICE = fm.renderer(operators=3, voice="full")
PAPER = fm.renderer(operators=3)
QUIET = {
    "pitch_start": 0.0,
    "pitch_time": 0.1,
    "lfo_hz": 5.0,
    "lfo_to_pitch": 0.0,
    "lfo_to_level": 0.0,
    "lfo_to_index": 0.0,
    "lfo_to_filter": 0.0,
    "noise_level": 0.0,
    "noise_hz": 1000.0,
    "noise_width": 1.0,
    "noise_attack": 0.001,
    "noise_decay": 1.0,
    "noise_sustain": 0.0,
    "noise_release": 0.1,
    "filter_hz": 20000.0,
    "filter_resonance": 0.0,
    "filter_mode": 0.0,
    "filter_key": 0.0,
    "filter_env": 0.0,
    "filter_attack": 0.001,
    "filter_decay": 1.0,
}


def one_operator(**changed: float) -> dict[str, float]:
    """A held sine of the note's pitch, all else at rest, and what is `changed`."""
    values = {p.name: 0.0 for p in VOICE.params}
    for v in (1, 2, 3):
        values |= {f"op{v}_ratio": 1.0, f"op{v}_attack": 0.001, f"op{v}_decay": 0.02}
        values |= {f"op{v}_sustain": 1.0, f"op{v}_release": 0.05}
    return values | QUIET | {"op3_mix": 0.5, "level": 1.0} | changed


def sound(note: Note, samples: int, **changed: float) -> np.ndarray:
    u = from_values(VOICE, one_operator(**changed))
    audio: np.ndarray = VOICE.render(u[None], note, RATE, samples)[0, 0].numpy()
    return audio


def slow_voice(values: dict[str, float], note: Note, samples: int) -> np.ndarray:
    """The whole voice as it is written down, a sample at a time."""
    n, p = np.arange(samples), values
    grid = np.arange(samples // 64 + 2) * 64 / RATE
    wave = np.sin(2 * np.pi * p["lfo_hz"] * grid)
    low = (1 - wave) / 2
    bent = p["pitch_start"] * np.exp(-grid / p["pitch_time"]) + p["lfo_to_pitch"] * wave
    at = 64 * np.arange(grid.size)
    pitch = np.interp(np.arange(at[-1] + 1), at, 2 ** (bent / 12))
    phi = np.concatenate([[0.0], np.cumsum((pitch[1:] + pitch[:-1]) / 2)])
    index = np.interp(n, at, 1 - p["lfo_to_index"] * low)
    t, V = n / RATE, 3
    kinds = ("attack", "decay", "sustain", "release")
    f = np.array(
        [slow_envelope(t, *(p[f"op{v}_{k}"] for k in kinds), note.held) for v in (1, 2, 3)]
    )
    A = np.array([[p.get(f"op{v}_from_op{w}", 0.0) for w in (1, 2, 3)] for v in (1, 2, 3)])
    mix = np.array([p[f"op{v}_mix"] for v in (1, 2, 3)])
    mix = mix * (1 + mix.sum() ** 8) ** -0.125 * p["level"] * note.gain
    hz = np.array([p[f"op{v}_ratio"] * 2 ** (p[f"op{v}_detune"] / 1200) for v in (1, 2, 3)])
    u, out = np.zeros(V), np.empty(samples)
    for k in n:
        u = np.sin(2 * np.pi * hz * note.hz / RATE * phi[k] + index[k] * (A @ u)) * f[:, k]
        out[k] = mix @ u
    bands = noise.noise_bands(32, RATE)[:, :samples].astype(np.float64)
    weights = noise.noise_weights(p["noise_hz"], p["noise_width"], RATE)
    f_noise = slow_envelope(t, *(p[f"noise_{k}"] for k in kinds), note.held)
    out += 0.35 * p["noise_level"] * p["level"] * note.gain * f_noise * (weights @ bands)
    swell = slow_envelope(grid, p["filter_attack"], p["filter_decay"], 0.0, 1.0, np.inf)
    octaves = p["filter_env"] * swell + p["lfo_to_filter"] * wave
    octaves += p["filter_key"] * (note.number - 60) / 12
    slope = np.tan(np.pi * np.clip(p["filter_hz"] * 2**octaves, 20, 0.45 * RATE) / RATE)
    k, m = 2 - 1.95 * p["filter_resonance"], p["filter_mode"]
    low_pass, band, high = max(0, 1 - 2 * m), 1 - abs(2 * m - 1), max(0, 2 * m - 1)
    taps = np.array([high, k * (band - high), low_pass - high])
    return slow_filter(out, 1 - p["lfo_to_level"] * low, slope, k, taps)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_it_is_the_slow_voice(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    u = torch.rand(1, len(VOICE.params), generator=generator, dtype=torch.float64)
    names = [p.name for p in VOICE.params]
    values = dict(zip(names, physical(curves(VOICE.params), u)[0].tolist(), strict=True))
    note = Note(45, 90, held=0.02)
    fast = VOICE.render(u, note, RATE, 2000)[0, 0].numpy()
    slow = slow_voice(values, note, 2000)
    assert np.abs(fast - slow).max() < 1e-9 * np.abs(slow).max()


def test_neutral_knobs_sound_as_the_papers_voice_through_an_open_filter() -> None:
    u = torch.rand(2, len(PAPER.params), generator=torch.Generator().manual_seed(1)).double()
    paper = PAPER.render(u, Note(50), RATE, 8000)[:, 0].numpy()
    column = {p.name: u[:, i] for i, p in enumerate(PAPER.params)}
    rest = torch.tensor([p.position(QUIET.get(p.name, 0.0)) for p in VOICE.params])
    rest = rest.double().repeat(2, 1)
    for i, p in enumerate(VOICE.params):
        if p.name in column:
            rest[:, i] = column[p.name]
    ours = VOICE.render(rest, Note(50), RATE, 8000)[:, 0].numpy()
    open_ = np.full(8000 // 64 + 2, math.tan(0.45 * math.pi))
    through = [
        slow_filter(y, np.ones_like(open_), open_, 2.0, np.array([0, 0, 1.0])) for y in paper
    ]
    assert np.abs(ours - through).max() < 1e-12


def test_gradient_of_every_knob_at_rest_and_moving() -> None:
    lay = fm.layout(VOICE.params)
    assert lay.moving is not None
    rest = from_values(VOICE, one_operator(op3_from_op2=1.0))
    u = torch.stack([rest, rest]).clamp(0.01, 0.99)
    generator = torch.Generator().manual_seed(3)
    u[1] = 0.1 + 0.8 * torch.rand(u.shape[1], generator=generator, dtype=torch.float64)
    weight = torch.sin(torch.arange(700, dtype=torch.float64) ** 1.5)

    def loss(x: torch.Tensor) -> torch.Tensor:
        return VOICE.render(x, Note(40, held=0.008), RATE, 700)[:, 0] @ weight

    assert torch.autograd.gradcheck(loss, u.requires_grad_(), eps=1e-7, atol=1e-5, rtol=1e-4)


def pitch_of(audio: np.ndarray) -> float:
    """Hz of a sine by its upward zero crossings."""
    signs = audio >= 0
    up = np.flatnonzero(~signs[:-1] & signs[1:])
    exact = up + audio[up] / (audio[up] - audio[up + 1])
    return RATE * (exact.size - 1) / float(exact[-1] - exact[0])


def test_a_key_held_sounds_on_and_ends_with_its_release() -> None:
    audio = sound(Note(69, held=1.0), 2 * RATE)
    rms = np.sqrt(np.mean(audio[: 2 * RATE // 10 * 10].reshape(20, -1) ** 2, axis=1))
    assert rms[1:10] == pytest.approx([0.5 / math.sqrt(2)] * 9, rel=0.01)
    assert np.abs(audio[round(1.052 * RATE) :]).max() < 1e-6


def test_pitch_glides_down_to_the_note() -> None:
    audio = sound(Note(57), RATE, pitch_start=24.0, pitch_time=0.1)
    early = slice(round(0.095 * RATE), round(0.105 * RATE))  # 24 e^-1 semitones above
    assert pitch_of(audio[early]) == pytest.approx(220 * 2 ** (2 * math.exp(-1)), rel=0.01)
    assert pitch_of(audio[round(0.9 * RATE) :]) == pytest.approx(220, rel=0.001)


def test_detune_is_in_cents() -> None:
    assert pitch_of(sound(Note(69), RATE, op3_detune=20.0)) == pytest.approx(
        440 * 2 ** (20 / 1200), rel=1e-4
    )


def test_lfo_moves_the_level_by_its_depth_at_its_rate() -> None:
    audio = sound(Note(93), RATE, lfo_hz=4.0, lfo_to_level=0.75)
    loud = np.abs(audio[: RATE // 50 * 50].reshape(50, -1)).max(1)
    assert loud[3:].max() / loud[3:].min() == pytest.approx(4.0, rel=0.1)
    assert np.abs(np.fft.rfft(loud - loud.mean())).argmax() == 4


def test_lfo_moves_pitch_and_index() -> None:
    audio = sound(Note(69), RATE, lfo_hz=2.0, lfo_to_pitch=1.0)
    top, bottom = round(0.125 * RATE), round(0.375 * RATE)
    assert pitch_of(audio[top - 300 : top + 300]) == pytest.approx(440 * 2 ** (1 / 12), rel=2e-3)
    assert pitch_of(audio[bottom - 300 : bottom + 300]) == pytest.approx(
        440 / 2 ** (1 / 12), rel=2e-3
    )
    u = from_values(VOICE, one_operator(lfo_hz=2.0, lfo_to_index=0.5))[None]
    lay = fm.layout(VOICE.params)
    assert lay.moving is not None
    _, index, _, _ = full_voice.grid(physical(lay.table, u), lay.moving, Note(60), RATE, RATE)
    assert (index.min().item(), index.max().item()) == pytest.approx((0.5, 1.0), abs=1e-3)


def test_noise_is_as_loud_as_it_says_and_nothing_else_sounds() -> None:
    audio = sound(Note(60, held=1.9), 2 * RATE, op3_mix=0.0, noise_level=1.0, noise_sustain=1.0)
    assert np.sqrt(np.mean(audio[: round(1.9 * RATE)] ** 2)) == pytest.approx(0.35, rel=0.05)
    assert np.abs(sound(Note(60), 2000, op3_mix=0.0)).max() == 0.0


def test_filter_follows_key_envelope_and_lfo() -> None:
    lay = fm.layout(VOICE.params)
    assert lay.moving is not None

    def hz(note: Note, **changed: float) -> np.ndarray:
        u = from_values(VOICE, one_operator(filter_hz=500.0, **changed))[None]
        values = physical(lay.table, u)
        slope = full_voice.grid(values, lay.moving, note, RATE, RATE)[3][0].numpy()
        return np.arctan(slope) * RATE / np.pi

    assert hz(Note(72), filter_key=1.0) == pytest.approx(1000.0)
    swept = hz(Note(60), filter_env=3.0, filter_attack=0.1, filter_decay=0.5)
    assert swept.max() == pytest.approx(4000.0, rel=0.03)
    assert swept[0] == pytest.approx(500.0)
    assert swept[-1] == pytest.approx(500.0)
    wobble = hz(Note(60), lfo_to_filter=2.0, lfo_hz=2.0)
    assert (wobble.min(), wobble.max()) == pytest.approx((125.0, 2000.0), rel=1e-3)
    assert (
        hz(Note(60), filter_env=6.0, filter_attack=0.001, lfo_to_filter=4.0).max()
        <= 0.45 * RATE + 1
    )


def test_resonance_narrows_the_band() -> None:
    shares = []
    for resonance in (0.0, 1.0):
        knobs = {"noise_level": 1.0, "noise_hz": 3000.0, "noise_width": 10.0, "op3_mix": 0.0}
        knobs |= {"filter_hz": 3000.0, "filter_mode": 0.5, "filter_resonance": resonance}
        power = np.abs(np.fft.rfft(sound(Note(36), RATE, **knobs))) ** 2
        shares.append(power[2600:3400].sum() / power.sum())
    assert shares[0] < 0.35
    assert shares[1] > 0.8


def test_the_live_voices_moments_are_the_grids() -> None:
    changed = {"pitch_start": -7.0, "lfo_to_pitch": 2.0, "lfo_to_index": 0.4, "filter_hz": 700.0}
    changed |= {"filter_env": 2.0, "lfo_to_filter": 1.0, "filter_key": 0.5, "filter_decay": 0.3}
    p = one_operator(**changed)
    u = from_values(VOICE, p)[None]
    lay = fm.layout(VOICE.params)
    assert lay.moving is not None
    grids = full_voice.grid(physical(lay.table, u), lay.moving, Note(67), RATE, 20000)
    for j in (0, 1, 17, 200, 300):
        t = j * movement.GRID / RATE
        wave = movement.lfo(t, p["lfo_hz"])
        swell = movement.swell(t, p["filter_attack"], p["filter_decay"])
        octaves = p["filter_env"] * swell + p["lfo_to_filter"] * wave + p["filter_key"] * 7 / 12
        expected = (
            movement.pitch_factor(t, p["pitch_start"], p["pitch_time"], p["lfo_to_pitch"], wave),
            movement.dip(p["lfo_to_index"], wave),
            1.0,
            movement.filter_slope(p["filter_hz"], octaves, float(RATE)),
        )
        assert [g[0, j].item() for g in grids] == pytest.approx(list(expected), rel=1e-11)
