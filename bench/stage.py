"""What playing live is tried on: the player as a child, a JACK server, a client that captures."""

from __future__ import annotations

import json
import os
import queue
import secrets
import shutil
import subprocess
import threading
import time
from pathlib import Path

import numpy as np

from bridge.player import protocol
from presets.python_child import python_child

ROOT = Path(__file__).parents[1]
PATIENCE = 240.0  # seconds: kernels may have to be compiled, beside other work
MISSING = "jackd is not installed: apt-get install jackd2; pip install JACK-Client"


def here():
    """Whether a server and the Python client are installed."""
    try:
        import jack  # noqa: F401
    except (ImportError, OSError):
        return False
    return shutil.which("jackd") is not None


class Process:
    """A player, its happenings as they come."""

    def __init__(self, *arguments, **environment):
        self.child = subprocess.Popen(
            python_child("bridge.player", *arguments, options=("-W", "error")),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            cwd=ROOT, env={**os.environ, **environment},
        )  # fmt: skip
        self.heard, self.errors = queue.Queue(), []
        self.readers = [threading.Thread(target=job) for job in (self._read, self._complaints)]
        for reader in self.readers:
            reader.start()

    def _read(self):
        for line in self.child.stdout:
            self.heard.put(protocol.happening_adapter.validate_json(line))
        self.heard.put(None)

    def _complaints(self):
        self.errors += list(self.child.stderr)

    def say(self, **command):
        self.child.stdin.write(json.dumps(command) + "\n")
        self.child.stdin.flush()

    def wait(self, kind, seconds=PATIENCE, **fields):
        """The next happening of this kind with these fields; others are passed over."""
        for one in self._coming(seconds):
            if one.kind == kind and all(getattr(one, n) == x for n, x in fields.items()):
                return one

    def ask(self, **command):
        """Say it with an id; the answer."""
        self.say(id="q", **command)
        for one in self._coming():
            if getattr(one, "id", "") == "q":
                return one

    def _coming(self, seconds=PATIENCE):
        """What happens from now on, for so many seconds, while the player lives."""
        end = time.monotonic() + seconds
        while True:
            one = self.heard.get(timeout=max(0.01, end - time.monotonic()))
            if one is None:
                self.heard.put(None)
                code = self.child.wait(timeout=PATIENCE)
                raise ChildProcessError(f"the player ended ({code}): {''.join(self.errors[-5:])}")
            yield one

    def close(self):
        """End it, whatever came before."""
        if self.child.returncode is None:
            self.leave()

    def leave(self):
        """Let it end by itself; its exit code."""
        self.child.stdin.close()
        try:
            return self.child.wait(timeout=20)
        finally:
            if self.child.returncode is None:
                self.child.kill()
                self.child.wait()
            for reader in self.readers:
                reader.join()
            self.child.stdout.close()
            self.child.stderr.close()


class Server:
    """jackd with its dummy driver under a name of its own, ended by its process id."""

    def __init__(self, frames=128, rate=48000, name=None):
        self.name, self.frames, self.rate = name or f"sw{secrets.token_hex(3)}", frames, rate
        self.child = None
        self.start()

    def start(self):
        """Start, and wait until it answers."""
        self.child = subprocess.Popen(
            ["jackd", "-n", self.name, "--port-max", "256", "-d", "dummy",
             "-r", str(self.rate), "-p", str(self.frames)],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env={**os.environ, "JACK_NO_AUDIO_RESERVATION": "1"},
        )  # fmt: skip
        time.sleep(1.0)
        if self.child.poll() is not None:
            raise ChildProcessError(f"jackd ended ({self.child.returncode}) as it started")

    def stop(self):
        """End it."""
        self.child.terminate()
        try:
            self.child.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()


class Listener:
    """A client that sends MIDI at given frames of JACK's clock and keeps what it hears.

    `breaks` counts blocks that did not follow the one before: samples then are missing.
    """

    def __init__(self, seconds, name="listener"):
        import jack

        self.client = jack.Client(name, no_start_server=True)
        self.rate = self.client.samplerate
        self.heard = np.zeros(round(seconds * self.rate), np.float32)
        self.first = None  # frame of the clock at which `heard` begins
        self.count = self.breaks = self.xruns = 0
        self.queue = []  # (frame, bytes), sorted
        self.sent = []  # (frame at which it was in the buffer, bytes)
        self.received = []
        self._next = None
        self._again, self._plan = True, []
        self.ear = self.client.inports.register("in")
        self.hand = self.client.midi_outports.register("out")
        self.sysex = self.client.midi_inports.register("sysex")
        self.client.set_process_callback(self._process)
        self.client.set_xrun_callback(self._late)
        self.client.activate()

    def _late(self, _microseconds):
        self.xruns += 1

    def _process(self, frames):
        now = self.client.last_frame_time
        if self._again:
            self.first, self.count, self.breaks, self.xruns = now, 0, 0, 0
            self.heard[:] = 0.0
            self._next, self._again = now, False
            self.queue = [(now + at, data) for at, data in self._plan]
        self.breaks += now != self._next
        self._next = now + frames
        room = min(frames, self.heard.size - self.count)
        self.heard[self.count : self.count + room] = self.ear.get_array()[:room]
        self.count += room
        self.received += [bytes(data) for _, data in self.sysex.incoming_midi_events()]
        self.hand.clear_buffer()
        while self.queue and self.queue[0][0] < now + frames:
            frame, data = self.queue.pop(0)
            at = max(0, frame - now)
            self.hand.write_midi_event(at, data)
            self.sent.append((now + at, data))

    def again(self, *messages):
        """Forget what was heard and begin anew; send (seconds from there, bytes)."""
        self.sent.clear()
        plan = [(round(s * self.rate), bytes(data)) for s, data in messages]
        self._plan = sorted(plan, key=lambda message: message[0])
        self._again = True
        while self._again:
            time.sleep(0.005)

    def join(self, player="scorewire"):
        """Wire both ways to the player."""
        self.client.connect(f"{player}:out_1", self.ear)
        self.client.connect(self.hand, f"{player}:midi_in")
        self.client.connect(f"{player}:midi_out", self.sysex)

    def close(self):
        """Leave."""
        self.client.deactivate()
        self.client.close()
