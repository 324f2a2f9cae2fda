"""How well a text fits a sound: the evaluation scorer, the search scorer, LAION-CLAP.

- `base`: The protocol of text-audio similarity models.
- `cell_words`: How well a prompt fits each cell of a sound: a text head on the trunk's last map.
- `laion_clap`: LAION-CLAP as an evaluation scorer, through `transformers` (Wu et al.
- `rating`: One scale for how well a sound is as asked, 0..100, and a verdict in words.
- `trunk`: The trunk under what hears: a convolutional network trained on professional sound
  effects.
- `two_tower`: How well a sound matches a text: two towers, one for log-mel spectra, one for
  sentences.
"""
