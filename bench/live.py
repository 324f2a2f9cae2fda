"""Live: 16 notes at once on a real JACK server for a minute, beside a client that does nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from bench import stage
from bench.timing import best, duel
from bridge.player import loading, macros
from bridge.player.instrument import HEADROOM, VOICES, Instrument, warm
from bridge.player.midi import Midi
from bridge.player.thread_priority import ordinary, raise_priority
from presets import Preset, ranges, save
from presets.python_child import python_child
from renderers.denormals import flush_denormals
from renderers.limiter import LOOK_AHEAD, limit, limiter
from renderers.noise import PERIOD
from renderers.voice_patch import noise_loop

SECONDS = 60
KEYS = 16
LATENCY_NOTES = 20
RATE = 48000
CD_RATE = 44100


def patch() -> Preset:
    """Four operators in a chain with feedback, that sound for ten seconds."""
    values = {"level": 0.1}
    for v in range(1, 5):
        values |= {f"op{v}_ratio": float(v), f"op{v}_attack": 0.002, f"op{v}_decay": 9.0}
        values |= {f"op{v}_mix": float(v == 4)}
        values |= {f"op{v}_from_op{w}": 0.8 * (w == v - 1) for w in range(1, v + 1)}
    return Preset(name="chain", renderer="fm", renderer_version=1, values=values)


def full_patch() -> Preset:
    """The same as a full voice that holds, all that moves in the middle of its range."""
    paper = patch().values
    values = {p.name: paper.get(p.name, p.value(0.5)) for p in ranges.fm(voice="full")}
    return Preset(name="full chain", renderer="fm", renderer_version=1, values=values)


def crowd(preset: Preset, rate: int) -> Instrument:
    """An instrument on which `VOICES` notes of a preset sound."""
    one = Instrument(rate, 1024, lambda _: None)
    sound = loading.build(preset, macros.neutral(), None)
    if sound.patch is not None and sound.patch.full:
        one.use_store(noise_loop(preset.values, rate))
        sound.noise = loading.Sample(0, PERIOD)
    one.put(1, sound)
    for n in range(VOICES):
        one.press(1, 0, 30 + n, 100)
    one.block(128)
    return one


def full_rows() -> list[dict[str, object]]:
    """Full voices beside the paper's, in turns; bent all the time; the limiter where it rests."""
    paper, full = crowd(patch(), CD_RATE), crowd(full_patch(), CD_RATE)
    ours, theirs = duel(lambda: full.block(128), lambda: paper.block(128), repeats=200)

    random = iter(np.random.default_rng(1).uniform(-2.0, 2.0, 1000))

    def bent_block() -> None:
        full.bend(0, next(random))
        full.block(128)

    bent = best(bent_block, repeats=200)
    state, quiet = limiter(CD_RATE), np.full((2, 128), 0.1, np.float32)
    idle = best(lambda: limit(state, quiet[0], HEADROOM, quiet[1]), repeats=2000)
    half = 64 / CD_RATE
    return [
        {
            "name": f"{VOICES} full FM notes, V=4, filter, LFO and noise, a block of 128 frames",
            "value": f"{ours * 1e6:.0f} us",
            "reference": f"half a period at 44.1 kHz: {half * 1e6:.0f} us;"
            f" as many paper voices: {theirs * 1e6:.0f} us",
            "ratio": f"{half / ours:.1f}x",
            "target": "> 1x",
        },
        {
            "name": f"{VOICES} full FM notes while pitch bend moves",
            "value": f"{bent * 1e6:.0f} us",
            "reference": f"a period: {2 * half * 1e6:.0f} us",
            "ratio": f"{2 * half / bent:.1f}x",
            "target": "> 1x",
        },
        {
            "name": "limiter at rest, 128 frames",
            "value": f"{idle * 1e6:.1f} us",
            "reference": f"a period: {2 * half * 1e6:.0f} us; its latency {1e3 * LOOK_AHEAD:g} ms",
            "target": "latency <= 2 ms",
        },
    ]


def instrument(frames: int) -> tuple[Instrument, Midi]:
    """One with the patch in slot 1."""
    one = Instrument(RATE, 1024, lambda _: None)
    one.put(1, loading.build(patch(), macros.neutral(), None))
    return one, Midi(one, lambda _: None)


def music(seconds: float) -> list[tuple[float, tuple[int, ...]]]:
    """Single notes for the latency, then 16 keys that are struck again one after another."""
    random = np.random.default_rng(1)
    begin = 0.3 + 0.25 * LATENCY_NOTES
    played = [(0.3 + 0.25 * n, (0x90, 60, 100)) for n in range(LATENCY_NOTES)]
    played += [(0.4 + 0.25 * n, (0xB0, 120, 0)) for n in range(LATENCY_NOTES)]
    for n in range(int((seconds - begin) * 16)):
        played += [(begin + n / 16 + random.uniform(0, 0.02), (0x90, 40 + 2 * (n % KEYS), 100))]
    return sorted(played)


