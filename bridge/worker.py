"""THE SEAM: the one process where presets, renderers and priors meet. Run with -m, never imported.

    echo '{"kind": "render", "id": "1", "preset": "bell.json", ...}' | python -m bridge.worker

One job a line in, one event a line out (`bridge.jobs`), files by path. The two stories are
`design_patch` and `separate_track`: generators, so a job stops between any two of their events,
and the models stay loaded from job to job.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shlex
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bridge import outputs, pipe, stems, wav
from bridge.jobs import (
    Best,
    DesignPatch,
    Evaluate,
    Job,
    Probe,
    RenderPreset,
    Separate,
)
from presets import Note, Preset, Provenance, load, save
from renderers import RENDERERS, Renderer, effects, random_patches, to_values
from sds import audio
from sds.bank import Bank, load_bank, synth
from sds.distill import Step, distill
from sds.judge import EAR, Judge, load_judge
from sds.judge import FOLDER as JUDGE
from sds.prior import GaussianPrior, Prior
from sds.recipes import RECIPES
from sds.scoreboard import board, items, report
from sds.separate import METHODS, separate
from sds.stable_audio import ModelUnavailable, load_prior

log = logging.getLogger(__name__)

PREVIEW_GAP = 3.0  # seconds between two previews
PREVIEWS_KEPT = 3
PROGRESS_GAP = 0.1  # seconds between two progress lines of one stage
MIN_SECONDS = 0.1  # of a file to separate
MAX_WORK_BYTES = 2 * 2**30  # of a file, its stems and their sums, in memory
JUDGED_SECONDS = 30.0  # the start of a long file stands for all of it
VERSION = metadata.version("scorewire")


# Story one: prompt to patch.


def design_patch(job: DesignPatch, models: Models) -> pipe.Events:
    """Look at patches near the prompt, bring the best nearer, keep what the ear likes best.

    The ear (`sds.judge.EAR`) searches; the judge, who chose nothing, scores what comes out.
    curves.json has one entry a step in each of step, stage, t, loss (null where there is none) and
    score, which never falls.
    """
    clock = pipe.Clock(job.id)
    yield clock.progress(0.0, "loading the model")
    prior, judge = models.prior(job.model, [job.prompt]), models.judge()
    rate, renderer = prior.sample_rate, RENDERERS[job.renderer]
    if job.duration > prior.max_seconds:
        limit = f"at most {prior.max_seconds:g} with the model {prior.name}"
        raise ValueError(f"seconds must be {limit}, got {job.duration:g}")
    recipe = RECIPES[job.recipe]
    recipe = replace(recipe, steps=job.steps or recipe.steps)
    generator = torch.Generator().manual_seed(job.seed)
    ear = models.ear()
    u0 = random_patches(renderer, 1, generator=generator).float()  # what is to be beaten
    if (more := max(recipe.candidates, recipe.starts) - 1) > 0:
        u0 = torch.cat([u0, models.near(renderer, job.prompt, more, generator)])
    samples = round(job.duration * rate)

    def render(u: Tensor) -> Tensor:
        return renderer.render(u, Note(job.note), rate, samples).float()

    def liking(ear: board.Match) -> Callable[[Tensor], Tensor]:
        return lambda sound: ear.similarity(sound, rate, [job.prompt])[:, 0]

    def keep(u: Tensor, path: Path, *, before: float | None, steps: int) -> float | None:
        """Write a patch as `path`.json and its sound as `path`.wav; match what was written."""
        patch = _preset(job, renderer, prior, u)
        heard = effects.render(patch, rate=rate)
        effects.write(heard, path.with_suffix(".wav"), rate=rate)
        after = float(liking(judge)(torch.from_numpy(heard)[None])) if judge else None
        facts = {"steps": steps, "score_before": before, "score_after": after}
        provenance = patch.provenance.model_copy(update=facts)
        save(patch.model_copy(update={"provenance": provenance}), path.with_suffix(".json"))
        return after

    with outputs.folder(Path(job.out)) as out:
        yield clock.progress(0.0, "search")
        name = stems.slug(job.prompt)
        before = keep(u0[0], out.scratch / "initial", before=None, steps=0)
        initial = (out.scratch / "initial.wav").rename(out.partial / f"{name}__initial.wav")

        curves: dict[str, list[Any]] = {key: [] for key in ("step", "stage", "t", "loss", "score")}
        previews = _Previews(out.scratch)
        best = u0[0]
        for step in distill(
            render,
            prior,
            job.prompt,
            u0,
            recipe=recipe,
            generator=generator,
            score=liking(ear) if ear else None,
        ):
            best = step.best_u
            figures = _figures(step)
            for key, value in zip(curves, _row(step, figures), strict=True):
                curves[key].append(value)
            yield clock.progress(step.index / step.of, step.stage, figures)
            if step.improved and (path := previews.next(step.index)):
                keep(step.best_u, path, before=before, steps=step.index)
                yield Best(
                    id=job.id,
                    step=step.index,
                    score=step.score,
                    preset=f"{path}.json",
                    wav=f"{path}.wav",
                )
        after = keep(best, out.partial / name, before=before, steps=recipe.steps)
        _write_json(out.partial / "curves.json", {"kind": job.kind, "prompt": job.prompt} | curves)
        result = {
            "preset": out.final(out.partial / f"{name}.json"),
            "wav": out.final(out.partial / f"{name}.wav"),
            "initial_wav": out.final(initial),
            "score_before": before,
            "score_after": after,
            "steps": recipe.steps,
            "curves": out.final(out.partial / "curves.json"),
        }
    yield clock.done(result)


def _preset(job: DesignPatch, renderer: Renderer, prior: Prior, u: Tensor) -> Preset:
    return Preset(
        name=job.prompt[:200],
        renderer=renderer.name,
        renderer_version=renderer.version,
        values=to_values(renderer, u),
        note=job.note,
        seconds=job.duration,
        prompt=job.prompt,
        seed=job.seed,
        provenance=Provenance(
            code=VERSION,
            model=prior.name,
            model_hash=_model_hash(prior),
            method=f"distill/{job.recipe}",
        ),
    )


def _figures(step: Step) -> dict[str, float]:
    falls = step.stage in ("fit", "distill")
    return ({"loss": float(step.loss.min())} if falls else {}) | {"score": step.score}


def _row(step: Step, figures: dict[str, float]) -> tuple[Any, ...]:
    """A line of curves.json, in the order of its columns."""
    return step.index, step.stage, step.t, figures.get("loss"), step.score


class _Previews:
    """Paths for previews of a running job: one at once, then one every few seconds."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._last, self._paths = folder, -PREVIEW_GAP, list[Path]()

    def next(self, step: int) -> Path | None:
        """Where to write a preview now (add .json and .wav), None when it is too early."""
        now = time.monotonic()
        if now - self._last < PREVIEW_GAP:
            return None
        self._last = now
        self._paths.append(self._folder / f"best-{step:04d}")
        for old in self._paths[:-PREVIEWS_KEPT]:
            for suffix in (".json", ".wav"):
                old.with_suffix(suffix).unlink(missing_ok=True)
        return self._paths[-1]


