"""Preset to sound file: the renderer, then the preset's chain of pedalboard effects and plugins.

`presets.ranges.EFFECTS` is the whole list of effects of our own; VST3 plugins run in a child
process each (`renderers.plugins`). Chains start from silence at each render, and our own effects
have no random state, so the same preset gives the same samples.
"""

from __future__ import annotations

import errno
import math
import secrets
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pedalboard
from numpy.typing import NDArray
from pedalboard import Pedalboard  # type: ignore[attr-defined]
from pedalboard.io import AudioFile

from presets import Effect, Note, Preset, ranges, vst3
from presets.preset import VST3
from renderers import plugins

RATES = (8000, 192000)

FADE = 0.01  # seconds at the end of a preset that says how long its key is held
LONGEST = 120.0  # seconds: a preset lasts 60 at most, exporters add some


def chain(effects: Iterable[Effect]) -> Pedalboard:
    """The pedalboard of effects of our own, in order; a setting left out keeps its default.

    Raises `ValueError` naming the effect, the setting, what is allowed and what was given.
    """
    effects = tuple(effects)
    ranges.check_effects(effects)
    return Pedalboard([_own_effect(effect) for effect in effects])


def _own_effect(effect: Effect) -> Any:
    if effect.plugin is not None:
        raise ValueError(f"plugin {effect.plugin.file} runs in a child process, not in this chain")
    return getattr(pedalboard, effect.kind)(**effect.values)


def render(
    preset: Preset,
    *,
    note: float | None = None,
    velocity: int = 100,
    seconds: float | None = None,
    rate: int = 44100,
    plugin: Path | str | None = None,
) -> NDArray[np.float32]:
    """Audio [C, T] float32 of a preset: its renderer at `rate` Hz, then its effects.

    `note` (MIDI number) and `seconds` default to what the preset was designed at. `plugin` (a
    path, or the file name of an installed VST3) is put behind the chain when it is an effect; an
    instrument plays the note in place of the renderer, into the chain. A preset with `held` ends
    in a fade of 10 ms.
    """
    if not RATES[0] <= rate <= RATES[1]:
        raise ValueError(f"rate must be in range {RATES[0]}..{RATES[1]} Hz, got {rate}")
    seconds = preset.seconds if seconds is None else seconds
    if not 0.0 < seconds <= LONGEST:
        raise ValueError(f"seconds must be above 0 and at most {LONGEST:g}, got {seconds:g}")
    instrument, steps = _steps(preset.effects, plugin)
    played = Note(
        preset.note if note is None else note,
        velocity,
        math.inf if preset.held is None else preset.held,
    )
    samples = max(1, round(seconds * rate))
    if instrument is not None:
        audio = plugins.play(instrument, played, samples=samples, rate=rate)
    else:
        audio = _synthesise(preset, played, samples, rate)
    for step in steps:
        if isinstance(step, plugins.Hosted):
            audio = plugins.process(step, audio, rate=rate)
        else:
            audio = step(audio, rate)
    return audio if preset.held is None else _faded(audio, rate)


def _faded(audio: NDArray[np.float32], rate: int) -> NDArray[np.float32]:
    """Audio [C, T] whose last `FADE` seconds fall to silence."""
    count = min(audio.shape[-1], round(FADE * rate))
    fall = np.linspace(1.0, 0.0, count, dtype=np.float32)
    return np.concatenate([audio[:, :-count], audio[:, -count:] * fall], axis=1)


def _steps(
    effects: tuple[Effect, ...], plugin: Path | str | None
) -> tuple[plugins.Hosted | None, list[Pedalboard | plugins.Hosted]]:
    """The instrument, when a plugin is one, and the steps behind it: boards of ours, plugins."""
    ranges.check_effects(effects)
    steps: list[Pedalboard | plugins.Hosted] = []
    for foreign, group in groupby(effects, key=lambda effect: effect.kind == VST3):
        alike = list(group)
        steps += map(plugins.load_effect, alike) if foreign else [chain(alike)]
    if plugin is not None:
        guest = plugins.check_kind(plugins.Hosted(vst3.locate(plugin)))
        steps = [guest, *steps] if guest.instrument else [*steps, guest]
    plays = [isinstance(step, plugins.Hosted) and bool(step.instrument) for step in steps]
    if any(plays[1:]):
        raise ValueError("an instrument must be first in the chain, and the only one")
    first = steps[0] if any(plays) else None
    if isinstance(first, plugins.Hosted):
        return first, steps[1:]
    return None, steps


def _synthesise(preset: Preset, note: Note, samples: int, rate: int) -> NDArray[np.float32]:
    import torch  # here: the player needs the chain of a preset, and no torch

    from renderers.table import for_preset, from_values

    renderer = for_preset(preset)
    with torch.inference_mode():
        u = from_values(renderer, preset.values)
        audio = renderer.render(u.reshape(1, -1), note, rate, samples)[0]
    dry: NDArray[np.float32] = audio.to(torch.float32).numpy()
    return dry


def write(audio: NDArray[np.float32], path: Path | str, *, rate: int) -> None:
    """Write audio [C, T] as a 32-bit float WAV, atomically; values beyond +-1 are kept."""
    path = Path(path)
    partial = path.with_name(f".{secrets.token_hex(8)}.wav")  # short, however long the name is
    partial.touch(exist_ok=False)  # not by mkstemp, whose files are private
    channels = audio.shape[0]
    try:
        with AudioFile(str(partial), "w", rate, num_channels=channels, bit_depth=32) as file:
            file.write(audio)
        partial.replace(path)
    except RuntimeError as error:  # pedalboard does not say why, as a plain write of the same does
        with partial.open("ab") as plain:
            plain.write(audio.tobytes())
        raise OSError(errno.EIO, str(error), str(path)) from error
    finally:
        partial.unlink(missing_ok=True)


def render_file(
    preset: Preset,
    path: Path | str,
    *,
    note: float | None = None,
    velocity: int = 100,
    seconds: float | None = None,
    rate: int = 44100,
    plugin: Path | str | None = None,
) -> None:
    """`render` a preset and `write` it."""
    audio = render(preset, note=note, velocity=velocity, seconds=seconds, rate=rate, plugin=plugin)
    write(audio, path, rate=rate)
