"""Real VST3 plugins to test with, built once into a cache folder.

    python tests/vst3/build.py      says where they are

An effect (MaGigaverb, stereo) and an instrument (Kars, mono) come from the source of Debian's
dpf-plugins, which holds DPF, a framework that writes VST3 without an SDK; Trouble, beside this
file, goes wrong on request. apt fetches the source (57 MB) from the archive it is set up for and
checks its hash; g++ and make build in some 10 s.
"""

import hashlib
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from platformdirs import user_cache_path

HERE = Path(__file__).parent
SOURCE = "dpf-plugins_1.6+ds.orig.tar.xz"
SHA256 = "15492ec9693f09e676e6a18e7e35f8861c6340e70ecb53e1404d0b803bf1f98a"  # as in its .dsc
TOP = "dpf-plugins-1.6+ds"
NEEDED = ("dpf", "plugins/common", "plugins/gigaverb", "plugins/Kars")
PLUGINS = {"MaGigaverb.vst3": "gigaverb", "Kars.vst3": "Kars", "Trouble.vst3": "Trouble"}
APT_HELPER = "/usr/lib/apt/apt-helper"


class Unavailable(Exception):
    """What is lacking, and how to get it."""


def vst3_folder() -> Path:
    """The folder that holds `PLUGINS`, built when it is not there. Raises `Unavailable`."""
    if sys.platform != "linux":
        raise Unavailable("the VST3 plugins of the tests are built on Debian Linux only")
    ours = b"".join(path.read_bytes() for path in sorted((HERE / "Trouble").iterdir()))
    version = hashlib.sha256(ours + SHA256.encode()).hexdigest()[:12]
    cache = user_cache_path("scorewire") / f"vst3-{version}"
    if all((cache / name).is_dir() for name in PLUGINS):
        return cache
    for tool in ("apt-get", "g++", "make", "xz"):
        if shutil.which(tool) is None:
            raise Unavailable(f"{tool} is not installed: apt-get install {tool}, on Debian")
    with tempfile.TemporaryDirectory() as place:
        top = _unpacked(Path(place))
        shutil.copytree(HERE / "Trouble", top / "plugins" / "Trouble")
        for folder in PLUGINS.values():
            _run("make", "-C", str(top / "plugins" / folder), "vst3")
        cache.mkdir(parents=True, exist_ok=True)
        for name in PLUGINS:
            if not (cache / name).is_dir():
                shutil.move(top / "bin" / name, cache / name)
    return cache


def aborting(folder: Path) -> Path:
    """A bundle in `folder` whose library aborts while it is loaded. Raises `Unavailable`."""
    if shutil.which("g++") is None:
        raise Unavailable("g++ is not installed: apt-get install g++, on Debian")
    inside = folder / "Abort.vst3" / "Contents" / f"{platform.machine()}-linux"
    inside.mkdir(parents=True)
    _run("g++", "-shared", "-fPIC", "-o", str(inside / "Abort.so"), str(HERE / "abort.cpp"))
    return folder / "Abort.vst3"


def _unpacked(folder: Path) -> Path:
    """The parts of the source that are needed."""
    printed = _run("apt-get", "download", "--print-uris", "dpf-plugins-vst")
    address = printed.split("'")[1].rpartition("/")[0]
    patience = ["-o", "Acquire::http::Timeout=20", "-o", "Acquire::Retries=1"]
    fetched = str(folder / SOURCE)
    _run(APT_HELPER, *patience, "download-file", f"{address}/{SOURCE}", fetched, f"SHA256:{SHA256}")
    _run("tar", "-xf", fetched, "-C", str(folder), *(f"{TOP}/{part}" for part in NEEDED))
    return folder / TOP


def _run(*command: str) -> str:
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)
    if run.returncode:
        last = (run.stderr.strip() or run.stdout.strip() or "no word").splitlines()[-1]
        raise Unavailable(f"dpf-plugins is not to be had: {command[0]} failed ({last})")
    return run.stdout


if __name__ == "__main__":
    print(vst3_folder())