# Story two: track to stems.


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
        _write_json(out.partial / "curves.json", {"kind": job.kind} | curves)
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
    tag = hashlib.sha256(json.dumps([*asked, _model_hash(prior)]).encode()).hexdigest()[:16]
    header = _readable(source, frames=mix.shape[-1])
    start = header.bext.time_reference if header and header.bext else 0

    def write(part: Tensor, name: str, what: str, number: int) -> None:
        history = f"A=PCM,F={rate},W=32,T=Scorewire {VERSION};model={prior.name};seed={job.seed}"
        wav.write(
            out.partial / name,
            (block.T.contiguous().numpy().tobytes() for block in torch.split(part, 2**18, dim=1)),
            rate=rate,
            channels=part.shape[0],
            frames=part.shape[1],
            bext=wav.Bext(start, what, f"{tag[:8]}/{number:02d}", history + "\r\n"),
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
        model_hash=_model_hash(prior),
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


# The two short jobs.


def render_preset(job: RenderPreset, models: Models) -> pipe.Events:
    """Preset file to WAV file, through the preset's effects."""
    clock = pipe.Clock(job.id)
    yield clock.progress(0.0, "render")
    target = Path(job.out)
    if target.suffix.lower() != ".wav":
        raise ValueError(f"out must end in .wav, got {target.name!r}")
    patch = load(job.preset)
    with outputs.folder(target.parent) as out:
        effects.render_file(
            patch,
            out.partial / target.name,
            note=job.note,
            velocity=job.velocity,
            seconds=job.duration,
        )
    yield clock.done({"wav": job.out})


def probe(job: Probe, models: Models) -> pipe.Events:
    """Run a kernel, load the model and the judge, and say how it went: for `doctor`."""
    clock = pipe.Clock(job.id)
    yield clock.progress(0.0, "kernel")
    checks = [_tried("kernel", _try_kernel, "run `make clean install` in your clone of Scorewire")]
    yield clock.progress(0.3, "model")
    checks.append(_tried("model", lambda: _try_model(job.model, models), "see the sentence above"))
    yield clock.progress(0.9, "judge")
    checks.append(_tried("judge", lambda: _try_judge(models), "without it nothing is scored"))
    yield clock.done({"checks": checks})


def _tried(name: str, attempt: Callable[[], str], fix: str) -> dict[str, Any]:
    try:
        return {"name": name, "ok": True, "text": attempt(), "fix": ""}
    except (ValueError, RuntimeError, OSError) as error:
        return {"name": name, "ok": False, "text": str(error), "fix": fix}


def _try_kernel() -> str:
    """The FM kernel and its adjoint on 0.1 s of sound."""
    renderer = RENDERERS["fm"]
    u = random_patches(renderer, 1, generator=torch.Generator().manual_seed(0)).requires_grad_()
    renderer.render(u, Note(), 44100, 64)  # compiles
    began = time.perf_counter()
    renderer.render(u, Note(), 44100, 4410).square().sum().backward()  # type: ignore[no-untyped-call]
    spent = 1000 * (time.perf_counter() - began)
    if u.grad is None or not bool(u.grad.isfinite().all()):
        raise RuntimeError("the FM kernel gives no finite gradient")
    return f"0.1 s of FM and its gradient in {spent:.1f} ms, {torch.get_num_threads()} threads"


def _try_model(name: str, models: Models) -> str:
    """One encode and one evaluation of the model on a second of silence."""
    prior = models.prior(name, ["test"])
    seconds = min(1.0, prior.max_seconds)
    silence = torch.zeros(1, prior.channels, round(seconds * prior.sample_rate))
    with torch.inference_mode():
        z = prior.encode(silence)
        cond = prior.embed(["test"], seconds)
        began = time.perf_counter()
        prior.denoise(z, torch.ones(1), cond)
    spent = 1000 * (time.perf_counter() - began)
    where = "a CUDA GPU" if torch.cuda.is_available() else "the CPU"
    return f"{prior.name} at {prior.sample_rate} Hz on {where}, one evaluation in {spent:.0f} ms"


def _try_judge(models: Models) -> str:
    judge = models.judge()
    if judge is None:
        raise ValueError("there is no judge here: prompt match is not measured")
    score = float(judge.similarity(torch.zeros(1, 1, 44100), 44100, ["silence"]))
    return f"silence is like the word by {score:.2f}"


# The scoreboard.


def evaluate(job: Evaluate, models: Models) -> pipe.Events:
    """Run the suites and write the page; a task that ended before with the same setting is kept.

    `out` gets scoreboard.md, scoreboard.json and, in a folder for this setting, rows.jsonl.
    """
    from sds.scoreboard.suites import SUITES  # what they import, no other job needs

    clock = pipe.Clock(job.id)
    yield clock.progress(0.0, "loading the model")
    data = Path(job.data)
    prior, judge = models.prior(job.model, items.prompts(data)), models.judge(job.judge)
    if judge is None:
        raise ValueError("there is no judge here, and the scoreboard needs one: name a --judge")
    ear = models.ear() or judge
    entries = {n: e for n, e in SUITES.items() if n in job.suites or "all" in job.suites}
    page = report.Page(
        command=_command(job),
        model=_weights(prior),
        judge=_weights(judge),
        ear=_weights(ear),
        data=data.resolve().name,
        date=time.strftime("%Y-%m-%d", time.gmtime()),
    )
    facts = [page.model, page.judge, page.ear, job.seed, job.items, items.fingerprint(data)]
    folder = Path(job.out) / hashlib.sha256(repr(facts).encode()).hexdigest()[:12]
    (folder / "scratch").mkdir(parents=True, exist_ok=True)
    setting = board.Setting(
        data=data,
        prior=prior,
        judge=judge,
        ear=ear,
        instruments=tuple(_instrument(renderer, prior, models) for renderer in RENDERERS.values()),
        scratch=folder / "scratch",
        seed=job.seed,
        items=job.items,
    )
    rows, old = [], 0
    suites = {name: entry.suite for name, entry in entries.items()}
    for now in board.evaluate(suites, setting, folder / "rows.jsonl"):
        if now.row is not None:
            rows.append(now.row)
        old += now.old  # takes no time, so it does not count as progress
        fraction = (now.index - old) / max(1, now.of - old)
        stage = f"{now.suite}: {now.item}, {now.method}"
        yield clock.progress(fraction, stage, dict(now.row.figures) if now.row else {})
    with outputs.folder(Path(job.out)) as out:
        table = report.markdown(page, rows, entries)
        (out.partial / "scoreboard.md").write_text(table, encoding="utf-8")
        _write_json(out.partial / "scoreboard.json", report.as_json(page, rows, entries))
    yield clock.done(
        {
            "page": out.final(out.partial / "scoreboard.md"),
            "figures": out.final(out.partial / "scoreboard.json"),
            "rows": str(folder / "rows.jsonl"),
        }
    )


def _weights(model: Prior | board.Match) -> report.Weights:
    return report.Weights(model.name, _model_hash(model))


def _command(job: Evaluate) -> str:
    """What brings these figures about, without the place of anything on this machine."""
    words = [word for name in job.suites for word in ("--suite", name)]
    words += ["--data", Path(job.data).name, "--seed", str(job.seed)]
    words += ["--items", str(job.items)] if job.items else []
    for option, name in (("--model", job.model), ("--judge", job.judge)):
        words += [option, Path(name).name if Path(name).is_absolute() else name]
    return shlex.join(["scorewire", "eval", *words])


def _instrument(renderer: Renderer, prior: Prior, models: Models) -> board.Instrument:
    def draw(count: int, generator: torch.Generator) -> Tensor:
        return random_patches(renderer, count, generator=generator)

    def render(u: Tensor, samples: int) -> Tensor:
        return renderer.render(u, Note(60), prior.sample_rate, samples).float()

    def near(prompt: str, count: int, generator: torch.Generator) -> Tensor:
        return models.near(renderer, prompt, count, generator)

    return board.Instrument(renderer.name, draw, render, near)


# What the stories share.


class Models:
    """The prior, the judge, the ear and the banks, loaded once and kept from job to job."""

    def __init__(self, *, judge: Path = JUDGE, ear: Path = EAR) -> None:
        self._priors: dict[str, Prior] = {}
        self._folders = {"judge": judge, "ear": ear}
        self._judges: dict[str, Judge] = {}
        self._banks: dict[str, Bank | None] = {}

    def prior(self, name: str, prompts: Sequence[str]) -> Prior:
        """The prior called `name`; "gaussian" is the exact one, made for these prompts."""
        if name == "gaussian":
            return gaussian(prompts)
        if name not in self._priors:
            self._priors.clear()  # one at a time in memory
            self._priors[name] = load_prior(name)
        return self._priors[name]

    def judge(self, name: str = "default") -> board.Match | None:
        """The shipped judge, None when it is not there: then nothing is scored. Or a CLAP."""
        if name != "default":
            from sds.clap import load_clap  # needs transformers

            return load_clap(name)
        return self._listener("judge")

    def ear(self) -> Judge | None:
        """Who listens while something is searched; None when it is not there."""
        return self._listener("ear")

    def near(
        self, renderer: Renderer, prompt: str, count: int, generator: torch.Generator
    ) -> Tensor:
        """Patches [count, P] of the bank nearest to the prompt; random ones without a bank."""
        ear, name = self.ear(), renderer.name
        if ear is not None and name not in self._banks:
            told = synth(name, renderer.version, len(renderer.params))
            self._banks[name] = load_bank(name, told, ear.model_hash)
        bank = self._banks.get(name)
        if ear is None or bank is None:
            return random_patches(renderer, count, generator=generator).float()
        return bank.nearest(ear.read([prompt])[0], count)

    def _listener(self, which: str) -> Judge | None:
        folder = self._folders[which]
        if which not in self._judges and (folder / "model.safetensors").is_file():
            self._judges[which] = load_judge(folder)
        return self._judges.get(which)


def gaussian(prompts: Sequence[str]) -> GaussianPrior:
    """A prior that needs no weights: each prompt a band of noise, placed by the prompt's digest."""
    frequency = (torch.arange(256) + 0.5) / 256  # of Nyquist
    stds: dict[str, Tensor | float] = {"": 0.02}
    for prompt in prompts:
        place = hashlib.sha256(prompt.encode()).digest()[0] / 255
        octaves = torch.log2(frequency / (0.005 * 40**place))  # 110 Hz .. 4.4 kHz at 44.1 kHz
        stds[prompt] = 0.001 + 0.1 * torch.exp(-0.5 * octaves**2)
    return GaussianPrior(dict.fromkeys(stds, 0.0), stds)


def _model_hash(model: Prior | board.Match) -> str:
    return str(getattr(model, "model_hash", ""))


def _write_json(path: Path, value: dict[str, Any]) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False) + "\n", encoding="utf-8")


def work(job: Job, models: Models) -> pipe.Events:
    """The events of one job; exceptions come through."""
    match job:
        case DesignPatch():
            return design_patch(job, models)
        case Separate():
            return separate_track(job, models)
        case RenderPreset():
            return render_preset(job, models)
        case Evaluate():
            return evaluate(job, models)
        case Probe():
            return probe(job, models)


def main() -> None:
    """Jobs from stdin to events on stdout, until stdin ends."""
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS") or len(os.sched_getaffinity(0))))
    models = Models()
    pipe.serve(lambda job: work(job, models), codes={ModelUnavailable: "no-model"})


if __name__ == "__main__":
    main()
