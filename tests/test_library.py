"""A library keeps what it is given: found again, renamed, deleted, restored, put in slots."""

import errno
import json
import os
import sqlite3
import subprocess
import sys
import unicodedata
from array import array
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from presets import Effect, Preset, load, save
from presets.library import Library, disk, index, likeness, names
from tests.peers import peer

ROOT = Path(__file__).parents[1]


def preset(name, **fields):
    base = {"renderer": "fm", "renderer_version": 1, "values": {"ratio": 1.0, "decay": 0.5}}
    return Preset(**({"name": name} | base | fields))


@pytest.fixture
def library(tmp_path):
    return Library(tmp_path / "library")


def stems(entries):
    return [entry.path.stem for entry in entries]


# Names


HOSTILE = {
    "../../etc/passwd": "etc-passwd",
    "a/b\\c:d": "a-b-c-d",
    "CON": "con-preset",
    "com1": "com1-preset",
    "slots": "slots-preset",
    "...": "preset",
    " .hidden ": "hidden",
    "-rf": "rf",
    "🎹🔥": "musical-keyboard-fire",
    "nul\x00byte\n": "nul-byte",
    "ﬁne Ⅷ": "fine-viii",
    "Küche 锅": "küche-锅",
    "हिन्दी": "हिन्दी",
}


@pytest.mark.parametrize(("name", "stem"), HOSTILE.items())
def test_hostile_names_become_plain_file_names(library, name, stem):
    entry = library.add(preset(name))
    assert entry.path == library.folder / f"{stem}.json"
    assert load(entry.path).name == name
    assert library.get(stem).name == name


@given(st.text(min_size=1, max_size=200))
def test_any_name_gives_a_file_name_of_every_system(name):
    stem = names.stem(name)
    assert len(stem.encode()) <= names.LONGEST
    assert stem == names.stem(stem) == names.fold(stem)
    assert not set(stem) & set('/\\:*?"<>|. \0')
    assert stem.strip("-") == stem != ""
    assert stem.split(".")[0] not in names.RESERVED


def test_twins_of_case_and_composition_get_files_that_differ(library):
    twins = ["Küche", unicodedata.normalize("NFD", "Küche"), "KÜCHE", "Küche"]
    entries = [library.add(preset(name)) for name in twins]
    assert stems(entries) == ["küche", "küche-2", "küche-3", "küche-4"]
    assert [load(entry.path).name for entry in entries] == twins


def test_a_file_of_another_program_is_not_overwritten(library):
    library.add(preset("first"))
    (library.folder / "KICK.json").write_text("mine")
    (library.folder / "Snare.wav").write_bytes(b"mine")
    assert library.add(preset("Kick")).path.name == "kick-2.json"
    assert library.add(preset("snare")).path.name == "snare-2.json"
    assert (library.folder / "KICK.json").read_text() == "mine"


def test_two_hundred_characters_are_cut_between_characters(library):
    entry = library.add(preset("鍋" * 200))
    assert entry.path.stem == "鍋" * 40
    assert load(entry.path).name == "鍋" * 200


def test_the_same_preset_is_kept_once_where_that_is_asked(library):
    first = library.add(preset("kick"), once=True)
    assert library.add(preset("kick"), once=True) == first
    assert library.add(preset("kick", tags=("low",)), once=True).path.name == "kick-2.json"
    assert library.add(preset("kick")).path.name == "kick-3.json"


# Finding


def test_words_are_found_by_their_beginning_in_any_case_and_accent(library):
    library.add(preset("Küchen-Topf", tags=("Metall",), prompt="hitting pot with wooden spoon"))
    library.add(preset("鉄鍋の音"))
    library.add(preset("हिन्दी"))
    for words in ("küch", "KUCHE", "topf kuch", "metal", "spo hit", "pot  wooden", 'pot" OR "x'):
        wanted = [] if "OR" in words else ["küchen-topf"]
        assert stems(library.find(words)) == wanted, words
    assert stems(library.find("鍋")) == stems(library.find("鉄鍋")) == ["鉄鍋の音"]
    assert stems(library.find("हिन्")) == ["हिन्दी"]
    assert library.find("pan") == ()


