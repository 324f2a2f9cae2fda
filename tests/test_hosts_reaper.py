"""REAPER's actions under real Lua, with a double of the ReaScript calls they use.

REAPER itself was not run: `reaper_double.lua` checks every call against REAPER's signatures and
models what its items play. The other end is ours and real: the exchange by files, a job, its stems.
"""

import json
import os
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from lupa import lua53, lua54

from bridge.app import folder_requests
from bridge.files import wav
from bridge.hosts import HOSTS, INSTALLERS, reaper
from bridge.service.config import Config
from tests.test_hosts_dawproject import stem_set

TESTS = Path(__file__).parent
SCRIPTS = Path(reaper.SCRIPTS)
RATE = 48000
TONE = """function(t, channel)
  return 0.3 * math.sin(1382.3 * t) + 0.1 * channel * math.sin(20000 * t * t)
end"""


class Reaper:
    """The double, its world, and what Python wants to know of it."""

    def __init__(self, tmp_path: Path, version=lua54) -> None:
        self.lua = version.LuaRuntime()
        self.world = self.lua.execute((TESTS / "reaper_double.lua").read_text(encoding="utf-8"))
        self.world.make_folder = lambda path: Path(path).mkdir(parents=True)
        self.world.media = str(tmp_path / "media 🎹")
        self.scripts = tmp_path / "Scripts" / "Scorewire"
        (tmp_path / "Scripts").mkdir()
        reaper.install(tmp_path, force=False)
        self.project = self.world.project(RATE)
        self.track = self.world.track(self.project, "Band")

    def item(self, *, selected=True, reverse=False, offset=0.0, playrate=1.0, **info):
        item = self.world.item(self.track, self.lua.table_from(info))
        self.world.take(item, self.lua.eval(TONE), 5.0, offset, playrate, reverse, 2)
        item.selected = selected
        return item

    def played(self, first: int, frames: int) -> np.ndarray:
        """What the items that are heard play, [frames, 2]: the track's own, and files of stems."""
        sound = np.array(
            [
                [self.world.play(self.track, (first + i) / RATE, c) for c in (1, 2)]
                for i in range(frames)
            ],
            dtype=float,
        )
        for track in self.project.tracks.values():
            for item in track["items"].values():
                path = item.take.source.path
                if path and not item.info.B_MUTE:
                    at = item.info.D_POSITION * RATE - first
                    assert at == pytest.approx(round(at), abs=1e-6)  # on the grid
                    stem, rate = sf.read(path, dtype="float64", always_2d=True)
                    assert rate == RATE
                    assert item.info.D_LENGTH * RATE == pytest.approx(len(stem), abs=1e-6)
                    begin = round(at)
                    sound[begin : begin + len(stem)] += track.info.D_VOL * stem
        return sound

    def start(self, sounds: str | None, action: str = "scorewire.lua") -> None:
        self.world.inputs = sounds
        self.world.run(str(self.scripts / action))

    def turns(self, most: int = 4000, *, until=lambda: False) -> int:
        count = 0
        while not until() and self.world.turn():
            count += 1
            assert count < most
        return count

    @property
    def folder(self) -> Path:
        """The exchange folder that the command names."""
        (command,) = self.world.commands.values()
        start, _, rest = command.partition(" -P -m bridge.app.folder_requests ")
        assert start == f'"{sys.executable}"'
        assert rest[0] == rest[-1] == '"'
        return Path(rest[1:-1])

    def asked(self) -> Path:
        """Turns until Scorewire was started."""
        self.turns(until=lambda: len(self.world.commands))
        return self.folder

    def tracks(self) -> list[tuple[str, int]]:
        return [(t.name, int(t.info.I_FOLDERDEPTH)) for t in self.project.tracks.values()]

    def boxes(self) -> list[str]:
        return list(self.world.boxes.values())


def settings(tmp_path: Path) -> Config:
    worker = (sys.executable, str(TESTS / "halving_worker.py"))
    return Config(data=tmp_path / "data", worker=worker)


