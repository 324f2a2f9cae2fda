"""The live player: `python -m bridge.player [--output auto|jack|portaudio|offline] ...`.

A process of its own, so that no lock is shared with the server. It is driven by lines of JSON on
stdin and answers on stdout, one object a line; every kind is described in `bridge.player.protocol`.
Try it from a shell (it leaves when stdin ends):

    (echo '{"kind": "load", "slot": 1, "preset": "bell.json", "id": "a"}'; sleep 2;
     echo '{"kind": "trigger", "slot": 1, "note": 60}'; sleep 5) | python -m bridge.player

First comes `ready` with the device, or `gone` with the reason why there is none; it is tried again
twice a second, by its name, and loads are taken meanwhile. Commands: load, unload, trigger,
note_on, note_off, param, learn, assign, panic, sysex, status, quit. A `load` into a slot that
sounds is heard from the next note on, or from the next bar while MIDI clock runs.

MIDI: bank select 0 and program change p let a channel play slot p + 1 (before, channel c plays
slot c); notes with velocity, pitch bend (2 semitones, or RPN 0 by 6, 38, 96 and 97), sustain (64),
sostenuto (66), soft pedal (67), all sound off (120), reset (121), all notes off (123); MPE zones by
RPN 6, whose fingers bend by 48 semitones and open the modulation of `fm` by 74 and pressure;
controllers 73, 75, 74, 71, 91, 7 are attack, decay, brightness, damping, reverb and level of the
slot, after they have passed its position.

SIGTERM and Ctrl-C do what `quit` does. Three threads: audio (JACK's or PortAudio's), stdin, and
the main thread, which builds sounds.
"""

from __future__ import annotations

import gc
import logging
import os
import queue
import signal
import sys
import threading
from typing import Any

from bridge.player.instrument import warm
from bridge.player.options import options
from bridge.player.player import Player
from bridge.player.thread_priority import raise_priority
from bridge.processes import parent_watch
from renderers.denormals import flush_denormals


def main() -> None:
    """Run a player on this process's stdin and stdout."""
    chosen = options()
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as out:
        os.dup2(2, 1)  # what libraries print is not the protocol
        logging.basicConfig(stream=sys.stderr, format="%(name)s: %(message)s")
        sys.setswitchinterval(0.0001)  # the audio thread waits at most this long for the lock
        flush_denormals()  # the audio thread inherits it
        warm()
        gc.freeze()  # no collection walks through what is here for good
        raise_priority()
        player = Player(chosen, out)
        parent_watch.on_death(lambda: player.inbox.put(None))
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: player.inbox.put(None))
        threading.Thread(target=read, args=(player.inbox,), daemon=True).start()
        player.run()


def read(inbox: queue.SimpleQueue[Any]) -> None:
    """Put the lines of stdin into an inbox, then None."""
    with os.fdopen(os.dup(0), encoding="utf-8", errors="replace") as stdin:
        for line in stdin:
            if line.strip():
                inbox.put(line)
    inbox.put(None)


if __name__ == "__main__":
    main()
