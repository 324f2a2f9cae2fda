"""Parameters to audio.

- `renderers.base`: `Renderer`, what every one is; `physical` and `positions`, the curves of `Param`
  in torch.
- `renderers.fm`: operators that modulate each other's phase.
- `renderers.impact`: damped sinusoids in a room of decaying noise.
- `renderers.strike`: what strikes them, and how often.
- `renderers.reverberation`: decaying noise in bands.
- `renderers.room`: the same in bands whose centres are knobs, on two sides.
- `renderers.newest`: the parts of a patch that a turned knob does not touch, kept.
- `renderers.table`: the list of renderers; the values of a preset to a patch and back.
- `renderers.lift`: patches of the paper's voices in the full ones, and back.
- `renderers.tuning`: patches snapped to a key, harmonic or as bells, while they are searched.
- `renderers.starts`: musical random patches of each.
- `renderers.loops`: where a held sound repeats, for samplers.
- `renderers.gestures`: how those of the full impact voice are struck.
- `renderers.families`: the families of sounds that those of the full FM voice come from.
- `renderers.kernels`: the compiled loops under both.
- `renderers.movement`: what moves in a full FM voice: envelopes that hold, pitch, one LFO.
- `renderers.full_voice`: the full FM voice: movement, noise and filter around the operators.
- `renderers.full_kernels`: its recursion and adjoint.
- `renderers.filter`: the state-variable filter after the operators.
- `renderers.noise`: the fixed noise of both, in bands.
- `renderers.voice`: FM notes and samples in real time; loads no torch.
- `renderers.voice_fm`: its FM rows, the paper's and the full voice.
- `renderers.voice_patch`: FM presets as the columns that a note starts from.
- `renderers.voice_state`: the columns of sounding notes.
- `renderers.limiter`: a look-ahead peak limiter, the end of the live output.
- `renderers.effects`: a preset's pedalboard chain and its sound file.
- `renderers.effect_gradients`: the gradient of such a chain, for searches that descend.
- `renderers.compile`: compile the kernels that searches ask for, once.

`RENDERERS` is the whole list. `to_values` and `from_values` turn a patch into the physical values
of a preset and back; `for_preset` finds the renderer a preset was made for. They come from
`renderers.table` when they are first asked for: the player imports `renderers.voice` without torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from renderers.base import Renderer
    from renderers.table import RENDERERS, for_preset, from_values, random_patches, to_values

__all__ = ["RENDERERS", "Renderer", "for_preset", "from_values", "random_patches", "to_values"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'renderers' has no attribute {name!r}")
    return getattr(importlib.import_module("renderers.table"), name)
