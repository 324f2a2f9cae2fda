"""A worker that parts every sound into equal shares, one a prompt and one for the residual.

It speaks bridge/protocol/jobs.py as bridge.worker does, and writes real stems: they add up to the
source. A job whose first prompt is "slow" works until it is cancelled, one of "wrong" fails.
"""

import array
import json
import os
import queue
import sys
import threading
import time
from pathlib import Path

from bridge.files import wav
from bridge.stems import manifest as stems

inbox = queue.Queue()
cancelled = set()


def listen():
    for line in sys.stdin:
        message = json.loads(line)
        if message["kind"] == "cancel":
            cancelled.add(message["id"])
        else:
            inbox.put(message)
    os._exit(0)  # the bridge is gone: "slow" would wait for its cancel for ever


def say(job, kind, **event):
    sys.stdout.write(json.dumps({"kind": kind, "id": job["id"]} | event) + "\n")
    sys.stdout.flush()


def separate(job):
    source = Path(job["file"])
    out = Path(job["out"])
    out.mkdir(parents=True, exist_ok=True)
    header = wav.read_header(source)
    start = header.bext.time_reference if header.bext else 0
    prompts = job["prompts"]
    share = array.array(
        "f", (v / (len(prompts) + 1) for block in wav.samples(header) for v in block)
    )
    whole = [v for block in wav.samples(header) for v in block]
    rest = array.array("f", (x - len(prompts) * s for x, s in zip(whole, share, strict=True)))
    names = [f"stem-{number}.wav" for number in range(len(prompts))]
    for name, sound in [*((name, share) for name in names), ("residual.wav", rest)]:
        wav.write(
            out / name, [sound.tobytes()], rate=header.rate, channels=header.channels,
            frames=header.frames, bext=wav.Bext(start),
        )  # fmt: skip
    manifest = stems.Manifest(
        job="0" * 16, source=source.name, source_sha256="", source_wav=source.name,
        rate=header.rate, frames=header.frames, channels=header.channels, start_samples=start,
        tempo=job["tempo"], residual="residual.wav", residual_rms_db=-20, null_db=-150,
        stems=tuple(
            stems.Stem(prompt=p, wav=n, rms_db=-20) for p, n in zip(prompts, names, strict=True)
        ),
        method=job["method"], steps=0, seed=job["seed"], model="halving", model_hash="", code="0",
    )  # fmt: skip
    stems.save(manifest, out / stems.MANIFEST)
    listed = [{"prompt": p, "wav": str(out / n)} for p, n in zip(prompts, names, strict=True)]
    result = {"stems": listed, "residual": str(out / "residual.wav"), "null_db": -150.0}
    say(job, "done", result=result | {"manifest": str(out / stems.MANIFEST), "seconds": 0.1})


def accompany(job):
    """The given stems as they are, and silence for what is added."""
    out = Path(job["out"])
    names = [name for name in ("bass", "drums", "guitar", "piano")
             if name in job["given"] or name in job["add"]]  # fmt: skip
    header = wav.read_header(Path(next(iter(job["given"].values()))))
    start = header.bext.time_reference
    for name in names:
        if name in job["given"]:
            (out / f"{name}.wav").write_bytes(Path(job["given"][name]).read_bytes())
            continue
        wav.write(
            out / f"{name}.wav", [bytes(4 * header.channels * header.frames)], rate=header.rate,
            channels=header.channels, frames=header.frames, bext=wav.Bext(start),
        )  # fmt: skip
    manifest = stems.Manifest(
        job="0" * 16, task="accompany", words=job["prompt"], source="added.wav", source_sha256="",
        source_wav=f"{names[0]}.wav", rate=header.rate, frames=header.frames,
        channels=header.channels, start_samples=start, tempo=job["tempo"], null_db=-150,
        stems=tuple(
            stems.Stem(prompt=n, wav=f"{n}.wav", rms_db=-20, given=n in job["given"]) for n in names
        ),
        method="accompany", steps=0, seed=0, model="halving", model_hash="", code="0",
    )  # fmt: skip
    stems.save(manifest, out / stems.MANIFEST)
    listed = [{"prompt": n, "wav": str(out / f"{n}.wav")} for n in names]
    result = {"stems": listed, "mix": listed[0]["wav"], "null_db": -150.0}
    say(job, "done", result=result | {"manifest": str(out / stems.MANIFEST), "seconds": 0.1})


def main():
    threading.Thread(target=listen, daemon=True).start()
    while True:
        job = inbox.get()
        say(job, "progress", fraction=0.5, stage="separate", eta=3.0, figures={})
        words = job.get("prompt") or next(iter(job.get("prompts", ())), "")
        if words == "slow":
            while job["id"] not in cancelled:
                time.sleep(0.02)
            say(job, "cancelled")
        elif words == "wrong":
            say(job, "failed", code="bad-input", reason="file must not be so wrong")
        elif job["kind"] == "accompany":
            accompany(job)
        else:
            separate(job)


if __name__ == "__main__":
    main()
