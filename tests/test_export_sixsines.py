import xml.etree.ElementTree as ElementTree
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.special import jv

from presets import Effect, Note, Preset
from presets.export import laws
from presets.export.sixsines import EXPORTER
from renderers import fm, for_preset, from_values, random_patches, to_values
from renderers.base import Renderer
from renderers.engines import sixsines
from renderers.fidelity import lsd
from tests.full_voices import full

RATE = 44100
SOURCE = SimpleNamespace(rate=RATE)


def patch(renderer: Renderer, number: int, **changes: float) -> Preset:
    u = random_patches(renderer, 16, generator=torch.Generator().manual_seed(0))[number]
    values = to_values(renderer, u) | changes
    return Preset(name="p", renderer="fm", renderer_version=1, values=values, note=57.0)


def written(preset: Preset) -> tuple[dict[int, float], tuple[str, ...]]:
    exported = EXPORTER.export(preset, SOURCE, "p")  # type: ignore[arg-type]
    root = ElementTree.fromstring(exported.files["p.sxsnp"])
    assert root.tag == "patch"
    assert root.get("id") == "org.baconpaul.six-sines"
    assert root.get("version") == "12"
    assert root.get("name") == "".join(c for c in preset.name.replace("\n", " ") if c != "\x01")
    return sixsines.values(exported.files["p.sxsnp"]), exported.lost


def distance(renderer: Renderer, preset: Preset) -> float:
    u = from_values(renderer, preset.values)[None]
    ours = renderer.render(u, Note(57), RATE, RATE)[0, 0].numpy()
    return lsd(ours, sixsines.play(written(preset)[0], Note(57), 1.0, RATE), RATE)


@pytest.mark.parametrize("number", range(8))
def test_acyclic_patches_keep_their_sound(number: int) -> None:
    assert distance(fm.renderer(), patch(fm.renderer(), number)) < 1.0  # measured: 0.16 to 0.92


def test_a_held_key_holds_and_is_let_go() -> None:
    organ = full(
        {"ratio": 2.0, "sustain": 0.6, "release": 0.3},
        {"ratio": 1.0, "mix": 1.0, "sustain": 0.7, "decay": 0.4, "release": 0.3, "detune": 7.0},
        op2_from_op1=1.0,
        noise_level=0.5,
        filter_hz=900.0,
    )
    numbers, lost = written(organ)
    assert [line.partition(":")[0] for line in lost if "not in the file" in line] == [
        "noise", "filter"
    ]  # fmt: skip
    note = Note(57, held=0.6)
    plain = organ.model_copy(
        update={"values": organ.values | {"noise_level": 0.0, "filter_hz": 20000.0}}
    )
    u = from_values(for_preset(plain), plain.values)[None]
    ours = for_preset(plain).render(u, note, RATE, RATE)[0, 0].double().numpy()
    assert lsd(ours, sixsines.play(numbers, note, 1.0, RATE), RATE) < 1.0


def test_six_operators_and_loops_are_nearly_kept() -> None:
    """What is dropped of a loop is small; up to 4.5 dB were measured among twelve patches."""
    six = fm.renderer(operators=6)
    loops = fm.renderer(matrix="free")
    assert distance(six, patch(six, 2)) < 1.0  # measured: 0.29
    assert distance(loops, patch(loops, 1)) < 2.0  # measured: 1.01


@pytest.mark.parametrize(("note", "limit"), [(36, 1.0), (84, 2.5)])
def test_other_notes_are_kept_as_well(note: int, limit: float) -> None:
    """High ones less: our modulators come a sample late, those of the synth do not."""
    renderer, preset = fm.renderer(), patch(fm.renderer(), 2)
    u = from_values(renderer, preset.values)[None]
    ours = renderer.render(u, Note(note), RATE, RATE)[0, 0].numpy()
    assert lsd(ours, sixsines.play(written(preset)[0], Note(note), 1.0, RATE), RATE) < limit


ENVELOPE = {1: (0, 1), 3: (0, 1), 4: (0, 1), 5: (0, 1), 8: (-1, 1), 9: (-1, 1), 12: (0, 1)}
RANGES = {500: (0, 1), 522: (0, 1)} | {502 + i: r for i, r in ENVELOPE.items()}
for node, count, stride in ((20000, 6, 100), (10000, 6, 100), (30000, 15, 200)):
    for place in range(count):
        first = node + stride * place
        RANGES |= {first: (0, 1), first + 1: (0, 1)}
        RANGES |= {first + 2 + i: r for i, r in ENVELOPE.items()}
for place in range(6):
    RANGES |= {1500 + 250 * place: (-5, 5), 1501 + 250 * place: (0, 1)}


