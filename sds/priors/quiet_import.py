"""stable-audio-tools imported and run without its side effects, and without what is never used.

On import the library sets the compiler's switches, has a function compiled that only flexible
attention calls, and asks for the samplers of k_diffusion, which ask for torchvision. All of this
loads torch's compiler: of 8 s of a core until the default model was there, 6.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import sys
import warnings
from collections.abc import Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

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


COMPILER = "torch._dynamo"
UNUSED = "k_diffusion"


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep the library's prints and warnings inside, and put back the switches it turns."""
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    switches = [
        (matmul, "allow_tf32"), (cudnn, "allow_tf32"), (cudnn, "benchmark"),
        (cudnn, "deterministic"),
    ]  # fmt: skip
    if COMPILER in sys.modules:
        config = torch._dynamo.config
        switches += [(config, "cache_size_limit"), (config, "suppress_errors")]
    before = [(owner, name, getattr(owner, name)) for owner, name in switches]
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for owner, name, value in before:
            if getattr(owner, name) != value:
                setattr(owner, name, value)


@contextlib.contextmanager
def importing() -> Iterator[None]:
    """`quiet`, for imports of the library: what it wants compiled stays as it is written, and
    k_diffusion is imported by the first who uses it.
    """
    with quiet(), _without_compiler(), _later(UNUSED):
        yield


@contextlib.contextmanager
def _without_compiler() -> Iterator[None]:
    if COMPILER in sys.modules:
        yield
        return
    compile_ = torch.compile
    torch.compile = lambda function, **_: function  # type: ignore[assignment]
    torch._dynamo = SimpleNamespace(  # type: ignore[assignment]
        config=SimpleNamespace(cache_size_limit=0, suppress_errors=False)
    )
    try:
        yield
    finally:
        torch.compile = compile_
        if COMPILER not in sys.modules:
            del torch._dynamo  # the next who asks for it imports it


class _Later(ModuleType):
    """A module that is imported when something of it is asked for."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(importlib.import_module(self.__name__), name)


@contextlib.contextmanager
def _later(name: str) -> Iterator[None]:
    if name in sys.modules:
        yield
        return
    stand_in = sys.modules[name] = _Later(name)
    try:
        yield
    finally:
        if sys.modules.get(name) is stand_in:
            del sys.modules[name]