def test_a_word_in_the_name_counts_more_than_one_in_the_prompt(library):
    library.add(preset("a", prompt="a bell that rings like a bell"))
    library.add(preset("z bell"))
    library.add(preset("m", tags=("bell",)))
    assert stems(library.find("bell")) == ["z-bell", "m", "a"]


def test_tags_and_renderer_narrow_the_search(library):
    library.add(preset("one", tags=("Warm", "bass")))
    library.add(preset("two", tags=("warm",), renderer="impact"))
    assert stems(library.find(tags=["WARM"])) == ["one", "two"]
    assert stems(library.find(tags=["warm", "bass"])) == ["one"]
    assert stems(library.find(renderer="impact")) == ["two"]
    assert stems(library.find("two", renderer="fm")) == []
    assert stems(library.find(limit=1)) == ["one"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.text(max_size=30))
def test_no_query_is_an_error(shared, words):
    shared.find(words, tags=[words], renderer=words)


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    library = Library(tmp_path_factory.mktemp("library"))
    library.add(preset("kick", tags=("drum",)))
    return library


def test_the_most_similar_come_first_and_distances_are_of_the_unit_interval(library):
    places = {"here": (0.1, 0.0), "near": (0.2, 0.0), "far": (10.0, 0.0), "up": (0.1, 1.0)}
    for name, (decay, mix) in places.items():
        library.add(preset(name, values={"decay": decay, "mix": mix}))
    library.add(preset("other", values={"mix": 0.0}))
    library.add(preset("older", renderer_version=2, values={"decay": 0.1, "mix": 0.0}))
    found = library.find(like="here")
    # decay is log from 0.1 to 10: 0.2 lies at ln(2) / ln(100) = 0.1505
    distances = {entry.path.stem: entry.distance for entry in found}
    assert list(distances) == ["near", "far", "up"]
    assert distances["near"] == pytest.approx(0.150515 / 2**0.5, abs=1e-6)
    assert distances["far"] == distances["up"] == pytest.approx(0.5**0.5, abs=1e-6)
    assert stems(library.find(like="here", words="up")) == ["up"]
    assert stems(library.find(like="here", limit=1)) == ["near"]


def test_similarity_follows_a_change(library):
    for name, decay in (("a", 1.0), ("b", 2.0), ("c", 3.0)):
        library.add(preset(name, values={"decay": decay}))
    assert stems(library.find(like="a")) == ["b", "c"]
    library.replace("c", preset("c", values={"decay": 1.1}))
    assert stems(library.find(like="a")) == ["c", "b"]


def test_curves_of_knobs_are_guessed_right_on_musical_patches():
    import torch

    from renderers import RENDERERS, random_patches
    from renderers.base import curves, physical

    fm = RENDERERS["fm"]
    u = random_patches(fm, 500, generator=torch.Generator().manual_seed(0))
    columns = physical(curves(fm.params), u).T.tolist()
    guessed = [likeness.is_log(array("d", c), min(c), max(c)) for c in columns]
    right = [log == (p.scale == "log") for log, p in zip(guessed, fm.params, strict=True)]
    assert sum(right) / len(right) > 0.9  # 26 of 27: `level` spans little of its range


# Changing


def test_a_preset_goes_through_the_library_as_it_is(library, tmp_path):
    kept = preset("pot", effects=(Effect(kind="Reverb", values={"room_size": 0.5}),), seed=3)
    path = library.add(kept).path
    save(kept, tmp_path / "pot.json")
    assert path.read_bytes() == (tmp_path / "pot.json").read_bytes()
    library.rename("pot", "Pan")
    library.tag("pan", ["metal"])
    library.rename("pan", "pot")
    library.tag("pot", (), ["METAL"])
    assert path.read_bytes() == (tmp_path / "pot.json").read_bytes()


