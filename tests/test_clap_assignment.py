"""What the search scorer decides: powers added up are what it hears of a sound, and shares go to
prompts.
"""

from functools import lru_cache

import torch

from sds.separation.clap_assignment import (
    component_bands,
    contrastive_logits,
    embed_components,
    optimise_shares,
)
from sds.separation.networks import load_networks
from sds.separation.nmf import masks_from_shares, nmf
from sds.signal.audio_files import resample
from sds.signal.spectrogram import istft, stft
from sds.similarity.two_tower import RATE


@lru_cache(maxsize=1)
def search_scorer():
    return load_networks().search_scorer


def gen(seed=0):
    return torch.Generator().manual_seed(seed)


def noise_and_hum(seconds=3.0):
    """Rain-like noise and a low hum, [2, T], of one energy, that take turns."""
    time = torch.arange(int(seconds * RATE)) / RATE
    hum = sum(torch.sin(2 * torch.pi * 55 * k * time) / k for k in range(1, 6))
    rain = torch.randn(len(time), generator=gen(1))
    sounds = torch.stack([rain, hum * (torch.sin(2 * torch.pi * time) > 0)])
    return 0.1 * sounds / sounds.square().mean(1, keepdim=True).sqrt()


def test_components_together_sound_like_the_whole():
    """All components, added up as powers, are heard as the search scorer hears the audio itself."""
    mix = noise_and_hum().sum(0)
    spectrum = stft(mix[None, None], 2048).abs()[0, 0]
    w, h = nmf(spectrum, 8, steps=50, generator=gen())
    towers = search_scorer().towers
    power = component_bands(towers, w, h, spectrum, RATE).sum(0, keepdim=True)
    # powers here are those of a window of norm 1
    here = embed_components(towers, power * float(torch.hann_window(2048).square().sum()))
    assert float((here @ search_scorer().hear(mix[None, None], RATE).T)[0, 0]) > 0.999


def test_bands_at_half_the_rate_are_those_of_the_low_half():
    mix = resample(noise_and_hum(), RATE, RATE // 2)
    low = resample(mix, RATE // 2, RATE).sum(0)
    towers, found = search_scorer().towers, []
    for audio, rate in ((mix.sum(0), RATE // 2), (low, RATE)):
        spectrum = stft(audio[None, None], 2048).abs()[0, 0]
        w, h = nmf(spectrum, 4, steps=20, generator=gen())
        found.append(
            embed_components(towers, component_bands(towers, w, h, spectrum, rate).sum(0)[None])
        )
    # the windows are twice as long at half the rate, and noise is another noise in them
    assert float((found[0] @ found[1].T)[0, 0]) > 0.9


def test_contrast_is_a_log_probability():
    assert float(contrastive_logits(torch.eye(2) * 2 - 1)) > -1e-6
    assert abs(float(contrastive_logits(torch.zeros(3, 3))) + torch.log(torch.tensor(3.0))) < 1e-6


def test_shares_settle_where_stems_sound_like_their_prompts():
    """From no knowledge at all, two sounds that take turns go to their words."""
    sounds = noise_and_hum()
    spectrum = stft(sounds.sum(0)[None, None], 2048)
    magnitude = spectrum.abs()[0, 0]
    w, h = nmf(magnitude, 6, steps=100, generator=gen())
    scorer, prompts = search_scorer(), ["rain falling", "electric hum"]
    words = scorer.read(prompts)
    right = scorer.similarity(sounds[:, None], RATE, prompts)
    assert float(contrastive_logits(right)) > float(
        contrastive_logits(right.flip(0))
    )  # the search scorer knows the two
    parts = component_bands(scorer.towers, w, h, magnitude, RATE)
    tilt = 0.1 * torch.randn(2, 6, generator=gen(3))
    scores = []
    for steps in (0, 30):
        *_, logits = optimise_shares(scorer.towers, parts, words, tilt, steps=steps, pull=0.0)
        masks = masks_from_shares(w, h, logits.softmax(0))
        stems = istft(masks[:, None] * spectrum, 2048, sounds.shape[1])
        scores.append(float(contrastive_logits(scorer.similarity(stems, RATE, prompts))))
    assert scores[1] > scores[0] + 0.1
