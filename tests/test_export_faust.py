from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.signal import butter, fftconvolve, lfilter

from presets import Effect, Note, Preset
from presets.export.faust import EXPORTER
from renderers import fm, for_preset, from_values, impact, random_patches, to_values
from renderers.base import Renderer, physical
from renderers.engines import faust
from renderers.fidelity import lsd
from renderers.noise import noise_bands
from tests.full_voices import full
from tests.peers import peer

RATE = 44100


def patch(renderer: Renderer, number: int, **changes: float) -> Preset:
    u = random_patches(renderer, 8, generator=torch.Generator().manual_seed(0))[number]
    values = to_values(renderer, u) | changes
    return Preset(name="p", renderer=renderer.name, renderer_version=1, values=values)


def written(preset: Preset, folder: Path) -> Path:
    exported = EXPORTER.export(preset, None, "patch")  # type: ignore[arg-type]
    file = folder / "patch.dsp"
    file.write_bytes(exported.files["patch.dsp"])
    return file


def heard(renderer: Renderer, preset: Preset, note: Note, rate: int = RATE) -> np.ndarray:
    u = from_values(renderer, preset.values)[None]
    return renderer.render(u, note, rate, rate)[0, 0].numpy()


@pytest.fixture
def compiled() -> None:
    peer("faust")


@pytest.fixture
def dawdreamer() -> None:
    peer("dawdreamer")


FMS = [
    (fm.renderer(), 0, Note(57), 44100),
    (fm.renderer(), 5, Note(90, 127), 48000),
    (fm.renderer(matrix="free"), 2, Note(45.37, 31), 96000),
    (fm.renderer(operators=1), 3, Note(60), 44100),
    (fm.renderer(operators=8, matrix="free"), 1, Note(24, 1), 44100),
]


@pytest.mark.parametrize(("renderer", "number", "note", "rate"), FMS)
def test_fm_is_our_renderer_to_1e_9_in_double_precision(
    tmp_path: Path, compiled: None, renderer: Renderer, number: int, note: Note, rate: int
) -> None:
    preset = patch(renderer, number)
    theirs = faust.doubles(written(preset, tmp_path), note, 1.0, rate)
    # measured: 2e-13
    assert np.abs(theirs - heard(renderer, preset, note, rate)).max() < 1e-9


FULLS = [
    (fm.renderer(voice="full"), 5, Note(57, held=0.4), 44100),
    (fm.renderer(matrix="free", operators=2, voice="full"), 6, Note(80.3, 127, 0.25), 48000),
    (fm.renderer(operators=1, voice="full"), 7, Note(45), 96000),
]


@pytest.mark.parametrize(("renderer", "seed", "note", "rate"), FULLS)
def test_a_full_voice_is_our_renderer_in_double_precision(
    tmp_path: Path, compiled: None, renderer: Renderer, seed: int, note: Note, rate: int
) -> None:
    """All knobs anywhere, but for the noise: sustain, release, pitch, LFO and filter."""
    generator = torch.Generator().manual_seed(seed)
    u = torch.rand(len(renderer.params), generator=generator, dtype=torch.float64)
    values = to_values(renderer, u) | {"noise_level": 0.0}
    preset = Preset(name="p", renderer="fm", renderer_version=1, values=values)
    theirs = faust.doubles(written(preset, tmp_path), note, 1.0, rate)
    # measured: 7e-15 to 4e-13
    assert np.abs(theirs - heard(renderer, preset, note, rate)).max() < 1e-9


@pytest.mark.parametrize(("hz", "width"), [(300.0, 0.5), (2000.0, 2.0), (9000.0, 8.0)])
def test_noise_has_our_bands_and_loudness(
    tmp_path: Path, compiled: None, hz: float, width: float
) -> None:
    preset = full({"mix": 0.0}, noise_level=1.0, noise_sustain=1.0, noise_hz=hz, noise_width=width)
    theirs = faust.doubles(written(preset, tmp_path), Note(57, held=0.7), 1.0, RATE)
    ours = heard(for_preset(preset), preset, Note(57, held=0.7))
    first, last = (slice(*at) for at in ((2000, 30000), (-1000, None)))
    loud = 20 * np.log10(theirs[first].std() / ours[first].std())
    assert abs(loud) < 2.0  # half an octave at 300 Hz for half a second is 100 numbers: 0.6 dB each
    assert theirs[last].std() == ours[last].std() == 0.0
    spectra = [np.abs(np.fft.rfft(x[first])) ** 2 for x in (theirs, ours)]
    octaves = np.log2(np.maximum(np.fft.rfftfreq(28000, 1 / RATE), 1.0))
    middle = [float(s @ octaves / s.sum()) for s in spectra]
    assert abs(middle[0] - middle[1]) < 0.3  # octaves; the outermost band has slopes of its own


