"""The real-time voice against the renderer; what may not be heard: clicks, NaN, stolen notes."""

import math

import numpy as np
import pytest
import torch

from presets import Note
from renderers import fm, random_patches, to_values, voice, voice_patch, voice_state
from tests.voice_player import RATE, Player


def random_values(matrix="acyclic", operators=4, seed=0, **changed):
    instrument = fm.renderer(operators=operators, matrix=matrix)
    u = random_patches(instrument, 8, generator=torch.Generator().manual_seed(seed))[seed % 8]
    return instrument, to_values(instrument, u) | changed


def sine(**changed):
    """One operator: a sine with a long decay."""
    values = {"op1_ratio": 1.0, "op1_attack": 0.001, "op1_decay": 10.0, "op1_mix": 1.0}
    return voice_patch.patch(values | {"level": 0.5} | changed)


def clicks(x, hz):
    """The largest second difference beside that of a sine of this frequency and amplitude."""
    curve = np.abs(x).max() * (2.0 * math.pi * hz / RATE) ** 2
    return np.abs(np.diff(x, 2)).max() / curve


@pytest.mark.parametrize(
    ("matrix", "operators"),
    [("acyclic", 4), ("free", 4), ("acyclic", 1), ("free", 7), ("acyclic", 8), ("dx7:5", 6)],
)
@pytest.mark.parametrize(("number", "velocity"), [(36, 100), (64, 31), (108, 127)])
def test_a_note_is_the_renderers_note(matrix, operators, number, velocity):
    instrument, values = random_values(matrix, operators, seed=number)
    table = [values[p.name] for p in instrument.params]
    places = [p.position(x) for p, x in zip(instrument.params, table, strict=True)]
    u = torch.tensor([places], dtype=torch.float64)
    note = Note(number, velocity)
    reference = instrument.render(u, note, RATE, RATE // 2)[0, 0].numpy()
    player = Player()
    player.fm(voice_patch.patch(values), note)
    ours = player.play(RATE // 2, 100)
    assert np.abs(ours - reference).max() <= 1e-6 * np.abs(reference).max()


def test_the_size_of_blocks_and_the_place_in_them_do_not_matter():
    _, values = random_values(seed=5)
    patch = voice_patch.patch(values)
    sounds = []
    for block, wait in ((1, 0), (64, 0), (333, 0), (128, 77), (16, 77)):
        player = Player()
        player.fm(patch, wait=wait)
        sounds.append(player.play(4096 + wait, block)[wait:])
    for sound in sounds[1:]:
        assert np.abs(sound - sounds[0]).max() <= 1e-11


def test_a_note_ends_with_its_envelopes_and_frees_its_row():
    player = Player()
    player.fm(sine(op1_decay=0.05))
    sound = player.play(4096)
    assert player.sounding == 0
    last = int(np.nonzero(sound)[0][-1])
    assert 0.045 < last / RATE <= 0.051 + 2 / RATE


def test_release_fades_out_in_its_time_without_a_click():
    player = Player()
    player.fm(sine())
    player.play(4800)
    voice.release(player.voices, 0, 1, 60, False, 30)
    sound = player.play(9600)
    assert clicks(sound, Note(60).hz) < 1.1
    end = 30 + round(voice.RELEASE * RATE)
    assert np.abs(sound[end + 1 :]).max() == 0.0
    assert np.abs(sound[end - 600 : end]).max() > 0.0


def test_a_pedal_holds_until_it_is_lifted():
    player = Player()
    player.fm(sine(), key=3)
    voice.release(player.voices, 3, voice.ANY, 60, True, 0)
    assert np.abs(player.play(9600)[-128:]).max() > 0.1
    voice.lift(player.voices, 2, False, False, 0)  # another's pedal
    assert np.abs(player.play(9600)[-128:]).max() > 0.1
    voice.lift(player.voices, 3, False, False, 0)
    assert np.abs(player.play(9600)[-128:]).max() == 0.0


def test_bend_is_in_tune_and_glides():
    player = Player()
    player.fm(sine())
    player.play(9600)
    player.hands.bend[0] = 2.0 ** (2.0 / 12.0)
    sound = player.play(RATE)
    assert clicks(sound, Note(62).hz) < 1.1
    steady = sound[RATE // 2 :]
    crossings = np.nonzero((steady[:-1] < 0.0) & (steady[1:] >= 0.0))[0]
    exact = crossings - steady[crossings] / (steady[crossings + 1] - steady[crossings])
    hz = (len(exact) - 1) / (exact[-1] - exact[0]) * RATE
    assert hz == pytest.approx(Note(62).hz, rel=1e-6)


def test_the_quietest_note_makes_room_without_a_click():
    sounds = []
    for limit in (16, 64):
        player = Player()
        for number in range(16):
            player.fm(sine(level=0.02 if number == 7 else 0.05), Note(40 + number))
        player.play(9600)
        player.fm(sine(level=0.05), Note(60), limit=limit)
        sounds.append(player.play(9600))
        assert player.sounding == min(limit, 17)
    assert 47 in player.voices.note[player.voices.kind != voice_state.FREE]
    stolen = sounds[1] - sounds[0]  # what the faded note would have added
    limited = 2**-0.125  # a mix of 1
    assert np.abs(stolen).max() == pytest.approx(0.02 * limited, rel=0.05)
    # the fade turns 0.02 over in 5 ms: 6 / 240^2 a sample at its ends, beside the note's own curve
    assert np.abs(np.diff(stolen, 2)).max() < 0.02 * 1.2 * 6.0 / (voice.STEAL * RATE) ** 2 + 1e-5


def test_many_more_notes_than_voices_in_one_block_are_survived():
    player = Player()
    for number in range(300):
        player.fm(sine(level=0.01), Note(30 + number % 60), wait=number % 128)
    sound = player.play(4800)
    assert np.isfinite(sound).all()
    assert player.sounding <= 64 + 1


def test_silence_is_quick_and_quiet():
    player = Player()
    player.fm(sine())
    player.fm(sine(), Note(67), wait=1000)
    player.play(480)
    voice.silence(player.voices, voice.ANY, voice.ANY, float(RATE))
    sound = player.play(4800)
    end = round(voice.STEAL * RATE)
    assert np.abs(sound[end + 1 :]).max() == 0.0
    assert np.abs(np.diff(sound[:end])).max() < 0.5 * 2 * math.pi * Note(60).hz / RATE + 2.0 / end


def test_a_sample_at_its_own_pitch_is_itself_and_at_others_a_cubic():
    t = np.arange(8000) / RATE
    store = np.sin(2 * math.pi * 500.0 * t).astype(np.float32)
    player = Player(store)
    player.sample(8000)
    assert (player.play(8192)[:8000] == store).all()
    assert player.sounding == 0
    player.sample(8000, step=1.5, wait=3)
    sound = player.play(8192)[3:]
    there = np.arange(5300) * 1.5
    assert np.abs(sound[1:5300] - np.sin(2 * math.pi * 500.0 * there / RATE)[1:]).max() < 2e-4


def test_what_is_not_finite_ends_unheard():
    player = Player([math.nan] * 4800)
    player.fm(sine())
    player.sample(4800)
    sound = player.play(4800)
    assert np.isfinite(sound).all()
    assert np.abs(sound).max() > 0.1
    assert player.sounding == 1


def test_the_last_stage_lets_nothing_through():
    x = np.array([math.nan, math.inf, -math.inf, 1e-40, 5e-324, -63.9, 170.0, 0.25])
    out = np.ones(8, np.float32)
    assert voice.clean(x, out) == 4
    assert out.tolist() == pytest.approx([0.0, 64.0, -64.0, 0.0, 0.0, -63.9, 64.0, 0.25])


def test_depth_moves_without_a_click():
    _, values = random_values(seed=1)
    values = {n: 0.0 if "_from_" in n else x for n, x in values.items()} | {
        "op4_from_op1": 1.0, "op1_decay": 9.0, "op4_decay": 9.0, "op4_mix": 1.0,
        "op1_ratio": 1.0, "op4_ratio": 1.0, "op4_attack": 0.001, "op1_attack": 0.001,
        "op1_mix": 0.0, "op2_mix": 0.0, "op3_mix": 0.0,
    }  # fmt: skip
    player = Player()
    player.fm(voice_patch.patch(values))
    still = player.play(9600)
    player.hands.depth[1] = 1.3
    moving = player.play(9600)
    assert np.abs(np.diff(moving, 2)).max() < 1.3 * np.abs(np.diff(still[4800:], 2)).max()


def test_self_feedback_of_a_loop_moves_without_a_click_too():
    values = {"op1_ratio": 1.0, "op1_attack": 0.001, "op1_decay": 9.0, "op1_mix": 1.0}
    values |= {"op2_ratio": 1.0, "op2_attack": 0.001, "op2_decay": 9.0, "op2_mix": 0.0}
    values |= {"op1_from_op1": 0.7, "op1_from_op2": 0.01, "op2_from_op1": 0.01}
    values |= {"op2_from_op2": 0.0, "level": 0.5}
    patch = voice_patch.patch(values)
    assert patch.loops
    player = Player()
    player.fm(patch)
    still = player.play(9600)
    for start in range(0, 9600, 1200):  # wherever in the wave the knob moves
        player.hands.depth[1] = 0.5 if start % 2400 else 1.0
        moving = player.play(1200)
        assert np.abs(np.diff(moving, 2)).max() < 1.1 * np.abs(np.diff(still[4800:], 2)).max()
