"""Check whether kernel, model and evaluation scorer work here, for `doctor`."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

from bridge.protocol import worker_loop
from bridge.protocol.jobs import Check, Probe, check
from bridge.worker import needs
from bridge.worker.models import Models
from presets import Note
from renderers import RENDERERS, random_patches
from renderers.engines import ENGINES
from sds.priors.base import classifier_free_guidance
from sds.priors.checkpoints import is_here


def probe(job: Probe, models: Models) -> worker_loop.Events:
    """Run a kernel, load the model and the evaluation scorer, and say how it went: for `doctor`."""
    clock = worker_loop.Clock(job.id)
    yield clock.progress(0.0, "kernel")
    checks = [
        _attempt("kernel", _try_kernel, "run `make clean install` in your clone of Scorewire")
    ]
    yield clock.progress(0.2, "needs")
    checks += needs.examine_needs(job.model)
    yield clock.progress(0.3, "model")
    checks.append(_model(job.model, models))
    yield clock.progress(0.9, "evaluation_scorer")
    checks.append(
        _attempt("evaluation_scorer", lambda: _try_scorer(models), "without it nothing is scored")
    )
    yield clock.done({"checks": [*checks, _gpu(), *_engines()]})


def _model(name: str, models: Models) -> Check:
    """Whether the model works; one of the hub that is not here is not fetched to find out."""
    if not is_here(name):
        text = f"{name} is not on this machine yet: the first job with it downloads it"
        fix = f"`hf download {name}`; if it is gated, accept its licence and `hf auth login` first"
        return check("model", False, text, fix)
    fix = "name another with --model; `--model default` is the one that comes with Scorewire"
    return _attempt("model", lambda: _try_model(name, models), fix)


def _attempt(name: str, attempt: Callable[[], str], fix: str) -> Check:
    try:
        return check(name, True, attempt())
    except (ValueError, RuntimeError, OSError) as error:
        return check(name, False, str(error), fix)


def _gpu() -> Check:
    """Whether PyTorch has a GPU."""
    if torch.cuda.is_available():
        return check("gpu", True, torch.cuda.get_device_name(0))
    text = "PyTorch finds none: models run on the CPU"
    fix = "if there is an NVIDIA card: apt install nvidia-driver, then `make clean install`"
    return check("gpu", False, text, fix, optional=True)


def _engines() -> list[Check]:
    """The synths of others, by which an export is compared with our sound: none is needed."""
    formats: dict[str, list[str]] = {}
    for name, engines in ENGINES.items():
        for engine in engines:
            formats.setdefault(engine.name, []).append(name)
    missing = {engine.name: engine.missing() for some in ENGINES.values() for engine in some}
    rows = []
    for name, reason in missing.items():
        text, _, fix = reason.partition(": ")
        use = f"plays what `export --format {'` and `'.join(formats[name])}` writes, to compare"
        rows.append(check(name, not reason, text or use, fix, optional=True))
    return rows


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
        classifier_free_guidance(prior, cond, cond, 1.0)(z, torch.ones(1))
    spent = 1000 * (time.perf_counter() - began)
    where = "a CUDA GPU" if torch.cuda.is_available() else "the CPU"
    return f"{prior.name} at {prior.sample_rate} Hz on {where}, one evaluation in {spent:.0f} ms"


def _try_scorer(models: Models) -> str:
    evaluation_scorer = models.evaluation_scorer()
    if evaluation_scorer is None:
        raise ValueError("there is no evaluation scorer here: prompt match is not measured")
    score = float(evaluation_scorer.similarity(torch.zeros(1, 1, 44100), 44100, ["silence"]))
    return f"similarity of silence and the word 'silence' {score:.2f}, of 1 at most"
