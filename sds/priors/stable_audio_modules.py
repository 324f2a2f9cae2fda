"""Build stable-audio-tools modules from a model_config.json, without the library's side effects.

The library is slow to import, prints, warns and changes global torch settings: nothing here imports
it before it is needed, and all of that stays inside `quiet`.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from sds.priors.blank_modules import without_weights
from sds.priors.checkpoints import CONFIG, ModelUnavailable, first_line
from sds.priors.quiet_import import BUILD_ERRORS, importing, quiet
from sds.priors.t5_encoder import known_as, t5_folder

MODEL_TYPES = ("diffusion_cond", "diffusion_cond_inpaint")
TEXT_CONDITIONERS = frozenset({"t5", "clap_text", "phoneme", "lut", "list", "scorewire_text"})
T5 = "t5-base"  # the library's default
MASK, MASKED = "inpaint_mask", "inpaint_masked_input"
"""What models that were trained to fill in are given beside the noise: 1 where a latent frame is
given, and the latents there, elsewhere zero. Nothing but zeros is generation.
"""
SECONDS_CONDITIONERS = frozenset({"number", "int"})


def build_model(config: Mapping[str, Any], *, blank: bool = False) -> nn.Module:
    """Build the `ConditionedDiffusionModelWrapper` of a model_config.json, freshly initialised.

    With `blank` the network and the codec have no numbers until they are given all of them
    (`sds.priors.checkpoints.load_weights`), which saves drawing them.

    The library's own factory builds it. Two types are ours: the pretransform "scorewire_spectral"
    (`sds.priors.spectral_codec.SpectralCodec(**config)`) and the conditioner "scorewire_text"
    (`sds.priors.text_embedding.StaticText(output_dim, **config)`); they are put in the places the
    factory left empty. Weights come from torch's global generator, as in any module. Raises
    `ModelUnavailable`.
    """
    own = copy.deepcopy(dict(config))  # the factory pops and reverses entries
    _check_type(own)
    try:
        with importing():
            from stable_audio_tools.models import (  # noqa: F401  (the factory imports diffusion)
                conditioners,
                diffusion,
                factory,
            )
    except (ImportError, AttributeError, RuntimeError, OSError) as error:
        raise ModelUnavailable(
            f"stable-audio-tools cannot be imported ({type(error).__name__}: "
            f"{first_line(error)}); run `make install` in your clone of Scorewire."
        ) from error
    with quiet():
        try:
            return _assemble(
                own, factory, conditioners, without_weights if blank else contextlib.nullcontext
            )
        except OSError as error:
            raise ModelUnavailable(
                f"{_encoder(config)} cannot be fetched ({first_line(error)}); connect once so that "
                "it is cached, or use a model that brings its text encoder."
            ) from error
        except BUILD_ERRORS as error:
            raise ModelUnavailable(
                f"{CONFIG} does not describe a model that stable-audio-tools 0.0.19 can build "
                f"({type(error).__name__}: {first_line(error)})."
            ) from error


def _assemble(
    config: dict[str, Any],
    factory: Any,
    conditioners: Any,
    weights: Callable[[], contextlib.AbstractContextManager[None]],
) -> nn.Module:
    spec = config["model"]
    codec = spec.pop("pretransform", None)
    text = spec.pop("conditioning", None)
    with weights():
        model: Any = factory.create_model_from_config(config)
    pretransform = None
    if codec is not None:
        # Codecs of other types may fetch weights of their own.
        own = codec["type"] in ("autoencoder", "scorewire_spectral")
        with weights() if own else contextlib.nullcontext():
            pretransform = _pretransform(codec, config["sample_rate"], factory)
        model.pretransform = pretransform
        model.min_input_length *= pretransform.downsampling_ratio
    if text is not None:
        parts: dict[str, nn.Module] = {}
        for entry in text["configs"]:
            if entry["type"] == "scorewire_text":
                from sds.priors.text_embedding import StaticText

                parts[entry["id"]] = StaticText(text["cond_dim"], **entry["config"])
            else:
                parts[entry["id"]] = _conditioner(text, entry, pretransform, conditioners)
        model.conditioner = conditioners.MultiConditioner(
            parts,
            default_keys=text.get("default_keys", {}),
            pre_encoded_keys=text.get("pre_encoded_keys", []),
        )
    return model  # type: ignore[no-any-return]


def _conditioner(
    text: dict[str, Any], entry: dict[str, Any], pretransform: Any, conditioners: Any
) -> nn.Module:
    """One of the library's conditioners, a T5 from the local cache where it is there."""

    def make(entry: dict[str, Any]) -> nn.Module:
        parts = conditioners.create_multi_conditioner_from_conditioning_config(
            {**text, "configs": [entry]}, pretransform=pretransform
        )
        made: nn.Module = parts.conditioners[entry["id"]]
        return made

    if entry["type"] != "t5":
        return make(entry)
    name = entry["config"].get("t5_model_name", T5)
    if name not in conditioners.T5Conditioner.T5_MODEL_DIMS:
        return make(entry)  # the library says which names it knows
    with known_as(conditioners, name, t5_folder(name)) as called:
        return make({**entry, "config": {**entry["config"], "t5_model_name": called}})


