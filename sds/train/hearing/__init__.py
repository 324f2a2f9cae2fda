"""The measures of hearing and separation: `python -m sds.train.hearing`.

- `__main__`: Measure hearing and separation with the weights that ship:
  `python -m sds.train.hearing --help`.
- `detection`: How well is detected what a mixture holds, and what is suggested for it.
- `mixtures`: Mixtures of held-back recordings to measure hearing and separation on, the same each
  time.
- `rows`: What is measured with, what comes out, and the table of it.
- `separation`: How well named sounds come out of mixtures, and where what is not named goes.
"""
