"""The names of the hosts that finished stems can be placed in, without their adapters.

A job names a host, and models of jobs are made in every process; `bridge.hosts` has the adapters.
"""

from __future__ import annotations

HOST_NAMES = (
    "folder",
    "dawproject",
    "dawproject-external",
    "rpp",
    "reaper",
    "ardour",
    "ableton",
    "midi",
    "audacity",
)
