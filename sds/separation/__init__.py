"""Track to stems: the methods, and what they share.

- `audio_sds`: Separation as in the Audio-SDS paper (arXiv 2505.04621, section 4): one latent a
  source.
- `base`: What all separation methods share: the window, the floor, progress.
- `clap_assignment`: What the search scorer makes of a separation: who should have which
  component, which candidate is best.
- `component_assignment`: Who gets which component of a mixture: all who know what words sound
  like are asked.
- `dgmo`: Masks after generated references (DGMO, 2025, arXiv 2506.02858), on the mixture as it
  is.
- `mask_settings`: The settings of mask-based separation, by name.
- `multichannel_wiener`: Where sources are between two loudspeakers: another way to tell them
  apart, beside masks.
- `networks`: The networks that separation may ask beside the prior.
- `nmf`: Non-negative factors of a magnitude spectrogram: spectra and when they sound.
- `prompted_estimates`: What a prior makes of a mixture for each prompt: a look, as powers on the
  masks' own bins.
- `query_network`: A mask for any prompt in one pass: the prior's transformer, taught to share out
  a mixture.
- `separate`: Prompt-driven separation: stems and a residual that sum to the mixture, whatever its
  length.
- `time_frequency_masks`: Separation by time-frequency masks that a prior shapes: softmax over K
  prompts and the rest.
- `zerosep`: What prompts make of a mixture from its own place in a prior's noise
  (`targets.inverted`).
"""
