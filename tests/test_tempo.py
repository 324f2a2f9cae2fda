"""Tempo maps as people type them; the arithmetic is in test_hosts_layout."""

import pytest

from bridge.stems.tempo import Tempo, parse


def test_a_typed_map_places_beats() -> None:
    tempo = Tempo(parse("0:120,4:60"))
    assert (tempo.seconds(4), tempo.seconds(5), tempo.beats(3)) == (2.0, 3.0, 5.0)


@pytest.mark.parametrize("text", ["", "fast", "0:120,", "1:2:3", "0:120;4:60"])
def test_other_text_is_refused_in_a_sentence(text: str) -> None:
    with pytest.raises(ValueError, match=r"a tempo map is beats a minute, or BEAT:BPM points"):
        parse(text)


@pytest.mark.parametrize("text", ["0", "-3", "inf", "nan"])
def test_a_tempo_is_a_number_above_zero(text: str) -> None:
    with pytest.raises(ValueError, match="more than 0 bpm"):
        Tempo(parse(text))


@pytest.mark.parametrize("text", ["nan:120", "inf:100", "0:120,inf:60"])
def test_a_beat_is_a_finite_number(text: str) -> None:
    with pytest.raises(ValueError, match="beats of a tempo map must be finite"):
        Tempo(parse(text))