@pytest.mark.parametrize(
    ("renderer", "number", "note"),
    [(r, i, n) for r, i, n, _ in FMS if n.number == round(n.number)],
)
def test_fm_is_our_renderer_to_1e_3_in_single_precision(
    tmp_path: Path, dawdreamer: None, renderer: Renderer, number: int, note: Note
) -> None:
    """Through MIDI and eight voices: velocity and pitch arrive as the file says."""
    preset = patch(renderer, number)
    theirs = faust.DAWDREAMER.render(written(preset, tmp_path), note, 1.0, RATE)[0]
    assert np.abs(theirs - heard(renderer, preset, note)).max() < 1e-3  # measured: 5e-5


def test_two_notes_are_the_sum_of_two_notes(tmp_path: Path, dawdreamer: None) -> None:
    import dawdreamer as daw

    renderer = fm.renderer()
    preset = patch(renderer, 0)
    engine = daw.RenderEngine(RATE, 512)
    voices = engine.make_faust_processor("patch")
    voices.num_voices = 8
    voices.set_dsp_string(written(preset, tmp_path).read_text())
    voices.compile()
    later = 512 * 20
    voices.add_midi_note(57, 100, 0.0, 2.0)
    voices.add_midi_note(64, 100, later / RATE, 2.0)
    engine.load_graph([(voices, [])])
    engine.render(1.0)
    wanted = heard(renderer, preset, Note(57))
    wanted[later:] += heard(renderer, preset, Note(64))[: RATE - later]
    assert np.abs(engine.get_audio()[0, :RATE] - wanted).max() < 1e-3


def linear_congruential(samples: int) -> np.ndarray:
    x, noise = 12345, np.empty(samples)
    for n in range(samples):
        noise[n] = x
        x = (x * 1103515245 + 12345 + 2**31) % 2**32 - 2**31
    return noise * np.sqrt(30 / RATE) / 2147483647


def bands_of(noise: np.ndarray, bands: int) -> list[np.ndarray]:
    """The bands of the file's noise: two equal filters each, every second one turned over."""
    if bands == 1:
        return [noise]
    spacing = np.log(400) / (bands - 1)
    result = []
    for m in range(bands):
        hz = 40 * np.exp(spacing * m)
        w = 2 * np.pi * hz / RATE
        a = np.sin(w) * np.sinh(spacing / 2)
        b, poles = np.array([a, 0, -a]), np.array([1 + a, -2 * np.cos(w), 1 - a])
        if m == 0:
            b, poles = butter(1, hz * np.exp(spacing / 2), fs=RATE)
        if m == bands - 1:
            b, poles = butter(1, hz * np.exp(-spacing / 2), "high", fs=RATE)
        result.append((-1) ** m * lfilter(b, poles, lfilter(b, poles, noise)))
    return result


def modes_and_room(
    renderer: Renderer, preset: Preset, note: Note
) -> tuple[np.ndarray, np.ndarray, impact.Object]:
    """The modes' impulse response by our own bank, and the room of the file in numpy."""
    lay = impact.layout(renderer.params)
    values = physical(lay.table, from_values(renderer, preset.values)[None])
    o = impact.struck(lay, values, note, RATE)
    bank = impact.modal_bank(o.hz / RATE, o.decay / RATE, o.gain, RATE, torch.float64)[0].numpy()
    noise = linear_congruential(RATE)
    t = np.arange(RATE) / RATE
    room = np.zeros(RATE)
    for m, band in enumerate(bands_of(noise, lay.bands)):
        gain, decay = o.band_gain[0, m].item(), o.band_decay[0, m].item()
        room += gain * np.exp(-decay * t) * band
    return bank, room, o


