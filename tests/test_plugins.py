"""VST3 plugins: found by name, heard in a child, kept in a preset; what breaks, breaks alone.

The plugins are real ones (`tests/vst3/build.py`): MaGigaverb, a stereo reverb; Kars, a mono string;
Trouble, a mono effect with 64 samples of latency that goes wrong on request.
"""

import base64
import importlib.util
import io
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from bridge.protocol import worker_loop
from bridge.protocol.events import Done, Failed
from bridge.protocol.patch_jobs import RenderPreset
from bridge.worker.render import render_preset
from presets import Effect, Note, Preset, load, save, vst3
from presets.preset import MAX_STATE, Plugin
from renderers import RENDERERS, effects, plugins, random_patches, to_values
from tests.children import until
from tests.peers import lacking, peer

ROOT = Path(__file__).parents[1]
RATE = 48000
PASS, CRASH, HANG, LEAVE, NOT_A_NUMBER = range(5)  # Trouble's modes


def builder():
    spec = importlib.util.spec_from_file_location("build_vst3", ROOT / "tests/vst3/build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def _built():
    build = builder()
    peer("compiler")
    try:
        return build.vst3_folder()
    except build.Unavailable as error:
        lacking(str(error))


@pytest.fixture
def folder(_built, monkeypatch):
    """The folder of the built plugins, which is a plugin folder now."""
    monkeypatch.setenv("VST3_PATH", str(_built))
    return _built


@pytest.fixture
def reverb(folder):
    return plugins.Hosted(folder / "MaGigaverb.vst3")


@pytest.fixture
def trouble(folder):
    return plugins.Hosted(folder / "Trouble.vst3")


def impulse(seconds=1.0, channels=1):
    audio = np.zeros((channels, round(seconds * RATE)), np.float32)
    audio[:, 0] = 1.0
    return audio


def noise(seconds=0.1, channels=1):
    shape = (channels, round(seconds * RATE))
    return 0.1 * np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def preset(*chain, seconds=0.25):
    u = random_patches(RENDERERS["fm"], 1, generator=torch.Generator().manual_seed(3))[0]
    return Preset(
        name="test",
        renderer="fm",
        renderer_version=RENDERERS["fm"].version,
        values=to_values(RENDERERS["fm"], u),
        seconds=seconds,
        effects=chain,
    )


def effect(file, *, mode=None, instrument=False, state=b""):
    text = base64.b64encode(state).decode()
    values = {} if mode is None else {"mode": mode}
    plugin = Plugin(file=file, instrument=instrument, state=text)
    return Effect(kind="VST3", values=values, plugin=plugin)


def gain(db):
    return Effect(kind="Gain", values={"gain_db": db})


CLIP = Effect(kind="Clipping", values={"threshold_db": -20.0})


# The file format


def test_a_preset_without_plugins_is_written_as_before_there_were_any(tmp_path):
    golden = ROOT / "tests" / "golden" / "preset_v1.json"
    save(load(golden), tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == golden.read_bytes()


def test_a_plugin_in_a_preset_survives_the_file(tmp_path):
    before = preset(gain(1.0), effect("A plugin.vst3", mode=1.0, state=b"VST3" + bytes(99)))
    save(before, tmp_path / "a.json")
    assert load(tmp_path / "a.json") == before


@pytest.mark.parametrize("file", ["/opt/a.vst3", "..\\a.vst3", "a/b.vst3", "C:a.vst3", "a.so", ""])
def test_a_preset_cannot_name_a_path(file):
    with pytest.raises(ValueError, match="should match pattern"):
        Plugin(file=file)


@pytest.mark.parametrize(
    ("state", "says"),
    [
        ("@", "must be base64 text"),
        ("SGVsbG8=", "must begin as a .vstpreset does, got b'Hell'"),
        ("A" * (2 * MAX_STATE), "at most 4 MiB"),
    ],
)
def test_a_state_that_is_none_is_refused(state, says):
    with pytest.raises(ValueError, match=says):
        Plugin(file="a.vst3", state=state)


def test_kind_and_plugin_agree():
    for fields in ({"kind": "VST3"}, {"kind": "Gain", "plugin": Plugin(file="a.vst3")}):
        with pytest.raises(ValueError, match="'VST3' names its plugin, and no other kind has one"):
            Effect(**fields)


# Finding


def test_plugins_are_listed_and_not_looked_into(tmp_path):
    (tmp_path / "maker" / "B.vst3" / "Contents" / "Inner.vst3").mkdir(parents=True)
    (tmp_path / "A.VST3").write_text("")
    for name in ("notes.txt", ".vst3"):
        (tmp_path / name).write_text("")
    expected = [tmp_path / "A.VST3", tmp_path / "maker" / "B.vst3"]
    assert list(vst3.installed([tmp_path, tmp_path / "none"])) == expected


def test_what_a_person_means_by_a_plugin(tmp_path, monkeypatch):
    (tmp_path / "own" / "A.vst3").mkdir(parents=True)
    monkeypatch.setenv("VST3_PATH", str(tmp_path / "own"))
    assert vst3.folders()[0] == tmp_path / "own"
    assert vst3.locate("A.vst3") == tmp_path / "own" / "A.vst3"
    assert vst3.locate(tmp_path / "own" / "A.vst3") == tmp_path / "own" / "A.vst3"
    for plugin, says in (
        ("a.so", "must end in .vst3, got 'a.so'"),
        ("B.vst3", f"B.vst3 is not installed: it is in none of {tmp_path / 'own'}, "),
        (tmp_path / "B.vst3", "B.vst3 does not exist"),
    ):
        with pytest.raises(ValueError, match=says):
            vst3.locate(plugin)


def test_a_preset_whose_plugin_is_not_here_says_so():
    with pytest.raises(ValueError, match=r"plugin Nowhere\.vst3 is not installed"):
        effects.render(preset(effect("Nowhere.vst3")))


# Sound


def test_a_plugin_says_what_it_is(trouble):
    about = plugins.about(trouble)
    assert (about.title, about.maker, about.version) == ("Trouble", "Scorewire", "1.2.3")
    assert not about.instrument
    assert about.parameters["mode"] == "pass"
    assert about.state.startswith(b"VST3\x01\x00\x00\x00")


def test_latency_is_taken_out(trouble):
    dry = noise()
    np.testing.assert_array_equal(plugins.process(trouble, dry, rate=RATE), dry)


def test_a_mono_plugin_takes_stereo_side_by_side(trouble):
    dry = noise(channels=2)
    np.testing.assert_array_equal(plugins.process(trouble, dry, rate=RATE), dry)


def test_a_stereo_plugin_makes_mono_stereo(reverb):
    dry = impulse()
    wet = plugins.process(reverb, dry, rate=RATE)
    assert wet.shape == (2, RATE)
    np.testing.assert_array_equal(wet, plugins.process(reverb, np.repeat(dry, 2, 0), rate=RATE))
    assert np.abs(wet[0] - wet[1]).max() > 1e-3


DAWDREAMER = """
import dawdreamer, numpy, sys
engine = dawdreamer.RenderEngine(48000, 512)
dry = engine.make_playback_processor("dry", numpy.load("dry.npy"))
wet = engine.make_plugin_processor("wet", sys.argv[1])
engine.load_graph([(dry, []), (wet, ["dry"])])
engine.render(1.0)
numpy.save("wet.npy", engine.get_audio()[:, :48000])
"""
PEDALBOARD = """
import numpy, pedalboard, sys
plugin = pedalboard.load_plugin(sys.argv[1])
numpy.save("wet.npy", plugin(numpy.load("dry.npy"), 48000))
"""


@pytest.mark.parametrize(
    ("host", "program", "error"),
    [
        ("pedalboard", PEDALBOARD, 0.0),  # ours warms the plugin up; it leaves no trace
        ("dawdreamer", DAWDREAMER, 5e-4),  # 2e-4 measured; where it comes from was not traced
    ],
)
def test_other_hosts_hear_the_same(reverb, tmp_path, host, program, error):
    peer(host)
    dry = noise(1.0, channels=2)
    np.save(tmp_path / "dry.npy", dry)
    command = [sys.executable, "-c", program, str(reverb.path)]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    expected = np.load(tmp_path / "wet.npy")
    off = plugins.process(reverb, dry, rate=RATE) - expected
    assert np.sqrt(np.mean(off**2) / np.mean(expected**2)) <= error


def test_a_value_is_in_the_plugins_own_unit(reverb):
    """A reverberation time of 2 s: the energy that is left falls by 60 dB in 2 s (Schroeder)."""
    values = {"revtime": 2.0, "dry": 0.0, "early": 0.0, "tail": 1.0, "damping": 0.0}
    wet = plugins.process(replace(reverb, values=values), impulse(4.0), rate=RATE)[0]
    left = np.cumsum(wet[::-1].astype(np.float64) ** 2)[::-1]
    level = 10 * np.log10(left / left[0] + 1e-30)
    seconds = 3 * (np.argmax(level < -25) - np.argmax(level < -5)) / RATE
    assert seconds == pytest.approx(2.0, rel=0.05)


def test_effects_of_both_kinds_keep_their_order(folder):
    through = effect("Trouble.vst3")  # what goes in comes out
    for chain in ((gain(40.0), CLIP), (CLIP, gain(40.0))):
        expected = effects.render(preset(*chain))
        heard = effects.render(preset(chain[0], through, chain[1]))
        np.testing.assert_array_equal(heard, expected)
        np.testing.assert_array_equal(effects.render(preset(through, *chain)), expected)


@pytest.mark.parametrize("number", [57, 64])
def test_an_instrument_plays_the_note(folder, number):
    kars = plugins.Hosted(folder / "Kars.vst3")
    audio = plugins.play(kars, Note(number, 110), samples=RATE, rate=RATE)
    assert audio.shape == (1, RATE)
    assert audio[0, 0] != 0  # from the first sample on
    x = audio[0, 2400:14400].astype(np.float64)
    alike = np.correlate(x, x[:6000], "valid")
    period = 60 + int(alike[60:400].argmax())
    assert RATE / period == pytest.approx(Note(number).hz, rel=0.01)
    level = np.abs(audio[0]).reshape(8, -1).max(axis=1)
    assert level[5] > 0.01  # held for three quarters; it plucks with noise, so no two are equal
    assert level[7] == 0


def test_thousands_of_parameters_load_at_once(folder):
    """pedalboard asks Kars' 2083 parameters for 1001 texts each, in 10 to 20 s; we do not."""
    resource = pytest.importorskip("resource", reason="only POSIX counts a child's seconds")
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    about = plugins.about(plugins.Hosted(folder / "Kars.vst3", values={"volume": 50.0}))
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before < 3
    assert about.instrument
    assert about.parameters == {"sustain": "0.000000", "release_s": "0.010000",
                                "volume": "50.000000"}  # fmt: skip


# `render --plugin`


def test_an_effect_goes_behind_the_chain(folder):
    before = preset(CLIP)
    expected = effects.render(preset(CLIP, effect("MaGigaverb.vst3")))
    for named in ("MaGigaverb.vst3", folder / "MaGigaverb.vst3"):
        np.testing.assert_array_equal(effects.render(before, plugin=named), expected)


def test_an_instrument_plays_in_place_of_the_renderer(folder, tmp_path):
    effects.render_file(preset(CLIP, seconds=0.5), tmp_path / "a.wav", plugin="Kars.vst3")
    heard = effects.render(preset(CLIP, seconds=0.5), plugin="Kars.vst3")
    assert np.abs(heard).max() == pytest.approx(0.1, rel=1e-3)  # through the preset's chain
    assert heard[0, -4000:].any() == 0  # the key is up, while the FM voice would sound on
    assert (tmp_path / "a.wav").stat().st_size > 4 * heard.size


def test_an_instrument_stands_first_and_alone(folder):
    kars = effect("Kars.vst3", instrument=True)
    for chain, plugin in (((CLIP, kars), None), ((kars,), "Kars.vst3")):
        with pytest.raises(ValueError, match="must be first in the chain, and the only one"):
            effects.render(preset(*chain), plugin=plugin)


# State


def test_a_tweaked_plugin_is_kept_in_the_preset(folder, tmp_path):
    dull = plugins.keep(preset(CLIP), "MaGigaverb.vst3", values={"revtime": 1.5})
    bright = plugins.keep(dull, "MaGigaverb.vst3", values={"damping": 0.0})
    save(bright, tmp_path / "a.json")
    clip, kept = load(tmp_path / "a.json").effects
    assert clip == CLIP
    assert kept.values == {"revtime": 1.5, "damping": 0.0}
    assert kept.plugin.file == "MaGigaverb.vst3"  # no path: another machine has another

    values = dict(kept.values)
    path = folder / "MaGigaverb.vst3"
    dry = effects.render(preset(CLIP))
    expected = plugins.process(plugins.Hosted(path, values=values), dry, rate=44100)
    np.testing.assert_array_equal(effects.render(load(tmp_path / "a.json")), expected)
    alone = kept.model_copy(update={"values": {}})  # the state holds it all
    np.testing.assert_array_equal(effects.render(preset(CLIP, alone)), expected)
    assert np.abs(effects.render(dull) - expected).max() > 1e-3


def test_a_state_saved_elsewhere_is_taken(folder):
    path = folder / "MaGigaverb.vst3"
    saved = plugins.about(plugins.Hosted(path, values={"roomsize": 20.0})).state
    patch = plugins.keep(preset(), path, values={"roomsize": 250.0})
    patch = plugins.keep(patch, path, state=saved)
    assert len(patch.effects) == 1
    assert patch.effects[0].values == {}
    text = plugins.about(plugins.load_effect(patch.effects[0])).parameters["roomsize"]
    assert float(text) == pytest.approx(20.0, rel=1e-4)


def test_a_kept_state_opens_in_another_host(folder, tmp_path):
    peer("dawdreamer")
    patch = plugins.keep(preset(), "MaGigaverb.vst3", values={"revtime": 4.0, "damping": 0.125})
    (tmp_path / "a.vstpreset").write_bytes(plugins.load_effect(patch.effects[0]).state)
    program = """
import dawdreamer, sys
engine = dawdreamer.RenderEngine(48000, 512)
reverb = engine.make_plugin_processor("x", sys.argv[1])
assert reverb.load_vst3_preset(sys.argv[2])
print(reverb.get_parameter(0), reverb.get_parameter(1), flush=True)
"""
    paths = [str(folder / "MaGigaverb.vst3"), str(tmp_path / "a.vstpreset")]
    run = subprocess.run([sys.executable, "-c", program, *paths], capture_output=True, text=True)
    damping, revtime = map(float, run.stdout.split())
    assert damping == pytest.approx(0.125, abs=1e-6)
    low, high = 0.1, 360.0
    assert revtime == pytest.approx((4.0 - low) / (high - low), abs=5e-4)  # it holds thousandths


def test_an_instrument_is_kept_first(folder):
    patch = plugins.keep(preset(CLIP), "Kars.vst3", values={"sustain": 1})
    assert [e.kind for e in patch.effects] == ["VST3", "Clipping"]
    assert patch.effects[0].plugin.instrument
    assert effects.render(patch)[0, -4000:].any()  # the string sounds on after the key is up


def test_a_plugin_outside_the_plugin_folders_is_not_kept(folder, monkeypatch, tmp_path):
    monkeypatch.setenv("VST3_PATH", str(tmp_path))
    with pytest.raises(ValueError, match="is not in a plugin folder; add its folder to VST3_PATH"):
        plugins.keep(preset(), folder / "MaGigaverb.vst3")


# What goes wrong


def test_a_state_of_another_plugin_or_damaged_is_refused(folder, reverb, trouble):
    state = plugins.about(reverb).state
    says = "cannot be used: it does not take this state: damaged, or of another plugin"
    for wrong in (replace(trouble, state=state), replace(reverb, state=state[:60])):
        with pytest.raises(plugins.PluginFailed, match=says):
            plugins.process(wrong, noise(), rate=RATE)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"values": {"mud": 1.0}}, "it has no parameter 'mud'; it has .*mode"),
        ({"values": {"mode": 5}}, r"mode must be in range 0\.\.4 in whole numbers, got 5"),
        ({"values": {"mode": 0.5}}, r"mode must be in range 0\.\.4 in whole numbers, got 0\.5"),
        ({"name": "Peace"}, "its file holds Trouble, not 'Peace'"),
    ],
)
def test_wrong_settings_are_refused_in_one_sentence(trouble, change, says):
    with pytest.raises(plugins.PluginFailed, match=f"plugin .* cannot be used: {says}"):
        plugins.process(replace(trouble, **change), noise(), rate=RATE)


