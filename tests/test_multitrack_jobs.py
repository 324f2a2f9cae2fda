"""Jobs that make stems: their lengths, what they refuse, and in which words."""

from typing import Any

import pytest
from pydantic import ValidationError

from bridge.protocol.jobs import Separate, job_adapter, sentence
from bridge.protocol.multitrack_jobs import Accompany, GenerateClips
from bridge.protocol.stem_classes import STEMS

GENERATE = {"kind": "generate", "id": "a", "prompts": ["slow blues"], "out": "/o"}
SETS = GENERATE | {"stems": "bass,drums"}
ACCOMPANY = {"kind": "accompany", "id": "a", "given": {"bass": "/b.wav"}, "out": "/o"}
SEPARATE = {"kind": "separate", "id": "a", "file": "/m.wav", "out": "/o"}


@pytest.mark.parametrize(
    ("fields", "seconds", "each"),
    [
        (GENERATE, 2.0, 4),
        (SETS, 10.0, 1),
        (SETS | {"duration": 600, "count": 3}, 600.0, 3),
        (SETS | {"bars": 12, "tempo": 90}, 32.0, 1),  # 48 beats at 1.5 a second
        (GENERATE | {"bars": 1, "tempo": 120}, 2.0, 4),
        (GENERATE | {"tempo": 120}, 2.0, 4),
    ],
)
def test_how_long_and_how_many(fields: dict[str, Any], seconds: float, each: int) -> None:
    job = GenerateClips.model_validate(fields)
    assert (job.seconds, job.each) == (seconds, each)


def test_stems_are_one_text_or_a_list_in_their_own_order() -> None:
    for said in ("piano, bass", ["piano", "bass", "piano"]):
        job = GenerateClips.model_validate(GENERATE | {"stems": said})
        assert job.stems == ("bass", "piano")
        assert Separate.model_validate(SEPARATE | {"stems": said}).stems == ("bass", "piano")


def test_given_stems_are_an_object_or_texts() -> None:
    by_name = Accompany.model_validate(ACCOMPANY | {"given": {"drums": "/d", "bass": "/b=1"}})
    texts = Accompany.model_validate(ACCOMPANY | {"given": ["bass=/b=1", "drums=/d"]})
    assert list(by_name.given.items()) == [("bass", "/b=1"), ("drums", "/d")]
    assert texts == by_name
    assert texts.add == ("guitar", "piano")
    assert job_adapter.validate_json(texts.model_dump_json()) == texts


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        (SETS | {"stems": "vocals"}, "stems.0: input should be 'bass', 'drums', 'guitar' or 'pia"),
        (SETS | {"duration": 601}, "duration: input should be less than or equal to 600"),
        (GENERATE | {"duration": 61}, "duration: input should be less than or equal to 60"),
        (SETS | {"tempo": 19, "bars": 1}, "tempo: input should be greater than or equal to 20"),
        (SETS | {"tempo": 301}, "tempo: input should be less than or equal to 300"),
        (SETS | {"bars": 0, "tempo": 90}, "bars: input should be greater than or equal to 1"),
        (SETS | {"bars": 513, "tempo": 90}, "bars: input should be less than or equal to 512"),
        (SETS | {"bars": 4}, "tempo: must be given with bars: it says how long a bar is"),
        (
            SETS | {"bars": 4, "tempo": 90, "duration": 5},
            "bars: must be left out beside duration: both say how long it is",
        ),
        (
            SETS | {"bars": 512, "tempo": 120},
            "tempo: makes 512 bars last 1024.0 seconds; at most 600 are allowed",
        ),
        (
            GENERATE | {"bars": 40, "tempo": 120},
            "tempo: makes 40 bars last 80.0 seconds; at most 60 are allowed",
        ),
        (GENERATE | {"like": "/l.wav"}, "like: must be left out without stems"),
        (SETS | {"host": "cubase"}, "host: must be one of folder, dawproject"),
        (ACCOMPANY | {"given": {}}, "given: must name at least 1 stem and its file, got none"),
        (
            ACCOMPANY | {"given": {"vocals": "/v"}},
            "given: must name stems among bass, drums, guitar and piano, got 'vocals'",
        ),
        (ACCOMPANY | {"given": ["bass"]}, "given: must be STEM=FILE, such as bass=bass.wav"),
        (ACCOMPANY | {"given": ["bass=/a", "bass=/b"]}, "given: must name a stem once"),
        (ACCOMPANY | {"add": "bass"}, "add: must name stems that are not given, got 'bass'"),
        (ACCOMPANY | {"add": ["flute"]}, "add.0: input should be 'bass', 'drums', 'guitar' or "),
        (
            ACCOMPANY | {"given": dict.fromkeys(STEMS, "/x")},
            "add: has nothing left to name: all stems are given",
        ),
        (ACCOMPANY | {"prompt": "x" * 301}, "prompt: string should have at most 300"),
        (SEPARATE | {"stems": "bass", "prompts": ["sax"]}, "prompts: must be left out with stems"),
        (SEPARATE | {"stems": "bass", "negatives": "sax"}, "negatives: must be left out with ste"),
        (SEPARATE | {"stems": "bass", "auto": True}, "stems: must be left out with auto and forc"),
        (
            SEPARATE | {"stems": "bass", "method": "paper"},
            "method: input should be 'default', 'fast', 'dirac', 'gaussian' or 'accurate' with ste",
        ),
        (
            SEPARATE | {"prompts": ["bass"], "method": "dirac"},
            "method: input should be 'default', 'fast', 'best', 'masks' or 'paper' without stems",
        ),
        (SEPARATE, "prompts: tuple should have at least 1 item"),
    ],
)
def test_nonsense_is_refused_in_one_sentence(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError) as refused:
        job_adapter.validate_python(fields)
    text = sentence(refused.value)
    assert words in text
    assert "\n" not in text
