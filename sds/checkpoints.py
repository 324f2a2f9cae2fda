"""Checkpoints of stable-audio-tools: build the module, find the files, read the weights.

The library is slow to import, prints, warns and changes global torch settings; all of that is kept
in here. Every failure is a `ModelUnavailable` whose message is one sentence.
"""

from __future__ import annotations

import contextlib
import copy
import io
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import nn


class ModelUnavailable(ValueError):
    """A model that cannot be had; the message says what is wrong and what to do."""


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


def build_model(config: Mapping[str, Any]) -> nn.Module:
    """The `ConditionedDiffusionModelWrapper` a model_config.json describes, freshly initialised.

    The library's own factory builds it. Two types are ours: the pretransform "scorewire_spectral"
    (`sds.codec.SpectralCodec(**config)`) and the conditioner "scorewire_text"
    (`sds.text.StaticText(output_dim, **config)`); they are put in the places the factory left
    empty. Weights come from torch's global generator, as in any module.
    """
    config = copy.deepcopy(dict(config))  # the factory pops and reverses entries
    kind = config.get("model_type")
    if kind not in ("diffusion_cond", "diffusion_cond_inpaint"):
        raise ModelUnavailable(
            f"model_type is {kind!r} in model_config.json; only 'diffusion_cond' and "
            "'diffusion_cond_inpaint' (text-conditioned diffusion) can be used."
        )
    with quiet():
        try:
            from stable_audio_tools.models import conditioners, factory
        except (ImportError, AttributeError, RuntimeError, OSError) as error:
            raise ModelUnavailable(
                f"stable-audio-tools cannot be imported ({type(error).__name__}: {error}); "
                "install the worker parts with: pip install 'scorewire[worker]'."
            ) from error
        spec = config["model"]
        codec = spec.pop("pretransform", None)
        text = spec.pop("conditioning", None)
        model = factory.create_model_from_config(config)
        if codec is not None:
            model.pretransform = _pretransform(codec, config["sample_rate"], factory)
            model.min_input_length *= model.pretransform.downsampling_ratio
        if text is not None:
            parts: dict[str, nn.Module] = {}
            for entry in text["configs"]:
                if entry["type"] == "scorewire_text":
                    from sds.text import StaticText

                    parts[entry["id"]] = StaticText(text["cond_dim"], **entry["config"])
                else:
                    made = conditioners.create_multi_conditioner_from_conditioning_config(
                        {**text, "configs": [entry]}, pretransform=model.pretransform
                    )
                    parts[entry["id"]] = made.conditioners[entry["id"]]
            model.conditioner = conditioners.MultiConditioner(
                parts,
                default_keys=text.get("default_keys", {}),
                pre_encoded_keys=text.get("pre_encoded_keys", []),
            )
    return model  # type: ignore[no-any-return]


def _pretransform(spec: dict[str, Any], sample_rate: int, factory: Any) -> nn.Module:
    if spec["type"] != "scorewire_spectral":
        return factory.create_pretransform_from_config(spec, sample_rate)  # type: ignore[no-any-return]
    from sds.codec import SpectralCodec

    return SpectralCodec(**spec["config"]).eval().requires_grad_(False)
