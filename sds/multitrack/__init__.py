"""Several tracks that play together: generate them, and add some to others.

- `generate`: Total generation: all tracks from noise.
- `impute`: Partial generation: tracks that go with given ones, by replacement or by a noise level
  for each track.
- `waveforms`: Generate, accompany and separate with a denoiser of waveforms (MSDM), whatever the
  length.
"""
