"""Several tracks that play together: generate them, and add some to others.

- `arrange`: Make stems: all of them, or those that go with the ones that are given.
- `base`: The classes of stems, and what a model of them is to those who use it.
- `beat_tracking`: Find the beats of what is given, where nobody says them.
- `generate`: Total generation: all tracks from noise.
- `impute`: Partial generation: tracks that go with given ones, by replacement or by a noise level
  for each track.
- `loading`: The model of four stems by its name.
- `phases`: Sound of band levels: magnitudes on bins, and phases that go on from frame to frame.
- `take_apart`: Take a mixture of four instruments apart: bass, drums, guitar and piano, which add
  up to it.
- `waveforms`: Generate, accompany and separate with a denoiser of waveforms (MSDM), whatever the
  length.
"""
