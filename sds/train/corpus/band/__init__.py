"""What a band plays: chords, styles, the parts of four instruments, songs of MIDI files.

"""
