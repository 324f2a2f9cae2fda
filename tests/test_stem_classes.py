"""The four classes of stems: those of the model, and what files and tracks are called after."""

import pytest

from bridge.protocol.stem_classes import STEMS, stem_of
from sds.multitrack import base


def test_the_classes_are_those_of_the_model() -> None:
    assert base.STEMS == STEMS


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("bass", "bass"),
        ("Bass.wav", "bass"),
        ("01_DRUMS", "drums"),
        ("Drum kit (room)", "drums"),
        ("take-7__04_piano__0123abcd.wav", "piano"),
        ("bass guitar", "bass"),
        ("electric guitars", "guitar"),
        ("grand piano 2", "piano"),
        ("bassoon", None),
        ("vocals", None),
        ("piano and guitar", None),
        ("", None),
    ],
)
def test_a_name_says_a_stem_or_none(name: str, stem: str | None) -> None:
    assert stem_of(name) == stem
