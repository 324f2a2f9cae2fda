from huggingface_hub import constants

from bridge.worker.models import Models
from bridge.worker.probe import _model
from sds.priors.checkpoints import is_here


def test_doctor_fetches_no_model(monkeypatch, tmp_path):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    line = _model("stabilityai/stable-audio-open-1.0", Models())
    assert not line["ok"]
    assert "is not on this machine yet" in line["text"]
    assert "hf download stabilityai/stable-audio-open-1.0" in line["fix"]
    assert is_here("default")
    assert is_here(str(tmp_path))
