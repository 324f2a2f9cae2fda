"""Suite `multisource` on tiny clips and an untrained model: figures whose values are known."""

import json
import math
from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file

from sds.metrics.passages import passage_vectors
from sds.multitrack import arrange, take_apart
from sds.multitrack.base import STEMS
from sds.priors.gaussian import GaussianPrior
from sds.priors.multi_track import MultiTrackNetwork, MultiTrackPrior, Told
from sds.priors.stem_masks import StemMaskNetwork, StemMasks
from sds.scoreboard import (
    multisource,
    multisource_generation,
    multisource_separation,
    multisource_together,
)
from sds.scoreboard.board import Row, Setting, evaluate, read_rows
from sds.scoreboard.multisource_clips import (
    ARRANGEMENTS,
    Songs,
    clips,
    letters,
    load,
    songs,
    tracks,
)
from sds.scoreboard.multisource_generation import distances, ears, sum_of_songs
from sds.scoreboard.multisource_nulls import LEARNED, UNLEARNED, WEAK, variant
from sds.scoreboard.multisource_separation import (
    BY_PROMPTS,
    COMPARED,
    IDEAL,
    IDEAL_BANDS,
    NMF,
    PUBLISHED,
    SEPARATORS,
    difference,
    ideal_on_bands,
    scores,
)
from sds.signal.audio_files import write
from sds.signal.band_levels import SILENCE, band_powers, stft, to_levels

RATE, SECONDS = 32000, 3.2
TIME = torch.arange(round(SECONDS * RATE)) / RATE
PRIOR = GaussianPrior({"": 0.0}, {"": 0.1}, sample_rate=RATE, hop=128, max_seconds=3.0)


def stems(seed):
    """A bass, a drum, two chords: sines that begin together, and bursts of noise."""
    generator = torch.Generator().manual_seed(seed)
    step = 0.4 + 0.05 * seed
    envelope = torch.exp(-4 * (TIME % step))
    noise = torch.randn(len(TIME), generator=generator)
    tones = [
        0.1 * envelope * torch.sin(2 * torch.pi * hz * 2 ** (seed / 12) * TIME)
        for hz in (82.4, 659.3, 329.6)
    ]
    drums = 0.1 * noise * torch.exp(-40 * (TIME % step))
    return torch.stack([tones[0], drums, tones[1], tones[2]])


def write_set(folder, count, *, captions, silent=()):
    folder.mkdir()
    items = []
    for number in range(count):
        parts = stems(number)
        if number in silent:
            parts[2] = 0
        files = {"mix": f"{number}_mix.wav"} | {stem: f"{number}_{stem}.wav" for stem in STEMS}
        write(folder / files["mix"], parts.sum(0)[None], RATE)
        for stem, part in zip(STEMS, parts, strict=True):
            write(folder / files[stem], part[None], RATE)
        sounding = {stem: -20.0 for k, stem in enumerate(STEMS) if parts[k].any()}
        item = {"id": f"clip {number}", "files": files, "rms_dbfs": sounding}
        said = {"caption": f"song {number}", "tempo": 60 / (0.4 + 0.05 * number)}
        items.append(item | (said if captions else {}))
    (folder / "manifest.json").write_text(json.dumps({"items": items}))


class Judge:
    """Likes the second of any prompts."""

    name = "judge"

    def similarity(self, audio, rate, prompts):
        row = torch.tensor([0.5 if k == 1 else 0.1 for k in range(len(prompts))])
        return row.expand(len(audio), -1)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    write_set(folder / "stems", 1, captions=False)
    write_set(folder / "reserved", 5, captions=True, silent=(4,))
    write_set(folder / "reserved_long", 2, captions=True)
    save_file(
        {"vectors": passage_vectors(stems(1).sum(0), RATE, 8), "held": torch.tensor([0.2, 0.4])},
        folder / "training_passages.safetensors",
    )
    return folder


