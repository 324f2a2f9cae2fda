"""What stem files say of themselves, read back by an XML parser and by libsndfile's bext reader."""

import ctypes
import os
import subprocess
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from hypothesis import given
from hypothesis import strategies as st

from bench import ardour as real
from bridge.files import wav
from bridge.hosts import ardour_install
from bridge.stems.bwf_metadata import Origin, tags
from tests.peers import peer

ORIGIN = Origin(
    job="0123456789abcdef", source="Take 3.flac", source_sha256="f" * 64,
    prompts=("Alto säx", "kick & <snare>"), negatives=("hiss",), method="masks", steps=0, seed=7,
    model="default", model_hash="a" * 64, code="0.1.0",
    rate=48000, channels=2, start_samples=2**32 + 12,
)  # fmt: skip


def parsed(origin: Origin = ORIGIN, number: int = 1, name: str = "Alto säx") -> ET.Element:
    return ET.fromstring(tags(origin, number, name)[1])


def test_ixml_says_the_place_in_two_halves_of_64_bits() -> None:
    speed = {tag.tag: tag.text for tag in parsed().find("SPEED")}
    assert speed == {
        "FILE_SAMPLE_RATE": "48000",
        "AUDIO_BIT_DEPTH": "32",
        "DIGITIZER_SAMPLE_RATE": "48000",
        "TIMESTAMP_SAMPLES_SINCE_MIDNIGHT_HI": "1",
        "TIMESTAMP_SAMPLES_SINCE_MIDNIGHT_LO": "12",
        "TIMESTAMP_SAMPLE_RATE": "48000",
    }


@pytest.mark.parametrize(
    ("channels", "names"), [(1, ["x"]), (2, ["x L", "x R"]), (3, ["x 1", "x 2", "x 3"])]
)
def test_ixml_names_every_channel(channels: int, names: list[str]) -> None:
    listed = parsed(replace(ORIGIN, channels=channels), name="x").find("TRACK_LIST")
    assert listed.findtext("TRACK_COUNT") == str(channels)
    assert [track.findtext("NAME") for track in listed.findall("TRACK")] == names
    places = [track.findtext("INTERLEAVE_INDEX") for track in listed.findall("TRACK")]
    assert places == [str(n) for n in range(1, channels + 1)]


def test_all_that_making_it_again_takes_is_in_our_block() -> None:
    ours = parsed(number=2, name="kick & <snare>").find("SCOREWIRE")
    assert ours.findtext("PROMPT") == "kick & <snare>"
    assert [tag.text for tag in ours.findall("PROMPTS")] == list(ORIGIN.prompts)
    assert [tag.text for tag in ours.findall("NEGATIVES")] == ["hiss"]
    said = {tag: ours.findtext(tag) for tag in ("NUMBER", "SEED", "STEPS", "METHOD", "MODEL_HASH")}
    assert said == {
        "NUMBER": "2", "SEED": "7", "STEPS": "0", "METHOD": "masks", "MODEL_HASH": "a" * 64,
    }  # fmt: skip
    assert ours.findtext("SOURCE_SHA256") == "f" * 64


@given(st.text(max_size=300))
def test_no_prompt_breaks_the_xml_or_the_description(name: str) -> None:
    bext, _ = tags(ORIGIN, 1, name)
    again = parsed(name=name).find("NOTE").text or ""
    assert len(again.replace("\r\n", "\n")) == len(name.replace("\r\n", "\n"))
    assert len(bext.description) <= 256
    assert bext.description.endswith("; seed 7; method masks; model default aaaaaaaaaaaa")


class Broadcast(ctypes.Structure):
    """SF_BROADCAST_INFO of sndfile.h."""

    _fields_ = [
        ("description", ctypes.c_char * 256), ("originator", ctypes.c_char * 32),
        ("reference", ctypes.c_char * 32), ("date", ctypes.c_char * 10),
        ("time", ctypes.c_char * 8), ("low", ctypes.c_uint32), ("high", ctypes.c_uint32),
        ("version", ctypes.c_short), ("umid", ctypes.c_char * 64),
        ("loudness", ctypes.c_int16 * 5), ("reserved", ctypes.c_char * 180),
        ("history_size", ctypes.c_uint32), ("history", ctypes.c_char * 256),
    ]  # fmt: skip


GET_BROADCAST_INFO = 0x10F0

ARDOUR = """
AudioEngine:set_backend("None (Dummy)", "", "")
create_session("{folder}/session", "session", 48000)
for channel in ARDOUR.Readable.load(Session, "{folder}/a.wav"):iter() do
  local count = channel:readable_length()
  local memory = ARDOUR.DSP.DspShm(count)
  channel:read(memory:to_float(0), 0, count, 0)
  local heard = memory:to_float(0):array()
  for frame = 1, count do print(string.format("sample %.9g", heard[frame])) end
end
close_session()
quit()
"""


