"""The suites by name, in the order they run."""

from __future__ import annotations

from sds.distillation.recipes import RECIPES
from sds.scoreboard import (
    ablation,
    codec,
    multisource,
    patch,
    playable,
    prior,
    separate,
    stage_by_stage,
)
from sds.scoreboard.board import Entry

SUITES = {
    "codec": Entry(codec.suite, codec.COLUMNS, str(codec.__doc__), codec.findings),
    "prior": Entry(
        prior.suite, prior.COLUMNS, str(prior.__doc__), prior.findings, methods=prior.METHODS
    ),
    "patch": Entry(patch.suite, patch.COLUMNS, str(patch.__doc__), patch.findings, methods=RECIPES),
    "playable": Entry(playable.suite, playable.COLUMNS, str(playable.__doc__), playable.findings),
    "separate": Entry(
        separate.suite,
        separate.COLUMNS,
        str(separate.__doc__),
        separate.findings,
        methods=separate.PROMPTED,
    ),
    "ablation": Entry(
        ablation.suite,
        ablation.COLUMNS,
        str(ablation.__doc__),
        ablation.directions,
        methods=ablation.VARIANTS,
    ),
    "stage_by_stage": Entry(
        stage_by_stage.suite,
        stage_by_stage.COLUMNS,
        str(stage_by_stage.__doc__),
        stage_by_stage.findings,
        methods={"full": stage_by_stage.FULL},
    ),
    "multisource": Entry(
        multisource.suite,
        multisource.COLUMNS,
        str(multisource.__doc__),
        multisource.findings,
        methods=multisource.METHODS,
    ),
}
