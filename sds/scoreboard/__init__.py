"""Every method beside its baselines, on recordings that nothing was trained on.

- `ablation`: The ablations of Audio-SDS (Richter-Powell et al.
- `baselines`: The methods of the patch suite: from a prompt and first patches to the best patch
  found.
- `board`: What a suite is, how suites are run, and what becomes of their figures.
- `codec`: What the latents keep: recordings after encode and decode, and what that caps.
- `judges`: What judges who chose nothing say of a patch's sound, beside the evaluation scorer's
  cosine.
- `keys`: What a row of the scoreboard was measured with: two rows of one key are the same
  measurement.
- `multisource`: Bass, drums, guitar and piano: taking them apart, making them, adding some to the
  others.
- `multisource_clips`: Clips of four stems that suite `multisource` measures on, and what the model
  makes from them.
- `multisource_generation`: What the model of four stems makes of reserved songs: how near to real
  ones, as asked, copied.
- `multisource_nulls`: What the model of four stems has to be better than: one that has unlearned
  everything, and one that knows each instrument but not what goes with what.
- `multisource_separation`: Taking clips of four stems apart: the methods that suite `multisource`
  compares, and what it measures of their stems.
- `multisource_together`: Whether stems that the model adds go with what is given: onsets, harmony,
  tempo.
- `musicnn`: A judge that nothing here was trained or searched with: musicnn, a tagger of music.
- `paired`: Two methods compared item by item, and the name of the control of every claim about a
  prior.
- `patch`: Prompt to patch: each method on each caption and instrument, in the time that `default`
  takes.
- `playable`: Whether presets can be played: in tune, level, at once, and with an end.
- `prior`: What the prior makes of class words: is it the class, is it sharp, is it varied, is it
  new?
- `prior_clips`: Clips of class words that the prior suite listens to: generated, recorded, or
  noise.
- `prior_figures`: What the prior suite measures of clips: class, attack, and distance from real
  recordings.
- `prompts`: Prompts that people type, forty of them, to search patches for.
- `report`: Rows to a summary (mean, standard deviation, count), and the summary to a Markdown
  page.
- `separate`: Suite `separate`: each stem against its true source, over the full clip and over the
  first half.
- `stage_by_stage`: Stage by stage: what each stage of a search for a patch is worth, and what of it
  the prior is.
- `suites`: The suites by name, in the order they run.
- `tensorflow_checkpoint`: Read the tensors of a TensorFlow checkpoint (a "tensor bundle") without
  TensorFlow.
"""
