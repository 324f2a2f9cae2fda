"""What may be written where: files of others stay, links lead nowhere, the record knows ours."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path

import pytest

from bridge.files import atomic_output, write_terms
from bridge.files.write_terms import ORDINARY, WriteRules, is_ours
from bridge.hosts.files import whole

SOUND = b"somebody's sound"


@pytest.fixture(autouse=True)
def _record(tmp_path, monkeypatch):
    monkeypatch.setenv("SCOREWIRE_DATA", str(tmp_path / "data"))


def publish(place, text, terms=ORDINARY):
    with atomic_output.folder(place.parent, terms) as out:
        (out.partial / place.name).write_bytes(text)


def test_a_file_of_others_stays_unless_asked(tmp_path):
    place = tmp_path / "out" / "kick.wav"
    place.parent.mkdir()
    place.write_bytes(SOUND)
    with pytest.raises(ValueError, match=r"kick\.wav is there already, and Scorewire did not"):
        publish(place, b"ours")
    assert place.read_bytes() == SOUND
    assert os.listdir(place.parent) == ["kick.wav"]
    publish(place, b"ours", WriteRules(replace=True))
    assert place.read_bytes() == b"ours"


def test_what_we_made_is_ours_until_it_is_changed(tmp_path):
    place = tmp_path / "out" / "kick.wav"
    publish(place, b"first")
    assert is_ours(place)
    publish(place, b"second")
    assert place.read_bytes() == b"second"
    place.write_bytes(b"louder")
    assert not is_ours(place)
    with pytest.raises(ValueError, match="or it was changed since"):
        publish(place, b"third")
    assert place.read_bytes() == b"louder"


def test_a_copy_elsewhere_is_not_ours_and_a_moved_folder_is_asked_about(tmp_path):
    place = tmp_path / "out" / "kick.wav"
    publish(place, b"first")
    place.parent.rename(tmp_path / "moved")
    assert not is_ours(tmp_path / "moved" / "kick.wav")


def test_only_new_files_means_none_of_ours_either(tmp_path):
    place = tmp_path / "out" / "kick.wav"
    publish(place, b"first", WriteRules(new=True))
    with pytest.raises(ValueError, match="only new files may be written without the key"):
        publish(place, b"second", WriteRules(new=True))
    assert place.read_bytes() == b"first"


def test_none_of_several_files_is_moved_when_one_must_stay(tmp_path):
    folder = tmp_path / "out"
    (folder / "b").mkdir(parents=True)
    (folder / "b" / "2.wav").write_bytes(SOUND)
    with contextlib.ExitStack() as stack:
        out = stack.enter_context(atomic_output.folder(folder))
        (out.partial / "1.wav").write_bytes(b"ours")
        (out.partial / "b").mkdir()
        (out.partial / "b" / "2.wav").write_bytes(b"ours")
        with pytest.raises(ValueError, match=r"2\.wav"):
            stack.close()
    assert sorted(os.listdir(folder)) == ["b"]
    assert (folder / "b" / "2.wav").read_bytes() == SOUND


def test_a_link_in_the_place_of_a_file_is_never_followed(tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(SOUND)
    place = tmp_path / "out" / "kick.wav"
    place.parent.mkdir()
    for target in (secret, tmp_path / "nowhere"):
        place.symlink_to(target)
        with pytest.raises(ValueError, match="is there already"):
            publish(place, b"ours")
        publish(place, b"ours", WriteRules(replace=True))
        assert not place.is_symlink()
        place.unlink()
    assert secret.read_bytes() == SOUND
    assert not (tmp_path / "nowhere").exists()


def test_a_folder_that_became_a_link_meanwhile_is_not_written_to(tmp_path):
    allowed, secret = tmp_path / "allowed", tmp_path / "secret"
    secret.mkdir()
    (allowed / "out").mkdir(parents=True)
    source = allowed / ".draft"
    source.write_bytes(b"ours")
    terms = WriteRules(new=True, within=(str(allowed),))
    terms.check(allowed / "out" / "kick.wav")
    (allowed / "out").rmdir()
    (allowed / "out").symlink_to(secret)
    with pytest.raises(ValueError, match="outside the folders allowed without the key"):
        write_terms.move(source, allowed / "out" / "kick.wav", terms)
    assert os.listdir(secret) == []


def test_a_link_put_there_between_the_check_and_the_move_changes_nothing(tmp_path, monkeypatch):
    """The folder is held open: who swaps it then moves the link, not the file."""
    allowed, secret = tmp_path / "allowed", tmp_path / "secret"
    (allowed / "out").mkdir(parents=True)
    secret.mkdir()
    source = allowed / ".draft"
    source.write_bytes(b"ours")
    add = write_terms._add

    def swapped(*arguments):
        (allowed / "out").rename(allowed / "aside")
        (allowed / "out").symlink_to(secret)
        add(*arguments)

    monkeypatch.setattr(write_terms, "_add", swapped)
    terms = WriteRules(new=True, within=(str(allowed),))
    write_terms.move(source, allowed / "out" / "kick.wav", terms)
    assert os.listdir(secret) == []
    assert (allowed / "aside" / "kick.wav").read_bytes() == b"ours"


def test_a_file_that_came_meanwhile_stays(tmp_path, monkeypatch):
    place = tmp_path / "kick.wav"
    (tmp_path / ".draft").write_bytes(b"ours")
    add = write_terms._add

    def late(*arguments):
        place.write_bytes(SOUND)
        add(*arguments)

    monkeypatch.setattr(write_terms, "_add", late)
    with pytest.raises(ValueError, match="is there already"):
        write_terms.move(tmp_path / ".draft", place, ORDINARY)
    assert place.read_bytes() == SOUND


def test_without_hard_links_a_new_file_is_moved_and_an_old_one_stays(tmp_path, monkeypatch):
    def no_links(*_, **__):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    publish(tmp_path / "out" / "kick.wav", b"first")
    assert (tmp_path / "out" / "kick.wav").read_bytes() == b"first"
    (tmp_path / ".draft").write_bytes(b"ours")
    with pytest.raises(FileExistsError):
        write_terms._add(tmp_path / ".draft", tmp_path / "out" / "kick.wav", None)


def test_a_link_of_the_user_is_a_folder_as_any(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "music").symlink_to(tmp_path / "disk")
    for terms in (ORDINARY, WriteRules(within=(str(tmp_path / "music"),))):
        publish(tmp_path / "music" / "a" / "kick.wav", b"ours", terms)
    assert (tmp_path / "disk" / "a" / "kick.wav").read_bytes() == b"ours"
    assert is_ours(tmp_path / "disk" / "a" / "kick.wav")


def test_a_record_that_cannot_be_read_lets_nothing_be_replaced(tmp_path, caplog):
    place = tmp_path / "out" / "kick.wav"
    publish(place, b"first")
    for leftover in (tmp_path / "data").iterdir():
        leftover.unlink()
    write_terms.record_file().write_bytes(b"no database, but long enough to be looked at " * 40)
    assert not is_ours(place)
    assert "cannot be read" in caplog.text
    publish(tmp_path / "out" / "snare.wav", b"new")  # what is new can still be written
    assert "cannot be written down" in caplog.text


def test_the_record_keeps_the_newest(tmp_path, monkeypatch):
    monkeypatch.setattr(write_terms, "MAX_ROWS", 3)
    for number in range(5):
        publish(tmp_path / "out" / f"{number}.wav", b"ours")
    with sqlite3.connect(write_terms.record_file()) as record:
        (count,) = record.execute("SELECT count(*) FROM made").fetchone()
    record.close()
    assert count == 3
    assert [is_ours(tmp_path / "out" / f"{number}.wav") for number in (1, 2)] == [False, True]


def test_a_file_of_one_host_is_under_the_same_terms(tmp_path):
    place = tmp_path / "out" / "song.rpp"
    place.parent.mkdir()
    place.write_bytes(SOUND)
    with pytest.raises(ValueError, match=r"song\.rpp"), whole(place, ORDINARY):
        pass
    assert os.listdir(place.parent) == ["song.rpp"]


def test_a_new_file_is_created_where_nothing_is(tmp_path):
    place = tmp_path / "take.wav"
    with write_terms.create(place, ORDINARY) as file:
        file.write(SOUND)
    assert place.read_bytes() == SOUND
    assert not is_ours(place)
    place.unlink()
    place.symlink_to(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="nothing is written over"):
        write_terms.create(place, ORDINARY)
    assert not Path(tmp_path / "nowhere").exists()
