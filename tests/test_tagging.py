"""What is heard in a recording: names by likelihood, none twice; the job and its command."""

import json
import sys
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from bridge import worker
from bridge.cli import main, tables
from bridge.protocol.events import Done, Progress
from bridge.protocol.jobs import Suggest
from sds.detection.evidence import PresenceNetworks
from sds.detection.presence import load_tagger, measure_activity
from sds.detection.tagging import (
    ALIKE,
    PARTS,
    active_spans,
    prompt_shares,
    suggest,
    vocabulary,
    without_synonyms,
)
from sds.priors.text_embedding import sentences
from sds.separation.query_network import load_query
from sds.signal.audio_files import read
from sds.similarity.two_tower import SEARCH_SCORER, load_scorer
from tests.test_language_model import chat, endpoint

MIXTURE = Path(__file__).parents[1] / "examples" / "data" / "mixture.flac"


@pytest.fixture(scope="module")
def networks():
    return PresenceNetworks(load_tagger(), load_scorer(SEARCH_SCORER), load_query())


@pytest.fixture(scope="module")
def twelve(networks):
    """The twelve first suggestions for the mixture."""
    return last(networks, *read(MIXTURE), top=12)


def last(networks, audio, rate, **options):
    heard = measure_activity(networks.tagger, audio, rate)
    *_, found = suggest(networks, heard, lambda begin, end: audio[:, begin:end], rate, **options)
    return found


def test_no_two_suggestions_say_the_same(twelve):
    names = [one.prompt for one in twelve]
    vectors = F.normalize(sentences(names), dim=1)
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


def test_parts_are_few_and_the_first_explains_the_most(networks, twelve):
    audio, rate = read(MIXTURE)
    heard = measure_activity(networks.tagger, audio, rate)

    def between(begin, end):
        return audio[:, begin:end]

    found = active_spans(networks, heard, between, rate, twelve)
    shares, weight = prompt_shares(networks, heard, between, rate, [one.prompt for one in twelve])
    gains = shares @ weight * torch.tensor([one.score for one in twelve])
    assert float(weight.sum()) == pytest.approx(1.0)
    assert 1 <= len(found) <= PARTS
    assert found[0] == twelve[int(gains.argmax())]
    assert len({one.prompt for one in found}) == len(found)
    assert active_spans(networks, heard, between, rate, []) == []


def test_distinct_keeps_the_first_of_those_alike():
    angles = torch.tensor([0.0, 0.1, 1.4, 1.5, 3.0])
    vectors = torch.stack([angles.cos(), angles.sin()], 1)
    assert without_synonyms(vectors, 5) == [0, 2, 4]
    assert without_synonyms(vectors, 2) == [0, 2]


def test_the_vocabulary_has_no_name_twice():
    names = vocabulary()
    assert 150 <= len(names) <= 400
    assert len(set(names)) == len(names)
    assert all(name == name.strip() and name for name in names)


def test_the_job_tells_its_progress_and_ends_with_rows():
    job = Suggest(id="s", file=str(MIXTURE), top=5)
    *events, done = worker.work(job, worker.Models())
    assert isinstance(done, Done)
    assert {event.stage for event in events if isinstance(event, Progress)} >= {"listening"}
    rows = done.result["suggestions"]
    assert len(rows) == 5
    assert set(rows[0]) == {"prompt", "score", "likelihood", "present", "activity"}
    assert rows[0]["likelihood"] in ("likely", "possible", "guess")
    assert json.loads(json.dumps(done.result)) == done.result


def test_without_a_listener_the_job_says_so():
    job = Suggest(id="s", file=str(MIXTURE))
    with pytest.raises(ValueError, match="there is no tagger in this installation"):
        list(worker.work(job, worker.Models(tagger=Path("nowhere"))))


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
