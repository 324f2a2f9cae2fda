"""What a prior wants: score distillation, separation, and the models behind them.

The prior
- `sds.prior`: `Denoiser`, `Prior`, `guided`; `GaussianPrior`, whose answers are exact.
- `sds.stable_audio`: the one adapter to stable-audio-tools checkpoints, the shipped one among them;
  `sds.checkpoints`, `sds.build` and `sds.chunks` find, make and feed them.
- `sds.codec`, `sds.text`: the shipped model's spectral codec and frozen text embedding.
- `sds.sampling`: schedules and solvers, one function each.

What it is for
- `sds.distill`: prompt to patch, a generator of steps; `sds.recipes` has its settings by name and
  `sds.targets` the formulas.
- `sds.separate`: track to stems, a generator too; `sds.masks` and `sds.latents` are its methods,
  `sds.windows` cuts long files.

What measures
- `sds.spectral`: multi-scale spectral distance.
- `sds.metrics`: SDR, SI-SDR, null depth.
- `sds.judge`: how well a text fits a sound.

And `sds.audio`: files and sample rates; everything is [B, C, T] float32. `sds.train` makes the
shipped weights.
"""
