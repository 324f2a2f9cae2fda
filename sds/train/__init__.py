"""How the shipped weights are made: scripts with --help, a model a file.

- `corpus`: The training corpus: `python -m sds.train.corpus`, a kind of sound a file.
- `hearing`: The measures of hearing and separation: `python -m sds.train.hearing`.
- `autoencoder`: Train the spectral codec of sds/priors/spectral_codec.py on the corpus.
- `bank`: Fill the banks of patches that a search begins with: `python -m sds.train.bank --help`.
- `captions`: Make sds/weights/captions: the captions of the corpus, for
  `sds.priors.nearest_captions`.
- `cell_words`: Train the text head on the trunk's cells (`sds.similarity.cell_words`).
- `cells`: Cells of the trunk's last map, clip by clip, for `sds.train.cell_words`.
- `check`: Check what the shipped prior has learned: the evaluation scorer names what it generates.
- `common`: What the training scripts share: learning-rate curve, moving average, checkpoints.
- `complex_spectrogram`: Train the complex-spectrogram prior: denoising in the EDM framework, told
  by the default prior.
- `copy_check`: Prove copy detection by planting: are disturbed training recordings found, and
  others not?
- `copy_features`: What the trunk hears of recordings and of disturbed copies, kept:
  `sds.train.copy_head` learns from it.
- `copy_head`: Train the head of `sds.metrics.copy_detection` and write the index that ships.
- `data`: Read what `sds.train.corpus` wrote: clips in memory-mapped int16 files, drawn at random.
- `factory`: Make the factory presets: of six prompts a family, the five with the evaluation
  scorer's best.
- `latents`: Encode a corpus once, a file a part: latents and captions, so the prior never waits for
  audio.
- `loop`: The loop of a training: steps until its time is over, checked on held-back data, resumed
  from its folder.
- `mixing`: Mixtures made while a network trains: clips cut, repeated or played as phrases, in
  rooms.
- `multi_track`: Train the model of four stems: denoising in the EDM framework, a noise level for
  each track.
- `pack`: Put trained parts into sds/weights: half precision, safetensors, nothing a loader would
  execute.
- `pairs`: Score the separator by prompts on pairs of held-back clips, and choose how sharp it is.
- `planting`: Copies of a sound as they might turn up in what a model generates: a piece, disturbed.
- `presence`: Fit what the tagger's answers are worth (`sds.detection.presence`), and measure it.
- `prior`: Train the diffusion prior: a stable-audio-tools DiT over the codec's latents.
- `query`: Train the separator by prompts (`sds.separation.query_network`) on mixtures made while it
  trains.
- `rating`: Fit the scale of `sds.similarity.rating`: what cosines real recordings have with
  their captions.
- `reference`: Write the statistics of real recordings that the scoreboard compares with.
- `scorer`: Train the text-audio evaluation scorer on its own split of the corpus.
- `search`: Train the search scorer's head and text tower on what `sds.train.search_data` wrote.
- `search_check`: Compare search scorers: what they name of held-back recordings, and which
  patches they prefer.
- `search_data`: What the search scorer is trained on: band powers of every clip at several speeds,
  its sentences.
- `search_stages`: What each stage of a search is worth, on captions of held-back recordings: to
  choose recipes by.
- `search_targets`: Which target of score distillation helps a patch: each from the same patches, on
  held captions.
- `sentence`: Make sds/weights/sentence: all-MiniLM-L6-v2 in eight bits.
- `sentence_table`: Sentence vectors of many captions, kept in a folder: encoding them takes
  minutes.
- `single_prompt`: Train the first guess of the separator (`sds.separation.single_prompt_network`)
  on mixtures.
- `stem_masks`: Train the one-pass separator of four stems.
- `stem_mixtures`: Mixtures of four stems as the two trainers see them: powers on bands, and what
  they share.
- `stem_bands`: Carry songs of four stems to where the recordings cannot go: as levels on bands, in
  small files.
- `stem_data`: Read what `sds.train.corpus.stems` rendered: windows of four stems, varied, with
  captions.
- `tagged_mixtures`: Mixtures that the tagger learns from, heard by the trunk once and kept.
- `tagger`: Train the tagger of `sds.detection.tagger` on what the trunk heard of mixtures.
- `text`: Make sds/weights/text: static word-piece vectors distilled from all-MiniLM-L6-v2.
- `trunk`: Make sds/weights/trunk: the embedding network of the package `aisfx`, batch norms folded.
"""