@pytest.fixture
def setting(data, tmp_path):
    torch.manual_seed(0)
    model = MultiTrackPrior(MultiTrackNetwork(), StemMasks(StemMaskNetwork()), name="untrained")
    return Setting(data, PRIOR, Judge(), Judge(), (), tmp_path / "scratch", multi_track=model)


def noise(levels, samples):
    return 0.05 * torch.randn(len(levels), samples, generator=torch.Generator().manual_seed(0))


def levels_of_bands(audio, rate):
    return to_levels(band_powers(stft(audio[:, 0]))).mean(2)


@pytest.fixture
def quick(monkeypatch):
    """Two evaluations where there are many, and few clips."""
    for name, how in SEPARATORS.items():
        steps = None if name == "fast" else 2
        few = replace(how, steps=steps, clips=1 if name == "fast" else 0)
        monkeypatch.setitem(SEPARATORS, name, few)
    monkeypatch.setitem(take_apart.SAMPLES, "accurate", 3)
    for name in (IDEAL, IDEAL_BANDS):
        monkeypatch.setitem(COMPARED, name, 1)
    monkeypatch.delitem(COMPARED, BY_PROMPTS)
    monkeypatch.delitem(COMPARED, NMF)
    monkeypatch.setattr(arrange, "STEPS", 2)
    monkeypatch.setattr(arrange, "sound", lambda levels, samples, seed: noise(levels, samples))
    monkeypatch.setattr(multisource, "ARRANGEMENTS", ARRANGEMENTS[::6])
    monkeypatch.setattr(multisource_generation, "ears", lambda: {"trunk": levels_of_bands})
    monkeypatch.setattr(multisource_generation, "ARRANGED", 2)
    monkeypatch.setattr(multisource, "TOGETHER", 2)


def test_there_are_fourteen_arrangements():
    assert [letters(added) for added in ARRANGEMENTS] == (
        "B D G P BD BG BP DG DP GP BDG BDP BGP DGP".split()
    )


def test_suite_measures_every_method(setting, quick, tmp_path):
    rows = tmp_path / "rows.jsonl"
    list(evaluate({"multisource": multisource.suite}, setting, rows))
    found = {(row.method, row.item): row.figures for row in read_rows(rows)}
    known = {column.name for column in multisource.COLUMNS}
    assert {name for figures in found.values() for name in figures} <= known
    for name, how in SEPARATORS.items():
        figures = found[name, "clip 0, stems"]
        assert figures["evaluations"] == how.evaluations
        assert figures["null_db"] < -60
        assert figures["si_sdri"] == pytest.approx(
            sum(figures[f"si_sdri_{stem}"] for stem in STEMS) / 4
        )
    assert found["mixture", "clip 4, reserved"]["silent"] == 1
    assert found["mixture", "clip 0, stems"]["si_sdri"] == pytest.approx(0, abs=1e-6)
    assert found["ideal masks", "clip 0, stems"]["si_sdri"] > 10
    assert found["ideal masks on 128 bands", "clip 0, stems"]["si_sdri"] > 10
    for name in ("adds B", "adds BP", "adds BGP"):
        figures = found[name, "every clip"]
        assert figures.keys() == {"sub_fad_trunk", "sub_fad_trunk_shuffled", "seconds"}
        assert figures["sub_fad_trunk_shuffled"] > 0
    asked = [clip.name for clip in songs(setting).asked]
    assert asked == ["clip 1", "clip 3"]  # of the four in which all stems sound
    real = found["real", "clip 3"]
    assert (real["match"], real["match_others"]) == pytest.approx((0.5, 0.1))
    assert real["named"] == 0.25  # the judge calls all of them drums
    assert found["real", "clip 1"]["nearest"] > 0.99  # it is among the training passages
    assert found["real", "clip 1"]["copied"] == 1
    assert found["held-back songs, real", "held-back songs"]["nearest"] == pytest.approx(0.3)
    strength = found["onset strength, bass to drums", "clip 0"]
    assert strength["real"] > 0.9 > 0.5 > strength["shuffled"]
    assert "added" in found["beat, first to last third of 30 s", "clip 1"]
    assert found["generated", "clip 1"]["seconds"] > 0
    asked = found["tempo within 4 % of the one asked for", "clip 1"]
    assert asked["real"] == 1.0
    assert asked.keys() == {"real", "shuffled", "added"}
    assert found["generated, shuffled weights", "every clip"]["fad_trunk"] > 0


