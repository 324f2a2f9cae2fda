"""The prior suite: figures of known signals, toy classes, and a prior whose spectra are known."""

import csv
import math
from dataclasses import replace
from functools import partial

import pytest
import torch

from sds.datasets.reference_statistics import CLASSES, FILE, SIDES, fold_of, recordings, reference
from sds.metrics.copy_detection import NearestRecording
from sds.metrics.frechet import frechet
from sds.metrics.spectral_statistics import BLOCK, RATE, Classes, measure, statistics
from sds.priors.gaussian import GaussianPrior
from sds.scoreboard import prior, prior_clips, prior_figures
from sds.scoreboard.board import Row, Setting, evaluate, read_rows
from sds.signal.audio_files import write
from sds.train.reference import accuracy, windows
from sds.train.reference import write as build

TIME = torch.arange(2 * RATE) / RATE
NOISE = torch.randn(2 * RATE, generator=torch.Generator().manual_seed(0))


def figures(wave):
    return {name: value[0] for name, value in measure(wave[None, None], RATE).items()}


def sine(hz):
    return torch.sin(2 * torch.pi * hz * TIME)


# FAD


def exact(mean, deviations, count=50):
    """Rows with exactly this mean and these standard deviations, uncorrelated."""
    z = torch.randn(count, len(mean), generator=torch.Generator().manual_seed(1)).double()
    z = z - z.mean(0)
    z = torch.linalg.solve_triangular(torch.linalg.cholesky(torch.cov(z.T)), z.T, upper=False).T
    return z * torch.tensor(deviations) + torch.tensor(mean)


def test_frechet_of_two_gaussians():
    """Commuting covariances: |m - n|^2 + sum (s - t)^2."""
    x, y = exact([0.0, 0, 0], [1.0, 2, 3]), exact([1.0, 0, -2], [2.0, 2, 1])
    assert frechet(x, y) == pytest.approx(5 + 1 + 0 + 4, rel=1e-9)
    assert frechet(y, x) == pytest.approx(10, rel=1e-9)
    assert frechet(x, x) == pytest.approx(0, abs=1e-9)
    assert frechet(x[:, :1], x[:, :1] + 3) == pytest.approx(9, rel=1e-9)


def test_frechet_of_covariances_that_do_not_commute():
    """In two dimensions Tr (AB)^1/2 = sqrt(Tr AB + 2 sqrt(det AB))."""
    x, y = exact([0.0, 0], [1.0, 3]), exact([0.0, 0], [2.0, 1])
    turn = torch.tensor([[0.8, -0.6], [0.6, 0.8]]).double()
    y = y @ turn.T
    a, b = torch.cov(x.T), torch.cov(y.T)
    root = ((a @ b).trace() + 2 * (a @ b).det().sqrt()).sqrt()
    assert frechet(x, y) == pytest.approx(float(a.trace() + b.trace() - 2 * root), rel=1e-9)


def test_rows_of_no_weight_are_not_there():
    x, y = exact([0.0, 0], [1.0, 1]), exact([3.0, 0], [2.0, 1], count=60)
    weights = (torch.arange(60) < 50).double()
    assert frechet(x, y, weights=weights) == pytest.approx(frechet(x, y[:50]), rel=1e-9)
    with pytest.raises(ValueError, match="at least 2 embeddings, got 50 and 1"):
        frechet(x, y[:1])


# Statistics


def test_a_sine_is_where_it_is():
    found = figures(sine(1000))
    assert float(found["centroid"]) == pytest.approx(math.log2(1000), abs=0.01)
    assert float(found["centroid deviation"]) < 0.1
    assert found["rolloff"].tolist() == pytest.approx([math.log2(1000)] * 3, abs=0.06)
    assert float(found["periodicity"]) == pytest.approx(1.0, abs=0.02)
    assert float(found["crest"]) == pytest.approx(0.0, abs=0.2)  # of the envelope
    assert float(found["crossings"]) == pytest.approx(math.log(2000 / RATE + 1e-3), abs=0.02)


def test_noise_is_flat():
    """Power is exponential in each bin: the mean of its logarithm is Euler's constant below."""
    found = figures(NOISE)
    expected = -10 * 0.5772156649 / math.log(10)
    assert found["flatness"][-2:].tolist() == pytest.approx([expected] * 2, abs=0.05)
    assert float(found["centroid"]) == pytest.approx(math.log2(RATE / 4), abs=0.02)
    assert float(found["periodicity"]) < 0.3


def test_decay_of_an_exponential():
    """Amplitude e^(-t / tau) has fallen by d dB at tau d ln(10) / 20."""
    tau = 0.1
    found = figures(NOISE.sign() * torch.exp(-TIME / tau))
    expected = [tau * d * math.log(10) / 20 for d in (10, 20, 30)]
    decay = (found["decay"].exp() - 0.003).tolist()
    assert decay == pytest.approx(expected, abs=1.1 * BLOCK / RATE)
    length = float(found["length"][-1].exp() - 0.003)
    assert length == pytest.approx(tau * 40 * math.log(10) / 20, abs=1.1 * BLOCK / RATE)


