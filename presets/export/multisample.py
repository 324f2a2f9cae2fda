""".multisample of Bitwig and Studio One: a ZIP, not compressed, of one-shots and their map."""

from __future__ import annotations

import io
import math
import zipfile
from xml.etree import ElementTree as xml

from presets.export.base import Exported, Exporter, Source
from presets.export.samples import Map, file_name, one_line, sample_map, wavs
from presets.preset import Preset


def export(preset: Preset, source: Source, stem: str) -> Exported:
    """One file. What plays it brings its own envelope and velocity response."""
    plan = sample_map(preset, source)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
        contents = {"multisample.xml": _document(plan, preset, source, stem)}
        for name, data in (contents | wavs(plan, source, "", stem)).items():
            archive.writestr(zipfile.ZipInfo(name), data)  # dated 1980: same preset, same bytes
    lost = (
        *plan.lost,
        "level by velocity: set the sampler's own to follow (velocity / 127)^2",
        "notes that ring on: set the sampler to one shot"
        if plan.release == math.inf
        else f"release: set the sampler's own to {plan.release:.2g} s",
    )
    return Exported({f"{stem}.multisample": packed.getvalue()}, lost)


def _document(plan: Map, preset: Preset, source: Source, stem: str) -> bytes:
    root = xml.Element("multisample", name=one_line(preset.name))
    about = {
        "generator": "Scorewire",
        "category": "",
        "creator": "",
        "description": one_line(preset.prompt),
    }
    for tag, text in about.items():
        xml.SubElement(root, tag).text = text
    keywords = xml.SubElement(root, "keywords")
    for tag in preset.tags:
        xml.SubElement(keywords, "keyword").text = one_line(tag)
    for zone in plan.zones:
        stop = round(plan.seconds * source.rate) if zone.loop is None else zone.loop[1]
        sample = xml.SubElement(
            root,
            "sample",
            {
                "file": file_name(plan, zone, stem),
                "gain": "0.0",
                "sample-start": "0.0",
                "sample-stop": f"{stop}.0",
            },
        )
        low, high = (str(key) for key in zone.keys)
        xml.SubElement(sample, "key", low=low, high=high, root=str(zone.root), track="1", tune="0")
        soft, loud = (str(velocity) for velocity in zone.velocities)
        xml.SubElement(sample, "velocity", low=soft, high=loud)
        xml.SubElement(sample, "select", low="0", high="127")
        if zone.loop is None:
            xml.SubElement(sample, "loop", mode="off")
        else:
            first, after = (f"{frame}.0" for frame in zone.loop)
            xml.SubElement(sample, "loop", mode="loop", start=first, stop=after, fade="0.0")
    xml.indent(root, " ")
    data: bytes = xml.tostring(root, encoding="utf-8", xml_declaration=True)
    return data + b"\n"


EXPORTER = Exporter(
    "Multisample (Bitwig, Studio One)", ".multisample", frozenset({"fm", "impact"}), export
)