def test_without_the_model_there_is_what_stands_beside_it(setting, quick):
    tasks = multisource.suite(replace(setting, multi_track=None))
    assert {task.method for task in tasks} == {*COMPARED, *PUBLISHED}


def test_without_reserved_clips_only_the_stems_are_taken_apart(setting, quick, tmp_path):
    (tmp_path / "few").mkdir()
    write_set(tmp_path / "few" / "stems", 1, captions=False)
    tasks = multisource.suite(replace(setting, data=tmp_path / "few"))
    assert {task.method for task in tasks} == {*COMPARED, *SEPARATORS, *PUBLISHED}
    assert {task.tags for task in tasks} == {("stems",)}


def test_items_limit_every_part(setting, quick):
    tasks = multisource.suite(replace(setting, items=2))
    items = {task.item for task in tasks if task.method == "mixture"}
    assert items == {"clip 0, stems", "clip 0, reserved", "clip 1, reserved"}


def test_a_weak_model_denoises_each_track_beside_silent_ones(setting):
    model, generator = setting.multi_track, torch.Generator().manual_seed(0)
    torch.nn.init.normal_(model.network.net.last[-1].weight, std=0.1)
    x = torch.randn(2, 4, 128, 16, generator=generator)
    sigma = 0.5 + torch.rand(2, 4, generator=generator)
    told = Told(torch.randn(2, 128, generator=generator))
    weak = variant(model, WEAK)
    found = weak.denoise(x, sigma, told)
    silent = model.network.white(torch.full_like(x, SILENCE))
    for k in range(4):
        alone, level = silent.clone(), torch.zeros(2, 4)
        alone[:, k], level[:, k] = x[:, k], sigma[:, k]
        assert torch.allclose(model.denoise(alone, level, told)[:, k], found[:, k], atol=1e-5)
    other = x.clone()
    other[:, 1] += 1.0  # what the others do says nothing to the first
    assert torch.equal(weak.denoise(other, sigma, told)[:, 0], found[:, 0])
    assert not torch.allclose(
        model.denoise(other, sigma, told)[:, 0], model.denoise(x, sigma, told)[:, 0]
    )


def test_shuffled_weights_are_the_same_numbers_elsewhere(setting):
    model = setting.multi_track
    other = variant(model, UNLEARNED)
    pairs = list(zip(model.network.parameters(), other.network.parameters(), strict=True))
    assert all(torch.equal(a.flatten().sort()[0], b.flatten().sort()[0]) for a, b in pairs)
    assert not all(torch.equal(a, b) for a, b in pairs)
    assert other.masks is model.masks
    assert variant(model, LEARNED) is model


# Figures


def test_true_stems_are_as_good_as_can_be(data):
    mixture = load(clips(data, "reserved")[0])
    figures = scores(mixture, torch.stack(mixture.sources))
    assert figures["sdr"] == 200.0
    assert figures["null_db"] < -60  # what files are rounded to
    assert figures["windows"] == pytest.approx(figures["windows_with_silent"])
    assert figures["windows"] > 60


def test_a_silent_stem_is_counted_and_what_is_found_of_it_measured(data):
    mixture = load(clips(data, "reserved")[4])
    found = torch.stack(mixture.sources)
    found[2] = 0.1 * mixture.audio
    figures = scores(mixture, found)
    assert figures["silent"] == 1
    assert figures["leak_db"] == pytest.approx(-20.0, abs=0.01)
    assert "si_sdri_guitar" not in figures
    assert figures["sdr"] == 200.0


