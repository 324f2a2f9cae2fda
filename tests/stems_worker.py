"""A worker for the panel's tests: real stem sets that add up, and exports, in milliseconds.

It speaks bridge/protocol/jobs.py as bridge.worker does. Prompt number i (from 0) gets the share
0.5^(i + 1) of a recording, the residual the rest. A prompt that begins with "absent" is not heard:
it gets a stem only by force. Of stems that are generated, or added to given ones, each is a sine of
its own. A job whose first prompt is "slow" works until it is cancelled.
"""

import array
import json
import math
import os
import queue
import sys
import threading
import time
from pathlib import Path

from bridge.files import names, wav
from bridge.protocol.stem_classes import STEMS
from bridge.stems import manifest as stems

RATE = 8000  # of what is generated
HEARD = (0.1, 0.9, 0.8, 0.0)  # of each second

inbox = queue.Queue()
cancelled = set()


def listen():
    for line in sys.stdin:
        message = json.loads(line)
        if message["kind"] == "cancel":
            cancelled.add(message["id"])
        else:
            inbox.put(message)
    os._exit(0)  # the bridge is gone


def say(job, kind, **event):
    sys.stdout.write(json.dumps({"kind": kind, "id": job["id"]} | event) + "\n")
    sys.stdout.flush()


def suggest(job):
    rows = [
        {"prompt": prompt, "score": score, "likelihood": word, "present": True, "activity": HEARD}
        for prompt, score, word in (("rain", 0.8, "likely"), ("<b>dog</b>", 0.4, "possible"))
    ]
    say(job, "done", result={"suggestions": rows, "unsure": False, "seconds": 0.1})


def separate(job):
    source = Path(job["file"])
    header = wav.read_header(source)
    sound = array.array("f", (v for block in wav.samples(header) for v in block))
    prompts = job["stems"] or job["prompts"]
    absent = [p for p in prompts if p.startswith("absent") and not job["force"]]
    prompts = [p for p in prompts if p not in absent]
    if not prompts:
        reason = "none of the prompts is heard; force separates all the same"
        say(job, "failed", code="bad-input", reason=reason)
        return
    out = Path(job["out"])
    if job["excerpt"]:
        out /= "excerpt"
        begin = round((job["excerpt_begin"] or 0) * header.rate) * header.channels
        sound = sound[begin : begin + round(job["excerpt"] * header.rate) * header.channels]
    shape = {"rate": header.rate, "channels": header.channels}
    shares = [array.array("f", (v * 0.5 ** (i + 1) for v in sound)) for i in range(len(prompts))]
    rest = array.array("f", (x - sum(parts) for x, *parts in zip(sound, *shares, strict=True)))
    write(out / "residual.wav", rest, **shape)
    write(out / "source" / "mix.wav", sound, **shape)
    made = write_set(
        out, dict(zip(prompts, shares, strict=True)), source=source.name, residual="residual.wav",
        source_sha256=names.sha256(source), task="stems" if job["stems"] else "prompts", **shape,
        absent=[stems.Absent(prompt=p, presence=0.05, activity=HEARD) for p in absent],
    )  # fmt: skip
    say(job, "done", result=made | {"residual": str(out / "residual.wav")})


def generate(job):
    out = Path(job["out"])
    if not job["stems"]:
        clips = [
            {"prompt": p, "wav": str(out / f"clip-{i}.wav")} for i, p in enumerate(job["prompts"])
        ]
        for clip in clips:
            write(Path(clip["wav"]), sine(0, RATE), rate=RATE, channels=1)
        say(job, "done", result={"clips": clips})
        return
    sounds = {name: sine(STEMS.index(name), RATE) for name in job["stems"]}
    together(job, sounds, job["prompts"][0], rate=RATE, channels=1)


def accompany(job):
    headers = {name: wav.read_header(Path(file)) for name, file in job["given"].items()}
    first = next(iter(headers.values()))
    added = {name: sine(STEMS.index(name), first.frames * first.channels) for name in job["add"]}
    given = {
        name: array.array("f", (v for block in wav.samples(h) for v in block))
        for name, h in headers.items()
    }
    shape = {"rate": first.rate, "channels": first.channels}
    together(job, given | added, job["prompt"], given=tuple(given), **shape)


def export(job):
    """Two files, and a sentence on what was lost."""
    out = Path(job["out"])
    out.mkdir(parents=True, exist_ok=True)
    files = [out / f"{job['formats'][0]}-{i}.bin" for i in range(2)]
    for file in files:
        file.write_bytes(Path(job["preset"]).read_bytes())
    entry = {
        "file": str(files[0]), "files": [str(file) for file in files], "lost": ["<b>reverb</b>"],
        "engine": "", "fidelity_db": None, "rms": None, "unchecked": "no engine is here",
    }  # fmt: skip
    say(job, "done", result=entry | {"formats": {job["formats"][0]: entry}, "seconds": 0.1})


def together(job, sounds, words, *, given=(), **shape):
    """A set that was made: the source is the mix."""
    out = Path(job["out"])
    mix = array.array("f", (sum(parts) for parts in zip(*sounds.values(), strict=True)))
    write(out / "source" / "mix.wav", mix, **shape)
    made = write_set(out, sounds, source="mix.wav", source_sha256="", task=job["kind"], words=words,
                     given=given, **shape)  # fmt: skip
    say(job, "done", result=made | {"mix": str(out / "source" / "mix.wav")})


def write_set(out, sounds, *, rate, channels, given=(), **fields):
    """Stems and manifest; the keys of the result that all sets have."""
    listed = [{"prompt": p, "wav": str(out / f"stem-{i}.wav")} for i, p in enumerate(sounds)]
    for stem, sound in zip(listed, sounds.values(), strict=True):
        write(Path(stem["wav"]), sound, rate=rate, channels=channels)
    manifest = stems.Manifest(
        job="0" * 16, source_wav="source/mix.wav", rate=rate, channels=channels, null_db=-150,
        frames=len(next(iter(sounds.values()))) // channels, method="default", steps=0, seed=0,
        model="shares", model_hash="", code="0",
        stems=tuple(
            stems.Stem(prompt=stem["prompt"], wav=Path(stem["wav"]).name, rms_db=-20,
                       given=stem["prompt"] in given)
            for stem in listed
        ), **fields,
    )  # fmt: skip
    stems.save(manifest, out / stems.MANIFEST)
    return {
        "stems": listed,
        "manifest": str(out / stems.MANIFEST),
        "null_db": -150.0,
        "seconds": 0.1,
    }


def write(path, sound, *, rate, channels):
    path.parent.mkdir(parents=True, exist_ok=True)
    frames = len(sound) // channels
    wav.write(path, [sound.tobytes()], rate=rate, channels=channels, frames=frames, bext=wav.Bext())


def sine(number, count):
    step = 2 * math.pi * 110 * (number + 1) / RATE
    return array.array("f", (0.1 * math.sin(step * n) for n in range(count)))


def main():
    threading.Thread(target=listen, daemon=True).start()
    kinds = {
        "suggest": suggest, "separate": separate, "generate": generate, "accompany": accompany,
        "export": export,
    }  # fmt: skip
    while True:
        job = inbox.get()
        say(job, "progress", fraction=0.5, stage="working", eta=3.0, figures={})
        if "slow" in job.get("prompts", ()):
            while job["id"] not in cancelled:
                time.sleep(0.02)
            say(job, "cancelled")
        else:
            kinds[job["kind"]](job)


if __name__ == "__main__":
    main()
