"""What is in a recording: is a prompt's sound there, and which names fit.

- `evidence`: What speaks for a prompt's sound being in a recording, beside how near a tagger
  finds the two.
- `presence`: Is the sound that a prompt names in a recording at all, and in which seconds of it?
- `tagging`: What is in a recording: which names of a vocabulary are found most in it, and when.
"""
