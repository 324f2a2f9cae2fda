"""Story two: track to stems."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bridge import outputs, pipe, stems, wav
from bridge.jobs import Separate
from bridge.tags import Origin, tags
from bridge.worker.models import VERSION, Models, model_hash
from sds import audio
from sds.prior import Prior
from sds.scoreboard import board
from sds.separate import METHODS, separate

MIN_SECONDS = 0.1  # of a file to separate
MAX_WORK_BYTES = 2 * 2**30  # of a file, its stems and their sums, in memory
JUDGED_SECONDS = 30.0  # the start of a long file stands for all of it


def separate_track(job: Separate, models: Models) -> pipe.Events:
    """Read the mixture, part it, write stems and residual at its rate, check that they add up.

    curves.json has one entry a step in each of fraction, stage and figures.
    """
    clock = pipe.Clock(job.id)
    yield clock.progress(0.0, "reading the file")
    source = Path(job.file)
    mix, rate = audio.read(source)
    _check_size(mix, rate, len(job.prompts))
    yield clock.progress(0.0, "loading the model")
    prior, judge = models.prior(job.model, job.prompts), models.judge()
    method = METHODS[job.method]
    recipe = replace(method.recipe, steps=job.steps or method.recipe.steps)
    generator = torch.Generator().manual_seed(job.seed)

    with outputs.folder(Path(job.out)) as out:
        yield clock.progress(0.0, "separate")
        curves: dict[str, list[Any]] = {key: [] for key in ("fraction", "stage", "figures")}
        parts: list[Tensor] = []
        for now in separate(
            prior,
            job.prompts,
            mix,
            rate,
            method=replace(method, recipe=recipe),
            generator=generator,
        ):
            if now.stems is not None and now.residual is not None:
                parts = [*now.stems, now.residual]
                break
            row = (round(now.fraction, 6), now.stage, now.figures)
            for key, value in zip(curves, row, strict=True):
                curves[key].append(value)
            yield clock.progress(0.97 * now.fraction, now.stage, now.figures)

        yield clock.progress(0.97, "writing the stems")
        manifest = _write_stems(job, prior, judge, mix, rate, parts, out, recipe.steps)
        stems.save(manifest, out.partial / stems.MANIFEST)
        outputs.write_json(out.partial / "curves.json", {"kind": job.kind} | curves)
        result = {
            "stems": [
                {"prompt": stem.prompt, "wav": out.final(out.partial / stem.wav)}
                for stem in manifest.stems
            ],
            "residual": out.final(out.partial / manifest.residual),
            "manifest": out.final(out.partial / stems.MANIFEST),
            "null_db": manifest.null_db,
            "curves": out.final(out.partial / "curves.json"),
        }
    yield clock.done(result)


def _check_size(mix: Tensor, rate: int, prompts: int) -> None:
    """Refuse what would not fit in memory: the mixture, stems, residual and two sums of them."""
    seconds = mix.shape[-1] / rate
    if seconds < MIN_SECONDS:
        raise ValueError(f"file must last at least {MIN_SECONDS:g} seconds, got {seconds:.4f}")
    needed = mix.numel() * mix.element_size() * (prompts + 4)
    if needed > MAX_WORK_BYTES:
        longest = seconds * MAX_WORK_BYTES / needed
        raise ValueError(
            f"file must last at most {longest:.0f} seconds with {prompts} prompts at {rate} Hz and "
            f"{mix.shape[0]} channels ({MAX_WORK_BYTES >> 30} GiB of memory), got {seconds:.0f}"
        )


def _write_stems(
    job: Separate,
    prior: Prior,
    judge: board.Match | None,
    mix: Tensor,
    rate: int,
    parts: list[Tensor],
    out: outputs.Output,
    steps: int,
) -> stems.Manifest:
    """Float WAVs of the parts [C, T] (one a prompt, then the residual), and what they are."""
    source = Path(job.file)
    digest = stems.sha256(source)
    asked = [digest, source.name, job.prompts, job.method, steps, job.seed, prior.name, VERSION]
    asked += [job.start_samples, job.tempo]
    tag = hashlib.sha256(json.dumps([*asked, model_hash(prior)]).encode()).hexdigest()[:16]
    header = _readable(source, frames=mix.shape[-1])
    start = job.start_samples
    if start is None:
        start = header.bext.time_reference if header and header.bext else 0

    origin = Origin(
        job=tag, source=source.name, source_sha256=digest, prompts=job.prompts, negatives=(),
        method=job.method, steps=steps, seed=job.seed, model=prior.name,
        model_hash=model_hash(prior), code=VERSION,
        rate=rate, channels=mix.shape[0], start_samples=start,
    )  # fmt: skip

    def write(part: Tensor, name: str, what: str, number: int) -> None:
        bext, ixml = tags(origin, number, what)
        wav.write(
            out.partial / name,
            (block.T.contiguous().numpy().tobytes() for block in torch.split(part, 2**18, dim=1)),
            rate=rate,
            channels=part.shape[0],
            frames=part.shape[1],
            bext=bext,
            ixml=ixml,
        )

    names = [*job.prompts, "residual"]
    files = [stems.stem_name(source.name, i, name, tag) for i, name in enumerate(names, start=1)]
    for number, (part, file, name) in enumerate(zip(parts, files, names, strict=True), start=1):
        write(part, file, name, number)
    if header is None:
        (out.partial / "source").mkdir()
        copy = f"source/{stems.stem_name(source.name, 0, 'source', tag)}"
        write(mix, copy, f"source: {source.name}", 0)
    else:
        copy = os.path.relpath(source, out.folder)

    def score(sound: Tensor, prompt: str) -> float | None:
        heard = sound[None, :, : int(JUDGED_SECONDS * rate)]
        return float(judge.similarity(heard, rate, [prompt])[0, 0]) if judge else None

    return stems.Manifest(
        job=tag,
        source=source.name,
        source_sha256=digest,
        source_wav=copy,
        rate=rate,
        frames=mix.shape[1],
        channels=mix.shape[0],
        start_samples=start,
        tempo=job.tempo,
        stems=tuple(
            stems.Stem(
                prompt=prompt,
                wav=file,
                rms_db=_rms_db(part),
                score_before=score(mix, prompt),
                score_after=score(part, prompt),
            )
            for prompt, file, part in zip(job.prompts, files, parts, strict=False)
        ),
        residual=files[-1],
        residual_rms_db=_rms_db(parts[-1]),
        null_db=_null_db(mix, parts),
        method=job.method,
        steps=steps,
        seed=job.seed,
        model=prior.name,
        model_hash=model_hash(prior),
        code=VERSION,
    )


def _readable(source: Path, *, frames: int) -> wav.Wav | None:
    """The source's header when `stems.verify` can read it as it is, else None."""
    try:
        header = wav.read_header(source)
    except ValueError:
        return None
    return header if header.frames == frames else None


def _rms_db(part: Tensor) -> float:
    power = sum(float(block.double().square().sum()) for block in torch.split(part, 2**20, dim=1))
    return round(stems.null_db(power, float(part.numel())), 3)


def _null_db(mix: Tensor, parts: list[Tensor]) -> float:
    """As `stems.verify` will find it, a block at a time."""
    error = power = 0.0
    for x, *heard in zip(*(torch.split(t, 2**20, dim=1) for t in (mix, *parts)), strict=True):
        left = x.double()
        power += float(left.square().sum())
        error += float((left - sum(part.double() for part in heard)).square().sum())
    return round(stems.null_db(error, power), 3)
