"""stable-audio-tools imported and run without its side effects."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterator

import torch

BUILD_ERRORS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    ImportError,
    LookupError,
    NotImplementedError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""What the library's factory raises for a description it cannot build."""


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep the library's prints and warnings inside, and put back the switches it turns."""
    dynamo = torch._dynamo.config
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = (
        (dynamo, "cache_size_limit", dynamo.cache_size_limit),
        (dynamo, "suppress_errors", dynamo.suppress_errors),
        (matmul, "allow_tf32", matmul.allow_tf32),
        (cudnn, "allow_tf32", cudnn.allow_tf32),
        (cudnn, "benchmark", cudnn.benchmark),
        (cudnn, "deterministic", cudnn.deterministic),
    )
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for owner, name, value in before:
            if getattr(owner, name) != value:
                setattr(owner, name, value)