def test_preview_and_slots_follow_a_name(library, tmp_path):
    wav = tmp_path / "sound.wav"
    wav.write_bytes(b"RIFF")
    library.add(preset("pot"), preview=wav)
    library.assign(5, "pot")
    library.assign(128, "pot.json")
    entry = library.rename("pot", "Big Pan")
    assert entry.preview == library.folder / "big-pan.wav"
    assert dict(library.slots()) == {5: entry.path, 128: entry.path}
    text = '{\n "5": "big-pan.json",\n "128": "big-pan.json"\n}\n'
    assert (library.folder / "slots.json").read_text() == text

    twin = library.duplicate("big pan", "Small Pan")
    assert (load(twin.path).name, twin.preview.read_bytes()) == ("Small Pan", b"RIFF")
    gone = library.delete("big-pan")
    assert gone.with_suffix(".wav").read_bytes() == b"RIFF"
    assert (stems(library.find()), dict(library.slots())) == (["small-pan"], {})
    assert library.restore("big-pan").preview.read_bytes() == b"RIFF"
    assert library.trash() == ()


def test_what_is_deleted_twice_is_kept_twice(library):
    for prompt in ("one", "two"):
        library.add(preset("pot", prompt=prompt))
        library.delete("pot")
    assert library.trash() == ("pot-2.json", "pot.json")
    library.add(preset("Pot", prompt="three"))
    assert library.restore("pot-2").path.name == "pot-2.json"
    assert sorted(entry.prompt for entry in library.find()) == ["three", "two"]


def test_a_new_case_of_the_name_keeps_the_file(library):
    library.add(preset("Küche"))
    assert library.rename("küche", "KÜCHE").path.name == "küche.json"
    assert library.rename("küche", unicodedata.normalize("NFD", "Küche")).path.name == "küche.json"
    (library.folder / "Kick.json").write_bytes((library.folder / "küche.json").read_bytes())
    assert library.rename("Kick", "kick").path.name == "Kick.json"


def test_folders_are_taken_in_once_and_given_away_whole(library, tmp_path):
    source = tmp_path / "from a friend"
    source.mkdir()
    save(preset("Pot"), source / "one.json")
    (source / "one.wav").write_bytes(b"RIFF")
    save(preset("Pot"), source / "again.json")
    (source / "bad.json").write_text("{")
    files = sorted(source.iterdir())
    taken = library.add_files(path for path in files if path.suffix == ".json")
    assert [path.name for path in taken.added] == ["pot.json"]
    assert [path.name for path in taken.same] == ["one.json"]
    assert taken.refused[0][1].startswith("bad.json is not a preset: it is not JSON text")
    assert library.add_files([source / "one.json"]).added == ()

    library.add(preset("Pan"))
    given = library.copy_files(["pan", "pot"], tmp_path / "gift")
    assert [path.name for path in given] == ["pan.json", "pot.json"]
    assert {p.name for p in (tmp_path / "gift").iterdir()} == {"pan.json", "pot.json"}
    with pytest.raises(ValueError, match="is there already"):
        library.copy_files(["pan"], tmp_path / "gift")
    with pytest.raises(ValueError, match="no preset is called 'nope'"):
        library.copy_files(["pan", "nope"], tmp_path / "gift 2")
    assert not (tmp_path / "gift 2").exists()


# Refusals


