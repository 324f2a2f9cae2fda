"""What a model of stable-audio-tools costs, counted without its weights: arithmetic and memory.

The networks are built on torch's meta device, where tensors have shapes and no numbers, and run
once: `FlopCounterMode` counts matrix products and convolutions, `Peak` the bytes that are alive.
Nothing of it depends on this machine, and nothing is loaded.
"""

from __future__ import annotations

import copy
import math
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from sds.priors.checkpoints import CONFIG, ModelUnavailable, first_line
from sds.priors.chunked_codec import GRAPH_CHUNK, GRAPH_OVERLAP
from sds.priors.published import T5_SHAPES, T5Shape
from sds.priors.quiet_import import BUILD_ERRORS
from sds.priors.stable_audio_modules import build_model, conditioner_types

FLOAT = 4  # bytes of a number in single precision


@dataclass(frozen=True, slots=True)
class Costs:
    """What one call of each part of a model costs, for clips of `seconds` in single precision.

    - `frames`: latent frames of a clip.
    - `network`, `codec`, `text`: numbers in the weights of the transformer, of the codec, and of
      the text encoder (0 where the model brings none of its own).
    - `row_flops`: operations of one evaluation of one clip at one noise level, for one prompt.
    - `encode_flops`, `decode_flops`: of one clip; `gradient_flops`: of one decode with its
      gradient, in pieces (`sds.priors.chunked_codec`): forward, forward again, and back.
    - `row_bytes`, `encode_bytes`, `decode_bytes`: most that is alive beside the weights.
    - `graph_bytes`: kept for the gradient of one piece of a decode, and alive with it.
    - `clip_bytes`: a decoded clip and its magnitudes in three windows, one still complex.
    """

    seconds: float
    frames: int
    network: int
    codec: int
    text: int
    row_flops: int
    encode_flops: int
    decode_flops: int
    gradient_flops: int
    row_bytes: int
    encode_bytes: int
    decode_bytes: int
    graph_bytes: int
    clip_bytes: int


def count_costs(config: Mapping[str, Any], seconds: float) -> Costs:
    """Count what a model costs for clips of `seconds`, by its model_config.json.

    Takes some seconds, most of it the library's import. Raises `ModelUnavailable` for a model that
    cannot be built, or whose codec is not one of stable-audio-tools ("autoencoder").
    """
    conditioner_types(config)
    spec = config["model"]
    codec_type = (spec.get("pretransform") or {}).get("type")
    if codec_type != "autoencoder":
        raise ModelUnavailable(
            f"only a model with a codec of type 'autoencoder' can be counted, {CONFIG} has "
            f"{codec_type!r}."
        )
    model = blank_model(config)
    codec = model.pretransform.model
    ratio, channels = codec.downsampling_ratio, codec.io_channels
    unit = model.min_input_length
    frames = math.ceil(seconds * config["sample_rate"] / unit) * unit // ratio
    z = torch.empty(1, spec["io_channels"], frames, device="meta")
    audio = torch.empty(1, channels, frames * ratio, device="meta")
    cond = blank_cond(config)
    t = torch.empty(1, device="meta")
    try:
        row = counted(model, lambda: model.model(z, t, **cond))
        encode = counted(model, lambda: codec.encode(audio, skip_bottleneck=True))
        decode = counted(model, lambda: codec.decode(z))
        piece = z[..., :GRAPH_CHUNK].requires_grad_()
        saved = saved_bytes(model, lambda: codec.decode(piece))
    except BUILD_ERRORS as error:
        raise ModelUnavailable(
            f"{CONFIG} describes a model that cannot run ({type(error).__name__}: "
            f"{first_line(error)})."
        ) from error
    return costs_of(
        seconds, audio, frames, piece.shape[-1], GRAPH_CHUNK - GRAPH_OVERLAP, saved,
        (row, encode, decode), (count(model.model), count(codec), text_numbers(config)),
    )  # fmt: skip


def costs_of(
    seconds: float,
    audio: Tensor,
    frames: int,
    piece: int,
    apart: int,
    saved: int,
    calls: tuple[tuple[int, int], tuple[int, int], tuple[int, int]],
    numbers: tuple[int, int, int],
) -> Costs:
    """Put together what was counted for audio [1, C, T] of `seconds`, `frames` latent frames.

    - `piece`: frames of it that a gradient of the codec takes at once, each piece `apart` frames
      behind the one before; `saved`: bytes that autograd keeps of one.
    - `calls`: (operations, bytes) of an evaluation of one row, of encoding, of decoding.
    - `numbers`: how many the network, the codec and the text encoder have.
    """
    row, encode, decode = calls
    network, codec, text = numbers
    pieces = 1 + max(0, math.ceil((frames - piece) / apart))
    share = piece / frames  # of a clip in a piece
    return Costs(
        seconds, frames,
        network=network, codec=codec, text=text,
        row_flops=row[0], encode_flops=encode[0], decode_flops=decode[0],
        gradient_flops=round(3 * pieces * share * decode[0]),
        row_bytes=row[1], encode_bytes=encode[1], decode_bytes=decode[1],
        graph_bytes=saved + round(share * decode[1]),
        clip_bytes=FLOAT * audio.numel() * (1 + 3 * 2 + 4),
    )  # fmt: skip


