"""What a band plays: chords, styles, the parts of four instruments, pieces of MIDI songs.

- `bars`: Bars of a song with their chords, and note lists in beats.
- `comping`: What guitar and piano play: strums, riffs, arpeggios, blocks of chords, melodies.
- `harmony`: Chords, modes and progressions, and how a guitar and a piano voice a chord.
- `patterns`: Patterns of bass, guitar and piano: a sign a step, a bar long.
- `pieces`: MIDI songs sorted into four stems, without those that evaluation is made of.
- `rhythm`: What drums and bass play: grooves with fills, lines that follow chords and bass drum.
- `styles`: Styles of music: tempo, modes, grooves, and which instruments play what in them.
- `synth`: FluidSynth in this process: a sound font loaded once, many parts played.
- `words`: What to say of a song of four stems, and of each stem.
"""