def test_what_cannot_be_done_is_one_sentence(library):
    library.add(preset("pot"))
    library.add(preset("a pot lid"))
    library.add(preset("twin", prompt="x"))
    library.add(preset("Twin", prompt="y"))
    os.replace(library.folder / "twin.json", library.folder / "other.json")
    for says, ask in {
        "no preset is called 'potty lid' in .*; similar: a-pot-lid.json": lambda: library.get(
            "potty lid"
        ),
        "no preset is called '../../etc/passwd'": lambda: library.delete("../../etc/passwd"),
        "2 presets are called 'TWIN': say which file, other.json, twin-2.json": lambda: library.get(
            "TWIN"
        ),
        "slot must be 1 .. 128, got 129": lambda: library.assign(129, "pot"),
        "a name must not be blank, got ''": lambda: library.rename("pot", ""),
        "a name must not be blank, got ' '": lambda: library.duplicate("pot", " "),
        "a tag must not be blank, got ' '": lambda: library.tag("pot", [" "]),
        "the trash holds no 'pot'; it holds nothing": lambda: library.restore("pot"),
    }.items():
        with pytest.raises(ValueError, match=says):
            ask()
    (library.folder / "slots.json").write_text('{"1": "../x.json"}')
    with pytest.raises(ValueError, match=r"slot 1 must be a file name here, got '../x.json'"):
        library.slots()
    (library.folder / "slots.json").write_text("<<<<<<< ours")
    with pytest.raises(ValueError, match=r'must hold \{"1": "file.json", ...}'):
        library.assign(1, "pot")
    (library.folder / "file").write_text("")
    with pytest.raises(ValueError, match="cannot be written"):
        Library(library.folder / "file").add(preset("x"))


def test_a_disk_that_fails_leaves_a_change_done_or_undone(tmp_path, monkeypatch):
    real, outcomes = os.fsync, []
    for working in range(20):
        library = Library(tmp_path / str(working))
        library.add(preset("pot"))
        library.assign(5, "pot")
        left = iter(range(working))

        def failing(handle, left=left):
            if next(left, None) is None:
                raise OSError(errno.ENOSPC, "No space left on device")
            real(handle)

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", failing)
            try:
                library.rename("pot", "pan")
            except ValueError as error:
                outcomes.append(str(error).partition(" cannot be ")[2])
            else:
                outcomes.append("done")
        (stem,) = stems(library.find())
        assert library.slots()[5] == library.get(stem).path
        assert stem == "pan" if outcomes[-1] == "done" else stem in ("pot", "pan")
        if outcomes[-1] == "done":
            break
    refused = "changed: [Errno 28] No space left on device"
    assert outcomes == [refused] * 8 + ["done"]


def test_reading_makes_no_folder(library):
    assert (library.find(), library.count(), library.trash()) == ((), 0, ())
    with pytest.raises(ValueError, match="no preset is called 'x'"):
        library.get("x")
    assert not library.folder.exists()


# Changes from outside


def test_changes_of_other_programs_are_seen(library):
    path = library.add(preset("one")).path
    assert stems(library.find("two")) == []
    path.write_text(path.read_text().replace('"one"', '"two"'))  # in its place, of the same size
    save(preset("three"), library.folder / "anything at all.json")
    assert [(e.path.stem, e.name) for e in library.find()] == [
        ("anything at all", "three"),
        ("one", "two"),
    ]
    path.unlink()
    assert [entry.name for entry in library.find()] == ["three"]


def test_an_edit_in_place_of_the_same_size_is_seen_when_the_time_differs(library, monkeypatch):
    monkeypatch.setattr(index, "FRESH", 0)
    path = library.add(preset("one")).path
    os.utime(path, ns=(10**18, 10**18))
    library.find()
    path.write_text(path.read_text().replace('"one"', '"two"'))
    os.utime(path, ns=(10**18, 10**18 + 1))
    assert [entry.name for entry in library.find()] == ["two"]


def test_files_that_are_no_presets_are_named_and_do_no_harm(library):
    library.add(preset("pot"))
    (library.folder / "torn.json").write_text('{"name": "to')
    (library.folder / "deep.json").write_text("[" * 100_000)
    (library.folder / "folder.json").mkdir()
    os.mkfifo(library.folder / "pipe.json")
    (library.folder / "nowhere.json").symlink_to("gone.json")
    (library.folder / os.fsdecode(b"caf\xe9.json")).write_text("{}")
    assert stems(library.find()) == ["pot"]
    reasons = dict(library.unreadable())
    assert set(reasons) == {"torn.json", "deep.json", "nowhere.json"}
    assert "it is not JSON text" in reasons["torn.json"]
    with pytest.raises(ValueError, match="no preset is called 'torn'"):
        library.get("torn")


