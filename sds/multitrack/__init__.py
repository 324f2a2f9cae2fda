"""Several tracks as one: generate them, and add some to those that are given.

- `base`: What a model of four stems is to those who use it.
- `phases`: Sound of band levels: magnitudes on bins, and phases that go on from frame to frame.
- `loading`: The model of four stems by its name.
- `arrange`: Make stems: all of them, or those that go with the ones that are given.
"""
