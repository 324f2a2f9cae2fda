"""What is in a recording: is a prompt's sound there, and which names fit.

- `band_frames`: Frames that the tagger hears: the trunk's last map, its bands in four groups.
- `evidence`: Evidence that a prompt's sound is in a recording, beside the tagger's answer.
- `presence`: Presence: is the sound that a prompt names in a recording, and in which seconds of
  it?
- `tagger`: The tagger: a small network that asks what the trunk heard for any prompt.
- `tagging`: Tagging: the names of a vocabulary that fit a recording best, and when they sound.
"""
