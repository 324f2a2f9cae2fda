"""Prompt to patch: score distillation, and the searches before it.

- `candidates`: Several candidates that differ: the best patches of a search, no two of which sound
  alike.
- `delta_denoising`: Change a sound by the difference of two prompts: "the same, but darker".
- `descent`: Descent on the knobs of a renderer: projected Adam, and a fit to spectrograms.
- `descriptor_edit`: Change a sound by words that name something measurable: darker, brighter,
  longer, shorter.
- `differential_evolution`: Differential evolution of parameter vectors in the unit cube.
- `distill`: Score distillation: move a renderer's parameters until a prior finds the sound
  plausible.
- `patch_bank`: Banks of random patches of a synth, each with its embedding by the search scorer.
- `preference`: The prior's own opinion of a sound: how much better it denoises it with the prompt
  than without.
- `recipes`: Settings of score distillation, which every method contains, and those of a patch
  search.
- `sds_targets`: Targets of score distillation: the sound a prior estimates, and the distance of a
  render to it.
- `stages`: The stages of a search for a patch: candidates, clips, evolution, fit, score
  distillation.
"""
