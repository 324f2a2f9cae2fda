"""The full FM voice in real time against its renderer, until the key goes up and after."""

import math

import numpy as np
import pytest
import torch

from presets import Note, ranges
from renderers import fm, to_values, voice, voice_patch, voice_state
from tests.voice_player import RATE, Player

FAINT = 1e-4  # of the peak, -80 dB; what is measured is near 1e-7, the noise's rounding
LASTING = {"attack": 0.01, "decay": 2.0, "sustain": 0.8, "release": 0.2, "detune": 0.0}
STILL = {
    "pitch_start": 0.0, "pitch_time": 0.1, "lfo_hz": 5.0, "lfo_to_pitch": 0.0, "lfo_to_level": 0.0,
    "lfo_to_index": 0.0, "lfo_to_filter": 0.0, "noise_level": 0.0, "noise_hz": 1000.0,
    "noise_width": 2.0, "noise_attack": 0.001, "noise_decay": 0.1, "noise_sustain": 0.0,
    "noise_release": 0.1, "filter_hz": 20000.0, "filter_resonance": 0.0, "filter_mode": 0.0,
    "filter_key": 0.0, "filter_env": 0.0, "filter_attack": 0.001, "filter_decay": 0.1,
    "level": 0.5,
}  # fmt: skip


def pad(**changed):
    """One operator that holds at 0.8, nothing moving, the filter open."""
    values = {f"op1_{name}": x for name, x in LASTING.items()}
    return values | {"op1_ratio": 1.0, "op1_mix": 1.0, "op1_from_op1": 0.0} | STILL | changed


def anything(matrix, operators, seed):
    """A renderer and a patch [1, P] with every knob somewhere, short enough to end."""
    instrument = fm.renderer(operators=operators, matrix=matrix, voice="full")
    u = torch.rand(len(instrument.params), generator=torch.Generator().manual_seed(seed)).double()
    where = {p.name: i for i, p in enumerate(instrument.params)}
    u[where["level"]] = 0.9
    for name in where:
        if name.endswith("_attack"):
            u[where[name]] *= 0.6
    return instrument, u[None]


