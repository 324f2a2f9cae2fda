"""musicnn: its spectra and layers against theory; where it is installed, what it calls sounds."""

import math

import pytest
import torch

from sds.scoreboard.musicnn import FRAMES, MELS, SHAPES, TAGS, Musicnn, load_musicnn


def tensors(value):
    """A checkpoint of one number, batch norms that change nothing but by `1 / sqrt(1 + 1e-3)`."""
    found = {}
    for name, shape in SHAPES.items():
        found[f"{name}/kernel"] = torch.full(shape, value)
        found[f"{name}/bias"] = torch.zeros(shape[-1])
    for index, width in enumerate((1, 204, 204, 51, 51, 51, 64, 64, 64, 1506, 200)):
        name = f"batch_normalization_{index}" if index else "batch_normalization"
        found[f"{name}/moving_mean"] = torch.zeros(width)
        found[f"{name}/moving_variance"] = torch.ones(width) - 1e-3
        found[f"{name}/gamma"] = torch.ones(width)
        found[f"{name}/beta"] = torch.zeros(width)
    return found


def test_layers_are_those_of_the_paper():
    """All weights 1, one frame that is not silent: the front end adds 38 and 67 bands, or 1."""
    net = Musicnn(tensors(1.0))
    x = torch.zeros(1, FRAMES, MELS)
    x[0, 90] = 1.0
    front = net._front(x)
    assert front.shape == (1, 561, FRAMES)
    assert [float(front[0, i].max()) for i in (0, 204, 408, 459, 510)] == [38, 67, 1, 1, 1]
    heard = [int((front[0, i] > 0).sum()) for i in (0, 204, 408, 459, 510)]
    assert heard == [7, 7, 128, 64, 32]  # frames
    # "same" of TensorFlow: of 127 zeros 63 stand before, so the frame is heard 64 frames earlier
    assert int((front[0, 408] > 0).nonzero()[0]) == 90 - 64
    assert net.penultimate(x[None]).shape == (1, 1, 200)


def test_probabilities_and_embeddings_have_their_shapes():
    net = Musicnn(tensors(0.0))
    audio = torch.randn(2, 1, 7 * 16000, generator=torch.Generator().manual_seed(0))
    assert torch.equal(net.tags(audio, 16000), torch.full((2, len(TAGS)), 0.5))
    assert net.embed(audio, 16000).shape == (2, 200)


def test_a_checkpoint_of_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"dense of musicnn must be \(1506, 200\), got None"):
        Musicnn({k: v for k, v in tensors(0.0).items() if k != "dense/kernel"})


def plucked(hz, seconds=3.0, rate=16000):
    """A string of Karplus & Strong (1983): noise in a delay line, averaged."""
    n = round(rate / hz)
    line = torch.rand(n, generator=torch.Generator().manual_seed(1)).mul(2).sub(1).tolist()
    out = []
    for t in range(round(seconds * rate)):
        out.append(line[t % n])
        line[t % n] = 0.498 * (line[t % n] + line[(t + 1) % n])
    return torch.tensor(out)


needs_musicnn = pytest.mark.skipif(load_musicnn() is None, reason="musicnn is not installed")


@needs_musicnn
def test_a_plucked_string_is_a_guitar():
    net = load_musicnn()
    tags = net.tags(plucked(196.0)[None, None], 16000)[0]
    best = [TAGS[i] for i in tags.argsort(descending=True)[:3].tolist()]
    assert "guitar" in best


@needs_musicnn
def test_a_beat_is_drums_and_at_any_level():
    t = torch.arange(12000) / 24000  # half a second
    noise = torch.randn(12000, generator=torch.Generator().manual_seed(0))
    kick = torch.sin(2 * math.pi * 60 * t) * torch.exp(-t / 0.1)
    snare = noise * torch.exp(-t / 0.05)
    beat = torch.cat([kick, snare] * 3)[None, None]
    tags = load_musicnn().tags(beat, 24000)[0]
    best = [TAGS[i] for i in tags.argsort(descending=True)[:5].tolist()]
    assert set(best) & {"drums", "beat", "techno"}
    assert torch.allclose(tags, load_musicnn().tags(0.001 * beat, 24000)[0], atol=1e-3)
