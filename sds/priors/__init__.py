"""Diffusion priors: D(x; sigma, prompt), their codecs, and how checkpoints become one.

- `base`: Diffusion priors as this package sees them: a denoiser with text conditions and a codec.
- `band_network`: A U-Net over band levels: what separates four stems, and what denoises them.
- `beats`: Where the beats are, as the model of four stems is told: cosine and sine of the phase
  within a beat, and within a bar where that is known.
- `blank_modules`: Modules built without weights of their own: parameters on the meta device,
  buffers computed.
- `checkpoints`: Checkpoints of stable-audio-tools: find the files, read the weights.
- `chunked_codec`: Long signals through a convolutional codec in pieces, joined without seams.
- `complex_network`: The network of the complex-spectrogram prior: a denoiser whose
  preconditioning is its own.
- `complex_spectrogram`: The complex-spectrogram prior (EDMSound, Zhu et al. 2023, arXiv
  2311.08667): diffusion on what can be turned back into sound exactly.
- `costs`: What a model of stable-audio-tools costs, counted without its weights: arithmetic and
  memory.
- `diffusers_audioldm2`: AudioLDM 2 through diffusers (`AudioLDM2Pipeline`) as a `Prior`: mels of
  16 kHz mono.
- `diffusers_costs`: What a pipeline of diffusers costs, counted without its weights, as
  `sds.priors.costs` does.
- `diffusers_loading`: Find and load models in the layout of diffusers: a folder with
  model_index.json, or a hub id.
- `diffusers_prior`: What the adapters of diffusers' pipelines share: text on the CPU, the codec in
  pieces, checks.
- `diffusers_stable_audio`: Stable Audio Open in the layout of diffusers (`StableAudioPipeline`) as
  a `Prior`.
- `diffusers_stable_audio_3`: Stable Audio 3 through diffusers (`StableAudio3Pipeline`,
  `AutoencoderSAME`) as a `Prior`.
- `families`: What each family of models wants: guidance, steps, sampler and noise levels, in one
  table.
- `gaussian`: A prior in closed form: each prompt is a Gaussian over latents, so all answers are
  exact.
- `half_precision`: A network in half precision: its matrices in 16 bits, and what needs the range
  in 32.
- `inpainting`: New sound in a part of a recording: what is kept stays, a prior fills in the rest.
- `loading`: Load a prior by name: a checkpoint of stable-audio-tools, a complex-spectrogram model,
  or a pipeline of diffusers.
- `memory`: Work that fits the memory of its device: a batch in parts, smaller ones when memory runs
  out.
- `multi_track`: Bass, drums, guitar and piano as one diffusion model: it makes them, goes along
  with some of them, and tells them apart.
- `multi_source`: Multi-source diffusion (MSDM): one denoiser of the waveforms of bass, drums,
  guitar and piano.
- `needs`: What a recipe asks of a model, and so the memory and time that it needs where that
  computes.
- `nearest_captions`: What to ask of the default model for a prompt that no caption said: the
  captions nearest to it.
- `pickled_checkpoint`: Tensors of a checkpoint that torch.save wrote, read without trusting its
  pickle.
- `published`: What is published of the Stable Audio Open models: the shapes of their networks, as
  a model_config.json of stable-audio-tools.
- `quantised`: Weights in eight bits: each row of a matrix as integers and a scale of its own.
- `quiet_import`: stable-audio-tools imported and run without its side effects.
- `sampling`: New clips of a prompt, by any prior: noise, guidance, a sampler, and the length
  asked for.
- `sentence_encoder`: What a prompt means: all-MiniLM-L6-v2, a sentence encoder of six layers, in
  eight bits.
- `shuffled`: A prior that has unlearned everything: its diffusion network's weights in random
  places.
- `spectral_codec`: The default model's codec: magnitudes at frame rate, phase from what is
  already playing.
- `speed`: How fast this machine computes a model: one of its layers and its decoder, timed on the
  spot.
- `stable_audio`: Adapter of stable-audio-tools checkpoints (the shipped default, Stable Audio
  Open) to `Prior`.
- `stable_audio_modules`: Build stable-audio-tools modules from a model_config.json, without the
  library's side effects.
- `stem_masks`: Four stems of a mixture in one pass: a mask for bass, drums, guitar and piano on
  each band.
- `t5_encoder`: The T5 that reads the prompts of a checkpoint: its files from the local cache first.
- `text_embedding`: A frozen text embedding that ships with the model: one vector a word piece.
- `waveform_unet`: The network of multi-source diffusion: a U-Net of waveforms with attention in its
  deep layers.
"""
