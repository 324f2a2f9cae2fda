"""Plain WAV one-shots, and SFZ: a text beside them that maps them to keys and velocities."""

from __future__ import annotations

import math

from presets.export import laws
from presets.export.base import Exported, Exporter, Source
from presets.export.samples import (
    SHARED,
    Map,
    file_name,
    folder_name,
    one_line,
    sample_map,
    wavs,
)
from presets.preset import Preset

# sfizz falls as exp(-9 t / T): with this T by 20 dB in the time that ours does
RELEASE = 9.0 / math.log(10.0) * laws.FALLEN


def export_wav(preset: Preset, source: Source, stem: str) -> Exported:
    """The preset's own key, and beside it the samples of all keys, at full level."""
    plan = sample_map(preset, source)
    files = wavs(plan, source, folder_name(stem), stem)
    own = {f"{stem}.wav": next(iter(files.values()))}
    return Exported(own | files, (*plan.lost, "level by velocity: it is the sampler's to set"))


def export_sfz(preset: Preset, source: Source, stem: str) -> Exported:
    """The map as SFZ text and its samples. Level follows (v / 127)^2, which amp_veltrack=100 is."""
    plan = sample_map(preset, source)
    text = {f"{stem}.sfz": _text(plan, preset, stem).encode()}
    return Exported(text | wavs(plan, source, folder_name(stem), stem), plan.lost)


def _text(plan: Map, preset: Preset, stem: str) -> str:
    looped = any(zone.loop for zone in plan.zones)
    mode = "loop_continuous" if looped else "one_shot" if plan.release == math.inf else "no_loop"
    volume = 20.0 * math.log10(plan.level)
    lines = [
        f"// {one_line(preset.name)}",
        "<control>",
        "hint_ram_based=1",  # else sfizz, rendering offline, stops after what it preloaded
        "set_cc7=127",  # the channel's volume: else it starts 4 dB down
        f"default_path={folder_name(stem)}",
        "<global>",
        f"loop_mode={mode}",
        "amp_veltrack=100",
        f"volume={volume:.2f}",
    ]
    if plan.release < math.inf:
        lines.append(f"ampeg_release={RELEASE * plan.release:.4f}")
    for zone in plan.zones:
        (low, high), (soft, loud) = zone.keys, zone.velocities
        loop = (
            "" if zone.loop is None else f" loop_start={zone.loop[0]} loop_end={zone.loop[1] - 1}"
        )
        lines.append(
            f"<region> pitch_keycenter={zone.root} lokey={low} hikey={high}"
            f" lovel={soft} hivel={loud}{loop} sample={file_name(plan, zone, stem)}"
        )
    return "\n".join(lines) + "\n"


_BOTH = frozenset({"fm", "impact"})
WAV = Exporter("WAV one-shots", ".wav", _BOTH, export_wav, SHARED)
SFZ = Exporter("SFZ", ".sfz", _BOTH, export_sfz, SHARED)