def test_an_effect_is_no_instrument_and_the_reverse(folder, reverb):
    with pytest.raises(plugins.PluginFailed, match="it is an effect, not an instrument"):
        plugins.play(reverb, Note(), samples=RATE, rate=RATE)
    with pytest.raises(plugins.PluginFailed, match="Kars cannot be used: it is an instrument, not"):
        plugins.process(plugins.Hosted(folder / "Kars.vst3"), noise(), rate=RATE)


@pytest.mark.parametrize(
    ("mode", "limit", "says"),
    [
        (CRASH, 60.0, r"plugin Trouble crashed \(SIGSEGV\) while processing 0\.1 s of sound"),
        (LEAVE, 60.0, r"Trouble ended with exit code 7 while processing 0\.1 s of sound"),
        (HANG, 10.0, r"Trouble took more than 10 s and was stopped while processing 0\.1 s of so"),
        (NOT_A_NUMBER, 60.0, "Trouble gave 4800 samples that are not finite"),
    ],
)
def test_a_plugin_that_breaks_is_named(trouble, mode, limit, says):
    with pytest.raises(plugins.PluginFailed, match=says) as caught:
        plugins.process(replace(trouble, values={"mode": mode}), noise(), rate=RATE, limit=limit)
    assert "\n" not in str(caught.value)