def _encoder(config: Mapping[str, Any]) -> str:
    """The part of a model that comes from elsewhere, by name."""
    for entry in config["model"]["conditioning"]["configs"]:
        if entry["type"] == "t5":
            return f"the text encoder {entry['config'].get('t5_model_name', T5)}"
    return "a part of the model"


def _pretransform(spec: dict[str, Any], sample_rate: int, factory: Any) -> Any:
    if spec["type"] != "scorewire_spectral":
        return factory.create_pretransform_from_config(spec, sample_rate)
    from sds.priors.spectral_codec import SpectralCodec

    return SpectralCodec(**spec["config"]).eval().requires_grad_(False)


def _check_type(config: Mapping[str, Any]) -> None:
    if config.get("model_type") not in MODEL_TYPES:
        raise ModelUnavailable(
            f"model_type is {config.get('model_type')!r} in {CONFIG}; only a text-conditioned "
            f"diffusion model can be used ({', '.join(map(repr, MODEL_TYPES))})."
        )


def conditioner_types(config: Mapping[str, Any]) -> dict[str, str]:
    """The input of each conditioner by name: prompt, seconds, whole_seconds, or zero (the clip's
    start).

    Raises `ModelUnavailable` for a model that a prompt and a duration cannot drive, before anything
    slow happens.
    """
    _check_type(config)
    try:
        diffusion = config["model"]["diffusion"]
        kind, beside = diffusion["type"], diffusion.get("input_concat_ids")
        given = [
            (entry["id"], entry["type"]) for entry in config["model"]["conditioning"]["configs"]
        ]
    except (LookupError, TypeError, AttributeError) as error:
        raise ModelUnavailable(
            f"{CONFIG} does not describe a text-conditioned diffusion model "
            f"({type(error).__name__}: {first_line(error)})."
        ) from error
    if kind != "dit":
        raise ModelUnavailable(
            f"the diffusion model is of type {kind!r}; only 'dit' (a diffusion transformer) can "
            "be used."
        )
    if beside and set(beside) != {MASK, MASKED}:
        raise ModelUnavailable(
            f"the model wants {', '.join(beside)} beside the noise; it must be nothing, or {MASK} "
            f"and {MASKED}."
        )
    feeds = {}
    for name, kind in given:
        if kind in TEXT_CONDITIONERS:
            feeds[name] = "prompt"
        elif kind in SECONDS_CONDITIONERS and name.startswith("seconds"):
            whole = "whole_seconds" if kind == "int" else "seconds"
            feeds[name] = "zero" if name == "seconds_start" else whole
        else:
            raise ModelUnavailable(
                f"the model wants a condition {name!r} of type {kind!r}; only a text prompt and "
                "seconds_start / seconds_total can be given."
            )
    if "prompt" not in feeds.values():
        raise ModelUnavailable(f"the model takes no text: no text conditioner in {CONFIG}.")
    return feeds
