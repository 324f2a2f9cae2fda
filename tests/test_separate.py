"""Separation of Gaussian sources, where the Wiener filter is the exact answer."""

from dataclasses import replace

import pytest
import torch

from sds.metrics.separation import null_db, sdr
from sds.priors.base import classifier_free_guidance
from sds.priors.gaussian import GaussianPrior
from sds.separation.mask_settings import MASKS
from sds.separation.prompted_estimates import prompted_powers
from sds.separation.separate import METHODS, Separation, draw_seed, part_window, plan, separate
from sds.separation.time_frequency_masks import apply, masked_stems, prompted_logits
from sds.separation.zerosep import zerosep_estimate
from sds.signal.overlap_add import fades, overlap_add
from sds.signal.spectrogram import stft

RATE, HOP = 11025, 128
HZ = (torch.arange(HOP) + 0.5) * RATE / (2 * HOP)
LOW = 0.3 * torch.exp(-HZ / 700) + 0.01
HIGH = 0.2 * torch.exp(-(((HZ - 3000) / 700) ** 2)) + 0.01
BOTH = (LOW**2 + HIGH**2).sqrt()


ANNEALED = replace(MASKS, components=0)


def prior(seconds: float = 2.0, channels: int = 1) -> GaussianPrior:
    stds = {"": BOTH, "low": LOW, "high": HIGH}
    stds = {name: std.repeat(channels) for name, std in stds.items()}
    return GaussianPrior(
        dict.fromkeys(stds, 0.0), stds, sample_rate=RATE, hop=HOP, max_seconds=seconds,
        channels=channels,
    )  # fmt: skip


P = prior()


