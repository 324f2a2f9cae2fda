"""Parse the command line of the player process."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bridge.player.audio_outputs import LONGEST_BLOCK


@dataclass(frozen=True, slots=True)
class Options:
    """From the command line."""

    output: Literal["auto", "jack", "portaudio", "offline"]
    name: str  # of the JACK client
    device: str  # part of a sound card's name
    connect: bool  # JACK: to the speakers
    capture: Path | None  # offline: the file
    rate: int  # offline
    frames: int  # offline and PortAudio


def options(arguments: list[str] | None = None) -> Options:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m bridge.player")
    parser.add_argument(
        "--output", choices=("auto", "jack", "portaudio", "offline"), default="auto"
    )
    parser.add_argument("--name", default="scorewire", help="name of the JACK client")
    parser.add_argument("--device", default="", help="part of a sound card's name")
    parser.add_argument("--no-connect", dest="connect", action="store_false")
    parser.add_argument("--capture", type=Path, help="offline: to this file")
    parser.add_argument("--rate", type=int, default=48000, help="offline: Hz")
    parser.add_argument("--frames", type=int, default=256, help="a block, where it can be chosen")
    chosen = Options(**vars(parser.parse_args(arguments)))
    if chosen.output == "offline" and chosen.capture is None:
        parser.error("--output offline needs --capture FILE, where the sound goes")
    for name, low, high in (("rate", 8000, 192000), ("frames", 1, LONGEST_BLOCK)):
        if not low <= getattr(chosen, name) <= high:
            parser.error(f"--{name} must be {low} to {high}, got {getattr(chosen, name)}")
    return chosen
