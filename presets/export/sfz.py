"""Plain WAV one-shots, and SFZ: a text beside them that maps them to keys and velocities."""

from __future__ import annotations

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
    lines = [
        f"// {one_line(preset.name)}",
        "<control>",
        "hint_ram_based=1",  # else sfizz, rendering offline, stops after what it preloaded
        f"default_path={folder_name(stem)}",
        "<global>",
        "loop_mode=one_shot",
        "amp_veltrack=100",
    ]
    for zone in plan.zones:
        (low, high), (soft, loud) = zone.keys, zone.velocities
        lines.append(
            f"<region> pitch_keycenter={zone.root} lokey={low} hikey={high}"
            f" lovel={soft} hivel={loud} sample={file_name(plan, zone, stem)}"
        )
    return "\n".join(lines) + "\n"


_BOTH = frozenset({"fm", "impact"})
WAV = Exporter("WAV one-shots", ".wav", _BOTH, export_wav, SHARED)
SFZ = Exporter("SFZ", ".sfz", _BOTH, export_sfz, SHARED)
