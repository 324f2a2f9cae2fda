"""What a prior wants: score distillation, separation, and the models behind them.

The prior
- `sds.priors.base`: `Denoiser`, `Prior`, `guided`; `GaussianPrior`, whose answers are exact.
- `sds.priors.stable_audio`: the one adapter to stable-audio-tools checkpoints, the shipped one
  among them;
  `sds.priors.checkpoints`, `sds.priors.stable_audio_modules` and `sds.priors.chunked_codec` find,
  make and feed them.
- `sds.priors.spectral_codec`, `sds.priors.text_embedding`: the shipped model's spectral codec and
  frozen text embedding.
- `sds.samplers.ode`: schedules and solvers, one function each.

What it is for
- `sds.distillation.distill`: prompt to patch, a generator of steps; `sds.distillation.recipes` has
  its settings by name and
  `sds.distillation.sds_targets` the formulas.
- `sds.separation.separate`: track to stems, a generator too; `sds.separation.time_frequency_masks`
  and `sds.separation.audio_sds` are its methods,
  `sds.signal.overlap_add` cuts long files.

What measures
- `sds.signal.spectrogram`: multi-scale spectral distance.
- `sds.metrics.separation`: SDR, SI-SDR, null depth.
- `sds.similarity.two_tower`: how well a text fits a sound.

And `sds.signal.audio_files`: files and sample rates; everything is [B, C, T] float32. `sds.train`
makes the shipped weights.
"""
