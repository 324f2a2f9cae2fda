"""Captioned recordings: to train on, to evaluate on, to compare with.

- `captions`: What may be said of a sound: phrases a class, other words for the same thing,
  templates.
- `clips`: What a corpus is made of: captioned mono clips, in two files a part.
- `evaluation_items`: The recordings to score on: a folder of `manifest.json` and FLAC files, as
  in shared/data.
- `recordings`: The captioned recordings of a folder with a captions.csv, decoded whole.
- `reference_statistics`: Real recordings to compare with: statistics of them, which are shipped,
  and those of data/train.
"""