def played(instrument, u, note, held=math.inf, *, seconds=1.0, block=128, wait=0):
    """The same in real time, its key up after `held` seconds."""
    values = to_values(instrument, u[0])
    patch = voice_patch.patch(values)
    player = Player(voice_patch.noise_loop(values, RATE))
    player.fm(patch, note, wait=wait, noise=0)
    if held == math.inf:
        return player.play(wait + round(seconds * RATE), block)[wait:]
    up = round(held * RATE)
    before = player.play((wait + up) // block * block, block)
    voice.release(player.voices, 0, 1, round(note.number), False, (wait + up) % block)
    return np.concatenate([before, player.play(round(seconds * RATE) - up, block)])[wait:]


def difference(a, b):
    """The largest difference beside the peak of b."""
    n = min(a.size, b.size)
    return np.abs(a[:n] - b[:n]).max() / np.abs(b).max()


@pytest.mark.parametrize("held", [math.inf, 0.3])
@pytest.mark.parametrize(
    ("matrix", "operators", "number", "velocity"),
    [
        ("acyclic", 4, 36, 100), ("free", 4, 64, 31), ("dx7:5", 6, 84, 127),
    ],
)  # fmt: skip
def test_a_note_is_the_renderers_note(matrix, operators, number, velocity, held):
    instrument, u = anything(matrix, operators, seed=number)
    note = Note(number, velocity, held)
    reference = instrument.render(u, note, RATE, RATE)[0, 0].numpy()
    assert difference(played(instrument, u, note, held, block=100), reference) < FAINT


def test_where_the_key_goes_up_and_the_size_of_blocks_do_not_matter():
    instrument, u = anything("acyclic", 4, seed=7)
    for up, block, wait in ((0, 64, 0), (485, 1, 13), (2400, 333, 77), (9600, 4096, 5)):
        held = up / RATE
        reference = instrument.render(u, Note(60, 100, held), RATE, RATE // 2)[0, 0].numpy()
        ours = played(instrument, u, Note(60), held, seconds=0.5, block=block, wait=wait)
        assert difference(ours, reference) < FAINT


def test_it_holds_while_the_key_or_a_pedal_does_and_ends_with_its_release():
    player = Player()
    player.fm(voice_patch.patch(pad()))
    assert np.abs(player.play(8 * RATE)[-RATE:]).max() == pytest.approx(0.5 * 0.8, rel=0.1)
    voice.release(player.voices, 0, 1, 60, True, 0)  # the pedal is down
    assert np.abs(player.play(RATE)[-128:]).max() > 0.1
    voice.lift(player.voices, 0, False, False, 64)
    sound = player.play(RATE)
    end = 64 + round(0.2 * RATE)
    assert np.abs(sound[end - 2000 : end]).max() > 1e-4
    assert np.abs(sound[end + 400 :]).max() < 1e-5  # the filter's last breath
    assert player.sounding == 0
    half = 64 + round(0.1 * RATE)
    expected = math.exp(-2.5) * 0.5 * np.abs(sound[:64]).max()
    assert np.abs(sound[half - 92 : half + 92]).max() == pytest.approx(expected, rel=0.1)


def test_an_operator_that_is_not_heard_holds_nothing():
    values = pad(op1_sustain=0.0, op1_decay=0.05)
    values |= {f"op2_{name}": x for name, x in LASTING.items()}
    values |= {"op2_ratio": 2.0, "op2_mix": 0.0, "op2_from_op1": 0.0, "op2_from_op2": 0.0}
    assert not voice_patch.patch(values).holds
    assert voice_patch.patch(pad()).holds
    player = Player()
    player.fm(voice_patch.patch(values))
    player.play(RATE // 4)
    assert player.sounding == 0


def test_a_filter_rings_out_before_its_row_is_free():
    values = pad(op1_sustain=0.0, op1_decay=0.02, filter_hz=100.0, filter_resonance=1.0)
    player = Player()
    player.fm(voice_patch.patch(values))
    player.play(round(0.1 * RATE))
    assert player.sounding == 1
    # Q = 20 at 100 Hz: 20 / (pi 100) seconds to 1 / e, 14 of them to a millionth
    ringing = player.play(2 * RATE)
    assert player.sounding == 0
    slopes = [np.abs(ringing[n : n + 4800]).max() for n in (0, 4800)]
    assert slopes[1] / slopes[0] == pytest.approx(math.exp(-0.1 * math.pi * 100.0 / 20.0), rel=0.05)


def test_room_is_made_in_5_ms_however_long_the_release():
    player = Player()
    for number in range(16):
        player.fm(voice_patch.patch(pad(op1_release=5.0, level=0.05)), Note(40 + number))
    player.play(9600)
    player.fm(voice_patch.patch(pad(level=0.05)), Note(60), limit=16)
    player.play(round(voice.STEAL * RATE) + 128)
    assert player.sounding == 16
    voice.silence(player.voices, voice.ANY, voice.ANY, float(RATE))
    assert np.abs(player.play(4800)[round(voice.STEAL * RATE) + 1 :]).max() == 0.0
    assert (player.voices.kind == voice_state.FREE).all()


def test_bend_and_depth_move_without_a_click():
    values = pad(lfo_to_pitch=0.1, filter_hz=5000.0)
    values |= {f"op2_{name}": x for name, x in LASTING.items()}
    values |= {"op2_ratio": 1.0, "op2_mix": 1.0, "op2_from_op1": 1.0, "op2_from_op2": 0.0}
    player = Player()
    player.fm(voice_patch.patch(values | {"op1_mix": 0.0}))
    still = np.abs(np.diff(player.play(RATE)[4800:], 2)).max()
    player.hands.depth[1] = 1.3
    assert np.abs(np.diff(player.play(9600), 2)).max() < 1.3 * still
    player.hands.depth[1] = 1.0
    player.hands.bend[0] = 2.0 ** (2.0 / 12.0)
    assert np.abs(np.diff(player.play(9600), 2)).max() < 1.3 * 2.0 ** (4.0 / 12.0) * still


def test_a_bent_note_is_in_tune():
    player = Player()
    player.hands.bend[0] = 2.0 ** (2.0 / 12.0)
    player.fm(voice_patch.patch(pad(op1_detune=10.0)))
    steady = player.play(RATE)[RATE // 4 :]
    crossings = np.nonzero((steady[:-1] < 0.0) & (steady[1:] >= 0.0))[0]
    exact = crossings - steady[crossings] / (steady[crossings + 1] - steady[crossings])
    hz = (len(exact) - 1) / (exact[-1] - exact[0]) * RATE
    assert hz == pytest.approx(Note(62.1).hz, rel=1e-6)


def test_every_name_that_moves_has_its_place():
    moving = [p.name for p in ranges.MOVEMENT if p.name.startswith(("pitch", "lfo", "filter"))]
    elsewhere = {"filter_resonance", "filter_mode"}
    assert set(voice_patch.MOVES) == set(moving) - elsewhere
