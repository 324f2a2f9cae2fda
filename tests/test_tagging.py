"""What is heard in a recording: names by likelihood, none twice; the job and its command."""

import json
import sys
from pathlib import Path

import pytest
import torch

from bridge import worker
from bridge.cli import main, tables
from bridge.protocol.events import Done, Progress
from bridge.protocol.jobs import Suggest
from sds.datasets.captions import PHRASES
from sds.detection.evidence import PresenceNetworks
from sds.detection.presence import measure_activity
from sds.detection.tagger import load_tagger
from sds.detection.tagging import (
    ALIKE,
    PART,
    PARTS,
    VOCABULARY,
    Suggestion,
    active_spans,
    distinct,
    likelihood,
    suggest,
    unsure,
    vocabulary,
)
from sds.priors.sentence_encoder import encode_sentences
from sds.signal.audio_files import read
from tests.test_language_model import chat, endpoint

MIXTURE = Path(__file__).parents[1] / "examples" / "data" / "mixture.flac"


@pytest.fixture(scope="module")
def networks():
    return PresenceNetworks(load_tagger())


@pytest.fixture(scope="module")
def twelve(networks):
    """The twelve first suggestions for the mixture."""
    return last(networks, *read(MIXTURE), top=12)


def last(networks, audio, rate, **options):
    return suggest(networks, measure_activity(networks.tagger, audio, rate), **options)


def test_no_two_suggestions_say_the_same(twelve):
    names = [one.prompt for one in twelve]
    vectors = encode_sentences(names)
    cosines = (vectors @ vectors.T).fill_diagonal_(0)
    assert len(names) == 12
    assert float(cosines.max()) < ALIKE


def test_the_likeliest_comes_first_and_has_a_probability_a_second(twelve):
    scores = [one.score for one in twelve]
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= score <= 1 for score in scores)
    assert all(len(one.activity) == 9 for one in twelve)  # the file lasts 9 s
    assert all(0 <= value <= 1 for one in twelve for value in one.activity)


def test_a_few_names_are_ranked_by_what_is_there(networks):
    names = ("sneeze", "kick drum", "sea waves", "clock ticking")
    found = last(networks, *read(MIXTURE), top=4, names=names)
    assert found[0].prompt == "sea waves"


def test_silence_suggests_nothing(networks):
    assert last(networks, torch.zeros(1, 44100), 44100, top=8) == []


@pytest.mark.parametrize("rate", [8000, 22050, 44100, 48000, 96000])
def test_less_than_a_second_is_heard_at_any_rate(networks, rate):
    generator = torch.Generator().manual_seed(0)
    for seconds in (0.1, 0.25, 0.5, 0.9):
        audio = 0.1 * torch.randn(2, round(seconds * rate), generator=generator)
        found = last(networks, audio, rate, top=2, names=("wind", "sea waves", "clock ticking"))
        assert [len(one.activity) for one in found] == [1, 1]


def named(*scores):
    return [Suggestion(str(i), score, True, ()) for i, score in enumerate(scores)]


def test_parts_are_the_likely_names_or_the_first():
    assert active_spans(named(0.9, PART, PART - 0.01)) == named(0.9, PART)
    assert active_spans(named(*[0.9] * 9)) == named(*[0.9] * PARTS)
    assert active_spans(named(0.1, 0.05)) == named(0.1)
    assert active_spans([]) == []


def test_even_the_first_may_be_a_guess():
    assert likelihood(0.1) == "guess"
    assert unsure(named(0.1, 0.05))
    assert not unsure(named(0.9, 0.05))
    assert not unsure([])


def test_the_first_of_those_alike_is_kept():
    angles = torch.tensor([0.0, 0.1, 1.4, 1.5, 3.0])
    vectors = torch.stack([angles.cos(), angles.sin()], 1)
    assert distinct(vectors, "abcde", [0.1] * 5, 5) == [0, 2, 4]
    assert distinct(vectors, "abcde", [0.1] * 5, 2) == [0, 2]


