"""A real host plays us: Ardour's MIDI track chooses a slot, plays it, records what comes back."""

import os
import queue
import time
from contextlib import closing, suppress

import mido
import numpy as np
import pytest
import soundfile

from bench import ardour as real
from bench import stage
from bridge.hosts import ardour_install
from presets import Note, Preset, save
from tests.peers import peer

NOTES = (69, 76, 64)  # each half a second, half a second apart
SLOT = 6
ATTEMPTS = 4
SERVER = f"scorewire-ardour-{os.getpid()}"  # of this run alone
IMPORT = """
ardour {{ ["type"] = "EditorAction", name = "import" }}
function factory () return function ()
  local files = C.StringVector()
  files:push_back("{midi}")
  Editor:do_import(files, Editing.ImportDistinctFiles, Editing.ImportAsTrack,
    ARDOUR.SrcQuality.SrcBest, ARDOUR.MidiTrackNameSource.SMFTrackName,
    ARDOUR.MidiTempoMapDisposition.SMFTempoIgnore, Temporal.timepos_t(0),
    ARDOUR.PluginInfo(), ARDOUR.Track(), false)
end end
"""


def midi_file(path):
    """Bank 0, the program of our slot, then the notes, at 120 beats a minute."""
    track = mido.MidiTrack()
    track.append(mido.MetaMessage("track_name", name="trig"))
    track.append(mido.Message("control_change", control=0, value=0))
    track.append(mido.Message("control_change", control=32, value=0))
    track.append(mido.Message("program_change", program=SLOT - 1))
    for note in NOTES:
        track.append(mido.Message("note_on", note=note, velocity=100, time=480))
        track.append(mido.Message("note_off", note=note, velocity=64, time=480))
    file = mido.MidiFile(ticks_per_beat=480)
    file.tracks.append(track)
    file.save(path)


def joined():
    """A client of the JACK server, None as long as it is not up."""
    import jack

    try:
        return jack.Client("wires", no_start_server=True)
    except jack.JackOpenError:
        return None


@pytest.fixture
def daw(tmp_path, monkeypatch):
    """Ardour with a session of one track, on a JACK server of ours; our import is its action 1."""
    peer("ardour", "xvfb", "jackd")
    monkeypatch.setenv("JACK_DEFAULT_SERVER", SERVER)
    config = real.home(tmp_path / "home", backend="JACK")
    midi_file(tmp_path / "trig.mid")
    actions = config / ardour_install.UI_SCRIPTS
    slots = ardour_install.read_slots(actions.read_text())
    slots[1] = ardour_install.script_of(1, IMPORT.format(midi=tmp_path / "trig.mid"))
    actions.write_text(ardour_install.write_slots(actions.read_text(), slots))
    file = real.new_session(tmp_path / "live", tmp_path / "home", tracks=["return"])
    server = stage.Server(256, name=SERVER)
    try:
        client = real.until(joined, "JACK lets us in")
        with closing(client), real.Ardour(file, tmp_path / "home") as running:
            yield running, client
    finally:
        server.stop()


def imported(running, client):
    """The port of the imported track; an action is lost while Ardour draws: it is asked again."""
    for _ in range(ATTEMPTS):
        running.act("LuaAction/script-1")
        with suppress(TimeoutError):
            return real.until(
                lambda: client.get_ports("ardour:trig.*midi_out.*"), "MIDI is imported", 20.0
            )[0]
    raise TimeoutError("Ardour imported no MIDI")


def recorded(running, player, folder):
    """Let Ardour play from the start and record; the player's program change and the file.

    A transport under way ignores what it is told, and Ardour says so to nobody: it is told again
    until there is a take (arming is a toggle: every second attempt may have disarmed it).
    """
    for _ in range(ATTEMPTS):
        for address, arguments in (
            ("/transport_stop", []), ("/locate", [0, 0]), ("/strip/recenable", [1, 1]),
            ("/rec_enable_toggle", []), ("/transport_play", []),
        ):  # fmt: skip
            running.send(address, *arguments)
            time.sleep(0.5)
        with suppress(queue.Empty):
            program = player.wait("program", seconds=15.0)
            time.sleep(6.0)  # the notes last three
            running.send("/transport_stop")
            running.save()
            if takes := sorted(folder.glob("*/audiofiles/Take*%L.wav")):
                return program, takes[-1]
    raise TimeoutError("Ardour recorded no take")


def test_ardour_chooses_a_slot_plays_it_and_records_us(daw, tmp_path):
    running, client = daw
    real.until(lambda: client.get_ports("ardour:return/audio_in 1"), "its track has ports")
    running.ready()
    notes = imported(running, client)
    values = {"op1_ratio": 1.0, "op1_attack": 0.001, "op1_decay": 10.0, "op1_mix": 0.5}
    values |= {"op1_from_op1": 0.0, "level": 0.5}
    save(Preset(name="sine", renderer="fm", renderer_version=1, values=values), tmp_path / "s.json")
    with closing(stage.Process("--output", "jack", "--no-connect")) as player:
        player.wait("ready")
        assert player.ask(kind="load", slot=SLOT, preset=str(tmp_path / "s.json")).kind == "ok"
        client.connect(notes, "scorewire:midi_in")
        for port in (1, 2):
            client.connect(f"scorewire:out_{port}", f"ardour:return/audio_in {port}")
        running.send("/set_surface", 0, 1, 0, 0, 0, 0)  # strips are audio tracks: ours is the first
        program, take = recorded(running, player, tmp_path / "live" / "interchange")
        late = player.ask(kind="status").xruns
    assert program.slot == SLOT
    starts, pitches = heard(*soundfile.read(take))
    right = len(starts) == len(NOTES) and np.allclose(np.diff(starts), 1.0, atol=0.1)
    if late and not right:
        pytest.skip(f"this machine is too busy for blocks in time: {late} were late")
    assert np.diff(starts) == pytest.approx([1.0, 1.0], abs=0.1)
    assert pitches == pytest.approx([Note(n).hz for n in NOTES], rel=0.005)


def heard(audio, rate):
    """When each note begins, in seconds, and its pitch in Hz."""
    loud = np.nonzero(np.abs(audio) > 1e-3)[0]
    starts = [loud[0], *loud[1:][np.diff(loud) > 0.2 * rate]]
    pitches = []
    for start in starts:
        piece = audio[start + rate // 10 : start + rate // 3]
        spectrum = np.abs(np.fft.rfft(piece * np.hanning(piece.size), 1 << 17))
        pitches.append(np.argmax(spectrum) * rate / (1 << 17))
    return np.array(starts) / rate, pitches