def test_a_plugin_that_aborts_while_it_is_loaded_is_named(tmp_path):
    peer("compiler")
    bundle = builder().aborting(tmp_path)
    with pytest.raises(plugins.PluginFailed, match=r"Abort crashed \(SIGABRT\) while loading it"):
        plugins.about(plugins.Hosted(bundle))


def test_what_is_no_plugin_is_refused(tmp_path):
    (tmp_path / "Text.vst3").write_text("these are the notes of the session")
    (tmp_path / "Empty.vst3").mkdir()
    for name in ("Text", "Empty"):
        with pytest.raises(plugins.PluginFailed, match=f"plugin {name} cannot be used: Unable to"):
            plugins.about(plugins.Hosted(tmp_path / f"{name}.vst3"))


def test_a_crash_fails_the_job_and_the_next_one_runs(folder, tmp_path):
    patch = preset(effect("Trouble.vst3", mode=CRASH))
    save(patch, tmp_path / "bad.json")
    save(patch.model_copy(update={"effects": ()}), tmp_path / "good.json")
    inbox = worker_loop.Inbox(io.StringIO(""))

    def end(name):
        out = str(tmp_path / "out" / f"{name}.wav")
        job = RenderPreset(id="j", preset=str(tmp_path / f"{name}.json"), out=out)
        *_, last = worker_loop.run(job, render_preset, inbox, codes={})
        return last

    failed = end("bad")
    assert isinstance(failed, Failed)
    assert failed.reason.startswith("plugin Trouble crashed (SIGSEGV) while processing 0.2")
    assert not (tmp_path / "out").exists()
    assert isinstance(end("good"), Done)


