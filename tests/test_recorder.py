"""Recording from a real JACK server: bit-exact, in its place, readable after a crash."""

import asyncio
import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
from pythonosc.osc_message import OscMessage
from pythonosc.osc_message_builder import OscMessageBuilder

from bench import stage
from bridge import recorder
from bridge.execution import recording
from bridge.execution.recording import RecordingEngine
from bridge.files import wav
from bridge.protocol.events import event_adapter
from bridge.protocol.jobs import Record
from bridge.recorder import CLOCK, Block, RecordedFile
from bridge.service import file_access
from tests.children import first_line
from tests.peers import peer

ROOT = Path(__file__).parents[1]
FRAMES = 256
NAME = f"scorewire-record-test-{os.getpid()}"  # another process may run other tests of this file
COUNT = 4096  # two channels count frames together: exact in float32


class Source:
    """A client that plays the number of each frame: its low digits left, its high ones right."""

    def __init__(self):
        import jack

        self.client = jack.Client("source", no_start_server=True)
        self.ports = [self.client.outports.register(f"out_{n}") for n in (1, 2)]
        self.count = 0
        self.client.set_process_callback(self._process)
        self.client.activate()

    def _process(self, frames):
        number = np.arange(self.count, self.count + frames)
        self.ports[0].get_array()[:] = number % COUNT / COUNT
        self.ports[1].get_array()[:] = -(number // COUNT) / COUNT
        self.count += frames

    def close(self):
        self.client.deactivate()
        self.client.close()


@pytest.fixture(scope="module")
def server():
    peer("jackd")
    patch = pytest.MonkeyPatch()
    patch.setenv("JACK_DEFAULT_SERVER", NAME)
    running = stage.Server(FRAMES, name=NAME)
    yield running
    running.stop()
    patch.undo()


@pytest.fixture
def source(server):
    playing = Source()
    yield playing
    playing.close()


class Recorder:
    """The process, and its events as they come."""

    def __init__(self, **job):
        self.child = subprocess.Popen(
            [sys.executable, "-W", "error", "-m", "bridge.recorder"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
        )  # fmt: skip
        self.say(kind="record", id="r", **{key: value for key, value in job.items() if value})

    def say(self, **line):
        self.child.stdin.write(json.dumps(line) + "\n")
        self.child.stdin.flush()

    def next(self):
        return event_adapter.validate_json(first_line(self.child))

    def until(self, seconds):
        """Wait until so much is on its way to the file."""
        while (event := self.next()).kind == "progress":
            if event.figures.get("seconds", 0.0) >= seconds:
                return event
        pytest.fail(f"the recording ended: {event}")

    def end(self):
        """The last event; the process is gone then."""
        with contextlib.closing(self.child.stdin), self.child.stdout:
            *_, last = [event_adapter.validate_json(line) for line in self.child.stdout]
            assert self.child.wait() == 0
        return last


def numbers(path):
    """The frames that were heard, by their numbers; silence is 0."""
    header = wav.read_header(path)
    heard = np.concatenate([np.array(block) for block in wav.samples(header)]).reshape(-1, 2)
    return np.rint(heard[:, 0] * COUNT - heard[:, 1] * COUNT * COUNT).astype(int)


def test_without_deadlines_every_frame_is_recorded_bit_exact(server, source, tmp_path):
    """In freewheel JACK waits for its clients, so that nothing here depends on a busy machine."""
    recorder = Recorder(out=str(tmp_path / "new" / "a.wav"), inputs=["source:out_.*"])
    assert recorder.next().kind == "progress"
    source.client.set_freewheel(True)
    recorder.until(20.0)
    source.client.set_freewheel(False)
    recorder.say(kind="stop")
    done = recorder.end()
    assert done.kind == "done"
    heard = numbers(tmp_path / "new" / "a.wav")
    assert done.result["frames"] == heard.size > 20 * 48000
    assert done.result["inputs"] == ["source:out_1", "source:out_2"]
    assert (done.result["rate"], done.result["channels"]) == (48000, 2)
    breaks = np.nonzero(np.diff(heard) != 1)[0]  # in real time, before and after
    runs = np.diff(np.concatenate([[-1], breaks, [heard.size - 1]]))
    assert runs.max() > 18 * 48000


def test_a_recording_lies_where_the_transport_was(source, tmp_path):
    client = source.client
    client.transport_frame = 10 * 48000
    client.transport_start()
    recorder = Recorder(out=str(tmp_path / "a.wav"), inputs=["source:out_1"], duration=0.5)
    done = recorder.end()
    client.transport_stop()
    header = wav.read_header(tmp_path / "a.wav")
    assert done.result["ended"] == "duration"
    assert header.frames == done.result["frames"] == 24000
    assert header.bext.time_reference == done.result["start_samples"] > 10 * 48000
    tracks = ET.fromstring(header.ixml).findall("TRACK_LIST/TRACK/NAME")
    assert [track.text for track in tracks] == ["source:out_1"]


def test_what_a_host_says_wins_over_the_transport(source, tmp_path):
    recorder = Recorder(
        out=str(tmp_path / "a.wav"), inputs=["source:out_2"], duration=0.1, start_samples=2**33
    )
    assert recorder.end().result["start_samples"] == 2**33
    assert wav.read_header(tmp_path / "a.wav").bext.time_reference == 2**33


def test_a_killed_recorder_leaves_a_readable_file(source, tmp_path):
    recorder = Recorder(out=str(tmp_path / "a.wav"), inputs=["source:.*"])
    recorder.until(2.0)
    recorder.child.kill()
    recorder.child.wait()
    recorder.child.stdin.close()
    recorder.child.stdout.close()
    assert wav.read_header(tmp_path / "a.wav").frames > 40000


def test_ctrl_c_ends_a_recording_and_keeps_it(source, tmp_path):
    recorder = Recorder(out=str(tmp_path / "a.wav"), inputs=["source:.*"])
    recorder.until(0.2)
    recorder.child.send_signal(signal.SIGINT)
    assert recorder.end().result["ended"] == "stop"
    assert (tmp_path / "a.wav").is_file()


def test_a_cancelled_recording_leaves_nothing(source, tmp_path):
    recorder = Recorder(out=str(tmp_path / "a.wav"), inputs=["source:.*"])
    recorder.until(0.2)
    recorder.say(kind="cancel")
    assert recorder.end().kind == "cancelled"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("job", "code", "reason"),
    [
        ({"inputs": ["nobody:.*"]}, "bad-input", r"no port is named 'nobody:\.\*'; there are .*so"),
        ({"inputs": ["("]}, "bad-input", r"input '\(': missing \)"),
        ({"inputs": ["source:.*"], "out": "a.mp3"}, "bad-input", "out: must be a .wav file"),
        ({"inputs": ["source:.*"], "duration": -1}, "bad-input", "duration: input should be great"),
    ],
)
def test_what_cannot_be_recorded_is_said(source, tmp_path, job, code, reason):
    failed = Recorder(**{"out": str(tmp_path / "a.wav")} | job).end()
    assert (failed.kind, failed.code) == ("failed", code)

    assert re.search(reason, failed.reason)
    assert not list(tmp_path.iterdir())


def test_nothing_is_recorded_over(source, tmp_path):
    (tmp_path / "a.wav").write_text("the best take")
    failed = Recorder(out=str(tmp_path / "a.wav")).end()
    assert "exists already" in failed.reason
    assert (tmp_path / "a.wav").read_text() == "the best take"


def test_without_a_server_it_says_so(tmp_path, monkeypatch):
    peer("jackd")
    monkeypatch.setenv("JACK_DEFAULT_SERVER", "scorewire-nobody")
    failed = Recorder(out=str(tmp_path / "a.wav")).end()
    assert (failed.code, failed.reason[:14]) == ("no-device", "no JACK server")


class Desk:
    """What a take asks of a capture."""

    rate, xruns, sources = 48000, 0, ("left", "right")

    gone = ""

    def blocks(self):
        """Nothing comes."""
        return []

    def close(self):
        """Nothing is open."""


def block(at, frames, value=0.5):
    planar = np.stack([np.full(frames, value), np.full(frames, -value)]).astype("<f4")
    return Block(at % CLOCK, frames, None, planar.tobytes())


def test_a_late_period_is_silence_and_what_follows_is_in_its_place(tmp_path):
    take = RecordedFile(Record(id="r", out=str(tmp_path / "a.wav")), Desk())
    start = CLOCK - 128  # JACK's clock wraps once a day
    for at in (0, 64, 256, 320):  # two periods of 64 are missing
        assert take.add(block(start + at, 64), limit=330) == ""
    take.close()
    heard = np.concatenate([np.array(b) for b in wav.samples(wav.read_header(take.path))])
    left = heard.reshape(-1, 2)[:, 0]
    assert left.size == take.frames == 330
    np.testing.assert_array_equal(np.nonzero(left == 0)[0], np.arange(128, 256))
    assert (take.result()["lost"], take.result()["peak_db"]) == (128, -6.02)


def test_a_clock_that_is_ahead_for_a_moment_shifts_nothing_for_good(tmp_path):
    """jackd's dummy driver on a busy machine: a period too far, then back."""
    take = RecordedFile(Record(id="r", out=str(tmp_path / "a.wav")), Desk())
    for at, value in ((0, 0.1), (128, 0.2), (128, 0.3), (320, 0.4), (384, 0.5)):
        assert take.add(block(at, 64, value), limit=1e9) == ""
    take.close()
    heard = np.concatenate([np.array(b) for b in wav.samples(wav.read_header(take.path))])
    left = heard.reshape(-1, 2)[::64, 0]
    np.testing.assert_allclose(left, [0.1, 0, 0.2, 0.3, 0, 0.4, 0.5], atol=1e-7)
    assert take.result()["lost"] == 128


@pytest.mark.parametrize("jump", [11 * 48000, -11 * 48000])
def test_a_clock_that_jumps_ends_the_take(tmp_path, jump):
    take = RecordedFile(Record(id="r", out=str(tmp_path / "a.wav")), Desk())
    take.add(block(1000, 64), limit=1e9)
    assert take.add(block(1064 + jump, 64), limit=1e9) == "JACK's clock has jumped"
    take.close()
    assert take.frames == 64


def test_a_server_that_is_stuck_ends_the_recording(tmp_path, monkeypatch):
    monkeypatch.setattr(recorder, "SILENT", 0.05)
    job = Record(id="r", out=str(tmp_path / "a.wav"))
    *_, failed = recorder.record(job, Desk(), recorder.RecorderCommands())
    assert (failed.code, failed.reason) == (
        "no-sound", "nothing came from JACK: JACK gave nothing for 0.05 s",
    )  # fmt: skip
    assert not list(tmp_path.iterdir())


def test_channels_are_interleaved():
    planar = np.arange(6, dtype="<f4")
    assert list(Block(0, 2, None, planar.tobytes()).interleave()) == [0, 2, 4, 1, 3, 5]


def run_engine(program, *, leave=False):
    """The events of a recording by a recorder that runs `program`."""

    async def events():
        async with RecordingEngine([sys.executable, "-c", program]) as engine:
            found = []
            async for event in engine.submit(Record(id="r", out="/nowhere/a.wav")):
                found.append(event)
                if leave:
                    leaving = asyncio.create_task(engine.__aexit__())
            if leave:
                await leaving
            return found

    return asyncio.run(events())


SAYS = 'print(\'{"kind": "progress", "id": "r", "fraction": 0, "stage": "recording"}\', flush=True)'


def test_a_recorder_that_dies_is_said_with_its_last_words():
    program = f"{SAYS}; import sys; sys.stderr.write('the disk is full'); sys.exit(3)"
    *_, failed = run_engine(program)
    assert failed.code == "crashed"
    assert failed.reason == (
        "the recorder ended (exit code 3); what it wrote is kept; its last words: the disk is full"
    )


def test_a_recorder_that_cannot_be_started_is_said():
    async def first():
        async with RecordingEngine(["/nowhere/recorder"]) as engine:
            return [e async for e in engine.submit(Record(id="r", out="/nowhere/a.wav"))]

    (failed,) = asyncio.run(first())
    assert failed.reason.startswith("the recorder could not be started")


def test_a_server_that_leaves_ends_its_recordings_and_keeps_them():
    done = 'print(\'{"kind": "done", "id": "r", "result": {"ended": "\' + said + \'"}}\')'
    program = (
        f"import sys, json; sys.stdin.readline(); {SAYS}; "
        f"said = json.loads(sys.stdin.readline())['kind']; {done}"
    )
    assert run_engine(program, leave=True)[-1].result == {"ended": "stop"}


ENDS = (
    f"import sys, json; sys.stdin.readline(); {SAYS}; said = json.loads(sys.stdin.readline()); "
    'print(json.dumps({"kind": "done", "id": "r", "result": {"ended": said["kind"]}}))'
)


def test_a_recording_can_be_stopped_before_its_process_has_begun():
    async def last():
        async with RecordingEngine([sys.executable, "-c", ENDS]) as engine:
            events = engine.submit(Record(id="r", out="/nowhere/a.wav"))
            assert engine.stop("r")
            return [event async for event in events][-1]

    assert asyncio.run(last()).result == {"ended": "stop"}


def test_a_recording_that_just_begins_ends_with_the_server():
    async def last():
        async with RecordingEngine([sys.executable, "-c", ENDS]) as engine:
            events = engine.submit(Record(id="r", out="/nowhere/a.wav"))
            hearing = asyncio.create_task(anext(events))
            await asyncio.sleep(0)
            leaving = asyncio.create_task(engine.__aexit__())
            await hearing
            found = [event async for event in events]
            await leaving
            return found[-1]

    assert asyncio.run(last()).result == {"ended": "stop"}


def test_a_recorder_that_does_not_stop_is_killed(monkeypatch):
    monkeypatch.setattr(recording, "CLOSING", 0.1)
    *_, failed = run_engine(f"{SAYS}; import time; time.sleep(600)", leave=True)
    assert (failed.code, "SIGKILL" in failed.reason) == ("crashed", True)


def test_a_link_to_nowhere_is_not_recorded_through(tmp_path):
    (tmp_path / "a.wav").symlink_to(tmp_path / "elsewhere.wav")
    with pytest.raises(ValueError, match="exists already"):
        file_access.check(Record(id="r", out=str(tmp_path / "a.wav")))


def test_the_command_records_until_its_time_is_over(source, tmp_path):
    out = tmp_path / "a.wav"
    run = subprocess.run(
        [sys.executable, "-m", "bridge.cli", "record", str(out), "--duration", "0.5",
         "--input", "source:out_1", "--start-samples", "480", "--json"],
        capture_output=True, text=True, check=False, cwd=ROOT,
    )  # fmt: skip
    assert (run.returncode, run.stderr) == (0, "")
    result = json.loads(run.stdout)
    assert (result["wav"], result["frames"], result["ended"]) == (str(out), 24000, "duration")
    assert wav.read_header(out).bext.time_reference == 480


def test_osc_starts_a_recording_beside_other_jobs_and_stops_it(source, tmp_path):
    """A real client of python-osc, a real server, the real recorder."""
    own = {"SCOREWIRE_OSC_PORT": "0", "SCOREWIRE_HTTP_PORT": "0",
           "SCOREWIRE_DATA": str(tmp_path / "data"),
           "SCOREWIRE_OSC_WRITE": str(tmp_path)}  # fmt: skip
    serving = subprocess.Popen(
        [sys.executable, "-m", "bridge.cli", "serve", "--json"],
        stdout=subprocess.PIPE, text=True, cwd=ROOT, env=os.environ | own,
    )  # fmt: skip
    try:
        port = json.loads(first_line(serving))["port"]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(stage.PATIENCE)

            def say(address, *arguments):
                message = OscMessageBuilder(address)
                for argument in arguments:
                    message.add_arg(argument)
                client.sendto(message.build().dgram, ("127.0.0.1", port))

            def hear(address):
                while (message := OscMessage(client.recv(2000))).address != address:
                    assert message.address != "/scorewire/fail", message.params
                return message.params

            say("/scorewire/record", 1, str(tmp_path / "a.wav"), "source:out_1", "source:out_2")
            job = hear("/scorewire/accepted")[1]
            while True:
                said = hear("/scorewire/progress")
                facts = dict(zip(said[5::2], said[6::2], strict=True))
                if facts.get("seconds", 0) > 0.2:
                    break
            say("/scorewire/record/stop", 2, job)
            hear("/scorewire/ok")
            done = hear("/scorewire/done")
            assert done[1:3] == [job, str(tmp_path / "a.wav")]
            say("/scorewire/record/stop", 3, job)  # asked again
            assert hear("/scorewire/ok") == [3]
    finally:
        serving.send_signal(signal.SIGINT)
        serving.wait()
        serving.stdout.close()
    assert wav.read_header(tmp_path / "a.wav").channels == 2
