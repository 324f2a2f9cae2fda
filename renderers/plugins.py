"""VST3 plugins: which are here, what they are, and sound through them, each in a child process.

A preset names a plugin by its file name and is looked for in the plugin folders (`folders`); a
person may give any path. One call starts one child (`renderers/plugin_child.py`), which loads one
plugin; whatever happens to it is a `PluginFailed` here, and nothing of the plugin runs in this
process. Between the two lie files in a temporary folder: request.json, state, in, then stage,
out, answer.json; audio is float32 [C, T], little-endian.
"""

from __future__ import annotations

import base64
import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from presets import Effect, Note, Preset
from presets.preset import MAX_STATE, VST3, Plugin

log = logging.getLogger(__name__)

Audio = NDArray[np.float32]

LIMIT = 60.0  # seconds for a child to load its plugin and do its work
HELD = 0.75  # of a note's length its key is down; the rest is the plugin's release
CHILD = Path(__file__).with_name("plugin_child.py")


class PluginFailed(ValueError):
    """A plugin is missing, crashed, hung or refused: one sentence with its name."""


@dataclass(frozen=True, slots=True)
class Hosted:
    """A plugin as it is to be run. `instrument` None: whatever it turns out to be.

    `state` is a .vstpreset, taken first; `values` are then set, in the plugin's own units.
    """

    path: Path
    name: str = ""
    instrument: bool | None = None
    state: bytes = b""
    values: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class About:
    """What a plugin says of itself; `parameters` are texts by name, `state` a .vstpreset."""

    title: str
    maker: str
    version: str
    instrument: bool
    parameters: dict[str, str]
    state: bytes


def folders() -> tuple[Path, ...]:
    """Where VST3 plugins are: those of the environment's VST3_PATH, then the system's usual."""
    own = [Path(part) for part in os.environ.get("VST3_PATH", "").split(os.pathsep) if part]
    if sys.platform == "win32":
        usual = [
            Path(os.environ.get("LOCALAPPDATA", "C:/"), "Programs", "Common", "VST3"),
            Path(os.environ.get("CommonProgramFiles", "C:/Program Files/Common Files"), "VST3"),
        ]
    elif sys.platform == "darwin":
        usual = [
            Path.home() / "Library/Audio/Plug-Ins/VST3",
            Path("/Library/Audio/Plug-Ins/VST3"),
        ]
    else:
        usual = [Path.home() / ".vst3", Path("/usr/local/lib/vst3"), Path("/usr/lib/vst3")]
    return (*own, *usual)


def installed(where: Sequence[Path] | None = None) -> Iterator[Path]:
    """The .vst3 files and bundles in `where` (default `folders()`), without opening any."""
    for top in folders() if where is None else where:
        for folder, inner, files in os.walk(top):
            yield from (Path(folder, name) for name in sorted(inner + files) if _is_vst3(name))
            inner[:] = sorted(name for name in inner if not _is_vst3(name))


def find(file: str) -> Path:
    """The installed plugin whose file is called `file`. Raises `PluginFailed`."""
    for path in installed():
        if path.name == file:
            return path
    places = ", ".join(map(str, folders()))
    raise PluginFailed(f"plugin {file} is not installed: it is in none of {places}")


def located(plugin: Path | str) -> Path:
    """What a person means by `plugin`: a path to a .vst3 that exists, or an installed one's name.

    Raises `PluginFailed`.
    """
    path = Path(plugin)
    if not _is_vst3(path.name):
        raise PluginFailed(f"a plugin's file must end in .vst3, got {path.name!r}")
    if path.exists():
        return path.absolute()
    if path.name == str(plugin):
        return find(path.name)
    raise PluginFailed(f"plugin {path} does not exist")


def hosted(effect: Effect) -> Hosted:
    """The plugin of a preset's effect, found on this machine. Raises `PluginFailed`."""
    if effect.plugin is None:
        raise ValueError(f"{effect.kind} is no plugin")
    plugin = effect.plugin
    state = base64.b64decode(plugin.state)
    return Hosted(find(plugin.file), plugin.name, plugin.instrument, state, effect.values)


def about(plugin: Hosted, *, limit: float = LIMIT) -> About:
    """Load a plugin, set it, and ask what it is and what state it is in now."""
    answer, state = _child(plugin, {"task": "describe"}, b"", limit)
    facts = {key: answer[key] for key in ("title", "maker", "version", "instrument", "parameters")}
    return About(**facts, state=state)


def recognised(plugin: Hosted, *, limit: float = LIMIT) -> Hosted:
    """The same plugin, known to be an effect or an instrument."""
    return replace(plugin, instrument=about(plugin, limit=limit).instrument)


def process(plugin: Hosted, audio: Audio, *, rate: int, limit: float = LIMIT) -> Audio:
    """Audio [C, T] through an effect, as long as it was; C is 2 where the plugin is stereo only."""
    channels, samples = audio.shape
    what = {"task": "process", "channels": channels, "samples": samples, "rate": rate}
    data = np.ascontiguousarray(audio, "<f4").tobytes()
    answer, heard = _child(replace(plugin, instrument=False), what, data, limit)
    return _sound(plugin, answer, heard, samples)


def play(plugin: Hosted, note: Note, *, samples: int, rate: int, limit: float = LIMIT) -> Audio:
    """One note [C, samples] by an instrument: on channel 1, the key held for three quarters.

    A fractional note number sounds as the nearest key.
    """
    key = round(note.number)
    if key != note.number:
        log.warning("%s plays key %d, not %g", _called(plugin), key, note.number)
    off = HELD * samples / rate
    midi = [([0x90, key, note.velocity], 0.0), ([0x80, key, 64], off)]
    what = {"task": "play", "midi": midi, "channels": 2, "samples": samples, "rate": rate}
    answer, heard = _child(replace(plugin, instrument=True), what, b"", limit)
    return _sound(plugin, answer, heard, samples)