def test_ideal_masks_on_bands_add_up_to_the_mixture(data):
    mixture = load(clips(data, "reserved")[0])
    assert scores(mixture, ideal_on_bands(mixture))["null_db"] < -60


def test_equal_sets_of_mixtures_have_no_distance(setting):
    band = songs(setting)
    mixtures = [tracks(clip, RATE).sum(0) for clip in band.known]
    found = distances(band, mixtures, band.known, 2)
    assert found.keys() == ears().keys()
    assert list(found.values()) == pytest.approx([0.0] * len(found), abs=1e-5)


def test_shuffled_mixtures_have_stems_of_different_songs(setting):
    clip = clips(setting.data, "reserved")
    band = Songs(
        setting, (clip[3], clip[0], clip[3], clip[1], clip[3], clip[2], clip[3], clip[3]), ()
    )
    assert [one.name for one in band.asked] == ["clip 0", "clip 1", "clip 2", "clip 3"]
    parts = [load(one).sources[k][0] for k, one in enumerate(band.asked)]
    assert torch.allclose(sum_of_songs(band, 0), torch.stack(parts).sum(0), atol=1e-6)


def test_tempos_an_octave_apart_are_one():
    from sds.metrics.onsets import onset_strength

    def strength(step):
        x = torch.exp(-40 * (torch.arange(8 * RATE) / RATE % step))
        return onset_strength((x * torch.randn(len(x), generator=torch.Generator()))[None], RATE)

    same = multisource_together.TEMPOS[multisource_together.TEMPO_KEPT]
    assert same(strength(0.6), strength(0.6)) == 1.0
    assert same(strength(0.6), strength(0.3)) == 1.0
    assert same(strength(0.6), strength(0.7)) == 0.0
    assert math.isnan(same(strength(0.6), torch.zeros(700)))


# What the rows say


def row(method, item, tag, **figures):
    return Row("multisource", item, method, figures, (tag,))


def test_methods_are_compared_on_the_clips_that_both_have():
    rows = [row("fast", name, "stems", si_sdri=6.0) for name in "abc"]
    rows += [row("accurate", "a", "stems", si_sdri=8.0), row("accurate", "b", "stems", si_sdri=7.0)]
    rows += [row("accurate", "c", "stems", leak_db=-30.0)]
    assert difference(rows, "accurate", "fast") == (1.5, 2)
    assert difference(rows, "Dirac, 20 evaluations", "fast") is None
    rows += [
        row("projection, 20 evaluations", "a", "stems", si_sdri=5.0),
        row("Dirac, 150 evaluations", "a", "stems", si_sdri=4.0),
    ]
    assert multisource_separation.findings(rows) == [
        "stems, over fast on the same clips: accurate +1.5 dB (2 clips), "
        "projection, 20 evaluations -1.0 dB (1 clips), Dirac, 150 evaluations -2.0 dB (1 clips).",
        "stems, projection at 20 evaluations over Dirac at 150: +1.0 dB (1 clips).",
    ]


def test_the_way_from_shuffled_to_real_and_the_arrangements_that_fail():
    name = "chroma, bass to piano"
    rows = [
        row(name, "a", "together", real=0.6, shuffled=0.0, added=0.5),
        row(name, "b", "together", real=0.4, shuffled=0.1, added=0.1),
        row(name, "c", "together", real=0.4, shuffled=0.1),
        row("adds B", "every clip", "arrangements", sub_fad_trunk=0.1, sub_fad_trunk_shuffled=0.2),
        row("adds D", "every clip", "arrangements", sub_fad_trunk=0.3, sub_fad_trunk_shuffled=0.2),
    ]
    assert multisource.findings(rows) == [
        "Of the way from shuffled (0) to real (1): chroma, bass to piano 0.56 (2 clips).",
        "Sub-FAD (aiSFX) is below that of another song's stems in 1 of 2 arrangements: "
        "not in adds D.",
    ]