def test_a_class_is_named_twice_only_where_the_second_is_likely():
    vectors = torch.eye(4)
    assert distinct(vectors, "aaba", [0.9, 0.2, 0.1, 0.1], 4) == [0, 2]
    assert distinct(vectors, "aaba", [0.9, 0.8, 0.1, 0.1], 4) == [0, 1, 2]


def test_the_vocabulary_has_no_name_twice():
    classes = vocabulary()
    lines = [line for line in VOCABULARY.read_text().splitlines() if not line.startswith("#")]
    names = [name for line in lines for name in line.partition(": ")[2].split(", ")]
    assert [*classes] == names  # a name twice would be one of them
    assert 150 <= len(names) <= 300
    assert set(classes.values()) == set(PHRASES)


def test_the_job_tells_its_progress_and_ends_with_rows():
    job = Suggest(id="s", file=str(MIXTURE), top=5)
    *events, done = worker.work(job, worker.Models())
    assert isinstance(done, Done)
    assert {event.stage for event in events if isinstance(event, Progress)} >= {"listening"}
    rows = done.result["suggestions"]
    assert len(rows) == 5
    assert set(rows[0]) == {"prompt", "score", "likelihood", "present", "activity"}
    assert rows[0]["likelihood"] == likelihood(rows[0]["score"])
    assert done.result["unsure"] is (rows[0]["likelihood"] == "guess")
    assert json.loads(json.dumps(done.result)) == done.result


def test_without_a_listener_the_job_says_so():
    job = Suggest(id="s", file=str(MIXTURE))
    with pytest.raises(ValueError, match="there is no tagger in this installation"):
        list(worker.work(job, worker.Models(tagger=Path("nowhere"))))


def test_the_table_says_when_nothing_is_certain():
    row = {"prompt": "rain", "score": 0.1, "likelihood": "guess", "activity": [0.1]}
    assert str(tables.suggestions({"suggestions": [row], "unsure": True})).endswith(tables.UNSURE)
    assert tables.UNSURE not in str(tables.suggestions({"suggestions": [row], "unsure": False}))


def test_the_curve_keeps_peaks_and_fits_its_columns():
    assert tables.curve([0.0] * 99 + [1.0], columns=10) == " " * 9 + "█"
    assert tables.curve([]) == ""
    assert len(tables.curve([0.5] * 1000)) == tables.COLUMNS


def run_command(monkeypatch, capsys, *args):
    monkeypatch.setattr(sys, "argv", ["scorewire", "suggest", *map(str, args), "--json"])
    with pytest.raises(SystemExit) as ended:
        main.main()
    return ended.value.code, json.loads(capsys.readouterr().out.splitlines()[-1])


def test_the_assistant_gets_the_tags_and_the_words_and_no_sound(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("SCOREWIRE_DATA", str(tmp_path))
    with endpoint(chat('["saxophone", "surf"]')) as (server, url):
        monkeypatch.setenv("SCOREWIRE_ASSISTANT", f"{url} llama3.2")
        args = (MIXTURE, "--top", 3, "--describe", "a beach")
        code, got = run_command(monkeypatch, capsys, *args)
    assert code == 0
    assert got["prompts"] == ["saxophone", "surf"]
    tags = [row["prompt"] for row in got["suggestions"]]
    ((_, _, body),) = server.asked
    asked = [message["content"] for message in body["messages"]]
    assert json.loads(asked[1]) == {"tags": tags, "description": "a beach"}
    assert len(json.dumps(body)) < 2000  # words only


def test_without_an_assistant_the_command_says_how_to_have_one(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("SCOREWIRE_DATA", str(tmp_path))
    monkeypatch.delenv("SCOREWIRE_ASSISTANT", raising=False)
    code, got = run_command(monkeypatch, capsys, MIXTURE, "--assist")
    assert code == 2
    assert "[assistant] with url and model in config.toml" in got["error"]["reason"]
