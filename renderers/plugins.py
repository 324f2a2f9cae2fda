"""VST3 plugins: what they are, sound through them, their state in a preset; each in a child.

One call starts one child process (`renderers/plugin_child.py`), which loads one plugin; whatever
happens to it is a `PluginFailed` here, and nothing of the plugin runs in this process. Between the
two lie files in a temporary folder: request.json, state, in; then log, stage, out, answer.json.
Audio is float32 [C, T], little-endian.
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
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from presets import Effect, Note, Preset, vst3
from presets.preset import MAX_STATE, VST3, Plugin
from presets.python_child import python_child
from presets.reading import read_json

log = logging.getLogger(__name__)

Audio = NDArray[np.float32]

LIMIT = 60.0  # seconds for a child to load its plugin and do its work
HELD = 0.75  # of a note's length its key is down; the rest is the plugin's release
CHILD = Path(__file__).with_name("plugin_child.py")


class PluginFailed(ValueError):
    """A plugin crashed, hung or refused: one sentence with its name."""


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


def load_effect(effect: Effect) -> Hosted:
    """The plugin of a preset's effect, found on this machine. Raises `ValueError`."""
    if effect.plugin is None:
        raise ValueError(f"{effect.kind} is no plugin")
    plugin = effect.plugin
    state = base64.b64decode(plugin.state)
    return Hosted(vst3.find(plugin.file), plugin.name, plugin.instrument, state, effect.values)


def about(plugin: Hosted, *, limit: float = LIMIT) -> About:
    """Load a plugin, set it, and ask what it is and what state it is in now."""
    answer, state = _child(plugin, {"task": "describe"}, b"", limit)
    facts = {key: answer[key] for key in ("title", "maker", "version", "instrument", "parameters")}
    return About(**facts, state=state)


def check_kind(plugin: Hosted, *, limit: float = LIMIT) -> Hosted:
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
        log.warning("%s plays key %d, not %g", _plugin_name(plugin), key, note.number)
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
    all that. Raises `ValueError` when the plugin fails, or lies outside the plugin folders.
    """
    path = vst3.locate(plugin)
    if path.resolve() not in [other.resolve() for other in vst3.installed()]:
        raise ValueError(f"plugin {path} is not in a plugin folder; add its folder to VST3_PATH")
    asked = dict(values or {})
    old = next((effect for effect in preset.effects if _is_same(effect, path.name, name)), None)
    if old is not None and not state:
        asked, state = old.values | asked, load_effect(old).state
    now = about(Hosted(path, name, None, state, asked), limit=limit)
    if len(now.state) > MAX_STATE:
        most = f"at most {MAX_STATE >> 20} MiB are kept"
        raise PluginFailed(f"plugin {path.name} has a state of {len(now.state)} bytes; {most}")
    text = base64.b64encode(now.state).decode()
    kept = Plugin(file=path.name, name=name, instrument=now.instrument, state=text)
    new = Effect(kind=VST3, values=asked, plugin=kept)
    if old is not None:
        chain = tuple(new if effect is old else effect for effect in preset.effects)
    elif now.instrument:
        chain = (new, *preset.effects)
    else:
        chain = (*preset.effects, new)
    return preset.model_copy(update={"effects": chain})


def _is_same(effect: Effect, file: str, name: str) -> bool:
    plugin = effect.plugin
    return plugin is not None and (plugin.file, plugin.name) == (file, name)


def _plugin_name(plugin: Hosted) -> str:
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
        log.info("%s: %s", _plugin_name(plugin), _tail(folder / "log"))
        if not (folder / "answer.json").exists():
            doing = (folder / "stage").read_text() if (folder / "stage").exists() else "starting"
            raise PluginFailed(f"plugin {_plugin_name(plugin)} {ending} while {doing}")
        answer: dict[str, Any] = read_json(folder / "answer.json")
        if "refused" in answer:
            reason = " ".join(answer["refused"].split())[:300]
            raise PluginFailed(f"plugin {_plugin_name(plugin)} cannot be used: {reason}")
        return answer, (folder / "out").read_bytes()


def _run(folder: Path, limit: float) -> str:
    """Run the child in `folder` for at most `limit` seconds; how it ended, in words.

    It holds the reading end of a pipe of ours, so it ends when this process does.
    """
    with (folder / "log").open("wb") as heard:
        child = subprocess.Popen(
            python_child(CHILD, str(folder)),
            stdin=subprocess.PIPE,
            stdout=heard,
            stderr=heard,
            cwd=folder,  # a core dump lands there and goes with it
            start_new_session=True,
        )
        try:
            code = child.wait(limit)
        except subprocess.TimeoutExpired:
            return f"took more than {limit:g} s and was stopped"
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
        raise PluginFailed(f"plugin {_plugin_name(plugin)} gave {bad} samples that are not finite")
    return audio
