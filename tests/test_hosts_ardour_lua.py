"""The two actions for Ardour under real Lua 5.3, with a double of the calls that they make.

What Ardour itself makes of them is in test_hosts_ardour.py; here is what a user may run into.
"""

from pathlib import Path

import pytest
from lupa import lua53

from bridge.hosts import ardour_install

DOUBLE = """
local config, session = ...
said, told, sent, asked, muted, tracks = {}, {}, {}, {}, false, {}
LuaDialog = {
  MessageType = {}, ButtonType = {},
  Message = function (_, text) told[#told + 1] = text; return { run = function () end } end,
  Dialog = function (_, rows)
    asked[#asked + 1] = rows
    return { run = function () return answers end }
  end,
}
local function thing (id) return { to_stateful = function ()
  return { id = function () return { to_s = function () return id end } end } end } end
local function each (list) return { iter = function ()
  local at = 0
  return function () at = at + 1; return list[at] end
end } end
local file = { isnil = function () return false end, channel = function () return 0 end,
  path = function () return "/a/x.wav" end }
region = thing ("77")
function region:name () return "Take 1" end
function region:to_audioregion () return {
  isnil = function () return false end, n_channels = function () return 2 end } end
function region:source () return { to_filesource = function () return file end } end
for name, samples in pairs ({ position = 2^40, start = 5, length = 9 }) do
  region[name] = function () return { samples = function () return math.floor (samples) end } end
end
function region:isnil () return false end
function region:set_muted (yes) muted = yes end
selected = { region }
Editor = { get_selection = function () return {
  regions = { regionlist = function () return each (selected) end } } end }
function Editor:do_import (files, ...)
  local track = thing (tostring (#tracks))
  function track:set_name (name) self.name = name end
  function track:presentation_info_ptr () return {
    set_color = function (_, colour) self.colour = colour end } end
  function track:gain_control () return { set_value = function (_, gain) self.gain = gain end } end
  function track:to_track () return { playlist = function () return {
    region_list = function () return each ({}) end } end } end
  track.file, track.at = files[1], select (6, ...)
  if not refuses then tracks[#tracks + 1] = track end
end
Editing, PBD = {}, { GroupControlDisposition = {}, ID = function (id) return id end }
C = { StringVector = function () return { push_back = function (self, x) self[1] = x end } end }
Temporal = { timepos_t = function (samples) return samples end, TempoMap = { read = function ()
  return { quarters_per_minute_at = function () return 97.5 end } end } }
ArdourUI = { actionlist = function () return { ["script-5"] = {
  ["Scorewire: import stems"] = "LuaAction/script-5" } } end }
route = { name = function () return "Bass DI" end }
function route:to_track () return { playlist = function () return {
  region_list = function () return each ({ region }) end } end } end
Session = { path = function () return session end,
  nominal_sample_rate = function () return 48000 end,
  get_tracks = function () return each (listed or tracks) end }
ARDOUR = {
  user_config_directory = function () return config end,
  LuaAPI = { build_filename = function (...) return table.concat ({ ... }, "/") end,
    usleep = function () end },
  LuaOSC = { Address = function (url) return { send = function (_, ...)
    sent[#sent + 1] = { url, ... }
    if on_send then on_send (select (3, ...)) end
  end } end },
  RegionFactory = { region_by_id = function (id) return id == "77" and region end },
  SrcQuality = {}, MidiTrackNameSource = {}, MidiTempoMapDisposition = {},
  PluginInfo = function () end, Track = function () end,
}
function print (...) said[#said + 1] = table.concat ({ ... }, " ") end
"""


class Daw:
    """Ardour's Lua with our two actions, its folder of settings and a session's folder."""

    def __init__(self, folder: Path) -> None:
        self.config, self.session = folder / "config", folder / "song"
        self.config.mkdir()
        (self.session / "scorewire").mkdir(parents=True)
        self.lua = lua53.LuaRuntime(unpack_returned_tuples=True)
        self.lua.execute(DOUBLE, str(self.config), str(self.session))
        self.all = self.lua.globals()

    def settings(self, *lines: str) -> None:
        (self.config / "scorewire.conf").write_text("\n".join(lines) + "\n")

    def act(self, name: str) -> None:
        source = (ardour_install.SCRIPTS / f"scorewire_{name}.lua").read_text()
        self.lua.execute(f"local function ardour () end\n{source}\nreturn factory ()")()

    def listed(self, name: str) -> list:
        return [*self.all[name].values()]

    def answer(self, text: str) -> None:
        """A server that answers the first time it is asked."""

        def reply(req, *_):
            place = self.session / "scorewire" / req
            place.mkdir(exist_ok=True)
            (place / "answer").write_text(text)

        self.all["on_send"] = reply

    @property
    def pending(self) -> list[str]:
        return (self.session / "scorewire" / "pending").read_text().splitlines()


