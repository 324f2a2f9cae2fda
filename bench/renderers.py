"""Renderers: 10 s at 44.1 kHz, forward and gradient, beside a loop, Faust and direct evaluation."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable

import torch
from torch import Tensor

from bench import faust
from bench.timing import best, duel, shown
from presets import Note
from renderers import fm, impact, random_patches
from renderers.base import physical

RATE, SECONDS = 44100, 10
SAMPLES = RATE * SECONDS
SHORT = RATE // 10  # the per-sample loop is measured on 0.1 s
FEW = 16  # modes on which direct evaluation with autograd is measured


def backward(work: Callable[[], Tensor]) -> Callable[[], None]:
    """`work` and the gradient of its mean square."""
    return lambda: work().square().mean().backward()


def error(a: Tensor, b: Tensor) -> str:
    """|a - b| / |b|."""
    return f"{((a - b).norm() / b.norm()).item():.1e}"


def fm_patch() -> tuple[Tensor, ...]:
    """Four operators with feedback that sound the whole 10 s: what `fm.recursion` takes."""
    f64 = torch.float64
    cycles = torch.tensor([[1.0, 2.0, 3.01, 1.0]], dtype=f64) * 220 / RATE
    attack = torch.tensor([[0.01, 0.02, 0.005, 0.03]], dtype=f64)
    decay = torch.tensor([[9.0, 10.0, 9.5, 10.0]], dtype=f64)
    entry = torch.linspace(0.3, 1.2, 16, dtype=f64).view(4, 4).tril(-1) + 0.4 * torch.eye(4)
    mix = torch.full((1, 4), 0.25, dtype=f64)
    return faust.on_grid(cycles), attack, decay, entry[None] / fm.TURN, mix


def fm_against_loop() -> dict[str, object]:
    """Forward and gradient, one patch, against a per-sample PyTorch loop."""
    leaves = [t.clone().requires_grad_() for t in fm_patch()]
    ours = best(backward(lambda: fm.recursion(*leaves, RATE, SAMPLES, False)))
    loop = best(backward(lambda: fm.recursion_slowly(*leaves, RATE, SHORT)), repeats=1)
    loop *= SAMPLES / SHORT
    gradients = []
    for render in (
        lambda: fm.recursion(*leaves, RATE, SHORT, False),
        lambda: fm.recursion_slowly(*leaves, RATE, SHORT),
    ):
        gradients.append(torch.autograd.grad(render().square().mean(), leaves[:3] + leaves[4:]))
    wrong = error(*(torch.cat([g.flatten() for g in side]) for side in gradients))
    return {
        "name": "FM forward + gradient, V=4",
        "value": shown(ours),
        "reference": f"per-sample PyTorch loop, {SHORT / RATE:g} s scaled: {shown(loop)}",
        "ratio": f"{loop / ours:,.0f}x",
        "error": f"gradient {wrong}",
        "target": ">= 200x",
    }


def fm_against_faust() -> dict[str, object]:
    """Forward only, one patch, against the same graph compiled by Faust."""
    cycles, attack, decay, matrix, mix = fm_patch()
    row: dict[str, object] = {"name": "FM forward, V=4", "target": ">= 1x"}
    source = faust.program(
        *(t[0].tolist() for t in (cycles, attack, decay, matrix * fm.TURN, mix)), RATE
    )
    inputs = fm_patch()
    with torch.no_grad():
        audio = fm.recursion(*inputs, RATE, SAMPLES, False)[0]
    try:
        render = faust.compiled(source, RATE, SECONDS)
    except ImportError as reason:
        ours = best(lambda: fm.recursion(*inputs, RATE, SAMPLES, False))
        return row | {"value": shown(ours), "reference": faust.ABSENT.format(reason)}
    ours, theirs = duel(lambda: fm.recursion(*inputs, RATE, SAMPLES, False), render, repeats=30)
    row["value"] = shown(ours)
    return row | {
        "reference": f"Faust (DawDreamer, single precision): {shown(theirs)}",
        "ratio": f"{theirs / ours:.2f}x",
        "error": f"of Faust, to ours {error(torch.from_numpy(render()).double(), audio)}",
    }


def fm_batch() -> dict[str, object]:
    """A batch of 8 patches against one, forward and gradient."""
    one = [t.clone().requires_grad_() for t in fm_patch()]
    eight = [t.repeat(8, *[1] * (t.ndim - 1)).requires_grad_() for t in fm_patch()]
    batch, single = duel(
        backward(lambda: fm.recursion(*eight, RATE, SAMPLES, False)),
        backward(lambda: fm.recursion(*one, RATE, SAMPLES, False)),
        repeats=8,
    )
    return {
        "name": "FM forward + gradient, batch of 8",
        "value": shown(batch),
        "reference": f"one patch: {shown(single)}",
        "ratio": f"costs {batch / single:.2f}x one",
        "target": f"<= 5x on 2 cores ({torch.get_num_threads()} threads here)",
    }


def direct_bank_seconds(leaves: list[Tensor]) -> float:
    """Direct evaluation in single precision with autograd, on `FEW` modes, scaled to all."""
    few = [t.detach()[:, :FEW].float().requires_grad_() for t in leaves]
    spent = best(backward(lambda: impact.modal_bank_slowly(*few, SAMPLES)), repeats=2)
    return spent * leaves[0].shape[1] / FEW


def bank_error(leaves: list[Tensor], bank: Tensor) -> str:
    """Of the whole bank against direct evaluation in double precision at every 10th sample."""
    cycles, decay, gain = (t.detach() for t in leaves)
    t = torch.arange(0, SAMPLES, 10, dtype=torch.float64)
    exact = torch.zeros_like(t)
    for n in range(cycles.shape[1]):
        turns = torch.remainder(cycles[0, n] * t, 1.0)
        exact += gain[0, n] * torch.exp(-decay[0, n] * t) * torch.sin(2 * math.pi * turns)
    return error(bank[0, ::10].double(), exact)


def impact_rows() -> list[dict[str, object]]:
    """The modal bank, then the whole impact renderer, N = 2048."""
    instrument = impact.renderer(modes=2048)
    lay = impact.layout(instrument.params)
    u = random_patches(instrument, 1, generator=torch.Generator().manual_seed(0)).float()
    o = impact.struck(lay, physical(lay.table, u), Note(60), RATE)
    leaves = [t.clone().requires_grad_() for t in (o.hz / RATE, o.decay / RATE, o.gain)]
    bank = best(backward(lambda: impact.modal_bank(*leaves, SAMPLES, torch.float32)))
    direct = direct_bank_seconds(leaves)
    audio = impact.modal_bank(*leaves, SAMPLES, torch.float32).detach()
    x = u.clone().requires_grad_()
    whole = best(backward(lambda: instrument.render(x, Note(60), RATE, SAMPLES)))
    rest = max(0.0, whole - bank)
    with torch.no_grad():
        single = instrument.render(u, Note(60), RATE, SAMPLES).double()
        double = instrument.render(u.double(), Note(60), RATE, SAMPLES)
    how = f"direct evaluation, {FEW} modes scaled"
    return [
        {
            "name": "Impact modal bank forward + gradient, N=2048",
            "value": shown(bank),
            "reference": f"{how}: {shown(direct)}",
            "ratio": f"{direct / bank:,.0f}x",
            "error": f"to direct, double {bank_error(leaves, audio)}",
            "target": ">= 50x at <= 1e-4",
        },
        {
            "name": "Impact whole renderer forward + gradient, N=2048, 32 bands",
            "value": shown(whole),
            "reference": f"{how}, the same room and convolution: {shown(direct + rest)}",
            "ratio": f"{(direct + rest) / whole:,.0f}x",
            "error": f"single to double {error(single, double)}",
            "target": ">= 50x at <= 1e-4",
        },
    ]


def impact_preview() -> dict[str, object]:
    """What a distillation step pays: the default 256 modes, 3 s."""
    instrument = impact.renderer()
    x = random_patches(instrument, 1, generator=torch.Generator().manual_seed(0)).float()
    x.requires_grad_()
    spent = best(backward(lambda: instrument.render(x, Note(60), RATE, 3 * RATE)))
    return {"name": "Impact forward + gradient, N=256, 3 s", "value": shown(spent)}


def rows() -> list[dict[str, object]]:
    """Every figure of this page, in the order of the issue."""
    return [
        fm_against_loop(),
        fm_against_faust(),
        fm_batch(),
        *impact_rows(),
        impact_preview(),
    ]


if __name__ == "__main__":
    torch.set_flush_denormal(True)
    for line in rows():
        sys.stdout.write(json.dumps(line, ensure_ascii=False) + "\n")
