"""A second device that any machine has: it computes on the CPU, minds where tensors are, counts.

Tensors of it say that they are on "meta". Inside `FarDevice`, an operation on tensors of two
devices is refused as a GPU refuses it (a single number and an index may be on the CPU), and what
goes from one to the other is counted.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_flatten, tree_map_only

FAR = torch.device("meta")
INDEX = frozenset({"index", "index_put", "index_put_", "_index_put_impl_"})
LAZY = {"_conj": torch.conj_physical, "_neg_view": torch.neg}


class Far(torch.Tensor):
    """A tensor on the far device; `inner` is on the CPU."""

    inner: torch.Tensor

    @staticmethod
    def __new__(cls, real: torch.Tensor) -> Far:
        made: Far = torch.Tensor._make_wrapper_subclass(
            cls, real.size(), strides=real.stride(), storage_offset=real.storage_offset(),
            dtype=real.dtype, device=FAR, requires_grad=real.requires_grad,
        )  # fmt: skip
        made.inner = real
        return made

    def __repr__(self, *, tensor_contents: Any = None) -> str:
        return f"Far({self.inner!r})"

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        raise AssertionError(f"{func} on the far device outside of FarDevice")


class FarDevice(TorchDispatchMode):
    """`up` and `down` are the numbers that went there and came back, `asked` how often the host
    waited for a single one.
    """

    def __init__(self) -> None:
        super().__init__()
        self.up = self.down = self.asked = 0
        self.ran: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        name = func.overloadpacket.__name__
        flat = tree_flatten((args, kwargs))[0]
        far = any(isinstance(x, Far) for x in flat)
        to = kwargs.get("device")
        if to is not None:
            kwargs["device"] = torch.device("cpu")
        if far and name in LAZY:  # a flag on the CPU; below this mode nobody looks at it
            return Far(LAZY[name](args[0].inner))
        if name == "_local_scalar_dense":
            self.asked += far
            return func(*real(args))
        if name == "copy_":
            self._count(isinstance(args[1], Far), isinstance(args[0], Far), args[1].numel())
            func(*real(args), **kwargs)
            return args[0]
        near = [
            x for x in flat if isinstance(x, torch.Tensor) and not isinstance(x, Far) and x.ndim
        ]
        if far and near and name not in INDEX:
            raise RuntimeError(f"{name}: tensors are on two devices")
        if name == "_to_copy":
            there = far if to is None else torch.device(to) == FAR
            self._count(far, there, args[0].numel())
        else:
            there = far or (to is not None and torch.device(to) == FAR)
        if there:
            self.ran[name] += 1
        out = func(*real(args), **real(kwargs))
        if not there:
            return out
        out = tree_map_only(torch.Tensor, Far, out)
        if far:
            return return_and_correct_aliasing(func, args, kwargs, out)
        return out

    def _count(self, was: bool, there: bool, numbers: int) -> None:
        self.up += numbers if there and not was else 0
        self.down += numbers if was and not there else 0


def real(values: Any) -> Any:
    """The same with tensors on the CPU."""
    return tree_map_only(Far, lambda far: far.inner, values)