@pytest.fixture
def daw(tmp_path: Path) -> Daw:
    return Daw(tmp_path)


def test_the_selection_is_sent_whole_with_places_beyond_32_bits(daw):
    daw.settings(
        "port 9999", "dialog no", "mute no", "method fast", "prompt alto sax", "prompt sea"
    )
    daw.answer("accepted\tj1\n")
    daw.act("separate")
    (message,) = [[*m.values()] for m in daw.listed("sent")]
    url, path, types, req, *rest = message
    assert (url, path) == ("osc.udp://127.0.0.1:9999", "/scorewire/host/ardour/separate")
    assert types == "s" * (len(message) - 3)
    sources = "0\t/a/x.wav\n0\t/a/x.wav"
    place = [str(daw.session), "Take 1", str(2**40), "5", "9", "48000", "97.5", sources]
    assert rest[:10] == [*place, "alto sax", "sea"]
    assert sorted(rest[10:]) == ["action=LuaAction/script-5", "method=fast"]
    assert daw.pending == [f"{req}\t77\tkeep"]


def test_selected_regions_are_sent_with_the_names_of_their_tracks(daw):
    daw.all["listed"] = daw.lua.table(daw.all["route"])
    daw.all["answers"] = daw.lua.table(words=" slow blues ", add=" piano")
    daw.answer("accepted\tj1\n")
    daw.act("accompany")
    (message,) = [[*m.values()] for m in daw.listed("sent")]
    _, path, types, req, *rest = message
    assert path == "/scorewire/host/ardour/accompany"
    assert types == "s" * (len(message) - 3)
    region = f"Bass DI\t{2**40}\t5\t9\n0\t/a/x.wav\n0\t/a/x.wav"
    assert rest[:4] == [str(daw.session), "48000", "97.5", region]
    assert sorted(rest[4:]) == ["action=LuaAction/script-5", "add=piano", "prompt=slow blues"]
    assert daw.pending == [f"{req}\t77\tkeep"]
    daw.all["answers"] = None
    daw.act("accompany")
    assert len(daw.listed("sent")) == 1  # the dialog was left
    daw.all["selected"] = daw.lua.table()
    daw.act("accompany")
    assert daw.listed("told") == ["select the audio regions to go with first"]


def test_without_the_dialog_the_words_of_the_settings_count_and_a_refusal_is_told(daw):
    daw.all["listed"] = daw.lua.table(daw.all["route"])
    daw.settings("dialog no", "words jazz trio")
    daw.answer("refused\tthe name 'Bass' says none\n")
    daw.act("accompany")
    assert "prompt=jazz trio" in [*daw.listed("sent")[0].values()]
    assert daw.listed("said") == ["Scorewire: the name 'Bass' says none"]
    assert not (daw.session / "scorewire" / "pending").exists()


def test_the_token_is_sent_as_the_key_from_the_usual_place_or_the_one_named(
    daw, monkeypatch, tmp_path
):
    usual, named = tmp_path / "home" / "scorewire", tmp_path / "named"
    usual.mkdir(parents=True)
    (usual / "token").write_text("usual-token\n")
    named.write_text("named-token\n")
    monkeypatch.setenv("XDG_DATA_HOME", str(usual.parent))
    daw.answer("accepted\tj1\n")
    for line, word in (("mute no", "usual-token"), (f"token {named}", "named-token")):
        daw.settings("dialog no", "prompt sea", line)
        daw.act("separate")
        assert f"key={word}" in [*daw.listed("sent")[-1].values()]


def test_a_decimal_comma_of_the_system_is_sent_as_a_point(daw):
    daw.settings("dialog no", "prompt alto sax")
    daw.answer("accepted\tj1\n")
    daw.lua.execute("""local plain = tostring
        function tostring (x) return (plain (x):gsub ("^(%d+)%.(%d)", "%1,%2")) end""")
    daw.act("separate")
    ((*_, tempo, _sources, prompt, _action),) = [[*m.values()] for m in daw.listed("sent")]
    assert (tempo, prompt) == ("97.5", "alto sax")


def test_a_request_in_the_same_second_has_a_number_of_its_own(daw):
    daw.settings("dialog no", "prompt sea")
    daw.answer("accepted\tj1\n")
    daw.act("separate")
    daw.act("separate")
    assert len({line.split("\t")[0] for line in daw.pending}) == 2


