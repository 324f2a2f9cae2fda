"""Config: defaults, file, environment, and one sentence for everything refused."""

import dataclasses
import os
from dataclasses import replace
from pathlib import Path

import pytest

from bridge.service.config import _KINDS, Config, load
from bridge.service.language_model import Assistant


def write(tmp_path, text):
    path = tmp_path / "scorewire.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_environment_wins_over_file_wins_over_defaults(tmp_path):
    path = write(
        tmp_path,
        'osc_port = 9600\nmodel = "mine"\ngrace = 3\nworker = ["python", "-m", "x"]\n'
        'read = ["/a b", "/c"]\ndata = "/data"\n',
    )
    config = load(path, {"SCOREWIRE_OSC_PORT": "0", "SCOREWIRE_WRITE": "/x", "HOME": "/h"})
    assert config == Config(
        osc_port=0,
        model="mine",
        grace=3,
        worker=("python", "-m", "x"),
        read=(Path("/a b"), Path("/c")),
        write=(Path("/x"),),
        data=Path("/data"),
    )
    assert config.ledger == Path("/data/jobs.sqlite")


def test_an_assistant_is_a_table_or_three_words(tmp_path):
    ours = Assistant("http://127.0.0.1:11434/v1", "llama3.2", "MY_KEY")
    table = '[assistant]\nurl = "http://127.0.0.1:11434/v1"\nmodel = "llama3.2"\n'
    assert load(write(tmp_path, table), {}).assistant == replace(ours, key_env="")
    assert load(write(tmp_path, table + 'key_env = "MY_KEY"\n'), {}).assistant == ours
    words = {"SCOREWIRE_ASSISTANT": f"{ours.url} {ours.model} MY_KEY"}
    assert load(write(tmp_path, table), words).assistant == ours
    for text in ('[assistant]\nurl = "http://far.example"\nmodel = "m"', "assistant = 3"):
        with pytest.raises(ValueError, match=r"must be a table of url .https, or http on this"):
            load(write(tmp_path, text), {})


def test_environment_lists(tmp_path):
    environ = {
        "SCOREWIRE_READ": f"/a{os.pathsep}/b c",
        "SCOREWIRE_WORKER": "python3 -m 'my worker'",
        "SCOREWIRE_STALL": "0.5",
        "SCOREWIRE_HTTP_NAMES": "studio.local  mixer",
        "SCOREWIRE_TOKEN": "/secret/token",
    }
    config = load(write(tmp_path, ""), environ)
    assert config.read == (Path("/a"), Path("/b c"))
    assert config.worker == ("python3", "-m", "my worker")
    assert config.stall == 0.5
    assert config.http_names == ("studio.local", "mixer")
    assert config.token_file == Path("/secret/token")


def test_folders_of_our_own_are_allowed_beside_those_named():
    assert Config(data=Path("/d")).readable == Config(data=Path("/d")).writable == ()
    config = Config(data=Path("/d"), read=(Path("/a"),), write=(Path("/b"),))
    assert config.readable == (Path("/a"), Path("/d/blobs"), Path("/d/results"))
    assert config.writable == (Path("/b"), Path("/d/results"))
    assert config.token_file == Path("/d/token")


def test_every_field_can_be_set():
    assert list(_KINDS) == [field.name for field in dataclasses.fields(Config)]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("osc_prot = 1", "osc_prot in scorewire.toml is not a setting; the settings are osc_host"),
        ("osc_port = true", "osc_port in scorewire.toml must be a whole number, got True"),
        ('osc_port = "9557"', "osc_port in scorewire.toml must be a whole number, got '9557'"),
        ("http_port = 70000", "http_port must be 0 (any free one) .. 65535, got 70000"),
        ('http_host = "studio"', "http_host must be an IP address, got 'studio'"),
        ('http_names = "studio"', "http_names in scorewire.toml must be a list of names, got"),
        ("upload_limit = 0", "upload_limit must be 1 .. 2^50 bytes, got 0"),
        ("upload_quota = 1.5", "upload_quota in scorewire.toml must be a whole number, got 1.5"),
        ("osc_port = 70000", "osc_port must be 0 (any free one) .. 65535, got 70000"),
        ('osc_host = "0.0.0.0"', "osc_host must be a loopback address (127.0.0.1 or ::1), got"),
        ('osc_host = "studio.lan"', "osc_host must be a loopback address"),
        ("grace = nan", "grace must be 0 .. 86400 seconds, got nan"),
        ("queue = 0", "queue must be 1 .. 10000 jobs, got 0"),
        ('engine = "slurm"', "engine must be local or ray, got 'slurm'"),
        ('cluster = "10.0.0.5"', "cluster must be host:port or auto, got '10.0.0.5'"),
        ("cluster_workers = -1", "cluster_workers must be 0 .. 10000, got -1"),
        ('read = "/a"', "read in scorewire.toml must be a list of folders, got '/a'"),
        ('write = ["here"]', "write must list absolute folders, got 'here'"),
        ("worker = []", "worker must be a command, got nothing"),
        ("= 1", "scorewire.toml is not a TOML file"),
    ],
)
def test_what_is_not_understood_is_refused_in_one_sentence(tmp_path, text, sentence):
    with pytest.raises(ValueError, match=r"\A[^\n]+\Z") as refused:
        load(write(tmp_path, text), {})
    assert sentence in str(refused.value)


def test_unknown_environment_name_is_refused(tmp_path):
    with pytest.raises(ValueError, match="SCOREWIRE_OSCPORT is not a setting"):
        load(write(tmp_path, ""), {"SCOREWIRE_OSCPORT": "1"})


def test_a_file_named_must_be_there(tmp_path):
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "none.toml", {})
