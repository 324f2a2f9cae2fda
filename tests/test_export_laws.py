import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.optimize import minimize_scalar

from presets import Note
from presets.export import laws
from renderers import fm, for_preset, from_values, random_patches, to_values
from renderers.base import below_nyquist, physical
from renderers.fm import recursion
from tests.full_voices import full


@pytest.mark.parametrize("matrix", ["acyclic", "free"])
@pytest.mark.parametrize("operators", [1, 4, 8])
def test_limits_are_those_of_the_renderer(matrix: str, operators: int) -> None:
    r = fm.renderer(operators=operators, matrix=matrix)
    lay = fm.layout(r.params)
    random = torch.rand(8, len(r.params), generator=torch.Generator().manual_seed(1)).double()
    u = torch.cat([random_patches(r, 8, generator=torch.Generator().manual_seed(0)), random])
    g = fm.graph(lay, physical(lay.table, u), Note(20), 48000)
    for b in range(len(u)):
        ours = laws.voice(to_values(r, u[b]))
        assert np.array(ours.ratio) * Note(20).hz == pytest.approx(g.hz[b].numpy(), rel=1e-12)
        assert ours.attack == pytest.approx(g.attack[b].tolist(), rel=1e-12)
        assert ours.decay == pytest.approx(g.decay[b].tolist(), rel=1e-12)
        assert np.array(ours.matrix) == pytest.approx(g.matrix[b].numpy(), rel=1e-10, abs=1e-14)
        assert ours.mix == pytest.approx(g.mix[b].tolist(), rel=1e-10, abs=1e-14)


@pytest.mark.parametrize("algorithm", [1, 4, 7, 16, 21, 24])
def test_algorithms_of_the_dx7_are_those_of_the_renderer(algorithm: int) -> None:
    """The renderer counts their operators backwards, and gives a shared modulator one depth."""
    r = fm.renderer(matrix=f"dx7:{algorithm}")
    lay = fm.layout(r.params)
    u = torch.rand(4, len(r.params), generator=torch.Generator().manual_seed(1)).double()
    g = fm.graph(lay, physical(lay.table, u), Note(20), 48000)
    for b in range(len(u)):
        ours = laws.voice(to_values(r, u[b]))
        assert np.array(ours.matrix)[::-1, ::-1] == pytest.approx(g.matrix[b].numpy(), abs=1e-12)
        assert ours.mix[::-1] == pytest.approx(g.mix[b].tolist(), abs=1e-12)


def test_fade_is_that_of_the_renderer() -> None:
    hz = torch.linspace(18000.0, 25000.0, 50, dtype=torch.float64)
    ours = [laws.fade(x, 48000) for x in hz.tolist()]
    assert ours == pytest.approx(below_nyquist(hz, 48000).tolist(), abs=1e-14)


@pytest.mark.parametrize(("attack", "decay"), [(0.001, 0.02), (0.3, 0.5), (0.05, 4.0)])
def test_envelope_is_that_of_the_kernel(attack: float, decay: float) -> None:
    column = torch.tensor([[1.0]], dtype=torch.float64)
    # a quarter of a turn moved by a large constant phase: u = sin(2 pi 0.25 n) f, odd samples +-f
    audio = recursion(
        0.25 * column, attack * column, decay * column, 0 * column[None], column, 8000, 4000, False
    )[0].numpy()
    n = np.arange(1, 4000, 2)
    ours = [laws.envelope(t, attack, decay) for t in n / 8000]
    assert ours == pytest.approx(np.abs(audio[n]), abs=1e-12)


@pytest.mark.parametrize("decay", [0.02, 0.3, 1.0, 10.0])
def test_nearest_exponential_minimises_weighted_relative_error(decay: float) -> None:
    def f(x: float) -> float:
        return math.exp(-x / decay) * (1.0 - x)

    def cost(k: float) -> float:
        def error(x: float) -> float:
            return f(x) * (math.log(f(x)) + k * x) ** 2

        return quad(error, 0, 1, points=[0.1 * min(1, decay), min(0.9, 3 * decay)], limit=200)[0]

    best = minimize_scalar(cost, bounds=(0.5, 100), method="bounded", options={"xatol": 1e-6})
    assert laws.decay_rate(decay) * decay == pytest.approx(best.x, rel=1e-3)


@pytest.mark.parametrize(("sustain", "held"), [(0.0, 0.2), (0.5, 0.45), (1.0, 0.01)])
def test_a_held_envelope_is_that_of_the_renderer(sustain: float, held: float) -> None:
    times = {"attack": 0.02, "decay": 0.3, "sustain": sustain, "release": 0.25}
    preset = full({"ratio": 10.0, "mix": 1.0, **times}, note=57.0)
    renderer = for_preset(preset)
    u = from_values(renderer, preset.values)[None].double()
    audio = renderer.render(u, Note(57, held=held), 44100, 40000)[0, 0].numpy()
    times_of = (0.02, 0.3, sustain, 0.25, held)
    ours = np.array([laws.envelope(n / 44100, *times_of) for n in range(40000)])
    level = laws.voice(preset.values).mix[0]
    # the filter at rest, 20 kHz, passes 2.2 kHz as it is: levels over a period are compared
    power = np.convolve(audio**2, np.ones(441) / 441, "valid")  # 22 periods
    wanted = np.convolve((level * ours) ** 2 / 2.0, np.ones(441) / 441, "valid")
    assert np.sqrt(power) == pytest.approx(np.sqrt(wanted), rel=0.03, abs=2e-4)


