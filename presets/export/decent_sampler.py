"""Decent Sampler: XML over the same one-shots as SFZ."""

from __future__ import annotations

import math
from itertools import pairwise
from xml.etree import ElementTree as xml

from presets.export.base import Exported, Exporter, Source
from presets.export.samples import SHARED, Map, file_name, folder_name, sample_map, wavs
from presets.preset import Preset

# The player's own law is v / 127, one power short of ours. The other comes in steps: a range of
# velocities plays its sample times its middle / 127. Ranges are narrow where that is cheap.
STEPS = (1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 18, 22, 27, 33, 40, 50, 60, 72, 85, 100, 113, 128)


def export(preset: Preset, source: Source, stem: str) -> Exported:
    """A .dspreset and its samples."""
    plan = sample_map(preset, source)
    document = {f"{stem}.dspreset": _document(plan, stem)}
    lost = (*plan.lost, "level by velocity: in steps, within 1 dB of ours")
    if plan.release == math.inf:
        lost += (f"notes that ring on: a released key fades out over {_release(plan):.0f} s",)
    return Exported(document | wavs(plan, source, folder_name(stem), stem), lost)


def _document(plan: Map, stem: str) -> bytes:
    root = xml.Element("DecentSampler", minVersion="1.0.0")
    groups = xml.SubElement(root, "groups", volume="1.0")
    group = xml.SubElement(
        groups,
        "group",
        ampVelTrack="1",
        attack="0.0",
        decay="0.0",
        sustain="1.0",
        release=f"{_release(plan):.3f}",
        releaseCurve="0" if plan.release == math.inf else "100",
    )
    for zone in plan.zones:
        for low, high in _ranges(*zone.velocities):
            sample = xml.SubElement(
                group,
                "sample",
                path=folder_name(stem) + file_name(plan, zone, stem),
                rootNote=str(zone.root),
                loNote=str(zone.keys[0]),
                hiNote=str(zone.keys[1]),
                loVel=str(low),
                hiVel=str(high),
                volume=f"{(low + high) / 2 / 127:.5f}",
                loopEnabled="true" if zone.loop else "false",
            )
            if zone.loop is not None:
                sample.set("loopStart", str(zone.loop[0]))
                sample.set("loopEnd", str(zone.loop[1] - 1))
    xml.indent(root, " ")
    text: bytes = xml.tostring(root, encoding="utf-8", xml_declaration=True)
    return text + b"\n"


def _release(plan: Map) -> float:
    """Ours; where notes ring on a slow one comes near to that, as there is no one-shot mode."""
    return plan.release if plan.release < math.inf else max(1.0, 2.0 * plan.seconds)


def _ranges(low: int, high: int) -> list[tuple[int, int]]:
    """`low`..`high` cut where `STEPS` says, inclusive."""
    edges = [low, *(edge for edge in STEPS if low < edge <= high), high + 1]
    return [(a, b - 1) for a, b in pairwise(edges)]


EXPORTER = Exporter("Decent Sampler", ".dspreset", frozenset({"fm", "impact"}), export, SHARED)
