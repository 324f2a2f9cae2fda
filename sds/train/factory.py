"""Make the factory presets: a family has a few prompts more than presets, and the best stay.

    python -m sds.train.factory --out presets/factory

The evaluation scorer chooses among them, and no preset stays whose verdict is "out of reach". So
their scores say how well the evaluation scorer's choice suits the evaluation scorer, not how good a
search is: for that the scoreboard has prompts of which none is left out.

The searches are those of `scorewire patch` with the recipe `fast`, by one worker; what is there
already is not searched again. Beside each preset lies a preview: 16-bit WAV at the level of the
preset. `examples/factory_page.py` draws them all.
"""

from __future__ import annotations

import argparse
import json
import logging
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import soundfile

from presets.python_child import python_child
from presets.reading import read_json

log = logging.getLogger(__name__)

REFUSED = "out of reach"


class Wish(NamedTuple):
    """A preset to search: its name, the prompt, the synth, a MIDI note and seconds of sound."""

    name: str
    prompt: str
    synth: str
    note: int
    seconds: float


FM, IMPACT, AUTO = "fm", "impact", "auto"

# family -> how many stay
KEPT = {
    "drums": 16,
    "bass": 10,
    "keys": 10,
    "bells": 8,
    "pads": 6,
    "plucks": 6,
    "effects": 8,
}

PROMPTS: dict[str, tuple[Wish, ...]] = {
    "drums": (
        Wish("Round Kick", "deep electronic kick drum", FM, 48, 1.0),
        Wish("Acoustic Kick", "acoustic kick drum", AUTO, 48, 1.0),
        Wish("Hard Kick", "hard punchy kick drum", FM, 48, 0.8),
        Wish("Short Snare", "tight acoustic snare drum", AUTO, 60, 1.0),
        Wish("Electro Snare", "electronic snare drum", FM, 60, 1.0),
        Wish("Hall Snare", "snare drum with long reverb", AUTO, 60, 1.0),
        Wish("Closed Hat", "closed hi-hat", AUTO, 60, 0.5),
        Wish("Open Hat", "open hi-hat", AUTO, 60, 1.5),
        Wish("Crash", "crash cymbal", AUTO, 60, 2.9),
        Wish("Low Tom", "low floor tom drum", FM, 48, 1.5),
        Wish("High Tom", "high tom drum", FM, 60, 1.0),
        Wish("Conga", "conga drum hit", AUTO, 60, 1.0),
        Wish("Clap", "hand clap", AUTO, 60, 0.8),
        Wish("Rimshot", "dry rimshot", AUTO, 60, 0.6),
        Wish("Cowbell", "cowbell", FM, 60, 0.8),
        Wish("Woodblock", "woodblock hit", AUTO, 72, 0.6),
        Wish("Shaker", "shaker", AUTO, 60, 0.8),
        Wish("Tambourine", "tambourine hit", AUTO, 60, 1.0),
        Wish("Bongo", "bongo drum", AUTO, 60, 0.8),
    ),
    "bass": (
        Wish("Sub", "808 sub bass", FM, 36, 2.0),
        Wish("Synth Bass", "synth bass note", FM, 36, 1.5),
        Wish("Electric Bass", "electric bass guitar note", FM, 36, 2.0),
        Wish("Slap", "slap bass note", FM, 36, 1.5),
        Wish("Upright", "double bass pizzicato", FM, 36, 2.0),
        Wish("Wobble", "dubstep wobble bass", FM, 36, 2.0),
        Wish("Muted Bass", "muted short bass note", FM, 36, 1.0),
        Wish("Reese", "dark detuned synth bass", FM, 36, 2.0),
        Wish("Acid", "acid bass with a resonant filter", FM, 36, 1.0),
        Wish("Dist Bass", "distorted bass", FM, 36, 1.5),
        Wish("Organ Bass", "low organ bass note", FM, 36, 2.0),
    ),
    "keys": (
        Wish("Electric Piano", "electric piano note", FM, 60, 2.5),
        Wish("Soft Piano", "soft piano note", FM, 60, 2.5),
        Wish("Organ", "organ note", FM, 60, 2.0),
        Wish("Church Organ", "church organ", FM, 48, 2.5),
        Wish("Harpsichord", "harpsichord note", FM, 60, 2.0),
        Wish("Clavinet", "clavinet note", FM, 48, 1.5),
        Wish("Accordion", "accordion note", FM, 60, 2.0),
        Wish("Synth Keys", "bright synth keys", FM, 60, 2.0),
        Wish("Flute", "flute note", FM, 72, 2.0),
        Wish("Brass", "synth brass", FM, 60, 2.0),
        Wish("Clarinet", "clarinet note", FM, 60, 2.0),
        Wish("Trumpet", "trumpet note", FM, 67, 2.0),
    ),
    "bells": (
        Wish("Church Bell", "large church bell", FM, 60, 2.9),
        Wish("Tubular", "tubular bells", FM, 60, 2.9),
        Wish("Hand Bell", "small hand bell", FM, 72, 2.5),
        Wish("Glockenspiel", "glockenspiel note", FM, 72, 2.0),
        Wish("Vibraphone", "vibraphone note", FM, 60, 2.9),
        Wish("Marimba", "marimba note", FM, 60, 1.5),
        Wish("Xylophone", "xylophone note", FM, 72, 1.2),
        Wish("Music Box", "music box note", FM, 72, 1.5),
        Wish("Crystal", "bright crystal bell", FM, 84, 2.0),
    ),
    "pads": (
        Wish("Warm Pad", "warm analog pad", FM, 60, 2.9),
        Wish("Strings", "soft synth strings", FM, 60, 2.9),
        Wish("Dark Pad", "dark ambient pad", FM, 48, 2.9),
        Wish("Glass Pad", "glassy shimmering pad", FM, 60, 2.9),
        Wish("Choir", "choir pad", FM, 60, 2.9),
        Wish("Violin", "violin note", FM, 67, 2.5),
        Wish("Cello", "cello note", FM, 48, 2.5),
    ),
    "plucks": (
        Wish("Pluck", "plucked synth", FM, 60, 1.0),
        Wish("Guitar", "acoustic guitar pluck", FM, 60, 2.0),
        Wish("Harp", "harp note", FM, 60, 2.5),
        Wish("Kalimba", "kalimba note", FM, 72, 1.5),
        Wish("Koto", "koto pluck", FM, 60, 2.0),
        Wish("Muted Guitar", "muted electric guitar note", FM, 55, 1.0),
        Wish("Pizzicato", "violin pizzicato", FM, 67, 1.0),
    ),
    "effects": (
        Wish("Laser", "laser zap", FM, 60, 1.0),
        Wish("Drop", "water drop", AUTO, 72, 0.8),
        Wish("Thunder", "distant thunder rumble", AUTO, 36, 2.9),
        Wish("Footsteps", "footsteps on gravel", IMPACT, 60, 2.0),
        Wish("Rain", "rain on a tin roof", AUTO, 60, 2.9),
        Wish("Pot", "hitting a metal pot with a wooden spoon", IMPACT, 60, 2.0),
        Wish("Bottle", "glass bottle clink", IMPACT, 60, 1.5),
        Wish("Wind", "wind howling", FM, 60, 2.9),
        Wish("Siren", "siren", FM, 60, 2.5),
        Wish("Clock", "clock ticking", IMPACT, 60, 1.5),
    ),
}


