"""Ableton Live: our Remote Script in a double of Live, and AbletonOSC's datagrams to another.

Live itself was not run: it exists for neither this system nor without a screen.
"""

import socket
import sys
from pathlib import Path

import pytest

from bridge.hosts import HOSTS, INSTALLERS, HostCannot, ableton
from bridge.hosts.ableton import Ableton
from bridge.hosts.layout import layout
from tests.live_double import AbletonOSC, Live, OldTrack, Song
from tests.test_hosts_dawproject import RATE, stem_set


def free_port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@pytest.fixture
def live(tmp_path, monkeypatch):
    """Our script, installed into a User Library, in a Live with this set: (host, song, surface)."""
    started = []
    monkeypatch.setattr(ableton, "_exchange", lambda: tmp_path / "exchange")
    (tmp_path / "User Library").mkdir()
    placed = INSTALLERS["ableton"].install(tmp_path / "User Library", force=False)

    def start(song):
        started.append(Live(placed.files[0], song))
        return Ableton(folder=tmp_path / "exchange", longest=30, patience=30), started[-1].surface

    yield start
    for one in started:
        one.close()


@pytest.fixture
def osc():
    started = []

    def start(song, **told):
        started.append(AbletonOSC(song, free_port(), **told))
        return started[-1]

    yield start
    for one in started:
        one.close()


def by_osc(tmp_path, double, *, longest=30.0):
    """A host whose exchange folder nobody watches."""
    ports = (double.port, double._back[1])
    return Ableton(folder=tmp_path / "nobody", ports=ports, patience=1.0, longest=longest)


def clips(song):
    return [(t.name, t.color, c.file_path, c.start_time, c.warping)
            for t in song.tracks for c in t.arrangement_clips]  # fmt: skip


def test_stems_come_unwarped_onto_tracks_of_their_own_in_one_undo_step(tmp_path, live):
    song = Song(tempo=90.0)
    host, _ = live(song)
    manifest = stem_set(tmp_path / "stems 🎷", start=2 * RATE)
    placed = host.place_audio(manifest, tmp_path)
    folder = manifest.parent
    assert [clip[:2] for clip in clips(song)] == [
        (track.name, int(track.colour.removeprefix("#"), 16)) for track in layout(manifest).tracks
    ]
    # no tempo in the manifest: 2 s are 3 beats of this set
    where = [(str(folder / name), 3.0, False) for name in ("a.wav", "b.wav", "r.wav")]
    assert [tuple(clip) for _, _, *clip in clips(song)] == where
    assert (song.steps, song.undo) == (1, 0)
    assert "3 tracks at beat 3; mute the track they came from; set Håkan" in placed.text
    assert "to -6.0 dB" in placed.text
    assert [p.name for p in (tmp_path / "exchange").iterdir()] == []


def test_the_tempo_map_of_the_session_places_them(tmp_path, live):
    song = Song(tempo=90.0)
    host, _ = live(song)
    manifest = stem_set(tmp_path / "s", start=3 * RATE, tempo=((0, 120), (4, 60)))
    host.place_audio(manifest, tmp_path)
    assert {clip[3] for clip in clips(song)} == {5.0}  # 2 s at 120, 1 s at 60


@pytest.mark.parametrize(("kind", "imports", "why"), [
    (OldTrack, 9, "cannot make audio clips: 12.0.5 or newer"),
    (None, 1, "the track is frozen"),
])  # fmt: skip
def test_what_live_refuses_leaves_no_track(tmp_path, live, kind, imports, why):
    song = Song(**({"kind": kind} if kind else {}))
    song.imports = imports
    host, _ = live(song)
    with pytest.raises(ValueError, match=f"Live could not: .*{why}"):
        host.place_audio(stem_set(tmp_path / "s"), tmp_path)
    assert len(song.tracks) == 1
    assert (song.steps, song.undo) == (1, 0)


def test_a_message_is_shown_and_the_rest_refused(tmp_path, live):
    host, surface = live(Song())
    host.notify("stems are ready")
    assert surface.shown[-1] == "stems are ready"
    with pytest.raises(HostCannot, match="drag it onto the track"):
        host.load_preset(tmp_path / "a.json", "Bass")
    with pytest.raises(HostCannot, match="MIDI"):
        host.set_param("Bass", "cutoff", 0.5)


def test_without_the_script_ableton_osc_does_it(tmp_path, osc):
    song = Song(tempo=120.0)
    double = osc(song, clips=True)
    placed = by_osc(tmp_path, double).place_audio(stem_set(tmp_path / "s", start=RATE), tmp_path)
    assert [c[0] for c in clips(song)][-1] == "residual"
    assert {c[3] for c in clips(song)} == {2.0}
    assert "switch Warp off" in placed.text
    assert list((tmp_path / "nobody").iterdir()) == []  # the request was taken back


@pytest.mark.parametrize("complains", [True, False])
def test_an_ableton_osc_that_makes_no_clips_is_left_as_it_was(tmp_path, osc, complains):
    song = Song()
    double = osc(song, clips=False, complains=complains)
    with pytest.raises(ValueError, match=r"makes no audio clips.*scorewire install ableton"):
        by_osc(tmp_path, double, longest=0.3).place_audio(stem_set(tmp_path / "s"), tmp_path)
    assert len(song.tracks) == 1


def test_a_live_that_does_not_run_is_said(tmp_path):
    host = Ableton(folder=tmp_path / "x", ports=(free_port(), free_port()), patience=0.1)
    with pytest.raises(ValueError, match=r"did not answer.*drag the files of .*onto tracks"):
        host.place_audio(stem_set(tmp_path / "s"), tmp_path)
    with pytest.raises(HostCannot, match="shows no message"):
        host.notify("hello")


def test_a_port_in_use_is_said(tmp_path, osc):
    double = osc(Song(), clips=True)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(double._back)
        with pytest.raises(ValueError, match=f"port {double._back[1]}.*is in use"):
            by_osc(tmp_path, double).place_audio(stem_set(tmp_path / "s"), tmp_path)


def test_the_script_goes_into_the_user_library_and_out_again(tmp_path, monkeypatch):
    monkeypatch.setattr(ableton, "_exchange", lambda: tmp_path / "exchange")
    installer = INSTALLERS["ableton"]
    with pytest.raises(ValueError, match=r"User Library .* is not there"):
        installer.install(tmp_path / "nowhere", force=False)
    placed = installer.install(tmp_path, force=False)
    home = tmp_path / "Remote Scripts" / "Scorewire"
    assert placed.files == (home / "__init__.py", home / "folder.txt")
    assert (home / "folder.txt").read_text() == f"{tmp_path / 'exchange'}\n"
    assert installer.install(tmp_path, force=False) == placed
    (home / "__init__.py").write_text("mine")
    with pytest.raises(ValueError, match=r"another __init__\.py; --force writes it anew"):
        installer.install(tmp_path, force=False)
    installer.uninstall(tmp_path, force=True)
    assert not home.exists()


@pytest.mark.parametrize(("system", "where"), [
    ("darwin", ("Music", "Ableton", "User Library")),
    ("win32", ("Documents", "Ableton", "User Library")),
])  # fmt: skip
def test_the_usual_user_library_is_lives(monkeypatch, tmp_path, system, where):
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    assert ableton.library() == tmp_path.joinpath(*where)


def test_live_is_one_of_the_hosts():
    assert HOSTS["ableton"].name == "ableton"
