"""A player without a sound: says `ready`, loads what it is told to, answers `ok`. Standard library.

A MIDI controller that turns the brightness of slot 1 is the command `panic` of slot 99.
"""

import json
import sys


def say(**line):
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def main():
    say(kind="ready", output="offline", name="fake", rate=48000, frames=64)
    for line in sys.stdin:
        command = json.loads(line)
        if command["kind"] == "load":
            say(kind="loaded", slot=command["slot"], name="a name", note=60.0, sampled=False)
        if command["kind"] == "panic" and command.get("slot") == 99:
            say(kind="turned", slot=1, name="brightness", position=0.25)
        if command.get("id"):
            say(kind="ok", id=command["id"])


if __name__ == "__main__":
    main()