def keep(
    preset: Preset,
    plugin: Path | str,
    *,
    name: str = "",
    values: Mapping[str, float] | None = None,
    state: bytes = b"",
    limit: float = LIMIT,
) -> Preset:
    """The preset with a plugin in its chain, in the state it is in once `values` are set.

    An effect goes last, an instrument first; the same plugin, when it is in the chain already,
    keeps its place and what was set before. `state` (a .vstpreset, from a DAW for one) replaces
    all that. Raises `PluginFailed`, also when the plugin lies outside the plugin folders.
    """
    path = located(plugin)
    if find(path.name).resolve() != path.resolve():
        raise PluginFailed(f"plugin {path} is not in a plugin folder; name its own in VST3_PATH")
    before = [_is_same(effect, path.name, name) for effect in preset.effects]
    old = preset.effects[before.index(True)] if True in before else None
    if old is not None and not state:
        values = {**old.values, **(values or {})}
        state = hosted(old).state
    now = about(Hosted(path, name, None, state, dict(values or {})), limit=limit)
    if len(now.state) > MAX_STATE:
        most = f"at most {MAX_STATE >> 20} MiB are kept"
        raise PluginFailed(f"plugin {path.name} has a state of {len(now.state)} bytes; {most}")
    new = Effect(
        kind=VST3,
        values=dict(values or {}),
        plugin=Plugin(
            file=path.name,
            name=name,
            instrument=now.instrument,
            state=base64.b64encode(now.state).decode(),
        ),
    )
    if old is not None:
        chain = tuple(new if effect is old else effect for effect in preset.effects)
    else:
        chain = (new, *preset.effects) if now.instrument else (*preset.effects, new)
    return preset.model_copy(update={"effects": chain})


def _is_same(effect: Effect, file: str, name: str) -> bool:
    plugin = effect.plugin
    return plugin is not None and (plugin.file, plugin.name) == (file, name)


def _is_vst3(name: str) -> bool:
    return name.lower().endswith(".vst3") and len(name) > len(".vst3")


def _called(plugin: Hosted) -> str:
    return plugin.name or plugin.path.stem


def _child(
    plugin: Hosted, what: dict[str, Any], data: bytes, limit: float
) -> tuple[dict[str, Any], bytes]:
    """Run a child on its request; its answer and the bytes that it put out."""
    request = {"channels": 1, "samples": 0, "rate": 44100} | what
    request |= {"path": str(plugin.path), "name": plugin.name, "instrument": plugin.instrument}
    request |= {"values": dict(plugin.values), "state": bool(plugin.state)}
    with tempfile.TemporaryDirectory(prefix="scorewire-plugin-") as place:
        folder = Path(place)
        (folder / "request.json").write_text(json.dumps(request))
        (folder / "state").write_bytes(plugin.state)
        (folder / "in").write_bytes(data)
        ending = _run(folder, limit)
        log.info("%s: %s", _called(plugin), _tail(folder / "log"))
        if not (folder / "answer.json").exists():
            doing = (folder / "stage").read_text() if (folder / "stage").exists() else "starting"
            raise PluginFailed(f"plugin {_called(plugin)} {ending} while {doing}")
        answer: dict[str, Any] = json.loads((folder / "answer.json").read_text())
        if "refused" in answer:
            reason = " ".join(answer["refused"].split())[:300]
            raise PluginFailed(f"plugin {_called(plugin)} cannot be used: {reason}")
        return answer, (folder / "out").read_bytes()


def _run(folder: Path, limit: float) -> str:
    """Run the child in `folder` for at most `limit` seconds; how it ended, in words.

    It holds the reading end of a pipe of ours, so it ends when this process does.
    """
    with (folder / "log").open("wb") as heard:
        child = subprocess.Popen(
            [sys.executable, "-P", str(CHILD), str(folder)],
            stdin=subprocess.PIPE,
            stdout=heard,
            stderr=heard,
            cwd=folder,  # a core dump lands there and goes with it
            start_new_session=True,
        )
        try:
            code = child.wait(limit)
        except subprocess.TimeoutExpired:
            return f"did nothing for {limit:g} s and was stopped"
        finally:
            _kill(child)
    if code >= 0:
        return f"ended with exit code {code}"
    names = {number.value: number.name for number in signal.Signals}
    return f"crashed ({names.get(-code, f'signal {-code}')})"


def _kill(child: subprocess.Popen[bytes]) -> None:
    """End the child, and on POSIX whatever it has started."""
    try:
        if sys.platform == "win32":
            child.kill()
        else:
            os.killpg(child.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    if child.stdin is not None:
        child.stdin.close()
    child.wait()


def _tail(path: Path) -> str:
    return path.read_bytes()[-2000:].decode("utf-8", "replace").strip()


def _sound(plugin: Hosted, answer: dict[str, Any], heard: bytes, samples: int) -> Audio:
    audio: Audio = np.frombuffer(heard, "<f4").reshape(answer["channels"], samples).copy()
    if not np.isfinite(audio).all():
        bad = int(np.count_nonzero(~np.isfinite(audio)))
        raise PluginFailed(f"plugin {_called(plugin)} gave {bad} samples that are not finite")
    return audio
