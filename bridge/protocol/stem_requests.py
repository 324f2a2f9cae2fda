"""What is asked about a finished stem set and done at once: put it on the tracks of a host."""

from __future__ import annotations

from bridge.protocol.base import Frozen, HostName


class Place(Frozen):
    """Put the stems of a job that is done on the tracks of a host.

    - `host`: name of the host, as `scorewire place` has it

    Answer: host, text (what happened, in words), files (paths, the one to open first).
    """

    host: HostName
