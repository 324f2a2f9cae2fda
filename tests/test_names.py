"""File names from names and prompts of every script."""

import itertools
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from presets.library import names

PROMPTS = (
    "鐘の音", "鐘", "колокол", "Колокола", "डोल", "กลอง", "북소리", "ضربة طبل", "Händel", "Handel",
    "🥁", "🎸", "🎹", "🥁 kick", "🎸 kick", "❤", "👩‍🎤", "↯",
)  # fmt: skip


def test_no_two_prompts_become_one():
    stems = [names.stem(prompt, otherwise="stem") for prompt in PROMPTS]
    assert len(set(stems)) == len(PROMPTS)
    assert "stem" not in stems


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("鐘の音", "鐘の音"),
        ("Колокол", "колокол"),
        ("हिन्दी", "हिन्दी"),  # with the marks it is written with
        ("🥁", "drum-with-drumsticks"),
        ("kick 🥁!", "kick-drum-with-drumsticks"),
        ("❤\ufe0f", "heavy-black-heart"),  # what chooses its colour cannot be seen
        ("a\ufe0f\u034fb", "a-b"),
        ("\u0301\u20e3", "preset"),  # marks on nothing
        ("\u3164\uffa0\u115f", "preset"),  # letters that cannot be seen
        ("\u202egnp.exe", "gnp-exe"),
        ("COM¹", "com1-preset"),
        ("∞", "preset"),
    ],
)
def test_letters_stay_and_pictures_are_spelled(name, stem):
    assert names.stem(name) == unicodedata.normalize("NFKC", stem)


@given(st.text(max_size=400), st.integers(20, 120))
def test_the_limit_is_in_bytes_and_cuts_no_letter(name, longest):
    stem = names.stem(name, longest=longest)
    assert 1 <= len(stem.encode()) <= longest
    assert names.stem(stem, longest=longest) == stem


@pytest.mark.parametrize("letter", ["x", "é", "音", "𠮷"])
def test_long_names_of_every_script_fit_and_can_be_written(tmp_path, letter):
    stem = names.stem(letter * 300)
    assert names.LONGEST - 3 <= len(stem.encode()) <= names.LONGEST
    file = tmp_path / f"{stem}-10000.json"
    file.write_text("x")
    assert file in tmp_path.iterdir()


def test_every_symbol_gives_a_stable_name():
    for c in map(chr, itertools.chain(range(0x2190, 0x2C00), range(0x1F000, 0x1FC00))):
        assert names.stem(c) == names.stem(names.stem(c))
