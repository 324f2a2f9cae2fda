"""The names that help texts list, as literals: the tables they come from take long to load.

A test compares them with `bridge.hosts.HOSTS` and `INSTALLERS`, `presets.export.EXPORTERS` and
`bridge.service.ledger.State`.
"""

HOSTS = (
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
INSTALLERS = ("reaper", "ardour", "ableton")
FORMATS = (
    "wav",
    "sfz",
    "decent",
    "multisample",
    "sf2",
    "ir",
    "dx7",
    "faust",
    "sixsines",
    "vital",
    "wavetable",
)
STATES = ("queued", "running", "done", "failed", "cancelled", "interrupted")
