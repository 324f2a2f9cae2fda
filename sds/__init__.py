"""What a prior wants: score distillation, separation, and their models. Audio is [B, C, T] float32.

- `datasets`: Captioned recordings: to train on, to evaluate on, to compare with.
- `detection`: What is in a recording: is a prompt's sound there, and which names fit.
- `distillation`: Prompt to patch: score distillation, and the searches before it.
- `metrics`: Distances between sounds and between sets of sounds.
- `multitrack`: Bass, drums, guitar, piano: one model that generates, accompanies and takes apart.
- `priors`: Diffusion priors: D(x; sigma, prompt), their codecs, and how checkpoints become one.
- `samplers`: Noise schedules and solvers of the probability-flow ODE, one function each.
- `scoreboard`: Every method beside its baselines, on recordings that nothing was trained on.
- `separation`: Track to stems: the methods, and what they share.
- `signal`: Audio files, spectrograms, overlapping windows.
- `similarity`: How well a text fits a sound: the evaluation scorer, the search scorer, LAION-
  CLAP.
- `train`: How the shipped weights are made: scripts with --help, a model a file.
"""