def search(out: Path) -> dict[str, dict[str, float]]:
    """Search every prompt into `out`/searches; the evaluation scorer's score by family and name,
    of those that are not out of reach.
    """
    scores: dict[str, dict[str, float]] = {family: {} for family in PROMPTS}
    with subprocess.Popen(
        python_child("bridge.worker"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as worker:
        for family, prompts in PROMPTS.items():
            for name, prompt, synth, note, seconds in prompts:
                folder = out / "searches" / name
                path = folder / "result.json"
                if path.is_file():
                    result = read_json(path)
                else:
                    job = {
                        "kind": "patch",
                        "id": name,
                        "prompt": prompt,
                        "renderer": synth,
                        "out": str(folder.absolute()),
                        "duration": seconds,
                        "note": note,
                        "count": 2,
                        "recipe": "fast",
                    }
                    result = ask(worker, job)
                    path.write_text(json.dumps(result))
                log.info("%s: %s, %.2f, %s", family, name, result["score_after"], result["verdict"])
                if not result["verdict"].startswith(REFUSED):
                    scores[family][name] = result["score_after"]
        if worker.stdin:
            worker.stdin.close()
    return scores


def ask(worker: subprocess.Popen[str], job: dict[str, Any]) -> dict[str, Any]:
    """Run one job. Raises `RuntimeError` with the worker's reason when there is no result."""
    if worker.stdin is None or worker.stdout is None:
        raise ValueError("the worker needs pipes")
    worker.stdin.write(json.dumps(job) + "\n")
    worker.stdin.flush()
    for line in worker.stdout:
        event = read_json(line)
        if event["kind"] == "done":
            result: dict[str, Any] = event["result"]
            return result
        if event["kind"] in ("failed", "cancelled"):
            raise RuntimeError(f"{job['id']}: {event.get('reason', event['kind'])}")
    raise RuntimeError(f"{job['id']}: the worker ended")


def keep(out: Path, family: str, name: str) -> None:
    """Write the preset under its name, tagged with its family, and its preview."""
    result = read_json(out / "searches" / name / "result.json")
    preset = read_json(Path(result["preset"]))
    preset |= {"name": name, "tags": [family, "factory"]}
    path = out / f"{name.lower().replace(' ', '-')}.json"
    path.write_text(json.dumps(preset, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    sound, rate = soundfile.read(result["wav"], dtype="float32")
    soundfile.write(path.with_suffix(".wav"), sound, rate, subtype="PCM_16")


def main() -> None:
    """Search, choose, keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("presets/factory"))
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    args.out.mkdir(parents=True, exist_ok=True)
    for family, scores in search(args.out).items():
        best = sorted(scores, key=lambda name: -scores[name])[: KEPT[family]]
        log.info("%s: kept %s", family, ", ".join(best))
        for name in best:
            keep(args.out, family, name)


if __name__ == "__main__":
    main()
