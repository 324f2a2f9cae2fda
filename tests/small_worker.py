"""The real worker on an exact prior of two seconds at 8 kHz and a short `paper`: quick windows.

Run as a script it is `python -m bridge.worker` with these.
"""

from collections.abc import Sequence
from dataclasses import replace

from bridge.worker import models, separate
from bridge.worker.__main__ import main
from sds.priors.gaussian import GaussianPrior
from sds.separation.audio_sds import LATENTS

PAPER = replace(LATENTS, recipe=replace(LATENTS.recipe, samples=1, scales=(512,)))


def gaussian(prompts: Sequence[str]) -> GaussianPrior:
    """As many Gaussians as prompts, each quieter than the one before."""
    stds = {name: 0.1 / (1 + i) for i, name in enumerate(["", *prompts])}
    return GaussianPrior(dict.fromkeys(stds, 0.0), stds, sample_rate=8000, max_seconds=2.0)


if __name__ == "__main__":
    from sds.separation.separate import METHODS

    METHODS["paper"] = PAPER
    models.gaussian = gaussian
    separate._code = list  # whoever edits `sds` while the tests run changes no job of theirs
    main()
