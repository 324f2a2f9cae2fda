"""Audio files, spectrograms, overlapping windows.

- `audio_files`: Audio files in and out, and sample rates.
- `overlap_add`: Long files in pieces: overlapping windows whose cross-fade weights sum to one.
- `spectrogram`: Spectral emphasis: magnitudes of short-time Fourier transforms at several window
  sizes.
"""
