"""What the tests meet of others, in one table. `make peers` installs what is missing.

    python tests/peers.py      installs the distribution's packages, or says what it would install

A test asks `peer("jackd")` first. Without it the test is skipped, or fails where TEST_PEERS is
`required`, as in CI. Needs nothing but Python's own library until a test asks.
"""

import ctypes.util
import importlib.util
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

MODE = "TEST_PEERS"
APT = ("apt-get", "install", "--yes", "--no-install-recommends")


@dataclass(frozen=True)
class Peer:
    """Debian's packages, and what they bring; `modules` come with `make install`."""

    packages: tuple[str, ...] = ()
    programs: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    libraries: tuple[str, ...] = ()  # as a linker names them
    modules: tuple[str, ...] = ()

    def absent(self):
        """What of the system is not here."""
        return [
            *(name for name in self.programs if shutil.which(name) is None),
            *(name for name in self.files if not Path(name).exists()),
            *(f"lib{name}" for name in self.libraries if ctypes.util.find_library(name) is None),
        ]


PEERS = {
    "ardour": Peer(("ardour",), ("ardour7-lua", "ardour7-export")),
    "chromium": Peer(("chromium",), files=("/usr/bin/chromium",)),
    "compiler": Peer(("g++", "make", "xz-utils"), ("g++", "make", "xz", "apt-get")),
    "curl": Peer(("curl",), ("curl",)),
    "dawdreamer": Peer(("libgl1",), libraries=("GL",), modules=("dawdreamer",)),
    "dexed": Peer(modules=("dexed",)),
    "faust": Peer(("faust", "gcc"), ("faust", "gcc")),
    "ffmpeg": Peer(("ffmpeg",), ("ffmpeg", "ffprobe")),
    "fluidsynth": Peer(("fluidsynth",), ("fluidsynth",)),
    "fluidsynth library": Peer(("libfluidsynth3",), libraries=("fluidsynth",)),
    "git": Peer(("git",), ("git",)),
    "hexter": Peer(("hexter",), files=("/usr/lib/dssi/hexter.so",)),
    "jackd": Peer(("jackd2",), ("jackd",), libraries=("jack",), modules=("jack",)),
    "liblo": Peer(("liblo-tools",), ("oscsend", "oscdump")),
    "node": Peer(("nodejs", "npm"), ("node", "npm")),
    "pedalboard": Peer(modules=("pedalboard",)),
    "playwright": Peer(modules=("playwright",)),
    "portaudio": Peer(("libportaudio2",), libraries=("portaudio",), modules=("sounddevice",)),
    "puredata": Peer(("puredata-core",), ("pd",)),
    "pysfizz": Peer(modules=("pysfizz",)),
    "sf2utils": Peer(modules=("sf2utils",)),
    "sound font": Peer(("fluid-soundfont-gm",), files=("/usr/share/sounds/sf2/FluidR3_GM.sf2",)),
    "tinysoundfont": Peer(modules=("tinysoundfont",)),
    "vita": Peer(modules=("vita",)),
    "xmlschema": Peer(modules=("xmlschema",)),
    "xvfb": Peer(("xvfb",), ("Xvfb",)),
}


def peer(*names):
    """Go on where these peers are here; else skip the test, or fail where they are required."""
    for name in names:
        absent = PEERS[name].absent()
        modules = [each for each in PEERS[name].modules if importlib.util.find_spec(each) is None]
        if absent:
            lacking(f"{', '.join(absent)} is not here: make peers")
        if modules:
            lacking(f"the package {', '.join(modules)} is not here: make install")


def playable(engine):
    """Go on where this `renderers.engines` engine is here; like `peer` else."""
    if said := engine.missing():
        lacking(f"{said.partition(':')[0]}: make install peers")


def lacking(sentence):
    """Skip the test for what `sentence` says is missing, or fail where peers are required."""
    import pytest

    if os.environ.get(MODE) == "required":
        pytest.fail(f"{sentence} ({MODE}=required)", pytrace=False)
    pytest.skip(sentence, allow_module_level=True)


def main():
    """Install the packages of absent peers; the exit code of apt-get."""
    absent = {name: each for name, each in PEERS.items() if each.absent()}
    packages = sorted({package for each in absent.values() for package in each.packages})
    if not packages:
        print(f"== peers: all {len(PEERS)} are here")
        return 0
    print(f"== peers: {', '.join(absent)}: installing {' '.join(packages)}", flush=True)
    command = [*APT, *packages]
    if shutil.which("apt-get") is None:
        print(f"   nothing is installed: there is no apt-get here. On Debian: {' '.join(command)}")
        return 0
    if os.geteuid() != 0:
        print(f"   nothing is installed: that takes root: sudo {' '.join(command)}")
        return 0
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for step in (["apt-get", "update", "--quiet"], command):
        code = subprocess.run(step, env=quiet, check=False).returncode
        if code:
            print(f"== peers: {' '.join(step[:2])} failed ({code})", file=sys.stderr)
            return code
    return 0


if __name__ == "__main__":
    sys.exit(main())
