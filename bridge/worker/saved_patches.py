"""What a search leaves behind: a patch and its sound, with what the evaluation scorer says;
previews.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from presets import Preset, save
from renderers import effects
from sds.signal.audio_files import mono
from sds.similarity import base

PREVIEW_GAP = 3.0  # seconds between two previews
PREVIEWS_KEPT = 3


def similarity_function(
    scorer: base.TextAudioSimilarity, prompt: str, rate: int
) -> Callable[[Tensor], Tensor]:
    """How well audio [B, 1, T] fits the prompt by a scorer: a function to [B]."""
    return lambda sound: scorer.similarity(sound, rate, [prompt])[:, 0]


def keep(
    patch: Preset,
    path: Path,
    *,
    rate: int,
    match: Callable[[Tensor], Tensor] | None,
    before: float | None,
    steps: int,
) -> float | None:
    """Write a patch as `path`.json and its sound as `path`.wav; how it matches what was written."""
    heard = effects.render(patch, rate=rate)
    effects.write(heard, path.with_suffix(".wav"), rate=rate)
    after = float(match(mono(torch.from_numpy(heard))[None, None])) if match else None
    facts = {"steps": steps, "score_before": before, "score_after": after}
    provenance = patch.provenance.model_copy(update=facts)
    save(patch.model_copy(update={"provenance": provenance}), path.with_suffix(".json"))
    return after


class Previews:
    """Paths for previews of a running job: one at once, then one every few seconds."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._last, self._paths = folder, -PREVIEW_GAP, list[Path]()

    def next(self, step: int) -> Path | None:
        """Where to write a preview now (add .json and .wav), None when it is too early."""
        now = time.monotonic()
        if now - self._last < PREVIEW_GAP:
            return None
        self._last = now
        self._paths.append(self._folder / f"best-{step:04d}")
        for old in self._paths[:-PREVIEWS_KEPT]:
            for suffix in (".json", ".wav"):
                old.with_suffix(suffix).unlink(missing_ok=True)
        return self._paths[-1]