def null_db(x: np.ndarray, y: np.ndarray) -> float:
    return 10 * np.log10(np.sum((x - y) ** 2) / np.sum(x**2))


@pytest.mark.parametrize("version", [lua53, lua54], ids=["5.3", "5.4"])
def test_selected_items_come_back_as_stems_that_null(tmp_path: Path, version) -> None:
    """Two items, one reversed and stretched from an offset, at places off the sample grid."""
    daw = Reaper(tmp_path, version)
    daw.item(D_POSITION=1.00001, D_LENGTH=0.1, offset=0.3, playrate=1.37, reverse=True)
    daw.item(D_POSITION=1.15, D_LENGTH=0.05, D_VOL=0.5)
    first, frames = RATE, RATE // 4
    before = daw.played(first, frames)
    daw.start('alto sax; "7ths"\\; Hände')
    folder = daw.asked()

    asked = json.loads((folder / "request.json").read_text(encoding="utf-8"))
    assert asked["prompts"] == ["alto sax", '"7ths"\\', "Hände"]
    assert "auto" not in asked
    assert asked["tempo"] == [[0.0, 120.0]]
    header = wav.read_header(folder / "mix.wav")
    begin = 48001  # the first frame at or after 1.00001 s
    assert (header.rate, header.channels, header.bext.time_reference) == (RATE, 2, begin)
    sound, _ = sf.read(folder / "mix.wav", dtype="float64")
    np.testing.assert_allclose(sound, before[begin - first :][: len(sound)], atol=3e-8)
    assert np.abs(sound).max() > 0.3

    folder_requests.answer(folder, settings(tmp_path))
    daw.turns()
    assert daw.boxes() == []
    assert daw.tracks() == [
        ("Band", 1), ("Band stems", 1), ("alto sax", 0), ('"7ths"\\', 0), ("Hände", 0),
        ("residual", -2),
    ]  # fmt: skip
    colours = [int(t.info.I_CUSTOMCOLOR) for t in daw.project.tracks.values()]
    assert colours[2] == 0x1_00_9F_E6  # #e69f00, red in the lowest byte, and REAPER's bit
    assert colours[:2] == [0, 0]
    assert null_db(before, daw.played(first, frames)) < -130
    (step,) = daw.project.steps.values()
    assert step.name == "Scorewire: stems of Band"
    daw.world.exit()
    assert not (folder / "cancel").exists()  # what is done is not cancelled
    daw.world.undo(daw.project)
    assert daw.tracks() == [("Band", 0)]
    np.testing.assert_array_equal(daw.played(first, frames), before)
    assert daw.world.accessors == 0
    assert daw.world.refresh == 0
    assert daw.world.window is None


