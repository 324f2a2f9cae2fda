"""`scorewire convert`: a released checkpoint becomes safetensors, another file a sentence."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch

from bridge import worker
from bridge.cli import tables
from bridge.protocol.events import Done
from bridge.protocol.jobs import Convert, job_adapter
from sds.priors.multi_source import load_multi_source
from sds.priors.waveform_unet import UNetSettings, WaveformUNet

SETTINGS = UNetSettings(
    tracks=4, channels=16, patch=2, multipliers=(1, 2), factors=(2,), blocks=(1,),
    attentions=(True,), head_features=4,
)  # fmt: skip


class LogNormalDistribution:
    """Pickled in the hyper-parameters of a checkpoint, and runs a command when it is opened."""

    mark = ""

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.mark}",)


def released(path: Path, mark: Path) -> WaveformUNet:
    network = WaveformUNet(SETTINGS).eval()
    sigma = LogNormalDistribution()
    sigma.mark = str(mark)
    state = {f"model.unet.{name}": value for name, value in network.state_dict().items()}
    torch.save({"state_dict": state, "hyper_parameters": {"sigma": sigma}}, path)
    return network


def converted(**fields: Any) -> dict[str, Any]:
    job = Convert.model_validate({"id": "j1"} | fields)
    *_, last = worker.work(job, worker.Models())
    assert isinstance(last, Done)
    return last.result


def test_a_checkpoint_becomes_safetensors_and_runs_nothing(tmp_path: Path) -> None:
    mark, out = tmp_path / "it-ran", tmp_path / "new" / "msdm.safetensors"
    network = released(tmp_path / "msdm.ckpt", mark)
    result = converted(file=str(tmp_path / "msdm.ckpt"), out=str(out))
    count = sum(value.numel() for value in network.state_dict().values())
    assert result["file"] == str(out)
    assert (result["tracks"], result["parameters"]) == (4, count)
    assert result["tensors"] == len(network.state_dict())
    assert not mark.exists()
    model = load_multi_source(out)
    x, sigma = torch.randn(1, 4, 32), torch.full((1, 4), 0.2)
    assert model.denoise(x, sigma).shape == x.shape
    assert list(out.parent.iterdir()) == [out]
    text = str(tables.converted(result))
    assert str(out) in text
    assert "4 tracks, 0.1 million numbers" in text


def test_a_file_of_others_is_not_replaced(tmp_path: Path) -> None:
    released(tmp_path / "msdm.ckpt", tmp_path / "it-ran")
    out = tmp_path / "msdm.safetensors"
    out.write_text("mine")
    fields = {"file": str(tmp_path / "msdm.ckpt"), "out": str(out)}
    with pytest.raises(ValueError, match="Scorewire did not make it"):
        converted(**fields)
    assert out.read_text() == "mine"
    converted(**fields, replace=True)
    assert out.stat().st_size > 1000


def test_another_file_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "notes.ckpt").write_text("no checkpoint")
    with pytest.raises(ValueError, match="is not a checkpoint of PyTorch"):
        converted(file=str(tmp_path / "notes.ckpt"), out=str(tmp_path / "a.safetensors"))
    assert [path.name for path in tmp_path.iterdir()] == ["notes.ckpt"]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"out": "/a.ckpt"}, "must be a .safetensors file"),
        ({"to": "onnx"}, "Input should be 'safetensors'"),
    ],
)
def test_only_safetensors(fields: dict[str, str], words: str) -> None:
    job = {"kind": "convert", "id": "j1", "file": "/b.ckpt", "out": "/a.safetensors"} | fields
    with pytest.raises(ValueError, match=words):
        job_adapter.validate_python(job)
