"""DX7 voices as presets: how far our sound of them is from Dexed's, and what is said to be lost."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from presets import Note, Preset
from presets.dx7 import ALGORITHMS, TOP_INDEX, Operator, Voice, gain
from presets.dx7_file import read as read_file
from presets.dx7_sysex import write_bank
from presets.export.dx7 import to_voice
from presets.export.dx7_envelope import curve, fit, read
from presets.import_dx7 import to_preset
from renderers import fm, for_preset, from_values, random_patches, to_values
from renderers.engines import dexed, hexter
from renderers.fidelity import lsd
from renderers.source import RenderedSource
from tests.full_voices import full
from tests.peers import peer

RATE = 44100
FALLING = Operator(rates=(80, 40, 40, 40), levels=(99, 0, 0, 0))


def ours(preset: Preset, seconds: float) -> np.ndarray:
    r = for_preset(preset)
    u = from_values(r, preset.values)[None]
    audio = r.render(u, Note(preset.note), RATE, round(seconds * RATE))
    return audio[0, 0].double().numpy()


def away(voice: Voice, seconds: float) -> float:
    peer("dexed")
    preset, _ = to_preset(voice)
    theirs = dexed.render_voice(voice, Note(60), seconds, RATE)[0].astype(float)
    return lsd(ours(preset, seconds), theirs, RATE)


def factory() -> tuple[Voice, ...]:
    """32 of the real voices that hexter holds in its library, packed as in a bank."""
    peer("hexter")
    library = hexter.LIBRARY.read_bytes()
    start = library.index(b"BRASS   1 ") - 118 - 23 * 128
    body = library[start : start + 4096]
    empty = write_bank([Voice()] * 32)
    return read_file(empty[:6] + body + bytes((-sum(body) & 0x7F,)) + empty[-1:]).voices


def test_our_own_voices_come_back() -> None:
    """Exported, then imported: 1.5 in the median of Dexed's sound, 1.4 of the first preset's."""
    found = []
    for number in (1, 5, 9, 22, 28):
        r = fm.renderer(matrix=f"dx7:{number}")
        u = random_patches(r, 1, generator=torch.Generator().manual_seed(number))[0]
        values = to_values(r, u)
        preset = Preset(name="x", renderer="fm", renderer_version=1, values=values)
        voice, _ = to_voice(preset)
        back, _ = to_preset(voice)
        assert {p.name for p in fm.renderer(matrix=f"dx7:{number}", voice="full").params} == set(
            back.values
        )
        for op in range(1, 7):
            wanted = values[f"op{op}_ratio"]
            cents = back.values[f"op{op}_detune"]
            sounds = back.values[f"op{op}_ratio"] * 2.0 ** (cents / 1200.0)
            assert sounds == pytest.approx(wanted, rel=1e-3)
        found.append(away(voice, 1.5))
    assert np.median(found) < 1.7


def test_a_voice_that_holds_comes_back_as_one() -> None:
    """Sustain, release, detune, pitch envelope and LFO, to Dexed's steps; LSD measured: 0.3 dB."""
    peer("dexed")
    organ = full(
        {"ratio": 2.0, "sustain": 0.6, "release": 0.3},
        {"ratio": 1.0, "mix": 1.0, "sustain": 0.7, "release": 0.3, "detune": 3.5},
        op2_from_op1=1.0,
        note=60.0,
        pitch_start=12.0,
        pitch_time=0.1,
        lfo_hz=4.0,
        lfo_to_pitch=0.5,
        lfo_to_level=0.3,
    )
    voice, _ = to_voice(organ)
    back, lost = to_preset(voice)
    [carrier] = [v for v in range(1, 7) if back.values.get(f"op{v}_mix", 0.0) > 0.0]
    wanted = {f"op{carrier}_sustain": 0.7, f"op{carrier}_release": 0.3, "pitch_start": 12.0}
    wanted |= {"pitch_time": 0.1, "lfo_hz": 4.0, "lfo_to_pitch": 0.5, "lfo_to_level": 0.3}
    for name, value in wanted.items():
        assert back.values[name] == pytest.approx(value, rel=0.15), name
    assert back.values[f"op{carrier}_detune"] == pytest.approx(3.5, abs=0.7)
    assert back.held == 2.0
    assert not any("envelope" in line or "LFO" in line for line in lost)


