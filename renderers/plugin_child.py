"""One VST3 plugin in a process of its own: a request and audio in files in, files out.

    python renderers/plugin_child.py FOLDER < a pipe that stays open as long as the answer is wanted

Run as a script by `renderers.plugins`, which says what the files are; imported by nobody. Plugins
crash, hang and print: here that ends or spoils this process alone. pedalboard wants a plugin
loaded and first used on the main thread, so everything happens there.
"""

from __future__ import annotations

import json
import os
import re
import runpy
import shutil
import sys
import threading
from pathlib import Path
from typing import Any


def _leave_with_parent(folder: Path) -> None:
    while os.read(0, 1):
        pass
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(1)


if __name__ == "__main__":  # before the imports below, which take seconds on a busy machine
    threading.Thread(target=_leave_with_parent, args=(Path(sys.argv[1]),), daemon=True).start()

import numpy as np  # noqa: E402
import pedalboard  # noqa: E402
from numpy.typing import NDArray  # noqa: E402
from pedalboard import _pedalboard as private  # noqa: E402

Audio = NDArray[np.float32]
Request = dict[str, Any]

BLOCK = 1024  # samples a call, as a DAW would
MIDI = re.compile(r"midi_(ch_\d+_)?cc_\d+.*")  # controllers by the thousand, shown as parameters
SETTLE = 0.1  # seconds of silence, in which a plugin takes up its new settings


def main(folder: Path) -> None:
    """Do what FOLDER/request.json asks, write FOLDER/answer.json, and leave at once."""
    request = json.loads((folder / "request.json").read_text())
    try:
        answer = _answer(folder, request)
    except (ValueError, RuntimeError, ImportError, TypeError) as error:
        answer = {"refused": str(error).replace(request["path"], Path(request["path"]).name)}
    (folder / "part").write_text(json.dumps(answer))
    (folder / "part").replace(folder / "answer.json")  # whole, or not at all
    os._exit(0)  # some plugins crash while they are taken down; their work is done


def _answer(folder: Path, request: Request) -> dict[str, Any]:
    def stage(words: str) -> None:
        (folder / "stage").write_text(words)

    rate = float(request["rate"])
    stage("loading it")
    plugin = _load(request["path"], request["name"])
    instrument = bool(plugin.is_instrument)
    if request["instrument"] is not None and request["instrument"] != instrument:
        kinds = ("an effect", "an instrument")
        raise ValueError(f"it is {kinds[instrument]}, not {kinds[not instrument]}")
    if request["state"]:
        stage("taking its state")
        _restore(plugin, (folder / "state").read_bytes())
    stage("setting its parameters")
    for name, value in request["values"].items():
        _set(plugin, name, value)
    _flush_denormals()  # as a DAW does: while it plays, not while it is loaded
    stage("processing silence")
    channels = _channels(plugin, request["channels"], rate)

    stage(f"processing {request['samples'] / rate:g} s of sound")
    if request["task"] == "process":
        dry = np.fromfile(folder / "in", "<f4").reshape(request["channels"], -1)
        channels = _write(_through(plugin, dry, rate, channels), request, folder / "out")
    elif request["task"] == "play":
        events = [(bytes(message), time) for message, time in request["midi"]]
        heard = plugin(events, request["samples"] / rate, rate, channels, BLOCK)
        channels = _write(heard, request, folder / "out")
    else:
        stage("giving its state")
        (folder / "out").write_bytes(plugin.preset_data)
    return {
        "title": plugin.name,
        "maker": plugin.manufacturer_name,
        "version": plugin.version,
        "instrument": instrument,
        "channels": channels,
        "parameters": {name: p.string_value for name, p in _parameters(plugin).items()},
    }


def _load(path: str, name: str) -> Any:
    names = pedalboard.VST3Plugin.get_plugin_names_for_file(path)
    if name and name not in names:
        raise ValueError(f"its file holds {', '.join(names)}, not {name!r}")
    if not name and len(names) > 1:
        raise ValueError(f"its file holds several plugins, name one of {', '.join(names)}")
    # To guess units, pedalboard asks every parameter for 1001 texts when it loads: 20 s where there
    # are 2083 parameters. `_set` asks only those that are to be set.
    host: Any = pedalboard.VST3Plugin
    host.__set_initial_parameter_values__ = lambda plugin, values: None
    return host(path, plugin_name=name or None)


def _restore(plugin: Any, state: bytes) -> None:
    try:
        # Not by plain assignment: pedalboard would look for a parameter of that name, in 20 s.
        object.__setattr__(plugin, "preset_data", state)
    except RuntimeError as error:
        raise ValueError("it does not take this state: damaged, or of another plugin") from error


def _parameters(plugin: Any) -> dict[str, Any]:
    named = {private.to_python_parameter_name(p): p for p in plugin._parameters}
    return {name: p for name, p in named.items() if name and not MIDI.fullmatch(name)}


def _set(plugin: Any, name: str, value: float) -> None:
    known = _parameters(plugin)
    if name not in known:
        some = ", ".join(list(known)[:12]) + (", ..." if len(known) > 12 else "")
        raise ValueError(f"it has no parameter {name!r}; it has {some}")
    knob: Any = private.AudioProcessorParameter(plugin, known[name].name)
    if knob.type is float:
        low, high, unit = knob.min_value, knob.max_value, knob.label or ""
    else:  # words: a number counts them from 0; off and on are such words
        low, high, unit = 0, len(knob.valid_values) - 1, "in whole numbers"
    if not low <= value <= high or (knob.type is not float and value != int(value)):
        allowed = f"{low:g}..{high:g} {unit}".rstrip()
        raise ValueError(f"{name} must be in range {allowed}, got {value:g}")
    if knob.type is float:
        knob.raw_value = knob.get_raw_value_for(value)
    elif knob.type is bool:
        knob.raw_value = float(value)
    else:
        knob.raw_value = knob.get_raw_value_for(knob.valid_values[int(value)])


def _channels(plugin: Any, wanted: int, rate: float) -> int:
    """How many channels the plugin runs with: `wanted` where it can, else 2, else 1.

    Asks by processing silence, so new settings reach the sound, and the state, before they count.
    """
    reasons = []
    for channels in dict.fromkeys((wanted, 2, 1)):
        try:
            if plugin.is_instrument:
                plugin([], SETTLE, rate, channels, BLOCK)
            else:
                plugin(np.zeros((channels, round(SETTLE * rate)), np.float32), rate, BLOCK)
        except ValueError as error:
            reasons.append(str(error))
        else:
            return channels
    raise ValueError(f"it runs with neither 1 nor 2 channels ({reasons[0]})")


def _through(plugin: Any, dry: Audio, rate: float, channels: int) -> Any:
    """`dry` [C, T] through an effect: mono is doubled for a stereo plugin, stereo is split."""
    if channels >= len(dry):
        return plugin(np.repeat(dry, channels // len(dry), axis=0), rate, BLOCK)
    return np.concatenate([plugin(side[None], rate, BLOCK) for side in dry])


def _write(heard: Any, request: Request, path: Path) -> int:
    """Write as many samples as were asked for: what a plugin still holds back is silence."""
    heard = np.asarray(heard, "<f4")[:, : request["samples"]]
    np.pad(heard, ((0, 0), (0, request["samples"] - heard.shape[1]))).tofile(path)
    return len(heard)


def _flush_denormals() -> None:
    """`renderers.denormals`, by its file: the package would load torch."""
    here = Path(__file__).with_name("denormals.py")
    runpy.run_path(str(here))["flush_denormals"]()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
