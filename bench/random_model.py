"""Write a checkpoint of random weights, of the real classes: what a model costs needs no other.

    python -m bench.random_model --config stable-audio-open-1.0 --out runs/random
    HF_HUB_CACHE=runs/random/hub HF_HUB_OFFLINE=1 scorewire doctor --model runs/random

Branches that begin at zero are randomised, or an untrained transformer would ignore its text. The
text encoder is a random one of the real class and size too, its tokenizer one of bytes; the
library loads it by name, so it lies in a cache of the hub's layout in OUT/hub.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn

from sds.priors.checkpoints import CONFIG
from sds.priors.published import MODELS, T5_SHAPES, published_config
from sds.priors.quiet_import import quiet
from sds.priors.stable_audio import build_model

SCALE = 0.1  # deviation of what would be zero
TINY_T5 = {"d_ff": 16, "num_layers": 1, "num_heads": 2, "d_kv": 8}


def random_model(config: Mapping[str, Any], seed: int = 0) -> nn.Module:
    """The model of a model_config.json with random weights; torch's generator stays as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = build_model(config)
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for weight in model.model.parameters():  # type: ignore[union-attr]
                if not weight.any():
                    weight.normal_(0, SCALE, generator=generator)
    return model.eval()


def write_model(folder: Path, config: Mapping[str, Any], model: nn.Module) -> Path:
    """Write a model and its description to a folder, as stable-audio-tools does."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CONFIG).write_text(json.dumps(config))
    save_file(model.state_dict(), folder / "model.safetensors")
    return folder


def write_text_encoder(folder: Path, name: str, *, tiny: bool = False, seed: int = 0) -> None:
    """Write a random T5 encoder called `name` to a folder, of the real size unless `tiny`."""
    import tokenizers
    from transformers import PreTrainedTokenizerFast, T5Config, T5EncoderModel

    pieces = ["<pad>", "</s>", "<unk>", *sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())]
    model = tokenizers.models.BPE({p: i for i, p in enumerate(pieces)}, [], unk_token="<unk>")
    tokenizer = tokenizers.Tokenizer(model)
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    shape = T5_SHAPES[name]
    if tiny:
        shape = replace(shape, vocab_size=len(pieces), **TINY_T5)
    config = T5Config(**asdict(shape))
    with quiet(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        PreTrainedTokenizerFast(
            tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
        ).save_pretrained(folder)
        T5EncoderModel(config).save_pretrained(folder)


def write_hub_cache(cache: Path, name: str, *, tiny: bool = False) -> None:
    """Write a random T5 encoder called `name` where the hub's client would have put the real."""
    revision = "0" * 40
    place = cache / f"models--{name.replace('/', '--')}"
    (place / "refs").mkdir(parents=True, exist_ok=True)
    (place / "refs" / "main").write_text(revision)
    write_text_encoder(place / "snapshots" / revision, name, tiny=tiny)


def use_hub_cache(cache: Path) -> None:
    """Let the hub's client look in a cache of ours, and nowhere else, in this process."""
    from huggingface_hub import constants

    constants.HF_HUB_CACHE = str(cache)
    constants.HF_HUB_OFFLINE = True


def write_random(name: str, folder: Path, cache: Path) -> Path:
    """Write the model `name` of `sds.priors.published` with random weights to `folder`, its text
    encoder to the hub's `cache`, which must be in use (`use_hub_cache`).
    """
    config = published_config(name)
    for entry in config["model"]["conditioning"]["configs"]:
        if entry["type"] == "t5":
            encoder = entry["config"]["t5_model_name"]
            write_hub_cache(cache, encoder, tiny=name.startswith("tiny"))
    return write_model(folder, config, random_model(config))


def main() -> None:
    """Write the checkpoint that was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", choices=MODELS, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    cache = args.out / "hub"
    use_hub_cache(cache)
    folder = write_random(args.config, args.out, cache)
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    sys.stdout.write(
        f"{folder}: {size / 1e9:.2f} GB. Use it with HF_HUB_CACHE={cache} HF_HUB_OFFLINE=1\n"
    )


if __name__ == "__main__":
    torch.set_flush_denormal(True)
    main()
