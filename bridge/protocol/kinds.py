"""Every kind of job, a row each: its fields that name files, its faces, and who does it.

A new kind of job is its model in `bridge.protocol.jobs`, `patch_jobs` or `multitrack_jobs`, a
row here, and the function that the row names; files are then checked, OSC, HTTP and OSCQuery take
it, and the worker does it. The terminal's command has the kind's name (`probe` and `part` have
none). Tests hold the faces against this table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from bridge.files.atomic_output import RESULT
from bridge.protocol.jobs import (
    Convert,
    CopyCheck,
    Evaluate,
    Job,
    Part,
    Probe,
    Record,
    Separate,
    Suggest,
)
from bridge.protocol.multitrack_jobs import Accompany, GenerateClips
from bridge.protocol.patch_jobs import DesignPatch, EditPreset, Export, Morph, RenderPreset, Vary

Target = Literal["nothing", "folder", "file", "new file", "folder or file"]


@dataclass(frozen=True, slots=True)
class JobKind:
    """One kind of job.

    `model`: what is asked; its fields have the same names on all faces.
    `work`: "module.function" below `bridge.worker`, called with the job and, with `models`, the
    loaded models; empty where another process does it.
    `reads`: fields that name a file to read, or files by name, or None; `reads_folder` those that
    name a folder.
    `writes`: what `out` names. `result`: the whole result is kept in `result.json` beside them.
    `resumes`: what a killed worker has finished stays in `out` for the same job.
    `osc`: the arguments in order (`...` repeats the last) and the options of `/scorewire/KIND`, as
    `bridge.osc.addresses.Request` has them; None where OSC cannot ask.
    `far`: fields that another machine may say, beside uploads for `reads`; None: it cannot ask.
    """

    model: type[Job]
    work: str
    models: bool = True
    reads: tuple[str, ...] = ()
    reads_folder: tuple[str, ...] = ()
    writes: Target = "nothing"
    result: bool = False
    resumes: bool = False
    osc: tuple[str, str] | None = None
    far: str | None = None

    @property
    def name(self) -> str:
        """The value of the field `kind`."""
        return str(self.model.model_fields["kind"].default)


_ROWS = (
    JobKind(
        DesignPatch,
        "patch.design_patch",
        reads=("start", "like"),
        writes="folder",
        result=True,
        resumes=True,
        osc=(
            "i:req s:prompt s:renderer s:out",
            "s:like i:count f:duration i:steps i:seed s:recipe s:model s:scorer f:note i:pitched "
            "f:loudness s:start s:matrix i:operators i:slot i:replace i:searches i:modes "
            "i:denoise_steps",
        ),
        far="prompt renderer count duration steps seed recipe note pitched loudness matrix "
        "operators slot searches modes denoise_steps",
    ),
    JobKind(
        GenerateClips,
        "generate.generate",
        reads=("like", "source"),
        writes="folder",
        result=True,
        resumes=True,
        osc=(
            "i:req s:out s:prompts...",
            "s:stems s:like s:source s:keep f:duration i:bars f:tempo i:count i:steps f:guidance "
            "s:sampler s:schedule i:seed s:model s:stem_model s:host i:replace",
        ),
        far="prompts stems keep duration bars tempo count steps guidance sampler schedule seed",
    ),
    JobKind(
        Accompany,
        "multitrack.accompany",
        reads=("given", "like"),
        writes="folder",
        result=True,
        resumes=True,
        osc=(
            "i:req s:out s:given...",
            "s:add s:prompt s:like i:steps f:guidance i:seed s:stem_model s:tempo s:host i:replace",
        ),
        far="add prompt steps guidance seed tempo",
    ),
    JobKind(
        Separate,
        "separate.separate_track",
        reads=("file",),
        writes="folder",
        result=True,
        resumes=True,
        osc=(
            "i:req s:file s:out s:prompts...",
            "s:stems s:method i:steps i:seed s:model s:stem_model i:start_samples s:tempo s:host "
            "s:negatives f:excerpt f:excerpt_begin i:auto i:force i:replace",
        ),
        far="prompts stems negatives method steps seed start_samples tempo excerpt excerpt_begin "
        "auto force",
    ),
    JobKind(
        Suggest,
        "suggest.suggest_prompts",
        reads=("file",),
        osc=("i:req s:file", "i:top"),
        far="top",
    ),
    JobKind(
        CopyCheck,
        "copycheck.check_copy",
        models=False,
        reads=("file",),
        osc=("i:req s:file", "s:label"),
        far="label",
    ),
    JobKind(
        RenderPreset,
        "render.render_preset",
        models=False,
        reads=("preset",),
        writes="file",
        osc=("i:req s:preset s:out", "f:note i:velocity f:duration s:plugin i:replace"),
        far="note velocity duration",
    ),
    JobKind(
        Export,
        "export.export_preset",
        models=False,
        reads=("preset",),
        writes="folder or file",
        osc=("i:req s:preset s:formats s:out", "i:rate i:replace"),
        far="formats rate",
    ),
    JobKind(
        Vary,
        "variations.vary_preset",
        models=False,
        reads=("preset",),
        writes="folder",
        result=True,
        osc=("i:req s:preset s:out", "i:count f:amount i:seed i:replace"),
        far="count amount seed",
    ),
    JobKind(
        Morph,
        "variations.morph_presets",
        models=False,
        reads=("preset", "other"),
        writes="folder",
        result=True,
        osc=("i:req s:preset s:other s:out", "i:steps i:replace"),
        far="steps",
    ),
    JobKind(
        EditPreset,
        "edit.edit_preset",
        reads=("preset",),
        writes="folder",
        result=True,
        osc=("i:req s:preset s:prompt s:out", "s:old i:steps i:seed s:model i:replace"),
        far="prompt old steps seed",
    ),
    JobKind(
        Record,
        "",
        writes="new file",
        osc=("i:req s:out s:inputs...", "f:duration i:start_samples"),
    ),
    JobKind(Convert, "convert.convert_checkpoint", models=False, reads=("file",), writes="file"),
    JobKind(Evaluate, "evaluate.evaluate", reads_folder=("data",), writes="folder"),
    JobKind(Probe, "probe.probe"),
    JobKind(Part, "part.do_part"),
)
KINDS: Mapping[str, JobKind] = {row.name: row for row in _ROWS}
INPUTS = tuple(dict.fromkeys(name for row in _ROWS for name in row.reads))


def kind_of(job: Job) -> JobKind:
    """The row of a job."""
    return KINDS[job.kind]


def files_read(job: Job) -> list[tuple[str, str]]:
    """(name for people, path) of every file that a job reads."""
    files: list[tuple[str, str]] = []
    for name in kind_of(job).reads:
        value = getattr(job, name)
        if isinstance(value, dict):
            files += [(f"{name} {key}", path) for key, path in value.items()]
        elif value is not None:
            files.append((name, value))
    return files


def out_folder(job: Job) -> Path | None:
    """The folder that the files of a job are written to, None when it writes none."""
    match kind_of(job).writes:
        case "nothing":
            return None
        case "file" | "new file":
            return Path(str(getattr(job, "out"))).parent  # noqa: B009, not every job has one
        case _:
            return Path(getattr(job, "folder", None) or str(getattr(job, "out")))  # noqa: B009


def result_path(job: Job, result: Mapping[str, Any]) -> str:
    """The file to open: `result.json`, which holds the whole result, a WAV, an exported file."""
    kind, folder = kind_of(job), out_folder(job)
    if kind.result and folder is not None:
        return str(folder / RESULT)
    if kind.writes in ("file", "new file"):
        return str(result.get("wav", getattr(job, "out", "")))
    if kind.writes == "folder or file":
        return str(result.get("file", getattr(job, "out", "")))
    return ""
