"""Prompt to patch: score distillation, and the searches before it.

- `delta_denoising`: Change a sound by what a prompt says differently: "the same, but darker".
- `descriptor_edit`: Change a sound by words that name something measurable: darker, brighter,
  longer, shorter.
- `differential_evolution`: Differential evolution: a crowd of parameter vectors that learns its
  own step sizes.
- `distill`: Score distillation: move a renderer's parameters until a prior finds the sound
  plausible.
- `patch_bank`: Banks: many random patches of a synth, each with what the search scorer heard of
  it.
- `recipes`: How to distill: the knobs of score distillation, and the settings that have a name.
- `sds_targets`: What a sound should have been: score-distillation targets, and how far a render
  is from them.
"""