def blank_model(config: Mapping[str, Any]) -> Any:
    """The network and the codec of a model_config.json on the meta device, without conditioner."""
    bare = copy.deepcopy(dict(config))
    del bare["model"]["conditioning"]
    with torch.device("meta"):
        model = build_model(bare)
    return model.float().eval().requires_grad_(False)


def blank_cond(config: Mapping[str, Any]) -> dict[str, Tensor]:
    """What the conditioner of a model would say of one prompt, on the meta device."""
    spec = config["model"]
    conditioning, diffusion = spec["conditioning"], spec["diffusion"]
    width = conditioning["cond_dim"]
    tokens = {entry["id"]: _tokens(entry) for entry in conditioning["configs"]}
    across = sum(tokens[name] for name in diffusion.get("cross_attention_cond_ids", ()))
    whole = len(diffusion.get("global_cond_ids", ()))
    cond = {"cross_attn_cond": torch.empty(1, across, width, device="meta")} if across else {}
    if whole:
        cond["global_cond"] = torch.empty(1, whole * width, device="meta")
    return cond


def _tokens(entry: Mapping[str, Any]) -> int:
    """How many tokens a conditioner makes: as many as a T5 reads, one of anything else."""
    return int(entry["config"].get("max_length", 128)) if entry["type"] == "t5" else 1


def count(module: nn.Module) -> int:
    """How many numbers the weights of a module are."""
    return sum(weight.numel() for weight in module.parameters())


def text_numbers(config: Mapping[str, Any]) -> int:
    """How many numbers the text encoders of a model are, that the library fetches by name."""
    entries = config["model"]["conditioning"]["configs"]
    names = [e["config"].get("t5_model_name", "t5-base") for e in entries if e["type"] == "t5"]
    return sum(t5_numbers(T5_SHAPES[name]) for name in names if name in T5_SHAPES)


def t5_numbers(shape: T5Shape) -> int:
    """How many numbers a T5 encoder is: embeddings, and of each layer attention (four matrices),
    two of feed-forward and two norms; one table of relative positions, and the last norm.
    """
    inner = shape.num_heads * shape.d_kv
    layer = 4 * shape.d_model * inner + 2 * shape.d_model * shape.d_ff + 2 * shape.d_model
    words = shape.vocab_size * shape.d_model
    return words + shape.num_layers * layer + 32 * shape.num_heads + shape.d_model


def counted(model: nn.Module, run: Callable[[], Any]) -> tuple[int, int]:
    """Operations of `run`, without gradients, and the most bytes that were alive beside the
    weights of `model`.
    """
    peak = Peak(model)
    with torch.no_grad(), peak:
        flops = count_flops(run)
    return flops, peak.most


def count_flops(run: Callable[[], Any]) -> int:
    """Operations of the matrix products and convolutions in `run`, two for each multiplication."""
    flops = FlopCounterMode(display=False)
    with flops:
        run()
    return flops.get_total_flops()


class Peak(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the bytes of tensors that are made inside, and remembers the most at one time.

    The weights of `model` do not count; nor what an operation needs inside itself.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.most = self._now = 0
        self._known = set(_storages(model))
        self._weights = model  # its storages must not go, or their keys would be another's

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Run an operation, and count what it made."""
        out = func(*args, **(kwargs or {}))
        for value in tree_leaves(out):
            if isinstance(value, Tensor):
                self._see(value.untyped_storage())
        self.most = max(self.most, self._now)
        return out

    def _see(self, storage: torch.UntypedStorage) -> None:
        key, size = storage._cdata, storage.nbytes()
        if key not in self._known:
            self._known.add(key)
            self._now += size
            weakref.finalize(storage, self._gone, key, size)

    def _gone(self, key: int, size: int) -> None:
        self._known.discard(key)
        self._now -= size


def saved_bytes(model: nn.Module, run: Callable[[], Any]) -> int:
    """The bytes that autograd keeps of `run` for its gradient, beside the weights of `model`."""
    weights = set(_storages(model))
    kept: dict[int, torch.UntypedStorage] = {}

    def keep(value: Tensor) -> Tensor:
        storage = value.untyped_storage()
        if storage._cdata not in weights:
            kept[storage._cdata] = storage  # held, so that its key stays its own
        return value

    with torch.enable_grad(), saved_tensors_hooks(keep, lambda value: value):
        answer = run()
    del answer
    return sum(storage.nbytes() for storage in kept.values())


def _storages(model: nn.Module) -> list[int]:
    tensors = [*model.parameters(), *model.buffers()]
    return [tensor.untyped_storage()._cdata for tensor in tensors]
