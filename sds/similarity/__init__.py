"""How well a text fits a sound: the evaluation scorer, the search scorer, LAION-CLAP.

- `base`: What text-audio similarity models have in common.
- `laion_clap`: LAION-CLAP as a evaluation scorer, through `transformers` (Wu et al.
- `two_tower`: How well does this sound match that text: two towers, one for log-mel spectra, one
  for sentences.
"""
