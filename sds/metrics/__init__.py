"""Distances between sounds and between sets of sounds.

- `frechet`: The Frechet distance of two sets of embeddings (FAD when they hear audio).
- `separation`: How far an estimate is from the truth, in dB, and a set of sounds from another
  (`frechet`).
- `spectral_statistics`: What a sound is, in some hundred simple figures, and the class of
  recordings it is nearest to.
"""
