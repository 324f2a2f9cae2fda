import math
import xml.etree.ElementTree as ElementTree
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.signal import resample_poly

from presets import Effect, Note, Preset
from presets.export import laws
from presets.export.sixsines import EXPORTER
from renderers import fm, from_values, random_patches, to_values
from renderers.base import Renderer
from renderers.fidelity import lsd

RATE = 44100
FASTER = (5, 2)  # the synth runs at 2.5 times the host's rate
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
    assert root.get("name") == preset.name
    return {int(p.attrib["id"]): float(p.attrib["v"]) for p in root.iter("p")}, exported.lost


def curve(values: dict[int, float], base: int, t: np.ndarray) -> np.ndarray:
    """An envelope of Six Sines: attack and decay of shapes exp(8 s |s| x), then silence."""

    def seconds(position: float) -> float:
        return (math.exp(0.6931471824646 + 9.4335641861 * position) - 2.0) / 1000.0

    def kernel(x: np.ndarray, shape: float) -> np.ndarray:
        bend = 8.0 * shape * abs(shape)
        return x if abs(shape) < 1e-4 else np.expm1(bend * x) / np.expm1(bend)

    attack, decay = seconds(values[base + 1]), seconds(values[base + 3])
    rising = kernel(np.clip(t / attack, 0, 1), 0.0)
    falling = 1.0 - kernel(np.clip((t - attack) / decay, 0, 1), values[base + 8])
    return np.where(t < attack, rising, falling)


def six_sines(values: dict[int, float], note: Note) -> np.ndarray:
    """One second of the synth's law: operators in order, each edge and mixer under its envelope."""
    up, down = FASTER
    n = np.arange(RATE * up // down)
    t = n / (RATE * up / down)
    heard, out = [], np.zeros(n.size)
    for k in range(6):
        if not values.get(1501 + 250 * k):
            break
        phase = 2 * np.pi * note.hz * 2 ** values[1500 + 250 * k] * t
        for s, u in enumerate(heard):
            edge = 30000 + 200 * (k * (k - 1) // 2 + s)
            if values[edge + 1]:
                phase += 4 * np.pi * values[edge] * curve(values, edge + 2, t) * u
        u = np.sin(phase)
        own = 10000 + 100 * k
        if values[own + 1]:
            index = np.pi / 2 * values[own] * curve(values, own + 2, t)
            before = last = 0.0
            for i in range(n.size):
                before, last = last, math.sin(phase[i] + index[i] * 0.5 * (before + last))
                u[i] = last
        heard.append(u)
        mixer = 20000 + 100 * k
        if values[mixer + 1]:
            out += values[mixer] * curve(values, mixer + 2, t) * u
    return resample_poly(out, down, up)


def distance(renderer: Renderer, preset: Preset) -> float:
    u = from_values(renderer, preset.values)[None]
    ours = renderer.render(u, Note(57), RATE, RATE)[0, 0].numpy()
    return lsd(ours, six_sines(written(preset)[0], Note(57)), RATE)


@pytest.mark.parametrize("number", range(1, 6))
def test_acyclic_patches_keep_their_sound(number: int) -> None:
    assert distance(fm.renderer(), patch(fm.renderer(), number)) < 1.0  # measured: 0.16 to 0.92


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
    assert lsd(ours, six_sines(written(preset)[0], Note(note)), RATE) < limit


ENVELOPE = {1: (0, 1), 3: (0, 1), 4: (0, 1), 5: (0, 1), 8: (-1, 1), 12: (0, 1)}
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
        update={"name": 'a <b> & "c" é 鐘', "effects": (Effect(kind="Reverb"),)}
    )
    _, lost = written(odd)  # parses, and the name is compared
    assert any("Reverb" in line for line in lost)
