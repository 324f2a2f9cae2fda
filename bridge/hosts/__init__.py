"""How stems come back into a DAW: HOSTS, the literal table; one host a file.

layout.py       a stem set as tracks on a timeline
base.py         the four verbs of a host, and the sentence where it has none
"""

from __future__ import annotations

from bridge.hosts import folder
from bridge.hosts.base import FileHost, Host, HostCannot, Placed

HOSTS: dict[str, Host] = {
    "folder": FileHost("folder", "", folder.write),
}

__all__ = ["HOSTS", "FileHost", "Host", "HostCannot", "Placed"]
