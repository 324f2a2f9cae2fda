"""Separation by latents through a codec of waveforms: the gradient, its memory, its device."""

import pytest
import torch

from sds.distillation.recipes import Recipe
from sds.priors.chunked_codec import in_chunks
from sds.priors.gaussian import GaussianPrior
from sds.priors.stable_audio import StableAudioPrior
from sds.separation.audio_sds import LATENTS, Latents, audio_sds_stems
from sds.separation.separate import Separation, plan
from tests.tiny_stable_audio import RATE, RATIO, config, noise, random_model

FRAMES = 240  # three joins of pieces of 84 that share 36


@pytest.fixture(scope="module")
def prior():
    settings = config()
    return StableAudioPrior(random_model(settings), settings, name="tiny")


def whole(prior, z):
    """The decoder in one piece, all rows at once, its graph kept."""
    codec = prior.codec
    return codec.model.decode(z * codec.scale)


def loss(x, wanted):
    return (x * wanted).sum() + x.square().sum()


def test_gradient_through_recomputed_pieces_is_the_gradient(prior):
    z, wanted = noise(2, 8, FRAMES), noise(2, 2, FRAMES * RATIO, seed=1)
    gradients = []
    for decode in (prior.decode, lambda z: whole(prior, z)):
        h = z.clone().requires_grad_(True)
        x = decode(h)
        loss(x, wanted).backward()
        gradients.append(h.grad)
    ours, true = gradients
    assert (ours - true).norm() / true.norm() < 1e-5
    joins = (ours - true).abs().amax((0, 1)) / true.abs().amax()
    assert joins.max() < 1e-5  # nowhere, so not at a seam either


def test_gradient_through_the_encoder_is_the_gradient(prior):
    audio, wanted = 0.1 * noise(2, 2, FRAMES * RATIO), noise(2, 8, FRAMES, seed=1)
    gradients = []
    codec = prior.codec
    for encode in (
        prior.encode,
        lambda x: codec.model.encode(x, skip_bottleneck=True).chunk(2, 1)[0] / codec.scale,
    ):
        x = audio.clone().requires_grad_(True)
        loss(encode(x), wanted).backward()
        gradients.append(x.grad)
    ours, true = gradients
    assert (ours - true).norm() / true.norm() < 1e-5


def kept(prior, decode, z):
    """Bytes that autograd keeps for the backward pass, weights aside, and the most it keeps at a
    time on the way back.
    """
    own = {weight.untyped_storage().data_ptr() for weight in prior.codec.parameters()}
    alive, most = {}, [0]

    class Kept:
        def __init__(self, tensor):
            self.tensor, storage = tensor, tensor.untyped_storage()
            self.key, size = storage.data_ptr(), storage.nbytes()
            count, _ = alive.get(self.key, (0, size))
            alive[self.key] = count + 1, size
            most[0] = max(most[0], sum(s for key, (_, s) in alive.items() if key not in own))

        def __del__(self):
            count, size = alive[self.key]
            if count == 1:
                del alive[self.key]
            else:
                alive[self.key] = count - 1, size

    with torch.autograd.graph.saved_tensors_hooks(Kept, lambda held: held.tensor):
        x = decode(z)
        after = most[0]
        x.square().sum().backward()
    return after, most[0]


def test_one_piece_of_one_source_keeps_a_graph_at_a_time(prior):
    one = kept(prior, lambda z: whole(prior, z), noise(1, 8, 84).requires_grad_(True))[1]
    for rows in (1, 4):
        z = noise(rows, 8, FRAMES).requires_grad_(True)
        before, most = kept(prior, prior.decode, z)
        sound = rows * 2 * FRAMES * RATIO * 4
        assert before <= 8 * sound  # latents, joins of pieces, and the sound itself
        assert most < 1.1 * one + 8 * sound
        assert kept(prior, lambda z: whole(prior, z), z)[1] > 0.9 * rows * one * FRAMES / 84


def test_pieces_for_gradients_are_those_of_the_identity():
    x = noise(1, 1, 500)
    y = in_chunks(lambda a, b: x[..., a:b], 500, step=1, chunk=84, overlap=36)
    torch.testing.assert_close(y, x, rtol=0, atol=1e-6)


def test_windows_are_no_longer_than_ten_seconds(prior):
    long = Separation(prior, ("a",), 44100, LATENTS, 0)
    prior.max_seconds, before = 47.6, prior.max_seconds
    try:
        cut = plan(long, 44100 * 60)
    finally:
        prior.max_seconds = before
    assert max(end - begin for begin, end in cut.windows) + cut.tail <= 441_000
    assert plan(long, 44100 * 60).windows[0][1] <= 2 * 44100  # or than the prior takes


def test_phase_in_the_reconstruction_brings_the_sum_nearer_to_the_wave():
    """Magnitudes alone leave the sum of the stems with phases of its own."""
    recipe = Recipe(steps=40, lr=0.02, guidance=7.0, samples=2, scales=(256, 512))
    mix = 0.3 * noise(1, 2000, seed=1)
    low = torch.linspace(1, 0, 64)
    prior = GaussianPrior(
        dict.fromkeys(("", "low", "high"), 0.0),
        {"": 0.3, "low": 0.3 * low + 0.01, "high": 0.3 * (1 - low) + 0.01},
        sample_rate=RATE,
        hop=64,
    )
    errors = []
    for phase in (0.0, 1.0):
        *_, last = audio_sds_stems(
            prior, ["low", "high"], mix, RATE, method=Latents(recipe, 0.02, phase=phase),
            generator=torch.Generator().manual_seed(0),
        )  # fmt: skip
        errors.append(float((last.stems.sum(0) - mix).square().mean() / mix.square().mean()))
    assert 0.08 < errors[0] < 0.15  # 9 dB
    assert errors[1] < errors[0] / 10