@pytest.mark.parametrize("select", ["item", "track"])
def test_a_time_selection_cuts_and_the_rest_stays_heard(tmp_path: Path, select: str) -> None:
    daw = Reaper(tmp_path)
    daw.world.split_overlaps = 0.01  # a preference that makes split items overlap
    daw.item(D_POSITION=2.0, D_LENGTH=0.3, offset=1.0, selected=select == "item")
    daw.track.selected = select == "track"
    daw.project.sel = daw.lua.table_from([2.1, 2.2])
    before = daw.played(2 * RATE, RATE // 3)
    daw.start("vocals")
    folder = daw.asked()
    assert wav.read_header(folder / "mix.wav").frames == RATE // 10
    folder_requests.answer(folder, settings(tmp_path))
    daw.turns()
    assert daw.boxes() == []
    muted = [item.info.B_MUTE for item in daw.track["items"].values()]
    assert muted == [0, 1, 0]
    assert null_db(before, daw.played(2 * RATE, RATE // 3)) < -130


@pytest.mark.parametrize(
    ("depths", "expected"),
    [
        ([0, 0], [1, 1, 0, -2, 0]),
        ([1, -1], [1, 1, 0, -1, -1]),
        ([-1], [1, 1, 0, -3]),
        ([-2], [1, 1, 0, -4]),
    ],
)
def test_every_folder_that_was_ended_still_ends(tmp_path: Path, depths, expected) -> None:
    daw = Reaper(tmp_path)
    daw.track.info.I_FOLDERDEPTH = depths[0]
    for depth in depths[1:]:
        daw.world.track(daw.project, "other").info.I_FOLDERDEPTH = depth
    daw.item(D_POSITION=0, D_LENGTH=0.01)
    daw.start("vocals")
    folder_requests.answer(daw.asked(), settings(tmp_path))
    daw.turns()
    assert [depth for _, depth in daw.tracks()] == expected
    assert sum(expected) == sum(depths)


def test_reaper_is_never_kept_waiting(tmp_path: Path) -> None:
    """A turn reads at most a piece or 30 ms; while Scorewire works, turns only look at a file."""
    daw = Reaper(tmp_path)
    daw.item(D_POSITION=0, D_LENGTH=3.0)
    daw.item(D_POSITION=60.0, D_LENGTH=0.1)
    daw.start("vocals")
    daw.asked()
    reads = daw.world.calls.GetAudioAccessorSamples
    assert reads == 4  # 3 s in pieces of 65536 frames, and 0.1 s: no silence is read
    daw.turns(30, until=lambda: daw.world.calls.defer > 20)
    drawn = list(daw.world.drawn.values())
    assert drawn.count("Reading the items") >= 3
    assert drawn[-1] == "Starting Scorewire"
    status = "running\t1\t0.4200\t73\tseparate window 3\n"
    (daw.folder / "status.txt").write_text(status)
    daw.turns(60, until=lambda: list(daw.world.drawn.values())[-1] != "Starting Scorewire")
    assert list(daw.world.drawn.values())[-1] == "separate window 3, 73 s left"


@pytest.mark.parametrize("key", [27, -1, None], ids=["Esc", "closed", "ended by REAPER"])
def test_cancelled_while_it_works_nothing_is_left(tmp_path: Path, key: int | None) -> None:
    daw = Reaper(tmp_path)
    daw.item(D_POSITION=0, D_LENGTH=0.1)
    daw.start("slow")
    folder = daw.asked()
    working = threading.Thread(target=folder_requests.answer, args=(folder, settings(tmp_path)))
    working.start()
    daw.turns(20, until=lambda: daw.world.calls.defer > 10)
    if key is None:
        daw.world.exit()
    else:
        daw.world.keys = daw.lua.table_from([key])
        daw.turns(3)
        assert daw.world.window is None
    working.join(timeout=120)
    assert not working.is_alive()
    assert not folder.exists()
    assert (daw.boxes(), daw.tracks()) == ([], [("Band", 0)])


def test_cancelled_while_it_reads_nothing_is_left(tmp_path: Path) -> None:
    daw = Reaper(tmp_path)
    daw.item(D_POSITION=0, D_LENGTH=0.1)
    daw.item(D_POSITION=60, D_LENGTH=0.1)
    daw.start("vocals")
    daw.world.turn()
    daw.world.keys = daw.lua.table_from([27])
    daw.turns(3)
    assert list((tmp_path / "media 🎹" / "Scorewire").iterdir()) == []
    assert len(daw.world.commands) == 0
    assert daw.world.accessors == 0


def test_a_failure_is_one_sentence(tmp_path: Path) -> None:
    daw = Reaper(tmp_path)
    daw.item(D_POSITION=0, D_LENGTH=0.1)
    daw.start("wrong")
    folder_requests.answer(daw.asked(), settings(tmp_path))
    daw.turns()
    assert daw.boxes() == ["file must not be so wrong"]
    assert daw.tracks() == [("Band", 0)]


def test_silence_for_a_minute_says_how_to_find_out_why(tmp_path: Path) -> None:
    daw = Reaper(tmp_path)
    daw.item(D_POSITION=0, D_LENGTH=0.1)
    daw.start("vocals")
    folder = daw.asked()
    daw.turns(4000)
    (text,) = daw.boxes()
    assert text.startswith("Scorewire gave no sign of life for 60 seconds.")
    assert text.endswith(f'"{sys.executable}" -P -m bridge.app.folder_requests {folder}')
    assert daw.world.now > 60


def test_another_project_in_front_is_not_touched(tmp_path: Path) -> None:
    daw = Reaper(tmp_path)
    daw.item(D_POSITION=0, D_LENGTH=0.1)
    daw.start("vocals")
    folder_requests.answer(daw.asked(), settings(tmp_path))
    other = daw.world.project(RATE)
    daw.world.front = other
    seen = "Done: go back to the project of these items"
    daw.turns(100, until=lambda: list(daw.world.drawn.values())[-1] == seen)
    assert len(other.tracks) == 0
    daw.world.front = daw.project
    daw.turns()
    assert len(daw.tracks()) == 4
    assert len(other.tracks) == 0


def test_a_closed_project_says_where_the_stems_are(tmp_path: Path) -> None:
    daw = Reaper(tmp_path)
    daw.item(D_POSITION=0, D_LENGTH=0.1)
    daw.start("vocals")
    folder_requests.answer(daw.asked(), settings(tmp_path))
    daw.project.gone = True
    daw.turns()
    assert daw.boxes() == [f"The project was closed; the stems are in {daw.folder}."]


def test_what_cannot_be_read_leaves_the_project_as_it_was(tmp_path: Path) -> None:
    daw = Reaper(tmp_path)
    item = daw.item(D_POSITION=0, D_LENGTH=0.1)
    daw.start("vocals")
    folder = daw.asked()
    folder_requests.answer(folder, settings(tmp_path))
    daw.world.unreadable[str(folder / "residual.wav")] = True
    daw.turns()
    assert daw.boxes() == [f"REAPER cannot read {folder / 'residual.wav'}."]
    assert (daw.tracks(), item.info.B_MUTE) == ([("Band", 0)], 0)
    assert daw.project.steps is None


def test_half_an_insertion_is_undone(tmp_path: Path) -> None:
    daw = Reaper(tmp_path)
    item = daw.item(D_POSITION=0, D_LENGTH=0.3)
    daw.project.sel = daw.lua.table_from([0.1, 0.2])
    daw.start("vocals")
    folder_requests.answer(daw.asked(), settings(tmp_path))
    item.info.D_LENGTH = 0.1  # edited meanwhile: there is nothing to split at 0.1 s
    item.info.D_POSITION = 0.15
    daw.lua.execute("reaper.SplitMediaItem = function() return nil end")
    daw.turns()
    assert daw.boxes() == ["REAPER could not split an item at the edge of the time selection."]
    assert (daw.tracks(), item.info.B_MUTE) == ([("Band", 0)], 0)
    assert list(daw.world.undone.values()) == ["Scorewire: stems of Band"]


def test_tempo_changes_are_told(tmp_path: Path) -> None:
    daw = Reaper(tmp_path)
    daw.project.tempo = daw.lua.eval("{ { 0, 120 }, { 2, 60 }, { 6, 90.5 } }")
    daw.item(D_POSITION=0, D_LENGTH=0.1)
    daw.start("vocals")
    asked = json.loads((daw.asked() / "request.json").read_text())
    assert np.array(asked["tempo"]) == pytest.approx(np.array([[0, 120], [4, 60], [8, 90.5]]))


def other_track(daw: Reaper) -> None:
    daw.item(D_POSITION=0, D_LENGTH=1)
    daw.track = daw.world.track(daw.project, "Choir")
    daw.item(D_POSITION=0, D_LENGTH=1)


def overlapped(daw: Reaper) -> None:
    daw.item(D_POSITION=0, D_LENGTH=1)
    daw.item(D_POSITION=0.9, D_LENGTH=1, selected=False)


REFUSED = [
    (lambda daw: None, "Select items that are heard, or one track and a time"),
    (lambda daw: daw.item(D_POSITION=0, D_LENGTH=1, B_MUTE=1), "Select items that are heard"),
    (other_track, "Select items of one track"),
    (overlapped, "An item that is not selected overlaps one that is"),
    (lambda daw: daw.item(D_POSITION=0, D_LENGTH=20000), "Select less: a WAV holds 186 minutes"),
]


@pytest.mark.parametrize(("prepare", "sentence"), REFUSED)
def test_what_cannot_be_separated_is_said_at_once(tmp_path: Path, prepare, sentence) -> None:
    daw = Reaper(tmp_path)
    prepare(daw)
    daw.start("vocals")
    (text,) = daw.boxes()
    assert text.startswith(sentence)
    assert not (tmp_path / "media 🎹").exists()
    assert len(daw.world.deferred) == 0


def test_without_a_name_what_is_heard_is_suggested(tmp_path: Path) -> None:
    daw = Reaper(tmp_path)
    daw.item(D_POSITION=0, D_LENGTH=0.1)
    daw.start(" ; ")
    asked = json.loads((daw.asked() / "request.json").read_text())
    assert (asked["prompts"], asked["auto"]) == ([], True)


def test_the_dialogue_can_be_left(tmp_path: Path) -> None:
    daw = Reaper(tmp_path)
    daw.item(D_POSITION=0, D_LENGTH=1)
    daw.start(None)
    assert daw.boxes() == []
    assert len(daw.world.deferred) == 0


def test_the_import_action_places_a_list_of_stems(tmp_path: Path) -> None:
    daw = Reaper(tmp_path)
    path = stem_set(tmp_path / "stems", start=RATE)
    (daw.world.file,) = map(str, HOSTS["reaper"].place_audio(path, tmp_path).files)
    daw.start(None, "scorewire_import.lua")
    assert daw.boxes() == []
    names = ["Band", "take-7 stems", "kick & <snare>", 'Håkan\'s "7ths" 🎷', "residual"]
    assert daw.tracks() == list(zip(names, [0, 1, 0, 0, -1], strict=True))
    stems = list(daw.project.tracks.values())[2:]
    assert [t.info.D_VOL for t in stems] == pytest.approx([1, 10 ** (-6 / 20), 1])
    places = {next(iter(t["items"].values())).info.D_POSITION for t in stems}
    assert places == {RATE / 44100}
    daw.world.file = str(tmp_path / "stems" / "stems.json")
    daw.start(None, "scorewire_import.lua")
    assert daw.boxes()[0].endswith("is not a list of stems that this version of the action knows.")


def test_every_signature_in_the_table_is_used_by_a_script() -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in SCRIPTS.glob("*.lua"))
    double = lua54.LuaRuntime().execute((TESTS / "reaper_double.lua").read_text(encoding="utf-8"))
    assert {name for name in double.signatures if f"reaper.{name}(" not in text} == set()


# Accompany


def band(daw: Reaper, *names: str) -> None:
    """A track a name, each with an item of its own place, selected."""
    daw.track.name = names[0]
    for number, name in enumerate(names):
        if number:
            daw.track = daw.world.track(daw.project, name)
        daw.item(D_POSITION=1.0 + 0.01 * number, D_LENGTH=0.1)


def test_selected_tracks_are_given_and_what_is_added_comes_beside_them(tmp_path: Path) -> None:
    daw = Reaper(tmp_path)
    band(daw, "Bass DI", "Drum kit")
    before = daw.played(RATE, RATE // 5)
    daw.start("slow blues | piano", "scorewire_accompany.lua")
    folder = daw.asked()
    asked = json.loads((folder / "request.json").read_text(encoding="utf-8"))
    assert asked == {
        "tracks": [["Bass DI", "given-1.wav"], ["Drum kit", "given-2.wav"]],
        "prompt": "slow blues", "add": "piano", "tempo": [[0.0, 120.0]],
    }  # fmt: skip
    headers = [wav.read_header(folder / f"given-{number}.wav") for number in (1, 2)]
    assert {(h.frames, h.rate, h.bext.time_reference) for h in headers} == {
        (round(0.11 * RATE), RATE, RATE)
    }
    sounds = [sf.read(folder / f"given-{number}.wav")[0] for number in (1, 2)]
    assert not sounds[1][: RATE // 100].any()  # silence up to its item
    assert np.abs(sounds[1][RATE // 100 :]).max() > 0.1
    assert not sounds[0][-RATE // 100 :].any()

    folder_requests.answer(folder, settings(tmp_path))
    daw.turns()
    assert daw.boxes() == []
    assert daw.tracks() == [
        ("Bass DI", 0), ("Drum kit", 0), ("slow blues stems", 1), ("piano", -1),
    ]  # fmt: skip
    (item,) = list(daw.project.tracks.values())[-1]["items"].values()
    assert item.info.D_POSITION == 1.0
    assert item.info.D_LENGTH == pytest.approx(0.11)
    muted = [
        i.info.B_MUTE for t in list(daw.project.tracks.values())[:2] for i in t["items"].values()
    ]
    assert muted == [0, 0]
    np.testing.assert_array_equal(daw.played(RATE, RATE // 5), before)
    assert daw.world.accessors == 0


def test_the_time_selection_says_how_much_of_the_selected_tracks_is_given(tmp_path: Path) -> None:
    daw = Reaper(tmp_path)
    daw.track.name = "Piano"
    daw.item(D_POSITION=2.0, D_LENGTH=1.0, selected=False)
    daw.track.selected = True
    daw.project.sel = daw.lua.table_from([1.9, 2.2])
    daw.start("|", "scorewire_accompany.lua")
    folder = daw.asked()
    asked = json.loads((folder / "request.json").read_text())
    assert (asked["prompt"], "add" in asked) == ("", False)
    header = wav.read_header(folder / "given-1.wav")
    assert (header.frames, header.bext.time_reference) == (round(0.3 * RATE), round(1.9 * RATE))
    folder_requests.answer(folder, settings(tmp_path))
    daw.turns()
    assert [name for name, _ in daw.tracks()] == [
        "Piano", "accompaniment stems", "bass", "drums", "guitar",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("names", "said", "sentence"),
    [
        (("Lead",), "|", "the name 'Lead' says none of bass, drums, guitar and piano: call the tr"),
        (("Bass", "Bass 2"), "|", "'Bass 2' is a second track of bass; one can be given"),
        (("Bass",), "|flute", "add.0: input should be 'bass', 'drums', 'guitar' or 'piano', got "),
        (("Bass",), "|bass", "add: must name stems that are not given, got 'bass', which is"),
        (("Bass",), "wrong|", "file must not be so wrong"),
    ],
)
def test_what_cannot_be_accompanied_is_one_sentence(
    tmp_path: Path, names: tuple[str, ...], said: str, sentence: str
) -> None:
    daw = Reaper(tmp_path)
    band(daw, *names)
    daw.start(said, "scorewire_accompany.lua")
    folder_requests.answer(daw.asked(), settings(tmp_path))
    daw.turns()
    (text,) = daw.boxes()
    assert text.startswith(sentence)
    assert len(daw.tracks()) == len(names)


def test_nothing_selected_and_a_dialogue_that_is_left_begin_nothing(tmp_path: Path) -> None:
    daw = Reaper(tmp_path)
    daw.start("|", "scorewire_accompany.lua")
    assert daw.boxes() == ["Select the items to go with, or their tracks."]
    band(daw, "Bass")
    daw.start(None, "scorewire_accompany.lua")
    assert len(daw.boxes()) == 1
    assert len(daw.world.deferred) == 0


@pytest.mark.parametrize("reading", [True, False])
def test_an_accompaniment_that_is_cancelled_leaves_nothing(tmp_path: Path, reading: bool) -> None:
    daw = Reaper(tmp_path)
    band(daw, "Bass", "Drums")
    daw.start("slow|", "scorewire_accompany.lua")
    if reading:
        daw.turns(2, until=lambda: len(list(tmp_path.rglob("given-2.wav"))))
        daw.world.keys = daw.lua.table_from([27])
        daw.turns(3)
        assert list((tmp_path / "media 🎹" / "Scorewire").iterdir()) == []
        return
    folder = daw.asked()
    working = threading.Thread(target=folder_requests.answer, args=(folder, settings(tmp_path)))
    working.start()
    daw.turns(20, until=lambda: daw.world.calls.defer > 10)
    daw.world.keys = daw.lua.table_from([27])
    daw.turns(3)
    working.join(timeout=120)
    assert not working.is_alive()
    assert not folder.exists()


# The exchange by files


NO_NAME = "Expecting property name enclosed in double quotes"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[]", "request.json must be one JSON object with a file"),
        ("{", f"request.json is not JSON text ({NO_NAME}: line 1 column 2 (char 1))"),
        ('{"file": "mix.wav", "prompts": [" "]}', "prompts.0 must not be blank, got ' '"),
        ('{"file": "mix.wav", "prompts": ["a"]}', "file {folder}/mix.wav does not exist"),
        ('{"file": "mix.wav", "prompts": ["a"], "sh": 1}', "sh is not known here"),
        ('{"file": "/x/my.wav"}', "file must be the name of one in the folder, got '/x/my.wav'"),
        ('{"file": "../my.wav"}', "file must be the name of one in the folder, got '../my.wav'"),
        ('{"file": 7}', "file must be the name of one in the folder, got 7"),
    ],
)
def test_a_wrong_request_is_one_sentence(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "request.json").write_text(text)
    folder_requests.answer(tmp_path, settings(tmp_path))
    line = (tmp_path / "status.txt").read_text(encoding="utf-8")
    assert line.startswith("failed\t")
    assert line.rstrip("\n").split("\t")[4] == reason.format(folder=tmp_path)


# Installing


def test_actions_are_installed_found_again_and_taken_away(tmp_path: Path) -> None:
    installer = INSTALLERS["reaper"]
    with pytest.raises(ValueError, match="is not there: start REAPER once, or name the folder"):
        installer.install(tmp_path / "none", force=False)
    placed = installer.install(tmp_path, force=False)
    folder = tmp_path / "Scripts" / "Scorewire"
    names = ("scorewire.lua", "scorewire_accompany.lua", "scorewire_import.lua")
    assert placed.files == tuple(folder / name for name in sorted(names))
    installer.install(tmp_path, force=False)  # the same again is no change
    (folder / "scorewire.lua").write_text("-- mine")
    for act in (installer.install, installer.uninstall):
        with pytest.raises(ValueError, match=r"has another scorewire\.lua; --force "):
            act(tmp_path, force=False)
    assert (folder / "scorewire.lua").read_text() == "-- mine"
    installer.install(tmp_path, force=True)
    (folder / "notes.txt").write_text("mine")
    assert len(installer.uninstall(tmp_path, force=False).files) == 7
    assert [file.name for file in folder.iterdir()] == ["notes.txt"]
    assert installer.uninstall(tmp_path, force=False).files == ()


@pytest.mark.parametrize(
    ("platform", "expected"),
    [
        ("linux", "config/REAPER"),
        ("darwin", "home/Library/Application Support/REAPER"),
        ("win32", "roaming/REAPER"),
    ],
)
def test_the_resource_folder_of_each_system(tmp_path, monkeypatch, platform, expected) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "home")
    monkeypatch.setitem(os.environ, "XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setitem(os.environ, "APPDATA", str(tmp_path / "roaming"))
    assert reaper.resources() == tmp_path / expected
