"""Track to stems: the methods, and what they share.

- `audio_sds`: Separation as in the Audio-SDS paper (arXiv 2505.04621, section 4): one latent a
  source.
- `base`: What all separation methods share: the window of the masks, their floor, progress.
- `calls`: How often separations ask the prior, and every other recipe that a model of a family has.
- `clap_assignment`: Component assignment by the search scorer: each component to the stem whose
  prompt it fits.
- `component_assignment`: Component assignment: which prompts get how much of each component of a
  mixture.
- `dgmo`: Masks fitted to generated references (DGMO, 2025, arXiv 2506.02858), on the mixture as
  it is.
- `mask_settings`: The settings of mask-based separation, by name.
- `multichannel_wiener`: Multichannel Wiener filter: separate sources by their places between two
  loudspeakers.
- `networks`: The networks that separation may use beside the prior.
- `nmf`: Non-negative matrix factorisation of a magnitude spectrogram: spectra and their
  activations.
- `prompted_estimates`: Estimates of each prompt's part of a mixture by a prior, as powers on the
  bins of the masks.
- `query_layers`: Layers of the query network: convolutions, attention, and what grid and queries
  exchange.
- `query_network`: Masks for any prompts in one pass: a network of its own, trained to share out
  mixtures.
- `separate`: Prompt-driven separation: stems and a residual that sum to the mixture, whatever its
  length.
- `single_prompt_network`: A mask for a prompt by itself: the prior's transformer, trained to
  separate a mixture.
- `source_posterior`: Sample the sources of a mixture from their posterior, given a denoiser of all
  of them (MSDM).
- `time_frequency_masks`: Separation by time-frequency masks: softmax over K prompts and the rest,
  shaped by a prior.
- `unasked`: The place of a prior in a method that asks none.
- `zerosep`: ZeroSep: each prompt's part of a mixture by DDIM inversion and denoising.
"""
