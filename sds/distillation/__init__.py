"""Prompt to patch: score distillation, and the searches before it.

- `delta_denoising`: Change a sound by the difference of two prompts: "the same, but darker".
- `descriptor_edit`: Change a sound by words that name something measurable: darker, brighter,
  longer, shorter.
- `differential_evolution`: Differential evolution of parameter vectors in the unit cube.
- `distill`: Score distillation: move a renderer's parameters until a prior finds the sound
  plausible.
- `patch_bank`: Banks of random patches of a synth, each with its embedding by the search scorer.
- `recipes`: Settings of score distillation, which every method contains, and those of a patch
  search.
- `sds_targets`: Targets of score distillation: the sound a prior estimates, and the distance of a
  render to it.
"""
