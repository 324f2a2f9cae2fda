"""What is in a recording: is a prompt's sound there, and which names fit.

- `evidence`: Evidence that a prompt's sound is in a recording, beside its cosine by the tagger.
- `presence`: Presence: is the sound that a prompt names in a recording, and in which seconds of
  it?
- `tagging`: Tagging: the names of a vocabulary that fit a recording best, and when they sound.
"""
