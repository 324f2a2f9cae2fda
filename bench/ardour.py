"""A real Ardour 7 on an invisible screen: what the tests of its host and of the player stand on."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import time
from pathlib import Path

from pythonosc.osc_message_builder import OscMessageBuilder

from bridge.hosts import ardour_install

LUA, EXPORT = "/usr/bin/ardour7-lua", "/usr/bin/ardour7-export"
FOLDER = Path("/usr/lib/ardour7")
PATIENCE = 60.0  # seconds: other work may have the cores
DUMMY = "None (Dummy)"
NEW = """
AudioEngine:set_backend("None (Dummy)", "", "")
create_session("{folder}", "{name}", {rate})
{tracks}
Session:save_state("")
close_session()
quit()
"""
TRACK = """Session:new_audio_track(2, 2, nil, 1, "{name}", ARDOUR.PresentationInfo.max_order,
  ARDOUR.TrackMode.Normal, true)"""
STATE = {
    DUMMY: 'driver="Normal Speed" device="Silence" midi-option="1 in, 1 out, Silence"',
    "JACK": 'driver="" device="" midi-option=""',
}
# Without resampled ports: with them two of 30 exports began 16 samples late, their latency.
CONFIG = """<Ardour><Config><Option name="hide-dummy-backend" value="0"/>
<Option name="try-autostart-engine" value="1"/><Option name="port-resampler-quality" value="0"/>
</Config><Extra><AudioMIDISetup><EngineStates>
<State backend="{backend}" {state} input-device="" output-device="" sample-rate="{rate}"
 buffer-size="256" n-periods="0" input-latency="0" output-latency="0" lm-input="" lm-output=""
 active="1" use-buffered-io="0" lru="2"><MIDIDevices/></State>
</EngineStates></AudioMIDISetup></Extra></Ardour>"""
READY = """
ardour {{ ["type"] = "EditorAction", name = "ready" }}
function factory () return function ()
  local count = 0
  for _ in Editor:get_selection ().regions:regionlist ():iter () do count = count + 1 end
  local file = io.open ("{file}", "w")
  file:write (count)
  file:close ()
