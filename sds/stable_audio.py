"""The one adapter to stable-audio-tools checkpoints: the shipped default, Stable Audio Open, ..."""

from __future__ import annotations

from sds.checkpoints import ModelUnavailable, build_model

__all__ = ["ModelUnavailable", "build_model"]
