"""REPORT.md of an export: what each file is, who loads it, how near it sounds, what was lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from presets import Preset
from presets.export.samples import one_line

REPORT = "REPORT.md"
OTHER_DB = 10.0  # log-spectral distance; of 250 pairs of factory presets one in twenty is nearer
NEAR_DB = 3.0

LOADED_BY = {
    "wav": "any sampler: one file a key and velocity",
    "sfz": "sfizz, Sforzando, ARIA, Falcon, Ardour",
    "decent": "Decent Sampler",
    "multisample": "Bitwig Studio, PreSonus Studio One (Presence)",
    "sf2": "FluidSynth, Polyphone and most samplers",
    "ir": "any convolution reverb, as the space of the sound",
    "dx7": "a Yamaha DX7 or TX7 by SysEx, Dexed, Arturia DX7 V, Plogue OPS7",
    "vital": "Vital, Vitalium",
    "wavetable": "Vital, Surge XT, Serum, Ableton Wavetable, as a wavetable of 2048-sample frames",
    "sixsines": "Six Sines",
    "faust": "Faust: the web IDE, or compiled to VST, Max, Pure Data, ...",
}
"""Which programs open a format, for people."""


def report(preset: Preset, entries: dict[str, dict[str, Any]], folder: Path) -> str:
    """The page for a bundle in `folder`; `entries` as in the result of
    `bridge.protocol.jobs.Export`.
    """
    lines = [
        f"# {one_line(preset.name)}",
        "",
        f"The patch as Scorewire plays it is in the preset beside this file ({preset.renderer}, "
        f"note {preset.note:g}, {preset.seconds:g} s"
        + (f', made from the prompt "{one_line(preset.prompt)}"' if preset.prompt else "")
        + ").",
        "",
        "*Difference* compares the note of the patch in a real engine with ours, after lag and "
        "loudness: the log-spectral distance in dB (0 is the same spectrum) and the rms error "
        "of the waveform (0 % is the same wave; free phases alone make it large)."
        + (" Effects that a format leaves out count in it too." if preset.effects else "")
        + f" *Near* is up to {NEAR_DB:g} dB, *similar* below {OTHER_DB:g} dB; from there on it is "
        "*another sound*: so far apart are different presets.",
        "",
        "| format | open | in | difference | engine |",
        "|---|---|---|---|---|",
    ]
    for name, entry in entries.items():
        if "refused" not in entry:
            file = Path(entry["file"]).relative_to(folder).as_posix()
            opens = LOADED_BY.get(name, "")
            lines.append(
                f"| {entry['title']} | [{file}](<{file}>) | {opens} | {_difference(entry)} |"
            )
    for name, entry in entries.items():
        lines += ["", f"## {entry['title']} (`{name}`)", ""]
        if "refused" in entry:
            lines.append(f"Not written: {entry['refused']}.")
        else:
            lost = [f"- {sentence}" for sentence in entry["lost"]]
            lines += (
                ["What this format does not carry:", "", *lost] if lost else ["Nothing was lost."]
            )
            if verdict(entry) == OTHER:
                lines += ["", f"**In {entry['engine']} it has become {OTHER}.**"]
            lines += _beside(entry)
    return "\n".join(lines) + "\n"


OTHER = "another sound"


def verdict(entry: dict[str, Any]) -> str:
    """What the distance of a format means in words; empty when it was not measured."""
    far = entry["fidelity_db"]
    if far is None:
        return ""
    return OTHER if far >= OTHER_DB else "near" if far <= NEAR_DB else "similar"


def _beside(entry: dict[str, Any]) -> list[str]:
    """The other files of a format: by name, or the folder of many."""
    first, *others = map(Path, entry["files"])
    here = [f"`{path.name}`" for path in others if path.parent == first.parent]
    below = {path.parent.name for path in others if path.parent != first.parent}
    named = here + [f"the folder `{folder}`" for folder in sorted(below)]
    return ["", f"Beside it: {', '.join(named)}."] if named else []


def _difference(entry: dict[str, Any]) -> str:
    if entry["fidelity_db"] is None:
        return f"not measured | {one_line(entry['unchecked']).replace('|', '/')}"
    figures = f"{verdict(entry)}: {entry['fidelity_db']:.2f} dB, {100 * entry['rms']:.2g} %"
    return f"{figures} | {entry['engine']}"
