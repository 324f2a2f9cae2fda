"""What is asked about patches and done at once: keep one that a search found, play some."""

from __future__ import annotations

from pydantic import Field

from bridge.protocol.base import Frozen


class Keep(Frozen):
    """Keep a patch that a search found: the library tags it `kept`, and no more `inbox`.

    - `number`: of the patch, 1 for the best, >= 1
    - `star`: whether it is tagged `star` too; default False
    - `job`: id of the search; default "": the newest that is done

    Answer: number, name, preset (its file in the library), tags.
    """

    number: int = Field(ge=1)
    star: bool = False
    job: str = ""


class Play(Frozen):
    """Put presets into the slots 1, 2, ... of library and player; start a player where none is.

    - `presets`: what the library calls them, at most 128; default (): the slots stay as they are

    Answer: slots (file in the library by number), started (whether no player was there before).
    """

    presets: tuple[str, ...] = Field(default=(), max_length=128)