def test_the_dialog_keeps_what_was_typed_for_the_next_time(daw):
    daw.all["answers"] = daw.lua.table(prompts=" alto sax ,, sea", mute=False)
    daw.answer("accepted\tj1\n")
    daw.act("separate")
    kept = (daw.config / "scorewire.conf").read_text().splitlines()
    assert kept == ["port 9557", "dialog yes", "mute no", "prompt alto sax", "prompt sea"]
    daw.all["answers"] = None  # cancelled
    daw.act("separate")
    assert daw.listed("asked")[1][2]["default"] == "alto sax, sea"
    assert len(daw.pending) == 1


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ("refused\tfile /a/x.wav does not exist\n", "Take 1: file /a/x.wav does not exist"),
        (
            None,
            'Take 1: nobody answers on port 9557: start "scorewire serve", '
            "or name its token's file in scorewire.conf",
        ),
    ],
)
def test_why_nothing_happens_is_told(daw, answer, told):
    daw.all["answers"] = daw.lua.table(prompts="sea", mute=True)
    if answer:
        daw.answer(answer)
    daw.act("separate")
    assert daw.listed("told") == [told]
    assert len(daw.listed("sent")) == (1 if answer else 5)
    assert not (daw.session / "scorewire" / "pending").exists()


def test_without_a_selection_or_words_the_user_is_told_so(daw):
    daw.all["answers"] = daw.lua.table(prompts=" , ", mute=True)
    daw.act("separate")
    daw.all["selected"] = daw.lua.table()
    daw.act("separate")
    first, second = daw.listed("told")
    assert first.startswith("say in a few words what the stems shall hold")
    assert second == "select the audio regions to separate first"


def test_an_action_that_fails_says_why_and_stays_in_its_slot(daw):
    daw.all["Session"]["path"] = None
    for name in ("separate", "import", "accompany"):
        daw.act(name)
    assert all("attempt to call a nil value" in text for text in daw.listed("told"))
    assert len(daw.listed("told")) == 3


def waiting(daw: Daw, req: int, text: str, after: str = "mute") -> Path:
    place = daw.session / "scorewire" / str(req)
    place.mkdir()
    (place / "import").write_text(text)
    with (daw.session / "scorewire" / "pending").open("a") as file:
        file.write(f"{req}\t77\t{after}\n")
    return place


STEMS = """start\t123
track\te69f00\t0.5\talto: sax\t/b/1 x.wav
track\t808080\t1.0\tresidual\t/b/r.wav
"""


def test_stems_become_named_coloured_tracks_and_the_region_is_muted(daw):
    place = waiting(daw, 1, STEMS)
    (waiting(daw, 2, "") / "import").unlink()  # not done yet
    daw.act("import")
    found = [(t.name, t.colour, t.gain, t.file, t.at) for t in daw.listed("tracks")]
    assert found == [
        ("alto: sax", 0xE69F00FF, 0.5, "/b/1 x.wav", 123),
        ("residual", 0x808080FF, 1.0, "/b/r.wav", 123),
    ]
    assert daw.all["muted"] is True
    assert daw.pending == ["2\t77\tmute"]
    assert (place / "imported").read_text() == STEMS
    daw.act("import")  # fired again: nothing comes twice
    assert len(daw.listed("tracks")) == 2
    assert daw.listed("told") == ["no stems are ready; 1 request(s) are waiting"]
    (place.parent / "2" / "progress").write_text("41 %, listening, 75 s left\n")
    daw.act("import")
    assert daw.listed("told")[-1].splitlines()[1:] == ["41 %, listening, 75 s left"]


def test_a_region_whose_stems_were_not_imported_is_not_muted(daw):
    daw.all["refuses"] = True
    place = waiting(daw, 1, STEMS)
    daw.act("import")
    assert daw.all["muted"] is False
    told = f"Ardour did not import alto: sax, residual; the files are in {place}"
    assert daw.listed("told") == [told]


def test_an_import_that_fails_does_not_wait_for_ever_and_others_come(daw):
    waiting(daw, 1, STEMS)
    waiting(daw, 2, STEMS)
    daw.lua.execute("""local plain = Editor.do_import
        function Editor.do_import (...) Editor.do_import = plain error ("no disk", 0) end""")
    daw.act("import")
    assert daw.listed("told") == ["no disk"]
    assert daw.pending == []
    assert [t.name for t in daw.listed("tracks")] == ["alto: sax", "residual"]


def test_why_a_job_failed_is_told_and_nothing_is_imported(daw):
    daw.settings("dialog no")
    waiting(daw, 1, "failed\tthe worker crashed\n")
    daw.act("import")
    assert daw.listed("said") == ["Scorewire: the worker crashed"]
    assert (daw.listed("tracks"), daw.all["muted"], daw.pending) == ([], False, [])
