"""The names that help texts list, as literals: the tables they come from take long to load.

A test compares them with `bridge.hosts.INSTALLERS`, `presets.export.EXPORTERS` and
`bridge.service.ledger.State`; hosts have their names in a module without weight.
"""

from bridge.protocol.host_names import HOST_NAMES as HOSTS

__all__ = ["FORMATS", "HOSTS", "INSTALLERS", "STATES"]

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
