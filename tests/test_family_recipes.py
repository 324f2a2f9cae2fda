"""Post-trained models: clips and a fit to them, and no score distillation, in words."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from bridge import worker
from bridge.protocol.jobs import Separate
from bridge.protocol.patch_jobs import DesignPatch, EditPreset
from bridge.worker import models
from presets import Preset, save
from renderers import RENDERERS, random_patches, to_values
from sds.distillation.distill import distill
from sds.distillation.family_recipes import clip_sampling, for_family
from sds.distillation.recipes import RECIPES
from sds.priors.families import FAMILIES
from sds.priors.gaussian import GaussianPrior
from sds.signal import audio_files
from tests.small_worker import SEARCH

SMALL = FAMILIES["stable-audio-open-small"]


class PostTrained(GaussianPrior):
    """An exact prior of that family, which counts how often it is asked."""

    def __init__(self) -> None:
        stds: dict[str, Any] = {"": 0.1, "a bell": 0.05, "a bell, like glass": 0.05}
        super().__init__(dict.fromkeys(stds, 0.0), stds, sample_rate=8000, max_seconds=2.0)
        self.family, self.rows = SMALL, list[int]()

    def denoise(self, x: torch.Tensor, sigma: torch.Tensor, cond: Any) -> torch.Tensor:
        self.rows.append(len(x))
        return super().denoise(x, sigma, cond)


def test_recipes_of_other_models_stay_as_they_are() -> None:
    prior = GaussianPrior({"": 0.0}, {"": 0.1})
    for recipe in RECIPES.values():
        assert for_family(recipe, prior, what="patch") is recipe
    default = RECIPES["default"]
    assert clip_sampling(default, FAMILIES["default"]) == (10, 3.0)
    assert clip_sampling(default, FAMILIES["stable-audio-open-1.0"]) == (100, 7.0)
    assert clip_sampling(default, SMALL) == (8, 1.0)


def test_a_patch_by_a_post_trained_model_is_generated_then_fitted() -> None:
    """Eight evaluations of the clips without guidance, and none besides."""
    still = replace(SEARCH, distillation=replace(SEARCH.distillation, steps=0), accept=-9.0)
    prior = PostTrained()
    recipe = for_family(still, prior, what="patch")
    assert recipe == replace(still, preference=0.0)
    fm = RENDERERS["fm"]
    u0 = random_patches(fm, 8, generator=torch.Generator().manual_seed(0)).float()
    steps = list(
        distill(
            lambda u: (u.sum(1, keepdim=True)[:, None] * torch.linspace(-0.1, 0.1, 2000)),
            prior, "a bell", u0, recipe=recipe, generator=torch.Generator().manual_seed(0),
            score=lambda sound: -sound.abs().mean((1, 2)),
        )
    )  # fmt: skip
    stages = list(dict.fromkeys(step.stage for step in steps))
    assert stages[:2] == ["search", "generate"]
    assert "distill" not in stages
    assert prior.rows == [SEARCH.generated] * 8


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> worker.Models:
    monkeypatch.setattr(models, "gaussian", lambda _: PostTrained())
    return worker.Models(evaluation_scorer=Path("nowhere"), search_scorer=Path("nowhere"))


def refused(job: Any, loaded: worker.Models) -> str:
    with pytest.raises(ValueError, match="post-trained few-step model has no posterior") as error:
        list(worker.work(job, loaded))
    return str(error.value)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"recipe": "paper"}, "patch --recipe paper cannot use the model gaussian"),
        ({"recipe": "default", "steps": 5}, "patch --recipe default --steps 5 cannot use"),
        ({"recipe": "default"}, "a search without a scorer cannot use"),
    ],
)
def test_a_patch_by_score_distillation_is_refused(
    tmp_path: Path, loaded: worker.Models, asked: dict[str, Any], said: str
) -> None:
    fields = {"id": "j", "prompt": "a bell", "renderer": "fm", "model": "gaussian"} | asked
    fields |= {"out": str(tmp_path / "out"), "duration": 0.25}
    assert refused(DesignPatch.model_validate(fields), loaded).startswith(said)


def test_an_edit_by_other_words_is_refused(tmp_path: Path, loaded: worker.Models) -> None:
    fm = RENDERERS["fm"]
    u = random_patches(fm, 1, generator=torch.Generator().manual_seed(0))[0]
    values = to_values(fm, u)
    start = Preset(name="a bell", renderer="fm", renderer_version=fm.version, values=values)
    save(start, tmp_path / "bell.json")
    fields = {"id": "j", "preset": str(tmp_path / "bell.json"), "prompt": "like glass"}
    fields |= {"model": "gaussian", "out": str(tmp_path / "out")}
    assert refused(EditPreset.model_validate(fields), loaded).startswith("edit cannot use")


@pytest.mark.parametrize("method", ["default", "masks", "paper", "best"])
def test_a_separation_that_asks_the_model_is_refused(
    tmp_path: Path, loaded: worker.Models, method: str
) -> None:
    sound = 0.1 * torch.randn(1, 8000, generator=torch.Generator().manual_seed(0))
    audio_files.write(tmp_path / "mix.wav", sound, 8000)
    fields = {"id": "j", "file": str(tmp_path / "mix.wav"), "prompts": ("a bell", "rain")}
    fields |= {"model": "gaussian", "method": method, "out": str(tmp_path / "out")}
    said = refused(Separate.model_validate(fields), loaded)
    assert said.startswith(f"separate --method {method} cannot use the model gaussian: ")
    assert said.endswith("use --method fast, which asks no model, or the base model")
