"""Captioned recordings: to train on, to evaluate on, to compare with.

- `captions`: Captions of sounds: phrases a class, other words for the same thing, templates.
- `clips`: Captioned mono clips, which a corpus is made of, in two files a part.
- `evaluation_items`: The recordings to score on: a folder of `manifest.json` and FLAC files, as
  in shared/data.
- `recordings`: The captioned recordings of a folder with a captions.csv, decoded whole.
- `reference_statistics`: Statistics of real recordings to compare with, which are shipped, and
  their sounds in data/train.
- `related`: Classes of which a sound may bear the name of the other too: neither is absent where
  one is.
"""