def put(path: Path, audio: np.ndarray) -> str:
    """A file with our chunks; its iXML."""
    frames, channels = audio.shape
    bext, ixml = tags(ORIGIN, 1, "Alto sax")
    blocks = [audio.astype("<f4").tobytes()]
    wav.write(path, blocks, rate=48000, channels=channels, frames=frames, bext=bext, ixml=ixml)
    return ixml


@pytest.mark.parametrize("limit", [2**32 - 2, 2000])
def test_ardour_reads_the_same_samples_from_riff_and_rf64(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    peer("ardour")
    monkeypatch.setattr(wav, "MAX_RIFF", limit)
    audio = np.random.default_rng(0).standard_normal((1000, 2)).astype("<f4")
    put(tmp_path / "a.wav", audio)
    (tmp_path / "read.lua").write_text(ARDOUR.format(folder=tmp_path))
    run = subprocess.run(
        ["ardour7-lua", str(tmp_path / "read.lua")],
        capture_output=True, text=True, check=False, timeout=250,
        env={**os.environ, "HOME": str(tmp_path)},
    )  # fmt: skip
    said = [line.split()[1] for line in run.stdout.splitlines() if line.startswith("sample ")]
    heard = np.array(said, "<f4").reshape(2, -1).T  # nine digits tell every float32
    np.testing.assert_array_equal(heard, audio)


@pytest.mark.parametrize("limit", [2**32 - 2, 2000])
def test_libsndfile_reads_our_bext_in_riff_and_rf64(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    monkeypatch.setattr(wav, "MAX_RIFF", limit)
    ixml = put(tmp_path / "a.wav", np.zeros((1000, 2)))
    info = Broadcast()
    with sf.SoundFile(tmp_path / "a.wav") as sound:
        pointer = sf._ffi.cast("void *", ctypes.addressof(info))
        assert sf._snd.sf_command(
            sound._file, GET_BROADCAST_INFO, pointer, ctypes.sizeof(info)
        ) == 1  # fmt: skip
    assert info.high << 32 | info.low == 2**32 + 12
    assert info.originator == b"Scorewire"
    assert info.reference == b"01234567/01"
    assert info.description == b"Alto sax; seed 7; method masks; model default aaaaaaaaaaaa"
    assert info.history == (
        b"A=PCM,F=48000,W=32,M=stereo,T=Scorewire 0.1.0;"
        b"seed 7; method masks; model default aaaaaaaaaaaa\r\n"
    )
    assert wav.read_header(tmp_path / "a.wav").ixml == ixml


IMPORT = """
ardour {{ ["type"] = "EditorAction", name = "import" }}
function factory () return function ()
  local files = C.StringVector ()
  files:push_back ("{file}")
  Editor:do_import (files, Editing.ImportDistinctFiles, Editing.ImportAsTrack,
    ARDOUR.SrcQuality.SrcBest, ARDOUR.MidiTrackNameSource.SMFTrackName,
    ARDOUR.MidiTempoMapDisposition.SMFTempoIgnore, Temporal.timepos_t (0),
    ARDOUR.PluginInfo (), ARDOUR.Track (), false)
end end
"""


def test_ardour_moves_a_stem_to_its_original_position(tmp_path: Path) -> None:
    """Imported at 0, "move to original position" puts it where bext says; no manifest is read."""
    peer("ardour", "xvfb")
    file, home = tmp_path / "stem.wav", tmp_path / "home"
    start = 123_456
    with wav.Writer(
        file, rate=48000, channels=2, frames=48000, bext=wav.Bext(start), ixml=""
    ) as out:
        out.write(bytes(48000 * 8))
    actions = {
        1: ardour_install.script_of(1, IMPORT.format(file=file)),
        real.READY_SLOT: ardour_install.script_of(
            real.READY_SLOT, real.READY.format(file=home / "ready")
        ),
    }
    text = ardour_install.write_slots(ardour_install.EMPTY, actions)
    (real.home(home) / ardour_install.UI_SCRIPTS).write_text(text)
    session = real.new_session(tmp_path / "song", home, tracks=("other",))
    tick = 282_240_000 // 48000

    def placed(daw: real.Ardour, name: str, wanted: int) -> bool:
        daw.save()
        regions = ET.parse(session).findall("Playlists/Playlist/Region")
        return [r.get("length") for r in regions if r.get("name") == name] == [
            f"a{48000 * tick}@a{wanted * tick}"
        ]

    with real.Ardour(session, home) as daw:
        daw.ready(regions=0)
        daw.act("LuaAction/script-1")
        real.until(lambda: placed(daw, "stem", 0), "the stem is imported")
        daw.ready(regions=1)
        daw.act("Region/naturalize-region")
        real.until(lambda: placed(daw, "stem", start), "the stem is where it was")
        daw.act("Common/Quit")
        daw.child.wait(timeout=real.PATIENCE)
    sources = ET.parse(session).findall("Sources/Source")
    assert {source.get("natural-position") for source in sources} == {f"a{start * tick}"}
