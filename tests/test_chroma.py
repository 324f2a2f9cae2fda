"""Chroma of tones whose notes are known."""

import math

import pytest
import torch

from sds.metrics.chroma import chroma, chroma_agreement

RATE = 32000
TIME = torch.arange(3 * RATE) / RATE


def tone(*keys, partials=4):
    """Keys with harmonics that fall by 6 dB each."""
    return sum(
        0.1 / n * torch.sin(2 * torch.pi * n * 440 * 2 ** ((key - 69) / 12) * TIME)
        for key in keys
        for n in range(1, partials + 1)
    )[None]


@pytest.mark.parametrize("key", [48, 57, 61, 70])
def test_a_note_is_its_pitch_class(key):
    found = chroma(tone(key), RATE).mean(1)
    assert int(found.argmax()) == key % 12


def test_the_same_notes_agree_in_any_octave():
    chord = chroma(tone(48, 52, 55), RATE)
    assert chroma_agreement(chord, chord) == pytest.approx(1.0)
    assert chroma_agreement(chord, chroma(tone(60, 64, 67), RATE)) > 0.85


def test_a_transposed_chord_turns_the_chroma():
    """The twelve transpositions are as alike as their notes; a semitone apart nothing is shared."""
    chord = chroma(tone(48, 52, 55), RATE)
    agreements = [
        chroma_agreement(chord, chroma(tone(*(key + up for key in (48, 52, 55))), RATE))
        for up in range(12)
    ]
    assert agreements[0] == pytest.approx(1.0)
    assert max(agreements[1:]) < 0.6
    assert agreements[1] < 0
    assert agreements[6] < 0


def test_its_root_agrees_with_a_chord_and_another_note_does_not():
    chord = chroma(tone(60, 64, 67), RATE)
    root, foreign = (chroma(tone(key), RATE) for key in (36, 42))
    assert chroma_agreement(root, chord) > 0.5
    assert chroma_agreement(foreign, chord) < 0


def test_only_what_sounds_together_counts():
    first = tone(60) * (TIME < 0.8)
    last = tone(60) * (TIME > 2.2)
    assert math.isnan(chroma_agreement(chroma(first, RATE), chroma(last, RATE)))
    assert math.isnan(chroma_agreement(chroma(0 * first, RATE), chroma(first, RATE)))
