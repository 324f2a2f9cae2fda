"""Full FM voices for the tests of exporters: knobs at rest but for those that a test moves."""

from __future__ import annotations

from presets import Preset
from presets.ranges import MOVEMENT

AT_REST = {param.name: 0.0 for param in MOVEMENT} | {
    "pitch_time": 0.1,
    "lfo_hz": 5.0,
    "noise_hz": 2000.0,
    "noise_width": 1.0,
    "noise_attack": 0.005,
    "noise_decay": 0.2,
    "noise_release": 0.1,
    "filter_hz": 20000.0,
    "filter_attack": 0.001,
    "filter_decay": 0.2,
}


def full(*rows: dict[str, float], note: float = 57.0, **changes: float) -> Preset:
    """Operators given as ratio, mix, sustain and so on, edges and what moves by their names."""
    values = {"level": 0.5} | AT_REST
    usual = {"ratio": 1.0, "attack": 0.005, "decay": 0.3, "detune": 0.0, "sustain": 0.0}
    for v, row in enumerate(rows, 1):
        for name, value in ({"release": 0.2, "mix": 0.0} | usual | row).items():
            values[f"op{v}_{name}"] = value
        values |= {f"op{v}_from_op{w}": 0.0 for w in range(1, v + 1)}
    unknown = set(changes) - set(values)
    assert not unknown, unknown
    return Preset(
        name="full", renderer="fm", renderer_version=1, values=values | changes, note=note
    )
