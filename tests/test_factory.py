"""The presets that come with Scorewire."""

import json

import numpy as np
import pytest
import soundfile
import torch

from presets import load
from presets.library import FACTORY, Library
from presets.prompt_words import wishes
from renderers import effects, for_preset
from sds.metrics.pitch import cents, swift_f0, yin
from sds.metrics.tuning import CENTS, in_tune_share
from sds.priors.checkpoints import WEIGHTS, digest
from sds.similarity.rating import rating, verdict
from sds.train.factory import KEPT, PROMPTS, REFUSED

FILES = sorted(FACTORY.glob("*.json"))
RATE = 44100


def test_so_many_of_each_family_made_by_the_shipped_model_none_out_of_reach():
    presets = [load(path) for path in FILES]
    families = [preset.tags[0] for preset in presets]
    assert {family: families.count(family) for family in PROMPTS} == KEPT
    assert len({preset.name for preset in presets}) == len(FILES) == sum(KEPT.values()) == 64
    for preset in presets:
        for_preset(preset)  # raises when its values do not fit the renderer of today
        made = preset.provenance
        assert made.model_hash == digest(WEIGHTS / "default" / "model.safetensors")
        assert made.score_after is not None
        assert not verdict(rating(made.score_after)).startswith(REFUSED)


@pytest.mark.parametrize("path", FILES[::8], ids=lambda path: path.stem)
def test_a_preview_is_the_sound_of_its_preset(path):
    heard, rate = soundfile.read(path.with_suffix(".wav"), dtype="float32")
    ours = effects.render(load(path), rate=rate)[0]
    assert len(heard) == len(ours)
    assert np.abs(heard - ours).max() < 1.5 / 32768


def test_all_peak_below_full_scale_by_one_decibel():
    for path in FILES:
        heard, _ = soundfile.read(path.with_suffix(".wav"), dtype="float32")
        assert 20.0 * np.log10(np.abs(heard).max()) == pytest.approx(-1.0, abs=0.1), path.stem


def test_what_has_a_pitch_is_in_tune_with_four_keys():
    for path in FILES:
        preset = load(path)
        asked = wishes(preset.prompt)
        if asked.pitched and asked.family == "harmonic":
            for key in (-12.0, -5.0, 0.0, 7.0):
                note = preset.note + key
                sound = effects.render(preset, note=note, rate=RATE).mean(0)
                hz = 440.0 * 2.0 ** ((note - 69.0) / 12.0)
                share = in_tune_share(torch.from_numpy(sound), RATE, hz)
                assert share >= 0.9, (path.stem, key, share)


def test_bells_are_heard_at_their_strike_note_on_four_keys():
    bells = [preset for preset in map(load, FILES) if wishes(preset.prompt).family == "bell"]
    tuned = [preset for preset in bells if wishes(preset.prompt).pitched]
    assert len(tuned) > KEPT["bells"]  # those, and the kalimba
    for tracker in (yin, swift_f0):
        heard = {}
        for preset in tuned:
            for key in (-12.0, -5.0, 0.0, 7.0):
                note = preset.note + key
                sound = torch.from_numpy(effects.render(preset, note=note, rate=RATE).mean(0))
                hz = tracker(sound, RATE)
                if hz is not None:
                    off = abs(cents(hz, 440.0 * 2.0 ** ((note - 69.0) / 12.0)))
                    heard[preset.name, key] = off <= CENTS
        assert sum(heard.values()) >= 0.9 * len(heard), heard


def test_the_library_takes_them_in(tmp_path):
    library = Library(tmp_path / "library")
    taken = library.add_files(FILES)
    assert (len(taken.added), taken.refused) == (64, ())
    assert len(library.find("", tags=["bells"])) == KEPT["bells"]
    assert all(entry.preview for entry in library.find("factory"))


def test_they_are_small():
    assert sum(path.stat().st_size for path in FACTORY.iterdir()) < 16e6
    assert all(json.loads(path.read_text())["seconds"] <= 6 for path in FILES)
