"""Bass, drums, guitar, piano: one model that generates, accompanies and takes apart.

- `base`: The classes of stems, and what a model of them is to those who use it.
"""
