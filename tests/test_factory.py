"""The presets that come with Scorewire."""

import json

import numpy as np
import pytest
import soundfile

from presets import load
from presets.library import FACTORY, Library
from renderers import effects, for_preset
from sds.priors.checkpoints import WEIGHTS, digest
from sds.train.factory import KEPT, LOUDEST, PROMPTS

FILES = sorted(FACTORY.glob("*.json"))
FAMILIES = {"drums", "bass", "bells", "keys", "metal", "wood", "glass", "fx"}


def test_five_of_each_family_made_by_the_shipped_model():
    presets = [load(path) for path in FILES]
    families = [preset.tags[0] for preset in presets]
    assert set(families) == FAMILIES == set(PROMPTS)
    assert all(families.count(family) == KEPT for family in FAMILIES)
    assert len({preset.name for preset in presets}) == 40
    for preset in presets:
        for_preset(preset)  # raises when its values do not fit the renderer of today
        made = preset.provenance
        assert made.model_hash == digest(WEIGHTS / "default" / "model.safetensors")
        assert made.score_after is not None


@pytest.mark.parametrize("path", FILES[::8], ids=lambda path: path.stem)
def test_a_preview_is_the_sound_of_its_preset(path):
    heard, rate = soundfile.read(path.with_suffix(".wav"), dtype="float32")
    ours = effects.render(load(path), rate=rate)[0][: len(heard)]
    end = len(heard) - rate // 100  # its last 10 ms are faded
    ours = ours * min(1.0, LOUDEST / np.abs(ours).max())
    assert np.abs(heard[:end] - ours[:end]).max() < 1.5 / 32768


def test_the_library_takes_them_in(tmp_path):
    library = Library(tmp_path / "library")
    taken = library.add_files(FILES)
    assert (len(taken.added), taken.refused) == (40, ())
    assert len(library.find("", tags=["bells"])) == KEPT
    assert all(entry.preview for entry in library.find("factory"))


def test_they_are_small():
    assert sum(path.stat().st_size for path in FACTORY.iterdir()) < 8e6
    assert all(json.loads(path.read_text())["seconds"] <= 3 for path in FILES)
