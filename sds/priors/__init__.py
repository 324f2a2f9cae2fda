"""Diffusion priors: D(x; sigma, prompt), their codecs, and how checkpoints become one.

- `base`: Priors: functions that say what audio should have been.
- `checkpoints`: Checkpoints of stable-audio-tools: find the files, read the weights.
- `chunked_codec`: Long signals through a convolutional codec in pieces, joined without seams.
- `gaussian`: A prior whose every answer is known exactly.
- `quiet_import`: stable-audio-tools imported and run without its side effects.
- `spectral_codec`: The default model's codec: magnitudes at frame rate, phase from what is
  already playing.
- `stable_audio`: The one adapter to stable-audio-tools checkpoints: the shipped default, Stable
  Audio Open, .
- `stable_audio_modules`: From a model_config.json to a stable-audio-tools module, the library
  kept in its place.
- `text_embedding`: A frozen text embedding that ships with the model: one vector a word piece.
"""
