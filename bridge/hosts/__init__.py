"""How stems come back into a DAW: HOSTS, the literal table; one host a file.

layout.py       a stem set as tracks on a timeline
base.py         the four verbs of a host, and the sentence where it has none
folder.py       the files stay where they are; a page says where they belong
dawproject.py   Bitwig Studio, Studio One, Cubase: a project file, with the audio in it or beside it
rpp.py          REAPER: a project file
reaper.py       REAPER: actions of its own, which separate what is selected; INSTALLERS has them
ableton.py      Ableton Live: a Remote Script of ours, or AbletonOSC
ardour_session.py  Ardour: a session in a folder, with copies of the audio
ardour.py       Ardour while it runs: a region's sound, and the list of what to import
ardour_install.py  Ardour: actions of its own, which separate what is selected
markers.py      others: a MIDI file of the tempo map; lists of files and labels for Audacity
"""

from __future__ import annotations

from functools import partial

from bridge.hosts import (
    ableton,
    ardour_install,
    ardour_session,
    dawproject,
    folder,
    markers,
    reaper,
    rpp,
)
from bridge.hosts.base import FileHost, Host, HostCannot, Installer, Placed

HOSTS: dict[str, Host] = {
    "folder": FileHost("folder", "", folder.write),
    "dawproject": FileHost("dawproject", dawproject.SUFFIX, dawproject.write),
    "dawproject-external": FileHost(
        "dawproject-external", dawproject.SUFFIX, partial(dawproject.write, embed=False)
    ),
    "rpp": FileHost("rpp", rpp.SUFFIX, rpp.write),
    "reaper": FileHost("reaper", reaper.SUFFIX, reaper.write),
    "ardour": FileHost("ardour", ardour_session.SUFFIX, ardour_session.write),
    "ableton": ableton.Ableton(),
    "midi": FileHost("midi", ".mid", markers.write_midi),
    "audacity": FileHost("audacity", ".lof", markers.write_audacity),
}

INSTALLERS = {
    "reaper": Installer(reaper.install, reaper.uninstall),
    "ardour": Installer(ardour_install.install, ardour_install.uninstall),
    "ableton": Installer(ableton.install, ableton.uninstall),
}

__all__ = ["HOSTS", "INSTALLERS", "FileHost", "Host", "HostCannot", "Installer", "Placed"]