def test_attack_of_a_ramp():
    """A straight rise from 0 takes 0.9 of its length from -20 dB on."""
    found = figures(NOISE.sign() * (TIME / 0.4).clamp(max=1) * (TIME < 0.41))
    assert float(found["attack"].exp() - 0.003) == pytest.approx(0.36, abs=0.01)


def test_modulation_and_onsets_are_counted():
    found = figures(NOISE * (1 + 0.9 * torch.sin(2 * torch.pi * 6 * TIME)))
    assert int(found["modulation"].argmax()) == 2  # 4 to 8 Hz
    clicks = sine(1000) * torch.exp(-((TIME - 0.1) % 0.4) / 0.02)
    assert float(figures(clicks)["onsets"]) == pytest.approx(math.log(1 + 5), abs=1e-4)


def test_level_and_trailing_silence_change_nothing():
    short = (sine(500) * torch.exp(-TIME / 0.05))[: RATE // 2] + 0.1 * NOISE[: RATE // 2]
    expected = statistics(short[None, None], RATE)
    for other in (0.01 * short, torch.nn.functional.pad(short, (0, 3 * RATE))):
        torch.testing.assert_close(statistics(other[None, None], RATE), expected)
    assert bool(statistics(torch.zeros(1, 2, 100), 8000).isfinite().all())


# Classes


def test_the_nearest_class_whatever_its_size():
    g = torch.Generator().manual_seed(0)
    many, few = torch.randn(200, 4, generator=g), 3.0 + torch.randn(8, 4, generator=g)
    known = Classes(torch.cat([many, few]), ["many"] * 200 + ["few"] * 8)
    assert known.nearest(torch.full((1, 4), 1.7)) == ["few"]  # nearer to 3 than to 0
    assert known.nearest(torch.full((1, 4), 1.3)) == ["many"]


def test_a_class_of_two_places():
    g = torch.Generator().manual_seed(0)
    x = 0.3 * torch.randn(90, 2, generator=g) + torch.tensor([-3.0, 0.0, 3.0]).repeat(30)[:, None]
    known = Classes(x, ["outer", "inner", "outer"] * 30)
    places = torch.tensor([[-3.0, -3.0], [0.0, 0.0], [3.0, 3.0]])
    assert known.nearest(places) == ["outer", "inner", "outer"]


def test_the_shipped_reference_is_what_the_page_says():
    real = reference()
    assert FILE.stat().st_size <= 3e6
    assert set(real.labels) == set(CLASSES)
    assert real.x.shape[1] == statistics(torch.zeros(1, 1, RATE), RATE).shape[1]
    for label in CLASSES:
        assert min(len(real.rows([label], [side])) for side in ("prior", "evaluation_scorer")) >= 5
    found = accuracy(real)
    right, of = (sum(column) for column in zip(*found.values(), strict=True))
    mean = sum(a / b for a, b in found.values()) / len(found)
    assert f"{right / of:.0%}".replace("%", " %") in prior.__doc__
    assert f"{mean:.0%}".replace("%", " %") in prior.__doc__


def test_windows_leave_out_what_is_soft():
    audio = torch.cat([torch.ones(100), 0.01 * torch.ones(200), torch.ones(130)])[None]
    assert [part.shape[-1] for part in windows(audio, 50)] == [100, 100]


# The suite


PITCH = {name: 300.0 + 150.0 * i for i, name in enumerate(CLASSES)}
HOP, SLOW = 100, 8000


class Ear:
    """How near the mean frequency is to that of the class."""

    name = "search_scorer"

    def similarity(self, audio, rate, prompts):
        power = torch.fft.rfft(audio.mean(1)).abs().square()
        hz = torch.fft.rfftfreq(audio.shape[-1], 1 / rate)
        heard = (power * hz).sum(1) / power.sum(1)
        return -(heard[:, None] - torch.tensor([PITCH[p] for p in prompts])).abs() / 1000


def spectra():
    """A standard deviation for each frequency of the codec: one band at the pitch of the class."""
    hz = (torch.arange(HOP) + 0.5) * SLOW / (2 * HOP)
    prompts = PITCH | dict.fromkeys(prior.EXPECTED, PITCH["metal"])
    prompts |= dict.fromkeys(prior.STEADY, 1000.0) | {"": 2000.0}
    return {p: 0.2 * (-(((hz - f) / 60) ** 2)).exp() + 1e-4 for p, f in prompts.items()}


class Bands:
    """In the place of the trunk: levels as they are, 96 figures and not 512."""

    def levels(self, audio):
        power = torch.stft(audio, 2048, 1024, window=torch.hann_window(2048), return_complex=True)
        bands = power.abs().square()[:, 1:961].unflatten(1, (96, 10)).sum(2)
        return (bands + 1).log10().transpose(1, 2) / 10

    def frames(self, levels):
        return levels


class Index:
    """In the place of the training recordings: every kick is 0.9 like one of them, no dog is."""

    labels = frozenset({"kick"})
    within_class = torch.arange(101) / 100  # of recordings among themselves

    def nearest(self, audio, rate, label):
        return [NearestRecording("kick.ogg", "", "", label, 0.9, 90.0, 0.1, 10.0)] * len(audio)


@pytest.fixture
def setting(tmp_path, monkeypatch):
    monkeypatch.setattr(prior_clips, "COUNT", 3)
    monkeypatch.setattr(prior_figures, "load_trunk", Bands)
    monkeypatch.setattr(prior_figures, "load_copy_index", Index)
    stds = spectra()
    own = GaussianPrior(dict.fromkeys(stds, 0.0), stds, sample_rate=SLOW, hop=HOP, max_seconds=2.0)
    return Setting(
        data=tmp_path / "data",
        prior=own,
        evaluation_scorer=Ear(),
        search_scorer=Ear(),
        instruments=(),
        scratch=tmp_path / "scratch",
        items=2,
    )


def captioned(data):
    """Six recordings of some classes: tones of the pitch of each in noise."""
    rows = []
    for label in ("kick", "dog", "rain", "traffic"):
        for take in range(6):
            wave = sine(PITCH.get(label, 1000.0)) + 0.01 * (take + 1) * NOISE
            path = f"{label}{take}.wav"
            rows.append({"path": path, "caption": label, "class": label, "adjectives": ""})
            (data / "train").mkdir(parents=True, exist_ok=True)
            write(data / "train" / path, 0.5 * wave[None], RATE)
    with open(data / "train" / "captions.csv", "w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, rows[0])
        table.writeheader()
        table.writerows(rows)


def score(setting, tmp_path):
    rows = tmp_path / "rows.jsonl"
    for _ in evaluate({"prior": prior.suite}, setting, rows):
        pass
    return {(row.item, row.method): row.figures for row in read_rows(rows)}


def test_the_suite_on_a_prior_with_known_spectra(setting, tmp_path, monkeypatch):
    captioned(setting.data)
    build(setting.data, tmp_path / "reference")
    monkeypatch.setattr(prior_figures, "reference", partial(reference, tmp_path / "reference"))
    found = score(setting, tmp_path)
    assert {method for _, method in found} == {
        *prior.METHODS, prior_clips.REAL, prior_clips.CODED, prior_clips.NOISE
    }  # fmt: skip
    for label in ("kick", "dog"):
        assert found[label, "guidance 1"]["evaluation_scorer"] == 1.0
        assert found[label, prior_clips.REAL]["evaluation_scorer"] == 1.0
        assert found[label, prior_clips.REAL]["independent"] == 1.0
        assert found[label, prior_clips.CODED] == pytest.approx(
            found[label, prior_clips.REAL], rel=0.05
        )
    whole = {
        method: found[prior.EVERY, method] for _, method in found if (prior.EVERY, method) in found
    }
    # tones, and bands of noise at their pitch, are nearer to tones than white noise is
    assert whole[prior_clips.REAL]["fad_judge"] < 1e-3
    assert whole["guidance 1"]["fad_judge"] < 0.01 * whole[prior_clips.NOISE]["fad_judge"]
    assert whole[prior_clips.REAL]["fad_trunk"] < 0.1 * whole[prior_clips.NOISE]["fad_trunk"]
    assert whole["guidance 1"]["fad_trunk"] < 0.5 * whole[prior_clips.NOISE]["fad_trunk"]
    assert all(figures["fad_statistics"] > 0 for figures in whole.values())
    assert whole["guidance 1"]["copying"] < 0.5  # noise bands are no recording's copy
    for prompt, expected in (prior.UNSEEN[0].text, 1.0), (prior.UNSEEN[2].text, 0.0):
        assert found[prompt, "guidance 1"]["unseen_judge"] == expected
    steady = [f["last_quarter_db"] for (item, _), f in found.items() if item.endswith(" s")]
    assert len(steady) == 2 * 2 * 3  # one and two seconds, two classes, two guidances and real
    assert steady == pytest.approx([0.0] * 12, abs=1.0)


def test_rows_of_single_classes_say_their_counts(setting, tmp_path, monkeypatch):
    """Of six recordings a class three are for the prior, so clips are compared with three."""
    captioned(setting.data)
    build(setting.data, tmp_path / "reference")
    monkeypatch.setattr(prior_figures, "reference", partial(reference, tmp_path / "reference"))
    rows = tmp_path / "rows.jsonl"
    for _ in evaluate({"prior": prior.suite}, setting, rows):
        pass
    by_words = {(row.item, row.method): row for row in read_rows(rows)}
    dog = by_words["dog, as in DCASE", "guidance 3"]
    assert (dog.tags, dog.figures["clips"], dog.figures["recordings"]) == (("class FAD",), 3, 3)
    kick = by_words["kick, attack", prior_clips.REAL]
    assert (kick.tags, kick.figures["recordings"]) == (("attack",), 6)
    assert kick.figures["attack_off_ms"] == pytest.approx(
        abs(kick.figures["attack_ms"] - kick.figures["recorded_ms"])
    )
    assert ("clock, attack", "guidance 3") not in by_words  # no recording of one
    said = prior.findings(list(by_words.values()))
    assert any(one.startswith("Attacks of guidance 3: kick ") for one in said)
    assert any("dog" in one and "(3 clips, 3 recordings)" in one for one in said)
    assert any(one.startswith("10 evaluations against 50: FAD, statistics") for one in said)


def test_a_prior_that_is_exact_needs_few_evaluations(setting, tmp_path):
    """With few noise levels a sampler is off by its order; 50 and 20 evaluations agree."""
    low, some, many = (
        prior_clips.generated(setting, prior_clips.Sampling(1.0, n), "kick") for n in (5, 20, 50)
    )
    assert float((some - many).abs().max()) < 0.1 * float((low - many).abs().max())


def test_seconds_are_those_of_the_clip_alone(setting):
    class Counted:
        calls = 0

        def denoise(self, *args):
            Counted.calls += 1
            return setting.prior.denoise(*args)

        def __getattr__(self, name):
            return getattr(setting.prior, name)

    other = replace(setting, prior=Counted())
    taken = prior_clips.seconds_of_a_clip(
        other, prior_clips.Sampling(1.0, 7), "kick", clock=lambda: float(Counted.calls)
    )
    assert taken == 7.0  # a second an evaluation; the two that set things up do not count


def test_clips_are_made_once_and_again_the_same(setting):
    how = prior_clips.GUIDANCE["guidance 3"]
    made = prior_clips.generated(setting, how, "kick", 2)
    (path,) = (setting.scratch / "prior").rglob("*.npy")
    kept = path.read_bytes()
    assert made.shape == (2, 1, 2 * SLOW)
    assert float(made.abs().amax()) == 1.0
    assert torch.equal(prior_clips.generated(setting, how, "kick", 2), made)
    path.unlink()
    assert torch.equal(prior_clips.generated(setting, how, "kick", 2), made)
    assert path.read_bytes() == kept


def test_without_recordings_the_shipped_statistics_do(setting, tmp_path):
    found = score(setting, tmp_path)
    assert {method for _, method in found} == {*prior.METHODS, prior_clips.NOISE}
    whole = found[prior.EVERY, "guidance 3"]
    assert set(whole) == {"fad_statistics", "copying", "copied", "similarity"}
    assert whole["similarity"] == pytest.approx(0.9 - 0.95)
    assert set(found[prior.EVERY, prior_clips.NOISE]) == {"fad_statistics"}


def test_who_has_heard_what(tmp_path):
    captioned(tmp_path)
    sides = {side: recordings(tmp_path, ["kick"], [side]) for side in SIDES}
    assert [len(sides[side]) for side in SIDES] == [3, 3, 0]  # few files: they alternate
    assert {fold_of(one) for some in sides.values() for one in some} <= set(range(5))
    assert recordings(tmp_path / "elsewhere", CLASSES, SIDES) == []


def test_a_learned_recording_is_its_own_copy():
    real = reference()
    learned = real.rows(["kick"], ["prior"], first=False)
    assert prior_figures.nearest(real.x[learned], "kick").tolist() == pytest.approx(
        [1.0] * len(learned)
    )


def test_last_quarter():
    clips = torch.ones(2, 1, 400)
    assert prior_figures.last_quarter_db(clips) == pytest.approx(0.0, abs=1e-6)
    clips[..., 300:] = math.sqrt(0.5)
    assert prior_figures.last_quarter_db(clips) == pytest.approx(
        10 * math.log10(0.5 / 0.875), abs=1e-5
    )


def test_findings_name_the_classes_that_fail():
    rows = [
        Row("prior", "kick", "guidance 3", {"evaluation_scorer": 0.9, "independent": 0.2}),
        Row("prior", "bell", "guidance 3", {"evaluation_scorer": 0.4, "independent": 0.5}),
        Row("prior", "bell", prior.REAL, {"evaluation_scorer": 0.1}),
    ]
    assert prior.findings(rows) == [
        "At guidance 3, the evaluation scorer names fewer than half of: bell 0.4.",
        "At guidance 3, the independent measure names fewer than half of: kick 0.2.",
    ]