end end
"""
READY_SLOT = ardour_install.SLOTS
OSC_OFF = '<Protocol name="Open Sound Control (OSC)" active="0"/>'
OSC_ON = OSC_OFF.replace('"0"/>', '"1" address-only="0" feedback="0" gainmode="0"/>')


def missing():
    """Why this cannot run here."""
    if not Path(LUA).exists() or not Path(EXPORT).exists():
        return "ardour is not installed: apt-get install ardour"
    if shutil.which("Xvfb") is None:
        return "Xvfb is not installed: apt-get install xvfb"
    return ""


def until(ready, what, seconds=PATIENCE):
    """Wait for something true."""
    end = time.monotonic() + seconds
    while not (found := ready()):
        if time.monotonic() > end:
            raise TimeoutError(f"Ardour did not come that far: {what}")
        time.sleep(0.1)
    return found


def home(folder, *, backend=DUMMY, rate=48000):
    """Make a home in which Ardour asks nothing, with one action; its configuration folder."""
    config = folder / ".config" / "ardour7"
    config.mkdir(parents=True, exist_ok=True)
    (config / ".a7").touch()
    (config / "config").write_text(CONFIG.format(backend=backend, state=STATE[backend], rate=rate))
    (config / "instant.xml").write_text("<instant><no-memory-warning/></instant>")
    actions = {
        READY_SLOT: ardour_install.script_of(READY_SLOT, READY.format(file=folder / "ready"))
    }
    text = ardour_install.write_slots(ardour_install.EMPTY, actions)
    (config / ardour_install.UI_SCRIPTS).write_text(text)
    return config


def new_session(folder, home, *, tracks=(), rate=48000):
    """Make a session named as its folder, with stereo tracks; its file."""
    lua = home / "new.lua"
    made = "\n".join(TRACK.format(name=name) for name in tracks)
    lua.write_text(NEW.format(folder=folder, name=folder.name, tracks=made, rate=rate))
    environment = {**os.environ, "HOME": str(home)}
    subprocess.run([LUA, str(lua)], env=environment, check=True, capture_output=True, timeout=120)
    file = folder / f"{folder.name}.ardour"
    listening(file)
    return file


def listening(file):
    """Let a session open on any engine and listen for OSC."""
    text = re.sub(r"<EngineHints[^>]*/>", "", file.read_text())
    if "<ControlProtocols>" not in text:
        protocols = f"<ControlProtocols>{OSC_OFF}</ControlProtocols></Session>"
        text = text.replace("</Session>", protocols)
    file.write_text(text.replace(OSC_OFF, OSC_ON))


def export(file, out, home):
    """The range of the session `file` through its master, as a float WAV by Ardour's own program.

    One in ten runs of ardour7-export 7.3 dies of its own heap ("double free"), also on sessions
    that Ardour wrote: a run that has not ended well is run again.
    """
    command = [EXPORT, "-b", "float", "-o", str(out), str(file.parent), file.stem]
    environment = {**os.environ, "HOME": str(home)}
    for _ in range(8):
        ran = subprocess.run(command, env=environment, capture_output=True, timeout=120)
        if ran.returncode == 0:
            return
    raise ChildProcessError(ran.stderr.decode("utf-8", "replace")[-500:])


def ended(child):
    """End one of ours by its process id."""
    child.terminate()
    try:
        child.wait(timeout=5)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


class Ardour:
    """Ardour with a session open, its OSC port and what it answered there.

    `file` is the session's file, `home` a folder that `home` has prepared.
    """

    def __init__(self, file, home, *, size="1600x1000", log=None):
        self.file, self.log = file, log or home / "ardour.log"
        self.screen = home / "screen"
        self.screen.mkdir(exist_ok=True)
        self.children = []
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        try:
            self.display = self._wall(size)
            self.child = self._start(home)
            self.port = until(self._port, "its OSC port")
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _wall(self, size):
        """An X server on a display that it finds free by itself."""
        reader, writer = os.pipe()
        command = ["Xvfb", "-displayfd", str(writer), "-screen", "0", f"{size}x24"]
        command += ["-fbdir", str(self.screen), "-nolisten", "tcp"]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self.children.append(subprocess.Popen(command, pass_fds=[writer], **quiet))
        os.close(writer)
        with os.fdopen(reader) as pipe:
            return f":{int(pipe.readline())}"

    def _start(self, home):
        lib, etc = str(FOLDER), "/etc/ardour7"
        environment = {
            **os.environ, "HOME": str(home), "DISPLAY": self.display, "LD_LIBRARY_PATH": lib,
            "ARDOUR_DLL_PATH": lib, "ARDOUR_DATA_PATH": "/usr/share/ardour7",
            "ARDOUR_CONFIG_PATH": etc, "VAMP_PATH": f"{lib}/vamp", "GTK_PATH": f"{etc}:{lib}",
        }  # fmt: skip
        command = [str(next(FOLDER.glob("ardour-7*"))), "--no-announcements", "--no-splash"]
        with self.log.open("wb") as log:
            child = subprocess.Popen(
                [*command, str(self.file)], env=environment, stdout=log, stderr=log
            )
        self.children.append(child)
        return child

    def _port(self):
        """The UDP port that this very process listens on: another Ardour may have 3819."""
        if self.child.poll() is not None:
            raise ChildProcessError(f"Ardour ended: {self.log.read_text(errors='replace')[-500:]}")
        own = set()
        for link in Path(f"/proc/{self.child.pid}/fd").iterdir():
            try:
                own.add(os.readlink(link))
            except OSError:
                continue  # closed meanwhile
        for line in Path("/proc/net/udp").read_text().splitlines()[1:]:
            fields = line.split()
            port = int(fields[1].split(":")[1], 16)
            if 3819 <= port < 3840 and f"socket:[{fields[9]}]" in own:
                return port
        return 0

    def send(self, address, *arguments):
        """Say it on Ardour's OSC port."""
        builder = OscMessageBuilder(address)
        for argument in arguments:
            builder.add_arg(argument)
        self.socket.sendto(builder.build().dgram, ("127.0.0.1", self.port))

    def ready(self, *, regions=0):
        """Wait until the editor acts, and has selected all of its so many regions.

        What comes before it is drawn is lost, and regions are drawn later still.
        """
        file = self.screen.parent / "ready"

        def acted():
            self.act("Editor/select-all-objects")
            self.act(f"LuaAction/script-{READY_SLOT}")
            time.sleep(0.5)
            return file.exists() and file.read_text() == str(regions)

        until(acted, f"its editor acts on {regions} regions")

    def act(self, action):
        """Fire one of the editor's actions, or a script: "LuaAction/script-1"."""
        self.send("/access_action", action)

    def save(self):
        """Save the session, and wait until its file is written."""
        before = self.file.stat().st_mtime_ns
        self.send("/save_state")
        until(lambda: self.file.stat().st_mtime_ns != before, "the session is saved")
        time.sleep(0.5)  # it is renamed when whole; views follow

    def picture(self):
        """The screen as an image of Pillow."""
        from PIL import Image

        raw = (self.screen / "Xvfb_screen0").read_bytes()
        head = [int.from_bytes(raw[at : at + 4], "big") for at in range(0, 100, 4)]
        width, height, line, colours = head[4], head[5], head[12], head[19]
        pixels = raw[head[0] + 12 * colours :]
        return Image.frombuffer("RGB", (width, height), pixels, "raw", "BGRX", line, 1)

    def close(self):
        """End Ardour and its screen."""
        self.socket.close()
        for child in reversed(self.children):
            ended(child)
