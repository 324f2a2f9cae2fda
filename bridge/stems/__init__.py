"""Stem sets: the manifest, the null test, what a stem's file says of itself.

- `bwf_metadata`: What a stem's file says of itself: bext for editors, iXML for names, and how to
  make it again.
- `excerpt`: An excerpt that was heard first: what the full run takes over from it.
- `levels`: The null depth of two energies in dB.
- `manifest`: A set of stems: how files are named, the manifest beside them, and the check that
  they add up.
- `null_test`: The null test: do the stems and the residual of a set add up to its source?
- `null_test_numpy`: `python -m bridge.stems.null_test_numpy STEMS.JSON`: add a stem set up, by
  numpy, in a process of its own.
- `remake`: Make stems again from what an earlier set says of itself: its manifest, or any one of
  its files.
- `tempo`: Tempo maps: where a time lies in beats, and when a beat is heard.
"""
