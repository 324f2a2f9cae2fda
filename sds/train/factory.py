"""Make the factory presets: of six prompts a family, the five with the evaluation scorer's best.

    python -m sds.train.factory --out presets/factory

So the evaluation scorer chose among them, and their scores say how well the evaluation scorer's
choice suits the evaluation scorer, not how good a search is: for that the scoreboard has prompts
of which none is left out.

The searches are those of `scorewire patch` with the recipe `default`, by one worker; what is there
already is not searched again. Beside each preset lies a preview: 16-bit WAV, no louder than full
scale, until the sound has fallen by 60 dB.
"""

from __future__ import annotations

import argparse
import json
import logging
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from presets.python_child import python_child
from presets.reading import read_json

log = logging.getLogger(__name__)

KEPT = 5  # of each family
QUIET = 1e-3
FADE = 0.01  # seconds
LOUDEST = 0.99
FM, IMPACT = "fm", "impact"

# family -> (name, prompt, synth, MIDI note, seconds)
PROMPTS: dict[str, tuple[tuple[str, str, str, int, float], ...]] = {
    "drums": (
        ("Round Kick", "deep electronic kick drum", FM, 48, 1.0),
        ("Short Snare", "tight acoustic snare drum", IMPACT, 60, 1.0),
        ("Closed Hat", "closed hi-hat", IMPACT, 60, 0.8),
        ("Low Tom", "low floor tom drum", FM, 48, 1.5),
        ("Conga", "conga drum hit", FM, 60, 1.0),
        ("Rimshot", "dry rimshot", FM, 60, 0.8),
    ),
    "bass": (
        ("Synth Bass", "synth bass note", FM, 36, 1.5),
        ("Plucked Bass", "plucked electric bass guitar", FM, 36, 2.0),
        ("Upright", "double bass pizzicato", FM, 36, 2.0),
        ("Slap", "slap bass note", FM, 36, 1.5),
        ("Sub", "deep sub bass tone", FM, 36, 2.0),
        ("Muted Bass", "muted short bass note", FM, 36, 1.0),
    ),
    "bells": (
        ("Church Bell", "large church bell", FM, 60, 2.5),
        ("Tubular", "tubular bells", FM, 60, 2.5),
        ("Glockenspiel", "glockenspiel note", FM, 72, 2.0),
        ("Hand Bell", "small hand bell", FM, 72, 2.0),
        ("Music Box", "music box note", FM, 72, 1.5),
        ("Cowbell", "cowbell", FM, 60, 1.0),
    ),
    "keys": (
        ("Electric Piano", "electric piano note", FM, 60, 2.5),
        ("Vibraphone", "vibraphone note", FM, 60, 2.5),
        ("Marimba", "marimba note", FM, 60, 1.5),
        ("Harpsichord", "harpsichord note", FM, 60, 2.0),
        ("Organ", "organ note", FM, 60, 2.0),
        ("Clavinet", "clavinet note", FM, 48, 1.5),
    ),
    "metal": (
        ("Pot", "hitting a metal pot with a spoon", IMPACT, 60, 2.0),
        ("Gong", "large gong", IMPACT, 60, 2.5),
        ("Triangle", "triangle percussion", FM, 72, 2.0),
        ("Pipe", "striking a metal pipe", IMPACT, 60, 2.0),
        ("Anvil", "hammer on an anvil", IMPACT, 60, 2.0),
        ("Cymbal", "crash cymbal", IMPACT, 60, 2.5),
    ),
    "wood": (
        ("Woodblock", "woodblock hit", FM, 72, 0.8),
        ("Claves", "claves", FM, 72, 0.8),
        ("Door Knock", "knocking on a wooden door", IMPACT, 60, 1.5),
        ("Plank", "wooden plank dropped", IMPACT, 60, 1.5),
        ("Xylophone", "xylophone note", FM, 72, 1.2),
        ("Temple Block", "temple block", FM, 60, 0.8),
    ),
    "glass": (
        ("Glass Clink", "glass clink", IMPACT, 60, 1.5),
        ("Wine Glass", "wine glass struck", FM, 72, 2.0),
        ("Bottle", "tapping a glass bottle", IMPACT, 60, 1.5),
        ("Shards", "glass breaking", IMPACT, 60, 2.0),
        ("Bowl", "glass bowl struck with a mallet", IMPACT, 60, 2.0),
        ("Crystal", "bright crystal bell", FM, 84, 2.0),
    ),
    "fx": (
        ("Laser", "laser zap", FM, 60, 1.0),
        ("Drop", "water drop", FM, 72, 0.8),
        ("Thunder", "distant thunder rumble", IMPACT, 36, 2.5),
        ("Beep", "short electronic beep", FM, 72, 0.8),
        ("Clock", "clock ticking", IMPACT, 60, 1.5),
        ("Gunshot", "gunshot in a large room", IMPACT, 60, 2.0),
    ),
}


def search(out: Path) -> dict[str, dict[str, float]]:
    """Search every prompt into `out`/searches; the evaluation scorer's score by family and name."""
    scores: dict[str, dict[str, float]] = {}
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
                    }
                    result = ask(worker, job)
                    path.write_text(json.dumps(result))
                scores.setdefault(family, {})[name] = result["score_after"]
                log.info("%s: %s, %.2f", family, name, result["score_after"])
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
    loud = np.flatnonzero(np.abs(sound) > QUIET * np.abs(sound).max())
    sound = sound[: int(loud[-1]) + 1]
    sound = sound * min(1.0, LOUDEST / float(np.abs(sound).max()))  # integers clip
    fade = min(len(sound), round(FADE * rate))
    sound[-fade:] *= np.linspace(1.0, 0.0, fade, dtype=np.float32)
    soundfile.write(path.with_suffix(".wav"), sound, rate, subtype="PCM_16")


def main() -> None:
    """Search, choose, keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("presets/factory"))
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    args.out.mkdir(parents=True, exist_ok=True)
    for family, scores in search(args.out).items():
        best = sorted(scores, key=lambda name: -scores[name])[:KEPT]
        log.info("%s: kept %s", family, ", ".join(best))
        for name in best:
            keep(args.out, family, name)


if __name__ == "__main__":
    main()
