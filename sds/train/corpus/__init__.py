"""The training corpus: `python -m sds.train.corpus`, a kind of sound a file.

- `band`: What a band plays: chords, styles, the parts of four instruments, pieces of MIDI songs.
- `__main__`: Build the training corpus, part by part: `python -m sds.train.corpus --help`.
- `arrangements`: Songs of bass, drums, guitar and piano, composed: chords, form, parts that go
  together, captions.
- `beats`: Drums of skin and of circuits, and plain synthesizer tones.
- `dsp`: What the procedural sounds are made of: noises, bands, envelopes, modes, rooms.
- `gm`: General MIDI in words: what each program, drum key and kit is called, and where it plays.
- `machines`: Things that run, tick, pass by and warn.
- `midi`: General MIDI rendered with FluidSynth: single notes, drum hits, phrases, pieces of
  songs.
- `nature`: Weather, water, fire and small animals, made from noise and sines.
- `passages`: Passages of the songs that were trained on, for suite `multisource` to find copies of.
- `patches`: Random patches of a renderer, with captions from what is measured in their sound.
- `phrases`: Random but musical: single notes, lines, chords, grooves and small bands, with
  captions.
- `procedural`: Sounds made from formulas, with captions from the numbers they were made with.
- `reserved`: Render the clips that suite `multisource` of the scoreboard measures on.
- `songs`: Pieces of MIDI songs: all instruments together, and single ones alone.
- `stems`: Render songs of four stems to train on: `python -m sds.train.corpus.stems --help`.
- `struck`: Struck things: modes of plates, bars, shells and membranes with the damping of their
  material.
"""