def test_a_struck_object_without_a_room_is_ours(tmp_path: Path, compiled: None) -> None:
    renderer = impact.renderer(modes=64, bands=2)
    preset, note = patch(renderer, 6), Note(64, 90)
    bank, _, o = modes_and_room(renderer, preset, note)
    file = written(preset, tmp_path)
    text = file.read_text()
    file.write_text(text.replace("trigger + room;", "trigger;"))
    wanted = (o.level * o.dry).item() * bank
    theirs = faust.doubles(file, note, 1.0, RATE)
    assert np.abs(theirs - wanted).max() < 1e-9  # measured: 2e-14
    if not faust.DAWDREAMER.missing():
        theirs = faust.DAWDREAMER.render(file, note, 1.0, RATE)[0]
        assert np.abs(theirs - wanted).max() < 1e-3  # measured: 1e-5


def test_a_struck_object_in_its_room_is_the_convolution(tmp_path: Path, compiled: None) -> None:
    renderer = impact.renderer(modes=32, bands=8)
    preset, note = patch(renderer, 1), Note(60)
    bank, room, o = modes_and_room(renderer, preset, note)
    wanted = o.level.item() * (o.dry.item() * bank + fftconvolve(bank, room)[:RATE])
    assert np.abs(fftconvolve(bank, room)).max() > 0.01 * np.abs(bank).max()  # it is heard
    theirs = faust.doubles(written(preset, tmp_path), note, 1.0, RATE)
    assert np.abs(theirs - wanted).max() < 1e-9


@pytest.mark.parametrize("bands", [1, 8, 32])
def test_the_room_is_as_near_to_ours_as_another_noise_can_be(bands: int) -> None:
    """Two noises of one spectrum are 6.0 dB apart bin by bin, whatever they are."""
    ours = noise_bands(bands, RATE)
    theirs = bands_of(linear_congruential(RATE), bands)
    fading = np.exp(-3 * np.arange(RATE) / RATE)
    mine = ours[:, :RATE].sum(0) * fading
    assert lsd(mine, ours[:, RATE : 2 * RATE].sum(0) * fading, RATE) == pytest.approx(6.0, abs=0.1)
    assert lsd(mine, sum(theirs) * fading, RATE) < 6.7  # measured: 6.0, 6.1, 6.6
    for a, b in zip(ours, theirs, strict=True):
        assert abs(10 * np.log10(b @ b / (a[:RATE] @ a[:RATE]))) < 4  # measured: mean -0.75


def test_what_a_file_cannot_say_is_said(tmp_path: Path) -> None:
    preset = patch(fm.renderer(), 0).model_copy(update={"effects": (Effect(kind="Reverb"),)})
    lost = EXPORTER.export(preset, None, "p").lost  # type: ignore[arg-type]
    assert any("release" in line for line in lost)
    assert any("Reverb" in line for line in lost)
    lost = EXPORTER.export(patch(impact.renderer(modes=1), 0), None, "p").lost  # type: ignore[arg-type]
    assert any("noise" in line for line in lost)


def test_bands_with_centres_of_their_own_are_refused() -> None:
    moved = patch(impact.renderer(modes=1, bands=1, voice="audio-sds"), 0)
    with pytest.raises(ValueError, match="bands of noise at fixed centres, and this patch moves"):
        EXPORTER.export(moved, None, "p")  # type: ignore[arg-type]


def test_any_name_compiles(tmp_path: Path, compiled: None) -> None:
    preset = patch(fm.renderer(operators=1), 0)
    odd = preset.model_copy(update={"name": 'a "bell"\\ \n// é 鐘 %d {x}'})
    theirs = faust.doubles(written(odd, tmp_path), Note(57), 0.1, RATE)
    assert np.array_equal(theirs, faust.doubles(written(preset, tmp_path), Note(57), 0.1, RATE))


def test_a_program_that_faust_refuses_is_one_sentence(tmp_path: Path, compiled: None) -> None:
    file = tmp_path / "x.dsp"
    file.write_text("process = nonsense;")
    with pytest.raises(ValueError, match=r"faust refused .*nonsense"):
        faust.doubles(file, Note(57), 0.1, RATE)
