"""A worker that behaves as the first word of its job's prompt says. Standard library only.

It speaks bridge/protocol/jobs.py on stdin and stdout, as bridge.worker does. `python
fake_worker.py LOG` appends a line per start to LOG.
"""

import json
import os
import queue
import signal
import sys
import threading
import time
from pathlib import Path

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


def say(**event):
    sys.stdout.write(json.dumps(event) + "\n")
    sys.stdout.flush()


def progress(job, fraction, **figures):
    say(kind="progress", id=job["id"], fraction=fraction, stage="working", eta=1.5, figures=figures)


def done(job):
    out = Path(job.get("out", ""))  # a suggestion writes nothing
    result = {"pid": os.getpid(), "prompt": words(job), "steps": 3, "score_after": 0.75}
    named = job.get("stems") or job.get("prompts", ())
    if job["kind"] == "accompany":
        named = [*job["given"], *job["add"]]
    if job["kind"] in ("separate", "accompany") or job.get("stems"):
        stems = [{"prompt": p, "wav": str(out / f"{p}.wav")} for p in named]
        result |= {"stems": stems, "null_db": float("-inf")}
        result |= {"manifest": str(out / "stems.json")}
    elif job["kind"] == "generate":
        clips = [{"prompt": p, "wav": str(out / f"{p}-1.wav")} for p in job["prompts"]]
        clips[-1]["warning"] = "too near"
        result |= {"clips": clips}
    if job["kind"] == "suggest":
        result["suggestions"] = [{"prompt": "rain", "score": 0.75}, {"prompt": "dog", "score": 0.5}]
    if job["kind"] == "probe":
        result = {"checks": [{"name": "model", "ok": True, "text": job["model"], "fix": "",
                              "optional": False}]}  # fmt: skip
    say(kind="done", id=job["id"], result=result)


def words(job):
    return job.get("prompt") or " ".join(job.get("prompts", ())) or "ok"


def ok(job):
    for step in range(3):
        progress(job, step / 3, loss=1.0 - step / 4, score=0.25 * step)
    say(kind="best", id=job["id"], step=2, score=0.5, preset="/p.json", wav="/p.wav")
    done(job)


def noise(job):
    sys.stdout.write('seed is 42\n\n[1, 2]\n{}\n"text"\n' + "x" * 300_000 + "\n")
    sys.stdout.flush()
    sys.stdout.buffer.write(b"\xff\xfe\x00 not text\n" + b"[" * 5000 + b"\n")
    sys.stdout.buffer.flush()
    say(kind="done", id="another", result={})
    say(kind="progress", id=job["id"], fraction=7, stage="impossible")
    sys.stderr.write("a library warns\n")
    done(job)


def crash(job):
    progress(job, 0.5)
    sys.stderr.write("RuntimeError: out of memory\n")
    sys.stderr.flush()
    os._exit(3)


def killed(job):
    progress(job, 0.5)
    os.kill(os.getpid(), signal.SIGKILL)


def _half_written(job):
    """What a worker has on disk in the middle of a job (bridge.files.atomic_output)."""
    out = Path(job["out"])
    partial = out / f".partial-{os.getpid()}-x"
    partial.mkdir(parents=True)
    (partial / "a.wav").write_text("half")
    (out / ".unfinished-k" / "scratch").mkdir(parents=True)
    (out / ".unfinished-k" / "scratch" / "window").write_text("whole")


def leaving(job):
    _half_written(job)
    killed(job)


def staying(job):
    _half_written(job)
    stubborn(job)


def midline(job):
    sys.stdout.write('{"kind": "done", "id": "' + job["id"] + '", "resu')
    sys.stdout.flush()
    os._exit(0)


def nonsense(job):
    say(kind="failed", id=job["id"])


def slow(job):
    for step in range(3000):
        progress(job, step / 3000)
        time.sleep(0.01)
        if job["id"] in cancelled:
            say(kind="cancelled", id=job["id"])
            return
    done(job)


def stubborn(job):
    progress(job, 0.1)
    time.sleep(60)


def last(job):
    done(job)
    os._exit(0)


WAYS = {
    f.__name__: f
    for f in (ok, noise, crash, killed, leaving, staying, midline, nonsense, slow, stubborn, last)
}


def main():
    if len(sys.argv) > 1:
        with Path(sys.argv[1]).open("a") as log:
            log.write(f"{os.getpid()}\n")
    threading.Thread(target=listen, daemon=True).start()
    while True:
        job = inbox.get()
        WAYS.get(words(job).split()[0], ok)(job)


if __name__ == "__main__":
    main()