def draw(std: torch.Tensor, samples: int, seed: int, channels: int = 1) -> torch.Tensor:
    g = torch.Generator().manual_seed(seed)
    z = torch.randn(channels, HOP, -(-samples // HOP), generator=g) * std[:, None]
    return P.decode(z)[:, 0, :samples]


def run(mix, prompts=("low", "high"), *, rate=RATE, p=P, method=None, steps=0, seed=0):
    method = method or ANNEALED
    method = replace(method, recipe=replace(method.recipe, steps=steps, guidance=1.0, peak=0.0))
    g = torch.Generator().manual_seed(seed)
    return list(separate(p, prompts, mix, rate, method=method, generator=g))


A, B = draw(LOW, 2 * RATE, 1), draw(HIGH, 2 * RATE, 2)
WIENER = P.decode(P.encode((A + B)[None]) * (LOW**2 / BOTH**2)[:, None])[0, :, : 2 * RATE]


def parts(last):
    return torch.cat([last.stems, last.residual[None]])


def test_masks_are_the_exact_posterior_for_two_gaussians():
    """At a large sigma the powers' ratio is Wiener's, s_1^2 : s_2^2, band by band."""
    mid = (A + B)[None]
    denoise = classifier_free_guidance(P, P.embed(["low", "high"], 2.0), P.embed([""], 2.0), 1.0)
    g = torch.Generator().manual_seed(0)
    powers = prompted_powers(P, denoise, mid.expand(2, -1, -1), t=0.97, steps=60, generator=g)
    share = powers[0].mean(-1) / powers.mean(-1).sum(0)  # [F]
    exact = torch.nn.functional.interpolate(
        (LOW**2 / BOTH**2)[None, None], size=1025, mode="linear"
    )[0, 0]
    weight = powers.mean(-1).sum(0)  # where nothing sounds, leakage of the frames decides
    assert float(((share - exact).abs() * weight).sum() / weight.sum()) < 0.02


@pytest.mark.parametrize(("rest", "within"), [(0.0, 2.0), (MASKS.rest, 4.0)])
def test_stems_come_close_to_the_wiener_filter(rest, within):
    """Knowing that there is nothing else (rest 0) is worth something, here as in theory."""
    last = run(A + B, method=replace(ANNEALED, rest=rest))[-1]
    for stem, truth, bound in zip(last.stems, (A, B), (WIENER, A + B - WIENER), strict=True):
        best = float(sdr(bound, truth))
        assert best > 15
        assert float(sdr(stem, truth)) > best - within


def test_refinement_keeps_what_the_estimates_found():
    first, refined = (run(A + B, steps=n)[-1] for n in (0, 20))
    for i, truth in enumerate((A, B)):
        assert float(sdr(refined.stems[i], truth)) > float(sdr(first.stems[i], truth)) - 0.3


def test_one_prompt_leaves_the_rest_in_the_residual():
    last = run(A + B, ["low"])[-1]
    assert float(sdr(last.stems[0], A)) > 8
    assert float(sdr(last.residual, B)) > 6


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rate", [8000, 11025, 16000, 44100])
def test_stems_and_residual_null_against_the_input_as_it_came(rate, channels):
    mix = 0.3 * torch.randn(channels, rate + 17, generator=torch.Generator().manual_seed(0))
    last = run(mix, rate=rate)[-1]
    assert last.stems.shape == (2, *mix.shape)
    assert last.residual.shape == mix.shape
    assert null_db(mix, parts(last)) < -120


@pytest.mark.parametrize("prompts", [["low"], ["low", "high"], ["low", "high", "low"]])
def test_any_number_of_prompts(prompts):
    last = run(A + B, prompts)[-1]
    assert len(last.stems) == len(prompts)
    assert null_db(A + B, parts(last)) < -120


def test_stereo_places_stay():
    """Low on the left only, high on the right only: each stem keeps its side."""
    mix = torch.cat([A, B])
    last = run(mix)[-1]
    low, high = last.stems.square().sum(-1)
    assert float(low[0] / low[1]) > 10
    assert float(high[1] / high[0]) > 10


@pytest.mark.parametrize("name", ["masks", "default"])
def test_opposite_signs_left_and_right_are_parted_as_the_same_signs_are(name):
    mix = A + B
    method = replace(METHODS[name], spatial=False)
    same = run(torch.cat([mix, mix]), method=method)[-1].stems
    opposite = run(torch.cat([mix, -mix]), method=method)[-1].stems
    sign = torch.tensor([1.0, -1.0])[:, None]
    torch.testing.assert_close(opposite, sign * same, rtol=0, atol=1e-6)
    assert float(same.square().mean()) > 1e-4


def test_stereo_prior_takes_mono_and_stereo():
    p = prior(channels=2)
    for mix in (A + B, torch.cat([A, B])):
        for name in ("masks", "paper"):
            last = run(mix[:, :RATE], p=p, method=METHODS[name], steps=2)[-1]
            assert last.stems.shape == (2, len(mix), RATE)
            assert null_db(mix[:, :RATE], parts(last)) < -120


def stereo_prior(seconds=2.0):
    """A prior that knows where sounds are, not what they are: "low" is left, "high" is right."""
    side, other = torch.full((HOP,), 0.3), torch.full((HOP,), 0.01)
    stds = {"": side.repeat(2), "low": torch.cat([side, other]), "high": torch.cat([other, side])}
    return GaussianPrior(
        dict.fromkeys(stds, 0.0), stds, sample_rate=RATE, hop=HOP, max_seconds=seconds, channels=2
    )


def test_a_stereo_prior_hears_left_and_right():
    """Low on the left and high on the right: the mean of both would tell it nothing."""
    mix = torch.cat([A, B])
    method = replace(MASKS, estimator=zerosep_estimate, components=8, factor_steps=40)
    heard = run(mix, p=stereo_prior(), method=method)[-1].stems
    assert float(sdr(heard[0].flatten(), torch.cat([A, 0 * A]).flatten())) > 5
    assert float(sdr(heard[1].flatten(), torch.cat([0 * B, B]).flatten())) > 5
    once = run(A + B, p=stereo_prior(), method=method)[-1].stems
    torch.testing.assert_close(once[0], once[1])  # of a mono file it knows nothing


def test_components_are_of_a_block_however_much_the_prior_takes():
    long = Separation(prior(seconds=47.6), ("low", "high"), RATE, METHODS["masks"], seed=0)
    spans = plan(long, 60 * RATE).windows
    assert spans == plan(replace(long, prior=prior(seconds=2.0)), 60 * RATE).windows
    assert spans[0][1] - spans[0][0] <= METHODS["masks"].block * RATE
    annealed = replace(long, method=ANNEALED)  # without components the prior's windows count
    assert len(plan(annealed, 60 * RATE).windows) == 2


def test_another_rate_separates_as_well():
    from sds.signal.audio_files import resample

    mix = resample(A + B, RATE, 16000)
    last = run(mix, rate=16000)[-1]
    for stem, truth in zip(last.stems, (A, B), strict=True):
        assert float(sdr(stem, resample(truth, RATE, 16000))) > 9


def test_frequencies_the_prior_cannot_hear_go_to_the_residual():
    n = torch.arange(44100, dtype=torch.float64)
    tone = 0.3 * torch.sin(2 * torch.pi * 10_000 / 44100 * n)[None].float()
    stems = apply(torch.ones(1, 1025, 87), tone, 44100, RATE)
    assert float(stems[0, :, 12000:-12000].abs().max()) < 1e-4


QUICK = replace(ANNEALED, draws=1, rounds=2)  # where only the windows matter


def windowed(mix, order=None, *, p=P, method=QUICK, prompts=("low", "high"), negatives=()):
    """Stems done a window at a time, in any order, and added up as they would be from disk."""
    method = replace(method, recipe=replace(method.recipe, steps=0, guidance=1.0, peak=0.0))
    seed = draw_seed(torch.Generator().manual_seed(0))
    asked = Separation(p, prompts, RATE, method, seed, negatives)
    cut = plan(asked, mix.shape[1])
    done = {}
    for i in order or range(len(cut.windows)):
        *_, last = part_window(asked, cut, lambda b, e: mix[:, b:e], i)
        done[i] = last.stems
    faded = [done[i] * fade for i, fade in enumerate(fades(cut.windows))]
    return torch.cat(list(overlap_add(cut.windows, faded)), -1)


def test_windows_in_any_order_give_the_same_stems():
    """So a run that was killed goes on where it was, bit for bit."""
    mix = torch.cat([A + B, A - B, B - A], 1)
    whole = run(mix, method=QUICK)[-1].stems
    assert torch.equal(windowed(mix), whole)
    assert torch.equal(windowed(mix, [3, 1, 4, 0, 2]), whole)


def test_long_file_begins_as_its_first_window():
    mix = torch.cat([A + B, A - B, B - A], 1)
    cut = plan(Separation(P, ("low", "high"), RATE, QUICK, seed=0), mix.shape[1])
    assert len(cut.windows) == 5
    heard = cut.windows[0][1] + cut.tail
    changed = torch.cat([mix[:, :heard], 3 * torch.flip(mix[:, heard:], [1])], 1)
    alone = cut.windows[1][0]
    long, other = run(mix, method=QUICK)[-1], run(changed, method=QUICK)[-1]
    assert torch.equal(long.stems[..., :alone], other.stems[..., :alone])
    assert null_db(mix, parts(long)) < -120


def test_a_window_hears_beyond_its_end_and_at_the_file_s_end_a_mirror():
    heard = []

    class Hearing(GaussianPrior):
        def encode(self, audio):
            heard.append(audio)
            return super().encode(audio)

    stds = {"": BOTH, "low": LOW, "high": HIGH}
    p = Hearing(dict.fromkeys(stds, 0.0), stds, sample_rate=RATE, hop=HOP, max_seconds=2.0)
    mix = (A + B)[:, : int(1.5 * RATE)]
    cut = plan(Separation(p, ("low", "high"), RATE, QUICK, seed=0), mix.shape[1])
    assert (cut.windows, cut.tail) == (((0, mix.shape[1]),), int(0.2 * RATE))
    windowed(mix, p=p)
    mirrored = mix.flip(1)[:, 1 : cut.tail + 1]
    torch.testing.assert_close(heard[0][0], torch.cat([mix, mirrored], 1))


def level_db(x):
    return 10 * torch.log10(x.double().square().mean(-1).mean(-1))


@pytest.mark.parametrize(
    "method",
    [QUICK, replace(MASKS, block=4.0, factor_steps=40, estimates=2)],
    ids=["bins", "masks"],
)
def test_levels_hold_across_joins_and_to_the_end(method):
    """Two stationary sources: each stem is as loud where windows meet as anywhere, in dB."""
    time = 10 * RATE
    low, high = draw(LOW, time, 3), draw(HIGH, time, 4)
    cut = plan(Separation(P, ("low", "high"), RATE, method, seed=0), time)
    assert len(cut.windows) >= 3
    stems, truth = windowed(low + high, method=method), torch.stack([low, high])
    everywhere = level_db(stems) - level_db(truth)
    for (begin, _), (_, end) in zip(cut.windows[1:], cut.windows[:-1], strict=True):
        joined = level_db(stems[..., begin:end]) - level_db(truth[..., begin:end])
        assert float((joined - everywhere).abs().max()) < 0.5
    last = level_db(stems[..., -time // 4 :]) - level_db(stems[..., : 3 * time // 4])
    assert float(last.abs().max()) < 1.0


class Fading(GaussianPrior):
    """Believes, as models trained on padded clips do, that a clip ends in silence."""

    def denoise(self, x, sigma, cond):
        out = super().denoise(x, sigma, cond)
        ending = max(1, out.shape[-1] // 12)
        fade = torch.ones(out.shape[-1])
        fade[-ending:] = 10 ** (-40 / 20)
        # what it silences is not the mixture's share but all of the one prompt's
        return torch.cat([out[:1] * fade, out[1:]])


@pytest.mark.parametrize("seconds", [2.0, 5.0])
def test_a_prior_that_ends_clips_in_silence_does_not_end_ours(seconds):
    stds = {"": BOTH, "low": LOW, "high": HIGH}
    p = Fading(dict.fromkeys(stds, 0.0), stds, sample_rate=RATE, hop=HOP, max_seconds=2.0)
    time = int(seconds * RATE)
    mix = draw(LOW, time, 3) + draw(HIGH, time, 4)
    stems = windowed(mix, p=p)[:1]
    quarter = time // 4
    last, rest = level_db(stems[..., -quarter:]), level_db(stems[..., :-quarter])
    assert abs(float(last - rest)) < 1.0


def test_heard_only_to_its_end_a_clip_would_end_in_silence():
    """What the test above would see if windows were given to the method as they are."""
    p = GaussianPrior(
        {"": 0.0, "low": 0.0, "high": 0.0}, {"": BOTH, "low": LOW, "high": HIGH},
        sample_rate=RATE, hop=HOP, max_seconds=2.0,
    )  # fmt: skip
    mix = draw(LOW, 2 * RATE, 3) + draw(HIGH, 2 * RATE, 4)
    ending = RATE // 6

    def fall(p):
        method = replace(QUICK, recipe=replace(QUICK.recipe, guidance=1.0, peak=0.0))
        g = torch.Generator().manual_seed(0)
        work = masked_stems(p, ["low", "high"], mix, RATE, method=method, generator=g)
        *_, last = work
        return level_db(last.stems[0, :, :-ending]) - level_db(last.stems[0, :, -ending:])

    fading = Fading(p.means, p.stds, sample_rate=RATE, hop=HOP, max_seconds=2.0)
    assert float(fall(fading) - fall(p)) > 1.5


def test_what_negatives_name_goes_to_the_residual():
    """As the stem of a second prompt would, and the first stem stays what it was."""
    both = run(A + B, method=QUICK)[-1]
    method = replace(QUICK, recipe=replace(QUICK.recipe, steps=0, guidance=1.0, peak=0.0))
    g = torch.Generator().manual_seed(0)
    *_, last = separate(P, ["low"], A + B, RATE, method=method, generator=g, negatives=["high"])
    assert torch.equal(last.stems[0], both.stems[0])
    assert float(sdr(last.residual, B)) > 8
    assert null_db(A + B, parts(last)) < -120


@pytest.mark.parametrize("k", [1, 2, 3, 4, 5, 6])
def test_one_to_six_prompts_share_a_mixture(k):
    names = [f"band {i}" for i in range(k)]
    bumps = {
        n: 0.01 + 0.3 * torch.exp(-(((HZ - 500 - 850 * i) / 250) ** 2)) for i, n in enumerate(names)
    }
    stds = {"": torch.stack(list(bumps.values())).square().sum(0).sqrt(), **bumps}
    p = GaussianPrior(dict.fromkeys(stds, 0.0), stds, sample_rate=RATE, hop=HOP, max_seconds=2.0)
    sources = torch.stack([draw(bumps[n], RATE, 20 + i) for i, n in enumerate(names)])
    mix = sources.sum(0)
    stems = windowed(mix, p=p, prompts=names)
    for stem, source in zip(stems, sources, strict=True):
        assert float(sdr(stem, source)) > 6
    assert null_db(mix, torch.cat([stems, (mix - stems.sum(0))[None]])) < -120


@pytest.mark.parametrize("samples", [1, 50, 300])
def test_very_short_and_silent_input(samples):
    for mix in (torch.zeros(1, samples), torch.ones(2, samples)):
        last = run(mix, steps=2)[-1]
        assert bool(last.stems.isfinite().all())
        assert null_db(mix, parts(last)) < -120


def test_logits_without_a_source_leave_all_to_the_rest():
    mixture = torch.ones(40, 30)
    masks = prompted_logits(torch.zeros(2, 40, 30), mixture, rest=0.3, power=2.0).softmax(0)
    assert float(masks[:2].max()) < 0.01
    assert torch.allclose(masks.sum(0), mixture, atol=1e-6)


def test_paper_method_reconstructs_as_it_goes():
    mix = (A + B)[:, :RATE]
    steps = run(mix, method=METHODS["paper"], steps=30)
    rebuilt = [s.figures["reconstruction"] for s in steps if "reconstruction" in s.figures]
    assert rebuilt[-1] < 0.2 * rebuilt[0]
    assert null_db(mix, parts(steps[-1])) < -120


def test_paper_method_has_the_paper_s_values():
    p = METHODS["paper"]
    assert (p.gamma, p.recipe.lr, p.recipe.samples, p.recipe.steps) == (0.02, 0.05, 10, 1000)


def test_progress_runs_from_zero_to_one_and_repeats():
    first, second = (run(torch.cat([A, B], 1), steps=3) for _ in range(2))
    fractions = [s.fraction for s in first]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    assert all(s.stems is None for s in first[:-1])
    assert torch.equal(first[-1].stems, second[-1].stems)


def test_closing_stops_before_the_next_window():
    seen = []

    class Watched(GaussianPrior):
        def denoise(self, x, sigma, cond):
            seen.append(len(x))
            return super().denoise(x, sigma, cond)

    stds = {"": BOTH, "low": LOW}
    p = Watched(dict.fromkeys(stds, 0.0), stds, sample_rate=RATE, hop=HOP, max_seconds=1.0)
    g = torch.Generator().manual_seed(0)
    work = separate(p, ["low"], torch.cat([A, B], 1), RATE, method=MASKS, generator=g)
    next(work)
    work.close()
    assert len(seen) == 16


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match=r"with 1 or 2 channels, got \[3, 5\]"):
        run(torch.zeros(3, 5))
    with pytest.raises(ValueError, match="at least 1 stem"):
        run(A, [])


def test_mask_spectrum_of_the_mixture_is_its_own():
    assert torch.allclose(apply(torch.ones(1, 1025, 44), A, RATE, RATE)[0], A, atol=1e-5)
    assert stft(A[None], 2048).shape[2] == 1025


def test_a_faint_mixture_is_parted_like_a_loud_one():
    def stems(gain):
        g = torch.Generator().manual_seed(0)
        method = replace(MASKS, draws=1, rounds=2)
        *_, last = separate(P, ["low", "high"], gain * (A + B), RATE, method=method, generator=g)
        return last.stems

    assert torch.allclose(stems(0.01), 0.01 * stems(1.0), rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("channels", [1, 2])
def test_components_go_to_their_prompts(channels):
    """Bursts of two bands, over three of the prior's windows."""
    time = torch.arange(6 * RATE) / RATE
    bursts = (torch.sin(2 * torch.pi * 3 * time) > 0.3).float()
    low = torch.cat([A, -A, A], 1) * bursts
    high = torch.cat([B, B, -B], 1) * (torch.sin(2 * torch.pi * 5 * time) > 0.5)
    mix = (low + high).expand(channels, -1)
    steps = run(mix, method=MASKS)
    last = steps[-1]
    # one block, whatever the prior's window
    assert len(plan(Separation(P, ("low", "high"), RATE, MASKS, seed=0), mix.shape[1]).windows) == 1
    assert null_db(mix, parts(last)) < -120
    for stem, truth in zip(last.stems, (low, high), strict=True):
        assert float(sdr(stem[:1], truth)) > 7
