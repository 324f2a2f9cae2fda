"""What sounding notes are made of: a row of `Voices` each, and the hands that move them."""

from __future__ import annotations

from typing import Any, NamedTuple, get_type_hints

import numpy as np
from numpy.typing import NDArray

from renderers.movement import GRID
from renderers.voice_patch import ENVELOPES, MOVES, OPERATORS

Array = NDArray[np.float64]
Ints = NDArray[np.int64]

CHUNK = GRID  # samples between two looks at bend and depth when they rest
FREE, TRIANGLE, LOOPS, SAMPLE = 0, 1, 2, 3  # what a row is
PRESSED = 1 << 40  # an age that no note reaches
KEYS = 17  # who can hold a key: 16 MIDI channels, and the lines
PITCH, INDEX, LEVEL, SLOPE = 0, 1, 2, 3  # what stands on the grid


class Voices(NamedTuple):
    """The state of N voices; a row with kind `FREE` is silent."""

    kind: Ints  # [N]
    full: Ints  # [N] 1: a full FM voice
    operators: Ints  # [N]
    bus: Ints  # [N] row of the output
    slot: Ints  # [N]
    key: Ints  # [N] who pressed it
    note: Ints  # [N]
    held: Ints  # [N] 1: released, but a pedal holds it
    caught: Ints  # [N] 1: sostenuto holds it, whatever sustain does
    wait: Ints  # [N] samples before it starts
    leave: Ints  # [N] samples before its fade or release begins, -1: not released
    age: Ints  # [N] samples since its start
    last: Ints  # [N] age at which it ends
    let: Ints  # [N] age at which a full voice's key went up
    fade: Array  # [N] 1 until it is released, then falling to 0
    fall: Array  # [N] by this much a sample; 0 where envelopes release
    loud: Array  # [N] peak of its last block
    gain: Array  # [N] of a sample's velocity, or of the noise
    rise: Array  # [N] samples in which a sample fades in
    place: Array  # [N] position in a sample, relative to its start
    step: Array  # [N] samples of it a sample of ours
    first: Ints  # [N] where a sample or the noise begins in the store, -1: none
    bend: Array  # [N] frequency factor now
    depth: Array  # [N] modulation factor now
    u: Array  # [N, 8]
    phase: Array  # [N, 8] turns
    cycles: Array  # [N, 8] turns a sample
    mix: Array  # [N, 8]
    matrix: Array  # [N, 8, 8] turns
    attack: Array  # [N, 9] the last is the noise's
    decay: Array  # [N, 9]
    sustain: Array  # [N, 9]
    release: Array  # [N, 9]
    table: Array  # [N, 9, CHUNK] powers of the decay
    falling: Array  # [N, 9, CHUNK] powers of the release
    moves: Array  # [N, 12] `MOVES`
    grid: Array  # [N, 2, 4] pitch, index, level, slope at the grid points around it
    damping: Array  # [N]
    taps: Array  # [N, 3]
    filter: Array  # [N, 2] its integrators


class Hands(NamedTuple):
    """What moves while notes sound."""

    bend: Array  # [KEYS] frequency factor
    depth: Array  # [slots] factor on modulation; self-feedback only follows it in loops
    touch: Array  # [KEYS] factor on that depth: a finger's pressure and place


def voices(count: int) -> Voices:
    """`count` free voices."""
    shapes: dict[str, tuple[int, ...]] = {"matrix": (OPERATORS, OPERATORS)}
    shapes |= dict.fromkeys(("u", "phase", "cycles", "mix"), (OPERATORS,))
    shapes |= dict.fromkeys(("attack", "decay", "sustain", "release"), (ENVELOPES,))
    shapes |= dict.fromkeys(("table", "falling"), (ENVELOPES, CHUNK))
    shapes |= {"moves": (len(MOVES),), "grid": (2, 4), "taps": (3,), "filter": (2,)}
    columns: dict[str, Any] = {}
    for name, kind in get_type_hints(Voices).items():
        shape = (count, *shapes.get(name, ()))
        columns[name] = np.zeros(shape, np.int64 if kind == Ints else np.float64)
    return Voices(**columns)


def hands(slots: int) -> Hands:
    """Nothing bent, every depth as designed."""
    return Hands(np.ones(KEYS), np.ones(slots), np.ones(KEYS))


def scratch() -> Array:
    """What `renderers.voice.advance` works in, [4, 9, CHUNK + 8]: a chunk and the sample after."""
    return np.zeros((4, ENVELOPES, CHUNK + 8))
