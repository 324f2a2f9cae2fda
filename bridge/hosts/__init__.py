"""How stems come back into a DAW: HOSTS, the literal table; one host a file.

- `ableton`: Ableton Live: our Remote Script in it, or AbletonOSC, puts stems into the
  arrangement.
- `ardour`: Serve a running Ardour: cut a region's sound out of its files, list what to import.
- `ardour_install`: Our actions in Ardour: its file `ui_scripts` read, kept and written, and
  the script files.
- `ardour_session`: An Ardour session in a folder: a track a stem and the residual, then the
  source, muted.
- `base`: The interface of a host: four operations, and `HostCannot` for those that it lacks.
- `dawproject`: DAWproject 1.0, the open exchange file of Bitwig Studio, Studio One, Cubase and
  others.
- `files`: Files of a host: how one names another, names all of them accept, and files that appear
  whole.
- `folder`: The host without a DAW: the files stay where they are, and a page says where they
  belong.
- `installing`: Scripts of ours in the folder of a DAW: put there and taken away, a changed file
  never lost.
- `layout`: Lay out a stem set as tracks on a timeline: what every host writes in its own format.
- `markers`: Write places as a MIDI file of tempo and markers, and as files and labels for
  Audacity.
- `reaper`: REAPER: Lua actions that separate or accompany what is selected, and the list of tracks
  they place.
- `rpp`: A REAPER project file: a folder track of the stems and the residual, then the source,
  muted.
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
from bridge.hosts.base import FileHost, Host, HostCannot, HostResult, Installer

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

__all__ = ["HOSTS", "INSTALLERS", "FileHost", "Host", "HostCannot", "HostResult", "Installer"]