def expected(sent: list[tuple[int, bytes]], first: int, count: int, frames: int) -> np.ndarray:
    """What the instrument plays to `sent` from frame `first` on, without a device."""
    one, midi = instrument(frames)
    out, at = [], 0
    for start in range(first, first + count, frames):
        while at < len(sent) and sent[at][0] < start + frames:
            if sent[at][0] >= start:
                midi.hear(sent[at][1], sent[at][0] - start)
            at += 1
        out.append(one.block(frames).copy())
    return np.concatenate(out)[:count]


def minute(frames: int, seconds: float) -> dict[str, float]:
    """Play on a server of `frames` a block, in a process of its own (JACK remembers its server)."""
    server = stage.Server(frames)
    os.environ["JACK_DEFAULT_SERVER"] = server.name
    try:
        raise_priority()  # as the player does: a listener that is late would be counted as ours
        idle = stage.Listener(seconds)
        idle.again()
        time.sleep(seconds)
        figures: dict[str, float] = {"idle": idle.xruns + idle.breaks}
        idle.close()
        with tempfile.TemporaryDirectory() as folder:
            save(patch(), Path(folder) / "chain.json")
            with ordinary():
                player = stage.Process("--output", "jack")
            player.wait("ready")
            player.ask(kind="load", slot=1, preset=str(Path(folder) / "chain.json"))
            listener = stage.Listener(seconds)
            listener.join()
            time.sleep(1.0)
            before = player.ask(kind="status").xruns
            listener.again(*music(seconds - 0.5))
            time.sleep(seconds + 0.5)
            report = player.ask(kind="status")
            listener.close()
            player.leave()
        sent = listener.sent
        notes = [frame for frame, data in sent if data[0] == 0x90][:LATENCY_NOTES]
        loud = np.nonzero(listener.heard)[0] + listener.first
        delays = [int(loud[np.searchsorted(loud, frame)]) - frame for frame in notes]
        shift = min(delays) // frames * frames
        reference = expected(sent, listener.first - shift, listener.count, frames)
        error = np.abs(listener.heard[: listener.count] - reference) / np.abs(reference).max()
        figures |= {
            "xruns": report.xruns - before,
            "breaks": listener.breaks,
            "wrong": int((error > 1e-5).sum()),
            "error": float(error.max()),
            "delay": max(delays),
            "median": report.block_us[0],
            "p99": report.block_us[1],
            "budget": report.budget_us,
        }
        return figures
    finally:
        server.stop()


def jack_rows(frames: int) -> list[dict[str, object]]:
    """A minute at this size of block."""
    run = subprocess.run(
        python_child("bench.live", str(frames), str(SECONDS)),
        capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONPATH": str(stage.ROOT)},
    )  # fmt: skip
    f = json.loads(run.stdout.splitlines()[-1])
    late = limiter(RATE).signal.size
    return [
        {
            "name": f"16 notes, {SECONDS} s, {frames} frames: late or lost periods",
            "value": f"{f['xruns']} late, {f['breaks']} lost",
            "reference": f"a client that does nothing, the minute before: {f['idle']}",
            "error": f"{f['wrong']} samples differ from the offline sound, most {f['error']:.1e}",
            "target": "0",
        },
        {
            "name": f"block of {frames} frames",
            "value": f"{f['median']:.0f} us, 99 % within {f['p99']:.0f} us",
            "reference": f"a period: {f['budget']:.0f} us",
            "ratio": f"{f['budget'] / f['p99']:.0f}x",
            "target": "> 1x",
        },
        {
            "name": f"MIDI sent to sound heard, most of {LATENCY_NOTES} notes, {frames} frames",
            "value": f"{f['delay']} frames",
            "reference": f"a period and a block: {2 * frames}, and the limiter: {late}",
            "target": f"<= {2 * frames + late}",
        },
    ]


def rows() -> list[dict[str, object]]:
    """Voices a block without a device, then the minutes on JACK where there is one."""
    warm()
    one, _ = instrument(128)
    for n in range(VOICES):
        one.press(1, 0, 30 + n, 100)
    spent = best(lambda: one.block(128), repeats=200)
    result: list[dict[str, object]] = [
        {
            "name": f"{VOICES} FM notes, V=4, a block of 128 frames",
            "value": f"{spent * 1e6:.0f} us",
            "reference": f"a period: {128 / RATE * 1e6:.0f} us",
            "ratio": f"{128 / RATE / spent:.0f}x",
            "target": "> 1x",
        }
    ]
    result += full_rows()
    if not stage.here():
        return [*result, {"name": "on JACK", "value": stage.MISSING}]
    return result + jack_rows(128) + jack_rows(256)


if __name__ == "__main__":
    flush_denormals()
    if len(sys.argv) == 3:
        sys.stdout.write(json.dumps(minute(int(sys.argv[1]), float(sys.argv[2]))) + "\n")
    else:
        sys.stdout.write(json.dumps(rows(), indent=1) + "\n")
