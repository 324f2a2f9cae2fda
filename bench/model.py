"""The shipped model: one guided evaluation, and the codec, on 3 s of sound."""

from __future__ import annotations

import json
import sys

import torch

from bench.timing import best
from sds.priors.base import classifier_free_guidance
from sds.priors.loading import load_prior

SECONDS = 2.9


def rows() -> list[dict[str, object]]:
    """A guided evaluation against two separate ones; encode and decode against real time."""
    prior = load_prior("default")
    g = torch.Generator().manual_seed(0)
    audio = 0.1 * torch.randn(1, 1, int(SECONDS * prior.sample_rate), generator=g)
    with torch.no_grad():
        z = prior.encode(audio)
        cond, uncond = prior.embed(["kick drum"], SECONDS), prior.embed([""], SECONDS)
        sigma = torch.ones(1)
        denoise = classifier_free_guidance(prior, cond, uncond, 7.0)

        def apart() -> torch.Tensor:
            c, u = prior.denoise(z, sigma, cond), prior.denoise(z, sigma, uncond)
            return u + 7.0 * (c - u)

        error = float((denoise(z, sigma) - apart()).abs().max())
        once, twice = best(lambda: denoise(z, sigma)), best(apart)
        both = best(lambda: prior.decode(prior.encode(audio), like=audio))
        alone = best(lambda: prior.decode(prior.encode(audio)))
    return [
        {
            "name": f"one guided evaluation, {z.shape[-1]} latent frames",
            "value": f"{1e3 * once:.1f} ms",
            "reference": f"with and without the prompt apart, {1e3 * twice:.1f} ms",
            "ratio": twice / once,
            "error": error,
            "target": "<= 30 ms",
        },
        {
            "name": "codec, encode and decode 3 s with the phase of what plays",
            "value": f"{1e3 * both:.0f} ms",
            "reference": f"real time, {SECONDS} s",
            "ratio": SECONDS / both,
            "error": None,
            "target": "<= 150 ms",
        },
        {
            "name": "codec, encode and decode 3 s, phase reconstructed",
            "value": f"{1e3 * alone:.0f} ms",
            "reference": f"real time, {SECONDS} s",
            "ratio": SECONDS / alone,
            "error": None,
            "target": "<= 150 ms",
        },
    ]


if __name__ == "__main__":
    torch.set_flush_denormal(True)
    for line in rows():
        sys.stdout.write(json.dumps(line, ensure_ascii=False) + "\n")
