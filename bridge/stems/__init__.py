"""Stem sets: the manifest, the null test, what a stem's file says of itself.

- `bwf_metadata`: Write and read a stem's bext and iXML: place, names, and how to make it again.
- `excerpt`: Take over the settings of an excerpt that was tried first.
- `levels`: The null depth of two energies in dB.
- `manifest`: The manifest of a stem set: its fields, how files are named, and headers that must
  agree with it.
- `null_test`: Measure whether the stems and the residual of a set add up to its source.
- `null_test_numpy`: `python -m bridge.stems.null_test_numpy STEMS.JSON`: add a stem set up, by
  numpy, in a process of its own.
- `remake`: Read a `Separate` job back from an earlier stem set: its manifest, or any one of its
  files.
- `tempo`: Tempo maps: convert between seconds and beats.
"""