def test_the_index_may_go_at_any_time_and_changes_nothing(library):
    for number in range(5):
        library.add(preset(f"pot {number}", values={"decay": number + 1.0}, tags=("metal",)))
    asks = ({"words": "pot"}, {"tags": ["metal"]}, {"like": "pot-3"})
    before = [library.find(**ask) for ask in asks]
    (library.folder / ".index.sqlite").unlink()
    assert [library.find(**ask) for ask in asks] == before
    assert library.reindex() == 5
    assert [library.find(**ask) for ask in asks] == before


def test_an_index_damaged_anywhere_is_made_again(library):
    for number in range(30):
        library.add(preset(f"pot {number}"))
    path = library.folder / ".index.sqlite"
    library.find()
    whole = path.read_bytes()
    page = 4096
    cuts = [*range(0, 200, 13), *range(page, len(whole), page), *range(1000, len(whole), 7919)]
    for cut in cuts:
        path.write_bytes(whole[:cut])
        assert len(library.find("pot", limit=99)) == 30, cut
    path.write_bytes(b"not a database" * 1000)
    assert len(library.find("pot", limit=99)) == 30
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    assert len(library.find("pot", limit=99)) == 30


def test_git_keeps_the_presets_only(library):
    library.add(preset("pot"))
    library.find()
    library.add(preset("pan"))
    library.delete("pan")
    peer("git")
    subprocess.run(["git", "init", "-q", library.folder], check=True)
    listed = subprocess.run(
        ["git", "-C", library.folder, "ls-files", "-o", "--exclude-standard"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert listed.stdout.split() == [".gitignore", "pot.json"]


def test_a_folder_that_may_not_be_written_can_be_searched(library, monkeypatch):
    library.add(preset("pot"))
    index.drop(library.folder)
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write everywhere
    assert stems(library.find("pot")) == ["pot"]
    assert not (library.folder / ".index.sqlite").exists()


def test_a_list_of_moves_from_a_stranger_leads_nowhere(library, tmp_path):
    library.add(preset("pot"))
    for target in ("../stolen.json", str(tmp_path / "stolen.json"), ".trash/../../stolen.json"):
        (library.folder / ".work" / "moves.json").write_text(json.dumps([["pot.json", target]]))
        with pytest.raises(ValueError, match="outside"):
            library.add(preset("pan"))
    assert not (tmp_path / "stolen.json").exists()
    (library.folder / ".work" / "moves.json").write_text("{")
    with pytest.raises(ValueError, match="is not a list of moves"):
        library.add(preset("pan"))


def test_no_array_library_is_loaded():
    program = (
        "import presets.library, sys; print({'torch', 'numpy', 'renderers'} & set(sys.modules))"
    )
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        capture_output=True, text=True, check=True, cwd=ROOT,
    )  # fmt: skip
    assert run.stdout.strip() == "set()"


def test_a_held_library_is_waited_for_and_then_refused(library):
    library.add(preset("pot"))
    with disk.lock_folder(library.folder), pytest.raises(ValueError, match="cannot be locked"):
        with disk.lock_folder(library.folder, patience=0.05):
            pass


def test_links_that_lead_nowhere_are_said_and_hide_nothing(tmp_path):
    library = Library(tmp_path)
    library.add(preset("Pot"))
    for name, target in (("loop.json", "loop.json"), ("a.json", "b.json"), ("b.json", "a.json")):
        (tmp_path / name).symlink_to(target)
    (tmp_path / "gone.json").symlink_to("nowhere")
    (tmp_path / "pot.wav").symlink_to("pot.wav")
    (pot,) = library.find()
    assert (pot.name, pot.preview) == ("Pot", None)
    loop = "Too many levels of symbolic links"
    assert dict(library.unreadable()) == {
        "loop.json": loop, "a.json": loop, "b.json": loop, "gone.json": "No such file or directory"
    }  # fmt: skip
    library.assign(1, "pot")
    assert library.rename("pot", "Pan").path.name == "pan.json"
    assert library.slots()[1].name == "pan.json"