@pytest.mark.parametrize(
    ("operators", "matrix"), [(1, "acyclic"), (4, "acyclic"), (6, "free"), (8, "free")]
)
def test_every_number_is_one_of_the_synth_within_its_range(operators: int, matrix: str) -> None:
    renderer = fm.renderer(operators=operators, matrix=matrix)
    generator = torch.Generator().manual_seed(1)
    for u in torch.rand(8, len(renderer.params), generator=generator, dtype=torch.float64):
        preset = Preset(
            name="p", renderer="fm", renderer_version=1, values=to_values(renderer, u.round())
        )
        for number, value in written(preset)[0].items():
            low, high = RANGES[number]
            assert low <= value <= high


def test_a_chain_the_other_way_round_loses_nothing() -> None:
    """As in a DX7, where operator 6 modulates 5: the order is found, no edge is dropped."""
    values = patch(fm.renderer(), 0).values
    values = {k: v for k, v in values.items() if "from" not in k}
    values |= {"op1_from_op2": 2.0, "op2_from_op3": 1.0, "op3_from_op4": 3.0}
    preset = Preset(name="p", renderer="fm", renderer_version=1, values=values)
    numbers, lost = written(preset)
    depths = [numbers[30000 + 200 * i] for i in (0, 2, 5)]  # 1 -> 2, 2 -> 3, 3 -> 4
    assert np.array(depths) * 4 * np.pi == pytest.approx([3.0, 1.0, 2.0], abs=2e-5)
    assert not any("loop" in line for line in lost)


def test_the_least_of_a_loop_is_dropped_and_said() -> None:
    renderer = fm.renderer(operators=2, matrix="free")
    changes = {"op1_from_op2": 0.2, "op2_from_op1": 0.5, "op1_mix": 0.0, "op2_mix": 1.0}
    changes |= {"op1_from_op1": 0.0, "op2_from_op2": 0.0}
    numbers, lost = written(patch(renderer, 0, **changes))
    assert numbers[30000] * 4 * np.pi == pytest.approx(0.5, rel=1e-3)
    assert sum("op1_from_op2 = 0.20 rad" in line for line in lost) == 1


def test_an_operator_near_nyquist_is_said() -> None:
    high = patch(fm.renderer(operators=2), 0, op1_ratio=1.0, op2_ratio=16.0)
    _, lost = written(high.model_copy(update={"note": 101.0}))  # 16 times 2794 Hz
    assert next(line for line in lost if "half the sample rate" in line).startswith("op2")
    _, lost = written(high)
    assert not any("half the sample rate" in line for line in lost)


def test_of_eight_operators_the_six_that_matter_stay() -> None:
    renderer = fm.renderer(operators=8)
    preset = patch(renderer, 0)
    weight = laws.importance(laws.voice(preset.values))
    least = sorted(range(8), key=weight.__getitem__)[:2]
    _, lost = written(preset)
    for v in least:
        assert any(line.startswith(f"operator {v + 1}:") for line in lost)
    assert sum(line.startswith("operator") for line in lost) == 2


def test_odd_names_and_effects() -> None:
    odd = patch(fm.renderer(), 0).model_copy(
        update={"name": 'a <b> & "c" \x01é\n鐘', "effects": (Effect(kind="Reverb"),)}
    )
    _, lost = written(odd)  # parses, and the name is compared
    assert any("Reverb" in line for line in lost)


def test_the_model_agrees_with_a_sum_of_bessel_functions() -> None:
    """Two operators without envelopes to speak of: partials J_k of the depth times 4 pi."""
    seconds = 25.0
    open_ended = {1: 0.0, 3: 1.0, 4: 0.0, 8: 0.0}
    numbers = {1500: 0.0, 1501: 1.0, 1750: 3.0, 1751: 1.0, 30000: 0.1, 30001: 1.0}
    numbers |= {20000: 0.0, 20001: 0.0, 20100: 1.0, 20101: 1.0, 10001: 0.0, 10101: 0.0}
    numbers |= {base + i: x for base in (30002, 20102) for i, x in open_ended.items()}
    numbers |= {30003: 0.01, 20103: 0.01}
    x = sixsines.play(numbers, Note(57), 1.0, RATE)
    n = np.arange(RATE // 2 - 11025, RATE // 2 + 11025)
    window = np.hanning(n.size)
    fallen = 1 - 0.5 / seconds
    for k in range(4):
        tone = np.exp(-2j * np.pi * 220 * (8 + k) * n / RATE)
        level = abs(2 * (x[n] * window * tone).sum() / window.sum())
        assert level == pytest.approx(fallen * abs(jv(k, 0.4 * np.pi * fallen)), rel=0.01)


@pytest.mark.parametrize("data", [b"", b"<patch", b"<patch id='x'/>"])
def test_other_files_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="not a Six Sines patch"):
        sixsines.values(data)
