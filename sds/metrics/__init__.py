"""Distances between sounds and between sets of sounds.

- `attack`: How sharply a sound begins: the rise of its energy at the loudest onset.
- `chroma`: Whether two tracks are in one harmony: the notes of the octave that sound at once.
- `copy_detection`: Whether a sound is a copy of a training recording: the nearest of them, and how
  near others come.
- `fingerprint`: Whether two sounds are one recording: fingerprints of a word of 32 bits every
  46 ms.
- `frechet`: The Frechet distance of two sets of embeddings (FAD when they are of audio).
- `multi_source`: Separation of four stems as multi-source diffusion measures it: windows of 4 s,
  silence and all.
- `onsets`: Where notes begin, and whether two tracks begin them together; how fast the beat is.
- `passages`: Whether a piece of music is a copy of a training song: passages of 3 s, compared as
  band levels.
- `pitch`: The fundamental of a sound, by two trackers that share nothing.
- `separation`: Signal-to-distortion ratios of stems, and levels, in dB.
- `spectral_statistics`: Statistics of a sound, some hundred figures, and the class of recordings
  it is nearest to.
- `tuning`: How much of a sound is in tune with a key: the share of its strongest partials.
"""