def test_a_released_key_falls_as_in_dexed() -> None:
    peer("dexed")
    held = Operator(rates=(90, 50, 50, 60), levels=(99, 90, 90, 0), output=99)
    preset, _ = to_preset(Voice((held, *(Operator(),) * 5), algorithm=1))
    note = Note(60, held=0.5)
    theirs = dexed.render_voice(Voice((held, *(Operator(),) * 5)), note, 1.0, RATE)[0]
    mine = np.frombuffer(RenderedSource(preset).floats(note, 1.0), "<f4")

    def fall(x: np.ndarray) -> float:
        before, after = x[round(0.4 * RATE) : round(0.45 * RATE)], x[round(0.57 * RATE) :]
        return 20 * np.log10(after[: round(0.02 * RATE)].std() / before.std())

    assert fall(mine) == pytest.approx(fall(theirs), abs=2.5)
    assert -40 < fall(theirs) < -5


def test_real_voices() -> None:
    """Every third of 32: what falls in two stages has no place in our envelope."""
    voices = factory()[::3]
    found = {voice.name: away(voice, 2.0) for voice in voices}
    assert np.median(list(found.values())) < 9.0
    assert min(found.values()) < 5.0


def test_every_real_voice_is_a_preset_that_we_play() -> None:
    for voice in factory():
        preset, lost = to_preset(voice)
        u = from_values(for_preset(preset), preset.values)
        assert bool(((u >= 0) & (u <= 1)).all())
        assert preset.name == voice.name.strip()
        assert all(":" in sentence and not sentence.endswith(".") for sentence in lost)


@pytest.mark.parametrize("number", ALGORITHMS)
def test_edges_are_those_of_the_algorithm(number: int) -> None:
    voice = Voice((replace(FALLING, output=80),) * 6, algorithm=number)
    preset, _ = to_preset(voice)
    for modulator, target in ALGORITHMS[number].edges:
        index = preset.values[f"op{target}_from_op{modulator}"]
        assert index == pytest.approx(TOP_INDEX * gain(80))
    assert for_preset(preset).params[0].name == "op1_ratio"


@pytest.mark.parametrize(("attack", "decay"), [(0.003, 0.1), (0.05, 0.6), (0.003, 3.0), (0.4, 2.0)])
def test_envelopes_come_back(attack: float, decay: float) -> None:
    rates, levels = fit(attack, decay, 99)
    back = read(rates, levels, 99)
    assert back[0] == pytest.approx(attack, rel=0.3, abs=0.003)
    assert back[1] == pytest.approx(decay, rel=0.25)
    assert back[2] == 0.0
    assert back[3] < 3.0
    assert curve(rates, levels, 99)[-1][1] < -80.0


def test_what_we_cannot_play_is_told() -> None:
    odd = replace(FALLING, output=99)
    operators = (
        replace(odd, levels=(99, 99, 95, 0), velocity=3),
        replace(odd, coarse=31, right_depth=50, levels=(99, 99, 99, 70)),
        replace(odd, fixed=1, coarse=3, rate_scaling=4),
        replace(odd, fixed=1, coarse=0, amp_sensitivity=2),
        odd,
        odd,
    )
    voice = Voice(
        operators,
        pitch_levels=(80, 50, 60, 20),
        pitch_rates=(40, 40, 40, 99),
        lfo_wave=3,
        lfo_delay=30,
        algorithm=4,
        feedback=7,
        lfo_pitch_depth=20,
        lfo_amp_depth=20,
        pitch_sensitivity=3,
    )
    text = "\n".join(to_preset(voice)[1])
    for said in (
        "op2: it ends at level 70",
        "op2: its ratio of 31 is held at 16",
        "op3: its fixed 1000 Hz follow the keys, right at note 60",
        "op4 to op6 became self-feedback of op6",
        "feedback: 1.57 rad are held at 0.9",
        "pitch envelope: it is",
        "pitch envelope: where it holds",
        "LFO: its wave",
        "LFO: its delay",
        "level scaling",
        "rate scaling",
        "velocity",
    ):
        assert said in text, said


def test_a_silent_voice_is_refused() -> None:
    with pytest.raises(ValueError, match="is silent: every carrier has level 0"):
        to_preset(Voice((FALLING,) * 6))