@pytest.mark.skipif(sys.platform != "linux", reason="looks for children in /proc")
def test_a_hanging_plugin_ends_with_whoever_started_it(trouble, tmp_path):
    program = f"""
from pathlib import Path
import numpy as np
from renderers import plugins
hung = plugins.Hosted(Path({str(trouble.path)!r}), values={{"mode": {HANG}}})
plugins.process(hung, np.ones((1, 100), np.float32), rate={RATE})
"""
    home = os.environ | {"TMPDIR": str(tmp_path)}
    parent = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, env=home)
    try:
        stage = until(lambda: next(tmp_path.glob("*/stage"), None))
        until(lambda: "of sound" in stage.read_text())
        children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split()
        assert len(children) == 1
    finally:
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    until(lambda: not Path(f"/proc/{children[0]}/exe").exists())
    until(lambda: list(tmp_path.iterdir()) == [])


def test_a_child_that_still_imports_leaves_with_its_parent(tmp_path):
    """The pipe is heard before the libraries are there: here numpy never comes."""
    (tmp_path / "numpy.py").write_text(
        "import pathlib, time\n"
        "pathlib.Path(__file__).with_name('importing').touch()\n"
        "time.sleep(600)\n"
    )
    folder = tmp_path / "asked"
    folder.mkdir()
    child = subprocess.Popen(
        [sys.executable, "-P", str(plugins.CHILD), str(folder)],
        stdin=subprocess.PIPE, env=os.environ | {"PYTHONPATH": str(tmp_path)},
    )  # fmt: skip
    try:
        until((tmp_path / "importing").exists, child=child)
        assert child.poll() is None
        child.stdin.close()
        assert child.wait(60) == 1
        assert not folder.exists()
    finally:
        child.kill()
        child.wait()
