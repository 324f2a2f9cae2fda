"""Audio files, spectrograms, overlapping windows.

- `adam`: Adam for one tensor, as torch computes it.
- `audio_files`: Audio files in and out, and sample rates.
- `band_levels`: Levels on 128 bands: fine where partials lie close, a semitone wide above, a frame
  each 16 ms.
- `compressed_stft`: A complex spectrogram that keeps everything: a packed short-time Fourier
  transform, compressed, and its exact inverse.
- `ffmpeg`: Sound files that libsndfile does not read, decoded by ffmpeg where it is installed.
- `loudness`: Loudness of a recording in LUFS: ITU-R BS.1770-4, gated, at any rate.
- `overlap_add`: Long files in pieces: overlapping windows whose cross-fade weights sum to one.
- `spectrogram`: Spectral emphasis: magnitudes of short-time Fourier transforms at several window
  sizes.
"""