def test_knobs_of_a_full_voice_are_those_of_the_renderer() -> None:
    r = fm.renderer(voice="full")
    lay = fm.layout(r.params)
    u = torch.rand(4, len(r.params), generator=torch.Generator().manual_seed(2)).double()
    values = physical(lay.table, u)
    g = fm.graph(lay, values, Note(20), 48000)
    for b in range(len(u)):
        ours = laws.voice(to_values(r, u[b]))
        assert np.array(ours.ratio) * Note(20).hz == pytest.approx(g.hz[b].numpy(), rel=1e-12)
        assert ours.mix == pytest.approx(g.mix[b].tolist(), rel=1e-10, abs=1e-14)
        assert ours.movement is not None
        assert laws.part(ours, (2, 1)).release == (ours.release[2], ours.release[1])
    assert laws.movement({"level": 1.0}) is None


def test_a_release_falls_by_20_db_where_it_says() -> None:
    assert laws.let_go(laws.FALLEN, 1.0) == pytest.approx(0.1, rel=1e-3)
    assert laws.let_go(2.0, 1.0) == 0.0
    assert laws.let_go(1e9, math.inf) == 1.0


def test_what_holds_and_when_it_has_settled() -> None:
    def voice(**changes: float) -> laws.Voice:
        return laws.voice(full({"mix": 1.0}, {"sustain": 0.5}, **changes).values)

    assert not laws.holds(voice())  # what holds is not heard
    assert laws.holds(voice(op1_sustain=0.1))
    assert laws.holds(voice(noise_level=0.1, noise_sustain=0.1))
    assert laws.settled(voice()) == pytest.approx(0.305)
    assert laws.settled(voice(filter_env=1.0, filter_decay=2.0)) == pytest.approx(2.001)
    falls = laws.settled(voice(pitch_start=12.0, pitch_time=0.5))  # 12 exp(-t / 0.5) = 0.01
    assert falls == pytest.approx(0.5 * math.log(1200))
    assert laws.release_of(voice(op1_release=0.4)) == pytest.approx(0.4)
    assert laws.lfo_cycle(voice(lfo_hz=2.0)) == 0.0
    assert laws.lfo_cycle(voice(lfo_hz=2.0, lfo_to_index=0.1)) == 0.5
    at_rest, closed = voice().movement, voice(filter_env=-1.0).movement
    assert at_rest is not None
    assert closed is not None
    assert (laws.filters(at_rest), laws.filters(closed)) == (False, True)


def test_loops_are_found() -> None:
    assert laws.order(3, [(1, 0), (2, 1), (0, 0)]) == (0, 1, 2)
    assert laws.order(3, [(0, 1), (1, 2), (2, 0)]) is None
    assert laws.order(2, []) == (0, 1)


def test_missing_mix_and_edges_are_zero() -> None:
    values = {"op1_ratio": 1.0, "op1_attack": 0.01, "op1_decay": 1.0, "op1_mix": 0.5, "level": 1.0}
    values |= {"op2_ratio": 2.0, "op2_attack": 0.01, "op2_decay": 1.0, "op1_from_op2": 3.0}
    ours = laws.voice(values)
    assert ours.matrix == ((0.0, 3.0), (0.0, 0.0))
    assert ours.mix == pytest.approx((0.5, 0.0), rel=1e-3)


@pytest.mark.parametrize("decay", [0.02, 0.1, 0.2, 1.0, 10.0])
@pytest.mark.parametrize(("limit", "power"), [(8.0, 1), (20.0, 2)])
def test_bent_decay_is_the_nearest_in_db(decay: float, limit: float, power: int) -> None:
    r = (np.arange(400) + 0.5) / 400 * decay
    ours = np.array([max(-60, 20 * np.log10(max(1e-3, laws.envelope(x, 0, decay)))) for x in r])

    def distance(seconds: float, bend: float) -> float:
        theirs = np.array([max(1e-3, laws.bend(x / seconds, bend) ** power) for x in r])
        return float(((ours - np.maximum(-60, 20 * np.log10(theirs))) ** 2).mean())

    seconds, bend = laws.bent(decay, limit=limit, power=power)
    assert abs(bend) <= limit
    assert seconds <= decay
    found = distance(seconds, bend)
    if seconds == decay:
        assert all(found <= distance(decay, bend + change) for change in (-0.05, 0.05))
    else:
        assert all(found <= distance(seconds * f, bend) for f in (0.99, 1.01))
    # an rms error in dB: 0.6 where it can bend as ours does, 4 where a square stands in the way
    assert found**0.5 < (1.2 if power == 1 else 4.5)


def test_what_modulates_the_loud_matters_more_than_what_modulates_the_soft() -> None:
    voice = laws.Voice(
        (1.0,) * 4,
        (0.01,) * 4,
        (1.0,) * 4,
        ((0, 0, 0, 0), (0, 0, 0, 0), (1.0, 0, 0, 0), (0, 1.0, 0, 0)),
        (0.0, 0.0, 0.9, 0.1),
        (0.0,) * 4,
        (1.0,) * 4,
        (0.0,) * 4,
    )
    assert laws.importance(voice) == pytest.approx((0.45, 0.05, 0.9, 0.1))
    assert laws.part(voice, (2, 0)).matrix == ((0, 1.0), (0, 0))
